"""Which handler keeps which v4 route. Handlers read the request first and ask for the document
then, so that a bad body is refused before an unknown file, as Google does it."""

import importlib
import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import unquote

from tests.emulators import sheets as package
from tests.emulators.sheets.batch import Caller
from tests.emulators.sheets.document import Spreadsheet
from tests.emulators.sheets.errors import forbidden, not_found
from tests.emulators.sheets.identity import Identity
from tests.emulators.sheets.server import Request
from tests.emulators.sheets.store import ROLES, File, Store


@dataclass
class Call:
    """One call of a route: `args` are the groups of its pattern, decoded."""

    store: Store
    request: Request
    route: "Route"
    args: tuple[str, ...]
    identity: Identity
    file: File | None

    @property
    def document(self) -> Spreadsheet:
        """The document, if it is there and this caller may read (or write) it."""
        if self.file is None:
            raise not_found()
        needed = "writer" if self.route.writes else "reader"
        if not allowed(self.file, self.identity, needed):
            raise forbidden()
        return self.file.document

    @property
    def caller(self) -> Caller:
        owner = self.file is not None and (
            self.identity.everything or self.file.role_of(self.identity.email) == "owner"
        )
        return Caller(self.identity.email or "", owner)


def allowed(file: File, identity: Identity, needed: str) -> bool:
    if identity.everything and not file.extra.get("private"):
        return True
    role = file.role_of(identity.email)
    return role is not None and ROLES.index(role) >= ROLES.index(needed)


Handler = Callable[[Call], Any]


@dataclass(frozen=True)
class Route:
    name: str  # "values.batchUpdate": what faults and the log call it
    verb: str
    pattern: re.Pattern[str]  # of what follows the spreadsheet's id
    handler: Handler
    writes: bool  # needs the right to write
    counts: str  # "read" or "write": which quota it uses


_ROUTES: list[Route] = []


def route(
    name: str, verb: str, pattern: str, *, writes: bool | None = None, counts: str | None = None
) -> Callable[[Handler], Handler]:
    """Keep a route: `@route("values.get", "GET", "/values/(.+)")` over `def get(call) -> answer`.

    The pattern matches what follows `/v4/spreadsheets/{id}`, still encoded.
    """
    writing = verb != "GET" if writes is None else writes

    def keep(handler: Handler) -> Handler:
        counted = counts or ("write" if writing else "read")
        _ROUTES.append(Route(name, verb, re.compile(pattern + r"\Z"), handler, writing, counted))
        return handler

    return keep


@cache
def routes() -> list[Route]:
    """All routes, out of the modules routes_*.py of this folder."""
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith("routes_"):
            importlib.import_module(f"{package.__name__}.{module.name}")
    return _ROUTES


_HEAD = re.compile(r"/v4/spreadsheets(?:/([^/:]+)(.*))?\Z", re.DOTALL)


def find(request: Request) -> tuple[Route, str, tuple[str, ...]] | None:
    """The route of a request, the spreadsheet's id and the decoded groups."""
    head = _HEAD.match(request.path)
    if head is None:
        return None
    file_id, rest = unquote(head.group(1) or ""), head.group(2) or ""
    for known in routes():
        if known.verb == request.method and bool(file_id) == (known.name != "spreadsheets.create"):
            match = known.pattern.match(rest)
            if match:
                return known, file_id, tuple(unquote(group) for group in match.groups())
    return None
