"""All files there are, who may do what with them, and one lock for each."""

import random
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.emulators.sheets.document import Spreadsheet

SPREADSHEET = "application/vnd.google-apps.spreadsheet"
OWNER = "owner@example.com"
ID_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@dataclass
class File:
    """A Drive file that is a spreadsheet."""

    document: Spreadsheet
    created: datetime
    modified: datetime
    permissions: list[dict[str, Any]] = field(default_factory=list)
    parents: list[str] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    trashed: bool = False
    properties: dict[str, Any] = field(default_factory=dict)

    @property
    def file_id(self) -> str:
        return self.document.spreadsheet_id


class Store:
    def __init__(self, seed: int | None = None):
        self.rng = random.Random(seed)
        self.files: dict[str, File] = {}
        self.lock = threading.RLock()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def create(self, title: str, owner: str = OWNER, file_id: str | None = None) -> File:
        with self.lock:
            file_id = file_id or "1" + "".join(self.rng.choices(ID_LETTERS, k=43))
            document = Spreadsheet(file_id, title, rng=random.Random(self.rng.random()))
            moment = self.now()
            made = File(document, moment, moment)
            made.permissions.append(
                {"id": "owner", "type": "user", "role": "owner", "emailAddress": owner}
            )
            self.files[file_id] = made
            return made
