"""The emulator as one object: its files, its server, its addresses."""

from typing import Any

from tests.emulators.sheets.api import SheetsApi
from tests.emulators.sheets.server import Answer, Request, Server
from tests.emulators.sheets.store import File, Store


class Emulator:
    def __init__(self, port: int = 0):
        self.store = Store()
        self.sheets = SheetsApi(self.store)
        self.server = Server(port, self.answer)

    @property
    def url(self) -> str:
        return self.server.url

    def answer(self, request: Request) -> Answer:
        if request.path.startswith("/v4/spreadsheets"):
            return self.sheets(request)
        return Answer.json({"error": {"code": 404, "message": "Not Found"}}, 404)

    def start(self) -> None:
        self.server.start()

    def stop(self) -> None:
        self.server.stop()

    def new(self, title: str = "Links", rows: list[list[Any]] | None = None) -> File:
        """A spreadsheet with rows in its first tab, as if they had been written RAW."""
        from tests.emulators.sheets.cell import Cell

        file = self.store.create(title)
        if rows:
            grid = file.document.sheets[0].grid
            grid.row_count = max(grid.row_count, len(rows))
            grid.column_count = max(grid.column_count, *(len(r) for r in rows))
            for i, row in enumerate(rows):
                grid.put_row(i, 0, [None if v in (None, "") else Cell(v) for v in row])
        return file
