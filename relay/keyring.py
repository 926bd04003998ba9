"""Keys and their plans, at most a second old."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Final

from relay.ledger.accounts import KeyRecord
from relay.ledger.ledger import Ledger
from relay.secret_box import SecretBox

MAX_AGE_SECONDS: Final = 1.0
MAX_ENTRIES: Final = 10_000


class Keyring:
    """Looks keys up in the ledger and remembers them for a second, the unknown ones too.

    So a revoked key ends within a second in every process, and a ledger that is gone is noticed
    within one: then ``find`` raises LedgerUnavailable, for nobody can say what is still allowed.
    Threads that ask for one key at the same time share one look-up; other keys do not wait for it.
    """

    def __init__(
        self,
        ledger: Ledger,
        box: SecretBox,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._ledger = ledger
        self._box = box
        self._clock = clock
        self._now = now
        self._known: OrderedDict[str, tuple[float, KeyRecord | None]] = OrderedDict()
        self._asking: dict[str, Future[KeyRecord | None]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._known)

    def find(self, key_id: str) -> KeyRecord | None:
        """The key, or None if there is none that may be used."""
        with self._lock:
            remembered = self._known.get(key_id)
            if remembered and self._clock() - remembered[0] < MAX_AGE_SECONDS:
                return remembered[1]
            answer = self._asking.get(key_id)
            is_ours = answer is None
            if answer is None:
                answer = self._asking[key_id] = Future()
        if is_ours:
            self._ask(key_id, answer)
        return answer.result()

    def _ask(self, key_id: str, answer: "Future[KeyRecord | None]") -> None:
        asked_at = self._clock()
        try:
            record = self._ledger.key(key_id, box=self._box, now=self._now())
        except BaseException as error:  # noqa: BLE001 - raised in every thread that waits for it
            with self._lock:
                self._known.pop(key_id, None)
                del self._asking[key_id]
            answer.set_exception(error)
            return
        with self._lock:
            self._known[key_id] = (asked_at, record)
            self._known.move_to_end(key_id)
            if len(self._known) > MAX_ENTRIES:
                self._known.popitem(last=False)
            del self._asking[key_id]
        answer.set_result(record)
