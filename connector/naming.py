"""What a person may mean: a file's path, or a sheet's address, key or title. Pure."""

import re
from typing import Final

_KNOWN: Final = re.compile(r"\.(csv|tsv|tab|txt|xlsx|xlsm|xls|ods)$", re.IGNORECASE)
_PATHS: Final = ("/", "./", "../", "~", ".\\", "..\\")


def names_file(text: str, *, exists: bool) -> bool:
    """Whether *text* names a file rather than a sheet; *exists*: there is a file of that name.

    Titles are free text: only what looks like a path, or is one, is not taken for a title.
    """
    text = text.strip()
    if is_address(text):
        return False
    return exists or bool(_KNOWN.search(text)) or text.startswith(_PATHS) or text[1:3] == ":\\"


def is_address(text: str) -> bool:
    """Whether *text* is an address of the web."""
    return text.strip().casefold().startswith(("http://", "https://"))
