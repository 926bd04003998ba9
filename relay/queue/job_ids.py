"""Which job a request names, and when two requests ask the same of one row."""

import json
from hashlib import sha256
from typing import Final
from uuid import UUID, uuid5

from wire import ids
from wire.models import JobRequest, RefreshOrder

_NAMESPACE: Final = UUID("6f9a1d0c-7f0e-5d57-9c1e-6c696e6b726f")


def job_id(
    job: JobRequest, *, index: int, account_id: str, key_id: str, idempotency_key: str, born: int
) -> str:
    """The id of *job*, the *index*-th of its request, signed at *born* (unix seconds).

    A job of a refresh is named by the refresh, whichever key sends it and in whichever batch.
    """
    if job.refresh_id is not None:
        request = ("refresh", job.refresh_id, str(int(ids.born(job.refresh_id).timestamp())))
    else:
        request = (key_id, idempotency_key, str(born))
    row = ("row", job.row_id) if job.row_id is not None else ("index", str(index))
    parts = (account_id, job.source_id or "", *row, job.tracking_url, *request)
    # Lengths make the join unambiguous whatever the parts hold.
    return str(uuid5(_NAMESPACE, "".join(f"{len(part)}:{part}" for part in parts)))


def refresh_job_id(account_id: str, source_id: str, refresh_id: str) -> str:
    """The id of the job that reads a source for a refresh."""
    parts = (account_id, source_id, "refresh", refresh_id)
    return str(uuid5(_NAMESPACE, "".join(f"{len(part)}:{part}" for part in parts)))


def same_order(order: RefreshOrder) -> str:
    """What two requests for a source must share for the second to join the first."""
    parts = json.dumps([order.scope, order.max_age_seconds, sorted(order.row_ids)])
    return sha256(parts.encode()).hexdigest()[:16]


def sameness(job: JobRequest) -> str:
    """What two requests for one row must share for the second to join the first."""
    parts = json.dumps([job.tracking_url, job.expected_domain, job.tier, job.profile])
    return sha256(parts.encode()).hexdigest()[:16]
