"""One signed request to a relay: the status and body of a good answer, or a typed error."""

import ipaddress
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Final
from urllib.parse import urlsplit

import requests
from pydantic import ValidationError
from requests.adapters import HTTPAdapter

from connector.patience import parse_retry_after
from connector.relay_errors import BadRelayUrl, NotARelay, Refused, Unreachable
from wire.problems import Problem
from wire.signing import Credentials, sign_request

CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 15.0
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024

SessionFactory = Callable[[], requests.Session]
new_session: Final[SessionFactory] = requests.Session

_POOL = 16
_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as it is signed, whatever the number of its sendings."""

    method: str
    path: str
    body: bytes = field(default=b"", repr=False)
    idempotency_key: str = ""
    wait_seconds: float = 0.0
    is_signed: bool = True


class RelayHttp:
    """The connections to one relay, signing with one key; a session for each thread."""

    def __init__(
        self,
        base_url: str,
        credentials: Credentials,
        *,
        session_factory: SessionFactory,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self.url = _checked(base_url)
        self._credentials = credentials
        self._session_factory = session_factory
        self._clock = clock
        self._monotonic = monotonic
        self._local = threading.local()
        self._lock = threading.Lock()
        self._sessions: list[requests.Session] = []

    @property
    def key_id(self) -> str:
        """Who signs."""
        return self._credentials.key_id

    def close(self) -> None:
        """Close the connections of every thread."""
        with self._lock:
            sessions, self._sessions = self._sessions, []
        for session in sessions:
            session.close()
        self._local = threading.local()

    def send(self, call: Call) -> tuple[int, bytes]:
        """One sending, freshly signed. Raises RelayError."""
        session = self._session()
        try:
            request = session.prepare_request(
                requests.Request(call.method, self.url + call.path, data=call.body or None)
            )
            if call.body:
                request.headers["Content-Type"] = "application/json"
            if call.is_signed:
                request.headers.update(
                    sign_request(
                        self._credentials,
                        method=call.method,
                        target=request.path_url,
                        body=call.body,
                        now=self._clock(),
                        idempotency_key=call.idempotency_key,
                    )
                )
            settings = session.merge_environment_settings(
                request.url,
                {},
                True,
                None,
                None,
            )
            with session.send(
                request,
                timeout=(CONNECT_SECONDS, call.wait_seconds + READ_SECONDS),
                allow_redirects=False,
                **settings,
            ) as response:
                body = self._read(response, call)
        except requests.exceptions.SSLError as error:
            raise Unreachable(self.url, _reason(error), permanent=_is_untrusted(error)) from error
        except (requests.RequestException, OSError) as error:
            raise Unreachable(self.url, _reason(error)) from error
        return self._judge(call, response, body)

    def _read(self, response: requests.Response, call: Call) -> bytes:
        """The whole body, bounded in size and in time: a dripping server is no relay."""
        until = self._monotonic() + call.wait_seconds + 4 * READ_SECONDS
        parts: list[bytes] = []
        size = 0
        for part in response.iter_content(_CHUNK):
            size += len(part)
            if size > MAX_ANSWER_BYTES:
                raise NotARelay(self.url, status=response.status_code, why="an endless answer")
            if self._monotonic() > until:
                raise Unreachable(self.url, "the answer does not end")
            parts.append(part)
        return b"".join(parts)

    def _judge(self, call: Call, response: requests.Response, body: bytes) -> tuple[int, bytes]:
        status = response.status_code
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if 200 <= status < 300 and kind == "application/json":
            return status, body
        if status == 204 and call.method == "DELETE":
            return status, b""
        if status >= 400 and kind in ("application/problem+json", "application/json"):
            try:
                problem = Problem.model_validate_json(body)
            except ValidationError:
                pass
            else:
                raise Refused(
                    code=problem.code,
                    status=status,
                    detail=problem.detail or problem.title,
                    retry_after=parse_retry_after(
                        response.headers.get("Retry-After"), now=self._clock()
                    ),
                    errors=problem.errors or (),
                )
        if 300 <= status < 400:
            raise NotARelay(self.url, status=status, why="it sends us elsewhere")
        raise NotARelay(self.url, status=status, why=f"it answers {kind or 'nothing readable'}")

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._session_factory()
            adapter = HTTPAdapter(pool_connections=4, pool_maxsize=_POOL, max_retries=0)
            session.mount("http://", adapter)
            session.mount("https://", adapter)
            # A proxy from the environment never knows the way to this very machine.
            session.trust_env = not _is_loopback(self.url)
            session.auth = _unchanged  # else requests looks for a password in ~/.netrc
            session.headers.update({"User-Agent": USER_AGENT, "Accept": "application/json"})
            self._local.session = session
            with self._lock:
                self._sessions.append(session)
        return session


def _version() -> str:
    try:
        return version("linkrow")
    except PackageNotFoundError:
        return "0"


USER_AGENT: Final = f"linkrow/{_version()} requests/{requests.__version__}"


def _checked(base_url: str) -> str:
    text = base_url.strip().rstrip("/")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise BadRelayUrl(base_url, str(error)) from error
    if parts.scheme not in ("http", "https"):
        raise BadRelayUrl(base_url, "it must start with http:// or https://")
    if parts.username is not None or parts.password is not None:
        # Not repeated: what stands there may be a password.
        raise BadRelayUrl("…@…", "a key does not belong into the address")
    if not parts.hostname or port == 0:
        raise BadRelayUrl(base_url, "it names no machine")
    if parts.query or parts.fragment or any(letter.isspace() for letter in text):
        raise BadRelayUrl(base_url, "it must end with the host, the port or a path")
    return text


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _is_untrusted(error: BaseException) -> bool:
    return "CERTIFICATE_VERIFY_FAILED" in str(error)


def _reason(error: BaseException) -> str:
    """What is so, for a person: the innermost cause, without the library's wrappings."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return f"no connection within {CONNECT_SECONDS:.0f} s"
    if isinstance(error, requests.exceptions.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy named in the environment does not let us through"
    seen = 0
    while seen < 10:
        inner = getattr(error, "reason", None) or error.__cause__ or error.__context__
        if not isinstance(inner, BaseException) and error.args:
            inner = error.args[-1]
        if not isinstance(inner, BaseException):
            break
        error, seen = inner, seen + 1
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error)[:200] or type(error).__name__
