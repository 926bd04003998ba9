"""The HTTP side: keep-alive, no Nagle, one write per answer; routes live elsewhere."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from tests.emulators.sheets.errors import ApiError, DriveError

MAX_BODY = 10_485_760


@dataclass
class Request:
    method: str
    path: str  # still percent-encoded
    query: list[tuple[str, str]]
    headers: dict[str, str]  # names in lower case
    body: bytes
    name: str = ""  # of the API method, once it is known
    file_id: str = ""


@dataclass
class Answer:
    status: int
    body: bytes = b""
    content_type: str = "application/json; charset=UTF-8"
    headers: dict[str, str] = field(default_factory=dict)
    lost: bool = False  # hang up without a word

    @classmethod
    def json(cls, content: Any, status: int = 200) -> "Answer":
        return cls(status, json.dumps(content, ensure_ascii=False).encode(errors="replace"))

    @classmethod
    def refused(cls, refused: ApiError | DriveError) -> "Answer":
        return cls.json(refused.body(), refused.code)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, answer: Callable[[Request], Answer]):
        self.answer = answer
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start(self) -> None:
        threading.Thread(
            target=self.serve_forever,
            kwargs={"poll_interval": 0.02},
            name="sheets-emulator",
            daemon=True,
        ).start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is no news."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 20
    server: Server

    def handle_any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        path, _, query = self.path.partition("?")
        answer = self.server.answer(
            Request(
                self.command,
                path,
                parse_qsl(query, keep_blank_values=True),
                {name.lower(): value for name, value in self.headers.items()},
                body,
            )
        )
        if answer.lost:
            self.close_connection = True
            return
        self.send_response(answer.status)
        if answer.status != 204:
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Cache-Control", "private")
            self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

    def version_string(self) -> str:
        return "ESF"

    def log_message(self, *args: Any) -> None:
        pass
