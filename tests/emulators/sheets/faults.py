"""Failing on purpose: which call fails, and how."""

import fnmatch
import threading
from dataclasses import dataclass, field
from typing import Any

from tests.emulators.sheets.errors import ApiError
from tests.emulators.sheets.quota import exceeded
from tests.emulators.sheets.server import Answer

KINDS = (
    "429",  # quota exceeded
    "500",
    "502",  # with an HTML page for a body
    "503",
    "timeout_before",  # nothing is applied, nothing is answered
    "timeout_after",  # applied, the answer is lost
    "slow",  # answered after `seconds`
    "edit_before",  # somebody else's `edits` come just before the call
    "edit_after",  # ... or just after it, before its answer is on its way
)

_BUSY_PAGE = (
    "<!DOCTYPE html>\n<html lang=en>\n  <meta charset=utf-8>\n  <title>Error 502 (Server"
    " Error)!!1</title>\n  <p><b>502.</b> <ins>That\u2019s an error.</ins>\n  <p>The server"
    " encountered a temporary error and could not complete your request.<p>Please try again in 30"
    " seconds.  <ins>That\u2019s all we know.</ins>\n"
)


@dataclass
class Fault:
    """Hits calls whose name matches `call` (`values.*`, `spreadsheets.batchUpdate`, `*`): it lets
    `skip` of them pass, then hits `times` (None: for ever). `file_id` limits it to one file.

    For the timeouts `seconds` is how long the server keeps silent before it hangs up.
    """

    kind: str
    call: str = "*"
    skip: int = 0
    times: int | None = 1
    seconds: float = 0.0
    file_id: str | None = None
    edits: list[dict[str, Any]] = field(default_factory=list)
    hits: int = 0

    def __post_init__(self) -> None:
        self.kind = str(self.kind)
        if self.kind not in KINDS:
            raise ValueError(f"no such fault: {self.kind}; there are {', '.join(KINDS)}")


class Faults:
    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self.closing = threading.Event()

    def add(self, kind: str, call: str = "*", **terms: Any) -> Fault:
        fault = Fault(kind, call, **terms)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def pending(self) -> list[Fault]:
        with self._lock:
            return list(self._faults)

    def hitting(self, call: str, file_id: str) -> list[Fault]:
        """The faults that hit this call; each call is counted once by each fault it matches."""
        found = []
        with self._lock:
            for fault in list(self._faults):
                if fault.file_id not in (None, file_id) or not fnmatch.fnmatch(call, fault.call):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.hits += 1
                found.append(fault)
                if fault.times is not None and fault.hits >= fault.times:
                    self._faults.remove(fault)
        return found

    def silence(self, seconds: float) -> Answer:
        """Say nothing for a while, then hang up."""
        self.wait(seconds)
        return Answer(0, lost=True)

    def wait(self, seconds: float) -> None:
        if seconds > 0:
            self.closing.wait(seconds)


def refusal(kind: str, counts: str) -> Answer:
    if kind == "429":
        return Answer.refused(exceeded(counts))
    if kind == "500":
        return Answer.refused(ApiError("Internal error encountered.", code=500))
    if kind == "503":
        return Answer.refused(ApiError("The service is currently unavailable.", code=503))
    return Answer(502, _BUSY_PAGE.encode(), "text/html; charset=UTF-8")
