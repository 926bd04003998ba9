"""What callers and agents ask of a relay: each call typed, repeated where repeating is safe."""

import logging
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import quote, urlencode, urlsplit

from pydantic import BaseModel, ValidationError

from connector.patience import ONCE, USUAL, Patience
from connector.relay_errors import NotARelay, Refused, RelayError
from connector.relay_http import Call, RelayHttp, SessionFactory, new_session
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
from wire.signing import Credentials
from wire.source_models import (
    RefreshAnswer,
    RefreshesAnswer,
    RefreshesRequest,
    RefreshList,
    RefreshRequest,
    SourceAnswer,
    SourceList,
    SourcePatch,
    SourceRequest,
)

# Refusals that only mean "sign again": somebody between us repeated the bytes, or the machine
# slept between signing and sending.
_SIGN_AGAIN = frozenset({"nonce_replayed", "stale_timestamp"})
_NOT_HEARD_OF = frozenset({"not_found", "unknown_source"})

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer", bound=BaseModel)


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
        patience: Patience = USUAL,
        session_factory: SessionFactory = new_session,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._http = RelayHttp(
            base_url,
            credentials,
            session_factory=session_factory,
            clock=clock,
            monotonic=monotonic,
        )
        self.url = self._http.url
        self._patience = patience
        self._monotonic = monotonic
        self._sleep = sleep
        self._chance = chance

    def __repr__(self) -> str:
        return f"RelayClient({self.url!r}, key {self._http.key_id!r})"

    def close(self) -> None:
        """Close the connections of every thread."""
        self._http.close()

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
        return self._ask(Call(method="GET", path=path, wait_seconds=wait), JobAnswer)

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
        path = "/v1/jobs" + _query(
            source_id=source_id,
            row_id=row_id,
            status=status,
            conclusion=conclusion,
            refresh_id=refresh_id,
            limit=limit,
            cursor=cursor,
        )
        return self._ask(Call(method="GET", path=path), JobList)

    def cancel(self, job_id: str) -> JobAnswer:
        """End a job that has not ended. Refused with ``already_final`` when it has."""
        return self._ask(
            Call(method="POST", path=f"/v1/jobs/{quote(job_id, safe='')}/cancel"), JobAnswer
        )

    # What callers ask of sources.

    def refresh(
        self, source_id: str, ask: RefreshRequest, *, idempotency_key: str
    ) -> RefreshAnswer:
        """Have the rows of a source checked. Sent again, it is the same refresh."""
        path = f"{_source(source_id)}/refresh"
        return self._post(path, ask, RefreshAnswer, idempotency_key)

    def progress(
        self,
        source_id: str,
        refresh_id: str,
        *,
        wait: int = 0,
        patience: Patience | None = None,
    ) -> RefreshProgress | None:
        """How far a refresh is, or None when the relay has not heard of it.

        With *wait* (≤ 25 s) not before it is over, or that time is.
        """
        query = f"?wait={wait}" if wait else ""
        call = Call(
            method="GET", path=f"{_refresh(source_id, refresh_id)}{query}", wait_seconds=wait
        )
        try:
            return self._ask(call, RefreshProgress, patience)
        except Refused as error:
            if error.code in _NOT_HEARD_OF:
                return None
            raise

    def refreshes(
        self, source_id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> RefreshList:
        """One page of a source's refreshes, newest first."""
        path = f"{_source(source_id)}/refreshes" + _query(limit=limit, cursor=cursor)
        return self._ask(Call(method="GET", path=path), RefreshList)

    def cancel_refresh(self, source_id: str, refresh_id: str) -> RefreshProgress:
        """End a refresh and its jobs. Refused with ``already_final`` when it is over."""
        path = f"{_refresh(source_id, refresh_id)}/cancel"
        return self._ask(Call(method="POST", path=path), RefreshProgress)

    def sources(self, *, limit: int | None = None, cursor: str | None = None) -> SourceList:
        """One page of the account's sources, newest first."""
        return self._ask(
            Call(method="GET", path="/v1/sources" + _query(limit=limit, cursor=cursor)), SourceList
        )

    def source(self, source_id: str) -> SourceAnswer | None:
        """One source, or None when the account has none of this id."""
        try:
            return self._ask(Call(method="GET", path=_source(source_id)), SourceAnswer)
        except Refused as error:
            if error.code in _NOT_HEARD_OF:
                return None
            raise

    def make_source(self, ask: SourceRequest) -> SourceAnswer:
        """Make a source known; one that is known already stays, and answers."""
        return self._post("/v1/sources", ask, SourceAnswer)

    def patch_source(self, source_id: str, ask: SourcePatch) -> SourceAnswer:
        """Change what a source is called, how old answers may be, or whether it is paused."""
        body = ask.model_dump_json(exclude_defaults=True).encode()
        call = Call(method="PATCH", path=_source(source_id), body=body)
        return self._ask(call, SourceAnswer)

    def delete_source(self, source_id: str) -> None:
        """Forget a source; its running refresh is canceled."""
        call = Call(method="DELETE", path=_source(source_id))
        self._send_patiently(call, self._patience)

    def health(self) -> bool:
        """True when a relay answers here; asked once, unsigned. Raises RelayError otherwise."""
        call = Call(method="GET", path="/healthz", is_signed=False)
        self._http.send(call)
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

    def report_refreshes(self, ask: RefreshesRequest) -> RefreshesAnswer:
        """Say how far the reading of sources is. A repeated report is a ``duplicate``."""
        return self._post("/v1/agent/refreshes", ask, RefreshesAnswer)

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
        call = Call(
            method="POST",
            path=path,
            body=body.model_dump_json(exclude_defaults=True).encode(),
            idempotency_key=idempotency_key,
            wait_seconds=wait_seconds,
        )
        return self._ask(call, answer, patience)

    def _ask(self, call: Call, answer: type[Answer], patience: Patience | None = None) -> Answer:
        status, body = self._send_patiently(call, patience or self._patience)
        try:
            return answer.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the body"
            raise NotARelay(
                self.url, status=status, why=f"{call.path}: {where}: {first['msg']}"
            ) from error

    def _send_patiently(self, call: Call, patience: Patience) -> tuple[int, bytes]:
        began = self._monotonic()
        attempt = 1
        may_sign_again = True
        while True:
            try:
                return self._http.send(call)
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


def _source(source_id: str) -> str:
    return f"/v1/sources/{quote(source_id, safe='')}"


def _refresh(source_id: str, refresh_id: str) -> str:
    return f"{_source(source_id)}/refreshes/{quote(refresh_id, safe='')}"


def _query(**given: str | int | None) -> str:
    """What is given, as the query of an address; nothing when nothing is."""
    query = urlencode({name: value for name, value in given.items() if value is not None})
    return f"?{query}" if query else ""
