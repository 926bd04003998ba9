"""The resolver against servers that mean no good, and the table of what an end is called."""

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from agent.conclusions import Failed, Landed, conclude, word_for
from agent.head import Head
from agent.redirects import Follow, Land, Stop, next_step
from agent.resolver import Limits, Resolved, Resolver, Task, resolve
from wire.models import Hop
from wire.urls import parse
from wire.vocab import Conclusion, HopKind

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
QUICK = Limits(total_seconds=1.0)
Talk = Callable[[socket.socket, bytes], None]


@pytest.fixture
def server() -> Iterator[Callable[[Talk], str]]:
    """A server whose every connection is held by one function of the test's."""
    sockets: list[socket.socket] = []

    def serve(talk: Talk) -> str:
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        sockets.append(listener)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sockets.append(connection)
                threading.Thread(target=hold, args=(connection,), daemon=True).start()

        def hold(connection: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while request := connection.recv(65536):
                    talk(connection, request)

        threading.Thread(target=accept, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield serve
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


def say(text: str) -> Talk:
    return lambda connection, request: connection.sendall(text.encode())


OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def forever(head: str, piece: str) -> Talk:
    def talk(connection: socket.socket, request: bytes) -> None:
        connection.sendall(head.encode())
        while True:
            connection.sendall(piece.encode())

    return talk


def drip(head: str) -> Talk:
    """Say *head*, then one byte now and then, for as long as somebody listens."""
    pause = threading.Event()

    def talk(connection: socket.socket, request: bytes) -> None:
        connection.sendall(head.encode())
        while not pause.wait(0.05):
            connection.sendall(b"x")

    return talk


@pytest.mark.parametrize(
    ("talk", "word"),
    [
        pytest.param(lambda c, r: None, "timeout", id="silence"),
        pytest.param(drip("HTTP/1.1 200 OK\r\nX: "), "timeout", id="headers that drip"),
        pytest.param(
            forever("HTTP/1.1 200 OK\r\n", "X-Pad: " + "x" * 900 + "\r\n"), "headers_too_large",
            id="headers without end",
        ),
        pytest.param(
            forever("", "HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n"), "headers_too_large",
            id="informational answers without end",
        ),
        pytest.param(
            say("HTTP/1.1 200 OK\r\n" + ("X-Pad: " + "x" * 900 + "\r\n") * 80 + "\r\nok"),
            "headers_too_large",
            id="more headers than anybody needs",
        ),
        pytest.param(
            say("SSH-2.0-OpenSSH_9.2\r\n\r\n"), "malformed_response", id="another protocol"
        ),
        pytest.param(lambda c, r: c.close(), "connection_closed", id="closed at once"),
        pytest.param(
            say("HTTP/1.1 302 Found\r\nLocation: /a\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"),
            "invalid_location", id="two ways to go",
        ),
        pytest.param(
            say("HTTP/1.1 302 Found\r\nLocation: /a\x00b\r\nContent-Length: 0\r\n\r\n"),
            "malformed_response", id="a NUL in a header",
        ),
    ],
)  # fmt: skip
def test_a_hostile_server_ends_the_walk_in_time_with_its_own_word(
    server, talk: Talk, word: str
) -> None:
    outcome = resolve(server(talk), allow=LOOPBACK, limits=QUICK).outcome

    assert outcome.error is not None
    assert outcome.error.code == word
    assert outcome.error.detail
    assert outcome.final_url is None
    assert len(outcome.hops) == 1


@pytest.mark.parametrize(
    "talk",
    [
        pytest.param(forever("HTTP/1.1 200 OK\r\n\r\n", "x" * 65536), id="a page without end"),
        pytest.param(
            drip("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"), id="a page that drips"
        ),
        pytest.param(
            say("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"), id="a page that never comes"
        ),
        pytest.param(
            lambda c, r: (c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"), c.close()),
            id="a page that breaks off",
        ),
    ],
)
def test_a_page_that_answered_is_a_landing_page_whatever_its_body_does(server, talk: Talk) -> None:
    # An hour: nothing but the resolver's own patience ends these walks.
    outcome = resolve(server(talk), allow=LOOPBACK, limits=Limits(total_seconds=3600)).outcome

    assert outcome.conclusion is Conclusion.VALID
    assert outcome.http_status == 200


def test_a_head_that_grows_too_long_is_not_waited_for(server) -> None:
    # Below what libcurl itself would take; then silence.
    talk = say("HTTP/1.1 200 OK\r\n" + ("X-Pad: " + "x" * 900 + "\r\n") * 80)

    outcome = resolve(server(talk), allow=LOOPBACK, limits=Limits(total_seconds=3600)).outcome

    assert outcome.error is not None
    assert outcome.error.code == "headers_too_large"


def test_nothing_is_asked_of_an_address_that_is_not_allowed(server) -> None:
    asked = []
    url = server(lambda connection, request: asked.append(request))

    outcome = resolve(url).outcome

    assert outcome.conclusion is Conclusion.UNSAFE_TARGET
    assert asked == []


def test_a_name_that_leads_home_is_refused_at_the_socket(server, monkeypatch) -> None:
    asked = []
    port = server(lambda connection, request: asked.append(request)).rpartition(":")[2]
    # The policy sees a public name; only the socket learns where it leads.
    monkeypatch.setattr("agent.resolver.judge", lambda *_, **__: type("V", (), {"ok": True})())

    outcome = resolve(f"http://localhost:{port}/").outcome

    assert outcome.error is not None
    assert outcome.error.code == "blocked_address"
    assert outcome.hops[0].ip is None
    assert asked == []


@pytest.mark.parametrize("remembered", [1, 10_000])
def test_a_verdict_is_of_one_host_and_one_port(server, monkeypatch, remembered: int) -> None:
    monkeypatch.setattr("agent.resolver._REMEMBERED", remembered)
    good = server(say(OK))
    resolver = Resolver(allow=LOOPBACK)
    urls = [good, "http://127.0.0.1:22/", "http://10.0.0.1/", f"{good}/again", "http://10.0.0.1/b"]
    for url in urls:
        resolver.submit(Task(key=url, url=url))

    found = drain(resolver, len(urls))
    resolver.close()

    words = [(error.code if (error := found[url].outcome.error) else "") for url in urls]
    assert words == ["", "port_not_allowed", "blocked_address", "", "blocked_address"]
    assert len(resolver._judged) <= remembered
    assert len(resolver._verdicts) <= remembered


def test_of_localhost_only_the_allowed_addresses_are_tried(server) -> None:
    port = server(say(OK)).rpartition(":")[2]

    outcome = resolve(f"http://localhost:{port}/", allow=LOOPBACK).outcome

    assert outcome.conclusion is Conclusion.VALID
    assert outcome.hops[0].ip == "127.0.0.1"


def test_a_proxy_in_the_environment_is_not_used(server, monkeypatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert resolve(server(say(OK)), allow=LOOPBACK).outcome.conclusion is Conclusion.VALID


def drain(resolver: Resolver, count: int) -> dict[str, Resolved]:
    found: dict[str, Resolved] = {}
    while len(found) < count:
        found |= {each.key: each for each in resolver.poll(1.0)}
    return found


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    engine = Resolver(allow=LOOPBACK, max_in_flight=20, per_host=5)
    yield engine
    engine.close()


def test_many_links_at_once_each_get_their_own_answer(server, resolver: Resolver) -> None:
    def talk(connection: socket.socket, request: bytes) -> None:
        path = request.split(b" ")[1].decode()
        if path.startswith("/go/"):
            head = f"HTTP/1.1 302 Found\r\nLocation: /at/{path[4:]}\r\nContent-Length: 0\r\n\r\n"
            connection.sendall(head.encode())
        else:
            connection.sendall(OK.encode())

    url = server(talk)
    for number in range(100):
        resolver.submit(Task(key=str(number), url=f"{url}/go/{number}"))

    found = drain(resolver, 100)

    assert {key: each.outcome.final_url for key, each in found.items()} == {
        str(number): f"{url}/at/{number}" for number in range(100)
    }


def test_a_host_is_not_asked_more_at_once_than_it_should_be(server, resolver: Resolver) -> None:
    now, most, lock, gate = [0], [0], threading.Lock(), threading.Event()

    def talk(connection: socket.socket, request: bytes) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
            if now[0] == 5:
                gate.set()
        gate.wait(10)
        with lock:
            now[0] -= 1
        connection.sendall(OK.encode())

    url = server(talk)
    for number in range(30):
        resolver.submit(Task(key=str(number), url=f"{url}/{number}"))

    drain(resolver, 30)

    assert most[0] == 5


def test_walks_do_not_share_cookies(server, resolver: Resolver) -> None:
    seen: list[bytes] = []

    def talk(connection: socket.socket, request: bytes) -> None:
        seen.append(request)
        connection.sendall(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nContent-Length: 0\r\n\r\n")

    url = server(talk)
    for number in range(3):
        resolver.submit(Task(key=str(number), url=f"{url}/{number}"))
        drain(resolver, 1)

    assert len(seen) == 3
    assert not any(b"cookie" in request.lower() for request in seen)


def test_a_canceled_walk_says_nothing_and_frees_its_place(server, resolver: Resolver) -> None:
    asked = threading.Event()
    url = server(lambda connection, request: asked.set())
    resolver.submit(Task(key="gone", url=url))
    while not asked.is_set():
        assert resolver.poll(0.01) == []
    good = server(say(OK))

    resolver.cancel("gone")
    resolver.cancel("never there")
    resolver.submit(Task(key="next", url=good))

    assert set(drain(resolver, 1)) == {"next"}


def test_a_walk_canceled_while_it_waits_for_its_turn_is_never_asked(
    server, resolver: Resolver
) -> None:
    asked: list[bytes] = []
    gate = threading.Event()

    def talk(connection: socket.socket, request: bytes) -> None:
        asked.append(request.split(b" ")[1])
        gate.wait(60)
        connection.sendall(OK.encode())

    url = server(talk)
    for number in range(8):
        resolver.submit(Task(key=str(number), url=f"{url}/{number}"))
    while len(asked) < 5:
        assert resolver.poll(0.01) == []
    for number in (6, 5, 7):
        resolver.cancel(str(number))
    gate.set()

    found = drain(resolver, 5)

    assert set(found) == {"0", "1", "2", "3", "4"}
    assert len(asked) == 5
    assert resolver._queued == resolver._busy == {}


def test_poll_is_woken_from_another_thread(resolver: Resolver) -> None:
    threading.Timer(0.05, resolver.wake).start()

    assert resolver.poll(30) == []


# What an end is called.

HOPS = (Hop(url="https://trk.example/", status=302, kind=HopKind.HTTP, ms=5),)


def landed(url: str = "https://shop.example/", status: int = 200) -> Landed:
    return Landed(url=url, status=status, hops=HOPS)


@pytest.mark.parametrize(
    ("status", "expected", "conclusion"),
    [
        (200, "", Conclusion.VALID),
        (204, "", Conclusion.VALID),
        (410, "elsewhere.example", Conclusion.LINK_REMOVED),
        (401, "", Conclusion.BLOCKED),
        (403, "elsewhere.example", Conclusion.BLOCKED),
        (429, "", Conclusion.BLOCKED),
        (451, "", Conclusion.BLOCKED),
        (404, "elsewhere.example", Conclusion.HTTP_4XX),
        (500, "elsewhere.example", Conclusion.HTTP_5XX),
        (599, "", Conclusion.HTTP_5XX),
        (200, "elsewhere.example", Conclusion.DOMAIN_MISMATCH),
        (200, "shop.example", Conclusion.VALID),
        (200, "http://[", Conclusion.DOMAIN_MISMATCH),
    ],
    ids=str,
)
def test_the_first_match_names_a_page(status: int, expected: str, conclusion: Conclusion) -> None:
    outcome = conclude(landed(status=status), expected=expected)

    assert outcome.conclusion is conclusion
    assert (outcome.error is None) == (conclusion is Conclusion.VALID)


@pytest.mark.parametrize(
    ("previous", "expected", "conclusion", "is_changed"),
    [
        (None, "", Conclusion.VALID, False),
        ("https://shop.example/", "", Conclusion.VALID, False),
        ("https://SHOP.example/#top", "", Conclusion.VALID, False),
        ("https://shop.example/?gclid=1&utm_source=x", "", Conclusion.VALID, False),
        ("https://shop.example/spring", "", Conclusion.VALID, True),
        ("https://shop.example/?id=1", "", Conclusion.VALID, True),
        ("https://old.example/", "", Conclusion.DESTINATION_CHANGED, True),
        ("https://old.example/", "shop.example", Conclusion.VALID, True),
        ("https://old.example/", "other.example", Conclusion.DOMAIN_MISMATCH, True),
        ("no link", "", Conclusion.VALID, False),
    ],
    ids=str,
)
def test_a_changed_destination_is_a_flag_or_without_an_expectation_the_conclusion(
    previous: str | None, expected: str, conclusion: Conclusion, is_changed: bool
) -> None:
    outcome = conclude(landed(), expected=expected, previous=previous)

    assert (outcome.conclusion, outcome.destination_changed) == (conclusion, is_changed)


@pytest.mark.parametrize(
    ("reason", "conclusion"),
    [
        ("loopback", Conclusion.UNSAFE_TARGET),
        ("resolves_to_private", Conclusion.UNSAFE_TARGET),
        ("single_label_host", Conclusion.UNSAFE_TARGET),
        ("cloud_metadata", Conclusion.UNSAFE_TARGET),
        ("port_not_allowed", Conclusion.UNSAFE_TARGET),
        ("scheme_not_allowed", Conclusion.UNSUPPORTED_LINK),
        ("invalid_hostname", Conclusion.BAD_REDIRECT),
        ("url_too_long", Conclusion.BAD_REDIRECT),
    ],
)
def test_what_policy_refuses_has_a_conclusion_and_a_sentence(
    reason: str, conclusion: Conclusion
) -> None:
    end = Failed(word=word_for(reason), host="trk.example", hops=HOPS, target="http://10.0.0.1/")

    outcome = conclude(end)

    assert outcome.conclusion is conclusion
    assert outcome.error
    assert "{" not in outcome.error.detail


@pytest.mark.parametrize(
    ("status", "locations", "step"),
    [
        pytest.param(
            302,
            [b"/b"],
            Follow(parse("http://a.example/b#f")),
            id="a fragment is carried",
        ),
        pytest.param(
            302,
            [b"/b#"],
            Follow(parse("http://a.example/b#")),
            id="an empty one is its own",
        ),
        pytest.param(
            302,
            [b" \t/b "],
            Follow(parse("http://a.example/b#f")),
            id="blanks around",
        ),
        pytest.param(
            302,
            [b"/\xc3\xa4"],
            Follow(parse("http://a.example/%C3%A4#f")),
            id="UTF-8",
        ),
        pytest.param(302, [b"/\xe4"], Follow(parse("http://a.example/%E4#f")), id="Latin-1"),
        pytest.param(302, [], Land("redirect_without_location"), id="nowhere to go"),
        pytest.param(300, [b"/b"], Land(), id="300 is a page"),
        pytest.param(304, [b"/b"], Land(), id="304 is a page"),
        pytest.param(201, [b"/b"], Land(), id="201 is a page"),
        pytest.param(302, [b"http://["], Stop("invalid_location", "http://["), id="no link"),
        pytest.param(302, [b"ftp://x/"], Stop("scheme_not_allowed", "ftp://x/"), id="ftp"),
        pytest.param(
            302,
            [b"/b", b"/b"],
            Follow(parse("http://a.example/b#f")),
            id="twice",
        ),
        pytest.param(302, [b"/b\rX"], Stop("malformed_response"), id="a bare CR"),
    ],
)
def test_one_answer_means_one_step(status: int, locations: list[bytes], step: object) -> None:
    head = Head(status, locations, [b"a=1"], is_complete=True)

    assert next_step(parse("http://a.example/a#f"), head) == step
