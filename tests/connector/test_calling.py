"""Which relay a caller talks to, and which key it signs with."""

import json
from pathlib import Path

import pytest

from connector import calling
from connector.errors import CredentialsUnusable, NoCredentials

API = {"LINKROW_API_KEY": "lrk_api00000", "LINKROW_API_SECRET": "api's"}
DEVICE = {"LINKROW_DEVICE_KEY": "lrk_device00", "LINKROW_DEVICE_SECRET": "device's"}


def saved(path: Path, key_id: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"key_id": key_id, "secret": "s"}))
    path.chmod(mode)
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_the_keys_come_in_this_order(tmp_path, home):
    named = {"LINKROW_API_KEY_FILE": str(saved(tmp_path / "key.json", "lrk_named000"))}
    saved(home / "relay" / "device.json", "lrk_relay000")

    found = [
        calling.signing_key(environ=environ, home=home).key_id
        for environ in (API | named | DEVICE, named | DEVICE, DEVICE, {})
    ]
    saved(home / "agent" / "device.json", "lrk_agent000")
    found.append(calling.signing_key(environ={}, home=home).key_id)

    assert found == ["lrk_api00000", "lrk_named000", "lrk_device00", "lrk_relay000", "lrk_agent000"]


@pytest.mark.parametrize("name", API)
def test_half_a_key_is_not_passed_over(home, name):
    with pytest.raises(CredentialsUnusable) as error:
        calling.signing_key(environ={name: API[name]} | DEVICE, home=home)

    (other,) = set(API) - {name}
    assert other in str(error.value)
    assert "api's" not in str(error.value)


@pytest.mark.parametrize("mode", [0o644, 0o640])
def test_a_named_file_that_others_may_read_is_refused(tmp_path, home, mode):
    path = saved(tmp_path / "key.json", "lrk_named000", mode)

    with pytest.raises(CredentialsUnusable, match="chmod 600"):
        calling.signing_key(environ={"LINKROW_API_KEY_FILE": str(path)} | DEVICE, home=home)


def test_a_file_that_only_its_owner_may_read_and_nobody_write_will_do(tmp_path, home):
    path = saved(tmp_path / "key.json", "lrk_named000", 0o400)

    found = calling.signing_key(environ={"LINKROW_API_KEY_FILE": str(path)}, home=home)

    assert found.key_id == "lrk_named000"


def test_a_named_file_that_is_not_there_is_refused(tmp_path, home):
    with pytest.raises(CredentialsUnusable, match="LINKROW_API_KEY_FILE names it"):
        calling.signing_key(
            environ={"LINKROW_API_KEY_FILE": str(tmp_path / "none")} | DEVICE, home=home
        )


@pytest.mark.parametrize("key", ["abc", "lrk_a\nX-Evil: 1", "lrk_ü0000000"])
def test_a_key_that_is_none_is_refused_before_it_stands_in_a_header(home, key):
    with pytest.raises(CredentialsUnusable):
        calling.signing_key(environ=API | {"LINKROW_API_KEY": key}, home=home)


def test_no_key_at_all_says_what_to_set(home):
    with pytest.raises(NoCredentials, match="LINKROW_API_KEY_FILE"):
        calling.signing_key(environ={}, home=home)


def test_the_relay_is_the_named_one_then_the_environments_then_the_one_here(home):
    environ = {"LINKROW_RELAY_URL": "http://environ"}
    assert calling.relay_url(None, environ={}, home=home) == calling.DEFAULT_RELAY
    (home / "relay").mkdir(parents=True)
    (home / "relay" / "relay.json").write_text('{"url": "http://here"}')

    assert calling.relay_url("http://given", environ=environ, home=home) == "http://given"
    assert calling.relay_url(None, environ=environ, home=home) == "http://environ"
    assert calling.relay_url(None, environ={}, home=home) == "http://here"
    (home / "relay" / "relay.json").write_text("garbage")
    assert calling.relay_url(None, environ={}, home=home) == calling.DEFAULT_RELAY
