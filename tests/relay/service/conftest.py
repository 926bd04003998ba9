"""The whole service on a real Redis and a real ledger, and somebody who signs for it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from relay.app import create_app
from relay.keyring import Keyring
from relay.ledger.accounts import NewKey, Plan
from relay.ledger.ledger import Ledger
from relay.parts import Parts
from relay.provision import API_SCOPES, DEVICE_SCOPES
from relay.queue.broker import Broker
from relay.recorder import Recorder
from relay.secret_box import SecretBox
from wire.signing import Credentials, new_nonce, sign_request
from wire.vocab import KeyKind, Scope

LINK = "https://trk.example/a?utm_source=sheet"


@dataclass
class Books:
    """A ledger with two accounts and a key of every kind."""

    ledger: Ledger
    box: SecretBox
    keys: dict[str, NewKey] = field(default_factory=dict)

    def fill(self, *, max_depth: int | None = None, rows_per_day: int | None = None) -> "Books":
        plan = Plan(name="pro", rows_per_day=rows_per_day, max_depth=max_depth, api_links=True)
        self.ledger.put_plan(plan)
        for account in ("ours", "theirs"):
            account_id = self.ledger.add_account(account, plan="pro", now=datetime.now(UTC))
            self._add(account, account_id, KeyKind.API, API_SCOPES)
            self._add(f"{account}/device", account_id, KeyKind.DEVICE, DEVICE_SCOPES)
            self._add(f"{account}/reader", account_id, KeyKind.API, frozenset({Scope.JOBS_READ}))
        return self

    def _add(self, name: str, account_id: str, kind: KeyKind, scopes: frozenset[Scope]) -> None:
        self.keys[name] = self.ledger.add_key(
            account_id, kind=kind, scopes=scopes, name=name, box=self.box, now=datetime.now(UTC)
        )

    def credentials(self, name: str) -> Credentials:
        return Credentials(key_id=self.keys[name].key_id, secret=self.keys[name].secret)


def _json(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


@dataclass
class Service:
    """Calls the app as a signing client does, in this process."""

    books: Books
    broker: Broker
    client: FlaskClient
    later: timedelta = timedelta(0)

    def signed(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        key: str = "ours",
        nonce: str | None = None,
        idempotency_key: str = "",
        at: datetime | None = None,
    ) -> dict[str, str]:
        headers = sign_request(
            self.books.credentials(key),
            method=method,
            target=target,
            body=body,
            now=at or datetime.now(UTC) + self.later,
            nonce=nonce,
            idempotency_key=idempotency_key,
        )
        return headers | ({"Content-Type": "application/json"} if body else {})

    def send(
        self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> TestResponse:
        return self.client.open(target, method=method, data=body, headers=headers or {})

    def get(self, target: str, **signing: Any) -> TestResponse:
        return self.send("GET", target, headers=self.signed("GET", target, **signing))

    def post(self, target: str, value: Any = b"", **signing: Any) -> TestResponse:
        body = _json(value)
        return self.send("POST", target, body, self.signed("POST", target, body, **signing))

    def send_signed(
        self, method: str, target: str, value: Any = b"", **signing: Any
    ) -> TestResponse:
        body = _json(value)
        return self.send(method, target, body, self.signed(method, target, body, **signing))

    def now(self) -> datetime:
        return datetime.now(UTC) + self.later

    def submit(self, value: Any, **signing: Any) -> TestResponse:
        signing.setdefault("idempotency_key", new_nonce())
        return self.post("/v1/jobs", value, **signing)

    def book(self) -> None:
        """Let the recorder catch up."""
        recorder = Recorder(self.broker, self.books.ledger)
        recorder.drain()
        recorder.release()


@pytest.fixture
def job() -> Callable[..., dict[str, Any]]:
    def make(row_id: str | None = "r_1", **more: Any) -> dict[str, Any]:
        row = {"row_id": row_id, "source_id": "src_a"} if row_id else {}
        return {"tracking_url": LINK, **row, **more}

    return make


def open_books(url: str) -> Books:
    ledger = Ledger.open(url)
    ledger.migrate()
    return Books(ledger=ledger, box=SecretBox(b"k" * 32))


@pytest.fixture
def ledger_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.sqlite3'}"


@pytest.fixture
def books(ledger_url: str) -> Iterator[Books]:
    books = open_books(ledger_url).fill()
    yield books
    books.ledger.close()


def open_redis(broker: Broker) -> None:
    """Begin the life of an empty Redis, a minute ago."""
    broker.rebuild(sources=(), quotas=(), unfinished=(), owed=())
    broker.redis.set("linkrow:epoch", int(datetime.now(UTC).timestamp()) - 3600)


@pytest.fixture
def broker(redis: "redis_py.Redis") -> Broker:
    broker = Broker(redis)
    open_redis(broker)
    return broker


def serve(books: Books, broker: Broker, **more: Any) -> Service:
    app = create_app(
        Parts(
            broker=broker,
            ledger=books.ledger,
            keyring=Keyring(books.ledger, books.box),
            **more,
        )
    )
    return Service(books=books, broker=broker, client=app.test_client())


@pytest.fixture
def service(books: Books, broker: Broker) -> Service:
    return serve(books, broker)


@pytest.fixture
def make_service() -> Callable[..., Service]:
    return serve


@pytest.fixture(scope="session")
def make_books() -> Callable[[str], Books]:
    return open_books


@pytest.fixture(scope="session")
def begin() -> Callable[[Broker], None]:
    return open_redis
