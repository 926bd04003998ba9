import pytest

from agent.holdings import Holdings, key_of
from wire.models import Held, Lease
from wire.vocab import JobKind

JOB = "6a1f3f0e-0000-5000-8000-00000000000{}"


def lease(number: int = 1, delivery: int = 1) -> Lease:
    return Lease(
        job_id=JOB.format(number),
        lease_id=f"{delivery}-aaaaaaaa",
        kind=JobKind.LINK,
        source_id=None,
        row_id=None,
        tracking_url="https://a.example/",
        delivery=delivery,
        attempt=1,
    )


def key(number: int = 1, delivery: int = 1) -> str:
    return key_of(JOB.format(number), f"{delivery}-aaaaaaaa")


@pytest.fixture
def holdings() -> Holdings:
    held = Holdings()
    held.add([lease(1), lease(2)], until=60.0)
    return held


def test_a_resolved_link_is_held_until_it_is_reported(holdings):
    assert holdings.walked(key(1)) == lease(1)

    assert holdings.walking == 1
    assert len(holdings) == 2
    assert Held(job_id=JOB.format(1), lease_id="1-aaaaaaaa") in holdings.all()


def test_a_link_lands_once(holdings):
    holdings.walked(key(1))

    assert holdings.walked(key(1)) is None
    assert holdings.walking == 1


def test_a_lease_that_is_lost_is_no_longer_walked(holdings):
    assert holdings.drop(key(1))
    assert not holdings.drop(key(1))

    assert holdings.walked(key(1)) is None
    assert holdings.walking == 1


def test_the_agent_stops_at_a_deadline_by_itself(holdings):
    holdings.extend(key(2), until=120.0)

    assert holdings.drop_overdue(60.0) == [key(1)]
    assert holdings.drop_overdue(119.9) == []
    assert holdings.drop_overdue(120.0) == [key(2)]
    assert holdings.walking == 0


def test_a_late_renewal_never_shortens_a_lease(holdings):
    holdings.extend(key(1), until=10.0)

    assert holdings.drop_overdue(59.0) == []


def test_what_is_resolved_is_not_overdue_its_report_asks_the_relay(holdings):
    holdings.walked(key(1))

    assert holdings.drop_overdue(1000.0) == [key(2)]
    assert len(holdings) == 1


def test_what_is_not_resolved_can_be_given_back(holdings):
    holdings.walked(key(1))

    assert holdings.drop_walking() == [Held(job_id=JOB.format(2), lease_id="1-aaaaaaaa")]
    assert holdings.walking == 0
    assert len(holdings) == 1


def test_a_job_delivered_twice_is_two_leases(holdings):
    holdings.add([lease(1, delivery=2), lease(1)], until=90.0)

    assert holdings.walking == 3
    holdings.drop(key(1))
    assert holdings.walked(key(1, delivery=2)) == lease(1, delivery=2)


def test_several_leases_are_let_go_at_once(holdings):
    holdings.walked(key(1))

    holdings.drop_all([key(1), key(2), key(3)])

    assert len(holdings) == holdings.walking == 0
