"""``/v1/agent``: what devices call. All of it outbound from them."""

import select
import socket
from typing import Any, TypeVar

from flask import Blueprint, Response, g, request
from pydantic import BaseModel

from relay.gate import parse_json, read_shape
from relay.parts import parts
from relay.views.gates import (
    MAX_AGENT_BODY_BYTES,
    a_place_to_wait,
    json_answer,
    requires_signature,
    spend_nonce,
)
from wire.models import (
    LeaseAnswer,
    LeaseRequest,
    ReleaseAnswer,
    ReleaseRequest,
    RenewRequest,
    ResultsAnswer,
    ResultsRequest,
    WritebacksAnswer,
    WritebacksRequest,
)
from wire.source_models import RefreshesAnswer, RefreshesRequest
from wire.vocab import Scope

agent = Blueprint("agent", __name__, url_prefix="/v1/agent")
agent.before_request(requires_signature(may={"POST": Scope.AGENT}, limit=MAX_AGENT_BODY_BYTES))

Shape = TypeVar("Shape", bound=BaseModel)
_PEEK = socket.MSG_PEEK | socket.MSG_DONTWAIT


def _body(shape: type[Shape]) -> Shape:
    return read_shape(shape, parse_json(g.body, request.headers.get("Content-Type", "")))


@agent.post("/lease")
def lease() -> Response:
    """Work, as soon as there is some. Waiting agents never take the last threads."""
    ask = _body(LeaseRequest)
    device = spend_nonce()
    broker = parts().broker
    if not ask.wait_seconds:
        leases = broker.lease(device, ask)
    else:
        with a_place_to_wait() as may_wait:
            if may_wait:
                leases = broker.lease_waiting(device, ask, is_wanted=_is_caller_there())
            else:
                leases = broker.lease(device, ask)
    return json_answer(
        LeaseAnswer(
            leases=leases,
            lease_seconds=broker.settings.lease_seconds,
            renew_seconds=broker.settings.renew_seconds,
        ).model_dump_json()
    )


def _is_caller_there() -> Any:
    """A question that looks whether the connection was closed while we waited."""
    connection = request.environ.get("gunicorn.socket")

    def ask() -> bool:
        if connection is None:
            return True
        try:
            readable, _, _ = select.select([connection], [], [], 0)
            # Readable in the middle of a request: closed, or a pipelined request of somebody odd.
            return not readable or bool(connection.recv(1, _PEEK))
        except (OSError, ValueError):
            return False

    return ask


@agent.post("/renew")
def renew() -> Response:
    """Work goes on."""
    ask = _body(RenewRequest)
    return json_answer(parts().broker.renew(spend_nonce(), ask).model_dump_json())


@agent.post("/results")
def results() -> Response:
    """What was found."""
    ask = _body(ResultsRequest)
    accepted = parts().broker.report(spend_nonce(), ask.results)
    return json_answer(ResultsAnswer(results=accepted).model_dump_json())


@agent.post("/refreshes")
def refreshes() -> Response:
    """How far sources are read."""
    ask = _body(RefreshesRequest)
    reported = parts().broker.report_reads(spend_nonce(), ask.refreshes)
    return json_answer(RefreshesAnswer(refreshes=reported).model_dump_json())


@agent.post("/writebacks")
def writebacks() -> Response:
    """What became of rows."""
    ask = _body(WritebacksRequest)
    noted = parts().broker.note_writebacks(spend_nonce(), ask.writebacks)
    return json_answer(WritebacksAnswer(writebacks=noted).model_dump_json())


@agent.post("/release")
def release() -> Response:
    """Work given back."""
    ask = _body(ReleaseRequest)
    released = parts().broker.release(spend_nonce(), ask)
    return json_answer(ReleaseAnswer(released=released).model_dump_json())
