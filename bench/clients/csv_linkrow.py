"""Read a CSV with the product's own keeper, or put a result into every row: CSV COPY read|write."""

import shutil
import sys
from pathlib import Path

from bench.timed import Timed
from connector.csv_file import CsvFile
from connector.source import Cells, Row


class Results:
    """A result for every row, as they are written while a run goes on."""

    def survey(self, row: Row) -> None:
        """Nothing is decided by what other rows say."""

    def decide(self, row: Row) -> Cells:
        return {
            "final_url": f"https://www.shop.example/{row.row_id}",
            "http_status": "200",
            "conclusion": "valid",
        }


path, copy, way = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
if way == "write":
    shutil.copyfile(path, copy)
source = CsvFile(copy if way == "write" else path, source_id="src_bench")
with Timed() as timed:
    count = source.revise(Results) if way == "write" else sum(len(rows) for rows in source.read())
print(count)
timed.say()
