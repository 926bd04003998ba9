"""The judge of histories: a good one passes, and each way to break the promise is seen."""

import pytest

from tests.chaos.checker import Event, Kind, check

SITE = "http://127.0.0.1:1"
GOOD: list[Event] = [
    {"ev": "owned", "source_id": "s", "link": f"{SITE}/go/fine/fine-1", "note": "n1"},
    {"ev": "owned", "source_id": "s", "link": f"{SITE}/go/fine/fine-2", "note": "n2"},
    {"ev": "owned", "source_id": "s", "link": f"{SITE}/go/fine/fine-9", "note": "n9"},
    {"ev": "disowned", "source_id": "s", "link": f"{SITE}/go/fine/fine-9"},
    {
        "ev": "admitted", "job_id": "j1", "disposition": "created", "key": "k", "index": 0,
        "is_replay": False, "source_id": "s", "row_id": "r1", "link": f"{SITE}/go/fine/fine-1",
    },
    {
        "ev": "admitted", "job_id": "j2", "disposition": "created", "key": "k", "index": 1,
        "is_replay": False, "source_id": "s", "row_id": "r2", "link": f"{SITE}/go/fine/fine-2",
    },
    # Its answer was lost, and it was sent again.
    {
        "ev": "admitted", "job_id": "j1", "disposition": "created", "key": "k", "index": 0,
        "is_replay": True, "source_id": "s", "row_id": "r1", "link": f"{SITE}/go/fine/fine-1",
    },
    {"ev": "doubled", "path": "/v1/agent/lease", "statuses": [200, 409]},
    {"ev": "leased", "job_id": "j1", "lease_id": "1-a", "kind": "link", "delivery": 1},
    {"ev": "leased", "job_id": "j2", "lease_id": "1-b", "kind": "link", "delivery": 1},
    {"ev": "leased", "job_id": "j1", "lease_id": "2-c", "kind": "link", "delivery": 2},
    {
        "ev": "reported", "job_id": "j1", "lease_id": "1-a", "state": "stale",
        "conclusion": "valid", "final_url": f"{SITE}/land/fine-1/7",
    },
    {
        "ev": "reported", "job_id": "j1", "lease_id": "2-c", "state": "accepted",
        "conclusion": "valid", "final_url": f"{SITE}/land/fine-1/8",
    },
    {
        "ev": "reported", "job_id": "j1", "lease_id": "2-c", "state": "duplicate",
        "conclusion": "valid", "final_url": f"{SITE}/land/fine-1/8",
    },
    {"ev": "canceled", "job_id": "j2"},
    {
        "ev": "seen", "job_id": "j1", "status": "done", "conclusion": "valid",
        "final_url": f"{SITE}/land/fine-1/8", "checked_at": "2026-01-01T00:00:08Z",
    },
    {"ev": "confirmed", "job_id": "j1", "writeback": "written"},
    {"ev": "quota", "count": 2},
    {"ev": "left", "what": "depth", "count": 0},
    {
        "ev": "taken", "job_id": "j1", "source_id": "s", "row_id": "r1",
        "link": f"{SITE}/go/fine/fine-1",
    },
    {
        "ev": "taken", "job_id": "j2", "source_id": "s", "row_id": "r2",
        "link": f"{SITE}/go/fine/fine-2",
    },
    {
        "ev": "ended", "job_id": "j1", "status": "done", "conclusion": "valid",
        "final_url": f"{SITE}/land/fine-1/8",
    },
    {
        "ev": "ended", "job_id": "j2", "status": "canceled", "conclusion": "canceled",
        "final_url": None,
    },
    {"ev": "settled", "job_id": "j1", "writeback": "written"},
    {
        "ev": "booked", "job_id": "j1", "status": "done", "conclusion": "valid",
        "final_url": f"{SITE}/land/fine-1/8", "writeback": "written", "checked_at": 8.5,
        "source_id": "s", "row_id": "r1", "link": f"{SITE}/go/fine/fine-1",
    },
    {
        "ev": "booked", "job_id": "j2", "status": "canceled", "conclusion": "canceled",
        "final_url": None, "writeback": "none", "checked_at": 9.0, "source_id": "s",
        "row_id": "r2", "link": f"{SITE}/go/fine/fine-2",
    },
    {
        "ev": "row", "source_id": "s", "row_id": "r1", "link": f"{SITE}/go/fine/fine-1",
        "note": "n1", "final_url": f"{SITE}/land/fine-1/8", "conclusion": "valid", "job_id": "j1",
    },
    {
        "ev": "row", "source_id": "s", "row_id": "r2", "link": f"{SITE}/go/fine/fine-2",
        "note": "n2", "final_url": "", "conclusion": "", "job_id": "",
    },
]  # fmt: skip
NEWER: Event = {
    "ev": "booked", "job_id": "j3", "status": "done", "conclusion": "valid",
    "final_url": f"{SITE}/land/fine-1/20", "writeback": "written", "checked_at": 20.5,
    "source_id": "s", "row_id": "r1", "link": f"{SITE}/go/fine/fine-1",
}  # fmt: skip


