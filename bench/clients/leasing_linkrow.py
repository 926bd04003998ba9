"""Take so many jobs over HTTP and report each, in batches of 100: lease, results, rows written."""

import sys

from bench.clients.intake_linkrow import hand_in
from bench.relay import running_relay
from bench.timed import Timed
from wire.models import (
    LeaseRequest,
    Outcome,
    Report,
    ResultsRequest,
    WritebackReport,
    WritebacksRequest,
)
from wire.vocab import Conclusion, JobStatus, ReportState, Writeback

BATCH = 100

count = int(sys.argv[1])
with running_relay() as relay:
    client = relay.client()
    hand_in(client, count)
    accepted = written = 0
    with Timed() as timed:
        while True:
            leases = client.lease(LeaseRequest(max=BATCH, sources=["src_bench"])).leases
            if not leases:
                break
            reports = [
                Report(
                    job_id=lease.job_id,
                    lease_id=lease.lease_id,
                    outcome=Outcome(
                        status=JobStatus.DONE,
                        conclusion=Conclusion.VALID,
                        final_url=f"https://www.shop.example/{lease.row_id}",
                        http_status=200,
                    ),
                )
                for lease in leases
            ]
            answers = client.results(ResultsRequest(results=reports)).results
            accepted += sum(each.state is ReportState.ACCEPTED for each in answers)
            words = [
                WritebackReport(job_id=lease.job_id, writeback=Writeback.WRITTEN)
                for lease in leases
            ]
            client.writebacks(WritebacksRequest(writebacks=words))
            written += len(words)
    client.close()
print(accepted, written)
timed.say()
