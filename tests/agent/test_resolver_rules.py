"""Rules of RFC 9110, RFC 6265 and the URL standard that redirects.json has no case for."""

import importlib.util
import ipaddress
import ssl
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trustme

from agent.resolver import Limits, Resolver, Task, resolve

HERE = Path(__file__).parent
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


def load_site() -> Any:
    spec = importlib.util.spec_from_file_location("redirect_site", HERE / "redirect_site.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


site_module = load_site()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, ssl.SSLContext]]:
    """A CA to trust, and a place S whose certificate it signed."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path), {"S": context}


def hop(path: str, location: Any = None, *, at: str = "A", **more: Any) -> dict[str, Any]:
    """A page, or with *location* a redirect; *cookie* is one that it sets."""
    headers = [] if location is None else [["Location", location]]
    headers += [["Set-Cookie", cookie] for cookie in more.pop("cookies", ())]
    status = 200 if location is None else 302
    return {"at": at, "path": path, "headers": headers, "status": status, "body": "", **more}


def raw(text: str) -> dict[str, Any]:
    return {"at": "A", "path": "/start", "status": 0, "headers": [], "raw": text}


def head(*lines: str) -> str:
    return "\r\n".join((*lines, "Content-Length: 0", "", ""))


def walk(hops: list[dict[str, Any]], tls: Any) -> tuple[Any, Any]:
    cafile, contexts = tls
    with site_module.Site({"hops": hops}, contexts) as site:
        limits = Limits(total_seconds=5)
        outcome = resolve(
            site.fill("{A}/start"), allow=LOOPBACK, cafile=cafile, limits=limits
        ).outcome
    return site, outcome


@pytest.mark.parametrize(
    ("hops", "final"),
    [
        pytest.param(
            [hop("/start", "\\\\{Bhost}\\end"), hop("/end", at="B")], "{B}/end",
            id="backslashes are slashes before the query",
        ),
        pytest.param(
            [hop("/start", "/end?a=\\b"), hop("/end?a=\\b")], "{A}/end?a=\\b",
            id="a backslash in the query stays",
        ),
        pytest.param(
            [hop("/start", "/end#a\\b"), hop("/end")], "{A}/end#a\\b",
            id="a backslash in the fragment stays",
        ),
        pytest.param([hop("/start", "/e\tnd"), hop("/end")], "{A}/end", id="tabs are dropped"),
        pytest.param([hop("/start", "http:end"), hop("/end")], "{A}/end", id="scheme, no slashes"),
        pytest.param(
            [hop("/start", "///{Bhost}/end"), hop("/end", at="B")], "{B}/end", id="three slashes"
        ),
        pytest.param(
            [hop("/start", "?x=é"), hop("/start?x=%C3%A9")], "{A}/start?x=%C3%A9", id="query only"
        ),
        pytest.param(
            [hop("/start", "/a, /b"), hop("/a,%20/b")], "{A}/a,%20/b", id="a comma is a letter"
        ),
        pytest.param(
            [hop("/start", {"repeat": "a", "count": 8000, "prefix": "/"}), hop("/" + "a" * 8000)],
            "{A}/" + "a" * 8000,
            id="8,000 characters",
        ),
        pytest.param([hop("/start", "   ")], "{A}/start", id="a blank Location is none"),
        pytest.param(
            [raw(head("HTTP/1.1 302 Found", "X: a", " Location: /bad", "Location: /end")),
             hop("/end")],
            "{A}/end",
            id="a folded line is no header of its own",
        ),
        pytest.param(
            [raw("HTTP/1.1 302 Found\nLocation: /end\nContent-Length: 0\n\n"), hop("/end")],
            "{A}/end",
            id="line feeds only",
        ),
        pytest.param(
            [raw("HTTP/1.1 103 Early\r\nLocation: /bad\r\n\r\n" + head("HTTP/1.1 200 OK"))],
            "{A}/start",
            id="early hints redirect nowhere",
        ),
        pytest.param(
            [raw(head("HTTP/1.1 999 Request denied"))], "{A}/start", id="a status past the known"
        ),
    ],
)  # fmt: skip
def test_a_browser_would_land_here(tls: Any, hops: list[dict[str, Any]], final: str) -> None:
    site, outcome = walk(hops, tls)

    assert outcome.final_url == site.fill(final), outcome


@pytest.mark.parametrize(
    ("hops", "word"),
    [
        pytest.param([hop("/start", "http://")], "invalid_location", id="no host"),
        pytest.param([hop("/start", "http://a b.com/")], "invalid_location", id="a blank in it"),
        pytest.param([hop("/start", "http://a.com:65536/")], "invalid_location", id="port 65536"),
        pytest.param([hop("/start", "http://localhost:0/")], "port_not_allowed", id="port 0"),
        pytest.param([hop("/start", "javascript:alert(1)")], "scheme_not_allowed", id="a script"),
        pytest.param([hop("/start", "http://u@{Bhost}/")], "credentials_in_url", id="a user name"),
        pytest.param([hop("/start", "http://[::ffff:127.0.0.1]/")], "blocked_address", id="mapped"),
        pytest.param([hop("/start", "#f")], "redirect_loop", id="a fragment of itself"),
        pytest.param([raw("HTTP/1.1 302 Found\r\nLoca")], "malformed_response", id="cut short"),
        pytest.param(
            [raw(head("HTTP/1.1 302 Found", "Location: /end", "Content-Length: 5"))],
            "malformed_response",
            id="two lengths",
        ),
    ],
)
def test_a_walk_that_cannot_go_on_says_why(tls: Any, hops: list[dict[str, Any]], word: str) -> None:
    _, outcome = walk(hops, tls)

    assert outcome.error is not None, outcome
    assert outcome.error.code == word
    assert outcome.final_url is None


@pytest.mark.parametrize(
    "hops",
    [
        pytest.param(
            [hop("/start", "/d/x"), hop("/d/x", "/end", cookies=["a=1"]),
             hop("/end", expect_absent=["cookie"])],
            id="a cookie without a path stays in its folder",
        ),
        pytest.param(
            [hop("/start", "/end", cookies=["a=1", "a=; Max-Age=0"]),
             hop("/end", expect_absent=["cookie"])],
            id="a cookie taken back is gone",
        ),
        pytest.param(
            [hop("/start", "/end", cookies=["a=1; Domain=0.0.1"]),
             hop("/end", expect_absent=["cookie"])],
            id="an address has no parent domain",
        ),
        pytest.param(
            [hop("/start", "{B}/b"), hop("/b", "{S}/end", at="B", cookies=["a=1"]),
             hop("/end", at="S", expect_header=["cookie", "a=1"])],
            id="a port is no border",
        ),
        pytest.param(
            [hop("/start", "{S}/b"),
             hop("/b", "{B}/c", at="S", cookies=["a=1; Secure; HttpOnly", "b=2; Path=/"]),
             hop("/c", "{S}/end", at="B", expect_header=["cookie", "b=2"]),
             hop("/end", at="S", expect_header=["cookie", "a=1; b=2"])],
            id="a Secure cookie skips plain http and comes back after",
        ),
    ],
)  # fmt: skip
def test_cookies_go_where_they_belong(tls: Any, hops: list[dict[str, Any]]) -> None:
    site, outcome = walk(hops, tls)

    assert outcome.http_status == 200, outcome
    assert site.faults == []


@pytest.mark.parametrize(("count", "is_reached"), [(20, True), (21, False)], ids=str)
def test_twenty_redirects_are_enough(tls: Any, count: int, is_reached: bool) -> None:
    names = ["/start", *(f"/c{number}" for number in range(1, count)), "/end"]
    hops = [hop(path, to) for path, to in pairwise(names)]

    _, outcome = walk([*hops, hop("/end")], tls)

    assert (outcome.http_status == 200) is is_reached
    assert (outcome.error is None) is is_reached


def test_falling_to_plain_http_twice_is_one_flag(tls: Any) -> None:
    hops = [
        hop("/start", "{S}/a"),
        hop("/a", "{A}/b", at="S"),
        hop("/b", "{S}/c"),
        hop("/c", "{A}/end", at="S"),
        hop("/end"),
    ]

    _, outcome = walk(hops, tls)

    assert outcome.flags == ["downgrade"]


def test_a_localhost_with_no_allowed_address_is_refused_not_dead(tls: Any) -> None:
    with site_module.Site({"hops": []}, {}) as site:
        elsewhere = (ipaddress.ip_network("10.0.0.0/8"),)
        outcome = resolve(site.fill("{B}/start"), allow=elsewhere).outcome

    assert outcome.error is not None
    assert outcome.error.code == "blocked_address"
    assert site.asked == []


def test_a_job_handed_out_again_while_it_is_walked_ends_once(tls: Any) -> None:
    with site_module.Site({"hops": [hop("/end")]}, {}) as site:
        resolver = Resolver(allow=LOOPBACK)
        resolver.submit(Task(key="job", url=site.fill("{MUTE}/")))
        assert resolver.poll(0.01) == []

        resolver.submit(Task(key="job", url=site.fill("{A}/end")))
        found = resolver.poll(5.0)
        while not found:
            found = resolver.poll(5.0)
        resolver.close()

    assert [(each.key, each.outcome.http_status) for each in found] == [("job", 200)]
