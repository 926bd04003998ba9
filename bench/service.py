"""Lines on the relay: jobs handed in, worked on, and an idle agent woken, all over HTTP."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.frame import Aim, Contestant, Line, Measure, WrongAnswer


@contextmanager
def intake(folder: Path, *, jobs: int) -> Iterator[Line]:
    """Signed jobs through the whole gate; against what one would write first."""
    few = max(1, jobs // 10)
    yield Line(
        name="intake",
        title=f"{jobs:,} jobs handed in over HTTP, 500 a request, two senders",
        unit="jobs",
        contestants=(
            _python("Linkrow, signed, whole gate", "intake_linkrow", jobs),
            _python("Flask + rq enqueue_many, open", "intake_flask_rq", jobs, "many"),
            _python("Flask + rq enqueue, open", "intake_flask_rq", few, "each"),
        ),
        aims=(
            Aim(yardstick="5,000 jobs/s", ratio=1.0, mark=5000),
            Aim(yardstick="Flask + rq enqueue_many, open", ratio=1.0),
            Aim(yardstick="Flask + rq enqueue, open", ratio=1.0),
        ),
    )


@contextmanager
def leasing(folder: Path, *, jobs: int) -> Iterator[Line]:
    """Jobs taken, reported and their rows written; against RQ's own worker on jobs of nothing."""
    few = max(1, jobs // 10)
    yield Line(
        name="leasing",
        title=f"{jobs:,} jobs leased, reported and written over HTTP, 100 a request, one agent",
        unit="jobs",
        contestants=(
            _python("Linkrow, signed", "leasing_linkrow", jobs),
            _python("rq SimpleWorker, beside Redis", "leasing_rq", few),
        ),
        aims=(
            Aim(yardstick="5,000 jobs/s", ratio=1.0, mark=5000),
            Aim(yardstick="rq SimpleWorker, beside Redis", ratio=1.0),
        ),
    )


@contextmanager
def waking(folder: Path, *, jobs: int) -> Iterator[Line]:
    """From the start of handing in a job to its being in an idle agent's hands."""
    yield Line(
        name="waking",
        title="One job handed in, until an idle agent has it",
        unit="jobs",
        measure=Measure.WAIT,
        contestants=(
            _python("Linkrow, signed, over HTTP", "waking_linkrow", jobs),
            _python("rq SimpleWorker, beside Redis", "waking_rq", jobs, "simple"),
            _python("rq Worker, beside Redis", "waking_rq", jobs, "forking"),
        ),
        aims=(
            Aim(yardstick="10 ms", ratio=1.0, mark=10),
            Aim(yardstick="rq SimpleWorker, beside Redis", ratio=1.0),
            Aim(yardstick="rq Worker, beside Redis", ratio=1.0),
        ),
    )


def _python(name: str, script: str, count: int, *more: str) -> Contestant:
    return Contestant(
        name=name,
        command=[sys.executable, "-m", f"bench.clients.{script}", str(count), *more],
        count=count,
        check=lambda said: check(said, name, count),
    )


def check(said: str, name: str, count: int) -> None:
    """Every number a client says is how much it did, and it is all of it."""
    if not said.split() or set(said.split()) != {str(count)}:
        raise WrongAnswer(f"{name} did {said.strip() or 'nothing'} of {count}")
