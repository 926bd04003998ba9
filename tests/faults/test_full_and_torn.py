"""No room in Redis, for the spool or for the file; and a spool that was torn."""

import os
import secrets
import subprocess
from pathlib import Path

import psutil
import pytest

from connector.patience import Patience
from connector.relay_client import RelayClient
from connector.relay_errors import Refused
from wire.models import JobRequest

pytestmark = pytest.mark.processes
RESULTS = "/v1/agent/results"
SPOOL_UNUSABLE = 6


class SmallDisk:
    """A file system of a few megabytes, filled to the last page."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self, agent, *, beyond: Path) -> None:
        with self._filler.open("ab", buffering=0) as filler:
            try:
                while filler.write(b"x" * 4096):
                    pass
            except OSError:
                return

    def free(self, agent) -> None:
        self._filler.unlink()


class Limit:
    """A process that may not let a file grow: as full a disk as anybody can have anywhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, agent, *, beyond: Path) -> None:
        self._set(agent, beyond.stat().st_size)

    def free(self, agent) -> None:
        self._set(agent, psutil.RLIM_INFINITY)

    @staticmethod
    def _set(agent, size: int) -> None:
        if agent.process.poll() is None:
            psutil.Process(agent.process.pid).rlimit(
                psutil.RLIMIT_FSIZE, (size, psutil.RLIM_INFINITY)
            )


@pytest.fixture(params=[SmallDisk, Limit])
def disk(request: pytest.FixtureRequest, tmp_path: Path):
    """A folder on a disk that can be filled; by a limit wherever nobody may mount a small one."""
    folder = tmp_path / "small"
    folder.mkdir()
    if request.param is SmallDisk:
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=8m", "none", folder],
            check=False,
            capture_output=True,
        )
        if made.returncode:
            pytest.skip("nobody may mount a disk here; the limit on a process is tried instead")
    yield request.param(folder)
    if request.param is SmallDisk:
        subprocess.run(["umount", "-l", folder], check=True)


def spool_of(home: Path) -> Path:
    """The file that grows when a result is kept."""
    (log,) = home.rglob("*.sqlite3-wal")
    return log


def test_a_full_redis_refuses_work_over_http_takes_results_and_recovers(
    relay, through, site, table, start, eventually
):
    slow = table([f"{site.url}/slow/{n}" for n in range(5)])
    agent = start(slow)
    eventually(lambda: site.visits("/slow/") >= 5, what="links are in the air")
    more = [
        JobRequest(tracking_url=f"https://t.example/{n}", source_id="src_full", row_id=f"r_{n}")
        for n in range(500)
    ]
    key = secrets.token_hex(8)
    impatient = RelayClient(relay.url, relay.credentials, patience=Patience(attempts=1))
    relay.redis.config_set("maxmemory", relay.redis.info("memory")["used_memory"] - 100_000)
    try:
        with pytest.raises(Refused) as refused:
            impatient.submit(more, idempotency_key=key)
        site.gate.set()
        eventually(slow.is_written, what="what ran is written")
    finally:
        relay.redis.config_set("maxmemory", 0)
        impatient.close()

    assert (refused.value.status, refused.value.code) == (503, "redis_unavailable")
    assert not refused.value.permanent
    slow.assert_right()
    assert agent.end() == 0
    assert len(through.submit(more, idempotency_key=key).jobs) == 500


def test_a_full_disk_for_the_spool_is_said_loses_nothing_and_passes(
    relay, disk, site, table, start, eventually
):
    slow = table([f"{site.url}/slow/{n}" for n in range(30)])
    agent = start(slow, home=disk.folder)
    eventually(lambda: site.visits("/slow/") >= 30, what="links are in the air")
    disk.fill(agent, beyond=spool_of(disk.folder))
    site.gate.set()
    eventually(lambda: bool(agent.said("disk_full")), what="the agent says so")

    assert "make room on that disk" in agent.said("disk_full")[0]["detail"]
    assert "make room on that disk" in agent.log
    disk.free(agent)
    eventually(slow.is_written, what="every row is written")

    assert agent.end() == 0
    slow.assert_right()
    assert "Traceback" not in agent.log


