"""``/v1/sources`` as callers and agents see it: over HTTP, signed, through the whole gate."""

from typing import Any
from urllib.parse import quote

import pytest
from werkzeug.test import TestResponse

from wire import ids
from wire.models import RefreshProgress
from wire.problems import PROBLEMS, Problem
from wire.signing import new_nonce
from wire.source_models import RefreshAnswer, RefreshesAnswer, RefreshList, SourceAnswer, SourceList

LANDED = {
    "status": "done", "conclusion": "valid", "final_url": "https://shop.example/",
    "http_status": 200,
}  # fmt: skip
NOT_FOUND_ID = "rf_1795200000_abcdefgh"


def problem(answer: TestResponse) -> Problem:
    assert answer.content_type == "application/problem+json", answer.text
    found = Problem.model_validate_json(answer.data)
    assert answer.status_code == found.status == PROBLEMS[found.code].status
    return found


def make(service: Any, source: str = "src_a", **more: Any) -> SourceAnswer:
    answer = service.post("/v1/sources", {"source_id": source} | more)
    assert answer.status_code in (200, 201), answer.text
    return SourceAnswer.model_validate_json(answer.data)


def shown(service: Any, source: str = "src_a", **signing: Any) -> SourceAnswer:
    answer = service.get(f"/v1/sources/{source}", **signing)
    assert answer.status_code == 200, answer.text
    return SourceAnswer.model_validate_json(answer.data)


def ask(service: Any, source: str = "src_a", *, key: str = "", **wanted: Any) -> TestResponse:
    return service.post(f"/v1/sources/{source}/refresh", wanted, idempotency_key=key or new_nonce())


def asked(answer: TestResponse) -> RefreshAnswer:
    assert answer.status_code == 202, answer.text
    return RefreshAnswer.model_validate_json(answer.data)


def progress(service: Any, refresh_id: str, source: str = "src_a", **more: Any) -> RefreshProgress:
    query = more.pop("query", "")
    answer = service.get(f"/v1/sources/{source}/refreshes/{refresh_id}{query}", **more)
    assert answer.status_code == 200, answer.text
    return RefreshProgress.model_validate_json(answer.data)


def agent(service: Any, path: str, value: Any) -> Any:
    answer = service.post(f"/v1/agent/{path}", value, key="ours/device")
    assert answer.status_code == 200, answer.text
    return answer.json


def lease(service: Any, *sources: str, refresh: bool = True) -> list[Any]:
    return list(
        agent(
            service,
            "lease",
            {"sources": list(sources) or ["src_a"], "capabilities": {"refresh": refresh}},
        )["leases"]
    )


def read(service: Any, leased: Any, state: str = "read", **more: Any) -> str:
    report = {"job_id": leased["job_id"], "lease_id": leased["lease_id"], "state": state} | more
    answer = agent(service, "refreshes", {"refreshes": [report]})
    return str(RefreshesAnswer.model_validate(answer).refreshes[0].state)


def finish(service: Any) -> None:
    """An agent does all the links there are and writes their rows."""
    leases = lease(service)
    results = [
        {"job_id": each["job_id"], "lease_id": each["lease_id"], "outcome": LANDED}
        for each in leases
    ]
    agent(service, "results", {"results": results})
    words = [{"job_id": each["job_id"], "writeback": "written"} for each in leases]
    agent(service, "writebacks", {"writebacks": words})


def forget(service: Any, refresh_id: str) -> None:
    """The books have everything, and Redis has forgotten the refresh."""
    service.book()
    keys = service.broker.redis.keys(f"linkrow:refresh:*:{refresh_id}")
    service.broker.redis.delete(*keys, "linkrow:refreshing:src_a")


# Sources.


def test_a_source_is_made_once_and_shown_as_it_was_made(service: Any) -> None:
    body = {"source_id": "src_a", "kind": "sheet", "name": "Spring offers", "max_age_seconds": 60}
    first = service.post("/v1/sources", body)
    again = service.post("/v1/sources", body)

    assert (first.status_code, again.status_code) == (201, 200)
    for answer in (first, again, service.get("/v1/sources/src_a")):
        found = SourceAnswer.model_validate_json(answer.data)
        assert (found.source_id, found.kind, found.name) == ("src_a", "sheet", "Spring offers")
        assert (found.max_age_seconds, found.paused, found.refresh) == (60, False, None)
        assert (found.device_id, found.last_seen_at) == (None, None)


