"""``/v1/jobs``: submit, read, list, cancel."""

import re
from typing import Final, TypeVar

from flask import Blueprint, Response, g, request

from relay.gate import parse_json, read_jobs
from relay.ledger.ledger import Ledger
from relay.parts import parts
from relay.queue.broker import Broker
from relay.queue.terms import Limits
from relay.refusals import bad_shape, refuse
from relay.views.gates import (
    a_place_to_wait,
    caller,
    json_answer,
    key,
    requires_signature,
    spend_nonce,
)
from wire import ids
from wire.models import MAX_WAIT_SECONDS, JobAnswer, JobList, SubmitAnswer
from wire.signing import IDEMPOTENCY_HEADER, REPLAYED_HEADER
from wire.vocab import FINAL_STATUSES, Conclusion, JobStatus, Scope, Writeback

jobs = Blueprint("jobs", __name__)
jobs.before_request(requires_signature(may={"POST": Scope.JOBS_WRITE, "GET": Scope.JOBS_READ}))

Word = TypeVar("Word", JobStatus, Conclusion)

_JOB_ID = re.compile(ids.JOB_ID)
_ROW_ID: Final = r"[^\x00-\x1f\x7f]{1,255}"
_MAX_PAGE: Final = 1000
_FILTERS: Final = frozenset(
    {"source_id", "row_id", "status", "conclusion", "refresh_id", "limit", "cursor"}
)


@jobs.post("/v1/jobs")
def submit() -> Response:
    """Take jobs, all of them or none."""
    if not g.idempotency_key:
        raise refuse("idempotency_key_missing", f"send an {IDEMPOTENCY_HEADER}, one per submission")
    wanted = read_jobs(parse_json(g.body, request.headers.get("Content-Type", "")))
    plan = key().plan
    admission = parts().broker.admit(
        caller(),
        wanted,
        route="POST /v1/jobs",
        idempotency_key=g.idempotency_key,
        limits=Limits(max_depth=plan.max_depth, rows_per_day=plan.rows_per_day),
    )
    answer = SubmitAnswer(jobs=list(admission.jobs), request_id=g.request_id)
    response = json_answer(answer.model_dump_json(), status=202)
    if admission.replayed:
        response.headers[REPLAYED_HEADER] = "true"
    return response


@jobs.get("/v1/jobs")
def listed() -> Response:
    """The account's jobs, newest first."""
    account_id = spend_nonce().account_id
    asked = _arguments(_FILTERS)
    records, cursor = parts().ledger.jobs(
        account_id,
        source_id=_form(ids.SOURCE_ID, asked.get("source_id"), "source_id"),
        row_id=_form(_ROW_ID, asked.get("row_id"), "row_id"),
        status=_word(JobStatus, asked.get("status"), "status"),
        conclusion=_word(Conclusion, asked.get("conclusion"), "conclusion"),
        refresh_id=_form(ids.REFRESH_ID, asked.get("refresh_id"), "refresh_id"),
        limit=_number(asked.get("limit", "100"), "limit", 1, _MAX_PAGE),
        cursor=asked.get("cursor"),
    )
    # The books lag a moment behind: what is still moving there is read from Redis.
    moving = [
        record.job_id
        for record in records
        if record.status not in FINAL_STATUSES or record.writeback is Writeback.PENDING
    ]
    fresh = parts().broker.jobs(account_id, moving)
    items = [fresh.get(record.job_id) or record.answer() for record in records]
    return json_answer(JobList(items=items, next_cursor=cursor).model_dump_json())


@jobs.get("/v1/jobs/<job_id>")
def one(job_id: str) -> Response:
    """One job; with ``wait``, not before it is final or that time is over."""
    account_id = spend_nonce().account_id
    wait = _number(_arguments({"wait"}).get("wait", "0"), "wait", 0, MAX_WAIT_SECONDS)
    if not wait:
        answer = find(parts().broker, parts().ledger, account_id, job_id, wait=0)
    else:
        with a_place_to_wait() as may_wait:
            answer = find(
                parts().broker, parts().ledger, account_id, job_id, wait=wait if may_wait else 0
            )
    return json_answer(answer.model_dump_json())


@jobs.post("/v1/jobs/<job_id>/cancel")
def cancel(job_id: str) -> Response:
    """End a job that has not ended."""
    account_id = spend_nonce().account_id
    known = find(parts().broker, parts().ledger, account_id, job_id, wait=0)
    answer = parts().broker.cancel(account_id, job_id)
    if answer is None:
        # The books have it and Redis has forgotten it: it ended long ago.
        raise refuse("already_final", f"job {known.job_id} has ended already")
    return json_answer(answer.model_dump_json())


def find(broker: Broker, ledger: Ledger, account_id: str, job_id: str, *, wait: int) -> JobAnswer:
    """A job of the account, in Redis first and in the books after. Refuses what is not there."""
    if not _JOB_ID.fullmatch(job_id):
        raise refuse("not_found", "there is no such job")
    answer = broker.wait_final(account_id, job_id, wait) if wait else broker.job(account_id, job_id)
    if answer is None:
        record = ledger.job(account_id, job_id)
        answer = record.answer() if record else None
    if answer is None:
        raise refuse("not_found", "there is no such job")
    return answer


def _arguments(known: frozenset[str] | set[str]) -> dict[str, str]:
    """The query, in which every parameter is known and stands once."""
    given: dict[str, str] = {}
    for name, values in request.args.lists():
        if name not in known:
            raise bad_shape([(f"?{name[:80]}", f"unknown; there are {', '.join(sorted(known))}")])
        if len(values) != 1:
            raise bad_shape([(f"?{name}", "stands more than once")])
        given[name] = values[0]
    return given


def _word(kind: type[Word], text: str | None, name: str) -> Word | None:
    if text is None:
        return None
    try:
        return kind(text)
    except ValueError as error:
        raise bad_shape([(f"?{name}", f"one of {', '.join(kind)}")]) from error


def _form(pattern: str, text: str | None, name: str) -> str | None:
    if text is not None and not re.fullmatch(pattern, text):
        raise bad_shape([(f"?{name}", f"no {name} looks like that")])
    return text


def _number(text: str, name: str, low: int, high: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not low <= int(text) <= high:
        raise bad_shape([(f"?{name}", f"a whole number from {low} to {high}")])
    return int(text)
