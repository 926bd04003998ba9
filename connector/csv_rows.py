"""Records of a CSV file as rows."""

from collections.abc import Sequence
from typing import Final

from connector.csv_reader import Format, readable
from connector.rows import Targets
from connector.source import Row
from connector.tables.formulas import restore
from connector.tables.tokenizer import split, value

_READ: Final = (
    "row_id", "tracking_url", "offer_name", "expected_domain", "source_mode", "check_status",
    "final_url", "conclusion", "last_checked",
)  # fmt: skip


class Rows:
    """Makes rows of records' texts."""

    def __init__(self, found: Format) -> None:
        at = found.columns.at
        self._header_at = found.header_at
        self._delimiter = found.delimiter
        # Short records are padded with blanks to this; the last is blank in all of them, and
        # stands for the columns that this file does not have.
        self._width = max(at.values()) + 2
        self._at = [at.get(name, -1) for name in _READ]
        self._row_id = at.get("row_id")
        self._link = at["tracking_url"]
        self._last_checked = at.get("last_checked")

    def row(self, number: int, raw: str) -> Row | None:
        """One row; None for a blank line, and for one of nothing but delimiters."""
        record = split(raw, self._delimiter)
        if record.is_blank:
            return None
        cells = record.cells[: self._width - 1]
        cells += [""] * (self._width - len(cells))
        found = [cells[index] for index in self._at]
        if '"' in raw:
            found = [value(cell) for cell in found]
        if not any(found) and not any(value(cell).strip() for cell in record.cells):
            return None
        fault = "" if raw.isascii() else _mend(found)
        (row_id, link, offer_name, expected, mode, status, final_url, conclusion, checked) = found
        return Row(
            row_id=row_id.strip(),
            tracking_url=link.strip(),
            offer_name=offer_name,
            expected_domain=expected.strip(),
            source_mode=mode,
            check_status=status,
            final_url=restore(final_url),
            conclusion=conclusion,
            last_checked=checked,
            where=f"row {number + 1}",
            fault=fault,
        )

    def show(self, start: int, raws: list[str], targets: Targets) -> None:
        """Let the rows that *targets* looks for pass by."""
        at = self._row_id
        if at is None:
            return
        wanted, delimiter = targets.found, self._delimiter
        for number, raw in enumerate(raws, start):
            has_quotes = '"' in raw
            # What is cut off here is not asked for: the cells behind the id.
            cells = split(raw, delimiter).cells if has_quotes else raw.split(delimiter, at + 1)
            if len(cells) <= at:
                continue
            row_id = value(cells[at]).strip() if has_quotes else cells[at].strip()
            if row_id in wanted and number > self._header_at:
                cells = split(raw, delimiter).cells
                link, checked = _cell(cells, self._link), _cell(cells, self._last_checked)
                targets.see(row_id, link.strip(), checked, place=number)


def _cell(cells: Sequence[str], index: int | None) -> str:
    return value(cells[index]) if index is not None and index < len(cells) else ""


def _mend(cells: list[str]) -> str:
    """Make *cells* (those of _READ) text, and say what is wrong with them."""
    fault = ""
    for index, text in enumerate(cells):
        if not text.isascii() and (mended := readable(text)) != text:
            fault = f"not valid text (column {_READ[index]}); retype it"
            cells[index] = mended
    return fault
