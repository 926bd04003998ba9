"""What devices found, and what became of rows: the first word on each stands."""

import json
from collections.abc import Sequence

from relay.queue import retries
from relay.queue.rq_form import shown_result
from relay.queue.scripted import ScriptedQueue
from relay.queue.stored import accepted_of
from relay.queue.terms import Caller
from relay.records import outcome_json
from wire.models import Accepted, Report, WritebackNoted, WritebackReport
from wire.vocab import Writeback


class Reporting(ScriptedQueue):
    """Devices bring results."""

    def report(self, caller: Caller, reports: Sequence[Report]) -> list[Accepted]:
        """Take results: exactly one per job is accepted. One script for the whole batch."""
        arguments: list[str] = [json.dumps(self._terms(caller))]
        for report in reports:
            outcome = report.outcome
            again = retries.delays(outcome, steps=self.settings.retry_delays, chance=self._chance)
            arguments += [
                report.job_id,
                report.lease_id,
                outcome.status,
                outcome.conclusion,
                outcome_json(outcome),
                shown_result(outcome),
                ",".join(f"{delay:.3f}" for delay in again),
            ]
        return [
            accepted_of(report.job_id, row)
            for report, row in zip(reports, self._scripts.run("report", arguments), strict=True)
        ]

    def note_writebacks(
        self, caller: Caller, reports: Sequence[WritebackReport]
    ) -> list[WritebackNoted]:
        """What became of rows; the first word on each stays."""
        arguments = [caller.account_id, caller.device_id or ""]
        for report in reports:
            arguments += [report.job_id, report.writeback, report.detail]
        states = self._scripts.run("writebacks", arguments)
        return [
            WritebackNoted(
                job_id=report.job_id,
                writeback=Writeback(state.decode()) if state else Writeback(report.writeback),
            )
            for report, state in zip(reports, states, strict=True)
        ]
