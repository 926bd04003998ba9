"""A redirect farm whose every answer comes so many milliseconds late, like a far site's.

nginx cannot wait, so this is a loop of ours over sockets. All waits are the same, so whoever asked
first is answered first, and a queue is all the clock there is.
"""

import re
import selectors
import socket
import subprocess
import sys
import time
from collections import deque
from types import TracebackType
from typing import Final, Self

from bench.farm import STOP_SECONDS, Chains, FarmNotStarted
from bench.frame import ROOT

_REQUEST = re.compile(rb"GET /(\d+)\?n=(\d+) HTTP/1\.1\r\n(?:[^\r\n]+\r\n)*\r\n")
_LONGEST: Final = 16 * 1024
_PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 7\r\n\r\nlanded\n"


class DelayedFarm(Chains):
    """As bench/farm.py's, for as long as the block lasts; connections are kept."""

    def __init__(self, *, hops: int = 3, delay_ms: int) -> None:
        super().__init__(hops=hops)
        self.delay_ms = delay_ms
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.delayed_farm", str(self.delay_ms)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()  # or nothing, when it ends
        if not said:
            self._end()
            raise FarmNotStarted("the delayed farm ended without a word")
        self.port = int(said)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()  # it ends with its parent, however that ends
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def answers(waiting: bytes, port: int) -> tuple[bytes, bytes]:
    """What is answered to the whole requests in *waiting*, and what is left of it.

    Raises ValueError for what nobody here would ask.
    """
    made = []
    at = 0
    while found := _REQUEST.match(waiting, at):
        at = found.end()
        hop, number = int(found[1]), found[2]
        if hop == 0:
            made.append(_PAGE)
        else:
            to = b"http://127.0.0.1:%d/%d?n=%b" % (port, hop - 1, number)
            made.append(b"HTTP/1.1 302 Found\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % to)
    left = waiting[at:]
    if b"\r\n\r\n" in left or len(left) > _LONGEST:
        raise ValueError(left[:80])
    return b"".join(made), left


def serve(delay: float) -> None:
    """Answer until standard input closes."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=8192)
    listener.setblocking(False)
    port = listener.getsockname()[1]
    print(port, flush=True)
    loop = selectors.DefaultSelector()
    loop.register(listener, selectors.EVENT_READ)
    loop.register(sys.stdin, selectors.EVENT_READ)
    late: deque[tuple[float, socket.socket, bytes]] = deque()
    halves: dict[socket.socket, bytes] = {}
    while True:
        pause = max(0.0, late[0][0] - time.monotonic()) if late else None
        for key, _ in loop.select(pause):
            client = key.fileobj
            if client is listener:
                while True:
                    try:
                        accepted, _ = listener.accept()
                    except BlockingIOError:
                        break
                    accepted.setblocking(False)
                    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    loop.register(accepted, selectors.EVENT_READ)
                continue
            if not isinstance(client, socket.socket):
                return
            try:
                data = client.recv(65536)
                said, left = answers(halves.pop(client, b"") + data, port)
            except (OSError, ValueError):
                data = said = left = b""
            if not data:
                loop.unregister(client)
                client.close()
                continue
            if left:
                halves[client] = left
            if said:
                late.append((time.monotonic() + delay, client, said))
        now = time.monotonic()
        while late and late[0][0] <= now:
            _, client, said = late.popleft()
            try:
                client.send(said)  # a few hundred bytes: the socket's buffer holds them
            except OSError:
                continue  # the client has gone; its end is read above


if __name__ == "__main__":
    serve(int(sys.argv[1]) / 1000)