def altered(ev: str, job_id: str | None = None, /, **facts: object) -> list[Event]:
    """The good history with *facts* in the last event called *ev* (of a job)."""
    history = [dict(event) for event in GOOD]
    found = [
        event
        for event in history
        if event["ev"] == ev and (job_id is None or event.get("job_id") == job_id)
    ]
    found[-1].update(facts)
    return history


def without(ev: str, job_id: str | None = None) -> list[Event]:
    return [
        event
        for event in GOOD
        if event["ev"] != ev or (job_id is not None and event.get("job_id") != job_id)
    ]


def again(ev: str, job_id: str, /, **facts: object) -> list[Event]:
    """The good history, and such an event once more, otherwise."""
    return [*GOOD, {**altered(ev, job_id)[_last(ev, job_id)], **facts}]


def _last(ev: str, job_id: str) -> int:
    return max(
        number
        for number, event in enumerate(GOOD)
        if event["ev"] == ev and event.get("job_id") == job_id
    )


def test_a_good_history_has_no_violation() -> None:
    assert check(GOOD) == []


BAD = [
    ("not in the queue", Kind.LOST, without("taken", "j1")),
    ("not in the books", Kind.LOST, without("booked", "j1")),
    ("unknown to a caller who asks", Kind.LOST, [*GOOD, {"ev": "missed", "job_id": "j1"}]),
    ("taken and told to nobody", Kind.UNASKED, without("admitted", "j1")),
    ("taken twice", Kind.UNASKED, again("taken", "j1")),
    ("never ended", Kind.ENDLESS, without("ended", "j1")),
    ("never ended in the books", Kind.ENDLESS, altered("booked", "j1", status="running")),
    ("its row never told", Kind.ENDLESS, altered("booked", "j1", writeback="pending")),
    ("ended twice alike", Kind.TWO_ENDS, again("ended", "j1")),
    (
        "ended twice otherwise",
        Kind.TWO_ENDS,
        again("ended", "j1", status="failed", conclusion="timeout", final_url=None),
    ),
    (
        "two leases accepted",
        Kind.TWO_ACCEPTED,
        again("reported", "j1", lease_id="1-a", state="accepted"),
    ),
    (
        "one lease accepted twice",
        Kind.TWO_ACCEPTED,
        again("reported", "j1", lease_id="2-c", state="accepted"),
    ),
    (
        "one lease counted as an attempt and as the end",
        Kind.TWO_ACCEPTED,
        again("reported", "j1", lease_id="2-c", state="retry"),
    ),
    (
        "an older lease accepted",
        Kind.STALE_ACCEPTED,
        [*GOOD, {"ev": "leased", "job_id": "j1", "lease_id": "3-d", "kind": "link", "delivery": 3}],
    ),
    (
        "another end than was accepted",
        Kind.UNFOUND,
        altered("ended", "j1", final_url=f"{SITE}/land/fine-1/7"),
    ),
    (
        "seen twice otherwise",
        Kind.CHANGED,
        again("seen", "j1", conclusion="http_4xx"),
    ),
    (
        "seen with another time",
        Kind.CHANGED,
        again("seen", "j1", checked_at="2026-01-01T00:00:09Z"),
    ),
    (
        "seen otherwise than booked",
        Kind.CHANGED,
        altered("seen", "j1", final_url=f"{SITE}/land/fine-1/7"),
    ),
    (
        "booked otherwise than ended",
        Kind.BOOKS_DIFFER,
        altered("booked", "j2", status="done", conclusion="valid"),
    ),
    (
        "booked another word on its row",
        Kind.BOOKS_DIFFER,
        altered("booked", "j1", writeback="conflict"),
    ),
    (
        "a result of another link",
        Kind.MIXED_UP,
        altered("booked", "j1", final_url=f"{SITE}/land/fine-2/8"),
    ),
    (
        "a conclusion its link cannot lead to",
        Kind.MIXED_UP,
        altered("booked", "j1", conclusion="link_removed"),
    ),
    (
        "in another row",
        Kind.WRONG_ROW,
        altered("row", final_url=f"{SITE}/land/fine-1/8", conclusion="valid", job_id="j1"),
    ),
    (
        "in a row that no job was for",
        Kind.WRONG_ROW,
        altered("row", job_id="j2"),
    ),
    (
        "after its link was taken away",
        Kind.WRONG_ROW,
        [{**GOOD[3], "link": f"{SITE}/go/fine/fine-1"}, *GOOD],
    ),
    (
        "after its link was taken away, and not even said",
        Kind.WRONG_ROW,
        [
            {**GOOD[3], "link": f"{SITE}/go/fine/fine-1"},
            *altered("booked", "j1", writeback="conflict"),
        ],
    ),
    ("older than what was written", Kind.STALE_ROW, [*GOOD, NEWER]),
    (
        "said to be written and not there",
        Kind.UNWRITTEN,
        [*GOOD[:-2], {**GOOD[-2], "final_url": "", "conclusion": "", "job_id": ""}, GOOD[-1]],
    ),
    (
        "half written",
        Kind.UNWRITTEN,
        [*GOOD[:-2], {**GOOD[-2], "conclusion": "timeout"}, GOOD[-1]],
    ),
    ("two words on one row", Kind.TWO_WORDS, again("settled", "j1", writeback="missing")),
    ("an owner's cell changed", Kind.OWNER, altered("row", note="n1")),
    ("an owner's row gone", Kind.OWNER, GOOD[:-1]),
    ("an owner's row doubled", Kind.OWNER, [*GOOD, GOOD[-1]]),
    (
        "a deleted row back",
        Kind.OWNER,
        [*GOOD, {**GOOD[-1], "row_id": "r9", "link": f"{SITE}/go/fine/fine-9", "note": "n9"}],
    ),
    ("one key, another job", Kind.KEY, again("admitted", "j1", job_id="j2")),
    ("one key, another word", Kind.KEY, again("admitted", "j1", disposition="coalesced")),
    ("a replay let in", Kind.REPLAYED, altered("doubled", statuses=[200, 200])),
    ("quota too high", Kind.QUOTA, altered("quota", count=3)),
    ("quota too low", Kind.QUOTA, altered("quota", count=1)),
    ("something left", Kind.LEFT, altered("left", count=1)),
    ("an agent that fell over", Kind.FELL, [*GOOD, {"ev": "fell", "party": "a1", "code": 4}]),
]


