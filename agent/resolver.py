"""Walk links to where they land: many at once, every hop judged, asked and decided on.

``redirects`` decides, ``transport`` asks, ``conclusions`` names the end; this file goes round.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from agent.conclusions import Failed, Landed, conclude, invalid, word_for
from agent.redirects import Follow, Land, Stop, next_step
from agent.transport import Line, Transport
from wire import urls
from wire.addresses import Network, Verdict, judge, judge_address
from wire.models import Hop, Outcome
from wire.urls import Link, UrlError
from wire.vocab import HopKind

_REMEMBERED: Final = 10_000
"""How many verdicts of each kind are remembered; then all of them are forgotten."""


def _user_agent() -> str:
    try:
        number = version("linkrow")
    except PackageNotFoundError:
        number = "0"
    return f"Linkrow/{number} (link check)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How far a walk may go. *total_seconds* is time spent asking, not waiting for a turn."""

    redirects: int = 20
    total_seconds: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One link to walk; *key* names it to the caller."""

    key: str
    url: str
    expected_domain: str = ""
    previous_final_url: str | None = None
    profile: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Where a link led. *ms* is the time all hops took together."""

    key: str
    outcome: Outcome
    ms: int


@dataclass(slots=True, eq=False)
class _Walk:
    task: Task
    link: Link
    line: Line
    left: float
    ms: int = 0
    kind: HopKind = HopKind.HTTP
    hops: list[Hop] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    seen: set[tuple[str, frozenset[str]]] = field(default_factory=set)
    cookies: frozenset[str] = frozenset()
    host: str = ""
    is_asking: bool = False
    is_queued: bool = False


