"""A source that could not be opened: it says why, is tried again, and then does its work."""

from pathlib import Path

import pytest

from agent.late_source import LateSource
from connector.errors import FileNotFound, Interrupted, MissingColumn
from connector.memory import IdsOnly, MemorySource
from connector.source import Row

GONE = FileNotFound(Path("links.csv"))
NO_COLUMN = MissingColumn("tracking_url", "tracking_url", ["a"])


class Serving:
    """What an agent knows of the source at the moment."""

    def __init__(self) -> None:
        self.source: MemorySource | None = None
        self.why: Exception | None = GONE
        self.looks = 0

    def look_again(self) -> None:
        self.looks += 1


@pytest.fixture
def serving() -> Serving:
    return Serving()


@pytest.fixture
def late(serving: Serving) -> LateSource:
    return LateSource(
        "src_a",
        "spring",
        find=lambda: serving.source,
        why=lambda: serving.why,
        look_again=serving.look_again,
    )


def test_it_says_why_it_cannot_be_read_and_has_it_tried_again(serving, late):
    with pytest.raises(FileNotFound):
        late.revise(IdsOnly)
    serving.why = NO_COLUMN
    with pytest.raises(MissingColumn):
        late.revise(IdsOnly)
    serving.why = None  # it is being tried just now
    with pytest.raises(MissingColumn):
        late.read()

    assert serving.looks == 3
    assert (late.source_id, late.name) == ("src_a", "spring")


def test_once_it_is_there_it_is_the_source_itself(serving, late):
    with pytest.raises(FileNotFound):
        late.revise(IdsOnly)
    serving.source = MemorySource([Row(row_id="", tracking_url="https://a.example/")])

    assert late.revise(IdsOnly) == 1

    ((row,),) = late.read()
    assert row.row_id
    assert late.assign_ids() == 0
    assert late.write([]) == []
    assert serving.looks == 1


def test_one_that_left_meanwhile_is_nobodys_failure(serving):
    serving.why = None
    late = LateSource(
        "src_a",
        "spring",
        find=lambda: None,
        why=lambda: serving.why,
        look_again=serving.look_again,
    )

    with pytest.raises(Interrupted):
        late.revise(IdsOnly)
