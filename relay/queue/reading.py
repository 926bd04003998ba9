"""What callers see of jobs, and a job they take back."""

from collections.abc import Sequence

from rq.utils import utcformat

from relay.queue.chunks import chunks
from relay.queue.endings import CANCELED_REASON
from relay.queue.errors import AlreadyFinal
from relay.queue.scripted import ScriptedQueue
from relay.queue.scripts import redis_errors
from relay.queue.stored import FIELDS, OWED_FIELDS, owed_record, record_of
from wire.models import JobAnswer
from wire.vocab import FINAL_STATUSES


class Reading(ScriptedQueue):
    """Callers look, wait and cancel."""

    def job(self, account_id: str, job_id: str) -> JobAnswer | None:
        """One job of the account, or None if Redis does not (or no longer) know it."""
        return self.jobs(account_id, [job_id]).get(job_id)

    def jobs(self, account_id: str, job_ids: Sequence[str]) -> dict[str, JobAnswer]:
        """Those of *job_ids* that Redis knows and the account owns."""
        found: dict[str, JobAnswer] = {}
        for chunk in chunks(job_ids):
            with redis_errors(), self.redis.pipeline(transaction=False) as pipe:
                for name in chunk:
                    pipe.hmget(f"rq:job:{name}", FIELDS)
                rows = pipe.execute()
                owed = [name for name, row in zip(chunk, rows, strict=True) if row[0] is None]
                for name in owed:
                    pipe.hmget(f"linkrow:obligation:{name}", OWED_FIELDS)
                copies = dict(zip(owed, pipe.execute(), strict=True)) if owed else {}
            for name, row in zip(chunk, rows, strict=True):
                record = record_of(name, row) or owed_record(name, copies.get(name))
                if record and record.account_id == account_id:
                    found[name] = record.answer()
        return found

    def wait_final(self, account_id: str, job_id: str, seconds: float) -> JobAnswer | None:
        """The job once it has ended, or as it stands after *seconds*."""
        return self._wait(
            f"linkrow:final:{job_id}",
            lambda: self.job(account_id, job_id),
            is_over=lambda found: found.status in FINAL_STATUSES,
            seconds=seconds,
        )

    def cancel(self, account_id: str, job_id: str) -> JobAnswer | None:
        """End a job that has not ended; None if Redis does not know it. Raises AlreadyFinal."""
        iso = utcformat(self._clock())
        answer = self._scripts.run("cancel", [account_id, job_id, iso, CANCELED_REASON])
        if answer == b"missing":
            return None
        if answer == b"final":
            raise AlreadyFinal(job_id)
        return self.job(account_id, job_id)