def test_a_source_without_an_id_is_given_one_and_one_idempotency_key_makes_one(
    service: Any,
) -> None:
    first = service.post("/v1/sources", {"name": "a"}, idempotency_key="once")
    again = service.post("/v1/sources", {"name": "a"}, idempotency_key="once")
    other = service.post("/v1/sources", {"name": "b"}, idempotency_key="once")

    assert first.json["source_id"].startswith("src_")
    assert again.json["source_id"] == first.json["source_id"]
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert problem(other).code == "idempotency_key_reused"
    assert len(service.get("/v1/sources").json["items"]) == 0  # the books lag a moment behind
    service.book()
    assert len(service.get("/v1/sources").json["items"]) == 1


def test_what_is_changed_stays_changed_and_the_rest_stays(service: Any) -> None:
    make(service, kind="file", name="old")

    answer = service.send_signed("PATCH", "/v1/sources/src_a", {"paused": True})
    changed = SourceAnswer.model_validate_json(answer.data)
    service.send_signed("PATCH", "/v1/sources/src_a", {"name": "new", "max_age_seconds": 5})
    service.book()

    found = shown(service)
    (listed,) = SourceList.model_validate_json(service.get("/v1/sources").data).items
    assert (changed.paused, changed.name) == (True, "old")
    assert (found.kind, found.name, found.max_age_seconds, found.paused) == ("file", "new", 5, True)
    assert listed == found
    booked = service.books.ledger.source(service.books.keys["ours"].account_id, "src_a")
    assert (booked.kind, booked.name, booked.max_age_seconds, booked.paused) == (
        "file", "new", 5, True,
    )  # fmt: skip


@pytest.mark.parametrize("is_booked", [False, True])
def test_a_deleted_source_is_gone_until_an_agent_announces_it(
    service: Any, is_booked: bool
) -> None:
    make(service, name="mine")
    if is_booked:
        service.book()
    refresh_id = asked(ask(service)).refresh.refresh_id

    answer = service.send_signed("DELETE", "/v1/sources/src_a")
    if is_booked:
        service.book()

    assert (answer.status_code, answer.data) == (204, b"")
    gone = [
        service.get("/v1/sources/src_a"),
        service.send_signed("PATCH", "/v1/sources/src_a", {"paused": True}),
        service.send_signed("DELETE", "/v1/sources/src_a"),
        ask(service),
    ]
    assert [problem(each).code for each in gone] == ["unknown_source"] * 4
    assert service.get("/v1/sources").json["items"] == []
    assert progress(service, refresh_id).state == "canceled"

    lease(service)
    service.book()
    assert shown(service).name == "mine"
    assert len(service.get("/v1/sources").json["items"]) == 1


def test_an_agent_that_asks_for_work_registers_its_source_and_is_seen(service: Any) -> None:
    lease(service, "src_new")

    before_it_is_booked = shown(service, "src_new")
    service.book()
    found = shown(service, "src_new")
    assert before_it_is_booked == found
    assert found.device_id == service.books.keys["ours/device"].device_id
    assert found.created_at <= found.last_seen_at


def test_sources_of_others_are_not_there(service: Any) -> None:
    make(service)
    service.book()

    answers = [
        service.get("/v1/sources/src_a", key="theirs"),
        service.post("/v1/sources", {"source_id": "src_a", "name": "taken"}, key="theirs"),
        service.send_signed("PATCH", "/v1/sources/src_a", {"paused": True}, key="theirs"),
        service.send_signed("DELETE", "/v1/sources/src_a", key="theirs"),
        service.post("/v1/sources/src_a/refresh", {}, key="theirs", idempotency_key="x"),
    ]

    assert [problem(answer).code for answer in answers] == ["unknown_source"] * 5
    service.book()
    assert service.get("/v1/sources", key="theirs").json["items"] == []
    assert (shown(service).name, shown(service).paused) == ("", False)


