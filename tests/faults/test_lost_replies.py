"""What is lost between a client or an agent and a real relay is made good, and never doubled."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from connector.patience import Patience
from connector.relay_client import RelayClient
from connector.relay_errors import Unreachable
from wire.models import (
    Held,
    JobRequest,
    LeaseRequest,
    Outcome,
    ReleaseRequest,
    RenewRequest,
    Report,
    ResultsRequest,
    WritebackReport,
    WritebacksRequest,
)
from wire.vocab import Conclusion, JobStatus, LeaseState, ReportState, Writeback

pytestmark = pytest.mark.processes
RESULTS = "/v1/agent/results"
WRITEBACKS = "/v1/agent/writebacks"
RENEW = "/v1/agent/renew"
RELEASE = "/v1/agent/release"
LEASE = "/v1/agent/lease"
SUBMIT = "/v1/jobs"


@pytest.fixture
def source() -> str:
    return "src_" + secrets.token_hex(8)


def rows(source: str, count: int = 3) -> list[JobRequest]:
    return [
        JobRequest(tracking_url=f"https://t.example/{n}", source_id=source, row_id=f"r_{n}")
        for n in range(count)
    ]


def report(lease, page: str = "https://page.example/") -> ResultsRequest:
    outcome = Outcome(
        status=JobStatus.DONE, conclusion=Conclusion.VALID, final_url=page, http_status=200
    )
    return ResultsRequest(
        results=[Report(job_id=lease.job_id, lease_id=lease.lease_id, outcome=outcome)]
    )


@pytest.fixture
def take(relay, source, eventually):
    """Lease until something comes."""

    def leased(client=relay.client, **ask):
        found = []

        def came() -> bool:
            found.extend(client.lease(LeaseRequest(sources=[source], **ask)).leases)
            return bool(found)

        eventually(came, what="there is work")
        return found

    return leased


@pytest.fixture
def patient(relay, proxy) -> Iterator[RelayClient]:
    """Asks again in a later second only: job ids hold the second of their birth."""
    patience = Patience(first_pause=2.5, longest_pause=2.5)
    client = RelayClient(proxy.url, relay.credentials, patience=patience)
    yield client
    client.close()


@pytest.mark.parametrize("fault", ["answer lost", "request lost", "both lost", "sliced"])
def test_a_submission_is_made_once_whatever_the_network_does(
    relay, proxy, patient, source, take, held_recorder, fault
):
    charged = relay.rows_charged()
    losses = []
    if fault in ("request lost", "both lost"):
        losses.append(proxy.lose_request(SUBMIT))
    if fault in ("answer lost", "both lost"):
        losses.append(proxy.lose_reply(SUBMIT))
    if fault == "sliced":
        proxy.slice()

    answer = patient.submit(rows(source), idempotency_key=secrets.token_hex(8))

    assert all(loss.happened.is_set() for loss in losses)
    assert proxy.seen[SUBMIT] == 1 + len(losses)
    assert [job.row_id for job in answer.jobs] == ["r_0", "r_1", "r_2"]
    # Not joined to what the first sending made: it is the first answer.
    assert {job.disposition for job in answer.jobs} <= {"created", "replayed"}
    assert relay.rows_charged() - charged == 3
    assert [lease.job_id for lease in take(max=10)] == [job.job_id for job in answer.jobs]
    assert relay.client.lease(LeaseRequest(sources=[source])).leases == []


def test_leases_whose_answer_was_lost_come_back_and_end_once(
    relay, proxy, through, source, take, held_recorder
):
    (job,) = relay.client.submit(rows(source, 1), idempotency_key=secrets.token_hex(8)).jobs
    loss = proxy.lose_reply(LEASE)

    with pytest.raises(Unreachable):
        through.lease(LeaseRequest(sources=[source]))
    assert loss.happened.is_set()
    assert relay.job(job.job_id).status is JobStatus.RUNNING
    (lease,) = take()

    assert (lease.job_id, lease.delivery) == (job.job_id, 2)
    assert through.results(report(lease)).results[0].state is ReportState.ACCEPTED
    assert relay.finals(job.job_id) == 1


def test_a_report_whose_answer_was_lost_is_a_duplicate_and_a_success(
    relay, proxy, through, source, take, held_recorder
):
    relay.client.submit(rows(source, 1), idempotency_key=secrets.token_hex(8))
    (lease,) = take()
    loss = proxy.lose_reply(RESULTS)

    (answer,) = through.results(report(lease)).results

    assert loss.happened.is_set()
    assert answer.state is ReportState.DUPLICATE
    assert answer.writeback is Writeback.PENDING
    assert answer.checked_at is not None
    assert relay.finals(lease.job_id) == 1


def test_of_a_report_sent_many_times_at_once_one_is_accepted(
    relay, through, source, take, held_recorder
):
    relay.client.submit(rows(source, 1), idempotency_key=secrets.token_hex(8))
    (lease,) = take()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(through.results, [report(lease)] * 16))

    states = sorted(answer.results[0].state for answer in answers)
    assert states == [ReportState.ACCEPTED] + [ReportState.DUPLICATE] * 15
    assert relay.finals(lease.job_id) == 1


def test_a_late_report_is_stale_before_and_after_the_newer_one(
    relay, through, source, take, held_recorder
):
    relay.client.submit(rows(source, 1), idempotency_key=secrets.token_hex(8))
    (late,) = take()
    (newer,) = take()
    assert (newer.job_id, newer.delivery) == (late.job_id, 2)

    before = through.results(report(late, "https://old.example/")).results[0]
    accepted = through.results(report(newer, "https://new.example/")).results[0]
    after = through.results(report(late, "https://old.example/")).results[0]

    assert (before.state, accepted.state, after.state) == (
        ReportState.STALE,
        ReportState.ACCEPTED,
        ReportState.STALE,
    )
    assert relay.job(late.job_id).final_url == "https://new.example/"
    assert relay.finals(late.job_id) == 1


def test_the_first_word_on_a_row_stands_though_its_answer_was_lost(
    relay, proxy, through, source, take
):
    relay.client.submit(rows(source, 1), idempotency_key=secrets.token_hex(8))
    (lease,) = take()
    through.results(report(lease))
    loss = proxy.lose_reply(WRITEBACKS)

    word = WritebackReport(job_id=lease.job_id, writeback=Writeback.WRITTEN)
    through.writebacks(WritebacksRequest(writebacks=[word]))

    assert loss.happened.is_set()
    assert proxy.seen[WRITEBACKS] == 2
    assert relay.job(lease.job_id).writeback is Writeback.WRITTEN


def test_a_renewal_whose_answer_was_lost_is_renewed_again(relay, proxy, through, source, take):
    relay.client.submit(rows(source, 1), idempotency_key=secrets.token_hex(8))
    (lease,) = take()
    loss = proxy.lose_reply(RENEW)
    held = Held(job_id=lease.job_id, lease_id=lease.lease_id)

    (renewed,) = through.renew(RenewRequest(leases=[held])).leases

    assert loss.happened.is_set()
    assert renewed.state is LeaseState.RENEWED


def test_what_was_given_back_with_the_answer_lost_is_given_back_once(
    relay, proxy, through, source, take
):
    relay.client.submit(rows(source, 2), idempotency_key=secrets.token_hex(8))
    leases = take(max=10)
    loss = proxy.lose_reply(RELEASE)

    through.release(ReleaseRequest(all=True, sources=[source]))

    assert loss.happened.is_set()
    again = take(max=10)
    assert {(each.job_id, each.delivery) for each in again} == {(each.job_id, 2) for each in leases}
    assert len(again) == 2


@pytest.mark.parametrize("path", [RESULTS, WRITEBACKS, RENEW, RELEASE, LEASE])
@pytest.mark.parametrize("lose", ["lose_reply", "lose_request"])
def test_an_agent_ends_with_every_row_right_and_every_job_ended_once(
    relay, proxy, site, table, start, eventually, held_recorder, lose, path
):
    slow = table([f"{site.url}/slow/{n}" for n in range(5)])
    loss = getattr(proxy, lose)(path, times=3)  # more than one call of the client tries
    agent = start(slow)
    if path == RENEW:
        assert loss.happened.wait(80)
    site.gate.set()
    eventually(slow.is_written, what="every row is written")

    assert loss.happened.wait(80)
    assert agent.end() == 0  # its spool is empty
    slow.assert_right()
    assert sorted(each["job_id"] for each in agent.said("written")) == sorted(slow.jobs)
    assert [relay.finals(job) for job in slow.jobs] == [1] * 5
    if path in (RESULTS, WRITEBACKS):
        assert site.visits("/slow/") == 5  # nothing was walked again


def test_an_agent_whose_long_poll_is_cut_asks_again_and_gets_what_comes(
    relay, proxy, site, table, start, eventually
):
    fast = table([f"{site.url}/fast/0"])
    agent = start(fast)
    eventually(fast.is_written, what="the first is written")
    eventually(
        lambda: any(each["cmd"] == "blpop" for each in relay.redis.client_list()),
        what="the agent waits for work",
    )

    asked = proxy.seen[LEASE]
    assert proxy.kill_connections()
    fast.jobs = fast.submit([f"{site.url}/fast/0"])
    eventually(fast.is_written, what="the second is written")

    assert proxy.seen[LEASE] > asked
    assert agent.end() == 0
    fast.assert_right()