def test_an_agent_killed_while_its_spool_was_full_costs_no_row(
    relay, disk, site, table, start, eventually
):
    slow = table([f"{site.url}/slow/{n}" for n in range(30)])
    agent = start(slow, home=disk.folder)
    eventually(lambda: site.visits("/slow/") >= 30, what="links are in the air")
    disk.fill(agent, beyond=spool_of(disk.folder))
    site.gate.set()
    eventually(lambda: bool(agent.said("disk_full")), what="the agent says so")
    agent.kill()

    disk.free(agent)
    again = start(slow, name="again", home=disk.folder)
    eventually(slow.is_written, what="every row is written")

    assert again.end() == 0
    slow.assert_right()


def test_a_full_disk_for_the_file_leaves_it_whole_and_is_waited_for(
    relay, disk, site, table, start, eventually
):
    long = "long " * 20_000  # larger than the spool will ever be
    slow = table(
        [f"{site.url}/slow/{n}" for n in range(30)], path=disk.folder / "links.csv", note=long
    )
    before = slow.path.read_bytes()
    half = disk.folder / "half"
    half.write_bytes(before[: len(before) // 2])
    agent = start(slow)
    eventually(lambda: site.visits("/slow/") >= 30, what="links are in the air")
    disk.fill(agent, beyond=half)
    site.gate.set()
    eventually(
        lambda: all(relay.job(job).status == "done" for job in slow.jobs), what="all are resolved"
    )
    eventually(lambda: bool(agent.said("disk_full")), what="the agent says so")
    stopped = agent.end()

    assert stopped == 3  # unfinished
    (told,) = agent.said("disk_full")
    assert told["detail"] == f"there is no room to write {slow.path}; it is unchanged"
    (line,) = [line for line in agent.log.splitlines() if "no room" in line]  # once, though --quiet
    assert line.startswith("linkrow-agent: links.csv cannot be written now")
    assert slow.path.read_bytes() == before
    assert sorted(each.name for each in disk.folder.iterdir() if each.suffix == ".tmp") == []
    again = start(slow)
    disk.free(agent)
    eventually(slow.is_written, what="every row is written")

    assert again.end() == 0
    slow.assert_right()
    assert "Traceback" not in agent.log
    assert site.visits("/slow/") == 30


def _overwrite(spool: Path) -> None:
    for path in (spool, spool.with_name(spool.name + "-wal")):
        path.write_bytes(os.urandom(max(path.stat().st_size, 4096)))


def _overwrite_middle(spool: Path) -> None:
    spool.with_name(spool.name + "-wal").unlink()
    spool.write_bytes(spool.read_bytes()[:100] + os.urandom(8092))


@pytest.mark.parametrize("tear", [_overwrite, _overwrite_middle])
def test_a_torn_spool_is_said_in_a_sentence_kept_and_costs_no_row(
    relay, proxy, site, table, start, eventually, tmp_path, tear
):
    fast = table([f"{site.url}/fast/{n}" for n in range(5)])
    proxy.lose_request(RESULTS, times=10_000)
    first = start(fast)
    eventually(lambda: len(first.said("resolved")) == 5, what="its results are on its disk")
    first.kill()
    proxy.heal()
    (spool,) = (tmp_path / "one").rglob("*.sqlite3")
    tear(spool)
    torn = spool.read_bytes()

    refused = start(fast, name="one")
    assert refused.process.wait(80) == SPOOL_UNUSABLE
    assert "is no usable spool" in refused.log
    assert "move it away and start again" in refused.log
    assert "Traceback" not in refused.log
    assert spool.read_bytes() == torn

    for path in spool.parent.glob(spool.name + "*"):
        path.rename(tmp_path / path.name)
    again = start(fast)
    eventually(fast.is_written, what="every row is written")
    assert again.end() == 0
    fast.assert_right()


def test_a_spool_cut_short_costs_a_second_walk_and_no_row(
    relay, proxy, site, table, start, eventually, tmp_path
):
    fast = table([f"{site.url}/fast/{n}" for n in range(5)])
    proxy.lose_request(RESULTS, times=10_000)
    first = start(fast)
    eventually(lambda: len(first.said("resolved")) == 5, what="its results are on its disk")
    first.kill()
    proxy.heal()
    (log,) = (tmp_path / "one").rglob("*.sqlite3-wal")
    os.truncate(log, log.stat().st_size // 2)

    again = start(fast)
    eventually(fast.is_written, what="every row is written")

    assert again.end() == 0
    fast.assert_right()
    assert "Traceback" not in again.log
