"""The `q` of files.list: `name = 'x' and (mimeType="..." or not 'folder' in parents)`."""

import re
from collections.abc import Callable

from tests.emulators.sheets.drive_files import moment
from tests.emulators.sheets.errors import DriveError
from tests.emulators.sheets.store import SPREADSHEET, File

Matcher = Callable[[File], bool]

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(?P<sign>!=|<=|>=|[=<>()])"""
    r"|(?P<word>[A-Za-z]+))\s*",
    re.DOTALL,
)


def matcher(q: str) -> Matcher:
    """A file passes or not; a query that cannot be read is refused as Drive refuses it."""
    tokens, at = [], 0
    while at < len(q):
        match = _TOKEN.match(q, at)
        if match is None:
            raise _invalid()
        kind = match.lastgroup
        assert kind is not None
        tokens.append((kind, match.group(kind)))
        at = match.end()
    reader = _Reader(tokens)
    found = reader.either()
    if reader.at != len(tokens):
        raise _invalid()
    return found


def _invalid() -> DriveError:
    return DriveError(400, "invalid", "Invalid Value", location="q")


class _Reader:
    def __init__(self, tokens: list[tuple[str, str]]):
        self.tokens = tokens
        self.at = 0

    def next(self) -> tuple[str, str]:
        if self.at >= len(self.tokens):
            raise _invalid()
        self.at += 1
        return self.tokens[self.at - 1]

    def word(self, wanted: str) -> bool:
        here = self.tokens[self.at : self.at + 1]
        if here and here[0] in (("word", wanted), ("sign", wanted)):
            self.at += 1
            return True
        return False

    def either(self) -> Matcher:
        parts = [self.both()]
        while self.word("or"):
            parts.append(self.both())
        return lambda file: any(part(file) for part in parts)

    def both(self) -> Matcher:
        parts = [self.one()]
        while self.word("and"):
            parts.append(self.one())
        return lambda file: all(part(file) for part in parts)

    def one(self) -> Matcher:
        if self.word("not"):
            inner = self.one()
            return lambda file: not inner(file)
        if self.word("("):
            inner = self.either()
            if not self.word(")"):
                raise _invalid()
            return inner
        kind, first = self.next()
        if kind == "text":
            if not self.word("in"):
                raise _invalid()
            return _within(self.next()[1], _plain(first))
        _, sign = self.next()
        kind, value = self.next()
        return _field(first, sign, _plain(value) if kind == "text" else value)


def _plain(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted[1:-1], flags=re.DOTALL)


def _within(name: str, value: str) -> Matcher:
    if name == "parents":
        return lambda file: value in (*file.parents, "root")
    wanted = {"writers": ("writer", "owner"), "owners": ("owner",)}.get(name)
    if wanted is None:
        return lambda file: file.role_of(value) is not None
    return lambda file: file.role_of(value) in wanted


_SIGNS = ("=", "!=", "<", ">", "<=", ">=", "contains")


def _field(name: str, sign: str, value: str) -> Matcher:
    if sign == "in" and name == "parents":
        return _within(name, value)  # gspread has it this way round, and Drive takes it
    if sign not in _SIGNS:
        raise _invalid()
    if name == "trashed":
        return lambda file: (file.trashed == (value == "true")) == (sign == "=")
    if name in ("starred", "sharedWithMe"):
        return lambda _: (value == "false") == (sign == "=")
    if name in ("modifiedTime", "createdTime"):
        return lambda file: _compare(
            moment(file.modified if name == "modifiedTime" else file.created), sign, value
        )
    if name not in ("name", "fullText", "mimeType"):
        raise _invalid()
    if sign == "contains":
        return lambda file: value.casefold() in _text(file, name).casefold()
    return lambda file: _compare(_text(file, name), sign, value)


def _text(file: File, name: str) -> str:
    return SPREADSHEET if name == "mimeType" else file.title


def _compare(ours: str, sign: str, value: str) -> bool:
    return {
        "=": ours == value,
        "!=": ours != value,
        "<": ours < value,
        ">": ours > value,
        "<=": ours <= value,
        ">=": ours >= value,
    }[sign]
