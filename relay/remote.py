"""What a link job calls, in RQ's eyes: something that only an agent can do."""

from typing import NoReturn


class AgentsDoThis(Exception):
    """A stock RQ worker took a link job. It listens on a queue that belongs to agents."""


def resolve(request: object) -> NoReturn:
    """Refuse. Links are walked by ``linkrow-agent``, which leases them from the relay over HTTP."""
    raise AgentsDoThis(
        "queues named links.* belong to Linkrow's agents; take them off this rq worker's list"
    )
