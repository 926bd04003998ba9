"""The main job: a file's rows become signed jobs, our own agent works them, rows come back."""

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from pathlib import Path
from typing import Protocol, Self

from connector import intake
from connector.csv_file import CsvFile
from connector.errors import AlreadyRunning, RelayNotStarted, UnsupportedFile
from connector.intake import Tally, Terms
from connector.locks import try_lock
from connector.own_agent import Errand, NotWritten, OwnAgent
from connector.own_relay import OwnRelay
from connector.registry import Registry
from connector.relay_client import Refused, RelayClient, RelayError
from wire import ids
from wire.models import JobRequest, RefreshProgress
from wire.signing import Credentials
from wire.vocab import Conclusion, Writeback

_POLL_SECONDS = 0.25
_PATIENCE_SECONDS = 600.0
_MAX_RESTARTS = 5

_UNFINISHED = frozenset({Conclusion.CANCELED, Conclusion.SUPERSEDED, Conclusion.JOB_EXPIRED})
_UNWRITTEN = frozenset(
    {Writeback.CONFLICT, Writeback.MISSING, Writeback.DUPLICATE, Writeback.FAILED}
)


class Exit(IntEnum):
    """How ``linkrow run`` ends."""

    OK = 0  # every row has its ending, in its row where one is written
    BAD_INPUT = 2  # the file or an option cannot be used; nothing was submitted
    UNFINISHED = 3  # a row could not be written, expired, was canceled or is unfinished
    REFUSED = 4  # the relay is not there, is none, or refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What ``linkrow run`` was asked to do."""

    file: Path
    home: Path
    relay: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    only_stale: timedelta | None = None
    allow_private: tuple[str, ...] = ()
    cafile: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How a run went. Durations are of one link's walk, in milliseconds."""

    file: Path
    source_id: str
    refresh_id: str
    relay: str
    rows: int
    submitted: int
    finished: int
    by_conclusion: Mapping[Conclusion, int]
    by_writeback: Mapping[Writeback, int]
    not_written: tuple[NotWritten, ...]
    p50_ms: int | None
    p95_ms: int | None
    seconds: float
    trouble: str = ""
    refusal: RelayError | None = None

    @property
    def exit(self) -> Exit:
        """OK only when nothing is missing anywhere."""
        if self.refusal is not None:
            return Exit.REFUSED
        if self.trouble or self.finished < self.submitted:
            return Exit.UNFINISHED
        if any(self.by_conclusion.get(conclusion) for conclusion in _UNFINISHED):
            return Exit.UNFINISHED
        if any(self.by_writeback.get(state) for state in (*_UNWRITTEN, Writeback.PENDING)):
            return Exit.UNFINISHED
        return Exit.OK


class Screen(Protocol):
    """Where a person watches. Every method may do nothing."""

    def stage(self, text: str) -> None:
        """What is being done now."""

    def begin(self, total: int) -> None:
        """*total* rows will be checked."""

    def advance(self, settled: int, *, finished: int, text: str = "") -> None:
        """*settled* rows are finished and written, *finished* of them at least concluded."""

    def end(self) -> None:
        """Nothing moves any more."""


def run(
    options: Options,
    *,
    environ: Mapping[str, str],
    screen: Screen,
    stop: threading.Event,
    clock: Callable[[], float] = time.monotonic,
) -> Summary:
    """Check every row of a file and write the answers into it.

    *stop* ends the run early: what is finished is written, the rest stays for the next run.
    Raises ConnectorError for a file that cannot be used and RelayError when the relay is not
    there or refuses; nothing was submitted then.
    """
    began = clock()
    with ExitStack() as stack:
        path = _usable(options.file)
        source_id = Registry(options.home).source_id_for(path)
        lock = options.home / "runs" / f"{source_id}.lock"
        if not stack.enter_context(try_lock(lock)):
            raise AlreadyRunning(path)
        source = CsvFile(path, source_id=source_id, columns=options.columns)
        source.check()

        screen.stage("starting the relay" if options.relay is None else "asking the relay")
        link = stack.enter_context(_RelayLink(options, environ=environ))
        link.check()

        screen.stage("reading rows")
        now = datetime.now(UTC)
        terms = Terms(
            source_id=source_id,
            now=now,
            only_stale=options.only_stale,
            refresh_id=ids.new_refresh_id(now),
        )
        tally = intake.prepare(source, terms)
        course = _Course(options, source, terms, tally, link, environ, screen, stop, clock)
        course.follow()
        return course.summary(seconds=clock() - began)


def _usable(file: Path) -> Path:
    """The file's real path; a kind that is no table of rows is refused with what to do."""
    kind = file.suffix.lower()
    if kind in {".xlsx", ".xlsm", ".xls", ".ods"}:
        raise UnsupportedFile(file, "export the sheet as CSV and run that file")
    return Path(os.path.realpath(file))


