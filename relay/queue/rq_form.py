"""A job as RQ writes and shows it: its template, its data and its result."""

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Final

import redis as redis_py
from rq import Queue

from relay.queue import names
from wire.models import JobRequest, Outcome, RefreshOrder
from wire.vocab import JobStatus

FUNCTION: Final = "relay.remote.resolve"
REFRESH: Final = "relay.remote.refresh"
_OWN_TO_EACH: Final = frozenset(
    {"data", "origin", "status", "description", "created_at", "enqueued_at"}
)


def template(redis: "redis_py.Redis") -> dict[str, str]:
    """What RQ writes for every new job of ours alike."""
    job = Queue(f"{names.PREFIX}template", connection=redis, serializer="json").create_job(
        FUNCTION, args=(None,), job_id="template", description="link", timeout=3600, result_ttl=-1
    )
    fields: dict[str, str] = {}
    for name, value in job.to_dict().items():
        if name in _OWN_TO_EACH or value is None:
            continue
        fields[name] = value if isinstance(value, str) else str(value)
    return fields


def shared_fields(template: Mapping[str, str], iso: str) -> list[str]:
    """RQ's fields that all jobs of a request share, as RQ itself writes them."""
    fields: list[str] = []
    for name, value in template.items():
        fields += [name, value]
    return [*fields, "created_at", iso, "enqueued_at", iso]


def encode_data(request: str, function: str = FUNCTION) -> bytes:
    """RQ's ``data`` of a job: the JSON serializer's call of our function, compressed."""
    return _compressed(f'["{function}", null, [{request}], {{}}]')


def decode_data(data: bytes) -> JobRequest:
    """The request in RQ's ``data``."""
    return JobRequest.model_validate(json.loads(zlib.decompress(data))[2][0])


def decode_order(data: bytes) -> RefreshOrder:
    """What is to be read, in RQ's ``data`` of a refresh's job."""
    return RefreshOrder.model_validate(json.loads(zlib.decompress(data))[2][0])


def return_value(value: object) -> str:
    """*value* as RQ keeps a return value."""
    return base64.b64encode(json.dumps(value).encode()).decode()


def failure(text: str) -> str:
    """*text* as RQ keeps a traceback."""
    return base64.b64encode(_compressed(text)).decode()


def shown_result(outcome: Outcome) -> str:
    """What RQ shows of a result: short, the whole of it is ours to keep."""
    if outcome.status is JobStatus.FAILED:
        return failure(f"{outcome.conclusion}: {outcome.error.detail if outcome.error else ''}")
    return return_value({"conclusion": outcome.conclusion, "final_url": outcome.final_url})


def _compressed(text: str) -> bytes:
    """*text* as whoever reads RQ's fields inflates it.

    With tables of a job's size: setting up and clearing the usual quarter of a megabyte takes
    several times as long as compressing a few hundred bytes.
    """
    deflate = zlib.compressobj(1, zlib.DEFLATED, 12, 4)
    return deflate.compress(text.encode()) + deflate.flush()
