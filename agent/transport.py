"""Ask one URL, once: libcurl's multi interface, redirects off. The only file that knows pycurl.

An exchange ends with a status and headers, or with a word for what went wrong. The address a socket
is about to connect to is judged by our caller; a refusal poisons the whole exchange.
"""

import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import certifi
import pycurl

HEADER_LIMIT: Final = 64 * 1024
BODY_LIMIT: Final = 64 * 1024
_BODY_SECONDS: Final = 1.0
_CONNECT_SECONDS: Final = 10.0
_POOL: Final = 512
_TWO_LOCATIONS: Final = "Multiple Location"

_WORDS: Final[dict[int, str]] = {
    pycurl.E_COULDNT_RESOLVE_HOST: "dns_error",
    pycurl.E_COULDNT_CONNECT: "connection_refused",
    pycurl.E_OPERATION_TIMEDOUT: "timeout",
    pycurl.E_GOT_NOTHING: "connection_closed",
    pycurl.E_RECV_ERROR: "connection_closed",
    pycurl.E_SEND_ERROR: "connection_closed",
    pycurl.E_PARTIAL_FILE: "connection_closed",
    pycurl.E_COULDNT_RESOLVE_PROXY: "proxy_error",
    97: "proxy_error",  # CURLE_PROXY, which pycurl does not name
    100: "headers_too_large",  # CURLE_TOO_LARGE
    pycurl.E_OUT_OF_MEMORY: "headers_too_large",
} | dict.fromkeys(
    (
        pycurl.E_SSL_CONNECT_ERROR,
        pycurl.E_PEER_FAILED_VERIFICATION,
        pycurl.E_SSL_CERTPROBLEM,
        pycurl.E_SSL_CIPHER,
        pycurl.E_SSL_CACERT_BADFILE,
        pycurl.E_SSL_ISSUER_ERROR,
        pycurl.E_SSL_INVALIDCERTSTATUS,
        pycurl.E_USE_SSL_FAILED,
        pycurl.E_SSL_SHUTDOWN_FAILED,
    ),
    "tls_error",
)


@dataclass(slots=True, eq=False)
class Exchange:
    """One request and what came of it. *word* is empty when an answer came."""

    url: str
    seconds: float
    status: int = 0
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    ip: str | None = None
    ms: int = 0
    word: str = ""
    refused: str = ""  # the address that was not connected to
    is_passed_over: bool = False  # an address was skipped,
    is_socket_open: bool = False  # and one was tried
    header_bytes: int = 0
    body_bytes: int = 0
    is_head_complete: bool = False
    is_cut: bool = False
    head_at: float = 0.0


def default_cafile() -> str:
    """The certificates this machine trusts, else those that certifi brings.

    The pycurl wheel was built for a path that Debian does not have.
    """
    for path in ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"):
        if Path(path).is_file():
            return path
    return certifi.where()


