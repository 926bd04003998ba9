"""All files there are, who may do what with them, and one lock for each."""

import random
import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.emulators.sheets.clock import Clock
from tests.emulators.sheets.document import Spreadsheet

SPREADSHEET = "application/vnd.google-apps.spreadsheet"
FOLDER = "application/vnd.google-apps.folder"
OWNER = "owner@example.com"
ROLES = ("reader", "commenter", "writer", "fileOrganizer", "organizer", "owner")
_ID_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@dataclass
class File:
    """A Drive file that is a spreadsheet. `extra` holds what Drive keeps beside (description)."""

    document: Spreadsheet
    owner: str
    created: datetime
    modified: datetime
    permissions: list[dict[str, Any]] = field(default_factory=list)
    comments: list[dict[str, Any]] = field(default_factory=list)
    parents: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    trashed: bool = False

    @property
    def file_id(self) -> str:
        return self.document.spreadsheet_id

    @property
    def title(self) -> str:
        return str(self.document.properties["title"])

    def role_of(self, email: str | None) -> str | None:
        """The strongest role a user has here; None (no login) has what everybody has."""
        found = [
            p["role"]
            for p in self.permissions
            if p["type"] == "anyone"
            or (email is not None and p.get("emailAddress", "").casefold() == email.casefold())
            or (
                p["type"] == "domain"
                and email is not None
                and email.casefold().endswith("@" + p.get("domain", "").casefold())
            )
        ]
        return max(found, key=ROLES.index, default=None)

    def share(self, email: str, role: str) -> None:
        """Give a user a role, in place of the one they had; "" takes it away."""
        self.permissions = [p for p in self.permissions if p.get("emailAddress") != email]
        if role:
            self.permissions.append(
                {
                    "id": permission_id(email),
                    "type": "user",
                    "role": role,
                    **person(email),
                }
            )


def person(email: str) -> dict[str, Any]:
    """What a permission says of a user: a service account has no other name."""
    own = email.endswith(".gserviceaccount.com")
    return {
        "emailAddress": email,
        "displayName": email if own else email.partition("@")[0],
        "deleted": False,
        "pendingOwner": False,
    }


def permission_id(name: str) -> str:
    """Drive's permission ids are twenty digits that are the same wherever the user is."""
    return str(random.Random(name.casefold()).randrange(10**19, 10**20))


class Store:
    def __init__(self, clock: Clock, seed: int | None = None):
        self.clock = clock
        self.rng = random.Random(seed)
        self.files: dict[str, File] = {}
        self.lock = threading.RLock()
        self.root = "0A" + self.letters(14) + "9PVA"

    def letters(self, count: int) -> str:
        return "".join(self.rng.choices(_ID_LETTERS, k=count))

    def create(self, title: str, owner: str = OWNER, file_id: str | None = None) -> File:
        with self.lock:
            document = Spreadsheet(
                file_id or "1" + self.letters(43), title, rng=random.Random(self.rng.random())
            )
            return self.adopt(document, owner)

    def adopt(self, document: Spreadsheet, owner: str) -> File:
        """Keep a document as a file of its own."""
        with self.lock:
            moment = self.clock.now()
            made = File(document, owner, moment, moment, parents=[self.root])
            made.share(owner, "owner")
            self.files[made.file_id] = made
            return made

    def copy(self, file: File, title: str, owner: str) -> File:
        with self.lock:
            document = file.document.copy()
            document.spreadsheet_id = "1" + self.letters(43)
            document.rng = random.Random(self.rng.random())
            document.properties["title"] = title
            return self.adopt(document, owner)

    def find(self, file_id: str) -> File | None:
        with self.lock:
            return self.files.get(file_id)

    def delete(self, file_id: str) -> None:
        with self.lock:
            self.files.pop(file_id, None)

    def newest_first(self) -> list[File]:
        with self.lock:
            return sorted(self.files.values(), key=lambda f: f.modified, reverse=True)
