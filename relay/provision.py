"""Make a relay's data folder: master key, tables, an account, an API key and a device key."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from relay.config import Config
from relay.errors import BadMasterKey
from relay.folder import lock, read_json, write_json
from relay.ledger.accounts import NewKey, Plan
from relay.ledger.ledger import Ledger
from relay.secret_box import SecretBox, load_master_key, make_master_key
from wire.vocab import KeyKind, Scope

PRO: Final = Plan(name="pro", rows_per_day=None, max_depth=200_000, api_links=True)
API_SCOPES: Final = frozenset(
    {Scope.JOBS_WRITE, Scope.JOBS_READ, Scope.SOURCES_WRITE, Scope.ROWS_READ}
)
DEVICE_SCOPES: Final = frozenset(
    {Scope.AGENT, Scope.JOBS_WRITE, Scope.JOBS_READ, Scope.SOURCES_WRITE}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioned:
    """What ``init`` made; a key that was there already is None."""

    folder: Path
    account_id: str
    api_key: NewKey | None
    device_key: NewKey | None
    device_file: Path


def provision(config: Config, *, now: datetime, with_api_key: bool = True) -> Provisioned:
    """Make what is missing, leave what is there. Two that do it at once make it once.

    Without *with_api_key*, none is made: its secret can be shown only to somebody who looks.
    Raises BadMasterKey or LedgerError.
    """
    config.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    config.data.chmod(0o700)
    with lock(config.data / "init.lock"):
        ledger = Ledger.open(config.database_url)
        try:
            ledger.migrate()
            if config.master_key is None:
                _make_master_key(config.master_key_file, ledger)
            return _fill(config, ledger, open_box(config), now, with_api_key=with_api_key)
        finally:
            ledger.close()


def open_box(config: Config) -> SecretBox:
    """The secret box that this relay's master key opens. Raises BadMasterKey."""
    return SecretBox(load_master_key(config.master_key, config.master_key_file))


def _make_master_key(path: Path, ledger: Ledger) -> None:
    """A new one opens nothing that another one sealed, so it is made for empty books only."""
    if not path.exists() and ledger.has_secrets():
        raise BadMasterKey(
            f"the ledger's secrets were sealed with a master key that is not at {path}; "
            "put it back, or set LINKROW_MASTER_KEY"
        )
    make_master_key(path)


def _fill(
    config: Config, ledger: Ledger, box: SecretBox, now: datetime, *, with_api_key: bool
) -> Provisioned:
    account_id = ledger.first_account()
    api_key = None
    if account_id is None:
        ledger.put_plan(PRO)
        account_id = ledger.add_account("default", plan=PRO.name, now=now)
    if with_api_key and not ledger.has_key(account_id, KeyKind.API):
        api_key = ledger.add_key(
            account_id, kind=KeyKind.API, scopes=API_SCOPES, name="first API key", box=box, now=now
        )
    device_file = config.data / "device.json"
    device_key = None
    if not _is_known(read_json(device_file), ledger, box, now):
        device_key = ledger.add_key(
            account_id,
            kind=KeyKind.DEVICE,
            scopes=DEVICE_SCOPES,
            name="this machine",
            box=box,
            now=now,
        )
        write_json(
            device_file,
            {
                "key_id": device_key.key_id,
                "secret": device_key.secret,
                "device_id": device_key.device_id,
                "account_id": account_id,
            },
        )
    return Provisioned(
        folder=config.data,
        account_id=account_id,
        api_key=api_key,
        device_key=device_key,
        device_file=device_file,
    )


def _is_known(
    noted: dict[str, object] | None, ledger: Ledger, box: SecretBox, now: datetime
) -> bool:
    """Whether the key that was *noted* is of these books; a revoked one stays revoked."""
    key_id = noted.get("key_id") if noted else None
    if not isinstance(key_id, str) or not ledger.knows_key(key_id):
        return False
    ledger.key(key_id, box=box, now=now)  # raises BadMasterKey: better now than at every request
    return True