def test_sources_are_listed_page_by_page_newest_first_each_with_its_newest_refresh(
    service: Any,
) -> None:
    for n in range(5):
        make(service, f"src_{n}")
    refresh = asked(ask(service, "src_3")).refresh
    service.book()

    found, cursor = [], ""
    while cursor is not None:
        target = "/v1/sources?limit=2" + (f"&cursor={quote(cursor)}" if cursor else "")
        page = SourceList.model_validate_json(service.get(target).data)
        found += page.items
        cursor = page.next_cursor

    assert [each.source_id for each in found] == [f"src_{n}" for n in reversed(range(5))]
    assert [each.refresh.refresh_id for each in found if each.refresh] == [refresh.refresh_id]
    assert problem(service.get("/v1/sources?cursor=none")).code == "invalid_request"


@pytest.mark.parametrize(
    ("method", "target", "body", "where"),
    [
        ("POST", "/v1/sources", {"source_id": "a"}, "/source_id"),
        ("POST", "/v1/sources", {"kind": "hosted"}, "/kind"),
        ("POST", "/v1/sources", {"name": "a\nb"}, "/name"),
        ("POST", "/v1/sources", {"max_age_seconds": -1}, "/max_age_seconds"),
        ("POST", "/v1/sources", {"path": "/home"}, "/path"),
        ("PATCH", "/v1/sources/src_a", {}, ""),
        ("PATCH", "/v1/sources/src_a", {"kind": "file"}, "/kind"),
        ("POST", "/v1/sources/src_a/refresh", {"scope": "some"}, "/scope"),
        ("POST", "/v1/sources/src_a/refresh", {"scope": "rows"}, ""),
        ("POST", "/v1/sources/src_a/refresh", {"row_ids": ["r_1"]}, ""),
        ("POST", "/v1/sources/src_a/refresh", {"max_age_seconds": 5}, ""),
        ("POST", "/v1/sources/src_a/refresh", {"expires_in": 8 * 86400}, "/expires_in"),
        (
            "POST",
            "/v1/sources/src_a/refresh",
            {"scope": "rows", "row_ids": ["r"] * 1001},
            "/row_ids",
        ),
    ],
)
def test_what_has_not_the_right_form_is_refused_with_where_it_is_wrong(
    service: Any, method: str, target: str, body: Any, where: str
) -> None:
    make(service)

    answer = service.send_signed(method, target, body, idempotency_key=new_nonce())

    told = problem(answer)
    assert told.code == "invalid_request"
    assert told.errors
    assert told.errors[0].pointer == where
    assert shown(service).refresh is None


def test_each_call_needs_its_scope(service: Any) -> None:
    make(service)
    calls = [
        ("POST", "/v1/sources", {}),
        ("PATCH", "/v1/sources/src_a", {"paused": True}),
        ("DELETE", "/v1/sources/src_a", b""),
        ("POST", "/v1/sources/src_a/refresh", {}),
        ("POST", f"/v1/sources/src_a/refreshes/{NOT_FOUND_ID}/cancel", b""),
    ]

    answers = [service.send_signed(*call, key="ours/reader") for call in calls]

    assert [problem(answer).code for answer in answers] == ["forbidden_scope"] * 5
    assert shown(service, key="ours/reader").paused is False
    named = service.post("/v1/sources", {"source_id": "src_a", "name": "x"}, key="ours/device")
    assert named.status_code == 200


# Refreshes.


