"""Settings: what is usual, what may be said, and every mistake at once."""

from dataclasses import fields
from pathlib import Path

import pytest

from relay.config import Config
from relay.errors import BadConfig


def test_nothing_set_is_a_private_relay_on_this_machine(tmp_path: Path) -> None:
    config = Config.from_env({"LINKROW_HOME": str(tmp_path)})

    assert config.data == tmp_path / "relay"
    assert (config.host, config.port) == ("127.0.0.1", 8790)
    assert config.redis_url is None
    assert config.database_url == f"sqlite:///{tmp_path}/relay/ledger.sqlite3"
    assert config.master_key_file == tmp_path / "relay" / "master.key"
    assert (config.queue.lease_seconds, config.queue.renew_seconds) == (60, 20)
    assert config.queue.retry_delays == (2.0, 10.0)


def test_every_problem_is_said_at_once() -> None:
    environ = {
        "LINKROW_REDIS_URL": "http://redis",
        "LINKROW_DATABASE_URL": "mysql://books",
        "LINKROW_BIND": "8790",
        "LINKROW_THREADS": "many",
        "LINKROW_WORKERS": "0",
        "LINKROW_LEASE_SECONDS": "1e9",
        "LINKROW_BACKLOG_LIMIT": "-5",
        "LINKROW_RETRY_DELAYS": "2;10",
        "LINKROW_ALLOW_UNSAFE_REDIS": "yes",
    }

    with pytest.raises(BadConfig) as refusal:
        Config.from_env(environ)

    assert len(refusal.value.problems) == len(environ)
    for name in environ.keys() - {"LINKROW_BIND"}:
        assert any(name in problem for problem in refusal.value.problems), name


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("0.0.0.0:80", "0.0.0.0", 80),
        ("[::1]:8790", "::1", 8790),
        ("localhost:0", "localhost", 0),
    ],
)
def test_an_address_to_listen_on_is_read(text: str, host: str, port: int) -> None:
    config = Config.from_env({"LINKROW_BIND": "127.0.0.1:1"}, bind=text)

    assert (config.host, config.port) == (host, port)


@pytest.mark.parametrize("text", ["", "1", "::1:8790", "host:99999", "host:", ":80", "a b:80"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadConfig):
        Config.from_env({"LINKROW_BIND": text or " "})


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "3601", "1,2,3,4,5,6", "\N{SNOWMAN}"])
def test_delays_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(BadConfig, match="LINKROW_RETRY_DELAYS"):
        Config.from_env({"LINKROW_RETRY_DELAYS": text})


def test_numbers_in_other_scripts_are_refused() -> None:
    with pytest.raises(BadConfig, match="LINKROW_THREADS"):
        Config.from_env({"LINKROW_THREADS": "\N{SUPERSCRIPT TWO}" * 2})


def test_a_plain_postgresql_url_gets_our_driver() -> None:
    config = Config.from_env({"LINKROW_DATABASE_URL": "postgresql://u@h/d"})

    assert config.database_url == "postgresql+psycopg://u@h/d"


def test_its_repr_holds_no_secret() -> None:
    environ = {
        "LINKROW_REDIS_URL": "redis://:hushhush@h/0",
        "LINKROW_DATABASE_URL": "postgresql://u:hushhush@h/d",
        "LINKROW_MASTER_KEY": "hushhush",
    }

    assert "hushhush" not in repr(Config.from_env(environ))
    assert {each.name for each in fields(Config) if not each.repr} == {
        "database_url",
        "redis_url",
        "master_key",
    }
