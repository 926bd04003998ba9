"""All of cases/ssrf.csv, both profiles: the URL, what DNS says, and where the socket connects."""

import csv
import ipaddress
import json
from pathlib import Path

import pytest

from wire import urls
from wire.addresses import judge, judge_address

FILE = Path(__file__).parents[1] / "cases" / "ssrf.csv"
CASES = list(csv.DictReader(FILE.read_text("utf-8").splitlines(keepends=True)))
LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]


def name(case: dict[str, str]) -> str:
    return f"{case['id']} {case['category']} {case['note'] or case['url'][:60]}"


def scripted(case: dict[str, str]) -> tuple[list[str], list[str]]:
    """What the first look-up says, and what a later one would."""
    first, _, later = case["dns"].partition(">")
    return [answer for answer in first.split(";") if answer], [
        answer for answer in later.split(";") if answer
    ]


@pytest.mark.parametrize("profile", ["webhook", "agent"])
@pytest.mark.parametrize("case", CASES, ids=name)
def test_a_url_is_judged_as_decided(case: dict[str, str], profile: str) -> None:
    answers, _ = scripted(case)
    if answers == ["NXDOMAIN"]:
        # A failed look-up is the caller's dns_error; without answers nothing is wrong yet.
        assert judge(json.loads(case["url"]), profile=profile).ok
        return

    verdict = judge(json.loads(case["url"]), profile=profile, answers=answers)

    assert (verdict.ok, verdict.reason) == (case[profile] == "accept", case[f"{profile}_reason"])


@pytest.mark.parametrize("profile", ["webhook", "agent"])
@pytest.mark.parametrize("case", CASES, ids=name)
def test_a_parsed_link_is_judged_as_its_text_is(case: dict[str, str], profile: str) -> None:
    answers = [] if (first := scripted(case)[0]) == ["NXDOMAIN"] else first
    try:
        link = urls.parse(json.loads(case["url"]))
    except urls.UrlError:
        return

    verdict = judge(link, profile=profile, answers=answers)

    assert verdict == judge(link.href, profile=profile, answers=answers)


def test_a_parsed_link_may_be_too_long() -> None:
    link = urls.parse("https://shop.example.com/" + "x" * 2048)

    assert link.is_plain
    assert judge(link, profile="agent").reason == "url_too_long"
    assert judge(link, profile="agent", max_length=8192).ok


@pytest.mark.parametrize("profile", ["webhook", "agent"])
@pytest.mark.parametrize("case", [case for case in CASES if case["at_connect"]], ids=name)
def test_the_address_that_is_connected_to_has_the_last_word(
    case: dict[str, str], profile: str
) -> None:
    _, later = scripted(case)

    verdicts = [judge_address(answer, profile=profile) for answer in later]

    refused = [f"reject:resolves_to_{verdict.reason}" for verdict in verdicts if not verdict.ok]
    assert refused == [case["at_connect"]]


@pytest.mark.parametrize(
    ("address", "is_allowed"),
    [
        ("192.0.0.192", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::1", False),
        ("::7f00:1", False),
        ("ff0e::1", False),
        ("224.0.0.1", False),
        ("192.88.99.1", False),
        ("3fff::1", False),
        ("5f00::1", False),
        ("fec0::1", False),
        ("100::1", False),
        ("255.255.255.255", False),
        ("2001:db8::1", False),
        ("fe80::1%eth0", False),
        ("2a00:1450::5efe:7f00:1", False),
        ("::ffff:0:7f00:1", False),
        ("fd00:ec2::254", False),
        ("8.8.8.8", True),
        ("172.32.0.0", True),
        ("2606:4700:4700::1111", True),
    ],
)
def test_an_address_that_the_standard_library_gets_wrong(address: str, is_allowed: bool) -> None:
    assert judge_address(address, profile="agent").ok is is_allowed


@pytest.mark.parametrize(
    ("url", "answers", "is_allowed"),
    [
        pytest.param("http://127.0.0.1:8000/", [], True, id="a literal inside"),
        pytest.param("http://127.0.0.1:22/", [], False, id="a bad port all the same"),
        pytest.param("http://192.168.0.1/", [], False, id="a literal outside"),
        pytest.param("http://localhost:8000/", [], True, id="localhost, not looked up"),
        pytest.param(
            "http://localhost/", ["127.0.0.1", "::1"], True, id="one address of localhost inside"
        ),
        pytest.param("http://localhost/", ["::1"], False, id="no address of localhost inside"),
        pytest.param("http://a.localhost/", ["127.0.0.1"], False, id="only the exact name"),
        pytest.param("http://lvh.me/", ["127.0.0.1"], True, id="a name that resolves inside"),
        pytest.param("http://lvh.me/", ["127.0.0.1", "10.0.0.1"], False, id="one answer outside"),
        pytest.param("http://metadata.google.internal/", ["127.0.0.1"], False, id="metadata never"),
    ],
)
def test_what_this_machine_allows_is_lifted_and_nothing_else(
    url: str, answers: list[str], is_allowed: bool
) -> None:
    assert judge(url, profile="agent", answers=answers, allow=LOOPBACK).ok is is_allowed


def test_localhost_stays_refused_where_nothing_is_allowed() -> None:
    assert judge("http://localhost/", profile="agent").reason == "special_use_name"
