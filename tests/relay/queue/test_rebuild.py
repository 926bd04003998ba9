"""A Redis that was lost is filled from the books, and nothing comes in before it is."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from relay.queue.broker import Broker
from relay.queue.errors import QuotaExceeded, Rebuilding, UnknownSource
from relay.queue.terms import Limits
from relay.records import JobRecord, RefreshCount
from wire.models import WritebackReport
from wire.vocab import Conclusion, Disposition, JobStatus, ReportState, Writeback

REFRESH = "rf_1795200000_aaaaaaaa"


def waiting(world, request, job_id) -> JobRecord:
    seconds, _ = world.redis.time()
    return JobRecord(
        job_id=job_id,
        account_id="acct_a",
        request=request,
        status=JobStatus.QUEUED,
        created_at=float(seconds),
    )


@pytest.fixture
def lost(world, redis):
    """The same Redis after it lost everything."""

    def lose() -> Broker:
        redis.flushall()
        return world.broker

    return lose


def test_jobs_that_had_not_ended_wait_again_under_their_ids(world, new_link, lost) -> None:
    requests = [new_link("r_1"), new_link("r_2", expires_in=3600), new_link(None, source_id=None)]
    ids = [job.job_id for job in world.admit(*requests).jobs]
    books = [waiting(world, request, name) for request, name in zip(requests, ids, strict=True)]
    broker = lost()

    restored = broker.rebuild(
        sources=[("src_a", "acct_a")], quotas=[("acct_a", 3)], unfinished=books, owed=()
    )

    assert restored == 3
    assert broker.is_ready()
    assert [lease.job_id for lease in world.lease()] == ids[:2]
    assert world.rq(ids[0]).get_status() == "started"
    assert world.redis.get("linkrow:depth:acct_a") == b"3"
    assert world.redis.zcard("linkrow:expires") == 3


def test_what_was_counted_is_counted_on(world, new_link, lost) -> None:
    broker = lost()
    broker.rebuild(sources=[("src_a", "acct_a")], quotas=[("acct_a", 9)], unfinished=(), owed=())
    world.redis.set("linkrow:epoch", 1)

    with pytest.raises(QuotaExceeded):
        world.admit(new_link("r_1"), new_link("r_2"), limits=Limits(rows_per_day=10))
    world.admit(new_link("r_1"), limits=Limits(rows_per_day=10))
    with pytest.raises(UnknownSource):
        world.lease(account="acct_b", device="dev_9")


def test_a_live_row_is_live_again(world, new_link, lost) -> None:
    job_id = world.admit(new_link()).jobs[0].job_id
    book = waiting(world, new_link(), job_id)
    lost().rebuild(sources=[], quotas=[], unfinished=[book], owed=())
    world.redis.set("linkrow:epoch", 1)

    again = world.admit(new_link()).jobs[0]

    assert (again.job_id, again.disposition) == (job_id, Disposition.COALESCED)


def test_rows_that_were_still_to_be_written_are_handed_out_with_their_results(
    world, new_link, outcomes, lost
) -> None:
    job_id = world.admit(new_link(refresh_id=REFRESH)).jobs[0].job_id
    world.report(world.lease()[0])
    seconds, _ = world.redis.time()
    book = replace(
        waiting(world, new_link(refresh_id=REFRESH), job_id),
        status=JobStatus.DONE,
        conclusion=Conclusion.VALID,
        outcome=outcomes["landed"],
        attempts=1,
        device_id="dev_1",
        writeback=Writeback.PENDING,
        checked_at=float(seconds),
    )
    counts = [
        RefreshCount(
            account_id="acct_a",
            refresh_id=REFRESH,
            conclusion=Conclusion.VALID,
            writeback=writeback,
            jobs=jobs,
        )
        for writeback, jobs in ((Writeback.PENDING, 1), (Writeback.WRITTEN, 4))
    ]

    lost().rebuild(
        sources=[("src_a", "acct_a")], quotas=(), unfinished=(), owed=[book], refreshes=counts
    )
    (handed,) = world.lease(device="dev_2")
    world.broker.note_writebacks(
        world.caller(device="dev_2"),
        [WritebackReport(job_id=job_id, writeback=Writeback.WRITTEN)],
    )

    assert handed.kind == "writeback"
    assert handed.result.final_url == outcomes["landed"].final_url
    assert handed.result.hops == outcomes["landed"].hops
    assert handed.result.checked_at.timestamp() == seconds
    progress = world.broker.progress("acct_a", REFRESH)
    assert (progress.submitted, progress.finished) == (5, 5)
    assert progress.by_writeback == {Writeback.WRITTEN: 5}


def test_a_rebuild_that_was_cut_short_is_repeated_without_doubling(world, new_link, lost) -> None:
    requests = [new_link("r_1"), new_link("r_2")]
    ids = [job.job_id for job in world.admit(*requests).jobs]
    books = [waiting(world, request, name) for request, name in zip(requests, ids, strict=True)]
    count = RefreshCount(
        account_id="acct_a",
        refresh_id=REFRESH,
        conclusion=None,
        writeback=Writeback.NONE,
        jobs=2,
    )
    broker = lost()

    def cut_short():
        yield books[0]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        broker.rebuild(
            sources=(), quotas=[("acct_a", 2)], unfinished=cut_short(), owed=(), refreshes=[count]
        )
    assert not broker.is_ready()
    for _ in range(2):
        world.redis.delete("linkrow:epoch")
        broker.rebuild(
            sources=(), quotas=[("acct_a", 2)], unfinished=books, owed=(), refreshes=[count]
        )

    assert world.redis.get("linkrow:depth:acct_a") == b"2"
    assert world.redis.lrange("rq:queue:links.src_a", 0, -1) == [name.encode() for name in ids]
    assert world.broker.progress("acct_a", REFRESH).submitted == 2


def test_results_from_before_the_loss_are_stale_and_end_nothing(world, new_link, lost) -> None:
    job_id = world.admit(new_link()).jobs[0].job_id
    (lease,) = world.lease()
    lost().rebuild(sources=(), quotas=(), unfinished=[waiting(world, new_link(), job_id)], owed=())

    assert world.report(lease).state is ReportState.STALE
    assert world.renew(lease) == ["lost"]
    (again,) = world.lease()
    assert world.report(again).state is ReportState.ACCEPTED


def test_requests_that_race_with_a_rebuild_are_refused_or_counted(world, new_link, lost) -> None:
    broker = lost()
    open_now = threading.Event()

    def books():
        open_now.set()
        yield from ()

    def submit(n: int) -> str:
        open_now.wait()
        for _ in range(200):
            try:
                world.admit(
                    new_link(f"r_{n}"),
                    limits=Limits(rows_per_day=30),
                    caller=world.caller(timestamp=9_999_999_999),
                )
            except Rebuilding:
                continue
            except QuotaExceeded:
                return "over"
            return "in"
        return "never"

    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(submit, n) for n in range(20)]
        broker.rebuild(sources=(), quotas=[("acct_a", 25)], unfinished=books(), owed=())
        told = [answer.result() for answer in answers]

    assert told.count("in") == 5
    assert world.redis.llen("rq:queue:links.src_a") == 5
