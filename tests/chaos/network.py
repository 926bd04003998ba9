"""The way from one party to the relay: it fails as the seed says, and tells what it carried.

It speaks HTTP/1.1 as our clients and gunicorn do: requests one after the other, bodies with a
length. What the relay answered is told even when its caller never hears of it.
"""

import json
import select
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from tests.chaos.history import History
from tests.chaos.plan import Fate, Fault, fate_of

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: closing sends RST, not FIN
_PATIENCE_SECONDS = 60.0
FINAL = frozenset({"done", "failed", "invalid", "skipped", "canceled", "expired"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it came: *raw* is what travels."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    raw: bytes

    @property
    def path(self) -> str:
        """Without its query, and without the id of one job: what kind of request it is."""
        path = self.target.partition("?")[0]
        parts = path.split("/")
        if parts[:3] == ["", "v1", "jobs"] and len(parts) > 3:
            parts[3] = "{id}"
        return "/".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the relay said."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    is_last: bool

    @property
    def raw(self) -> bytes:
        head = "".join(
            f"{name}: {value}\r\n"
            for name, value in self.headers
            if name.lower() not in ("transfer-encoding", "content-length")
        )
        length = f"Content-Length: {len(self.body)}\r\n"
        return f"HTTP/1.1 {self.status} -\r\n{head}{length}\r\n".encode("latin-1") + self.body


class Cut(Exception):
    """The connection is no more."""


class Way:
    """One party's network. ``cut`` and ``mend`` it; ``calm`` ends its faults for good."""

    def __init__(
        self, upstream: tuple[str, int], *, party: str, seed: int, history: History
    ) -> None:
        self._upstream = upstream
        self.party = party
        self._seed = seed
        self._history = history
        self._lock = threading.Lock()
        self._numbers: Counter[str] = Counter()
        self._clients: set[socket.socket] = set()
        self._is_cut = False
        self._is_calm = False
        self.faults: Counter[Fault] = Counter()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True, name=f"way of {party}").start()

    def cut(self) -> None:
        """Reset every connection, and every new one."""
        with self._lock:
            self._is_cut = True
            clients = list(self._clients)
        for client in clients:
            _reset(client)

    def mend(self) -> None:
        """Let connections through again."""
        self._is_cut = False

    def calm(self) -> None:
        """Carry everything faithfully from now on."""
        self._is_calm = True
        self.mend()

    def close(self) -> None:
        """No more of it."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    # ---- carrying

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with self._lock:
            self._clients.add(client)
        server: socket.socket | None = None
        try:
            with client.makefile("rb") as reader:
                while not self._is_cut and (request := _read_request(reader)) is not None:
                    if server is None:
                        server = self._connect()
                    if not self._exchange(client, server, request):
                        server.close()
                        server = None
        except (Cut, OSError, HTTPException, ValueError):
            _reset(client)
        finally:
            with self._lock:
                self._clients.discard(client)
            for end in (client, server):
                if end is not None:
                    end.close()

    def _connect(self) -> socket.socket:
        server = socket.create_connection(self._upstream, timeout=_PATIENCE_SECONDS)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return server

    def _exchange(self, client: socket.socket, server: socket.socket, request: Request) -> bool:
        """One request and its answer. Whether the connection to the relay may be used again."""
        fate = self._fate(request)
        if fate.fault is Fault.LOST_REQUEST:
            raise Cut
        if fate.fault is Fault.LATE:
            time.sleep(fate.seconds)
        if fate.fault is Fault.DOUBLED:
            answer = self._double(client, server, request, second=fate.second)
        else:
            server.sendall(request.raw)
            answer = self._heard(request, _answer_of(client, server, request))
        if fate.fault is Fault.LOST_REPLY or self._is_cut:
            raise Cut
        if fate.fault is Fault.TORN_REPLY:
            client.sendall(answer.raw[: len(answer.raw) // 2])
            raise Cut
        client.sendall(answer.raw)
        if answer.is_last:
            raise Cut
        return True

    def _fate(self, request: Request) -> Fate:
        with self._lock:
            self._numbers[request.path] += 1
            number = self._numbers[request.path]
        fate = Fate() if self._is_calm else fate_of(self._seed, self.party, request.path, number)
        if fate.fault is not Fault.NONE:
            self.faults[fate.fault] += 1
            self._history.say(
                "fault", party=self.party, path=request.path, number=number, fault=fate.fault
            )
        return fate

    def _double(
        self, client: socket.socket, server: socket.socket, request: Request, *, second: bool
    ) -> Answer:
        with self._connect() as twin:
            server.sendall(request.raw)
            twin.sendall(request.raw)
            first = self._heard(request, _answer_of(client, server, request))
            other = self._heard(request, _answer_of(client, twin, request))
        self._history.say(
            "doubled",
            party=self.party,
            path=request.path,
            statuses=sorted((first.status, other.status)),
        )
        return other if second else first

    # ---- telling

    def _heard(self, request: Request, answer: Answer) -> Answer:
        is_json = any(
            name.lower() == "content-type" and "json" in value for name, value in answer.headers
        )
        said = json.loads(answer.body) if is_json else {}
        if answer.status >= 400:
            self._say("refused", path=request.path, status=answer.status, code=said.get("code"))
            if answer.status == 404 and request.path == "/v1/jobs/{id}":
                self._say("missed", job=request.target.partition("?")[0].split("/")[3])
            return answer
        asked = json.loads(request.body) if request.body else {}
        for ev, facts in _told(request, asked, answer, said):
            self._say(ev, **facts)
        return answer

    def _say(self, ev: str, **facts: object) -> None:
        self._history.say(ev, party=self.party, **facts)


def _told(
    request: Request, asked: dict[str, Any], answer: Answer, said: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a request and its good answer mean."""
    match request.method, request.path:
        case "POST", "/v1/jobs":
            yield from _admissions(request, asked, answer, said)
        case "POST", "/v1/agent/lease":
            for lease in said["leases"]:
                names = ("job_id", "lease_id", "kind", "delivery")
                yield "leased", {name: lease[name] for name in names}
        case "POST", "/v1/agent/results":
            for report, each in zip(asked["results"], said["results"], strict=True):
                yield (
                    "reported",
                    {
                        "job_id": report["job_id"],
                        "lease_id": report["lease_id"],
                        "state": each["state"],
                        "conclusion": report["outcome"]["conclusion"],
                        "final_url": report["outcome"].get("final_url"),
                    },
                )
        case "POST", "/v1/agent/writebacks":
            for each in said["writebacks"]:
                yield "confirmed", {"job_id": each["job_id"], "writeback": each["writeback"]}
        case "POST", "/v1/jobs/{id}/cancel":
            yield "canceled", {"job_id": said["job_id"]}
            yield "seen", _view(said)
        case "GET", "/v1/jobs" | "/v1/jobs/{id}":
            for item in said.get("items", [said]):
                if item["status"] in FINAL:
                    yield "seen", _view(item)
        case _:
            return


def _admissions(
    request: Request, asked: dict[str, Any], answer: Answer, said: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    headers = {name.lower(): value for name, value in answer.headers}
    for index, (job, each) in enumerate(zip(asked["jobs"], said["jobs"], strict=True)):
        yield (
            "admitted",
            {
                "job_id": each["job_id"],
                "disposition": each["disposition"],
                "key": request.headers["idempotency-key"],
                "index": index,
                "is_replay": headers.get("idempotent-replayed") == "true",
                "source_id": job.get("source_id"),
                "row_id": job.get("row_id"),
                "link": job["tracking_url"],
            },
        )


def _view(job: dict[str, Any]) -> dict[str, Any]:
    names = ("job_id", "status", "conclusion", "final_url", "checked_at", "device_id", "attempts")
    return {name: job[name] for name in names}


def _read_request(reader: Any) -> Request | None:
    line = reader.readline()
    if not line:
        return None
    raw, headers = line, {}
    while (header := reader.readline()) not in (b"\r\n", b""):
        raw += header
        name, _, value = header.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    body = reader.read(int(headers.get("content-length", "0")))
    method, target, _ = line.decode("latin-1").split(" ", 2)
    return Request(
        method=method, target=target, headers=headers, body=body, raw=raw + b"\r\n" + body
    )


def _answer_of(client: socket.socket, server: socket.socket, request: Request) -> Answer:
    """Wait for the relay's answer, but not for a caller who has gone. Raises Cut."""
    waiting = select.poll()
    waiting.register(server, select.POLLIN)
    waiting.register(client, select.POLLIN)
    ready = dict(waiting.poll(_PATIENCE_SECONDS * 1000))
    if server.fileno() not in ready:
        raise Cut
    with _response(server, request.method) as response:
        return Answer(
            status=response.status,
            headers=response.getheaders(),
            body=response.read(),
            is_last=response.will_close,
        )


@contextmanager
def _response(server: socket.socket, method: str) -> Iterator[HTTPResponse]:
    response = HTTPResponse(server, method=method)
    try:
        response.begin()
        yield response
    finally:
        response.close()


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        end.shutdown(socket.SHUT_RD)


def address_of(url: str) -> tuple[str, int]:
    """Host and port."""
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port