class Line:
    """One easy handle with a cookie jar of its own: what one walk asks with."""

    def __init__(self, transport: "Transport") -> None:
        self.transport = transport
        self.exchange: Exchange | None = None
        self.has_secure_cookies = False
        self._set_aside: list[str] = []
        self.curl: Any = pycurl.Curl()
        curl = self.curl
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.FOLLOWLOCATION, 0)
        curl.setopt(pycurl.PATH_AS_IS, 1)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.PROXY, "")
        curl.setopt(pycurl.NOPROXY, "*")
        curl.setopt(pycurl.NETRC, 0)
        curl.setopt(pycurl.COOKIEFILE, "")
        curl.setopt(pycurl.CAINFO, transport.cafile)
        curl.setopt(pycurl.USERAGENT, transport.user_agent)
        curl.setopt(pycurl.HTTPHEADER, ["Accept: text/html,application/xhtml+xml,*/*;q=0.8"])
        curl.setopt(pycurl.HEADERFUNCTION, self._on_header)
        curl.setopt(pycurl.WRITEFUNCTION, self._on_body)
        curl.setopt(pycurl.OPENSOCKETFUNCTION, self._open_socket)

    def cookies(self) -> frozenset[str]:
        """The jar's content, to tell one state from another."""
        return frozenset(self.curl.getinfo(pycurl.INFO_COOKIELIST)).union(self._set_aside)

    def forget_cookies(self) -> None:
        """Empty the jar."""
        self.curl.setopt(pycurl.COOKIELIST, "ALL")
        self._set_aside.clear()
        self.has_secure_cookies = False

    def keep_secure_cookies(self, url: str) -> None:
        """Hold Secure cookies back while *url* is plain http (RFC 6265 5.4).

        libcurl does so itself, save for hosts that are this machine.
        """
        if url.startswith("https:"):
            jar, self._set_aside = self._set_aside, []
        else:
            jar, held = [], self.curl.getinfo(pycurl.INFO_COOKIELIST)
            for cookie in held:
                is_secure = cookie.split("\t")[3] == "TRUE"
                (self._set_aside if is_secure else jar).append(cookie)
            self.curl.setopt(pycurl.COOKIELIST, "ALL")
        for cookie in jar:
            self.curl.setopt(pycurl.COOKIELIST, cookie)

    def _on_header(self, line: bytes) -> int | None:
        exchange = self.exchange
        if exchange is None:
            return 0
        exchange.header_bytes += len(line)
        if exchange.header_bytes > HEADER_LIMIT:
            exchange.word = "headers_too_large"
            return 0
        if line.startswith(b"HTTP/") and not exchange.is_head_complete:
            exchange.status = _status(line)
            exchange.headers.clear()
            return None
        if line in (b"\r\n", b"\n"):
            # 1xx are not final (RFC 9110 15.2); trailers come after the head.
            if exchange.status >= 200 and not exchange.is_head_complete:
                exchange.is_head_complete = True
                exchange.head_at = time.monotonic()
                self.transport.reading.add(self)
            return None
        if not exchange.is_head_complete:
            name, _, value = line.partition(b":")
            heading = name.decode("latin-1").strip().lower()
            exchange.headers.append((heading, _without_end(value)))
            if heading == "set-cookie" and b"secure" in value.lower():
                self.has_secure_cookies = True
        return None

    def _on_body(self, block: bytes) -> int:
        exchange = self.exchange
        if exchange is None:
            return 0
        exchange.body_bytes += len(block)
        if exchange.body_bytes > BODY_LIMIT:
            exchange.is_cut = True  # enough: nobody reads it
            return 0
        return len(block)

    def _open_socket(self, purpose: int, address: Any) -> Any:
        exchange = self.exchange
        family, kind, protocol, where = address
        ip = where[0].decode() if isinstance(where[0], bytes) else str(where[0])
        if exchange is None or exchange.refused:
            return pycurl.SOCKET_BAD
        verdict = self.transport.may_connect(exchange.url, ip)
        if verdict is not None:
            # libcurl would try the next address of the name: a name that leads here is refused.
            if verdict:
                exchange.refused = ip
            exchange.is_passed_over = True
            return pycurl.SOCKET_BAD
        try:
            opened = socket.socket(family, kind, protocol)
        except OSError:  # no IPv6 here, or no descriptor left: the next address may do
            return pycurl.SOCKET_BAD
        exchange.is_socket_open = True
        return _Handed(opened)


class _Handed:
    """A socket for libcurl, which takes a duplicate of it; ours is closed right after."""

    def __init__(self, opened: socket.socket) -> None:
        self._opened = opened

    def fileno(self) -> int:
        """The descriptor to be duplicated."""
        return self._opened.fileno()

    def __del__(self) -> None:
        self._opened.close()


