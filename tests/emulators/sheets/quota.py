"""Reads and writes a minute: 60 of each for a user, 300 of each for the project; off by default."""

import threading
from dataclasses import dataclass, field

from tests.emulators.sheets.clock import Clock
from tests.emulators.sheets.errors import ApiError

PROJECT = "000000000000"


@dataclass
class Quota:
    """Refilled at the start of each minute of the clock."""

    clock: Clock
    per_user: int = 60
    per_project: int = 300
    on: bool = False
    _used: dict[tuple[str, str, int], int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, kind: str, user: str) -> None:
        """Count one call, or refuse it. A refused call uses nothing up."""
        if not self.on:
            return
        minute = int(self.clock() // 60)
        with self._lock:
            self._used = {key: n for key, n in self._used.items() if key[2] == minute}
            mine, ours = (kind, user, minute), (kind, "", minute)
            if self._used.get(mine, 0) >= self.per_user:
                raise exceeded(kind, self.per_user, per_user=True)
            if self._used.get(ours, 0) >= self.per_project:
                raise exceeded(kind, self.per_project, per_user=False)
            for key in (mine, ours):
                self._used[key] = self._used.get(key, 0) + 1


def exceeded(kind: str, limit: int = 60, *, per_user: bool = True) -> ApiError:
    """Google's 429, as recorded: no Retry-After, the details tell which quota it is."""
    words = kind.capitalize()
    scope = " per user" if per_user else ""
    return ApiError(
        f"Quota exceeded for quota metric '{words} requests' and limit '{words} requests per"
        f" minute{scope}' of service 'sheets.googleapis.com' for consumer"
        f" 'project_number:{PROJECT}'.",
        code=429,
        details=[
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "RATE_LIMIT_EXCEEDED",
                "domain": "googleapis.com",
                "metadata": {
                    "quota_limit_value": str(limit),
                    "service": "sheets.googleapis.com",
                    "quota_unit": "1/min/{project}/{user}" if per_user else "1/min/{project}",
                    "quota_limit": f"{words}RequestsPerMinutePer"
                    + ("User" if per_user else "Project"),
                    "consumer": f"projects/{PROJECT}",
                    "quota_metric": f"sheets.googleapis.com/{kind}_requests",
                    "quota_location": "global",
                },
            },
            {
                "@type": "type.googleapis.com/google.rpc.Help",
                "links": [
                    {
                        "description": "Request a higher quota limit.",
                        "url": "https://cloud.google.com/docs/quotas/help/request_increase",
                    }
                ],
            },
        ],
    )
