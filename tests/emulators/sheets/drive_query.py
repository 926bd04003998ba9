"""The `q` of files.list: `name = 'x' and mimeType="..." and 'folder' in parents`."""

import re
from collections.abc import Callable

from tests.emulators.sheets.errors import DriveError
from tests.emulators.sheets.store import SPREADSHEET, File

_STRING = r"""(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")"""
_TERM = re.compile(
    rf"\s*(?P<not>not\s+)?(?:(?P<field>\w+)\s*(?P<op>=|!=|contains|<=|>=|<|>)\s*"
    rf"(?:{_STRING}|(?P<word>true|false))|{_STRING}\s+in\s+(?P<list>\w+))\s*"
)


def matcher(q: str) -> Callable[[File], bool]:
    """Terms joined by `and`; `or` binds looser. Brackets are not read."""
    alternatives = [[_term(part) for part in re.split(r"\sand\s", a)] for a in _split_or(q)]
    return lambda file: any(all(term(file) for term in terms) for terms in alternatives)


def _split_or(q: str) -> list[str]:
    return re.split(r"\sor\s", q.strip().removeprefix("(").removesuffix(")"))


def _term(text: str) -> Callable[[File], bool]:
    match = _TERM.fullmatch(text)
    if match is None:
        raise DriveError(400, "invalid", "Invalid Value", location="q")
    strings = [g for g in match.groups()[3:5] + match.groups()[6:8] if g is not None]
    word = match["word"]
    value = re.sub(r"\\(.)", r"\1", strings[0]) if strings else word or ""
    negated = bool(match["not"])
    if match["list"]:
        inside = _lists(match["list"], value)
        return lambda file: inside(file) != negated
    holds = _field(match["field"], match["op"], value)
    return lambda file: holds(file) != negated


def _lists(name: str, value: str) -> Callable[[File], bool]:
    if name == "parents":
        return lambda file: value in (*file.parents, "root")
    wanted = {"writers": ("writer", "owner"), "owners": ("owner",)}.get(name)
    return lambda file: file.role_of(value) in wanted if wanted else file.role_of(value) is not None


def _field(name: str, op: str, value: str) -> Callable[[File], bool]:
    from tests.emulators.sheets.drive_files import moment

    if name == "trashed":
        return lambda file: file.trashed == (value == "true")
    if name in ("modifiedTime", "createdTime"):

        def compare(file: File) -> bool:
            stamp = moment(file.modified if name == "modifiedTime" else file.created)
            return {
                "<": stamp < value,
                ">": stamp > value,
                "<=": stamp <= value,
                ">=": stamp >= value,
                "=": stamp == value,
            }.get(op, stamp != value)

        return compare

    def text(file: File) -> str:
        return {"name": file.title, "mimeType": SPREADSHEET}.get(name, "")

    if op == "contains":
        return lambda file: value.casefold() in text(file).casefold()
    return lambda file: (text(file) == value) == (op == "=")
