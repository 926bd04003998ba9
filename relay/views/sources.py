"""``/v1/sources``: made, listed, changed, hidden."""

import re
from typing import Final

from flask import Blueprint, Response, g, request

from relay.gate import parse_json, read_shape
from relay.parts import parts
from relay.queue.errors import UnknownSource
from relay.views.gates import caller, json_answer, requires_signature, spend_nonce
from relay.views.queries import MAX_PAGE, arguments, number
from wire import ids
from wire.signing import REPLAYED_HEADER
from wire.source_models import SourceAnswer, SourceList, SourcePatch, SourceRequest
from wire.vocab import Scope

sources = Blueprint("sources", __name__)
sources.before_request(
    requires_signature(
        may={
            "GET": Scope.JOBS_READ,
            "POST": Scope.SOURCES_WRITE,
            "PATCH": Scope.SOURCES_WRITE,
            "DELETE": Scope.SOURCES_WRITE,
        }
    )
)

_SOURCE_ID: Final = re.compile(ids.SOURCE_ID)


@sources.post("/v1/sources")
def make() -> Response:
    """Make a source, or say more of one that is there."""
    ask = read_shape(SourceRequest, parse_json(g.body, request.headers.get("Content-Type", "")))
    source_id, is_new, is_replayed = parts().broker.make_source(
        caller(), ask, idempotency_key=g.idempotency_key
    )
    answer = _find(caller().account_id, source_id, is_new=is_new)
    response = json_answer(answer.model_dump_json(), status=201 if is_new else 200)
    if is_replayed:
        response.headers[REPLAYED_HEADER] = "true"
    return response


@sources.get("/v1/sources")
def listed() -> Response:
    """The account's sources, newest first, each with its newest refresh."""
    account_id = spend_nonce().account_id
    asked = arguments({"limit", "cursor"})
    limit = number(asked.get("limit", "100"), "limit", 1, MAX_PAGE)
    known, cursor = parts().ledger.sources(account_id, limit=limit, cursor=asked.get("cursor"))
    found = parts().broker.sources_now(account_id, known)
    forgotten = [name for name, (_, refresh) in found.items() if refresh is None]
    booked = parts().ledger.newest_refreshes(account_id, forgotten) if forgotten else {}
    items = [
        record.answer(refresh or booked.get(name)) for name, (record, refresh) in found.items()
    ]
    return json_answer(SourceList(items=items, next_cursor=cursor).model_dump_json())


@sources.get("/v1/sources/<source_id>")
def one(source_id: str) -> Response:
    """One source."""
    return json_answer(_find(spend_nonce().account_id, source_id).model_dump_json())


@sources.patch("/v1/sources/<source_id>")
def change(source_id: str) -> Response:
    """Change a source's name, its rows' maximal age, or whether it is paused."""
    patch = read_shape(SourcePatch, parse_json(g.body, request.headers.get("Content-Type", "")))
    parts().broker.change_source(caller(), _checked(source_id), patch)
    return json_answer(_find(caller().account_id, source_id).model_dump_json())


@sources.delete("/v1/sources/<source_id>")
def delete(source_id: str) -> Response:
    """Hide a source and cancel its refresh; an agent that announces it brings it back."""
    parts().broker.delete_source(caller(), _checked(source_id))
    return Response(status=204)


def _checked(source_id: str) -> str:
    if not _SOURCE_ID.fullmatch(source_id):
        raise UnknownSource(source_id[:80])
    return source_id


def _find(account_id: str, source_id: str, *, is_new: bool = False) -> SourceAnswer:
    """A source of the account, in Redis first and in the books after."""
    broker, ledger = parts().broker, parts().ledger
    found = broker.sources_now(account_id, [], one=_checked(source_id)).get(source_id)
    if found is None and (booked := ledger.source(account_id, source_id)):
        found = broker.sources_now(account_id, [booked]).get(source_id)
    if found is None:
        raise UnknownSource(source_id)
    record, refresh = found
    if refresh is None and not is_new:
        refresh = ledger.newest_refreshes(account_id, [source_id]).get(source_id)
    return record.answer(refresh)
