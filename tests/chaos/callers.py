"""Those who submit, ask, cancel and submit once more; none of them gives up on an answer."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from random import Random

from connector import intake
from connector.csv_file import CsvFile
from connector.errors import ConnectorError
from connector.intake import Terms
from connector.relay_client import RelayClient
from connector.relay_errors import Refused, RelayError
from tests.chaos.history import Event, History
from tests.chaos.tables import Table
from wire import ids
from wire.models import JobRequest
from wire.vocab import Tier

_PAUSE_SECONDS = 0.1
_PAGE = 200
_REPLAYED = frozenset({"nonce_replayed", "stale_timestamp"})


class Standing:
    """What is known of the run while it lasts; fed by the history."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._admitted: dict[str, Event] = {}
        self._over: set[str] = set()

    def hear(self, event: Event) -> None:
        """One event of the history."""
        with self._lock:
            match event["ev"]:
                case "admitted":
                    self._admitted.setdefault(event["job_id"], event)
                case "reported" if event["state"] in ("accepted", "duplicate"):
                    self._over.add(event["job_id"])
                case "seen" | "canceled":
                    self._over.add(event["job_id"])

    @property
    def admitted(self) -> int:
        """How many jobs there are."""
        return len(self._admitted)

    @property
    def moving(self) -> int:
        """How many of them are not known to have ended."""
        return len(self._admitted) - len(self._over)

    def some(self, salt: int, count: int, *, moving: bool) -> list[Event]:
        """Some jobs with a row of theirs, rather the latest ones."""
        with self._lock:
            known = [
                event
                for job_id, event in self._admitted.items()
                if event["row_id"] and not (moving and job_id in self._over)
            ]
        latest = known[-10 * count :]
        return Random(salt).sample(latest, min(count, len(latest)))


class Callers:
    """Everybody with an API key. *may_submit* says when the next batch may go; once it *is_over*,
    nothing new is begun, and once it *is_abandoned*, nobody waits for an answer any more.
    """

    def __init__(
        self,
        client: RelayClient,
        *,
        standing: Standing,
        history: History,
        batch: int,
        may_submit: Callable[[], bool],
        is_over: Callable[[], bool],
        is_abandoned: Callable[[], bool],
    ) -> None:
        self._client = client
        self._standing = standing
        self._history = history
        self._batch = batch
        self._may_submit = may_submit
        self._is_over = is_over
        self._is_abandoned = is_abandoned
        self._lock = threading.Lock()
        self._sent: list[tuple[str, list[JobRequest]]] = []

    # ---- refreshes

    def refresh(self, table: Table, chance: Random) -> None:
        """Read the table and submit its rows, again and again, from another row each time."""
        source = CsvFile(table.path, source_id=table.source_id, columns={})
        while not self._is_over():
            now = datetime.now(UTC)
            terms = Terms(source_id=table.source_id, now=now, refresh_id=ids.new_refresh_id(now))
            try:
                tally = intake.prepare(source, terms)
                jobs = list(intake.jobs(source, terms, seen=tally.seen))
            except ConnectorError:
                time.sleep(_PAUSE_SECONDS)  # an agent that was stopped holds the file
                continue
            start = chance.randrange(len(jobs))
            jobs = jobs[start:] + jobs[:start]
            for batch in intake.batches(jobs, max_jobs=self._batch):
                while not self._may_submit():
                    if self._is_over():
                        return
                    time.sleep(0.02)
                assert terms.refresh_id
                self._submit(batch, key=intake.idempotency_key(terms.refresh_id, batch))

    # ---- single deeds

    def again(self, salt: int) -> None:
        """An old submission once more."""
        with self._lock:
            sent = list(self._sent)
        if sent:
            key, jobs = Random(salt).choice(sent)
            self._submit(jobs, key=key)

    def supersede(self, salt: int, count: int) -> None:
        """Ask otherwise for links that are being worked on."""
        rows = {
            (event["source_id"], event["row_id"]): event["link"]
            for event in self._standing.some(salt, count, moving=True)
        }
        jobs = [
            JobRequest(tracking_url=link, source_id=source, row_id=row, expected_domain="127.0.0.1")
            for (source, row), link in rows.items()
        ]
        if jobs:
            self._submit(jobs, key=f"supersede-{salt}")

    def cancel(self, salt: int, count: int) -> None:
        """Cancel some; that one has ended meanwhile is an answer too."""
        for event in self._standing.some(salt, count, moving=True):
            self._insist(lambda job_id=event["job_id"]: self._client.cancel(job_id))

    def loose(self, links: Sequence[str], salt: int) -> None:
        """Links that belong to no row."""
        self._submit([JobRequest(tracking_url=link) for link in links], key=f"loose-{salt}")

    def unable(self, links: Sequence[str], salt: int) -> None:
        """Links that only a browser could follow, wanted in two seconds: nobody here has one."""
        jobs = [JobRequest(tracking_url=link, tier=Tier.PREMIUM, expires_in=2) for link in links]
        self._submit(jobs, key=f"unable-{salt}")

    # ---- looking

    def look(self, chance: Random) -> None:
        """See how jobs stand, now one and now a page, until it is over."""
        while not self._is_over():
            for event in self._standing.some(chance.randrange(2**32), 2, moving=False):
                self._try(lambda job_id=event["job_id"]: self._client.job(job_id))
            self._try(lambda: self._client.jobs(limit=_PAGE))
            time.sleep(0.2 + 0.3 * chance.random())

    def see_all(self) -> None:
        """Every job, page by page."""
        cursor: str | None = None
        while True:
            page = self._client.jobs(limit=1000, cursor=cursor)
            cursor = page.next_cursor
            if cursor is None:
                return

    # ---- how

    def _submit(self, jobs: list[JobRequest], *, key: str) -> None:
        self._insist(lambda: self._client.submit(jobs, idempotency_key=key))
        with self._lock:
            self._sent.append((key, jobs))

    def _insist(self, call: Callable[[], object]) -> None:
        """Ask until there is an answer. An honest request that is refused for good is told."""
        while not self._is_abandoned():
            try:
                call()
            except RelayError as error:
                is_answer = isinstance(error, Refused) and error.permanent
                if is_answer and error.code not in _REPLAYED:
                    if error.code != "already_final":
                        self._history.say("fell", party="caller", code=error.code, words=str(error))
                    return
                time.sleep(_PAUSE_SECONDS)
            else:
                return

    @staticmethod
    def _try(call: Callable[[], object]) -> None:
        try:
            call()
        except RelayError:
            return  # the way to the relay tells what matters of it
