"""Read a CSV with the csv module, or put a result behind every row: CSV COPY read|write."""

import csv
import sys
from pathlib import Path

from bench.timed import Timed

count = 0
with Timed() as timed, Path(sys.argv[1]).open(encoding="utf-8", newline="") as lines:
    rows = csv.reader(lines)
    headings = next(rows)
    if sys.argv[3] == "write":
        with Path(sys.argv[2]).open("w", encoding="utf-8", newline="") as output:
            writer = csv.writer(output)
            writer.writerow([*headings, "final_url", "http_status", "conclusion"])
            for row in rows:
                writer.writerow([*row, f"https://www.shop.example/{row[0]}", "200", "valid"])
                count += 1
    else:
        for _ in rows:
            count += 1
print(count)
timed.say()
