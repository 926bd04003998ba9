"""Keys are at most a second old, whoever asks how often."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from relay import keyring as keyring_module
from relay.errors import LedgerUnavailable
from relay.keyring import Keyring
from relay.ledger.accounts import KeyRecord
from relay.ledger.ledger import Ledger


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class Watched(Ledger):
    """A ledger that counts who asks, and lets nobody through a closed door."""

    def __init__(self, engine: Any) -> None:
        super().__init__(engine)
        self.asked: list[str] = []
        self.door = threading.Event()
        self.door.set()
        self.knocked = threading.Semaphore(0)
        self.closed_for = ""

    def key(self, key_id: str, **given: Any) -> KeyRecord | None:
        self.asked.append(key_id)
        if key_id == self.closed_for:
            self.knocked.release()
            assert self.door.wait(20)
        return super().key(key_id, **given)


@pytest.fixture
def ledger_url(database_url: str) -> str:
    return database_url


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(books: Any, ledger_url: str) -> Iterator[Watched]:
    ledger = Watched.open(ledger_url)
    assert isinstance(ledger, Watched)
    yield ledger
    ledger.close()


@pytest.fixture
def keyring(books: Any, ledger: Watched, clock: Clock) -> Keyring:
    return Keyring(ledger, books.box, clock=clock)


def test_a_key_is_found_with_what_it_may_do(books: Any, keyring: Keyring) -> None:
    key = books.keys["ours/device"]

    found = keyring.find(key.key_id)

    assert found is not None
    assert (found.account_id, found.device_id) == (key.account_id, key.device_id)
    assert found.secrets == (key.secret,)
    assert key.secret not in repr(found)


def test_within_a_second_the_ledger_is_asked_once(
    books: Any, keyring: Keyring, ledger: Watched, clock: Clock
) -> None:
    names = [books.keys["ours"].key_id, "lrk_nobodyknowsit"]
    for name in names * 3:
        keyring.find(name)
        clock.seconds += 0.1

    assert ledger.asked == names


def test_a_revoked_key_ends_within_a_second(books: Any, keyring: Keyring, clock: Clock) -> None:
    name = books.keys["ours"].key_id
    keyring.find(name)
    books.ledger.revoke_key(name, now=datetime.now(UTC))

    clock.seconds += 1.0

    assert keyring.find(name) is None


def test_a_new_limit_holds_within_a_second(books: Any, keyring: Keyring, clock: Clock) -> None:
    name = books.keys["ours"].key_id
    keyring.find(name)
    books.ledger.set_plan_limits("pro", rows_per_day=5, max_depth=6)

    clock.seconds += 1.0

    found = keyring.find(name)
    assert found is not None
    assert (found.plan.rows_per_day, found.plan.max_depth) == (5, 6)


def test_strangers_cannot_fill_the_memory(
    keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring_module, "MAX_ENTRIES", 10)

    for number in range(25):
        keyring.find(f"lrk_stranger{number:04d}")

    assert len(keyring) == 10


def test_many_threads_share_one_look_up(books: Any, keyring: Keyring, ledger: Watched) -> None:
    name = books.keys["ours"].key_id
    ledger.closed_for = name
    ledger.door.clear()

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(keyring.find, name) for _ in range(8)]
        assert ledger.knocked.acquire(timeout=20)
        ledger.door.set()
        found = {each.result(20).account_id for each in asked}

    assert found == {books.keys["ours"].account_id}
    assert ledger.asked == [name]


def test_one_slow_look_up_holds_nobody_else_up(
    books: Any, keyring: Keyring, ledger: Watched
) -> None:
    slow, other = books.keys["ours"].key_id, books.keys["theirs"].key_id
    ledger.closed_for = slow
    ledger.door.clear()

    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(keyring.find, slow)
        assert ledger.knocked.acquire(timeout=20)
        found = pool.submit(keyring.find, other).result(20)
        ledger.door.set()
        waiting.result(20)

    assert found.account_id == books.keys["theirs"].account_id


def test_without_a_ledger_nobody_can_say_what_is_allowed(
    books: Any, tmp_path: Path, clock: Clock
) -> None:
    gone = Ledger.open(f"sqlite:///{tmp_path}/no-such-folder/ledger.sqlite3")
    keyring = Keyring(gone, books.box, clock=clock)

    for _ in range(2):
        with pytest.raises(LedgerUnavailable):
            keyring.find(books.keys["ours"].key_id)
