"""`linkrow run`: a CSV goes in, every link is resolved, every row comes back."""

import csv
import json
import signal
import socket
import sqlite3
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.processes
LOOPBACK = ("--allow-private", "127.0.0.0/8")


def test_every_row_gets_its_ending_and_every_other_byte_stays(
    linkrow, site, tmp_path: Path
) -> None:
    file = tmp_path / "links.csv"
    file.write_bytes(
        "\ufeffLink;Note;row_id\r\n"
        f'{site.url}/fast/1;5" screen;a\r\n'
        f'{site.url}/nowhere;"say ""hi""";b\n'
        "\r\n"
        f"javascript:alert(1);;c\r\n".encode()
    )

    done = linkrow("run", file, "--column", "tracking_url=Link", "--json", *LOOPBACK)

    assert done.returncode == 0, done.stderr
    lines = file.read_bytes().decode().splitlines(keepends=True)
    assert lines[0].startswith("\ufeffLink;Note;row_id;check_status;final_url")
    assert lines[1].startswith(f'{site.url}/fast/1;5" screen;a;valid;{site.url}/page/fast/1;valid;')
    assert lines[2].startswith(f'{site.url}/nowhere;"say ""hi""";b;failed;')
    assert lines[2].endswith("\n")
    assert not lines[2].endswith("\r\n")
    assert lines[3] == "\r\n"
    assert ";failed;;unsupported_link;" in lines[4]
    said = json.loads(done.stdout)
    assert said["by_conclusion"] == {"valid": 1, "http_4xx": 1, "unsupported_link": 1}
    assert said["by_writeback"].get("written") == 2
    assert said["rows"] == 3


def test_a_second_run_leaves_fresh_rows_alone_and_pauses_stand(linkrow, site, table) -> None:
    table.fill([f"{site.url}/fast/{n}" for n in range(3)], check_status=["", "paused", ""])
    assert linkrow("run", table.path, "--quiet", *LOOPBACK).returncode == 0
    first = table.path.read_bytes()

    done = linkrow("run", table.path, "--only-stale", "1h", "--json", *LOOPBACK)

    assert done.returncode == 0, done.stderr
    assert table.path.read_bytes() == first
    assert json.loads(done.stdout)["by_conclusion"] == {"paused_by_operator": 1, "fresh_enough": 2}


def test_two_runs_share_one_relay_and_it_outlives_the_first(
    linkrow, site, home: Path, tmp_path: Path, running, eventually, table
) -> None:
    first = table.fill([f"{site.url}/slow/{n}" for n in range(3)])
    other = type(table)(tmp_path / "other.csv").fill([f"{site.url}/slow/9{n}" for n in range(3)])
    one = linkrow.start("run", first.path, "--quiet", *LOOPBACK)
    site.wait_for("/slow/", 3)
    two = linkrow.start("run", other.path, "--quiet", *LOOPBACK)
    site.wait_for("/slow/9", 3)

    assert len(running(home, "relay.entry up")) == 1
    one.send_signal(signal.SIGINT)
    assert one.wait(60) == 3
    site.gate.set()

    assert two.wait(60) == 0
    assert other.column("conclusion") == ["valid"] * 3
    eventually(lambda: not running(home, ""), what="nothing is left behind")


def test_a_second_run_on_the_same_file_is_told_of_the_first(linkrow, site, table) -> None:
    table.fill([f"{site.url}/slow/1"])
    first = linkrow.start("run", table.path, "--quiet", *LOOPBACK)
    site.wait_for("/slow/", 1)

    second = linkrow("run", table.path, *LOOPBACK)

    assert second.returncode == 2
    assert "already_running" in second.stderr
    site.gate.set()
    assert first.wait(60) == 0


def test_nothing_is_left_behind_after_kill_9(
    linkrow, site, home, table, running, eventually
) -> None:
    table.fill([f"{site.url}/slow/{n}" for n in range(3)])
    run = linkrow.start("run", table.path, *LOOPBACK)
    site.wait_for("/slow/", 3)
    assert running(home, "")

    run.kill()
    site.gate.set()

    eventually(lambda: not running(home, ""), what="every process ends by itself")


def test_the_next_run_finishes_what_a_killed_one_left(
    linkrow, site, home, table, running, eventually
) -> None:
    table.fill(
        [f"{site.url}/fast/{n}" for n in range(5)] + [f"{site.url}/slow/{n}" for n in range(5)]
    )
    run = linkrow.start("run", table.path, *LOOPBACK)
    site.wait_for("/slow/", 5)
    run.kill()
    site.gate.set()
    eventually(lambda: not running(home, ""), what="every process ends by itself")

    done = linkrow("run", table.path, "--json", *LOOPBACK)

    assert done.returncode == 0, done.stdout + done.stderr
    assert table.column("conclusion") == ["valid"] * 10


