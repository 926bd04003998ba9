"""What stands behind the question mark, read strictly."""

import re
from typing import Final, TypeVar

from flask import request

from relay.refusals import bad_shape
from wire.vocab import Conclusion, JobStatus

MAX_PAGE: Final = 1000

Word = TypeVar("Word", JobStatus, Conclusion)


def arguments(known: frozenset[str] | set[str]) -> dict[str, str]:
    """The query, in which every parameter is known and stands once."""
    given: dict[str, str] = {}
    for name, values in request.args.lists():
        if name not in known:
            raise bad_shape([(f"?{name[:80]}", f"unknown; there are {', '.join(sorted(known))}")])
        if len(values) != 1:
            raise bad_shape([(f"?{name}", "stands more than once")])
        given[name] = values[0]
    return given


def word(kind: type[Word], text: str | None, name: str) -> Word | None:
    """*text* as one of the words of *kind*."""
    if text is None:
        return None
    try:
        return kind(text)
    except ValueError as error:
        raise bad_shape([(f"?{name}", f"one of {', '.join(kind)}")]) from error


def form(pattern: str, text: str | None, name: str) -> str | None:
    """*text*, which looks like *pattern*."""
    if text is not None and not re.fullmatch(pattern, text):
        raise bad_shape([(f"?{name}", f"no {name} looks like that")])
    return text


def number(text: str, name: str, low: int, high: int) -> int:
    """*text* as a whole number from *low* to *high*."""
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not low <= int(text) <= high:
        raise bad_shape([(f"?{name}", f"a whole number from {low} to {high}")])
    return int(text)
