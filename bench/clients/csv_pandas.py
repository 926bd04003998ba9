"""Read a CSV with pandas, or put a result behind every row: CSV COPY read|write."""

import sys

import pandas as pd

from bench.timed import Timed

with Timed() as timed:
    frame = pd.read_csv(sys.argv[1], dtype=str)
    if sys.argv[3] == "write":
        frame["final_url"] = "https://www.shop.example/" + frame["row_id"]
        frame["http_status"] = "200"
        frame["conclusion"] = "valid"
        frame.to_csv(sys.argv[2], index=False)
print(len(frame))
timed.say()
