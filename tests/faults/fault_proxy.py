"""A network that fails as it is told: a TCP proxy on loopback between a client and a server.

It knows of HTTP only where a request line stands, so that a test can name the request whose reply
is to be lost and does not have to hit a moment.
"""

import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

_CHUNK = 65536
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: closing sends RST, not FIN


class Mode(StrEnum):
    """What happens to every connection."""

    PASS = "pass"
    REFUSE = "refuse"  # nobody listens
    BLACKHOLE = "blackhole"  # taken, and nothing ever comes through
    RESET = "reset"  # taken, and cut at once


class Way(StrEnum):
    """Which way bytes go."""

    UP = "up"  # from the client to the server
    DOWN = "down"  # from the server to the client


@dataclass(eq=False)
class Loss:
    """A fault for the next *times* requests of *path*. Wait on *happened* for the last of them."""

    path: str
    way: Way
    times: int = 1
    happened: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Manner:
    """How bytes pass. *cut_after* counts the bytes of a connection that go *cut_way*."""

    mode: Mode = Mode.PASS
    cut_after: int | None = None
    cut_way: Way = Way.DOWN
    latency: float = 0.0
    slice_bytes: int = 0


class _Connection:
    """Both ends of one connection, and the request that is under way on it."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.passed: Counter[Way] = Counter()
        self.doomed: Loss | None = None
        self.begun = b""  # of a request line that is not whole yet
        self.expects_request = True
        self.is_cut = False
        self._lock = threading.Lock()
        self._open_ends = 2

    def reset(self) -> None:
        """Cut both ends as a crash does. The threads that read them close them."""
        with self._lock:
            self.is_cut = True
            if self._open_ends:
                for end in (self.client, self.server):
                    with suppress(OSError):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RD)

    def one_end_is_over(self) -> bool:
        """True for the second of both; then both are closed."""
        with self._lock:
            self._open_ends -= 1
            if self._open_ends:
                return False
            self.client.close()
            self.server.close()
            return True


class FaultProxy:
    """Listens on a port of its own and passes on to *upstream*, until told otherwise.

    *seen* counts requests by path. Requests of a connection must come one after the other, as those
    of every client of ours do.
    """

    def __init__(self, upstream: tuple[str, int]) -> None:
        self._upstream = upstream
        self._manner = _Manner()
        self._losses: list[Loss] = []
        self._live: set[_Connection] = set()
        self._waiting: set[socket.socket] = set()
        self._lock = threading.RLock()
        self._listener: socket.socket | None = None
        self._address = ("127.0.0.1", 0)
        self.seen: Counter[str] = Counter()
        self._listen()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._address[1]}"

    @property
    def address(self) -> tuple[str, int]:
        return self._address

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and cut what is left."""
        self._deafen()
        self.kill_connections()

    # ---- what a test tells it

    def heal(self) -> None:
        """Pass everything on again; losses that did not happen yet will not."""
        with self._lock:
            self._losses.clear()
        self._set(_Manner())

    def refuse(self) -> None:
        """Have nobody listen, and nobody connected."""
        self._set(_Manner(mode=Mode.REFUSE))
        self.kill_connections()

    def blackhole(self) -> None:
        """Take connections and bytes, and let nothing through: new ones and those there are."""
        self._set(_Manner(mode=Mode.BLACKHOLE))

    def reset(self) -> None:
        """Take connections and cut them."""
        self._set(_Manner(mode=Mode.RESET))
        self.kill_connections()

    def cut_after(self, count: int, way: str = Way.DOWN) -> None:
        """Cut each connection that begins now after *count* bytes that went *way*."""
        self._set(_Manner(cut_after=count, cut_way=Way(way)))

    def delay(self, seconds: float) -> None:
        """Have every piece travel for so long."""
        self._set(_Manner(latency=seconds))

    def slice(self, size: int = 1) -> None:
        """Pass pieces of *size* bytes."""
        self._set(_Manner(slice_bytes=size))

    def lose_reply(self, path: str, *, times: int = 1) -> Loss:
        """Cut the connection once the server has acted on the next request of *path*."""
        return self._lose(Loss(path, Way.DOWN, times))

    def lose_request(self, path: str, *, times: int = 1) -> Loss:
        """Cut the connection before the server has seen anything of the next request of *path*."""
        return self._lose(Loss(path, Way.UP, times))

    def kill_connections(self) -> int:
        """Cut every connection there is now. How many those were."""
        with self._lock:
            live, waiting = list(self._live), list(self._waiting)
        for connection in live:
            connection.reset()
        for client in waiting:
            with suppress(OSError):
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                client.shutdown(socket.SHUT_RD)
        return len(live) + len(waiting)

    # ---- how it does it

    def _lose(self, loss: Loss) -> Loss:
        with self._lock:
            self._losses.append(loss)
        return loss

    def _set(self, manner: _Manner) -> None:
        with self._lock:
            self._manner = manner
        if manner.mode is Mode.REFUSE:
            self._deafen()
        elif self._listener is None:
            self._listen()

    def _listen(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(self._address)
        listener.listen(512)
        self._address = listener.getsockname()
        self._listener = listener
        self._spawn(lambda: self._accept(listener))

    def _deafen(self) -> None:
        listener, self._listener = self._listener, None
        if listener:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
            listener.close()

    @staticmethod
    def _spawn(work: Callable[[], None]) -> None:
        threading.Thread(target=work, name="fault proxy", daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            mode = self._manner.mode
            if mode is Mode.RESET:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                client.close()
            elif mode is Mode.BLACKHOLE:
                self._spawn(lambda client=client: self._swallow(client))
            else:
                self._join(client)

    def _swallow(self, client: socket.socket) -> None:
        with self._lock:
            self._waiting.add(client)
        with suppress(OSError):
            while client.recv(_CHUNK):
                pass
        with self._lock:
            self._waiting.discard(client)
        client.close()

    def _join(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._upstream, timeout=10)
        except OSError:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            client.close()
            return
        server.settimeout(None)
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(client, server)
        with self._lock:
            self._live.add(connection)
        self._spawn(lambda: self._pump(connection, client, server, Way.UP))
        self._spawn(lambda: self._pump(connection, server, client, Way.DOWN))

    def _pump(
        self, connection: _Connection, source: socket.socket, target: socket.socket, way: Way
    ) -> None:
        try:
            while piece := source.recv(_CHUNK):
                if not self._carry(connection, target, piece, way):
                    connection.reset()
                    break
            if not connection.is_cut:
                target.shutdown(socket.SHUT_WR)
        except OSError:
            connection.reset()
        finally:
            if connection.one_end_is_over():
                with self._lock:
                    self._live.discard(connection)

    def _carry(
        self, connection: _Connection, target: socket.socket, piece: bytes, way: Way
    ) -> bool:
        """Pass *piece* on as things are now. False when the connection is to be cut."""
        manner = self._manner
        if manner.mode is Mode.BLACKHOLE:
            return True
        if not self._may_pass(connection, piece, way):
            return False
        if manner.latency:
            time.sleep(manner.latency)
        left = None
        if manner.cut_after is not None and manner.cut_way is way:
            left = manner.cut_after - connection.passed[way]
        connection.passed[way] += len(piece)
        whole = left is None or len(piece) < left
        sent = piece if whole else piece[: max(left or 0, 0)]
        size = manner.slice_bytes or len(sent) or 1
        for start in range(0, len(sent), size):
            target.sendall(sent[start : start + size])
        return whole

    def _may_pass(self, connection: _Connection, piece: bytes, way: Way) -> bool:
        """Follow requests and replies, and see whether this piece belongs to a lost one."""
        if way is Way.DOWN:
            connection.expects_request = True
            lost = connection.doomed
            if lost is not None:
                connection.doomed = None
                self._note(lost)
            return lost is None
        if connection.expects_request:
            connection.begun += piece
            line, found, _ = connection.begun.partition(b"\r\n")
            if not found:
                return True
            connection.begun, connection.expects_request = b"", False
            return self._begin(connection, line)
        return True

    def _begin(self, connection: _Connection, line: bytes) -> bool:
        path = line.decode("latin-1").split(" ")[1].partition("?")[0] if b" " in line else ""
        with self._lock:
            self.seen[path] += 1
            loss = next((each for each in self._losses if each.path == path), None)
            if loss is not None:
                loss.times -= 1
                if not loss.times:
                    self._losses.remove(loss)
        if loss is None:
            return True
        if loss.way is Way.UP:
            self._note(loss)
            return False
        connection.doomed = loss
        return True

    @staticmethod
    def _note(loss: Loss) -> None:
        if not loss.times:
            loss.happened.set()
