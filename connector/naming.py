"""What a person may mean by a file's path, a sheet's address, its id or its title. Pure."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlsplit

from connector.errors import NoSuchPlace

_IN_URL: Final = re.compile(r"/spreadsheets/(?:u/\d+/)?d/([A-Za-z0-9_-]+)")
_OLD_URL: Final = re.compile(r"[?&]key=([A-Za-z0-9_-]+)")
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{25,}", re.ASCII)
_GID: Final = re.compile(r"\d{1,10}", re.ASCII)
_FILE: Final = re.compile(r"\.(csv|tsv|tab|txt|xlsx|xlsm|xls|ods)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSheet:
    """A spreadsheet by its *key*; with *gid*, one tab of it."""

    key: str
    gid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedTitle:
    """A spreadsheet by its title."""

    title: str


def sheet_in(text: str) -> NamedSheet | NamedTitle | None:
    """The sheet that *text* names, or None when it rather names a file.

    A title is the last guess: only what looks like neither an address, a key nor a path is one.
    Raises NoSuchPlace for the address of something else.
    """
    text = text.strip()
    if text.casefold().startswith(("http://", "https://")):
        return _by_address(text)
    if _FILE.search(text) or "/" in text or "\\" in text or not text:
        return None
    if _KEY.fullmatch(text):
        return NamedSheet(key=text)
    return NamedTitle(title=text)


def _by_address(text: str) -> NamedSheet:
    found = _IN_URL.search(text) or _OLD_URL.search(text)
    if not found:
        raise NoSuchPlace(
            text, "is no address of a Google Sheet; copy the one that the browser shows"
        )
    try:
        parts = urlsplit(text)
    except ValueError:
        raise NoSuchPlace(text, "is no address; copy the one that the browser shows") from None
    # The tab one looks at stands behind the #; some links carry it in the query as well.
    for place in (parts.fragment, parts.query):
        for gid in parse_qs(place).get("gid", []):
            if _GID.fullmatch(gid):
                return NamedSheet(key=found[1], gid=int(gid))
    return NamedSheet(key=found[1])
