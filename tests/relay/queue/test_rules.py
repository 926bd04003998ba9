"""The pure rules of the queue: names, ids, retries, sentences."""

import inspect
import re
from contextlib import suppress

import pytest

from relay import events
from relay.queue import errors, names, retries
from relay.queue.job_ids import job_id, sameness
from relay.remote import AgentsDoThis, resolve
from wire import ids
from wire.models import Capabilities, Outcome
from wire.vocab import Conclusion, JobStatus, Tier

ASKED = {
    "index": 0,
    "account_id": "acct_a",
    "key_id": "lrk_a",
    "idempotency_key": "order-42",
    "born": 1_795_200_000,
}
REFRESH = "rf_1795200000_aaaaaaaa"


@pytest.mark.parametrize(
    ("place", "tier", "profile", "name"),
    [
        pytest.param("src_a", Tier.STANDARD, None, "links.src_a", id="plain"),
        pytest.param("src_a", Tier.PREMIUM, None, "links.src_a.premium", id="a browser"),
        pytest.param("src_a", Tier.STANDARD, "de", "links.src_a.profile-de", id="a profile"),
        pytest.param("acct_a", Tier.PREMIUM, "de", "links.acct_a.premium.profile-de", id="both"),
    ],
)
def test_a_queue_says_whose_it_is_and_what_it_takes(place, tier, profile, name) -> None:
    assert names.queue_of(place, tier=tier, profile=profile) == name


def test_an_agent_serves_every_queue_it_is_able_to_and_no_other() -> None:
    able = Capabilities(tiers=[Tier.STANDARD, Tier.PREMIUM], profiles=["de"])

    assert list(names.queues_for(["src_a"], able)) == [
        "links.src_a",
        "links.src_a.profile-de",
        "links.src_a.premium",
        "links.src_a.premium.profile-de",
    ]
    assert list(names.queues_for(["src_a"], Capabilities())) == ["links.src_a"]


def test_a_job_id_is_a_version_five_uuid_and_lasting(new_link) -> None:
    # This very id is in ledgers by now: a change of the rule would double jobs at an upgrade.
    name = job_id(new_link(), **ASKED)

    assert re.fullmatch(ids.JOB_ID, name)
    assert name == job_id(new_link(context={"any": 1}, expected_domain="x.example"), **ASKED)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"account_id": "acct_b"}, id="another account"),
        pytest.param({"key_id": "lrk_b"}, id="another key"),
        pytest.param({"idempotency_key": "order-43"}, id="another request"),
        pytest.param({"born": 1_795_200_001}, id="another second"),
    ],
)
def test_another_request_names_other_jobs(new_link, change) -> None:
    assert job_id(new_link(), **ASKED) != job_id(new_link(), **(ASKED | change))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"key_id": "lrk_b"}, id="another key"),
        pytest.param({"idempotency_key": "batch-2"}, id="another batch"),
        pytest.param({"born": 1_795_209_999}, id="later"),
        pytest.param({"index": 7}, id="another place in its batch"),
    ],
)
def test_a_resumed_refresh_names_the_same_jobs(new_link, change) -> None:
    job = new_link(refresh_id=REFRESH)

    assert job_id(job, **ASKED) == job_id(job, **(ASKED | change))


def test_the_place_in_a_request_counts_only_where_there_is_no_row(new_link) -> None:
    later = ASKED | {"index": 1}

    assert job_id(new_link(), **ASKED) == job_id(new_link(), **later)
    assert job_id(new_link(None), **ASKED) != job_id(new_link(None), **later)


def test_no_two_requests_run_together_in_an_id(new_link) -> None:
    one = job_id(new_link("r", tracking_url="https://a.example/1"), **ASKED)
    two = job_id(new_link("r1", tracking_url="https://a.example/"), **ASKED)

    assert one != two


def test_requests_are_the_same_by_link_expectation_tier_and_profile(new_link) -> None:
    same = sameness(new_link(context=1, offer_name="x", refresh_id=REFRESH))
    others = [
        {"tracking_url": "https://trk.example/b"},
        {"expected_domain": "x.example"},
        {"tier": Tier.PREMIUM},
        {"profile": "de"},
    ]

    assert same == sameness(new_link())
    assert len({same, *(sameness(new_link(**other)) for other in others)}) == 5


def outcome(conclusion: Conclusion, http_status: int | None = None, **more) -> Outcome:
    status = JobStatus.DONE if http_status else JobStatus.FAILED
    final = "https://shop.example/" if http_status else None
    return Outcome(
        status=status, conclusion=conclusion, http_status=http_status, final_url=final, **more
    )


