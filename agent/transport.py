"""Ask one URL, once: libcurl's multi interface, redirects off. The only file that knows pycurl.

An exchange ends with a status and headers, or with a word for what went wrong. The address a socket
is about to connect to is judged by our caller; a refusal poisons the whole exchange.
"""

import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import certifi
import pycurl

from agent.head import Head, read_head
from agent.readiness import READ, readiness

HEADER_LIMIT: Final = 64 * 1024
BODY_LIMIT: Final = 64 * 1024
_BODY_SECONDS: Final = 1.0
_WATCH_SECONDS: Final = 0.05
_CONNECT_MS: Final = 10_000
_BLANK: Final = (b"\r\n", b"\n")
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
    """What came of one request. *word* is empty when an answer came."""

    head: Head
    ip: str | None
    ms: int
    word: str


def default_cafile() -> str:
    """The certificates this machine trusts, else those that certifi brings.

    The pycurl wheel was built for a path that Debian does not have.
    """
    for path in ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"):
        if Path(path).is_file():
            return path
    return certifi.where()


class Line:
    """One easy handle with a cookie jar of its own: what one walk asks with, one URL at a time.

    *exchange* is there once that has ended.
    """

    def __init__(self, transport: "Transport") -> None:
        self.transport = transport
        self.exchange: Exchange | None = None
        self.url = ""
        self.lines: list[bytes] = []  # of the head
        self.head_at = 0.0  # when it was seen to be complete
        self.body_bytes = 0
        self.word = ""
        self.refused = ""  # the address that was not connected to
        self.is_passed_over = False  # an address was skipped,
        self.is_socket_open = False  # and one was tried
        self.has_secure_cookies = False
        self._set_aside: list[str] = []
        self._milliseconds = 0
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
        # Called for each of some ten lines of an answer: no function of ours is as cheap.
        curl.setopt(pycurl.HEADERFUNCTION, self.lines.append)
        curl.setopt(pycurl.WRITEFUNCTION, self._on_body)
        curl.setopt(pycurl.OPENSOCKETFUNCTION, self._open_socket)

    def begin(self, url: str, seconds: float) -> None:
        """Be ready to ask *url*, for so long at most."""
        self.exchange = None
        self.url = url
        self.lines.clear()
        self.head_at = 0.0
        self.body_bytes = 0
        self.word = self.refused = ""
        self.is_passed_over = self.is_socket_open = False
        if self.has_secure_cookies:
            self.keep_secure_cookies(url)
        curl = self.curl
        curl.setopt(pycurl.URL, url)
        milliseconds = max(1, int(seconds * 1000))
        if milliseconds != self._milliseconds:
            self._milliseconds = milliseconds
            curl.setopt(pycurl.TIMEOUT_MS, milliseconds)
            curl.setopt(pycurl.CONNECTTIMEOUT_MS, min(milliseconds, _CONNECT_MS))

    def end(self, code: int, words: str) -> None:
        """What came of it, now that libcurl ended it with *code*."""
        curl = self.curl
        head = read_head(self.lines)
        ip = curl.getinfo(pycurl.PRIMARY_IP) or None
        word = self.word
        is_none_allowed = self.is_passed_over and not self.is_socket_open
        if self.refused or (is_none_allowed and code == pycurl.E_COULDNT_CONNECT):
            word, ip = "blocked_address", None
        elif self.has_long_head():
            word = "headers_too_large"
        elif not head.is_complete:
            # An answer whose body failed is an answer all the same.
            word = _WORDS.get(code, "malformed_response")
            if _TWO_LOCATIONS in words:
                # Newer versions of libcurl see it before we do.
                word = "invalid_location"
        if head.cookies and any(b"secure" in cookie.lower() for cookie in head.cookies):
            self.has_secure_cookies = True
        self.exchange = Exchange(head, ip, int(curl.getinfo(pycurl.TOTAL_TIME) * 1000), word)

    def has_long_head(self) -> bool:
        """Whether more headers came than anybody needs."""
        return sum(map(len, self.lines)) > HEADER_LIMIT

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

    def _on_body(self, block: bytes) -> int:
        self.body_bytes += len(block)
        if self.body_bytes > BODY_LIMIT:
            return 0  # enough: nobody reads it
        return len(block)

    def _open_socket(self, purpose: int, address: Any) -> Any:
        family, kind, protocol, where = address
        ip = where[0].decode() if isinstance(where[0], bytes) else str(where[0])
        if self.refused:
            return pycurl.SOCKET_BAD
        verdict = self.transport.may_connect(self.url, ip)
        if verdict is not None:
            # libcurl would try the next address of the name: a name that leads here is refused.
            if verdict:
                self.refused = ip
            self.is_passed_over = True
            return pycurl.SOCKET_BAD
        try:
            opened = socket.socket(family, kind, protocol)
        except OSError:  # no IPv6 here, or no descriptor left: the next address may do
            return pycurl.SOCKET_BAD
        self.is_socket_open = True
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
        self._multi: Any = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        # What libcurl last said about its timer, in milliseconds; called more often than heeded.
        self._alarms: deque[int] = deque(maxlen=1)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._alarms.append)
        self._multi.setopt(pycurl.M_MAXCONNECTS, max_connections)
        self._sockets = readiness()
        self._timer: float | None = None
        self._next_watch = 0.0
        self._lines: dict[Any, Line] = {}
        self._idle: list[Line] = []
        self._done: list[Line] = []
        self._ear, self._mouth = socket.socketpair()
        self._ear.setblocking(False)
        self._mouth.setblocking(False)
        self._ear_fd = self._ear.fileno()
        self._sockets.watch(self._ear_fd, READ)

    def open(self) -> Line:
        """A line with an empty cookie jar."""
        if self._idle:
            line = self._idle.pop()
            line.forget_cookies()
            return line
        return Line(self)

    def hang_up(self, line: Line) -> None:
        """Give a line back; what it was doing is dropped."""
        self._drop(line)
        if len(self._idle) < _POOL:
            self._idle.append(line)
        else:
            line.curl.close()

    def ask(self, line: Line, url: str, *, seconds: float) -> None:
        """Begin to ask *url*, for at most so long."""
        line.begin(url, seconds)
        self._lines[line.curl] = line
        self._multi.add_handle(line.curl)

    def run(self, seconds: float) -> list[Line]:
        """Let things happen for at most *seconds*; the lines whose exchange has ended."""
        self._act(seconds)
        now = time.monotonic()
        if now >= self._next_watch:
            self._next_watch = now + _WATCH_SECONDS
            self._watch(now)
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
        self._sockets.close()
        self._ear.close()
        self._mouth.close()

    def _act(self, seconds: float) -> None:
        self._set_timer()
        wait = min(seconds, _BODY_SECONDS / 4) if self._lines else seconds
        if self._timer is not None:
            wait = min(wait, max(0.0, self._timer - time.monotonic()))
        action = self._multi.socket_action
        for fd, flags in self._sockets.wait(wait):
            if fd == self._ear_fd:
                self._hear()
            else:
                action(fd, flags)
        self._set_timer()
        if self._timer is not None and time.monotonic() >= self._timer:
            self._timer = None
            action(pycurl.SOCKET_TIMEOUT, 0)
        self._collect()

    def _set_timer(self) -> None:
        if self._alarms:
            milliseconds = self._alarms.pop()
            self._timer = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000

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
        line.end(code, words)
        self._done.append(line)

    def _watch(self, now: float) -> None:
        """End what libcurl would let go on: heads without end, and bodies that drip.

        The head says all we need, so its body is not waited for.
        """
        for line in list(self._lines.values()):
            if not line.lines:
                continue
            if line.head_at:
                if now - line.head_at >= _BODY_SECONDS:
                    self._finish(line.curl, 0)
            elif line.has_long_head():
                self._finish(line.curl, 0)
            elif line.lines[-1] in _BLANK and read_head(line.lines).is_complete:
                line.head_at = now

    def _drop(self, line: Line) -> None:
        if self._lines.pop(line.curl, None) is not None:
            self._multi.remove_handle(line.curl)
        elif line in self._done:
            self._done.remove(line)

    def _on_socket(self, what: int, fd: int, multi: Any, data: Any) -> None:
        if what in (pycurl.POLL_REMOVE, pycurl.POLL_NONE):
            self._sockets.let_go(fd)
        else:
            self._sockets.watch(fd, what)  # libcurl's numbers are READ and WRITE
