"""A result waits until its row has it: handed on, renewed, given up, never doubled."""

import pytest

from relay.queue.errors import UnknownSource
from wire.models import LeaseRequest, ReleaseRequest, WritebackReport
from wire.vocab import Conclusion, Disposition, Writeback


def say(world, job_id, writeback=Writeback.WRITTEN, device="dev_1", account="acct_a"):
    return world.broker.note_writebacks(
        world.caller(account, device), [WritebackReport(job_id=job_id, writeback=writeback)]
    )[0].writeback


@pytest.fixture
def owed(world, new_link) -> str:
    """A job whose row dev_1 is to write."""
    world.admit(new_link())
    return world.report(world.lease()[0]).job_id


def test_its_copy_outlives_the_job_and_is_still_readable(world, owed) -> None:
    whole = world.job(owed)
    world.redis.delete(f"rq:job:{owed}", f"rq:results:{owed}")

    assert world.job(owed) == whole
    world.let_obligations_fall_due()
    (handed,) = world.lease(device="dev_2")
    assert handed.result == whole
    assert say(world, owed, device="dev_2") is Writeback.WRITTEN
    assert world.job(owed) is None


def test_it_is_handed_to_one_device_at_a_time_and_on_if_that_one_dies_too(world, owed) -> None:
    world.let_obligations_fall_due()
    (second,) = world.lease(device="dev_2")
    meanwhile = world.lease(device="dev_3")
    world.let_obligations_fall_due()
    (third,) = world.lease(device="dev_3")

    assert meanwhile == []
    assert [second.delivery, third.delivery] == [1, 2]
    assert second.lease_id != third.lease_id


def test_only_its_holder_prolongs_it(world, owed) -> None:
    world.let_obligations_fall_due()
    world.lease(device="dev_2")
    world.let_obligations_fall_due()

    world.renew(owed=[owed], device="dev_1")

    assert [lease.job_id for lease in world.lease(device="dev_3")] == [owed]


def test_an_agent_that_starts_anew_makes_its_rows_free_at_once(world, owed) -> None:
    world.broker.release(world.caller(device="dev_1"), ReleaseRequest(all=True, sources=["src_a"]))

    assert [lease.job_id for lease in world.lease(device="dev_2")] == [owed]


def test_another_device_does_not_make_them_free(world, owed) -> None:
    world.broker.release(world.caller(device="dev_2"), ReleaseRequest(all=True, sources=["src_a"]))

    assert world.lease(device="dev_2") == []


def test_another_account_has_no_word_on_it(world, owed) -> None:
    say(world, owed, account="acct_b", device="dev_9")

    assert world.job(owed).writeback is Writeback.PENDING
    with pytest.raises(UnknownSource):
        world.lease(account="acct_b", device="dev_9")


def test_the_late_word_of_a_device_that_lost_it_is_still_the_first(world, owed) -> None:
    world.let_obligations_fall_due()
    world.lease(device="dev_2")

    assert say(world, owed, Writeback.WRITTEN, "dev_1") is Writeback.WRITTEN
    assert say(world, owed, Writeback.CONFLICT, "dev_2") is Writeback.WRITTEN
    assert world.lease(device="dev_3") == []


def test_an_older_one_of_the_same_row_stays_beside_the_newer(world, new_link, owed) -> None:
    again = world.admit(new_link()).jobs[0]
    newer = world.report(world.lease()[0]).job_id
    world.let_obligations_fall_due()

    handed = world.lease(device="dev_2")

    assert again.disposition is Disposition.CREATED
    assert {lease.job_id for lease in handed} == {owed, newer}
    assert all(lease.result.checked_at is not None for lease in handed)


def test_what_nobody_took_and_what_everybody_lost_is_written_by_anyone(world, new_link) -> None:
    expired = world.admit(new_link("r_1", expires_in=1)).jobs[0].job_id
    world.let_jobs_expire()
    world.broker.sweep()

    (handed,) = world.lease(device="dev_5")

    assert (handed.job_id, handed.kind) == (expired, "writeback")
    assert handed.result.conclusion is Conclusion.JOB_EXPIRED
    assert handed.result.check_status == "skipped"
    assert "no agent" in handed.result.skip_reason


@pytest.mark.parametrize(
    "more", [{"row_id": None}, {"row_id": None, "source_id": None}], ids=["no row", "no source"]
)
def test_what_has_no_row_leaves_none(world, new_link, more) -> None:
    world.admit(new_link(**more))
    ask = LeaseRequest(sources=["src_a"], sourceless=True)
    (lease,) = world.broker.lease(world.caller(device="dev_1"), ask)

    assert world.report(lease).writeback is Writeback.NONE
    assert world.redis.keys("linkrow:obligation*") == []


def test_a_waiting_agent_learns_when_one_falls_due(world, owed) -> None:
    ask = LeaseRequest(sources=["src_a"], max=1)

    _, due = world.broker._lease(world.caller(device="dev_2"), ask)

    assert 100 < due <= world.broker.settings.obligation_seconds


def test_ten_thousand_rows_of_a_device_are_given_up_in_one_short_look(world, owed) -> None:
    for n in range(10_500):
        world.redis.zadd("linkrow:obligations:src_a", {f"other-{n}": n + 10})
    calls = world.redis.info("commandstats")["cmdstat_hget"]["calls"]

    world.broker.release(world.caller(device="dev_1"), ReleaseRequest(all=True, sources=["src_a"]))

    assert world.redis.info("commandstats")["cmdstat_hget"]["calls"] - calls <= 10_100
