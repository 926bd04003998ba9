"""Where the links lead. A process: it says its URL, and ends with its standard input.

``/go/<kind>/<token>`` redirects to ``/land/<token>/<number>``. The number is of this very walk, so
that two walks of one link are told apart; token and kind decide everything else.
"""

import asyncio
import itertools
import sys

SLOW_SECONDS = 0.4
LONG_SECONDS = 4.0

_numbers = itertools.count(1)


class Visit(asyncio.Protocol):
    """One connection; requests of it come one after the other."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._got = b""

    def data_received(self, data: bytes) -> None:
        self._got += data
        while b"\r\n\r\n" in self._got:
            head, _, self._got = self._got.partition(b"\r\n\r\n")
            self._answer(head.split(b" ", 2)[1].decode("latin-1"))

    def _answer(self, path: str) -> None:
        parts = path.split("/")
        if parts[1] == "land":
            self._send("410 Gone" if parts[2].startswith("gone") else "200 OK")
            return
        kind, token = parts[2], parts[3]
        number = next(_numbers)
        if kind == "rude":
            self._transport.close()
            return
        status, where = "302 Found", f"/land/{token}/{number}"
        if kind == "busy" and number % 2:
            status, where = "503 Service Unavailable", ""
        wait = {"slow": SLOW_SECONDS, "long": LONG_SECONDS}.get(kind, 0.0)
        asyncio.get_running_loop().call_later(wait, self._send, status, where)

    def _send(self, status: str, where: str = "") -> None:
        if self._transport.is_closing():
            return
        location = f"Location: {where}\r\n" if where else ""
        self._transport.write(f"HTTP/1.1 {status}\r\n{location}Content-Length: 0\r\n\r\n".encode())


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Visit, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
