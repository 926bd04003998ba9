"""Which leases this agent holds and until when. The agent stops at a deadline by itself."""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wire.models import Held, Lease


@dataclass(slots=True, kw_only=True)
class _Holding:
    lease: Lease
    until: float
    is_walking: bool = True


def key_of(job_id: str, lease_id: str) -> str:
    """One delivery of one job; a later delivery of the same job has another key."""
    return f"{job_id}/{lease_id}"


class Holdings:
    """Leases in hand, for all threads. *until* is on the agent's own clock, in seconds.

    A lease is held from its lease call until its result is reported, so that it is renewed all the
    while; it counts as *walking* until its link has been resolved.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, _Holding] = {}
        self._walking = 0

    def __len__(self) -> int:
        with self._lock:
            return len(self._held)

    @property
    def walking(self) -> int:
        """How many links are not resolved yet."""
        with self._lock:
            return self._walking

    def of(self, source_id: str) -> int:
        """How many leases of one source are in hand."""
        with self._lock:
            return sum(each.lease.source_id == source_id for each in self._held.values())

    def add(self, leases: Iterable[Lease], *, until: float) -> None:
        """Take *leases* in hand."""
        with self._lock:
            for lease in leases:
                key = key_of(lease.job_id, lease.lease_id)
                if key not in self._held:
                    self._held[key] = _Holding(lease=lease, until=until)
                    self._walking += 1

    def walked(self, key: str) -> Lease | None:
        """This link is resolved. Its lease, or None when it is no longer ours."""
        with self._lock:
            holding = self._held.get(key)
            if holding is None or not holding.is_walking:
                return None
            holding.is_walking = False
            self._walking -= 1
            return holding.lease

    def drop(self, key: str) -> bool:
        """Let go. Whether its link was still being walked."""
        with self._lock:
            return self._drop(key)

    def drop_all(self, keys: Iterable[str]) -> None:
        """Let go of these."""
        with self._lock:
            for key in keys:
                self._drop(key)

    def extend(self, key: str, *, until: float) -> None:
        """It was renewed."""
        with self._lock:
            holding = self._held.get(key)
            if holding is not None:
                holding.until = max(holding.until, until)

    def all(self) -> list[Held]:
        """Every lease, as the relay calls it."""
        with self._lock:
            return [
                Held(job_id=each.lease.job_id, lease_id=each.lease.lease_id)
                for each in self._held.values()
            ]

    def drop_overdue(self, now: float) -> list[str]:
        """Let go of every lease whose time is over while its link is walked; returns their keys.

        What is resolved already is kept: its report asks the relay, who alone knows.
        """
        with self._lock:
            over = [
                key for key, each in self._held.items() if each.is_walking and each.until <= now
            ]
            for key in over:
                self._drop(key)
            return over

    def drop_walking(self) -> Sequence[Held]:
        """Let go of everything that is not resolved, to give it back."""
        with self._lock:
            keys = [key for key, each in self._held.items() if each.is_walking]
            held = []
            for key in keys:
                lease = self._held[key].lease
                held.append(Held(job_id=lease.job_id, lease_id=lease.lease_id))
                self._drop(key)
            return held

    def _drop(self, key: str) -> bool:
        holding = self._held.pop(key, None)
        if holding is None:
            return False
        self._walking -= holding.is_walking
        return holding.is_walking
