"""What our jobs call, in RQ's eyes: something that only an agent can do."""

from typing import Final, NoReturn

_WHY: Final = "queues named links.* belong to Linkrow's agents; take them off this rq worker's list"


class AgentsDoThis(Exception):
    """A stock RQ worker took a job of ours. It listens on a queue that belongs to agents."""


def resolve(request: object) -> NoReturn:
    """Refuse. Links are walked by ``linkrow-agent``, which leases them from the relay over HTTP."""
    raise AgentsDoThis(_WHY)


def refresh(order: object) -> NoReturn:
    """Refuse. Sources are read by ``linkrow-agent``, on the machine that has them."""
    raise AgentsDoThis(_WHY)