@pytest.mark.parametrize(
    ("ending", "is_tried_again"),
    [
        pytest.param(outcome(Conclusion.DNS_ERROR), True, id="no such name"),
        pytest.param(outcome(Conclusion.CONNECT_ERROR), True, id="no connection"),
        pytest.param(outcome(Conclusion.TIMEOUT), True, id="no answer"),
        pytest.param(outcome(Conclusion.BAD_RESPONSE), True, id="half an answer"),
        pytest.param(outcome(Conclusion.PROXY_ERROR), True, id="a proxy"),
        pytest.param(outcome(Conclusion.BROWSER_ERROR), True, id="a browser"),
        pytest.param(outcome(Conclusion.BLOCKED, 429), True, id="429"),
        pytest.param(outcome(Conclusion.HTTP_5XX, 502), True, id="502"),
        pytest.param(outcome(Conclusion.HTTP_5XX, 503), True, id="503"),
        pytest.param(outcome(Conclusion.HTTP_5XX, 504), True, id="504"),
        pytest.param(outcome(Conclusion.HTTP_5XX, 500), False, id="500"),
        pytest.param(outcome(Conclusion.BLOCKED, 403), False, id="403"),
        pytest.param(outcome(Conclusion.HTTP_4XX, 404), False, id="404"),
        pytest.param(outcome(Conclusion.VALID, 200), False, id="landed"),
        pytest.param(outcome(Conclusion.TLS_ERROR), False, id="a certificate"),
        pytest.param(outcome(Conclusion.REDIRECT_LOOP), False, id="a loop"),
    ],
)
def test_what_may_pass_is_tried_again_and_what_stands_is_not(ending, is_tried_again) -> None:
    assert bool(retries.delays(ending, steps=(2, 10), chance=lambda: 0.5)) is is_tried_again


@pytest.mark.parametrize(
    ("chance", "asked", "waits"),
    [
        pytest.param(0.5, None, (2, 10), id="the middle"),
        pytest.param(0.0, None, (1.6, 8), id="a fifth sooner"),
        pytest.param(1.0, None, (2.4, 12), id="a fifth later"),
        pytest.param(0.5, 5, (5, 10), id="what the site asked for"),
        pytest.param(0.5, 86400, (3600, 3600), id="an hour at the most"),
    ],
)
def test_attempts_are_spread_and_patient(chance, asked, waits) -> None:
    ending = outcome(Conclusion.BLOCKED, 429, retry_after_seconds=asked)

    assert retries.delays(ending, steps=(2, 10), chance=lambda: chance) == pytest.approx(waits)


def test_a_stray_worker_is_told_whose_work_this_is() -> None:
    with pytest.raises(AgentsDoThis, match="belong to Linkrow's agents"):
        resolve({"tracking_url": "https://trk.example/"})


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    drawn = re.findall(r"^( *)(\w+)$", errors.__doc__.split("\n\n", 1)[1], re.MULTILINE)
    real = {
        name: kind
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if kind.__module__ == errors.__name__
    }

    assert {name for _, name in drawn} == set(real)
    for indent, name in drawn:
        parent = "Exception" if not indent else "QueueError"
        assert real[name].__base__.__name__ == parent


# Events.


def happen(world, new_link, outcomes) -> None:
    world.admit(new_link(context={"ü": [1]}), new_link("r_2"))
    (lease, _) = world.lease()
    world.report(lease, outcomes["bad certificate"])


def test_every_event_our_scripts_write_is_read(world, new_link, outcomes) -> None:
    from relay.records import parse_outcome
    from wire.models import JobRequest, WritebackReport

    happen(world, new_link, outcomes)
    (final,) = world.endings()
    world.broker.note_writebacks(
        world.caller(device="dev_1"), [WritebackReport(job_id=final[0], writeback="written")]
    )

    entries = [events.decode(fields) for _, fields in world.redis.xrange("linkrow:outcomes")]

    source, admitted, seen, ended, written = entries
    assert isinstance(source, events.SourceEvent)
    assert (source.source_id, source.account_id, source.device_id) == ("src_a", "acct_a", None)
    assert isinstance(admitted, events.Admitted)
    assert [JobRequest.model_validate_json(job.request) for job in admitted.jobs] == [
        new_link(context={"ü": [1]}),
        new_link("r_2"),
    ]
    assert isinstance(seen, events.SeenEvent)
    assert seen.sources == ("src_a",)
    assert isinstance(ended, events.FinalEvent)
    assert parse_outcome(ended.outcome) == outcomes["bad certificate"]
    assert (ended.attempts, ended.device_id, ended.writeback) == (1, "dev_1", "pending")
    assert isinstance(written, events.WritebackEvent)
    assert admitted.at <= ended.at <= written.at


ODD = [b"", b"garbage", b"1e9", b"nan", b"-inf", "☃".encode(), b"\xff", b"[" * 5000, b"9" * 5000]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd[:8]))
def test_strangers_bytes_in_the_stream_are_unreadable_and_nothing_worse(
    world, new_link, outcomes, odd
) -> None:
    happen(world, new_link, outcomes)
    good = [fields for _, fields in world.redis.xrange("linkrow:outcomes")]

    for fields in good:
        for name in fields:
            broken = fields | {name: odd}
            with suppress(events.UnreadableEvent):
                events.decode(broken)
    for broken in ({}, {odd: odd}, {b"type": odd}, {b"type": b"final"}):
        with pytest.raises(events.UnreadableEvent):
            events.decode(broken)


@pytest.mark.parametrize("at", ["nan", "inf", "-1", "1e300", "today"])
def test_an_event_without_a_real_time_is_unreadable(world, new_link, outcomes, at) -> None:
    happen(world, new_link, outcomes)
    (_, fields) = world.redis.xrange("linkrow:outcomes")[-1]

    with pytest.raises(events.UnreadableEvent):
        events.decode(fields | {b"at": at.encode()})
