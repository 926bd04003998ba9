"""What docs/promises.md names as proof exists: every test, every file."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "promises.md").read_text("utf-8")


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(tests/[\w./]+)(?:::\w+)?`", TEXT))))
def test_every_file_that_is_named_exists(name: str) -> None:
    assert (ROOT / name).exists()


def test_every_test_that_is_named_exists_and_where_it_is_said_to_be() -> None:
    missing = []
    place: Path | None = None
    for line in TEXT.splitlines():
        if said := re.match(r"All in `(tests/[\w./]+)`", line):
            place = ROOT / said[1]
        for name, test in re.findall(r"`(tests/[\w./]+)::(test_\w+)`", line):
            missing += [] if test in functions(ROOT / name) else [test]
        for test in re.findall(r"\| `(test_\w+)` \|", line):
            assert place is not None
            missing += [] if test in functions(place) else [test]

    assert missing == []
