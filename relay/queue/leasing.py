"""Work for devices: handed out, kept, and taken back."""

import json
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from relay.queue import names
from relay.queue.errors import RedisUnavailable, UnknownSource
from relay.queue.scripts import redis_errors
from relay.queue.sources import Sources
from relay.queue.stored import lease_of
from relay.queue.terms import Caller
from wire.models import Lease, LeaseRequest, ReleaseRequest, RenewAnswer, Renewed, RenewRequest
from wire.vocab import LeaseState

_SLICE_SECONDS: Final = 5.0


class Leasing(Sources):
    """Devices take work."""

    def lease(self, caller: Caller, ask: LeaseRequest) -> list[Lease]:
        """Work for a device, without waiting. Raises UnknownSource for another account's source."""
        return self._lease(caller, ask)[0]

    def lease_waiting(
        self,
        caller: Caller,
        ask: LeaseRequest,
        *,
        clock: Callable[[], float] = time.monotonic,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> list[Lease]:
        """Work for a device, as soon as there is some within ``wait_seconds``.

        *is_wanted* is asked before every further look: an agent that was killed while it waited
        (its connection is closed) must not be handed work that nobody will do.
        """
        until = clock() + ask.wait_seconds
        places = list(dict.fromkeys((*_places(caller, ask), *ask.refresh_only)))
        while True:
            leases, due = self._lease(caller, ask)
            left = until - clock()
            if leases or left <= 0:
                return leases
            # Until a token comes or something falls due; never long, because a token may have
            # gone to an agent that could not use it.
            pause = min(left, _SLICE_SECONDS, due + 0.005 if due is not None else left)
            with redis_errors():
                token: Any = self.redis.blpop(
                    [f"linkrow:wake:{place}" for place in places], max(pause, 0.01)
                )
                if not is_wanted():
                    if token:
                        self.redis.rpush(*token)  # it was meant for somebody who is still there
                    return []

    def _lease(self, caller: Caller, ask: LeaseRequest) -> tuple[list[Lease], float | None]:
        # Begin at another place each time: a source with a million rows must not starve the others.
        places = self._turned(_places(caller, ask))
        terms = self._terms(caller) | {
            "sources": self._turned(ask.sources),
            "readable": self._turned(list(dict.fromkeys((*ask.sources, *ask.refresh_only)))),
            "queues": list(names.queues_for(places, ask.capabilities)),
            "max": ask.max,
            "refresh": ask.capabilities.refresh,
        }
        randoms = [secrets.token_urlsafe(9) for _ in range(ask.max)]
        answer = self._scripts.run("lease", [json.dumps(terms), *randoms])
        if answer[0] == b"unknown_source":
            raise UnknownSource(answer[1].decode())
        with suppress(RedisUnavailable):  # what was handed out is handed out
            self.announce(
                caller.account_id, ask.sources, device_id=caller.device_id or caller.key_id
            )
        due = float(answer[2]) if answer[2] else None
        return [lease_of(*row) for row in answer[1]], due

    def _turned(self, places: Sequence[str]) -> list[str]:
        start = int(self._chance() * len(places))
        return [*places[start:], *places[:start]]

    def renew(self, caller: Caller, ask: RenewRequest) -> RenewAnswer:
        """Keep leases alive, and the time for rows that are still to be written."""
        arguments: list[str] = [json.dumps(self._terms(caller)), str(len(ask.leases))]
        for held in ask.leases:
            arguments += [held.job_id, held.lease_id]
        states = self._scripts.run("renew", [*arguments, *ask.writebacks])
        return RenewAnswer(
            leases=[
                Renewed(
                    job_id=held.job_id, lease_id=held.lease_id, state=LeaseState(state.decode())
                )
                for held, state in zip(ask.leases, states, strict=True)
            ]
        )

    def release(self, caller: Caller, ask: ReleaseRequest) -> int:
        """Take work back; it goes to the front of its queue. How many jobs that were."""
        places = [*ask.sources, *([caller.account_id] if ask.sourceless else [])]
        terms = self._terms(caller) | {"places": places if ask.all else []}
        arguments = [json.dumps(terms)]
        for held in ask.leases:
            arguments += [held.job_id, held.lease_id]
        return int(self._scripts.run("release", arguments))


def _places(caller: Caller, ask: LeaseRequest) -> list[str]:
    return [*dict.fromkeys(ask.sources), *([caller.account_id] if ask.sourceless else [])]
