"""Making a relay's data folder: once, whole, and readable by this user alone."""

import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relay.config import Config
from relay.errors import BadMasterKey
from relay.folder import read_json
from relay.ledger.ledger import Ledger
from relay.provision import DEVICE_SCOPES, open_box, provision
from wire.vocab import KeyKind

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(tmp_path: Path, database_url: str) -> Config:
    return Config.from_env({"LINKROW_DATABASE_URL": database_url}, data=tmp_path / "relay")


def test_what_it_makes_works(config: Config) -> None:
    made = provision(config, now=NOW)

    noted = read_json(made.device_file)
    assert noted
    ledger = Ledger.open(config.database_url)
    key = ledger.key(str(noted["key_id"]), box=open_box(config), now=NOW)
    ledger.close()
    assert key
    assert key.secrets == (noted["secret"],)
    assert (key.kind, key.scopes, key.plan.name) == (KeyKind.DEVICE, DEVICE_SCOPES, "pro")
    assert (key.account_id, key.device_id) == (noted["account_id"], noted["device_id"])


def test_folder_and_secrets_are_this_users_alone(config: Config) -> None:
    provision(config, now=NOW)

    assert stat.S_IMODE(config.data.stat().st_mode) == 0o700
    for name in ("master.key", "device.json"):
        assert stat.S_IMODE((config.data / name).stat().st_mode) == 0o600


def test_again_it_changes_nothing(config: Config) -> None:
    first = provision(config, now=NOW)
    kept = {name: (config.data / name).read_bytes() for name in ("master.key", "device.json")}

    again = provision(config, now=NOW)

    assert again.account_id == first.account_id
    assert (again.api_key, again.device_key) == (None, None)
    assert all((config.data / name).read_bytes() == content for name, content in kept.items())


def test_no_secret_lies_in_clear_beside_its_own_file(tmp_path: Path) -> None:
    config = Config.from_env({}, data=tmp_path / "relay")

    made = provision(config, now=NOW)

    assert made.api_key
    assert made.device_key
    for path in config.data.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert made.api_key.secret.encode() not in content
        assert path.name == "device.json" or made.device_key.secret.encode() not in content
    assert made.device_key.secret not in repr(made)
    assert made.api_key.secret not in repr(made)


def test_several_that_start_at_once_make_it_once(config: Config) -> None:
    script = (
        "import sys; from datetime import UTC, datetime; from pathlib import Path\n"
        "from relay.config import Config; from relay.provision import provision\n"
        "config = Config.from_env({'LINKROW_DATABASE_URL': sys.argv[1]}, data=Path(sys.argv[2]))\n"
        "made = provision(config, now=datetime.now(UTC))\n"
        "print(made.account_id, made.api_key is not None, made.device_key is not None)"
    )
    command = [sys.executable, "-c", script, config.database_url, str(config.data)]
    racers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(4)
    ]

    answers = [racer.communicate()[0].split() for racer in racers]

    assert [racer.returncode for racer in racers] == [0] * 4
    assert len({account for account, _, _ in answers}) == 1
    assert [api for _, api, _ in answers].count("True") == 1
    assert [device for _, _, device in answers].count("True") == 1


def test_an_api_key_is_made_only_for_somebody_who_looks(config: Config) -> None:
    silent = provision(config, now=NOW, with_api_key=False)
    shown = provision(config, now=NOW)

    assert silent.api_key is None
    assert shown.api_key
    assert shown.account_id == silent.account_id


def test_a_device_key_of_other_books_is_made_anew(config: Config, tmp_path: Path) -> None:
    old = provision(config, now=NOW)
    other = Config.from_env(
        {"LINKROW_DATABASE_URL": f"sqlite:///{tmp_path / 'other.sqlite3'}"}, data=config.data
    )

    new = provision(other, now=NOW)

    assert old.device_key
    assert new.device_key
    noted = read_json(new.device_file)
    assert noted
    assert noted["key_id"] == new.device_key.key_id != old.device_key.key_id


def test_a_revoked_device_key_stays_revoked(config: Config) -> None:
    made = provision(config, now=NOW)
    assert made.device_key
    ledger = Ledger.open(config.database_url)
    ledger.revoke_key(made.device_key.key_id, now=NOW)
    ledger.close()

    assert provision(config, now=NOW).device_key is None


def test_a_lost_master_key_is_said_and_never_replaced(config: Config) -> None:
    provision(config, now=NOW)
    config.master_key_file.unlink()

    with pytest.raises(BadMasterKey, match="put it back"):
        provision(config, now=NOW)

    assert not config.master_key_file.exists()


def test_another_master_key_is_said_before_anything_starts(config: Config, tmp_path: Path) -> None:
    provision(config, now=NOW)
    other = Config.from_env({}, data=tmp_path / "other")
    provision(other, now=NOW)
    config.master_key_file.write_bytes(other.master_key_file.read_bytes())

    with pytest.raises(BadMasterKey, match="exchanged"):
        provision(config, now=NOW)
