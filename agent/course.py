"""The course of one run, as all its threads see it: that it is to end, why, and that things moved.

Nothing here knows what the threads do.
"""

import threading
from collections.abc import Callable


class Course:
    """*stop* ends the run in good order; so does the first error, which is kept.

    *clock* is in seconds.
    """

    def __init__(self, stop: threading.Event, clock: Callable[[], float]) -> None:
        self.stop = stop
        self.clock = clock
        self.error: Exception | None = None
        self._changed = threading.Condition()

    def crash(self, error: Exception) -> None:
        """End because of *error*; of several the first is the one to tell."""
        with self._changed:
            if self.error is None:
                self.error = error
            self._changed.notify_all()
        self.stop.set()

    def thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """A thread that does *work*, not begun yet; an error in it ends the run."""

        def guarded() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - raised by whoever runs it all
                self.crash(error)

        return threading.Thread(target=guarded, name=name, daemon=True)

    def moved(self) -> None:
        """Something changed: whoever waits may look again."""
        with self._changed:
            self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        """Wait until something changes, or so long."""
        with self._changed:
            self._changed.wait(seconds)

    def wait_until(self, is_so: Callable[[], bool], *, until: float | None = None) -> None:
        """Wait: until that time, or as long as nobody stops us."""
        while not is_so():
            if self.stop.is_set() if until is None else self.clock() >= until:
                return
            # A word may come between the look and the wait; then this is how late we are.
            self.pause(0.05)
