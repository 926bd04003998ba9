"""Ids by the million: which stand twice, and at what cost in memory."""

import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st

from connector.seen import Seen


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=3)), st.lists(st.text(max_size=3)))
def test_it_knows_what_a_list_of_all_ids_would_know(added: list[str], others: list[str]) -> None:
    seen = Seen()

    for row_id in added:
        seen.add(row_id)

    for row_id in {*added, *others}:
        assert (row_id in seen) == (row_id in added)
        assert seen.is_twice(row_id) == (added.count(row_id) > 1)


def test_an_id_that_is_added_after_a_question_counts() -> None:
    seen = Seen()
    seen.add("a")
    assert not seen.is_twice("a")

    seen.add("a")

    assert seen.is_twice("a")


def test_text_that_no_encoding_takes_is_an_id_like_others() -> None:
    seen = Seen()

    seen.add("\udc80")

    assert "\udc80" in seen
    assert "\udc81" not in seen


def test_an_id_costs_less_than_forty_bytes_however_many_there_are() -> None:
    count = 200_000
    tracemalloc.start()
    try:
        seen = Seen()
        for number in range(count):
            seen.add(f"row-{number:09d}-of-a-long-kind")
        assert not seen.is_twice("row-000000001-of-a-long-kind")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak / count < 40
