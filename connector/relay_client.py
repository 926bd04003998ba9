"""Talk to a relay: every request signed, repeated where repeating is safe, every failure typed.

RelayError
    BadRelayUrl
    Unreachable
    NotARelay
    Refused
"""

import ipaddress
import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Final, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import requests
from pydantic import BaseModel, ValidationError
from requests.adapters import HTTPAdapter

from wire.models import (
    JobAnswer,
    JobList,
    JobRequest,
    LeaseAnswer,
    LeaseRequest,
    RefreshProgress,
    ReleaseAnswer,
    ReleaseRequest,
    RenewAnswer,
    RenewRequest,
    ResultsAnswer,
    ResultsRequest,
    SubmitAnswer,
    SubmitRequest,
    WritebacksAnswer,
    WritebacksRequest,
)
from wire.problems import PROBLEMS, FieldError, Problem
from wire.signing import Credentials, sign_request

CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 15.0
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
MAX_RETRY_AFTER: Final = 24 * 3600.0

_POOL = 16
_CHUNK = 64 * 1024
# Refusals that only mean "sign again": somebody between us repeated the bytes, or the machine
# slept between signing and sending.
_SIGN_AGAIN = frozenset({"nonce_replayed", "stale_timestamp"})

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer", bound=BaseModel)


class RelayError(Exception):
    """The relay did not do what it was asked. *permanent*: asking again will not help.

    *code* is for machines; a refusal's is the relay's own.
    """

    permanent: bool = False
    code: str = "relay_error"


class BadRelayUrl(RelayError):
    """What was given as a relay's address is none."""

    permanent = True
    code = "bad_relay_url"

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"{url!r} is no relay's address: {why}; try http://127.0.0.1:8790")
        self.url = url


class Unreachable(RelayError):
    """No answer came, or only a part of one: what the relay did with the request is not known."""

    code = "relay_unreachable"

    def __init__(self, url: str, why: str, *, permanent: bool = False) -> None:
        super().__init__(f"the relay at {url} does not answer: {why}")
        self.url = url
        self.why = why
        self.permanent = permanent


class NotARelay(RelayError):
    """Something answered, but not as a relay answers."""

    code = "not_a_relay"

    def __init__(self, url: str, *, status: int, why: str) -> None:
        super().__init__(
            f"what answers at {url} is not a Linkrow relay (status {status}, {why}); "
            "check the address"
        )
        self.url = url
        self.status = status
        # A gateway whose relay is just away says 502 in HTML; a website says 200, 404 or 501.
        self.permanent = status not in (408, 425, 429, 500) and not (502 <= status <= 504)


