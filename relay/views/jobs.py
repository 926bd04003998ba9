"""``/v1/jobs``: submit, read, list, cancel."""

import re
from typing import Final

from flask import Blueprint, Response, g, request

from relay.gate import parse_json, read_jobs
from relay.ledger.ledger import Ledger
from relay.parts import parts
from relay.queue.broker import Broker
from relay.queue.terms import Limits
from relay.refusals import refuse
from relay.views.gates import (
    a_place_to_wait,
    caller,
    json_answer,
    key,
    requires_signature,
    spend_nonce,
)
from relay.views.queries import MAX_PAGE, arguments, form, number, word
from wire import ids
from wire.models import MAX_WAIT_SECONDS, JobAnswer, JobList, SubmitAnswer
from wire.signing import IDEMPOTENCY_HEADER, REPLAYED_HEADER
from wire.vocab import FINAL_STATUSES, Conclusion, JobStatus, Scope, Writeback

jobs = Blueprint("jobs", __name__)
jobs.before_request(requires_signature(may={"POST": Scope.JOBS_WRITE, "GET": Scope.JOBS_READ}))

_JOB_ID = re.compile(ids.JOB_ID)
_ROW_ID: Final = r"[^\x00-\x1f\x7f]{1,255}"
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
    asked = arguments(_FILTERS)
    records, cursor = parts().ledger.jobs(
        account_id,
        source_id=form(ids.SOURCE_ID, asked.get("source_id"), "source_id"),
        row_id=form(_ROW_ID, asked.get("row_id"), "row_id"),
        status=word(JobStatus, asked.get("status"), "status"),
        conclusion=word(Conclusion, asked.get("conclusion"), "conclusion"),
        refresh_id=form(ids.REFRESH_ID, asked.get("refresh_id"), "refresh_id"),
        limit=number(asked.get("limit", "100"), "limit", 1, MAX_PAGE),
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
    wait = number(arguments({"wait"}).get("wait", "0"), "wait", 0, MAX_WAIT_SECONDS)
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