def test_a_refresh_goes_from_a_request_to_its_rows_and_is_told_all_the_way(
    service: Any, job: Any
) -> None:
    make(service)
    answer = asked(ask(service, scope="failed"))
    refresh_id = answer.refresh.refresh_id
    (leased,) = lease(service)
    assert read(service, leased, "reading", rows=1) == "accepted"
    reading = progress(service, refresh_id)
    rows = [job("r_1", refresh_id=refresh_id), job("r_2", refresh_id=refresh_id)]
    assert service.submit({"jobs": rows}, key="ours/device").status_code == 202
    assert read(service, leased, rows=3, not_submitted={"paused_by_operator": 1}) == "accepted"
    running = progress(service, refresh_id)
    finish(service)
    done = progress(service, refresh_id)
    forget(service, refresh_id)

    assert answer.disposition == "created"
    assert (answer.refresh.state, answer.refresh.scope) == ("waiting_for_agent", "failed")
    assert leased["refresh"]["refresh_id"] == refresh_id
    assert (reading.state, reading.rows) == ("reading", 1)
    assert (running.state, running.submitted, running.finished) == ("running", 2, 0)
    assert (done.state, done.finished, done.by_writeback) == ("done", 2, {"written": 2})
    assert done.not_submitted == {"paused_by_operator": 1}
    assert progress(service, refresh_id) == done, "from the books, once Redis has forgotten it"
    assert shown(service).refresh == done


def test_a_refresh_needs_an_idempotency_key_and_the_same_request_again_is_the_first_one(
    service: Any,
) -> None:
    make(service)
    assert problem(service.post("/v1/sources/src_a/refresh", {})).code == "idempotency_key_missing"

    first = ask(service, key="monday")
    again = ask(service, key="monday")
    other = ask(service, key="monday", scope="failed")

    assert (asked(first).disposition, asked(again).disposition) == ("created", "replayed")
    assert asked(first).refresh.refresh_id == asked(again).refresh.refresh_id
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert problem(other).code == "idempotency_key_reused"


def test_a_second_refresh_is_told_which_one_runs(service: Any) -> None:
    make(service)
    first = asked(ask(service, scope="failed")).refresh

    assert asked(ask(service, scope="failed")).disposition == "coalesced"
    told = problem(ask(service))
    assert told.code == "refresh_running"
    assert told.model_extra == {"refresh_id": first.refresh_id}
    assert first.refresh_id in told.detail


def test_a_paused_source_is_not_refreshed(service: Any) -> None:
    make(service)
    service.send_signed("PATCH", "/v1/sources/src_a", {"paused": True})

    assert problem(ask(service)).code == "source_paused"


def test_a_canceled_refresh_takes_no_further_batch_and_says_so(service: Any, job: Any) -> None:
    make(service)
    refresh_id = asked(ask(service)).refresh.refresh_id
    (leased,) = lease(service)
    row = job("r_1", refresh_id=refresh_id)
    submitted = service.submit(row, key="ours/device").json["jobs"][0]["job_id"]
    target = f"/v1/sources/src_a/refreshes/{refresh_id}/cancel"

    canceled = service.post(target)
    late = service.submit(job("r_2", refresh_id=refresh_id), key="ours/device")
    again = service.post(target)
    forget(service, refresh_id)

    assert RefreshProgress.model_validate_json(canceled.data).state == "canceled"
    assert problem(late).code == "refresh_canceled"
    assert refresh_id in problem(late).detail
    assert problem(again).code == "already_final"
    assert read(service, leased) == "canceled"
    assert service.get(f"/v1/jobs/{submitted}").json["status"] == "canceled"
    booked = progress(service, refresh_id)
    assert (booked.state, booked.submitted, booked.by_conclusion) == (
        "canceled", 1, {"canceled": 1},
    )  # fmt: skip
    assert problem(service.post(target)).code == "already_final"


def test_a_batch_of_a_refresh_that_is_done_is_refused(service: Any, job: Any) -> None:
    make(service)
    refresh_id = asked(ask(service)).refresh.refresh_id
    read(service, lease(service)[0])

    late = service.submit(job("r_2", refresh_id=refresh_id), key="ours/device")

    assert problem(late).code == "refresh_over"


def test_what_is_not_there_or_is_another_ones_cannot_be_seen_or_canceled(service: Any) -> None:
    make(service)
    make(service, "src_b")
    refresh_id = asked(ask(service)).refresh.refresh_id

    for source, name, signing in (
        ("src_a", NOT_FOUND_ID, {}),
        ("src_a", "rf_x", {}),
        ("src_b", refresh_id, {}),
        ("src_a", refresh_id, {"key": "theirs"}),
    ):
        target = f"/v1/sources/{source}/refreshes/{name}"
        assert problem(service.get(target, **signing)).code == "not_found"
        assert problem(service.get(f"{target}?wait=20", **signing)).code == "not_found"
        assert problem(service.post(f"{target}/cancel", **signing)).code == "not_found"
    assert progress(service, refresh_id).state == "waiting_for_agent"


