"""A PostgreSQL that hangs is as good as none: the ledger says so instead of waiting with it."""

import socket

import psycopg
import pytest

from relay.errors import LedgerUnavailable
from relay.ledger.database import _postgres_patience
from relay.ledger.ledger import Ledger


def test_a_server_that_accepts_and_never_greets_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        ledger = Ledger.open(f"postgresql+psycopg://nobody@127.0.0.1:{port}/none?sslmode=disable")

        with pytest.raises(LedgerUnavailable):
            ledger.ping()

    ledger.close()


def test_a_table_that_somebody_holds_locked_is_unavailable(postgres_url: str) -> None:
    ledger = Ledger.open(postgres_url)
    ledger.migrate()
    database, host = postgres_url.split("@/")[1].split("?host=")
    with psycopg.connect(f"host={host} user=linkrow dbname={database}") as somebody:
        somebody.execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")

        with pytest.raises(LedgerUnavailable):
            ledger.jobs("acct_a")

    assert ledger.jobs("acct_a") == ([], None)
    ledger.close()


def test_what_the_url_says_itself_stands() -> None:
    url = "postgresql+psycopg://a@b/c?connect_timeout=30&options=-c%20search_path%3Dlinkrow"

    assert _postgres_patience(url) == {}
    assert set(_postgres_patience("postgresql+psycopg://a@b/c")) == {"connect_timeout", "options"}
