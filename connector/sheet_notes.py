"""What the note on a column's heading says to the people of the sheet."""

from typing import Final

_NOTES: Final = {
    "row_id": "Names this row for good, also when it moves. Do not edit it.",
    "check_status": "valid, failed or skipped. Type paused here to leave the row out.",
    "final_url": "Where the link really landed at the last check.",
    "conclusion": "What was found out about the link, in one word.",
    "error": "Why the link is not all right.",
    "skip_reason": "Why the row was left out.",
    "last_checked": "When the link was last followed (UTC).",
    "ready_for_ads": "TRUE when the last check was valid and recent.",
    "check_ref": "The row_id that these results belong to; Linkrow compares the two. "
    "You may hide this column.",
}


def note_of(name: str) -> str:
    """The note for a column of ours."""
    return f"Linkrow: {_NOTES[name]}" if name in _NOTES else "Linkrow writes here."
