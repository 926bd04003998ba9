"""Killed 200 times between commit and acknowledgement, the books hold each event exactly once."""

import json
from typing import Any

import pytest
import sqlalchemy as sa

from relay.ledger.ledger import Ledger
from relay.ledger.schema import jobs, sources, unreadable_events
from relay.recorder import Recorder
from wire.models import WritebackReport
from wire.vocab import Writeback

pytestmark = pytest.mark.processes
KILLS = 200


def what_books_should_say(events: list[dict[str, str]]) -> dict[str, dict[str, Any]]:
    """Each job as *events* leave it: the first admission, ending and word on its row stand."""
    rows: dict[str, dict[str, Any]] = {}
    for event in events:
        match event["type"]:
            case "admitted":
                for job in json.loads(event["jobs"]):
                    rows.setdefault(
                        job["job_id"],
                        {"row_id": job["request"]["row_id"], "created_at": float(event["at"]),
                         "nonce": event["nonce"], "status": "queued", "conclusion": None,
                         "attempts": 0, "checked_at": None, "writeback": "none"},
                    )  # fmt: skip
            case "final":
                row = rows[event["job_id"]]
                if row["conclusion"] is None:
                    row |= {name: event[name] for name in ("status", "conclusion", "writeback")}
                    row |= {"attempts": int(event["attempts"]), "checked_at": float(event["at"])}
            case "writeback":
                if rows[event["job_id"]]["writeback"] == "pending":
                    rows[event["job_id"]]["writeback"] = event["writeback"]
    return rows


def what_books_say(ledger: Ledger) -> dict[str, dict[str, Any]]:
    names = ("row_id", "created_at", "nonce", "status", "conclusion", "attempts", "checked_at",
             "writeback")  # fmt: skip
    with ledger._begin() as connection:
        rows = connection.execute(sa.select(jobs)).mappings().all()
    booked = {row["job_id"]: {name: row[name] for name in names} for row in rows}
    assert len(booked) == len(rows)
    return booked


@pytest.mark.timeout(480)
def test_no_event_is_lost_or_doubled_by_200_kills_between_commit_and_acknowledgement(
    world, ledger, kill_a_recorder, redis, new_link, outcomes
) -> None:
    happened: dict[bytes, dict[str, str]] = {}
    strange = 0
    for kill in range(KILLS):
        source = f"src_{kill % 7}"
        first, second = (
            job.job_id
            for job in world.admit(
                *(new_link(f"r_{kill}_{n}", source_id=source) for n in "ab")
            ).jobs
        )
        for lease in world.lease(source, max=1):
            world.report(lease, outcomes["landed" if kill % 3 else "bad certificate"])
            world.broker.note_writebacks(
                world.caller(device="dev_1"),
                [WritebackReport(job_id=lease.job_id, writeback=Writeback.WRITTEN)],
            )
        if kill % 2:
            world.broker.cancel("acct_a", second)
        if kill % 5 == 0:  # and one more ending for a job that may have ended, or not
            other = {"type": "final", "job_id": first, "account_id": "acct_a", "at": "1795200000",
                     "status": "skipped", "conclusion": "paused_by_operator", "outcome": "",
                     "skip_reason": "", "attempts": "9", "device_id": "",
                     "writeback": "none"}  # fmt: skip
            redis.xadd("linkrow:outcomes", other)
        if kill % 50 == 0:
            redis.xadd("linkrow:outcomes", {"type": "snowman", "n": kill})
            strange += 1
        for entry_id, fields in redis.xrange("linkrow:outcomes"):
            happened[entry_id] = {n.decode(): value.decode() for n, value in fields.items()}

        # The first batch is what the last one left unacknowledged; now and then it dies of that.
        of_what_is_new = kill > 0 and kill % 4 > 0
        assert kill_a_recorder("committed", batch=2 if of_what_is_new else 1) == 9
        assert redis.xpending("linkrow:outcomes", "recorder")["pending"]

    Recorder(world.broker, ledger).drain()

    assert world.broker.backlog() == 0
    assert redis.xpending("linkrow:outcomes", "recorder")["pending"] == 0
    said = what_books_say(ledger)
    assert len(said) == 2 * KILLS
    assert said == what_books_should_say(list(happened.values()))
    with ledger._begin() as connection:
        known = connection.execute(sa.select(sources.c.source_id)).scalars().all()
        aside = connection.execute(sa.select(unreadable_events.c.entry_id)).scalars().all()
    assert sorted(known) == [f"src_{n}" for n in range(7)]
    assert len(aside) == strange
