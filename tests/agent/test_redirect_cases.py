"""cases/redirects.json, header mode: a browser's chain, walked over real sockets."""

import datetime as dt
import importlib.util
import ipaddress
import json
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme

from agent.conclusions import _CONCLUSIONS
from agent.resolver import Limits, resolve

HERE = Path(__file__).parent
FILE = HERE.parent / "cases" / "redirects.json"
CASES = [case for case in json.loads(FILE.read_text("utf-8"))["cases"] if case["mode"] == "http"]
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


def load_site() -> Any:
    spec = importlib.util.spec_from_file_location("redirect_site", HERE / "redirect_site.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["redirect_site"] = module
    spec.loader.exec_module(module)
    return module


site_module = load_site()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, ssl.SSLContext]]:
    """A CA to trust, and the certificates of the places behind TLS."""
    trusted, stranger = trustme.CA(), trustme.CA()
    long_ago = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    certificates = {
        "S": trusted.issue_cert("localhost"),
        "SX": trusted.issue_cert(
            "localhost", not_before=long_ago, not_after=long_ago.replace(year=2021)
        ),
        "SW": trusted.issue_cert("elsewhere.example"),
        "SS": stranger.issue_cert("localhost"),
    }
    contexts = {}
    for name, certificate in certificates.items():
        contexts[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(contexts[name])
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    trusted.cert_pem.write_to_path(path)
    return path, contexts


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case['id']} {case['level']} {case['description']}"
)
def test_a_chain_is_walked_to_its_end(case: dict[str, Any], authority: Any) -> None:
    cafile, contexts = authority
    expect = case["expect"]
    with site_module.Site(case, contexts) as site:
        limits = Limits(total_seconds=2.0 if "{MUTE}" in json.dumps(case) else 10.0)
        resolved = resolve(
            site.fill(case["start"]), allow=LOOPBACK, cafile=str(cafile), limits=limits
        )
        outcome = resolved.outcome

        if "error" in expect:
            assert outcome.error is not None, outcome
            assert outcome.error.code in expect["error"].split("|")
            assert outcome.conclusion is _CONCLUSIONS[outcome.error.code][0]
            assert outcome.final_url is None
        else:
            assert outcome.final_url == site.fill(expect["final"]), outcome
            assert outcome.http_status == expect["status"]
        if "redirects" in expect:
            assert len(outcome.hops) - 1 == expect["redirects"]
        if "chain" in expect:
            assert [hop.url for hop in outcome.hops] == [site.fill(url) for url in expect["chain"]]
        if "blocked" in expect:
            assert outcome.hops[-1].status is None
            assert outcome.error
        for flag in expect.get("flags", []):
            assert flag in outcome.flags
        assert all(request.startswith("GET ") for request in site.asked)
        assert site.faults == []


def test_every_hop_says_where_the_socket_really_went(authority: Any) -> None:
    cafile, contexts = authority
    case = next(case for case in CASES if case["id"] == "R118")
    with site_module.Site(case, contexts) as site:
        outcome = resolve(site.fill(case["start"]), allow=LOOPBACK, cafile=str(cafile)).outcome

    assert [hop.ip for hop in outcome.hops] == ["127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.1"]
    assert [hop.status for hop in outcome.hops] == [301, 302, 307, 200]