class _RelayLink:
    """The way to the relay, given or our own, and back to it after it was gone."""

    def __init__(self, options: Options, *, environ: Mapping[str, str]) -> None:
        self._options = options
        self._environ = environ
        self._held = ExitStack()
        self._own: OwnRelay | None = None
        self.url = ""
        self._client: RelayClient | None = None
        self.credentials = Credentials(key_id="", secret="")

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self._held.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._client:
            self._client.close()
        self._held.close()

    def _open(self) -> None:
        given = credentials_from(self._environ)
        if self._options.relay is not None:
            if given is None:
                given = _saved_credentials(self._options.home)
            self.credentials = given
            self._connect(self._options.relay)
            return
        if sys.platform == "win32":
            raise RelayNotStarted(
                "the relay runs on Linux and macOS; name one that is up: --relay URL"
            )
        self._own = self._held.enter_context(
            OwnRelay(self._options.home, environ=self._environ, is_up=_answers)
        )
        url = self._own.ensure()
        self.credentials = given or self._own.credentials()
        self._connect(url)

    def _connect(self, url: str) -> None:
        if self._client:
            self._client.close()
        self.url = url
        self._client = RelayClient(url, self.credentials)

    @property
    def client(self) -> RelayClient:
        """The present client; it changes when the relay comes back elsewhere."""
        assert self._client is not None
        return self._client

    def check(self) -> None:
        """One signed call, so that a wrong key is known before anything is written."""
        self.client.jobs(limit=1)

    def revive(self) -> bool:
        """Bring our own relay back if it is gone. Whether there is one to talk to."""
        if self._own is None:
            return _answers(self.url)
        try:
            url = self._own.ensure()
        except RelayNotStarted:
            return False
        if url != self.url:
            self._connect(url)
        return True


def _answers(url: str) -> bool:
    client = RelayClient(url, Credentials(key_id="", secret=""))
    try:
        return client.health()
    except RelayError:
        return False
    finally:
        client.close()


def credentials_from(environ: Mapping[str, str]) -> Credentials | None:
    """The device key that the environment names, if it names one."""
    key, secret = environ.get("LINKROW_DEVICE_KEY"), environ.get("LINKROW_DEVICE_SECRET")
    return Credentials(key_id=key, secret=secret) if key and secret else None


def _saved_credentials(home: Path) -> Credentials:
    return OwnRelay(home, environ={}, is_up=lambda url: False).credentials()


def _is_over_for_today(error: RelayError) -> bool:
    """A full queue drains while we wait; a daily quota does not."""
    return isinstance(error, Refused) and error.code == "quota_exceeded"


class _Submitter(threading.Thread):
    """Sends the jobs, batch by batch, for as long as that takes: a full queue is waited for."""

    def __init__(
        self, source: CsvFile, terms: Terms, tally: Tally, link: _RelayLink, stop: threading.Event
    ) -> None:
        super().__init__(name="submitter", daemon=True)
        self._source = source
        self._terms = terms
        self._tally = tally
        self._link = link
        self._stop_event = stop
        self.submitted = 0
        self.error: Exception | None = None
        self.waits_for = ""

    def run(self) -> None:
        try:
            jobs = intake.jobs(self._source, self._terms, seen=self._tally.seen)
            for batch in intake.batches(jobs):
                if not self._send(batch):
                    return
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits for us
            self.error = error

    def _send(self, batch: list[JobRequest]) -> bool:
        assert self._terms.refresh_id
        key = intake.idempotency_key(self._terms.refresh_id, batch)
        while not self._stop_event.is_set():
            try:
                self._link.client.submit(batch, idempotency_key=key)
            except RelayError as error:
                if error.permanent or _is_over_for_today(error):
                    raise
                self.waits_for = str(error)
                pause = error.retry_after if isinstance(error, Refused) else None
                self._stop_event.wait(min(pause or 1.0, 5.0))
            else:
                self.submitted += len(batch)
                self.waits_for = ""
                return True
        return False