def test_the_progress_of_a_run_is_told_from_the_books_too_and_it_is_not_canceled_here(
    service: Any, job: Any
) -> None:
    run = ids.new_refresh_id(service.now())
    service.submit({"jobs": [job("r_1", refresh_id=run), job("r_2", refresh_id=run)]})
    finish(service)
    live = progress(service, run)
    forget(service, run)

    assert (live.state, live.finished, live.source_id) == ("done", 2, None)
    assert progress(service, run) == live
    refused = service.post(f"/v1/sources/src_a/refreshes/{run}/cancel")
    assert problem(refused).code == "not_found"


def test_refreshes_of_a_source_are_listed_newest_first_as_they_stand(
    service: Any, job: Any
) -> None:
    make(service)
    names = []
    for _ in range(3):
        names.append(asked(ask(service)).refresh.refresh_id)
        (leased,) = lease(service)
        if len(names) < 3:
            service.submit(job("r_1", refresh_id=names[-1]), key="ours/device")
            read(service, leased)
            finish(service)
    forget(service, names[0])

    found, cursor = [], ""
    while cursor is not None:
        query = "?limit=2" + (f"&cursor={quote(cursor)}" if cursor else "")
        answer = service.get(f"/v1/sources/src_a/refreshes{query}")
        page = RefreshList.model_validate_json(answer.data)
        found += page.items
        cursor = page.next_cursor

    assert [each.refresh_id for each in found] == names[::-1]
    assert [each.state for each in found] == ["reading", "done", "done"]
    assert [each.finished for each in found] == [0, 1, 1]
    assert service.get("/v1/sources/src_b/refreshes").json["items"] == []
    theirs = service.get("/v1/sources/src_a/refreshes", key="theirs")
    assert theirs.json["items"] == []


def test_a_refresh_is_no_job_that_callers_see(service: Any) -> None:
    make(service)
    ask(service)
    (leased,) = lease(service)
    service.book()

    assert problem(service.get(f"/v1/jobs/{leased['job_id']}")).code == "not_found"
    assert problem(service.post(f"/v1/jobs/{leased['job_id']}/cancel")).code == "not_found"
    assert service.get("/v1/jobs").json["items"] == []


def test_an_agent_without_the_capability_is_never_handed_a_refresh(service: Any) -> None:
    make(service)
    ask(service)

    assert lease(service, refresh=False) == []
    assert len(lease(service)) == 1


def test_one_wait_ends_when_the_refresh_does(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make(service)
    refresh_id = asked(ask(service)).refresh.refresh_id
    (leased,) = lease(service)
    found = service.broker.progress

    def look(*args: Any) -> Any:
        answer = found(*args)
        monkeypatch.setattr(service.broker, "progress", found)
        read(service, leased)
        return answer

    monkeypatch.setattr(service.broker, "progress", look)

    assert progress(service, refresh_id, query="?wait=25").state == "done"


def test_an_agents_word_is_strict_about_its_form(service: Any) -> None:
    make(service)
    ask(service)
    (leased,) = lease(service)
    held = {"job_id": leased["job_id"], "lease_id": leased["lease_id"]}

    for wrong in (
        held | {"state": "done"},
        held | {"state": "failed"},
        held | {"state": "read", "error": {"code": "x", "detail": ""}},
        held | {"state": "read", "rows": -1},
        held | {"state": "read", "not_submitted": {"lost": 1}},
    ):
        answer = service.post("/v1/agent/refreshes", {"refreshes": [wrong]}, key="ours/device")
        assert problem(answer).code == "invalid_request"
    others = service.post(
        "/v1/agent/refreshes", {"refreshes": [held | {"state": "read"}]}, key="theirs/device"
    )
    assert others.json["refreshes"][0]["state"] == "stale"
