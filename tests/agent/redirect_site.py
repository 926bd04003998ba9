"""A website that says, byte for byte, what a case of cases/redirects.json tells it to."""

import contextlib
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Self

_REASONS = {
    200: "OK",
    201: "Created",
    204: "No Content",
    301: "Moved",
    302: "Found",
    304: "Not Modified",
}


def spelled(value: Any) -> str:
    """A text, or ``{"repeat", "count", "prefix", "suffix"}`` written out."""
    if isinstance(value, dict):
        repeated = value.get("repeat", "") * value.get("count", 1)
        return str(value.get("prefix", "")) + repeated + str(value.get("suffix", ""))
    return str(value)


@dataclass
class Site:
    """One case's servers: every place (A, B, C, S …) is a port of its own."""

    case: dict[str, Any]
    contexts: dict[str, ssl.SSLContext]
    places: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    _sockets: list[socket.socket] = field(default_factory=list)
    _open: list[socket.socket] = field(default_factory=list)
    _count: int = 0

    def __enter__(self) -> Self:
        plain = self._listen("127.0.0.1", None)
        other = self._listen("127.0.0.2", None)
        self.places["A"] = f"http://127.0.0.1:{plain}"
        self.places["B"] = f"http://localhost:{plain}"
        self.places["C"] = f"http://127.0.0.2:{other}"
        for name, context in self.contexts.items():
            self.places[name] = f"https://localhost:{self._listen('127.0.0.1', context)}"
        dead = socket.socket()
        dead.bind(("127.0.0.1", 0))
        self._sockets.append(dead)
        self.places["DEAD"] = f"http://127.0.0.1:{dead.getsockname()[1]}"
        mute = socket.socket()
        mute.bind(("127.0.0.1", 0))
        mute.listen(16)
        self._sockets.append(mute)
        self.places["MUTE"] = f"http://127.0.0.1:{mute.getsockname()[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        for each in (*self._sockets, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def fill(self, text: str) -> str:
        """*text* with this site's addresses in its placeholders."""
        for name, base in self.places.items():
            text = text.replace("{" + name + "}", base)
            text = text.replace("{" + name + "host}", base.split("://")[1])
        return text

    def _listen(self, host: str, context: ssl.SSLContext | None) -> int:
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((host, 0))
        server.listen(64)
        self._sockets.append(server)
        threading.Thread(target=self._accept, args=(server, context), daemon=True).start()
        return int(server.getsockname()[1])

    def _accept(self, server: socket.socket, context: ssl.SSLContext | None) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection, context), daemon=True).start()

    def _serve(self, connection: socket.socket, context: ssl.SSLContext | None) -> None:
        try:
            if context is not None:
                connection = context.wrap_socket(connection, server_side=True)
            self._open.append(connection)
            connection.settimeout(30)
            while self._answer(connection, context):
                pass
        except (OSError, ValueError):
            pass
        finally:
            with contextlib.suppress(OSError):
                connection.close()

    def _answer(self, connection: socket.socket, context: ssl.SSLContext | None) -> bool:
        head = b""
        while b"\r\n\r\n" not in head:
            block = connection.recv(65536)
            if not block:
                return False
            head += block
        first, *lines = head.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
        path = first.split(" ")[1]
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        self.asked.append(first)
        hop = self._hop(path, headers)
        if hop is None:
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return True
        self._check(hop, headers)
        return self._say(connection, hop)

    def _hop(self, path: str, headers: dict[str, str]) -> dict[str, Any] | None:
        host = headers.get("host", "")
        for hop in self.case["hops"]:
            place = self.places[hop["at"]].split("://")[1]
            if self.fill(hop["path"]) in (path, "*") and place == host:
                return dict(hop)
        return None

    def _check(self, hop: dict[str, Any], headers: dict[str, str]) -> None:
        for name in hop.get("expect_absent", []):
            if name in headers:
                self.faults.append(f"{name} was sent: {headers[name]}")
        if "expect_host" in hop and headers.get("host") != self.fill(hop["expect_host"]):
            self.faults.append(f"Host was {headers.get('host')}")
        if "expect_header" in hop:
            name, value = hop["expect_header"]
            if headers.get(name) != value:
                self.faults.append(f"{name} was {headers.get(name)!r}, not {value!r}")
        gate = hop.get("unless_cookie")
        if gate and gate in headers.get("cookie", ""):
            hop |= {"status": 200, "headers": [], "body": "ok"}

    def _say(self, connection: socket.socket, hop: dict[str, Any]) -> bool:
        self._count += 1
        if hop.get("close"):
            return False
        if hop.get("reset"):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if "raw" in hop:
            connection.sendall(self.fill(spelled(hop["raw"])).encode("latin-1"))
            return False
        if hop.get("early"):
            connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </x.css>; rel=preload\r\n\r\n")
        body = spelled(hop.get("body", "")).encode()
        status = hop["status"]
        reason = hop.get("reason", _REASONS.get(status, "X"))
        lines = [f"{hop.get('proto', 'HTTP/1.1')} {status} {reason}"]
        for name, value in hop["headers"]:
            text = self.fill(spelled(value)).replace("{N}", str(self._count))
            lines.append(f"{name}: {text}")
        raw = [line.encode("utf-8") for line in lines]
        if "raw_location_hex" in hop:
            raw.append(b"Location: " + bytes.fromhex(hop["raw_location_hex"]))
        raw += [f"X-Pad-{n}: {'x' * 20}".encode() for n in range(hop.get("repeat_headers", 0))]
        if hop.get("infinite_body"):
            connection.sendall(b"\r\n".join(raw) + b"\r\n\r\n")
            while True:
                connection.sendall(b"x" * 65536)
        if hop.get("slow_body"):
            connection.sendall(b"\r\n".join(raw) + b"\r\n\r\n")
            for _ in range(200):
                connection.sendall(b"x")
                time.sleep(0.1)
        if "raw_body" in hop:
            body = hop["raw_body"].encode()
        if not hop.get("no_cl") and status not in (204, 304):
            raw.append(b"Content-Length: " + str(len(body)).encode())
        connection.sendall(
            b"\r\n".join(raw) + b"\r\n\r\n" + (b"" if status in (204, 304) else body)
        )
        return hop.get("proto") != "HTTP/1.0"
