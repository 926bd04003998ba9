"""How people name a sheet and a tab: a URL of any of Google's forms, a key, a title."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlsplit

from connector.sheet_errors import BadSheetAddress

_KEY: Final = re.compile(r"[A-Za-z0-9_-]{25,100}", re.ASCII)
_IN_PATH: Final = re.compile(r"/d/([A-Za-z0-9_-]{10,100})(?=/|$)", re.ASCII)
_GID: Final = re.compile(r"[0-9]{1,10}", re.ASCII)
_HOSTS: Final = frozenset(
    {"docs.google.com", "sheets.google.com", "spreadsheets.google.com", "drive.google.com"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetAddress:
    """Either *key* or *title* is set; *gid* is the tab's number where the address names it."""

    key: str = ""
    title: str = ""
    gid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TabName:
    """A tab as a person names it: by number, by title, or (a title of digits) by either."""

    gid: int | None = None
    title: str = ""


def parse_address(text: str) -> SheetAddress:
    """The sheet that *text* names. Raises BadSheetAddress."""
    text = text.strip()
    if not text:
        raise BadSheetAddress(text, "it is blank")
    if "://" in text:
        return _of_url(text)
    if _KEY.fullmatch(text) and re.search(r"[0-9_-]|[a-z][A-Z]", text):
        return SheetAddress(key=text)
    return SheetAddress(title=text)


def parse_tab(text: str) -> TabName | None:
    """The tab that *text* names, or None where it is blank."""
    text = text.strip()
    if not text:
        return None
    number = text.removeprefix("gid=").removeprefix("#gid=")
    if _GID.fullmatch(number):
        return TabName(gid=int(number), title=text)
    return TabName(title=text)


def _of_url(text: str) -> SheetAddress:
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError as error:
        raise BadSheetAddress(text, str(error)) from error
    if host not in _HOSTS:
        raise BadSheetAddress(text, "its host is not docs.google.com")
    query = parse_qs(parts.query)
    found = _IN_PATH.search(parts.path)
    if "/d/e/" in parts.path:
        raise BadSheetAddress(
            text, "it is the address of a published copy; copy the one in the editor's address bar"
        )
    key = found[1] if found else (query.get("key") or query.get("id") or [""])[0]
    if not key:
        raise BadSheetAddress(text, "there is no /spreadsheets/d/KEY in it")
    for part in (parts.fragment, parts.query):
        for gid in parse_qs(part).get("gid", []):
            if _GID.fullmatch(gid):
                return SheetAddress(key=key, gid=int(gid))
    return SheetAddress(key=key)
