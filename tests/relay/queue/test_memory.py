"""What docs/queue.md says a job costs in Redis is what it costs."""

import re
from pathlib import Path

import pytest

from bench.queue_memory import measure
from relay.embedded import find_server
from tests.conftest import absent

JOBS = 2_000
PAGE = Path(__file__).parents[3] / "docs" / "queue.md"
ROW = re.compile(r"^\| ([a-z, ()]+) \| ([0-9,]+) \| ([0-9,]+) \| ([0-9]) \|$", re.MULTILINE)


def near(said: str) -> object:
    # What there is once, and not for each job, weighs more on 2,000 jobs than on the page's 10,000.
    return pytest.approx(int(said.replace(",", "")), rel=0.05, abs=60)


@pytest.mark.processes
def test_a_job_costs_what_the_page_says_in_each_of_its_states(short_tmp) -> None:
    _, version = find_server()
    if version[0] != 7:
        absent("Redis 7, whose bytes the page gives")

    default = measure(JOBS, is_private=False)["per_job"]
    private = measure(JOBS, is_private=True)["per_job"]

    said = {state: figures for state, *figures in ROW.findall(PAGE.read_text("utf-8"))}
    assert list(said) == list(default) == list(private)
    for state, (usual, ours, keys) in said.items():
        assert default[state]["bytes"] == near(usual), state
        assert private[state]["bytes"] == near(ours), state
        assert round(private[state]["keys"]) == int(keys), state