def test_a_row_whose_link_changed_meanwhile_is_left_alone_and_reported(
    linkrow, site, table
) -> None:
    table.fill([f"{site.url}/fast/0", f"{site.url}/slow/1", f"{site.url}/slow/2"])
    run = linkrow.start("run", table.path, "--json", *LOOPBACK)
    site.wait_for("/slow/", 2)
    text = table.path.read_text("utf-8")
    table.path.write_text(text.replace("/slow/1", "/fast/elsewhere"), "utf-8")
    site.gate.set()

    output, errors = run.communicate(timeout=100)

    assert run.returncode == 3, errors
    assert json.loads(output)["by_writeback"] == {"written": 2, "conflict": 1}
    assert json.loads(output)["not_written"][0]["row_id"] == "r_0001"
    assert table.rows[1]["tracking_url"].endswith("/fast/elsewhere")
    assert not table.rows[1]["conclusion"]
    assert table.rows[2]["conclusion"] == "valid"


def test_a_sorted_file_gets_every_result_in_its_own_row(linkrow, site, table) -> None:
    table.fill([f"{site.url}/slow/{n}" for n in range(6)])
    run = linkrow.start("run", table.path, "--json", *LOOPBACK)
    site.wait_for("/slow/", 6)
    header, *lines = table.path.read_text("utf-8").splitlines(keepends=True)
    table.path.write_text(header + "".join(reversed(lines)), "utf-8")
    site.gate.set()

    output, errors = run.communicate(timeout=100)

    assert run.returncode == 0, output + errors
    assert [row["final_url"] for row in table.rows] == [
        row["tracking_url"].replace("/slow/", "/page/slow/") for row in table.rows
    ]
    assert table.rows[0]["row_id"] == "r_0005"


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        pytest.param(None, "file_not_found", "", id="no such file"),
        pytest.param(b"", "empty_file", "", id="empty"),
        pytest.param(b"\r\n\r\n", "no_header", "", id="no header"),
        pytest.param(
            b"id,Link\r\n1,https://a.example\r\n",
            "missing_column",
            "--column tracking_url=",
            id="no column",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_what_to_do(
    linkrow, tmp_path: Path, content: bytes | None, code: str, words: str
) -> None:
    file = tmp_path / "links.csv"
    if content is not None:
        file.write_bytes(content)

    done = linkrow("run", file, "--json")

    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("--column", "Link"), id="half a column"),
        pytest.param(("--column", "nonsense=Link"), id="no column of ours"),
        pytest.param(("--only-stale", "soon"), id="no age"),
        pytest.param(("--allow-private", "home"), id="no network"),
        pytest.param(("--nonsense",), id="no option"),
    ],
)
def test_an_option_that_cannot_be_used_is_exit_2(
    linkrow, table, arguments: tuple[str, ...]
) -> None:
    table.fill(["https://a.example"])

    done = linkrow("run", table.path, *arguments)

    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["LINKROW_DEVICE_KEY", "LINKROW_DEVICE_SECRET"])
def test_half_a_device_key_is_a_mistake_and_not_passed_over(linkrow, table, name: str) -> None:
    table.fill(["https://a.example"])

    done = linkrow("run", table.path, "--json", **{name: "lrk_half0000"})

    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == "credentials_unusable"
    assert "lrk_half0000" not in done.stdout + done.stderr


@pytest.fixture
def website() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<h1>Welcome</h1>")

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


KEY = {"LINKROW_DEVICE_KEY": "lrk_nobodyknowsit", "LINKROW_DEVICE_SECRET": "lrs_x"}


def test_a_relay_that_is_down_is_exit_4_and_the_file_stays(linkrow, table) -> None:
    table.fill(["https://a.example"])
    before = table.path.read_bytes()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))

        done = linkrow(
            "run", table.path, "--relay", f"http://127.0.0.1:{unused.getsockname()[1]}", **KEY
        )

    assert done.returncode == 4
    assert "relay_unreachable" in done.stderr
    assert table.path.read_bytes() == before


def test_a_website_is_no_relay(linkrow, table, website: str) -> None:
    table.fill(["https://a.example"])

    done = linkrow("run", table.path, "--relay", website, **KEY)

    assert done.returncode == 4
    assert "not_a_relay" in done.stderr


def test_a_refused_signature_is_exit_4_and_the_file_stays(
    linkrow, table, site, home, eventually, tmp_path: Path
) -> None:
    up = linkrow.start("relay", "up", "--data", home / "relay", "--bind", "127.0.0.1:0")
    ready = home / "relay" / "relay.json"
    eventually(ready.exists, what="the relay is ready")
    table.fill([f"{site.url}/fast/1"])
    before = table.path.read_bytes()
    url = json.loads(ready.read_text())["url"]

    refused = linkrow("run", table.path, "--relay", url, **KEY)
    good = linkrow("run", table.path, "--relay", url, *LOOPBACK)

    assert refused.returncode == 4
    assert "unauthorized" in refused.stderr
    assert good.returncode == 0, good.stderr
    assert table.path.read_bytes() != before
    up.send_signal(signal.SIGTERM)
    assert up.wait(30) == 0


