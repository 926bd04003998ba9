"""The emulator as one object: files, accounts, quota, faults, a log, and the server before them."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from tests.emulators.sheets import people, seeding
from tests.emulators.sheets.accounts import Accounts, TokenRefused
from tests.emulators.sheets.admin import Admin
from tests.emulators.sheets.api import SheetsApi, no_such_route
from tests.emulators.sheets.clock import Clock
from tests.emulators.sheets.collector import held_back
from tests.emulators.sheets.drive import DriveApi
from tests.emulators.sheets.faults import Faults, refusal
from tests.emulators.sheets.log import Entry, Log
from tests.emulators.sheets.quota import Quota
from tests.emulators.sheets.server import Answer, Request, Server
from tests.emulators.sheets.store import OWNER, File, Store

SERVICE_ACCOUNT = "linkrow@linkrow-test.iam.gserviceaccount.com"


class Emulator:
    """Every part may be used in process while the server runs."""

    def __init__(self, port: int = 0, seed: int | None = None):
        self.clock = Clock()
        self.store = Store(self.clock, seed)
        self.accounts = Accounts(self.clock)
        self.quota = Quota(self.clock)
        self.faults = Faults()
        self.log = Log()
        self.broken: list[str] = []  # faults of the emulator itself; must stay empty
        self.sheets = SheetsApi(self.store, self.accounts, self.quota, self.faults)
        self.drive = DriveApi(self.store, self.accounts, self.faults)
        self.admin = Admin(self)
        self.server = Server(port, self.answer)

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def token_uri(self) -> str:
        return f"{self.url}/token"

    def start(self) -> None:
        self.server.start()

    def stop(self) -> None:
        self.faults.closing.set()
        self.server.stop()

    def answer(self, request: Request) -> Answer:
        with held_back():
            return self._answer(request)

    def _answer(self, request: Request) -> Answer:
        path = request.path
        if path.startswith("/_admin/"):
            return self.admin(request)
        try:
            if path in ("/token", "/oauth2/v4/token"):
                answer = self.token(request)
            elif path.startswith("/v4/"):
                answer = self.sheets(request)
            else:
                answer = self.drive(request) or no_such_route(request)
        except Exception as broken:  # noqa: BLE001
            # A fault of the emulator must not look like Google being out of order.
            text = f"emulator: {type(broken).__name__}: {broken}"
            self._note(request, Answer(500))
            self.broken.append(text)
            return Answer.json({"error": {"code": 500, "message": text, "status": "INTERNAL"}}, 500)
        self._note(request, answer)
        return answer

    def _note(self, request: Request, answer: Answer) -> None:
        self.log.add(
            Entry(
                request.name or "unknown",
                request.method,
                request.path,
                request.file_id,
                0 if answer.lost else answer.status,
                len(request.body),
                len(answer.body),
                self.clock(),
            )
        )

    def token(self, request: Request) -> Answer:
        request.name = "token"
        for fault in self.faults.hitting("token", ""):
            if fault.kind.startswith("timeout"):
                return self.faults.silence(fault.seconds)
            if fault.kind != "slow":
                return refusal(fault.kind, "read")
            self.faults.wait(fault.seconds)
        form = dict(parse_qsl(request.body.decode()))
        try:
            return Answer.json(self.accounts.grant(form, self.token_uri))
        except TokenRefused as refused:
            return Answer.json(refused.body, refused.status)

    # For tests, in process

    def new(
        self,
        title: str = "Links",
        rows: list[list[Any]] | None = None,
        *,
        tabs: list[dict[str, Any]] | None = None,
        file_id: str | None = None,
        owner: str = OWNER,
        share: dict[str, str] | None = None,
    ) -> File:
        """A spreadsheet with rows in its first tab, as if they had been written RAW.

        Shared with the default service account as a writer, unless `share` says with whom.
        """
        file = self.store.create(title, owner, file_id)
        if tabs or rows:
            with held_back():
                seeding.seed(file.document, tabs or [{"title": "Sheet1", "rows": rows}])
        for email, role in ({SERVICE_ACCOUNT: "writer"} if share is None else share).items():
            file.share(email, role)
        return file

    def file(self, file_id: str) -> File:
        found = self.store.find(file_id)
        if found is None:
            raise KeyError(f"no file {file_id}")
        return found

    def rows(self, file: File | str, tab: str | int | None = None) -> list[list[Any]]:
        """The formatted values of a tab (the first, or by title or sheetId)."""
        kept = self.file(file) if isinstance(file, str) else file
        with kept.lock:
            tabs = seeding.dump(kept.document)["tabs"]
        if tab is None:
            return tabs[0]["rows"]  # type: ignore[no-any-return]
        return next(t["rows"] for t in tabs if tab in (t["title"], t["sheet_id"]))  # type: ignore[no-any-return]

    def edit(self, file: File | str, *edits: dict[str, Any]) -> None:
        """Another person's edits, now: `edit(file, {"do": "sort", "column": 0})`."""
        kept = self.file(file) if isinstance(file, str) else file
        with kept.lock:
            people.edit(kept.document, list(edits))
            kept.modified = self.clock.now()

    def sheet_url(self, file: File, gid: int = 0) -> str:
        return f"https://docs.google.com/spreadsheets/d/{file.file_id}/edit#gid={gid}"

    def service_account(self, email: str = SERVICE_ACCOUNT) -> dict[str, Any]:
        return self.accounts.service_account(email, self.token_uri)

    def token_for(self, email: str = SERVICE_ACCOUNT) -> str:
        """An access token, as if a login had just happened."""
        return self.accounts.token_for(email)

    def credentials(self, folder: Path, email: str = SERVICE_ACCOUNT) -> Path:
        """The key file of a service account, written into a folder."""
        path = folder / f"{email.partition('@')[0]}.json"
        path.write_text(json.dumps(self.service_account(email)))
        return path

    def user_credentials(self, folder: Path, email: str) -> Path:
        """An authorized_user file."""
        path = folder / f"{email.partition('@')[0]}.user.json"
        path.write_text(json.dumps(self.accounts.user(email)))
        return path
