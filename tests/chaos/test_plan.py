"""Plans: the seed decides alone, and no seed leaves anything out."""

from collections import Counter
from itertools import pairwise

import pytest

from tests.chaos.plan import PARTS, Deed, Fault, fate_of, plan_of
from tests.processes import LEASE_SECONDS


def test_a_seed_is_always_the_same_plan() -> None:
    assert plan_of(7, jobs=2000) == plan_of(7, jobs=2000)
    assert plan_of(7, jobs=2000) != plan_of(8, jobs=2000)


@pytest.mark.parametrize("jobs", [100, 2000, 10_000])
@pytest.mark.parametrize("seed", range(1, 21))
def test_every_plan_has_every_deed_and_kills_every_part(seed: int, jobs: int) -> None:
    plan = plan_of(seed, jobs=jobs)
    agents = {agent.name for agent in plan.agents}

    assert {act.deed for act in plan.acts} == set(Deed)
    killed = {act.target for act in plan.acts if act.deed is Deed.KILL}
    assert set(PARTS) <= killed
    assert killed & agents


def test_acts_are_spread_over_the_run_in_order() -> None:
    moments = [act.at for act in plan_of(1, jobs=10_000).acts]

    assert moments == sorted(moments)
    assert 0 < moments[0] < 0.1
    assert 0.9 < moments[-1] < 1


def _are_near(first: str, then: str) -> bool:
    """An agent and itself or its table; the books and whoever writes them."""
    return then.rstrip("12") == first.rstrip("12") or (first, then) == ("books", "recorder")


def test_every_plan_kills_agents_and_recorder_in_the_middle_of_their_work() -> None:
    for seed in range(1, 21):
        acts = plan_of(seed, jobs=2000).acts
        pairs = {
            (first.deed, then.deed, _are_near(first.target, then.target))
            for first, then in pairwise(acts)
            if first.at == then.at
        }
        assert pairs == {
            (Deed.CUT, Deed.KILL, True),
            (Deed.HOLD, Deed.KILL, True),
            (Deed.HOLD, Deed.LOSE, True),
            (Deed.HOLD, Deed.STOP, True),
            (Deed.LOCK, Deed.KILL, True),
        }


def test_an_agent_that_is_stopped_sleeps_past_its_lease() -> None:
    stops = [
        act
        for seed in range(20)
        for act in plan_of(seed, jobs=2000).acts
        if act.deed is Deed.STOP and act.target not in PARTS
    ]

    assert all(act.seconds > LEASE_SECONDS for act in stops)


def test_more_jobs_meet_more_deeds() -> None:
    assert len(plan_of(1, jobs=10_000).acts) > 2 * len(plan_of(1, jobs=2000).acts)


def test_each_request_has_its_own_fate_and_every_fault_occurs() -> None:
    fates = [fate_of(3, "a1", "/v1/agent/results", number) for number in range(1000)]

    assert fates == [fate_of(3, "a1", "/v1/agent/results", number) for number in range(1000)]
    assert fates != [fate_of(3, "a2", "/v1/agent/results", number) for number in range(1000)]
    counted = Counter(fate.fault for fate in fates)
    assert set(counted) == set(Fault)
    assert counted[Fault.NONE] > 700
