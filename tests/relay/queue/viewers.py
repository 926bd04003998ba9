"""Those who look at a queue while others work in it: RQ's own API, ``rq info`` and rq-dashboard.

Each look reads all there is of one queue, lets RQ clean up where RQ would, and says what it saw.
"""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Self

from rq import Queue, Worker
from rq.job import Job

Counts = Mapping[str, int]
STATES = ("queued", "started", "finished", "failed")
ALL_STATES = (*STATES, "scheduled", "canceled", "deferred")


def look_with_rq(queue: Queue) -> Counts:
    """Every way in which RQ's API reads a queue; all of its registries clean up as they do."""
    registries = {
        "started": queue.started_job_registry,
        "finished": queue.finished_job_registry,
        "failed": queue.failed_job_registry,
        "scheduled": queue.scheduled_job_registry,
        "canceled": queue.canceled_job_registry,
        "deferred": queue.deferred_job_registry,
    }
    seen = {"queued": queue.count} | {name: each.count for name, each in registries.items()}
    for registry in registries.values():
        registry.cleanup()
        ids = registry.get_job_ids()
        for job in Job.fetch_many(ids[-5:], connection=queue.connection, serializer="json"):
            if job is not None:
                job.get_status()
                look_at_executions(job)
                job.latest_result()
    assert all(job.origin == queue.name for job in queue.jobs[:5])
    assert Worker.all(queue=queue) == []
    assert queue in Queue.all(connection=queue.connection)
    return {name: seen[name] for name in STATES}


def look_at_executions(job: Job) -> None:
    """RQ reads their ids first and raises for one that has ended by the time it reads it."""
    for _ in range(20):
        with suppress(ValueError):
            job.get_executions()
            return
    raise AssertionError(f"executions of {job.id} are listed and not there")


def look_with_rq_info(url: str, queue: str) -> Counts:
    """A real ``rq info``, which cleans every registry before it counts."""
    shown = subprocess.run(
        [sys.executable, "-m", "rq.cli", "info", "-u", url, "--raw"],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert shown.returncode == 0, shown.stderr
    line = rf"^queue {queue} (\d+), (\d+) executing, (\d+) finished, (\d+) failed$"
    found = re.search(line, shown.stdout, re.MULTILINE)
    assert found, shown.stdout
    return dict(zip(STATES, map(int, found.groups()), strict=True))


def look_with_dashboard(ask: Callable[[str], str], queue: str) -> Counts:
    """Every page of the dashboard about the queue, and one job of each of its lists."""
    queues = json.loads(ask("/0/data/queues.json"))["queues"]
    (seen,) = (each for each in queues if each["name"] == queue)
    for state in ALL_STATES:
        jobs = json.loads(ask(f"/0/data/jobs/{queue}/{state}/8/asc/1.json"))["jobs"]
        ask(f"/0/view/jobs/{queue}/{state}/8/dsc/1")
        if jobs:
            ask(f"/0/data/job/{jobs[0]['id']}.json")
            ask(f"/0/view/job/{jobs[0]['id']}")
    assert json.loads(ask("/0/data/workers.json")) == {"workers": []}
    counted = {name: seen[f"{name}_job_registry_count"] for name in STATES if name != "queued"}
    return {"queued": seen["count"]} | counted


class Viewer:
    """Looks again and again, in a thread, until the block ends; raises there what it ran into."""

    def __init__(self, name: str, look: Callable[[], Counts]) -> None:
        self.name = name
        self.looks = 0
        self.seen: Counts = {}
        self.error: BaseException | None = None
        self._look = look
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=name, daemon=True)

    def _watch(self) -> None:
        try:
            while not self._stop.is_set():
                self.seen = self._look()
                self.looks += 1
        except BaseException as error:  # noqa: BLE001 - it is raised where the test sees it
            self.error = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(100)
        if self.error is not None:
            raise self.error
