"""``/healthz`` and ``/readyz``: the process lives; it can do its work."""

import json
import logging

from flask import Blueprint, Response

from relay.errors import LedgerError
from relay.parts import parts
from relay.queue.errors import QueueError, RedisUnavailable
from relay.views.gates import json_answer, requires_nothing

logger = logging.getLogger(__name__)

health = Blueprint("health", __name__)
health.before_request(requires_nothing)


@health.get("/healthz")
def alive() -> Response:
    """As long as this process answers."""
    return json_answer('{"status":"ok","service":"linkrow-relay"}')


@health.get("/readyz")
def ready() -> Response:
    """Whether requests can be taken; if not, what is in the way."""
    problems: list[str] = []
    try:
        parts().broker.check(allow_unsafe=parts().allow_unsafe_redis)
        if not parts().broker.is_ready():
            problems.append("redis: its life has not begun; is linkrow-relay clock running?")
    except RedisUnavailable as error:
        # What it says of itself is for the log: anybody may ask here.
        logger.warning("not ready: %s", error)
        problems.append("redis: it does not answer")
    except QueueError as error:
        problems.append(f"redis: {error}")
    try:
        parts().ledger.ping()
    except LedgerError as error:
        logger.warning("not ready: %s", error)
        problems.append("ledger: it does not answer")
    status = 503 if problems else 200
    return json_answer(
        json.dumps({"status": "not ready" if problems else "ok", "problems": problems}),
        status=status,
    )
