"""Turn rows into jobs, for every caller: which rows are checked, and what the others are told.

``judge_row`` decides, row by row and without I/O. ``prepare`` writes ids, skips and faults into the
source in one go before anything is submitted; ``jobs`` then yields what is to be checked.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256

from pydantic import ValidationError

from connector.errors import Interrupted
from connector.seen import Seen
from connector.source import Cells, Row, Source
from wire import expected_domain, ids, times
from wire.errors import Malformed
from wire.models import JobRequest, RefreshOrder, SubmitRequest
from wire.ready_for_ads import DEFAULT_MAX_AGE
from wire.urls import UrlError, check_link
from wire.vocab import (
    STATUS_OF,
    CheckStatus,
    Conclusion,
    JobStatus,
    RefreshScope,
    check_status,
)

PAUSED = "paused"
BATCH_JOBS = 500
BATCH_BYTES = 900_000  # below the relay's 1 MiB, with room for the envelope

_CHECKED = frozenset({JobStatus.DONE, JobStatus.FAILED, JobStatus.INVALID})


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """This row becomes *job*."""

    job: JobRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    """This row is not checked, and its cells say why."""

    conclusion: Conclusion
    sentence: str

    @property
    def cells(self) -> Cells:
        """What is written: never ``final_url`` or ``last_checked``, which are of the last check."""
        status = STATUS_OF[self.conclusion]
        says = check_status(status, self.conclusion)
        is_skip = says is CheckStatus.SKIPPED
        return {
            "check_status": says,
            "conclusion": self.conclusion,
            "error": "" if is_skip else self.sentence,
            "skip_reason": self.sentence if is_skip else "",
            "ready_for_ads": False,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """This row is not checked and nothing is written."""

    conclusion: Conclusion


@dataclass(frozen=True, slots=True, kw_only=True)
class PassBy:
    """Nobody asked about this row: it is not judged at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Under which terms rows are judged, and which rows are meant at all.

    *scope* ``failed`` means rows whose ``check_status`` says failed, ``rows`` those of *row_ids*.
    *only_stale*: rows checked more recently are left.
    """

    source_id: str
    now: datetime
    scope: RefreshScope = RefreshScope.ALL
    only_stale: timedelta | None = None
    row_ids: frozenset[str] = frozenset()
    refresh_id: str | None = None


def terms_of(order: RefreshOrder, *, source_id: str, now: datetime) -> Terms:
    """The terms of a refresh that the relay ordered."""
    is_stale = order.scope is RefreshScope.STALE
    return Terms(
        source_id=source_id,
        now=now,
        scope=order.scope,
        only_stale=_age_of(order) if is_stale else None,
        row_ids=frozenset(order.row_ids),
        refresh_id=order.refresh_id,
    )


def _age_of(order: RefreshOrder) -> timedelta:
    if order.max_age_seconds is None:
        return DEFAULT_MAX_AGE
    return timedelta(seconds=order.max_age_seconds)


def judge_row(row: Row, terms: Terms, *, is_duplicate: bool) -> Check | Tell | Leave | PassBy:
    """What is to happen with *row*. A pause outlives everything else that may be wrong."""
    if not _is_meant(row, terms):
        return PassBy()
    if row.fault:
        return Tell(conclusion=Conclusion.INVALID_URL, sentence=f"this row is {row.fault}")
    if _is_paused(row):
        return Tell(
            conclusion=Conclusion.PAUSED_BY_OPERATOR,
            sentence="paused; clear check_status and conclusion to resume",
        )
    if is_duplicate:
        return Tell(
            conclusion=Conclusion.DUPLICATE_ROW_ID,
            sentence=f"row_id {row.row_id} stands in several rows; give each its own",
        )
    if not row.tracking_url:
        return Tell(conclusion=Conclusion.INVALID_URL, sentence="the link is blank")
    try:
        check_link(row.tracking_url)
    except UrlError as error:
        return Tell(conclusion=Conclusion(error.code), sentence=error.detail)
    try:
        expected_domain.parse(row.expected_domain)
        job = JobRequest(
            tracking_url=row.tracking_url,
            source_id=terms.source_id,
            # A row that gets its id in the same go is judged without one first.
            row_id=row.row_id or None,
            expected_domain=row.expected_domain,
            offer_name=row.offer_name,
            previous_final_url=_link_or_none(row.final_url),
            refresh_id=terms.refresh_id,
        )
    except Malformed as error:
        return Tell(conclusion=Conclusion.INVALID_URL, sentence=str(error))
    except ValidationError as error:
        return Tell(conclusion=Conclusion.INVALID_URL, sentence=_first_fault(error))
    if _is_fresh(row, terms):
        return Leave(conclusion=Conclusion.FRESH_ENOUGH)
    return Check(job=job)


def _is_meant(row: Row, terms: Terms) -> bool:
    match terms.scope:
        case RefreshScope.FAILED:
            return row.check_status.strip().casefold() == CheckStatus.FAILED
        case RefreshScope.ROWS:
            return row.row_id in terms.row_ids
        case _:
            return True


def _is_paused(row: Row) -> bool:
    return (
        row.check_status.strip().casefold() == PAUSED
        or row.conclusion.strip() == Conclusion.PAUSED_BY_OPERATOR
    )


def _is_fresh(row: Row, terms: Terms) -> bool:
    """Whether the last answer is a check's (not a skip's) and young enough."""
    if terms.only_stale is None:
        return False
    try:
        status = STATUS_OF[Conclusion(row.conclusion.strip())]
        age = terms.now - times.from_text(row.last_checked)
    except (ValueError, Malformed):
        return False
    return status in _CHECKED and age < terms.only_stale


def _link_or_none(text: str) -> str | None:
    try:
        check_link(text)
    except UrlError:
        return None
    return text


def _first_fault(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "row"
    return f"{where}: {first['msg']}"


@dataclass(slots=True, kw_only=True)
class Tally:
    """What intake found: *rows*, *to_check* of them, the rest by conclusion; which ids it saw.

    *passed_by* rows are not of the scope; *missing* are ids that were named and stand nowhere.
    """

    rows: int = 0
    to_check: int = 0
    ids_given: int = 0
    passed_by: int = 0
    told: Counter[Conclusion] = field(default_factory=Counter)
    left: Counter[Conclusion] = field(default_factory=Counter)
    missing: tuple[str, ...] = ()
    seen: Seen = field(default_factory=Seen)

    @property
    def meant(self) -> int:
        """How many rows the scope covers, those that are not there included."""
        return self.rows - self.passed_by + len(self.missing)

    @property
    def not_submitted(self) -> dict[Conclusion, int]:
        """How many of the rows that were meant become no job, and why."""
        counts = self.told + self.left
        if self.missing:
            counts[Conclusion.ROW_MISSING] += len(self.missing)
        return dict(counts)


class _Intake:
    """One reading of all rows: first which ids stand twice, then what each row is told."""

    def __init__(self, terms: Terms, stop: threading.Event) -> None:
        self._terms = terms
        self._stop = stop
        self._given: set[str] = set()
        self.tally = Tally()

    def survey(self, row: Row) -> None:
        self._go_on()
        if row.row_id:
            self.tally.seen.add(row.row_id)

    def decide(self, row: Row) -> Cells | None:
        self._go_on()
        tally = self.tally
        is_duplicate = tally.seen.is_twice(row.row_id)
        verdict = judge_row(row, self._terms, is_duplicate=is_duplicate)
        tally.rows += 1
        cells: dict[str, str | bool] = {}
        match verdict:
            case PassBy():
                tally.passed_by += 1
                return None
            case Leave(conclusion=conclusion):
                tally.left[conclusion] += 1
            case Tell() as told:
                tally.told[told.conclusion] += 1
                cells.update(told.cells)
            case Check():
                tally.to_check += 1
        if not row.row_id and row.tracking_url and not row.fault:
            cells["row_id"] = self._new_id()
            tally.ids_given += 1
        return cells or None

    def _go_on(self) -> None:
        # Raised in mid-revision, so that the source puts down nothing of it.
        if self._stop.is_set():
            raise Interrupted

    def _new_id(self) -> str:
        while (row_id := ids.new_row_id()) in self.tally.seen or row_id in self._given:
            pass
        self._given.add(row_id)
        return row_id


def prepare(source: Source, terms: Terms, *, stop: threading.Event | None = None) -> Tally:
    """Give ids, and tell every row that is meant and not checked why; all in one go.

    Raises ConnectorError when the source cannot be read or written, and Interrupted, with nothing
    written, when *stop* is set meanwhile.
    """
    stopped = stop or threading.Event()
    last: list[_Intake] = []

    def begin() -> _Intake:
        last[:] = [_Intake(terms, stopped)]
        return last[0]

    source.revise(begin)
    tally = last[0].tally
    tally.missing = tuple(sorted(each for each in terms.row_ids if each not in tally.seen))
    return tally


def jobs(source: Source, terms: Terms, *, seen: Seen) -> Iterator[JobRequest]:
    """The jobs of the rows as they stand now. A row without an id (added meanwhile) waits."""
    for batch in source.read():
        for row in batch:
            verdict = judge_row(row, terms, is_duplicate=seen.is_twice(row.row_id))
            if isinstance(verdict, Check) and row.row_id:
                yield verdict.job


def batches(
    jobs: Iterable[JobRequest], *, max_jobs: int = BATCH_JOBS, max_bytes: int = BATCH_BYTES
) -> Iterator[list[JobRequest]]:
    """Cut *jobs* into requests that the relay takes: by number, by size, no row twice in one."""
    batch: list[JobRequest] = []
    rows: set[str | None] = set()
    size = 0
    for job in jobs:
        weight = len(job.model_dump_json(exclude_defaults=True).encode()) + 1
        if batch and (len(batch) >= max_jobs or size + weight > max_bytes or job.row_id in rows):
            yield batch
            batch, rows, size = [], set(), 0
        batch.append(job)
        rows.add(job.row_id)
        size += weight
    if batch:
        yield batch


def idempotency_key(refresh_id: str, batch: list[JobRequest]) -> str:
    """The same batch of the same refresh has the same key, in whichever process it is sent."""
    body = SubmitRequest(jobs=batch).model_dump_json(exclude_defaults=True).encode()
    return f"{refresh_id}.{sha256(body).hexdigest()[:32]}"
