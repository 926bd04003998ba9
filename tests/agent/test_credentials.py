import json
import os
from pathlib import Path

import keyring.errors
import pytest

from agent import credentials
from agent.errors import NoCredentials
from connector import device_key
from connector.errors import CredentialsUnusable
from wire.signing import Credentials

RELAY = "http://127.0.0.1:8790"
KEY = Credentials(key_id="lrk_a0000000", secret="lrs_hidden")


class Store:
    """A key store in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service_name: str, username: str) -> str | None:
        return self.kept.get((service_name, username))

    def set_password(self, service_name: str, username: str, password: str) -> None:
        self.kept[service_name, username] = password


class NoStore:
    """A machine without a key store, such as a server."""

    def get_password(self, service_name: str, username: str) -> str | None:
        raise keyring.errors.NoKeyringError("none")

    def set_password(self, service_name: str, username: str, password: str) -> None:
        raise keyring.errors.NoKeyringError("none")


ENVIRON = {"LINKROW_DEVICE_KEY": "lrk_environ0", "LINKROW_DEVICE_SECRET": "s"}


def test_the_environment_comes_first(tmp_path):
    store = Store()
    credentials.save_to_store(KEY, relay=RELAY, store=store)

    found = credentials.find(ENVIRON, tmp_path, relay=RELAY, store=store)

    assert found.key_id == "lrk_environ0"


def test_then_the_key_store_for_this_relay_only(tmp_path):
    store = Store()
    credentials.save_to_store(KEY, relay=RELAY, store=store)

    assert credentials.find({}, tmp_path, relay=RELAY, store=store) == KEY
    with pytest.raises(NoCredentials):
        credentials.find({}, tmp_path, relay="https://other.example", store=store)


@pytest.mark.parametrize("folder", ["agent", "relay"])
def test_then_a_private_file(tmp_path, folder):
    credentials.save_to_file(KEY, tmp_path / folder / "device.json")

    assert credentials.find({}, tmp_path, relay=RELAY, store=NoStore()) == KEY


def test_without_any_the_sentence_says_where_was_looked(tmp_path):
    with pytest.raises(NoCredentials) as error:
        credentials.find({}, tmp_path, relay=RELAY, store=NoStore())

    assert "LINKROW_DEVICE_KEY" in str(error.value)
    assert str(tmp_path / "agent" / "device.json") in str(error.value)


@pytest.mark.parametrize("name", list(ENVIRON))
def test_half_a_key_in_the_environment_is_a_mistake(tmp_path, name):
    half = {other: value for other, value in ENVIRON.items() if other != name}

    with pytest.raises(CredentialsUnusable, match=name):
        credentials.find(half, tmp_path, relay=RELAY, store=NoStore())


def test_a_key_that_no_relay_gave_out_is_said_before_it_names_a_file(tmp_path):
    environ = ENVIRON | {"LINKROW_DEVICE_KEY": "../../etc/passwd"}

    with pytest.raises(CredentialsUnusable, match="lrk_"):
        credentials.find(environ, tmp_path, relay=RELAY, store=NoStore())


@pytest.mark.skipif(os.name != "posix", reason="rights are POSIX'")
def test_a_file_that_others_may_read_is_not_used(tmp_path):
    path = tmp_path / "agent" / "device.json"
    credentials.save_to_file(KEY, path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)

    with pytest.raises(CredentialsUnusable, match="chmod 600"):
        credentials.find({}, tmp_path, relay=RELAY, store=NoStore())


def test_without_a_key_store_nothing_is_saved_silently_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(CredentialsUnusable):
        credentials.save_to_store(KEY, relay=RELAY, store=NoStore())

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    ["", "garbage", "1e9", "☃", "{}", '{"key_id": "lrs_hidden", "secret": 5}', "[" * 50_000],
    ids=["nothing", "garbage", "a number", "snowman", "empty", "no text", "deep"],
)
def test_a_damaged_file_is_said_without_quoting_it(tmp_path, content):
    path = tmp_path / "device.json"
    path.write_text(content)
    path.chmod(0o600)

    with pytest.raises(CredentialsUnusable) as error:
        device_key.from_file(path)

    assert "lrs_hidden" not in str(error.value)
    assert error.value.__cause__ is None


def test_a_secret_is_in_no_repr(tmp_path):
    path = tmp_path / "device.json"
    path.write_text(json.dumps({"key_id": KEY.key_id, "secret": KEY.secret}))
    path.chmod(0o600)

    assert KEY.secret not in repr(device_key.from_file(path))


def test_a_new_key_takes_the_place_of_the_old(tmp_path: Path):
    path = tmp_path / "device.json"
    credentials.save_to_file(KEY, path)
    other = Credentials(key_id="lrk_b0000000", secret="other")

    credentials.save_to_file(other, path)

    assert device_key.from_file(path) == other
    assert [each.name for each in tmp_path.iterdir()] == ["device.json"]
