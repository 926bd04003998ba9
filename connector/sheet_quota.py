"""Google's quota, kept from our side: how many calls may still be made in this minute.

Google counts reads and writes apart, per user and per project. We stay below both so that a person
with the same credentials still gets through; what other programs use is seen by 429 only.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Literal

Kind = Literal["read", "write", "drive"]

PER_USER: Final = 50  # of 60
PER_PROJECT: Final = 250  # of 300
_MINUTE: Final = 60.0


class Window:
    """At most *most* calls in any *seconds*: Google's minute may begin at any moment of ours."""

    def __init__(self, most: int, *, seconds: float = _MINUTE) -> None:
        self._most = most
        self._seconds = seconds
        self._taken: deque[float] = deque()

    def wait(self, now: float) -> float:
        """Seconds until one more call fits; 0 is now."""
        while self._taken and self._taken[0] <= now - self._seconds:
            self._taken.popleft()
        if len(self._taken) < self._most:
            return 0.0
        return self._taken[0] + self._seconds - now

    def take(self, now: float) -> None:
        """One call is made."""
        self._taken.append(now)


class Quota:
    """The windows of one user of one project, shared by all who call as that user."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        project: "dict[Kind, Window] | None" = None,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._user: dict[Kind, Window] = {kind: Window(PER_USER) for kind in ("read", "write")}
        self._project = project if project is not None else new_project()
        self.waited = 0.0

    def take(self, kind: Kind) -> None:
        """Return when a call of this *kind* may be made. Drive has a quota of its own, far away."""
        while (seconds := self._try(kind)) > 0:
            self.waited += seconds
            self._sleep(seconds)

    def _try(self, kind: Kind) -> float:
        with self._lock, _PROJECTS_LOCK:
            windows = [each[kind] for each in (self._user, self._project) if kind in each]
            now = self._clock()
            wait = max((window.wait(now) for window in windows), default=0.0)
            if wait <= 0:
                for window in windows:
                    window.take(now)
            return wait


def new_project() -> "dict[Kind, Window]":
    """The windows of a project that nobody has used yet."""
    return {kind: Window(PER_PROJECT) for kind in ("read", "write")}


_PROJECTS_LOCK = threading.Lock()
_PROJECTS: "dict[str, dict[Kind, Window]]" = {}
_USERS: dict[tuple[str, str], Quota] = {}


def quota_of(project: str, user: str) -> Quota:
    """The one quota of *user* of *project* in this process."""
    with _PROJECTS_LOCK:
        windows = _PROJECTS.setdefault(project, new_project())
        if (project, user) not in _USERS:
            _USERS[project, user] = Quota(project=windows)
        return _USERS[project, user]
