"""The chaos network does to a request what its fate says, and tells what the relay answered."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from tests.chaos import history, network
from tests.chaos.history import History
from tests.chaos.network import Way
from tests.chaos.plan import Fate, Fault
from tests.processes import wait_until

ASKED = {"results": [{"job_id": "j1", "lease_id": "1-a", "outcome": {"conclusion": "timeout"}}]}
SAID = {"results": [{"job_id": "j1", "state": "accepted"}]}


class Relay:
    """Accepts one report, and refuses the same one when it comes again."""

    def __init__(self) -> None:
        self.nonces: list[str] = []
        relay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                nonce = self.headers["Linkrow-Nonce"]
                is_replay = nonce in relay.nonces
                relay.nonces.append(nonce)
                body = json.dumps({"code": "nonce_replayed"} if is_replay else SAID).encode()
                self.send_response(409 if is_replay else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.address = ("127.0.0.1", self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def relay() -> Iterator[Relay]:
    relay = Relay()
    yield relay
    relay.close()


@pytest.fixture
def told(tmp_path: Path) -> Path:
    return tmp_path / "history.jsonl"


@pytest.fixture
def way(relay: Relay, told: Path) -> Iterator[Way]:
    kept = History(told)
    way = Way(relay.address, party="a1", seed=1, history=kept)
    yield way
    way.close()
    kept.close()


@pytest.fixture
def meets(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Every request meets this fault."""

    def befall(fault: Fault, **more: object) -> None:
        monkeypatch.setattr(network, "fate_of", lambda *_: Fate(fault=fault, **more))

    return befall


def send(way: Way) -> requests.Response:
    with requests.Session() as session:
        return session.post(
            f"{way.url}/v1/agent/results", json=ASKED, headers={"Linkrow-Nonce": "n1"}, timeout=20
        )


def events(way: Way, told: Path) -> list[str]:
    way._history.close()
    return [event["ev"] for event in history.read(told)]


def test_without_a_fault_everything_arrives_and_is_told(way, relay, told, meets) -> None:
    meets(Fault.NONE)

    assert send(way).json() == SAID
    assert events(way, told) == ["reported"]
    assert next(history.read(told))["conclusion"] == "timeout"


def test_of_a_lost_request_the_relay_hears_nothing(way, relay, told, meets) -> None:
    meets(Fault.LOST_REQUEST)

    with pytest.raises(requests.ConnectionError):
        send(way)
    assert relay.nonces == []
    assert events(way, told) == ["fault"]


@pytest.mark.parametrize("fault", [Fault.LOST_REPLY, Fault.TORN_REPLY])
def test_of_a_lost_reply_the_history_knows_and_the_caller_does_not(
    way, relay, told, meets, fault
) -> None:
    meets(fault)

    with pytest.raises(requests.RequestException):
        send(way)
    assert relay.nonces == ["n1"]
    assert events(way, told) == ["fault", "reported"]


@pytest.mark.parametrize("second", [False, True])
def test_a_doubled_request_arrives_twice_and_one_answer_goes_back(
    way, relay, told, meets, second
) -> None:
    meets(Fault.DOUBLED, second=second)

    assert send(way).status_code in (200, 409)
    assert relay.nonces == ["n1", "n1"]
    said = events(way, told)
    assert sorted(said) == ["doubled", "fault", "refused", "reported"]
    assert [each["statuses"] for each in history.read(told) if each["ev"] == "doubled"] == [
        [200, 409]
    ]


def test_a_late_request_arrives(way, relay, meets) -> None:
    meets(Fault.LATE, seconds=0.01)

    assert send(way).status_code == 200


def test_who_is_cut_off_hears_nothing_until_it_is_mended(way, relay, meets) -> None:
    meets(Fault.NONE)
    way.cut()
    with pytest.raises(requests.ConnectionError):
        send(way)

    way.mend()

    assert send(way).status_code == 200


def test_after_the_calm_no_request_meets_a_fault(way, relay, meets) -> None:
    meets(Fault.LOST_REQUEST)
    way.calm()

    assert send(way).status_code == 200


def test_a_caller_who_goes_away_is_not_waited_for(way, relay, meets) -> None:
    meets(Fault.NONE)
    with requests.Session() as session:
        session.post(
            f"{way.url}/v1/agent/results", json=ASKED, headers={"Linkrow-Nonce": "n2"}, timeout=20
        )
        assert way._clients

    wait_until(lambda: not way._clients, what="its connection is let go")
