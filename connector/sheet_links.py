"""Which cell is read by its link, and what that link is. Pure.

A cell with ``=HYPERLINK(url, label)``, a linked word or a chip shows its label; the link is only in
the cell's description, which is fetched for just those rows.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final
from urllib.parse import quote

from connector.sheet_a1 import quoted, runs

FIELDS: Final = (
    "sheets(properties.sheetId,data(startRow,startColumn,rowData.values("
    "formattedValue,hyperlink,textFormatRuns.format.link.uri,"
    "chipRuns.chip.richLinkProperties.uri)))"
)
MOST_LETTERS: Final = 6_000  # ranges travel in a URL
MOST_ROWS: Final = 20_000

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a link cell holds: *link*, or a *fault* that says why there is none."""

    link: str
    fault: str = ""


def shows_a_label(text: str) -> bool:
    """Whether a link cell's *text* is no URL, so that its link may be behind it."""
    text = text.strip()
    return bool(text) and not _SCHEME.match(text)


def behind(cell: Mapping[str, Any], text: str) -> Found:
    """The link behind a cell that shows *text*."""
    links: list[str] = []
    if cell.get("hyperlink"):
        links.append(str(cell["hyperlink"]))
    else:
        links.extend(
            str(((run.get("format") or {}).get("link") or {}).get("uri") or "")
            for run in cell.get("textFormatRuns") or []
        )
        links.extend(
            str(((run.get("chip") or {}).get("richLinkProperties") or {}).get("uri") or "")
            for run in cell.get("chipRuns") or []
        )
    different = list(dict.fromkeys(link for link in links if link))
    if not different:
        return Found(link=text)
    if len(different) > 1:
        return Found(
            link=text, fault=f"not clear: its cell holds {len(different)} links; keep one of them"
        )
    return Found(link=different[0])


def most_ranges(tab: str, columns: int) -> int:
    """How many blocks of rows fit into the address of one call."""
    return max(1, MOST_LETTERS // (columns * (len(quote(quoted(tab))) + 32)))


def blocks(rows: Sequence[int], most: int) -> list[list[tuple[int, int]]]:
    """Ascending *rows* as calls of at most *most* ranges each; rows in between are taken along."""
    calls: list[list[tuple[int, int]]] = []
    for start in range(0, len(rows), MOST_ROWS):
        found = runs(list(rows[start : start + MOST_ROWS]))
        if len(found) > most:
            # Bridge the narrowest gaps, so that as little as possible is fetched in vain.
            gaps = sorted(
                range(1, len(found)), key=lambda place: found[place][0] - found[place - 1][1]
            )
            cut = sorted(gaps[len(found) - most :])
            edges = [0, *cut, len(found)]
            found = [(found[a][0], found[b - 1][1]) for a, b in pairwise(edges)]
        calls.append(found)
    return calls


def cells_of(answer: Mapping[str, Any], gid: int) -> dict[tuple[int, int], Mapping[str, Any]]:
    """(row, column) → cell, of all ranges of a spreadsheets.get answer."""
    found: dict[tuple[int, int], Mapping[str, Any]] = {}
    for sheet in answer.get("sheets") or []:
        if (sheet.get("properties") or {}).get("sheetId", 0) != gid:
            continue
        for data in sheet.get("data") or []:
            top, left = data.get("startRow", 0), data.get("startColumn", 0)
            for row, line in enumerate(data.get("rowData") or [], top):
                for column, cell in enumerate(line.get("values") or [], left):
                    found[row, column] = cell
    return found
