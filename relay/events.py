"""What happened to jobs, as scripts append it to the outcome stream and the recorder reads it.

A request and an outcome were judged when they came in and were written down by us. They are carried
into the books as they stand: to judge them again costs the recorder more than all else it does.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from wire.models import RefreshOrder
from wire.source_models import DEFAULT_MAX_AGE_SECONDS
from wire.vocab import (
    FINAL_STATUSES,
    Conclusion,
    JobStatus,
    RefreshState,
    SourceKind,
    Writeback,
)

STREAM: Final = "linkrow:outcomes"
GROUP: Final = "recorder"
_write: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_END_OF_TIME: Final = 253_402_300_800  # the year 10000, in unix seconds


class UnreadableEvent(Exception):
    """An entry of the stream is not what our scripts write; *why* says what is wrong with it."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmittedJob:
    """One job of an admission; *request* is JSON of ``wire.models.JobRequest``."""

    job_id: str
    request: str
    source_id: str | None
    row_id: str | None
    refresh_id: str | None
    previous_final_url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A signed request became jobs. *at* is unix seconds on Redis' clock."""

    account_id: str
    key_id: str
    device_id: str | None
    timestamp: int
    nonce: str
    body_sha256: str
    at: float
    jobs: tuple[AdmittedJob, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalEvent:
    """A job ended; *outcome* is JSON of ``wire.models.Outcome``, empty where it has none."""

    job_id: str
    account_id: str
    at: float
    status: JobStatus
    conclusion: Conclusion
    outcome: str
    final_url: str | None
    destination_changed: bool | None
    skip_reason: str
    attempts: int
    device_id: str | None
    writeback: Writeback


@dataclass(frozen=True, slots=True, kw_only=True)
class WritebackEvent:
    """What became of the job's row."""

    job_id: str
    account_id: str
    at: float
    writeback: Writeback
    detail: str
    device_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceEvent:
    """A source id was seen for the first time."""

    source_id: str
    account_id: str
    at: float
    device_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedEvent:
    """Jobs that had not ended serve one more refresh each; *joins* are (job id, refresh id)."""

    account_id: str
    at: float
    joins: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AboutEvent:
    """What is said of a source now, whole."""

    source_id: str
    account_id: str
    at: float
    kind: SourceKind | None
    name: str
    max_age_seconds: int
    paused: bool
    device_id: str | None
    deleted_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenEvent:
    """An agent said that it serves *sources*."""

    account_id: str
    at: float
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedEvent:
    """A signed request became a refresh; *order* is JSON of ``wire.models.RefreshOrder``."""

    refresh_id: str
    account_id: str
    source_id: str
    job_id: str
    order: str
    at: float
    expires_at: float
    key_id: str
    device_id: str | None
    timestamp: int
    nonce: str
    body_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshEvent:
    """A refresh went on or ended. *not_submitted* and *counts* are JSON objects of numbers."""

    refresh_id: str
    account_id: str
    job_id: str
    at: float
    state: RefreshState
    rows: int | None
    not_submitted: str
    error_code: str
    error_detail: str
    counts: str


Event = (
    Admitted
    | FinalEvent
    | WritebackEvent
    | SourceEvent
    | JoinedEvent
    | AboutEvent
    | SeenEvent
    | AskedEvent
    | RefreshEvent
)


def decode(fields: Mapping[bytes, bytes]) -> Event:
    """One stream entry. Raises UnreadableEvent, whatever the bytes are."""
    try:
        text = {name.decode(): value.decode() for name, value in fields.items()}
        match text["type"]:
            case "admitted":
                return _admitted(text)
            case "final":
                return _final(text)
            case "writeback":
                return WritebackEvent(
                    job_id=text["job_id"],
                    account_id=text["account_id"],
                    at=_seconds(text["at"]),
                    writeback=Writeback(text["writeback"]),
                    detail=text["detail"],
                    device_id=text["device_id"] or None,
                )
            case "source":
                return SourceEvent(
                    source_id=text["source_id"],
                    account_id=text["account_id"],
                    at=_seconds(text["at"]),
                    device_id=text["device_id"] or None,
                )
            case "joined":
                return JoinedEvent(
                    account_id=text["account_id"],
                    at=_seconds(text["at"]),
                    joins=tuple(
                        (str(job_id), str(refresh_id))
                        for job_id, refresh_id in json.loads(text["joins"])
                    ),
                )
            case "about":
                return _about(text)
            case "seen":
                return SeenEvent(
                    account_id=text["account_id"],
                    at=_seconds(text["at"]),
                    sources=tuple(str(source_id) for source_id in json.loads(text["sources"])),
                )
            case "asked":
                return _asked(text)
            case "refresh":
                return _refresh(text)
            case other:
                raise UnreadableEvent(f"no such type: {other[:40]!r}")
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        # pydantic's ValidationError and UnicodeDecodeError are ValueErrors
        raise UnreadableEvent(f"{type(error).__name__}: {str(error)[:200]}") from error


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < _END_OF_TIME:  # also false for nan
        raise UnreadableEvent(f"no time: {text[:40]!r}")
    return seconds


def _admitted(text: Mapping[str, str]) -> Admitted:
    return Admitted(
        account_id=text["account_id"],
        key_id=text["key_id"],
        device_id=text["device_id"] or None,
        timestamp=int(text["timestamp"]),
        nonce=text["nonce"],
        body_sha256=text["body_sha256"],
        at=_seconds(text["at"]),
        jobs=tuple(
            admitted_job(str(job["job_id"]), job["request"]) for job in json.loads(text["jobs"])
        ),
    )


def admitted_job(job_id: str, request: Mapping[str, object]) -> AdmittedJob:
    """A job by what was asked. Raises UnreadableEvent for what is no request."""
    _text(request["tracking_url"])
    return AdmittedJob(
        job_id=job_id,
        request=_write(request),
        source_id=_text(request.get("source_id")),
        row_id=_text(request.get("row_id")),
        refresh_id=_text(request.get("refresh_id")),
        previous_final_url=_text(request.get("previous_final_url")),
    )


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise UnreadableEvent(f"no text: {str(value)[:40]}")


def _about(text: Mapping[str, str]) -> AboutEvent:
    return AboutEvent(
        source_id=text["source_id"],
        account_id=text["account_id"],
        at=_seconds(text["at"]),
        kind=SourceKind(text["kind"]) if text["kind"] else None,
        name=text["name"],
        max_age_seconds=int(text["max_age_seconds"] or DEFAULT_MAX_AGE_SECONDS),
        paused=text["paused"] == "1",
        device_id=text["device_id"] or None,
        deleted_at=_seconds(text["deleted_at"]) if text["deleted_at"] else None,
    )


def _asked(text: Mapping[str, str]) -> AskedEvent:
    RefreshOrder.model_validate_json(text["order"])
    return AskedEvent(
        refresh_id=text["refresh_id"],
        account_id=text["account_id"],
        source_id=text["source_id"],
        job_id=text["job_id"],
        order=text["order"],
        at=_seconds(text["at"]),
        expires_at=_seconds(text["expires_at"]),
        key_id=text["key_id"],
        device_id=text["device_id"] or None,
        timestamp=int(text["timestamp"]),
        nonce=text["nonce"],
        body_sha256=text["body_sha256"],
    )


def _refresh(text: Mapping[str, str]) -> RefreshEvent:
    return RefreshEvent(
        refresh_id=text["refresh_id"],
        account_id=text["account_id"],
        job_id=text["job_id"],
        at=_seconds(text["at"]),
        state=RefreshState(text["state"]),
        rows=int(text["rows"]) if text["rows"] else None,
        not_submitted=_numbers(text["not_submitted"]),
        error_code=text["error_code"],
        error_detail=text["error_detail"],
        counts=_numbers(text["counts"]),
    )


def _numbers(text: str) -> str:
    """*text*, if it is what the books can be asked of again."""
    found = json.loads(text)
    if not isinstance(found, dict) or not all(type(each) is int for each in found.values()):
        raise UnreadableEvent(f"no numbers: {text[:40]!r}")
    return text


def _final(text: Mapping[str, str]) -> FinalEvent:
    status = JobStatus(text["status"])
    if status not in FINAL_STATUSES:
        raise UnreadableEvent(f"{status} is no ending")
    outcome = text["outcome"]
    said = json.loads(outcome) if outcome else {}
    return FinalEvent(
        job_id=text["job_id"],
        account_id=text["account_id"],
        at=_seconds(text["at"]),
        status=status,
        conclusion=Conclusion(text["conclusion"]),
        outcome=outcome,
        final_url=_text(said.get("final_url")),
        destination_changed=bool(said.get("destination_changed")) if outcome else None,
        skip_reason=text["skip_reason"],
        attempts=int(text["attempts"]),
        device_id=text["device_id"] or None,
        writeback=Writeback(text["writeback"]),
    )
