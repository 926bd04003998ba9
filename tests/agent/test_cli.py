"""The command as people and programs meet it: real processes, exit codes, one line on stderr."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from agent.spool import Spool
from connector.registered import FilePlace, RegisteredSource
from connector.registry import Registry

ROOT = Path(__file__).parents[2]
KEY = {"LINKROW_DEVICE_KEY": "lrk_test0000", "LINKROW_DEVICE_SECRET": "lrs_hidden"}
LOOPBACK = ("--allow-private", "127.0.0.0/8")


@pytest.fixture
def agent(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith("LINKROW_")
        }
        return subprocess.run(
            [sys.executable, "-m", "agent.cli", *map(str, arguments)],
            env=clean | {"LINKROW_HOME": str(tmp_path / "home")} | environ,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


class _Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", "/[bold]page?q=1" if "odd" in self.path else "/page")
        elif self.path == "/gone":
            self.send_response(410)
        else:
            self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where nobody answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{free.getsockname()[1]}"


def only_line(text: str) -> str:
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    assert "Traceback" not in text
    return lines[0]


def test_a_link_that_lands_is_one_json_object(agent, site):
    ended = agent("resolve", f"{site}/to/page", "--json", *LOOPBACK)

    found = json.loads(ended.stdout)
    assert ended.returncode == 0
    assert found["final_url"] == f"{site}/page"
    assert found["http_status"] == 200
    assert found["conclusion"] == "valid"
    assert found["error"] is None
    assert [hop["status"] for hop in found["hops"]] == [302, 200]


@pytest.mark.parametrize(
    ("link", "conclusion"),
    [
        ("{site}/gone", "link_removed"),
        ("{nobody}/", "connect_error"),
        ("javascript:alert(1)", "unsupported_link"),
        ("not a link", "invalid_url"),
        ("", "invalid_url"),
        ("☃", "invalid_url"),
    ],
    ids=["gone", "dead port", "a script", "no link", "nothing", "snowman"],
)
def test_a_link_that_does_not_land_is_an_answer_too(agent, site, nobody, link, conclusion):
    ended = agent("resolve", link.format(site=site, nobody=nobody), "--json", *LOOPBACK)

    found = json.loads(ended.stdout)
    assert ended.returncode == 0, ended.stderr
    assert found["conclusion"] == conclusion
    assert {"final_url", "http_status", "conclusion", "error", "hops"} <= set(found)


def test_without_leave_a_private_address_is_not_asked(agent, site):
    found = json.loads(agent("resolve", f"{site}/page", "--json").stdout)

    assert found["conclusion"] == "unsafe_target"
    assert found["final_url"] is None


def test_an_expectation_is_checked(agent, site):
    ended = agent(
        "resolve", f"{site}/page", "--json", "--expected-domain", "shop.example", *LOOPBACK
    )

    assert json.loads(ended.stdout)["conclusion"] == "domain_mismatch"


def test_people_see_every_hop_as_it_is(agent, site):
    ended = agent("resolve", f"{site}/to/odd", *LOOPBACK)

    assert ended.returncode == 0
    assert "[bold]page?q=1" in "".join(ended.stdout.split())
    assert "302" in ended.stdout
    assert "valid" in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("resolve", "http://a.example/", "--allow-private", "10.0.0.1/8"), 2, "10.0.0.1/8"),
        (("resolve", "http://a.example/", "--cafile", "/no/such.pem"), 2, "no such file"),
        (("resolve", "http://a.example/", "--expected-domain", "a:b:c"), 2, "--expected-domain"),
        (("run",), 2, "no_credentials"),
        (("run", "--file", "/no/such.csv"), 2, "no such file"),
        (("run", "--relay", "nonsense"), 4, "bad_relay_url"),
    ],
    ids=["no network", "no certificates", "no domain", "no key", "no file", "no address"],
)
def test_what_cannot_be_used_is_said_in_one_line_with_a_code(agent, arguments, code, says):
    key = {} if says == "no_credentials" else KEY

    ended = agent(*arguments, PYTHON_KEYRING_BACKEND="keyring.backends.null.Keyring", **key)

    assert ended.returncode == code, ended.stderr
    assert says in only_line(ended.stderr)


def test_a_website_is_no_relay(agent, site):
    ended = agent("run", "--quiet", "--relay", site, **KEY)

    assert ended.returncode == 4
    assert "not_a_relay" in only_line(ended.stderr)


def test_a_second_agent_for_the_same_work_is_refused(agent, tmp_path, nobody):
    path = tmp_path / "home" / "agent" / "spool" / "device-lrk_test0000.sqlite3"
    with Spool(path):
        ended = agent("run", "--relay", nobody, **KEY)

    assert ended.returncode == 5
    assert "agent_already_running" in only_line(ended.stderr)


def test_a_damaged_spool_is_said(agent, tmp_path, nobody):
    path = tmp_path / "home" / "agent" / "spool" / "device-lrk_test0000.sqlite3"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"garbage" * 1000)

    ended = agent("run", "--relay", nobody, **KEY)

    assert ended.returncode == 6
    assert "spool_unusable" in only_line(ended.stderr)


def test_an_agent_whose_starter_is_gone_ends_although_the_relay_is_away(agent, nobody):
    # These tests' processes have an empty standard input: as if whoever started them were gone.
    ended = agent("run", "--quiet", "--until-stdin-closes", "--relay", nobody, **KEY)

    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""


def test_the_doctor_says_what_is_wrong_and_the_cure(agent, nobody):
    ended = agent("doctor", "--json", "--relay", nobody, **KEY)

    found = json.loads(ended.stdout)
    assert ended.returncode == 3
    assert not found["ok"]
    assert {each["what"]: each["ok"] for each in found["findings"]} == {
        "device key": True,
        "relay": False,
    }
    assert KEY["LINKROW_DEVICE_SECRET"] not in ended.stdout + ended.stderr


def test_the_doctor_looks_at_the_registered_sources(agent, nobody, tmp_path):
    registry = Registry(tmp_path / "home")
    for name in ("there", "gone", "resting"):
        file = tmp_path / f"{name}.csv"
        if name == "there":
            file.write_text("tracking_url\nhttps://a.example/\n")
        place = FilePlace.of(file)
        registry.add(
            RegisteredSource(
                source_id=registry.source_id_of(place),
                name=name,
                place=place,
                added_at=datetime.now(UTC),
                is_paused=name == "resting",
            )
        )

    ended = agent("doctor", "--json", "--relay", nobody, **KEY)

    found = {each["what"]: each for each in json.loads(ended.stdout)["findings"]}
    assert found["source there"]["ok"]
    assert not found["source gone"]["ok"]
    assert found["source gone"]["detail"] == f"there is no file {tmp_path / 'gone.csv'}"
    assert found["source resting"]["detail"] == "paused"


def test_the_doctor_says_it_when_others_may_read_the_key(agent, nobody, tmp_path):
    file = tmp_path / "home" / "agent" / "device.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"key_id": "lrk_test0000", "secret": "lrs_hidden"}')
    file.chmod(0o644)

    ended = agent("doctor", "--json", "--relay", nobody)

    assert ended.returncode == 3, ended.stderr
    assert "others may read it; chmod 600" in ended.stdout
    assert "lrs_hidden" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("command", ["", "run", "once", "resolve", "doctor"])
def test_every_command_has_help(agent, command):
    ended = agent(*command.split(), "--help")

    assert ended.returncode == 0
    assert "Usage:" in ended.stdout
