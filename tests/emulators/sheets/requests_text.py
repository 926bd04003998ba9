"""Cells' texts: find and replace, split, trim; duplicates away."""

import re
from collections.abc import Iterator
from typing import Any

from tests.emulators.sheets.batch import Caller, Reply, request
from tests.emulators.sheets.cell import Cell
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.entering import enter
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.protection import check_protection
from tests.emulators.sheets.rendering import Rendering, render
from tests.emulators.sheets.requests_areas import Area, area
from tests.emulators.sheets.requests_sorting import arrange
from tests.emulators.sheets.sheet import Sheet


@request("findReplace")
def find_replace(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    find = body.get("find", "")
    if not find:
        raise ApiError("The string to find must not be empty.")
    targets = scope(document, body)
    pattern, replacement = search(find, body)
    document.recalculate()
    counts = {"values": 0, "formulas": 0, "occurrences": 0}
    rows: set[tuple[int, int]] = set()
    for target in targets:
        for r, c, cell in cells_of(target):
            if cell.formula is not None and not body.get("includeFormulas"):
                continue
            text = shown(cell)
            changed, times = replaced(pattern, replacement, text, body)
            if not times:
                continue
            one = target._replace(r0=r, r1=r + 1, c0=c, c1=c + 1)
            check_protection(document, one.range, caller)
            target.sheet.grid.put(r, c, enter(document, changed, "USER_ENTERED", cell))
            counts["formulas" if cell.formula is not None else "values"] += 1
            counts["occurrences"] += times
            rows.add((target.sheet.sheet_id, r))
    reply = {
        "valuesChanged": counts["values"],
        "formulasChanged": counts["formulas"],
        "rowsChanged": len(rows),
        "sheetsChanged": len({sheet for sheet, _ in rows}),
        "occurrencesChanged": counts["occurrences"],
    }
    return {name: count for name, count in reply.items() if count}


def scope(document: Spreadsheet, body: dict[str, Any]) -> list[Area]:
    if body.get("allSheets"):
        return [whole(sheet) for sheet in document.sheets]
    if "sheetId" in body:
        return [whole(document.sheet(body["sheetId"]))]
    if "range" in body:
        return [area(document, body["range"])]
    raise ApiError("A scope must be specified: one of range, sheetId or allSheets.")


def whole(sheet: Sheet) -> Area:
    return Area(sheet, 0, sheet.grid.row_count, 0, sheet.grid.column_count)


def cells_of(target: Area) -> Iterator[tuple[int, int, Cell]]:
    grid = target.sheet.grid
    for r in range(target.r0, min(target.r1, len(grid.rows))):
        for c, cell in enumerate(grid.row(r)[target.c0 : target.c1], target.c0):
            if cell is not None:
                yield r, c, cell


def shown(cell: Cell) -> str:
    """What is searched: a formula's text, or what the cell shows."""
    return cell.formula if cell.formula is not None else str(render(cell, Rendering()))


def search(find: str, body: dict[str, Any]) -> tuple[re.Pattern[str], str]:
    """The pattern, and the replacement as Python's `re` wants it."""
    replacement = body.get("replacement", "")
    flags = 0 if body.get("matchCase") else re.IGNORECASE
    if not body.get("searchByRegex"):
        return re.compile(re.escape(find), flags), replacement.replace("\\", r"\\")
    try:
        pattern = re.compile(find, flags)
    except re.error:
        raise ApiError(f"Invalid regular expression: {find}") from None
    groups = re.sub(r"\\(.)|\$([0-9]+)", _group, replacement)
    return pattern, groups


def _group(match: re.Match[str]) -> str:
    if match[2] is not None:
        return rf"\g<{match[2]}>"
    return r"\\" if match[1] == "\\" else match[1]


def replaced(
    pattern: re.Pattern[str], replacement: str, text: str, body: dict[str, Any]
) -> tuple[str, int]:
    try:
        if body.get("matchEntireCell"):
            match = pattern.fullmatch(text)
            return (text, 0) if match is None or not text else (match.expand(replacement), 1)
        return pattern.subn(replacement, text)
    except (re.error, IndexError):
        raise ApiError(f"Invalid replacement: {body.get('replacement', '')}") from None


_DELIMITERS = {"COMMA": ",", "SEMICOLON": ";", "PERIOD": ".", "SPACE": " "}


@request("textToColumns")
def text_to_columns(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    target = area(document, body.get("source"))
    if target.width != 1:
        raise ApiError("The source data range must span exactly one column.")
    texts = {r: shown(cell) for r, _, cell in cells_of(target) if not cell.blank}
    delimiter = delimiter_of(body, texts.values())
    grid = target.sheet.grid
    for r, text in texts.items():
        parts = text.split(delimiter) if delimiter else [text]
        width = target.c0 + len(parts)
        if width > grid.column_count:
            grid.column_count = width
            document.check_cell_count()
        for i, part in enumerate(parts):
            before = grid.cell(r, target.c0 + i)
            grid.put(r, target.c0 + i, enter(document, part.strip(), "USER_ENTERED", before))
    return None


def delimiter_of(body: dict[str, Any], texts: Any) -> str:
    kind = body.get("delimiterType", "COMMA")
    if kind == "CUSTOM":
        delimiter: str = body.get("delimiter", "")
        if not delimiter:
            raise ApiError("A delimiter must be specified if delimiterType is CUSTOM.")
        return delimiter
    if kind != "AUTODETECT":
        return _DELIMITERS[kind]
    counted = {d: sum(d in text for text in texts) for d in _DELIMITERS.values()}
    best = max(counted, key=lambda d: counted[d])
    return best if counted[best] else ""


@request("trimWhitespace")
def trim_whitespace(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    target = area(document, body.get("range"))
    changed = 0
    for r, c, cell in cells_of(target):
        if isinstance(cell.value, str) and cell.formula is None:
            trimmed = re.sub(r"[\s\u00a0]+", " ", cell.value).strip()
            if trimmed != cell.value:
                after = cell.but(value=trimmed or None)
                target.sheet.grid.put(r, c, None if after.empty else after)
                changed += 1
    return {"cellsChangedCount": changed} if changed else {}


@request("deleteDuplicates")
def delete_duplicates(document: Spreadsheet, body: dict[str, Any], caller: Caller) -> Reply:
    target = area(document, body.get("range"))
    if any(merge.touches(target.range) for merge in target.sheet.parts.get("merges", ())):
        raise ApiError("You can't remove duplicates in a range that contains merged cells.")
    compared = compared_columns(target, body.get("comparisonColumns", []))
    document.recalculate()
    seen: set[tuple[Any, ...]] = set()
    kept, gone = [], 0
    for r in range(target.r0, min(target.r1, len(target.sheet.grid.rows))):
        key = tuple(_comparable(target.sheet.grid.cell(r, c)) for c in compared)
        if key in seen:
            gone += 1
        else:
            seen.add(key)
            kept.append(r)
    arrange(target, range(target.r0, target.r0 + len(kept)), kept)
    for r in range(target.r0 + len(kept), target.r0 + len(kept) + gone):
        target.sheet.grid.put_row(r, target.c0, [None] * target.width)
    return {"duplicatesRemovedCount": gone} if gone else {}


def compared_columns(target: Area, asked: list[dict[str, Any]]) -> list[int]:
    if not asked:
        return list(range(target.c0, target.c1))
    columns: list[int] = []
    for part in asked:
        start, end = part.get("startIndex", target.c0), part.get("endIndex", target.c1)
        if part.get("dimension", "COLUMNS") != "COLUMNS" or start < target.c0 or end > target.c1:
            raise ApiError("comparisonColumns must be columns within the range.")
        columns += range(start, end)
    return columns


def _comparable(cell: Cell | None) -> Any:
    value = None if cell is None or cell.value == "" else cell.value
    if isinstance(value, bool):
        return ("bool", value)
    return value.casefold() if isinstance(value, str) else value
