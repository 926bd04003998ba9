"""The failure table of docs/promises.md names its tests by name alone: each is where it is said."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_test_of_the_failure_table_is_in_the_file_above_it() -> None:
    missing, place, seen = [], "", 0
    for line in (ROOT / "docs" / "promises.md").read_text("utf-8").splitlines():
        if said := re.match(r"All in `(tests/[\w./]+)`", line):
            place = (ROOT / said[1]).read_text("utf-8")
        for test in re.findall(r"\| `(test_\w+)` \|$", line):
            seen += 1
            missing += [] if f"def {test}(" in place else [test]

    assert missing == []
    assert seen > 20
