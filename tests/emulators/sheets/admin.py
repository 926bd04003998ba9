"""The emulator's own routes under /_admin: seeding, dumping, sharing, failing, counting."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from tests.emulators.sheets import people, seeding
from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.rendering import Rendering
from tests.emulators.sheets.server import Answer, Request
from tests.emulators.sheets.store import OWNER

if TYPE_CHECKING:
    from tests.emulators.sheets.emulator import Emulator


class Admin:
    def __init__(self, emulator: "Emulator"):
        self.emulator = emulator
        file = r"/_admin/files/([^/]+)"
        account = r"/_admin/accounts/([^/]+)"
        self.routes: list[tuple[str, str, Callable[..., Any]]] = [
            ("POST", r"/_admin/files", self.make),
            ("GET", r"/_admin/files", self.files),
            ("GET", file, self.dump),
            ("POST", file + "/edits", self.edit),
            ("POST", file + "/share", self.share),
            ("POST", r"/_admin/accounts", self.account),
            ("POST", account + "/revoke", self.revoke),
            ("POST", account + "/expire", self.expire),
            ("POST", r"/_admin/faults", self.add_fault),
            ("GET", r"/_admin/faults", self.faults),
            ("DELETE", r"/_admin/faults", self.clear_faults),
            ("GET", r"/_admin/log", self.log),
            ("DELETE", r"/_admin/log", self.clear_log),
            ("PUT", r"/_admin/quota", self.quota),
            ("PUT", r"/_admin/login", self.login),
            ("POST", r"/_admin/clock", self.clock),
            ("POST", r"/_admin/reset", self.reset),
        ]

    def __call__(self, request: Request) -> Answer:
        for verb, pattern, handler in self.routes:
            match = re.fullmatch(pattern, request.path)
            if match and verb == request.method:
                try:
                    body = json.loads(request.body or b"{}")
                    args = [unquote(group) for group in match.groups()]
                    return Answer.json(handler(body, dict(request.query), *args))
                except (ApiError, ValueError, KeyError, TypeError) as wrong:
                    return Answer.json({"error": f"{type(wrong).__name__}: {wrong}"}, 400)
        return Answer.json({"error": f"no admin route {request.method} {request.path}"}, 404)

    def make(self, body: dict[str, Any], query: dict[str, str]) -> Any:
        """{"title", "rows" or "tabs", "file_id", "owner", "share": {email: role}}"""
        file = self.emulator.new(
            body.get("title", "Links"),
            body.get("rows"),
            tabs=body.get("tabs"),
            file_id=body.get("file_id"),
            owner=body.get("owner", OWNER),
            share=body.get("share"),
        )
        return {"file_id": file.file_id, "url": self.emulator.sheet_url(file)}

    def files(self, body: dict[str, Any], query: dict[str, str]) -> Any:
        return [
            {"file_id": f.file_id, "title": f.title, "permissions": f.permissions}
            for f in self.emulator.store.newest_first()
        ]

    def dump(self, body: dict[str, Any], query: dict[str, str], file_id: str) -> Any:
        file = self.emulator.file(file_id)
        with file.lock:
            return seeding.dump(file.document, Rendering(query.get("values", "FORMATTED_VALUE")))

    def edit(self, body: dict[str, Any], query: dict[str, str], file_id: str) -> Any:
        """{"edits": [...]}: see people.edit."""
        file = self.emulator.file(file_id)
        with file.lock:
            people.edit(file.document, body["edits"])
        return {}

    def share(self, body: dict[str, Any], query: dict[str, str], file_id: str) -> Any:
        self.emulator.file(file_id).share(body["email"], body.get("role", "writer"))
        return {}

    def account(self, body: dict[str, Any], query: dict[str, str]) -> Any:
        """{"email", "kind": "service_account" or "user"}: answers the credentials file."""
        if body.get("kind") == "user":
            return self.emulator.accounts.user(body["email"])
        return self.emulator.service_account(body["email"])

    def revoke(self, body: dict[str, Any], query: dict[str, str], email: str) -> Any:
        self.emulator.accounts.revoke(email)
        return {}

    def expire(self, body: dict[str, Any], query: dict[str, str], email: str) -> Any:
        self.emulator.accounts.expire(email)
        return {}

    def add_fault(self, body: dict[str, Any], query: dict[str, str]) -> Any:
        """{"kind", "call", "skip", "times", "seconds", "file_id", "edits"}: see faults.Fault."""
        return asdict(self.emulator.faults.add(**body))

    def faults(self, body: dict[str, Any], query: dict[str, str]) -> Any:
        return [asdict(fault) for fault in self.emulator.faults.pending()]

    def clear_faults(self, body: dict[str, Any], query: dict[str, str]) -> Any:
        self.emulator.faults.clear()
        return {}

    def log(self, body: dict[str, Any], query: dict[str, str]) -> Any:
        return {"counts": self.emulator.log.counts(), "calls": self.emulator.log.json()}

    def clear_log(self, body: dict[str, Any], query: dict[str, str]) -> Any:
        self.emulator.log.clear()
        return {}

    def quota(self, body: dict[str, Any], query: dict[str, str]) -> Any:
        """{"on": true, "per_user": 60, "per_project": 300}"""
        quota = self.emulator.quota
        quota.on = bool(body.get("on", quota.on))
        quota.per_user = int(body.get("per_user", quota.per_user))
        quota.per_project = int(body.get("per_project", quota.per_project))
        return {"on": quota.on, "per_user": quota.per_user, "per_project": quota.per_project}

    def login(self, body: dict[str, Any], query: dict[str, str]) -> Any:
        """{"strict": true}: refuse calls without one of our tokens."""
        self.emulator.accounts.strict = bool(body["strict"])
        return {}

    def clock(self, body: dict[str, Any], query: dict[str, str]) -> Any:
        self.emulator.clock.advance(float(body["advance"]))
        return {"now": self.emulator.clock()}

    def reset(self, body: dict[str, Any], query: dict[str, str]) -> Any:
        """Forget all files, faults and the log; accounts stay."""
        self.emulator.store.files.clear()
        self.emulator.faults.clear()
        self.emulator.log.clear()
        return {}