class Transport:
    """Many exchanges at once, driven by one thread.

    *may_connect* is asked for every socket with the URL and the address: None lets it connect, True
    refuses the exchange, False only this address.
    """

    def __init__(
        self,
        *,
        may_connect: Callable[[str, str], bool | None],
        user_agent: str,
        cafile: str | None = None,
        max_connections: int = 512,
    ) -> None:
        self.may_connect = may_connect
        self.user_agent = user_agent
        self.cafile = cafile or default_cafile()
        self.reading: set[Line] = set()
        self._multi: Any = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, max_connections)
        self._selector = selectors.DefaultSelector()
        self._timer: float | None = None
        self._lines: dict[Any, Line] = {}
        self._idle: list[Line] = []
        self._done: list[Line] = []
        self._ear, self._mouth = socket.socketpair()
        self._ear.setblocking(False)
        self._mouth.setblocking(False)
        self._selector.register(self._ear, selectors.EVENT_READ)

    def open(self) -> Line:
        """A line with an empty cookie jar."""
        if self._idle:
            line = self._idle.pop()
            line.forget_cookies()
            return line
        return Line(self)

    def hang_up(self, line: Line) -> None:
        """Give a line back; what it was doing is dropped."""
        if line.exchange is not None:
            self._drop(line)
        if len(self._idle) < _POOL:
            self._idle.append(line)
        else:
            line.curl.close()

    def ask(self, line: Line, exchange: Exchange) -> None:
        """Begin *exchange*, bounded by its seconds."""
        line.exchange = exchange
        curl = line.curl
        if line.has_secure_cookies:
            line.keep_secure_cookies(exchange.url)
        curl.setopt(pycurl.URL, exchange.url)
        milliseconds = max(1, int(exchange.seconds * 1000))
        curl.setopt(pycurl.TIMEOUT_MS, milliseconds)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, min(milliseconds, int(_CONNECT_SECONDS * 1000)))
        self._lines[curl] = line
        self._multi.add_handle(curl)
        self._timer = 0.0

    def run(self, seconds: float) -> list[Line]:
        """Let things happen for at most *seconds*; the lines whose exchange has ended."""
        self._act(seconds)
        self._cut_long_bodies()
        done, self._done = self._done, []
        return done

    def wake(self) -> None:
        """Let ``run`` return early. From any thread."""
        try:
            self._mouth.send(b"!")
        except OSError:
            return  # it is awake, or closed

    def close(self) -> None:
        """Close every connection."""
        for line in list(self._lines.values()):
            self._drop(line)
        for line in self._idle:
            line.curl.close()
        self._multi.close()
        self._selector.close()
        self._ear.close()
        self._mouth.close()

    def _act(self, seconds: float) -> None:
        wait = seconds
        if self._timer is not None:
            wait = min(wait, max(0.0, self._timer - time.monotonic()) if self._timer else 0.0)
        if self.reading:
            wait = min(wait, _BODY_SECONDS / 4)
        events = self._selector.select(wait)
        for key, mask in events:
            if key.fileobj is self._ear:
                self._hear()
                continue
            flags = (pycurl.CSELECT_IN if mask & selectors.EVENT_READ else 0) | (
                pycurl.CSELECT_OUT if mask & selectors.EVENT_WRITE else 0
            )
            self._multi.socket_action(key.fd, flags)
        if self._timer is not None and time.monotonic() >= self._timer:
            self._timer = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self._collect()

    def _hear(self) -> None:
        try:
            while self._ear.recv(4096):
                pass
        except OSError:
            return

    def _collect(self) -> None:
        while True:
            left, good, bad = self._multi.info_read()
            for curl in good:
                self._finish(curl, 0)
            for curl, code, words in bad:
                self._finish(curl, code, words)
            if not left:
                return

    def _finish(self, curl: Any, code: int, words: str = "") -> None:
        line = self._lines.pop(curl)
        self._multi.remove_handle(curl)
        self.reading.discard(line)
        exchange = line.exchange
        assert exchange is not None
        exchange.ms = int(curl.getinfo(pycurl.TOTAL_TIME) * 1000)
        exchange.ip = curl.getinfo(pycurl.PRIMARY_IP) or None
        is_none_allowed = exchange.is_passed_over and not exchange.is_socket_open
        if exchange.refused or (is_none_allowed and code == pycurl.E_COULDNT_CONNECT):
            exchange.word = "blocked_address"
            exchange.ip = None
        elif not exchange.word and not exchange.is_head_complete:
            # An answer whose body failed is an answer all the same.
            exchange.word = _WORDS.get(code, "malformed_response")
            if _TWO_LOCATIONS in words:
                # Newer versions of libcurl see it before we do.
                exchange.word = "invalid_location"
        self._done.append(line)

    def _cut_long_bodies(self) -> None:
        """A body that drips is not waited for: the head says all we need."""
        if not self.reading:
            return
        limit = time.monotonic() - _BODY_SECONDS
        for line in [
            each for each in self.reading if each.exchange and each.exchange.head_at < limit
        ]:
            self._finish(line.curl, 0)

    def _drop(self, line: Line) -> None:
        if self._lines.pop(line.curl, None) is not None:
            self._multi.remove_handle(line.curl)
        self.reading.discard(line)
        self._done = [each for each in self._done if each is not line]
        line.exchange = None

    def _on_timer(self, milliseconds: int) -> None:
        self._timer = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000

    def _on_socket(self, what: int, fd: int, multi: Any, data: Any) -> None:
        if what == pycurl.POLL_REMOVE:
            try:
                self._selector.unregister(fd)
            except (KeyError, ValueError):
                return
            return
        mask = 0
        if what in (pycurl.POLL_IN, pycurl.POLL_INOUT):
            mask |= selectors.EVENT_READ
        if what in (pycurl.POLL_OUT, pycurl.POLL_INOUT):
            mask |= selectors.EVENT_WRITE
        try:
            self._selector.modify(fd, mask)
        except KeyError:
            self._selector.register(fd, mask)


def _status(line: bytes) -> int:
    parts = line.split(maxsplit=2)
    if len(parts) < 2 or not parts[1].isdigit() or len(parts[1]) != 3:
        return 0
    return int(parts[1])


def _without_end(value: bytes) -> bytes:
    if value.endswith(b"\r\n"):
        return value[:-2]
    return value.removesuffix(b"\n")