@pytest.mark.parametrize(("kind", "history"), [case[1:] for case in BAD], ids=[c[0] for c in BAD])
def test_each_way_to_break_the_promise_is_seen(kind: Kind, history: list[Event]) -> None:
    assert kind in {violation.kind for violation in check(history)}


def test_there_is_an_example_of_every_kind() -> None:
    assert {kind for _, kind, _ in BAD} == set(Kind)


def test_of_one_second_either_result_may_stand() -> None:
    same_second = {**NEWER, "checked_at": 8.9}

    kinds = {violation.kind for violation in check([*GOOD, same_second])}

    assert Kind.STALE_ROW not in kinds


def test_an_agent_may_die_between_the_row_and_its_word_and_the_owner_come_in_between() -> None:
    history = altered("booked", "j1", writeback="conflict")
    history = [
        {**event, "writeback": "conflict"} if event["ev"] == "settled" else event
        for event in history
    ]
    moved = [
        {**event, "link": f"{SITE}/go/fine/fine-8", "note": "n8"}
        if event["ev"] == "row" and event["row_id"] == "r1"
        else event
        for event in history
    ]
    edited = [
        {"ev": "disowned", "source_id": "s", "link": f"{SITE}/go/fine/fine-1"},
        {"ev": "owned", "source_id": "s", "link": f"{SITE}/go/fine/fine-8", "note": "n8"},
    ]

    assert check([*moved, *edited]) == []


def test_a_row_keeps_its_last_answer_when_nobody_looked_since() -> None:
    expired = {
        **NEWER,
        "status": "expired",
        "conclusion": "job_expired",
        "final_url": None,
    }
    row = {**GOOD[-2], "conclusion": "job_expired", "job_id": "j3"}

    violations = check([*GOOD[:-2], row, GOOD[-1], expired])

    assert {violation.kind for violation in violations} == {Kind.ENDLESS}  # j3 has no other event
