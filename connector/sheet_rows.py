"""A row of a tab as a Row, and which ids cannot be trusted. Pure."""

import re
from collections.abc import Collection, Mapping
from typing import Final

from connector.sheet_links import Found
from connector.sheet_table import Table
from connector.source import Row

_SHORTENED: Final = re.compile(r"[+-]?\d(?:[.,]\d+)?E[+-]?\d+", re.ASCII | re.IGNORECASE)


def row_of(
    table: Table, row: int, *, links: Mapping[int, Found], formula_ids: Collection[int]
) -> Row:
    """What stands in *row*; *links* are those behind labels, *formula_ids* rows with such ids."""
    row_id = table.row_id(row)
    found = links.get(row) or Found(link=table.text(row, "tracking_url").strip())
    return Row(
        row_id=row_id,
        tracking_url=found.link.strip(),
        offer_name=table.text(row, "offer_name"),
        expected_domain=table.text(row, "expected_domain").strip(),
        source_mode=table.text(row, "source_mode"),
        check_status=table.text(row, "check_status"),
        final_url=table.text(row, "final_url"),
        conclusion=table.text(row, "conclusion"),
        last_checked=table.text(row, "last_checked"),
        where=f"row {row + 1}",
        fault=fault_of(row_id, is_formula=row in formula_ids) or found.fault,
    )


def fault_of(row_id: str, *, is_formula: bool = False) -> str:
    """Why an id names no row for good, or blank."""
    if is_formula:
        return (
            "not to be told apart: its row_id is made by a formula and changes with the row; "
            "paste it as a value (Edit > Paste special > Values only)"
        )
    if _SHORTENED.fullmatch(row_id):
        return (
            f"not to be told apart: the sheet shortened its row_id to {row_id}; "
            "format that column as plain text and type it anew"
        )
    return ""