class Resolver:
    """A continuous engine: links go in, results come out of ``poll``. Driven by one thread.

    *allow* are private networks of this machine's settings that links may lead to; *cafile* are the
    certificates to trust instead of the system's.
    """

    def __init__(
        self,
        *,
        allow: Sequence[Network] = (),
        cafile: str | None = None,
        limits: Limits = Limits(),
        max_in_flight: int = 256,
        per_host: int = 64,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allow = tuple(allow)
        self._limits = limits
        self._max_in_flight = max_in_flight
        self._per_host = per_host
        self._clock = clock
        self._verdicts: dict[str, bool] = {}  # of addresses that sockets were to connect to
        self._judged: dict[tuple[str, int], Verdict] = {}  # of hosts and ports, by their names
        self._transport = Transport(
            may_connect=self._may_connect,
            user_agent=_user_agent(),
            cafile=cafile,
            max_connections=max_in_flight,
        )
        self._waiting: deque[Task] = deque()
        self._walks: dict[str, _Walk] = {}
        self._by_line: dict[Line, _Walk] = {}
        self._busy: dict[str, int] = {}
        self._queued: dict[str, deque[_Walk]] = {}
        self._results: list[Resolved] = []

    def submit(self, task: Task) -> None:
        """Take a link; it is walked as soon as there is room."""
        self._waiting.append(task)

    def poll(self, timeout: float) -> list[Resolved]:
        """What has ended, after at most *timeout* seconds."""
        self._fill()
        if not self._results:
            for line in self._transport.run(timeout):
                walk = self._by_line.get(line)
                if walk is not None:
                    self._arrived(walk)
            self._fill()
        results, self._results = self._results, []
        return results

    def cancel(self, key: str) -> None:
        """Forget a walk; an unknown *key* is none."""
        walk = self._walks.get(key)
        if walk is None:
            self._waiting = deque(task for task in self._waiting if task.key != key)
            return
        self._leave(walk)

    def wake(self) -> None:
        """Let ``poll`` return early. From any thread."""
        self._transport.wake()

    def close(self) -> None:
        """Let go of every connection."""
        self._transport.close()

    def _may_connect(self, url: str, ip: str) -> bool | None:
        refused = self._verdicts.get(ip)
        if refused is None:
            refused = not judge_address(ip, profile="agent", allow=self._allow).ok
            if len(self._verdicts) >= _REMEMBERED:
                self._verdicts.clear()
            self._verdicts[ip] = refused
        if not refused:
            return None
        # Of localhost's addresses only the allowed ones are tried; a refused one is no verdict.
        return not (self._allow and urls.parse(url).host == "localhost")

    def _fill(self) -> None:
        while self._waiting and len(self._walks) < self._max_in_flight:
            self._begin(self._waiting.popleft())

    def _begin(self, task: Task) -> None:
        try:
            link = urls.check_link(task.url)
        except UrlError as error:
            self._results.append(Resolved(key=task.key, outcome=invalid(error), ms=0))
            return
        walk = _Walk(
            task=task,
            link=link,
            line=self._transport.open(),
            left=self._limits.total_seconds,
        )
        if task.key in self._walks:  # leased anew: the older walk is nobody's
            self.cancel(task.key)
        self._walks[task.key] = walk
        self._by_line[walk.line] = walk
        self._visit(walk, link)

    def _visit(self, walk: _Walk, link: Link) -> None:
        """Go to *link* if policy lets us, when its host has a turn."""
        walk.link = link
        verdict = self._judge(link)
        if not verdict.ok:
            self._fail(walk, word_for(verdict.reason), target=link.href)
            return
        if walk.left <= 0:
            self._fail(walk, "timeout", target=link.href)
            return
        if "xn--" in link.host and "idn" not in walk.flags:
            walk.flags.append("idn")
        if self._busy.get(link.host, 0) >= self._per_host:
            walk.is_queued = True
            self._queued.setdefault(link.host, deque()).append(walk)
            return
        self._ask(walk)

    def _judge(self, link: Link) -> Verdict:
        if not link.is_plain or len(link.href) > urls.MAX_LENGTH:
            # After its host a parsed link may have a backslash; to all it is a letter like others.
            href = link.href.replace("\\", "%5C")
            return judge(href, profile="agent", allow=self._allow, max_length=urls.MAX_LENGTH)
        # Of a plain link all but host and port is harmless.
        place = (link.host, link.port)
        verdict = self._judged.get(place)
        if verdict is None:
            verdict = judge(link, profile="agent", allow=self._allow, max_length=urls.MAX_LENGTH)
            if len(self._judged) >= _REMEMBERED:
                self._judged.clear()
            self._judged[place] = verdict
        return verdict

    def _ask(self, walk: _Walk) -> None:
        walk.host = walk.link.host
        walk.is_asking, walk.is_queued = True, False
        self._busy[walk.host] = self._busy.get(walk.host, 0) + 1
        # The fragment is ours to keep, not the server's to see.
        self._transport.ask(walk.line, walk.link.href.partition("#")[0], seconds=walk.left)

    def _release(self, walk: _Walk) -> None:
        """The host has a turn free."""
        if not walk.is_asking:
            return
        walk.is_asking = False
        host = walk.host
        self._busy[host] -= 1
        queue = self._queued.get(host)
        if queue:
            self._ask(queue.popleft())
            if not queue:
                del self._queued[host]
        elif not self._busy[host]:
            del self._busy[host]

    def _arrived(self, walk: _Walk) -> None:
        exchange = walk.line.exchange
        assert exchange is not None
        head = exchange.head
        self._release(walk)
        walk.left -= exchange.ms / 1000
        walk.ms += exchange.ms
        walk.hops.append(
            Hop(
                url=walk.link.href,
                status=head.status if head.is_complete else None,
                kind=walk.kind,
                ms=exchange.ms,
                ip=exchange.ip,
            )
        )
        if exchange.word:
            self._end(
                walk,
                Failed(
                    word=exchange.word,
                    host=walk.link.host,
                    hops=walk.hops,
                    target=walk.link.href,
                    flags=walk.flags,
                ),
            )
            return
        match next_step(walk.link, head):
            case Follow(link, kind):
                self._follow(walk, link, kind, has_new_cookies=bool(head.cookies))
            case Land(flag):
                if flag:
                    walk.flags.append(flag)
                self._end(
                    walk,
                    Landed(
                        url=walk.link.href,
                        status=head.status,
                        hops=walk.hops,
                        flags=walk.flags,
                    ),
                )
            case Stop(word, target):
                self._stop(walk, word, target)

    def _follow(self, walk: _Walk, link: Link, kind: HopKind, *, has_new_cookies: bool) -> None:
        if len(walk.hops) > self._limits.redirects:
            self._end(
                walk,
                Failed(
                    word="too_many_redirects",
                    host=walk.link.host,
                    hops=walk.hops,
                    flags=walk.flags,
                ),
            )
            return
        if self._was_here(walk, link.href, has_new_cookies=has_new_cookies):
            self._end(
                walk,
                Failed(word="redirect_loop", host=walk.link.host, hops=walk.hops, flags=walk.flags),
            )
            return
        is_downgrade = walk.link.scheme == "https" and link.scheme == "http"
        if is_downgrade and "downgrade" not in walk.flags:
            walk.flags.append("downgrade")
        walk.kind = kind
        self._visit(walk, link)

    def _was_here(self, walk: _Walk, url: str, *, has_new_cookies: bool) -> bool:
        """Whether *url* was asked before with the very cookies we hold now."""
        walk.seen.add((walk.line.url, walk.cookies))
        if has_new_cookies:
            walk.cookies = walk.line.cookies()
        return (url.partition("#")[0], walk.cookies) in walk.seen

    def _stop(self, walk: _Walk, word: str, target: str) -> None:
        self._fail(walk, word, target=target) if word == "scheme_not_allowed" else self._end(
            walk,
            Failed(word=word, host=walk.link.host, hops=walk.hops, target=target, flags=walk.flags),
        )

    def _fail(self, walk: _Walk, word: str, *, target: str) -> None:
        """Policy stopped us before *target*: it is recorded, and was not asked."""
        walk.hops.append(Hop(url=target[:16_000], status=None, kind=walk.kind, ms=0))
        self._end(
            walk,
            Failed(word=word, host=walk.link.host, hops=walk.hops, target=target, flags=walk.flags),
        )

    def _end(self, walk: _Walk, end: Landed | Failed) -> None:
        outcome = conclude(
            end,
            expected=walk.task.expected_domain,
            previous=walk.task.previous_final_url,
            limit=self._limits.redirects,
        )
        self._results.append(Resolved(key=walk.task.key, outcome=outcome, ms=walk.ms))
        self._leave(walk)

    def _leave(self, walk: _Walk) -> None:
        del self._walks[walk.task.key]
        del self._by_line[walk.line]
        if walk.is_queued:
            queue = self._queued[walk.link.host]
            queue.remove(walk)
            if not queue:
                del self._queued[walk.link.host]
        self._transport.hang_up(walk.line)
        self._release(walk)


def resolve(
    url: str,
    *,
    allow: Sequence[Network] = (),
    cafile: str | None = None,
    expected_domain: str = "",
    limits: Limits = Limits(),
) -> Resolved:
    """Walk one link and return where it led."""
    resolver = Resolver(allow=allow, cafile=cafile, limits=limits, max_in_flight=1)
    try:
        resolver.submit(Task(key="one", url=url, expected_domain=expected_domain))
        while True:
            for resolved in resolver.poll(1.0):
                return resolved
    finally:
        resolver.close()