def test_a_private_link_is_not_fetched_unless_allowed(linkrow, site, table) -> None:
    table.fill([f"{site.url}/fast/1", "http://192.168.0.1/", f"https://a.example/{'x' * 9000}", ""])

    done = linkrow("run", table.path, "--json")

    assert done.returncode == 0, done.stderr
    assert table.column("conclusion") == [
        "unsafe_target",
        "unsafe_target",
        "invalid_url",
        "invalid_url",
    ]
    assert all(table.column("error"))
    assert not site.seen


def test_rows_that_cannot_be_checked_are_told_why_and_the_others_are_checked(
    linkrow, site, tmp_path: Path
) -> None:
    file = tmp_path / "links.csv"
    lines = [
        "row_id,offer_name,tracking_url",
        f"twin,a,{site.url}/fast/1",
        f"twin,b,{site.url}/fast/2",
        "blank,c,",
        "relative,d,/go/1",
        f"good,Größe,{site.url}/fast/3",
    ]
    spoilt = b"spoilt,\xff\xfe\xff,https://a.example/\n"
    file.write_bytes("\n".join(lines).encode() + b"\n" + spoilt)

    done = linkrow("run", file, "--json", *LOOPBACK)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["by_conclusion"] == {
        "valid": 1,
        "invalid_url": 3,
        "duplicate_row_id": 2,
    }
    text = file.read_bytes().decode("utf-8", "surrogateescape")
    rows = {row["offer_name"]: row for row in csv.DictReader(text.splitlines())}
    for name in "ab":
        assert rows[name]["check_status"] == "skipped"
        assert "twin" in rows[name]["skip_reason"]
        assert rows[name]["error"] == ""
    assert rows["c"]["error"] == "the link is blank"
    assert "https://" in rows["d"]["error"]
    assert rows["Größe"]["conclusion"] == "valid"
    assert "not valid text" in rows["\udcff\udcfe\udcff"]["error"]
    assert spoilt.rstrip(b"\n") in file.read_bytes()
    assert site.seen["/fast/3"] == 1
    assert not site.seen["/fast/1"]


def test_a_given_redis_and_a_given_postgresql_serve_as_well(
    linkrow, site, table, home: Path, running, redis, redis_url: str, postgres_url: str
) -> None:
    table.fill([f"{site.url}/fast/{n}" for n in range(20)])
    given = {"LINKROW_REDIS_URL": redis_url, "LINKROW_DATABASE_URL": postgres_url}

    done = linkrow("run", table.path, "--json", *LOOPBACK, **given)

    assert done.returncode == 0, done.stdout + done.stderr
    assert table.column("conclusion") == ["valid"] * 20
    assert redis.exists("linkrow:epoch")
    assert not running(home, "redis-server")
    assert not (home / "relay" / "ledger.sqlite3").exists()


def set_plan(home: Path, **limits: int | None) -> None:
    with sqlite3.connect(home / "relay" / "ledger.sqlite3") as books:
        for name, value in limits.items():
            books.execute(f"UPDATE plans SET {name} = ?", (value,))
    books.close()


@pytest.fixture
def up(linkrow, home: Path, eventually):
    """A relay that is up before the run, and stays."""
    linkrow.start("relay", "up", "--data", home / "relay", "--bind", "127.0.0.1:0")
    eventually((home / "relay" / "relay.json").exists, what="the relay is ready")


def test_a_used_up_quota_is_exit_4_and_what_was_taken_is_written(
    linkrow, site, table, home: Path, up
) -> None:
    set_plan(home, rows_per_day=600)
    table.fill([f"{site.url}/fast/{n}" for n in range(700)])

    done = linkrow("run", table.path, "--json", *LOOPBACK)

    assert done.returncode == 4, done.stderr
    said = json.loads(done.stdout)
    assert said["by_conclusion"] == {"valid": 500}
    assert said["by_writeback"] == {"written": 500}
    assert table.column("conclusion").count("valid") == 500


def test_a_full_queue_is_waited_for(linkrow, site, table, home: Path, up) -> None:
    set_plan(home, max_depth=500)
    table.fill([f"{site.url}/fast/{n}" for n in range(1200)])

    done = linkrow("run", table.path, "--json", *LOOPBACK)

    assert done.returncode == 0, done.stdout + done.stderr
    assert table.column("conclusion") == ["valid"] * 1200
