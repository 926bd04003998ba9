"""How the functions that a formula may call are kept."""

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.emulators.sheets.formula_lookup import LOOKUPS
from tests.emulators.sheets.formula_run import Place
from tests.emulators.sheets.formula_text import Node


class Function(NamedTuple):
    """`cellwise` functions take single values and work cell by cell on arrays."""

    work: Callable[..., Any]
    cellwise: bool


FUNCTIONS: dict[str, Function] = {}
SPECIAL: dict[str, Callable[[Place, list[Node]], Any]] = dict(LOOKUPS)
"""Functions that look at their arguments before they are worked out."""


def cellwise(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def keep(work: Callable[..., Any]) -> Callable[..., Any]:
        FUNCTIONS.update((name, Function(work, cellwise=True)) for name in names)
        return work

    return keep


def whole(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def keep(work: Callable[..., Any]) -> Callable[..., Any]:
        FUNCTIONS.update((name, Function(work, cellwise=False)) for name in names)
        return work

    return keep


def special(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def keep(work: Callable[..., Any]) -> Callable[..., Any]:
        SPECIAL.update(dict.fromkeys(names, work))
        return work

    return keep
