"""The real rq-dashboard, pointed at our Redis: what it shows is so, and showing it changes nothing.

Its buttons are a stranger's hands: each may be pressed on a queue of ours and no job ends twice.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest

from wire.vocab import ReportState

REGISTRIES = ("queued", "started", "scheduled", "finished", "failed", "canceled", "deferred")

Ask = Callable[..., str]


def counts(queue: dict[str, Any]) -> dict[str, int]:
    shown = {name: queue[f"{name}_job_registry_count"] for name in REGISTRIES if name != "queued"}
    return {name: count for name, count in ({"queued": queue["count"]} | shown).items() if count}


def listed(dashboard: Ask, queue: str, registry: str) -> list[dict[str, Any]]:
    page = json.loads(dashboard(f"/0/data/jobs/{queue}/{registry}/8/asc/1.json"))
    jobs: list[dict[str, Any]] = page["jobs"]
    return jobs


def test_the_dashboard_shows_every_state_as_it_is_and_changes_nothing(
    dashboard, world, new_job, everything, state
) -> None:
    one = new_job(row_id="r_1")
    state.happens(one)
    before = everything()

    (queue,) = (
        queue
        for queue in json.loads(dashboard("/0/data/queues.json"))["queues"]
        if queue["name"] == one.queue.name
    )
    places = {name: listed(dashboard, one.queue.name, name) for name in REGISTRIES}
    shown = json.loads(dashboard(f"/0/data/job/{one.job_id}.json"))
    workers = json.loads(dashboard("/0/data/workers.json"))
    pages = [
        dashboard(path)
        for path in (
            "/",
            "/0/view/workers",
            "/0/view/jobs",
            *(f"/0/view/jobs/{one.queue.name}/{name}/8/dsc/1" for name in REGISTRIES),
            f"/0/view/job/{one.job_id}",
        )
    ]

    assert everything() == before
    assert counts(queue) == {state.rq: 1}
    assert {name: [job["id"] for job in jobs] for name, jobs in places.items() if jobs} == {
        state.rq: [one.job_id]
    }
    (line,) = places[state.rq]
    assert line["description"] == shown["description"] == "row r_1"
    assert (shown["id"], shown["origin"], shown["status"]) == (
        one.job_id,
        one.queue.name,
        state.rq,
    )
    assert shown["created_at"] is not None
    assert (shown["ended_at"] is not None) == (state.conclusion is not None)
    if state.rq == "finished":
        assert shown["result"]["conclusion"] == state.conclusion
    if state.rq == "failed":
        assert shown["exc_info"].startswith(state.conclusion)
    assert workers == {"workers": []}
    assert all("RQ dashboard" in page for page in pages)
    assert not any("trk.example" in page for page in [*pages, json.dumps([shown, places])])


# Its buttons.


@pytest.mark.parametrize("name", ["failed", "lost by ten agents"])
def test_its_requeue_button_brings_nothing_back_that_has_ended(
    dashboard, world, new_job, states, name
) -> None:
    one = new_job()
    next(state for state in states if state.name == name).happens(one)
    before = world.job(one.job_id)

    dashboard(f"/job/{one.job_id}/requeue", b"")

    assert one.queue.get_job_ids() == [one.job_id]
    assert [lease for lease in world.lease() if lease.kind == "link"] == []
    assert world.rq(one.job_id).get_status() == "failed"
    assert world.job(one.job_id) == before
    assert [job_id for job_id, _ in world.endings()] == [one.job_id]


def test_its_requeue_all_button_on_what_a_stray_worker_failed_only_helps(
    dashboard, world, new_job
) -> None:
    from rq import SimpleWorker

    one = new_job()
    SimpleWorker([one.queue], connection=world.redis, serializer="json").work(
        burst=True, logging_level="CRITICAL"
    )

    dashboard(f"/requeue/{one.queue.name}", b"")
    world.broker.sweep()

    (lease,) = world.lease()
    assert world.report(lease).state is ReportState.ACCEPTED
    assert world.lease(device="dev_2") == []


def test_its_compact_button_keeps_every_job_in_its_order(dashboard, world, new_link) -> None:
    world.admit(*(new_link(f"r_{n}") for n in range(20)))

    dashboard("/queue/links.src_a/compact", b"")

    assert [lease.row_id for lease in world.lease()] == [f"r_{n}" for n in range(20)]


@pytest.mark.parametrize("name", ["waiting", "running", "in back-off", "failed", "landed"])
def test_its_empty_button_costs_what_lay_there_and_that_ends_once(
    dashboard, world, new_job, states, name
) -> None:
    by_name = {state.name: state for state in states}
    hit, near = new_job("src_a"), new_job("src_b")
    by_name[name].happens(hit)
    by_name[name].happens(near)
    before = world.job(near.job_id)

    dashboard(f"/queue/{hit.queue.name}/{by_name[name].rq}/empty", b"")
    hit.expires()

    assert not world.redis.exists(f"rq:job:{hit.job_id}")
    assert world.job(near.job_id) == before
    ended = [ending for job_id, ending in world.endings() if job_id == hit.job_id]
    assert ended == [by_name[name].conclusion or "canceled"]
    assert [lease for lease in world.lease("src_a") if lease.kind == "link"] == []
    assert new_job("src_a").job_id != hit.job_id
