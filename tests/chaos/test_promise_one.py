"""Promise 1: an acknowledged job reaches exactly one final status, and its own row, whatever dies.

The same as ``make chaos``, smaller. A seed that fails is run again by
``python -m tests.chaos --seeds 1 --first SEED --jobs 2000``.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

pytestmark = [pytest.mark.processes, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
JOBS = 2000


@pytest.fixture
def chaos() -> Iterator[Callable[[int], "subprocess.CompletedProcess[str]"]]:
    """Carry out one seed. In a process of its own: its threads and signals are many."""
    started: list[subprocess.Popen[str]] = []

    def run(seed: int) -> "subprocess.CompletedProcess[str]":
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.chaos", "--json"),
                *("--seeds", "1", "--first", str(seed), "--jobs", str(JOBS)),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        output, errors = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    yield run
    for process in started:
        # Agents and website are of its session; a relay that nobody uses ends by itself.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize("seed", range(1, 6))
def test_every_acknowledged_job_ends_once_and_in_its_own_row(
    chaos: Callable[[int], "subprocess.CompletedProcess[str]"], seed: int
) -> None:
    ended = chaos(seed)

    assert ended.returncode in (0, 1), ended.stderr
    (verdict,) = json.loads(ended.stdout)
    assert verdict["violations"] == [], ended.stderr
    assert verdict["jobs"] >= JOBS
    for what in ("kills", "stops", "faults", "replayed answers"):
        assert verdict["figures"][what] > 0, f"no {what}: this run has proved little"
