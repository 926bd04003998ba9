"""The recorder: what happened is booked once, whatever is killed when."""

import pytest

from relay.ledger.ledger import Ledger
from relay.recorder import Recorder
from wire.models import WritebackReport
from wire.vocab import Conclusion, JobStatus, Writeback


@pytest.fixture
def ledger(database_url: str):
    ledger = Ledger.open(database_url)
    ledger.migrate()
    yield ledger
    ledger.close()


def test_what_happens_to_jobs_is_booked(world, new_link, ledger) -> None:
    recorder = Recorder(world.broker, ledger)
    admitted = world.admit(*(new_link(f"r_{n}") for n in range(5)))
    recorder.drain()
    queued = ledger.job("acct_a", admitted.jobs[0].job_id)
    for lease in world.lease():
        accepted = world.report(lease)
        world.broker.note_writebacks(
            world.caller(device="dev_1"),
            [WritebackReport(job_id=accepted.job_id, writeback=Writeback.WRITTEN)],
        )

    recorder.drain()

    assert queued.status is JobStatus.QUEUED
    for job in admitted.jobs:
        booked = ledger.job("acct_a", job.job_id)
        assert (booked.status, booked.conclusion) == (JobStatus.DONE, Conclusion.VALID)
        assert booked.writeback is Writeback.WRITTEN
        assert booked.answer() == world.job(job.job_id)
    assert world.broker.backlog() == 0
