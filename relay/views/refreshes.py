"""``/v1/sources/{id}/refresh`` and ``…/refreshes``: ask for one, watch it, take it back."""

import re
from typing import Final

from flask import Blueprint, Response, g, request

from relay.gate import parse_json, read_shape
from relay.parts import parts
from relay.queue.errors import UnknownSource
from relay.refusals import refuse
from relay.views.gates import (
    a_place_to_wait,
    caller,
    json_answer,
    requires_signature,
    spend_nonce,
)
from relay.views.queries import MAX_PAGE, arguments, number
from wire import ids
from wire.models import MAX_WAIT_SECONDS, RefreshProgress
from wire.signing import IDEMPOTENCY_HEADER, REPLAYED_HEADER
from wire.source_models import RefreshAnswer, RefreshList, RefreshRequest
from wire.vocab import REFRESH_IS_OVER, Disposition, Scope

refreshes = Blueprint("refreshes", __name__)
refreshes.before_request(requires_signature(may={"POST": Scope.JOBS_WRITE, "GET": Scope.JOBS_READ}))

_SOURCE_ID: Final = re.compile(ids.SOURCE_ID)
_REFRESH_ID: Final = re.compile(ids.REFRESH_ID)


@refreshes.post("/v1/sources/<source_id>/refresh")
def ask(source_id: str) -> Response:
    """Let an agent read the source, or join the refresh that does it already."""
    if not g.idempotency_key:
        raise refuse("idempotency_key_missing", f"send an {IDEMPOTENCY_HEADER}, one per refresh")
    wanted = read_shape(RefreshRequest, parse_json(g.body, request.headers.get("Content-Type", "")))
    if not _SOURCE_ID.fullmatch(source_id):
        raise UnknownSource(source_id[:80])
    asked = parts().broker.ask(caller(), source_id, wanted, idempotency_key=g.idempotency_key)
    answer = RefreshAnswer(
        refresh=_find(caller().account_id, source_id, asked.refresh_id, wait=0),
        disposition=asked.disposition,
    )
    response = json_answer(answer.model_dump_json(), status=202)
    if asked.disposition is Disposition.REPLAYED:
        response.headers[REPLAYED_HEADER] = "true"
    return response


@refreshes.get("/v1/sources/<source_id>/refreshes")
def listed(source_id: str) -> Response:
    """A source's refreshes, newest first."""
    account_id = spend_nonce().account_id
    asked = arguments({"limit", "cursor"})
    limit = number(asked.get("limit", "100"), "limit", 1, MAX_PAGE)
    known, cursor = parts().ledger.refreshes(
        account_id, source_id, limit=limit, cursor=asked.get("cursor")
    )
    # The books lag a moment behind: what is still moving there is read from Redis.
    items = [
        each
        if each.state in REFRESH_IS_OVER
        else parts().broker.progress(account_id, each.refresh_id) or each
        for each in known
    ]
    return json_answer(RefreshList(items=items, next_cursor=cursor).model_dump_json())


@refreshes.get("/v1/sources/<source_id>/refreshes/<refresh_id>")
def progress(source_id: str, refresh_id: str) -> Response:
    """How far a refresh or a run is; with ``wait``, not before it is over or that time is."""
    account_id = spend_nonce().account_id
    wait = number(arguments({"wait"}).get("wait", "0"), "wait", 0, MAX_WAIT_SECONDS)
    if not wait:
        found = _find(account_id, source_id, refresh_id, wait=0)
    else:
        with a_place_to_wait() as may_wait:
            found = _find(account_id, source_id, refresh_id, wait=wait if may_wait else 0)
    return json_answer(found.model_dump_json())


@refreshes.post("/v1/sources/<source_id>/refreshes/<refresh_id>/cancel")
def cancel(source_id: str, refresh_id: str) -> Response:
    """End a refresh that is not over, and its jobs that nobody else asked for."""
    account_id = spend_nonce().account_id
    known = _find(account_id, source_id, refresh_id, wait=0)
    if known.source_id is None:
        raise refuse("not_found", "this run was not asked of the relay; stop the command that runs")
    if not parts().broker.cancel_refresh(account_id, source_id, refresh_id):
        # The books have it and Redis has forgotten it: it ended long ago.
        raise refuse("already_final", f"refresh {refresh_id} has ended already")
    return json_answer(_find(account_id, source_id, refresh_id, wait=0).model_dump_json())


def _find(account_id: str, source_id: str, refresh_id: str, *, wait: int) -> RefreshProgress:
    """A refresh of the account, in Redis first and in the books after. Refuses what is not there.

    A run over a file does not know its source.
    """
    if not _REFRESH_ID.fullmatch(refresh_id):
        raise refuse("not_found", "there is no such refresh")
    broker, ledger = parts().broker, parts().ledger
    found = broker.progress(account_id, refresh_id)
    if wait and found is not None and found.source_id in (None, source_id):
        found = broker.wait_over(account_id, refresh_id, wait)
    found = found or ledger.progress(account_id, refresh_id)
    if found is None or found.source_id not in (None, source_id):
        raise refuse("not_found", "there is no such refresh")
    return found
