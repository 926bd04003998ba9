"""How queues are called: ``links.<place>``, then what an agent must be able to do."""

from collections.abc import Iterator, Sequence

from wire.models import Capabilities, JobRequest
from wire.vocab import Tier

PREFIX = "links."


def queue_of(place: str, *, tier: Tier, profile: str | None) -> str:
    """The queue of a job. *place* is its source, or its account if it has none."""
    name = PREFIX + place
    if tier is not Tier.STANDARD:
        name += f".{tier}"
    if profile:
        name += f".profile-{profile}"
    return name


def queue_of_job(job: JobRequest, account_id: str) -> str:
    """The queue *job* waits in."""
    return queue_of(job.source_id or account_id, tier=job.tier, profile=job.profile)


def queues_for(places: Sequence[str], capabilities: Capabilities) -> Iterator[str]:
    """Every queue that an agent may serve, in the order of its places."""
    for place in places:
        for tier in capabilities.tiers:
            for profile in (None, *capabilities.profiles):
                yield queue_of(place, tier=tier, profile=profile)
