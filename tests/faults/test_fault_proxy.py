"""The network of the other tests here fails exactly as it is told."""

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

BODY = b"answer" * 10


class Server:
    """Answers every POST, and knows which ones it acted on."""

    def __init__(self) -> None:
        self.acted: Counter[str] = Counter()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                server.acted[self.path] += 1
                self.send_response(200)
                self.send_header("Content-Length", str(len(BODY)))
                self.end_headers()
                self.wfile.write(BODY)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def proxy(server, make_proxy):
    return make_proxy(server.http.server_address)


@pytest.fixture
def client(proxy) -> Iterator[http.client.HTTPConnection]:
    with closing(http.client.HTTPConnection(*proxy.address, timeout=20)) as client:
        yield client


def ask(client: http.client.HTTPConnection, path: str = "/a") -> bytes:
    try:
        client.request("POST", path, body=b"question")
        return client.getresponse().read()
    except (OSError, http.client.HTTPException):
        client.close()  # the next request connects anew
        raise


@pytest.mark.parametrize("manner", ["heal", "slice", "delay"])
def test_what_passes_arrives_whole(server, proxy, client, manner):
    {"heal": proxy.heal, "slice": proxy.slice, "delay": lambda: proxy.delay(0.001)}[manner]()

    assert [ask(client), ask(client)] == [BODY, BODY]
    assert server.acted["/a"] == proxy.seen["/a"] == 2


def test_a_lost_reply_is_lost_after_the_server_acted_and_only_that_one(server, proxy, client):
    loss = proxy.lose_reply("/b")

    assert ask(client, "/a") == BODY
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        ask(client, "/b?wait=1")
    assert loss.happened.is_set()
    assert server.acted["/b?wait=1"] == 1
    assert ask(client, "/b") == BODY


def test_a_lost_request_never_reaches_the_server(server, proxy, client):
    loss = proxy.lose_request("/a", times=2)

    for _ in range(2):
        assert not loss.happened.is_set()
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            ask(client)
    assert loss.happened.is_set()
    assert server.acted["/a"] == 0
    assert ask(client) == BODY


def test_a_reply_is_cut_after_so_many_bytes(server, proxy, client):
    proxy.cut_after(40)

    with pytest.raises((ConnectionError, http.client.HTTPException)):
        ask(client)

    assert server.acted["/a"] == 1


def test_a_request_is_cut_after_so_many_bytes(server, proxy, client):
    proxy.cut_after(40, "up")

    with pytest.raises((ConnectionError, http.client.HTTPException)):
        ask(client)

    assert server.acted["/a"] == 0


def test_refused_is_refused_also_on_connections_there_were_and_passes(proxy, client):
    ask(client)
    proxy.refuse()
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        ask(client)
    with pytest.raises(ConnectionRefusedError):
        ask(client)

    proxy.heal()

    assert ask(client) == BODY


def test_reset_is_a_reset(server, proxy, client):
    proxy.reset()

    with pytest.raises((ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected)):
        ask(client)

    assert server.acted["/a"] == 0


def test_nothing_comes_out_of_a_black_hole(server, proxy, client):
    proxy.blackhole()
    client.timeout = 0.2

    with pytest.raises(TimeoutError):
        ask(client)

    assert server.acted["/a"] == 0


def test_live_connections_can_be_killed_and_new_ones_pass(proxy, client):
    ask(client)

    assert proxy.kill_connections() == 1
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        ask(client)
    assert ask(client) == BODY