class Refused(RelayError):
    """The relay said no, in *code* and in words. *retry_after* is in seconds, if it said so."""

    def __init__(
        self,
        *,
        code: str,
        status: int,
        detail: str,
        retry_after: float | None = None,
        errors: Sequence[FieldError] = (),
    ) -> None:
        sentence = f"the relay refused: {detail} ({code})"
        if errors:
            sentence += "".join(f"; {error.pointer}: {error.detail}" for error in errors[:3])
        super().__init__(sentence)
        self.code = code
        self.status = status
        self.detail = detail
        self.retry_after = retry_after
        self.errors = tuple(errors)
        known = PROBLEMS.get(code)
        may_pass = known.retry if known else status in (408, 425, 429) or status >= 500
        # Somebody on the way repeated our bytes: signed anew it is another request.
        self.permanent = not (may_pass or code == "nonce_replayed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long one call keeps trying: at most *attempts* sendings within *seconds* of pauses."""

    attempts: int = 4
    seconds: float = 20.0
    first_pause: float = 0.25
    longest_pause: float = 8.0

    def pause(self, attempt: int, *, retry_after: float | None, chance: float) -> float:
        """Seconds to wait after the *attempt*-th sending failed; *chance* is in 0..1.

        Doubled each time, shortened at random by up to a half so that many callers spread out.
        A wish of the relay's is never undercut.
        """
        pause = min(self.first_pause * 2.0 ** (attempt - 1), self.longest_pause)
        pause *= 1.0 - chance / 2
        if retry_after is None:
            return pause
        return max(pause, retry_after * (1.0 + chance / 10))


ONCE: Final = Patience(attempts=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One request as it is signed, whatever the number of its sendings."""

    method: str
    path: str
    body: bytes = field(default=b"", repr=False)
    idempotency_key: str = ""
    wait_seconds: float = 0.0
    is_signed: bool = True


class RelayClient:
    """One relay, one key. May be used by many threads: each has its own session.

    *clock* gives the time that is signed; *monotonic*, *sleep* and *chance* (0..1) drive pauses.
    Every method raises RelayError.
    """

    def __init__(
        self,
        base_url: str,
        credentials: Credentials,
        *,
        patience: Patience = Patience(),
        session_factory: Callable[[], requests.Session] = requests.Session,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.url = _checked(base_url)
        self._credentials = credentials
        self._patience = patience
        self._session_factory = session_factory
        self._clock = clock
        self._monotonic = monotonic
        self._sleep = sleep
        self._chance = chance
        self._local = threading.local()
        self._lock = threading.Lock()
        self._sessions: list[requests.Session] = []

    def __repr__(self) -> str:
        return f"RelayClient({self.url!r}, key {self._credentials.key_id!r})"

    def close(self) -> None:
        """Close the connections of every thread."""
        with self._lock:
            sessions, self._sessions = self._sessions, []
        for session in sessions:
            session.close()
        self._local = threading.local()

    # What callers ask.

    def submit(
        self,
        jobs: Sequence[JobRequest],
        *,
        idempotency_key: str,
        patience: Patience | None = None,
    ) -> SubmitAnswer:
        """Hand in 1 to 1000 jobs: all of them, or none. Sent again, they are the same jobs."""
        ask = SubmitRequest(jobs=list(jobs))
        return self._post("/v1/jobs", ask, SubmitAnswer, idempotency_key, patience=patience)

    def job(self, job_id: str, *, wait: int = 0) -> JobAnswer:
        """One job; with *wait* (≤ 25 s) not before it is final, or that time is over."""
        query = f"?wait={wait}" if wait else ""
        path = f"/v1/jobs/{quote(job_id, safe='')}{query}"
        return self._ask(_Call(method="GET", path=path, wait_seconds=wait), JobAnswer)

    def jobs(
        self,
        *,
        source_id: str | None = None,
        row_id: str | None = None,
        status: str | None = None,
        conclusion: str | None = None,
        refresh_id: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> JobList:
        """One page of the account's jobs, newest first."""
        given = {
            "source_id": source_id,
            "row_id": row_id,
            "status": status,
            "conclusion": conclusion,
            "refresh_id": refresh_id,
            "limit": limit,
            "cursor": cursor,
        }
        query = urlencode({name: value for name, value in given.items() if value is not None})
        path = "/v1/jobs" + (f"?{query}" if query else "")
        return self._ask(_Call(method="GET", path=path), JobList)

    def cancel(self, job_id: str) -> JobAnswer:
        """End a job that has not ended. Refused with ``already_final`` when it has."""
        return self._ask(
            _Call(method="POST", path=f"/v1/jobs/{quote(job_id, safe='')}/cancel"), JobAnswer
        )

    def progress(self, source_id: str, refresh_id: str) -> RefreshProgress | None:
        """How far a refresh is, or None when the relay has not heard of it."""
        path = f"/v1/sources/{quote(source_id, safe='')}/refreshes/{quote(refresh_id, safe='')}"
        try:
            return self._ask(_Call(method="GET", path=path), RefreshProgress)
        except Refused as error:
            if error.code == "not_found":
                return None
            raise

    def health(self) -> bool:
        """True when a relay answers here; asked once, unsigned. Raises RelayError otherwise."""
        call = _Call(method="GET", path="/healthz", is_signed=False)
        self._send(call)
        return True

    # What agents ask.

    def lease(self, ask: LeaseRequest) -> LeaseAnswer:
        """Take work. Asked once: a lost answer's leases run out, a repeated one takes more."""
        return self._post(
            "/v1/agent/lease", ask, LeaseAnswer, wait_seconds=ask.wait_seconds, patience=ONCE
        )

    def renew(self, ask: RenewRequest) -> RenewAnswer:
        """Say that work goes on."""
        return self._post("/v1/agent/renew", ask, RenewAnswer)

    def results(self, ask: ResultsRequest) -> ResultsAnswer:
        """Report what was found. A repeated report is a ``duplicate``, which is a success."""
        return self._post("/v1/agent/results", ask, ResultsAnswer)

    def writebacks(self, ask: WritebacksRequest) -> WritebacksAnswer:
        """Report which rows were written, and which were not and why."""
        return self._post("/v1/agent/writebacks", ask, WritebacksAnswer)

    def release(self, ask: ReleaseRequest) -> ReleaseAnswer:
        """Give work back."""
        return self._post("/v1/agent/release", ask, ReleaseAnswer)

    # How it is asked.

    def _post(
        self,
        path: str,
        body: BaseModel,
        answer: type[Answer],
        idempotency_key: str = "",
        *,
        wait_seconds: float = 0.0,
        patience: Patience | None = None,
    ) -> Answer:
        call = _Call(
            method="POST",
            path=path,
            body=body.model_dump_json(exclude_defaults=True).encode(),
            idempotency_key=idempotency_key,
            wait_seconds=wait_seconds,
        )
        return self._ask(call, answer, patience)

    def _ask(self, call: _Call, answer: type[Answer], patience: Patience | None = None) -> Answer:
        status, body = self._send_patiently(call, patience or self._patience)
        try:
            return answer.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the body"
            raise NotARelay(
                self.url, status=status, why=f"{call.path}: {where}: {first['msg']}"
            ) from error

    def _send_patiently(self, call: _Call, patience: Patience) -> tuple[int, bytes]:
        began = self._monotonic()
        attempt = 1
        may_sign_again = True
        while True:
            try:
                return self._send(call)
            except RelayError as error:
                if isinstance(error, Refused) and error.code in _SIGN_AGAIN and may_sign_again:
                    may_sign_again = False
                    continue
                if error.permanent or attempt >= patience.attempts:
                    raise
                pause = patience.pause(
                    attempt,
                    retry_after=error.retry_after if isinstance(error, Refused) else None,
                    chance=self._chance(),
                )
                if self._monotonic() - began + pause > patience.seconds:
                    raise
                logger.info(
                    "%s %s failed (%s), trying again in %.1f s",
                    call.method,
                    urlsplit(call.path).path,
                    type(error).__name__,
                    pause,
                )
                self._sleep(pause)
                attempt += 1

    def _send(self, call: _Call) -> tuple[int, bytes]:
        """One sending, freshly signed. The status and body of a good answer."""
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

    def _read(self, response: requests.Response, call: _Call) -> bytes:
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

    def _judge(self, call: _Call, response: requests.Response, body: bytes) -> tuple[int, bytes]:
        status = response.status_code
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if 200 <= status < 300 and kind == "application/json":
            return status, body
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


def parse_retry_after(text: str | None, *, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for (a number or a date), or None if it says nothing.

    Never negative and never more than a day: a stranger's header must not put us to sleep.
    """
    if not text:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        # Before int(): a digit string of any length is an answer, a huge one just means a day.
        return MAX_RETRY_AFTER if len(text) > 9 else min(float(text), MAX_RETRY_AFTER)
    try:
        instant = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    try:
        seconds = (instant - now).total_seconds()
    except OverflowError:
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


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
