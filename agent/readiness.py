"""Which of libcurl's sockets are ready: asked of epoll where there is one, else of ``selectors``.

libcurl lets go of a socket after every answer and takes it up again for the next request. With
epoll a socket that is let go stays registered: taking it up again is one system call and not two,
and ``selectors`` would spend more on each than the system does.
"""

import select
import selectors
import sys
from contextlib import suppress
from typing import Final, Protocol

READ: Final = 1
WRITE: Final = 2


class Readiness(Protocol):
    """Sockets by their descriptors, with what is waited for: READ, WRITE or both."""

    def watch(self, fd: int, flags: int) -> None:
        """Wait for *flags* of *fd* from now on."""

    def let_go(self, fd: int) -> None:
        """Say nothing of *fd* any more; it may be closed without a word."""

    def wait(self, seconds: float) -> list[tuple[int, int]]:
        """What is ready, after at most so long. Trouble on a socket is readiness for all."""

    def close(self) -> None:
        """End."""


class Selected:
    """By ``selectors``: everywhere."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def watch(self, fd: int, flags: int) -> None:
        """Wait for *flags* of *fd* from now on."""
        mask = (selectors.EVENT_READ if flags & READ else 0) | (
            selectors.EVENT_WRITE if flags & WRITE else 0
        )
        try:
            self._selector.modify(fd, mask)
        except KeyError:
            self._selector.register(fd, mask)

    def let_go(self, fd: int) -> None:
        """Say nothing of *fd* any more."""
        with suppress(KeyError, ValueError):
            self._selector.unregister(fd)

    def wait(self, seconds: float) -> list[tuple[int, int]]:
        """What is ready, after at most so long."""
        return [
            (
                key.fd,
                (READ if mask & selectors.EVENT_READ else 0)
                | (WRITE if mask & selectors.EVENT_WRITE else 0),
            )
            for key, mask in self._selector.select(seconds)
        ]

    def close(self) -> None:
        """End."""
        self._selector.close()


if sys.platform == "linux":
    _EVENTS: Final = (0, select.EPOLLIN, select.EPOLLOUT, select.EPOLLIN | select.EPOLLOUT)

    class Polled:
        """By epoll: Linux."""

        def __init__(self) -> None:
            self._epoll = select.epoll()
            # What is waited for; 0 for a socket that was let go and may be registered still.
            self._flags: dict[int, int] = {}

        def watch(self, fd: int, flags: int) -> None:
            """Wait for *flags* of *fd* from now on."""
            if fd in self._flags:
                try:
                    self._epoll.modify(fd, _EVENTS[flags])
                except FileNotFoundError:  # closed meanwhile, and another has its number
                    self._epoll.register(fd, _EVENTS[flags])
            else:
                self._epoll.register(fd, _EVENTS[flags])
            self._flags[fd] = flags

        def let_go(self, fd: int) -> None:
            """Say nothing of *fd* any more."""
            if fd in self._flags:
                self._flags[fd] = 0

        def wait(self, seconds: float) -> list[tuple[int, int]]:
            """What is ready, after at most so long."""
            ready = []
            for fd, events in self._epoll.poll(seconds):
                if self._flags.get(fd):
                    flags = READ if events & ~select.EPOLLOUT else 0
                    ready.append((fd, flags | WRITE if events & ~select.EPOLLIN else flags))
                else:  # a server that ends an idle connection; libcurl will see by itself
                    self._flags.pop(fd, None)
                    with suppress(OSError):
                        self._epoll.unregister(fd)
            return ready

        def close(self) -> None:
            """End."""
            self._epoll.close()


def readiness() -> Readiness:
    """The cheapest there is here."""
    return Polled() if sys.platform == "linux" else Selected()