class _Course:
    """One run under way: the submitter, the agent and what the relay says of both."""

    def __init__(
        self,
        options: Options,
        source: CsvFile,
        terms: Terms,
        tally: Tally,
        link: _RelayLink,
        environ: Mapping[str, str],
        screen: Screen,
        stop: threading.Event,
        clock: Callable[[], float],
    ) -> None:
        self._options = options
        self._source = source
        self._terms = terms
        self._tally = tally
        self._link = link
        self._environ = environ
        self._screen = screen
        self._stop = stop
        self._clock = clock
        self._submitter = _Submitter(source, terms, tally, link, stop)
        self._walk_ms: Counter[int] = Counter()
        self._not_written: list[NotWritten] = []
        self._progress: RefreshProgress | None = None
        self._restarts = 0
        self._trouble = ""
        self._agent: OwnAgent | None = None

    def follow(self) -> None:
        """Until every row is settled, or nothing can be done any more."""
        if not self._tally.to_check:
            return
        self._screen.stage("checking links")
        self._screen.begin(self._tally.to_check)
        self._start_agent()
        self._submitter.start()
        try:
            self._watch()
        finally:
            self._stop.set()
            self._submitter.join(30)
            self._end_agent()
            self._refresh_progress()
            self._screen.end()

    def _watch(self) -> None:
        last: tuple[int, int, int] | None = None
        changed = self._clock()
        while not self._stop.wait(_POLL_SECONDS):
            self._refresh_progress()
            self._raise_if_nothing_was_taken()
            settled, finished, submitted = self._figures()
            self._screen.advance(settled, finished=finished, text=self._submitter.waits_for)
            if self._is_over(settled=settled):
                return
            if (settled, finished, submitted) != last:
                last, changed = (settled, finished, submitted), self._clock()
            elif self._clock() - changed > _PATIENCE_SECONDS:
                self._trouble = "nothing moved for 10 minutes"
                return
            if not self._keep_agent():
                return
        self._trouble = "stopped before the end; run again to go on"

    def _raise_if_nothing_was_taken(self) -> None:
        """A refusal of the very first batch ends the run; later ones let finish what was taken."""
        submitter = self._submitter
        if submitter.error is None or submitter.is_alive():
            return
        if submitter.submitted == 0 or not isinstance(submitter.error, RelayError):
            raise submitter.error

    def _figures(self) -> tuple[int, int, int]:
        """Rows settled (finished, and written where they are written), finished, submitted."""
        progress = self._progress
        if progress is None:
            return 0, 0, 0
        pending = progress.by_writeback.get(Writeback.PENDING, 0)
        return progress.finished - pending, progress.finished, progress.submitted

    def _is_over(self, *, settled: int) -> bool:
        if self._submitter.is_alive():
            return False
        return settled >= self._submitter.submitted

    def _refresh_progress(self) -> None:
        assert self._terms.refresh_id
        try:
            progress = self._link.client.progress(self._terms.source_id, self._terms.refresh_id)
        except RelayError as error:
            if not error.permanent:
                self._link.revive()
            return
        if progress is not None:
            self._progress = progress

    def _start_agent(self) -> None:
        errand = Errand(
            file=self._source.path,
            source_id=self._terms.source_id,
            columns=self._options.columns,
            allow_private=self._options.allow_private,
            cafile=self._options.cafile,
        )
        self._agent = OwnAgent(
            errand,
            relay=self._link.url,
            credentials=self._link.credentials,
            home=self._options.home,
            environ=self._environ,
        )

    def _keep_agent(self) -> bool:
        """A dead agent is started again, and one that looks for the relay elsewhere moved."""
        agent = self._agent
        assert agent is not None
        if agent.is_running and agent.relay == self._link.url:
            return True
        if not agent.is_running:
            self._restarts += 1
            if self._restarts > _MAX_RESTARTS:
                self._trouble = f"the agent keeps ending: {agent.last_words or agent.exit_code}"
                return False
        self._end_agent()
        self._start_agent()
        return True

    def _end_agent(self) -> None:
        agent, self._agent = self._agent, None
        if agent is None:
            return
        agent.stop()
        self._walk_ms += agent.walk_ms
        self._not_written += agent.not_written

    def summary(self, *, seconds: float) -> Summary:
        """What to say at the end."""
        progress = self._progress
        by_conclusion = Counter(self._tally.told) + Counter(self._tally.left)
        if progress:
            by_conclusion.update(progress.by_conclusion)
        assert self._terms.refresh_id
        return Summary(
            file=self._source.path,
            source_id=self._terms.source_id,
            refresh_id=self._terms.refresh_id,
            relay=self._link.url,
            rows=self._tally.rows,
            submitted=max(self._submitter.submitted, progress.submitted if progress else 0),
            finished=progress.finished if progress else 0,
            by_conclusion=by_conclusion,
            by_writeback=progress.by_writeback if progress else {},
            not_written=tuple(self._not_written),
            p50_ms=_percentile(self._walk_ms, 0.50),
            p95_ms=_percentile(self._walk_ms, 0.95),
            seconds=seconds,
            trouble=self._trouble,
            refusal=error if isinstance(error := self._submitter.error, RelayError) else None,
        )


def _percentile(counts: Counter[int], share: float) -> int | None:
    """The smallest value that at least *share* of all values do not exceed."""
    total = counts.total()
    if not total:
        return None
    passed = 0
    for value in sorted(counts):
        passed += counts[value]
        if passed >= share * total:
            return value
    return max(counts)
