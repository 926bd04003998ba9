"""Who may do what: plans, accounts, keys and their sealed secrets."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from relay.ledger.database import Database, insert_into
from relay.ledger.schema import accounts, audit, devices, key_secrets, keys, plans
from relay.secret_box import SecretBox
from wire import ids
from wire.vocab import KeyKind, Scope

MAX_LIVE_SECRETS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an account may do; None is no limit."""

    name: str
    rows_per_day: int | None
    max_depth: int | None
    api_links: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """One key with its live secrets, newest first."""

    key_id: str
    account_id: str
    kind: KeyKind
    device_id: str | None
    scopes: frozenset[Scope]
    plan: Plan
    secrets: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key that was just made; the secret is shown once and never again."""

    key_id: str
    account_id: str
    device_id: str | None
    secret: str = field(repr=False)


class Accounts(Database):
    """Accounts and their keys."""

    def put_plan(self, plan: Plan) -> None:
        """Make *plan*, unless there is one of that name."""
        with self._begin() as connection:
            row = {
                "name": plan.name,
                "rows_per_day": plan.rows_per_day,
                "max_depth": plan.max_depth,
                "history_days": None,
                "api_links": plan.api_links,
            }
            connection.execute(insert_into(connection.dialect, plans).on_conflict_do_nothing(), row)

    def set_plan_limits(
        self, name: str, *, rows_per_day: int | None, max_depth: int | None
    ) -> None:
        """Change what *name* allows; in force everywhere within a second."""
        with self._begin() as connection:
            connection.execute(
                plans.update()
                .where(plans.c.name == name)
                .values(rows_per_day=rows_per_day, max_depth=max_depth)
            )

    def first_account(self) -> str | None:
        """The account that ``init`` made, or None before it."""
        query = sa.select(accounts.c.account_id).order_by(accounts.c.created_at).limit(1)
        with self._begin() as connection:
            return connection.execute(query).scalar()

    def add_account(self, name: str, *, plan: str, now: datetime) -> str:
        """Make an account. Its id."""
        account_id = "acct_" + ids.token(16)
        with self._begin() as connection:
            connection.execute(
                accounts.insert(),
                {
                    "account_id": account_id,
                    "name": name,
                    "plan": plan,
                    "created_at": now.timestamp(),
                },
            )
            _note(connection, account_id, "init", "account.create", account_id, now)
        return account_id

    def add_key(
        self,
        account_id: str,
        *,
        kind: KeyKind,
        scopes: frozenset[Scope],
        name: str,
        box: SecretBox,
        now: datetime,
    ) -> NewKey:
        """Make a key, and a device with it if *kind* says so."""
        key = NewKey(
            key_id="lrk_" + ids.token(20),
            account_id=account_id,
            device_id="dev_" + ids.token(16) if kind is KeyKind.DEVICE else None,
            secret="lrs_" + secrets.token_urlsafe(32),
        )
        at = now.timestamp()
        with self._begin() as connection:
            if key.device_id:
                connection.execute(
                    devices.insert(),
                    {
                        "device_id": key.device_id,
                        "account_id": account_id,
                        "name": name,
                        "created_at": at,
                    },
                )
            connection.execute(
                keys.insert(),
                {
                    "key_id": key.key_id,
                    "account_id": account_id,
                    "kind": kind,
                    "device_id": key.device_id,
                    "scopes": " ".join(sorted(scopes)),
                    "name": name,
                    "created_at": at,
                },
            )
            connection.execute(
                key_secrets.insert(),
                {
                    "key_id": key.key_id,
                    "sealed": box.seal(key.secret, key_id=key.key_id),
                    "master_key_version": box.version,
                    "created_at": at,
                },
            )
            _note(connection, account_id, "init", "key.create", key.key_id, now)
        return key

    def has_key(self, account_id: str, kind: KeyKind) -> bool:
        """Whether the account has a key of *kind* that was not revoked."""
        query = (
            sa.select(keys.c.key_id)
            .where(
                keys.c.account_id == account_id, keys.c.kind == kind, keys.c.revoked_at.is_(None)
            )
            .limit(1)
        )
        with self._begin() as connection:
            return connection.execute(query).first() is not None

    def knows_key(self, key_id: str) -> bool:
        """Whether there is, or was, a key of that id."""
        with self._begin() as connection:
            query = sa.select(keys.c.key_id).where(keys.c.key_id == key_id)
            return connection.execute(query).first() is not None

    def has_secrets(self) -> bool:
        """Whether a master key has sealed anything here."""
        with self._begin() as connection:
            return connection.execute(sa.select(key_secrets.c.id).limit(1)).first() is not None

    def revoke_key(self, key_id: str, *, now: datetime) -> None:
        """End a key; in force everywhere within a second."""
        with self._begin() as connection:
            connection.execute(
                keys.update().where(keys.c.key_id == key_id).values(revoked_at=now.timestamp())
            )
            _note(connection, None, "operator", "key.revoke", key_id, now)

    def key(self, key_id: str, *, box: SecretBox, now: datetime) -> KeyRecord | None:
        """A key that may be used now, or None. Raises BadMasterKey if its secret does not open."""
        query = (
            sa.select(keys, plans)
            .join(accounts, accounts.c.account_id == keys.c.account_id)
            .join(plans, plans.c.name == accounts.c.plan)
            .where(keys.c.key_id == key_id, keys.c.revoked_at.is_(None))
        )
        live = (
            sa.select(key_secrets.c.sealed)
            .where(
                key_secrets.c.key_id == key_id,
                sa.or_(
                    key_secrets.c.expires_at.is_(None), key_secrets.c.expires_at > now.timestamp()
                ),
            )
            .order_by(key_secrets.c.created_at.desc())
            .limit(MAX_LIVE_SECRETS)
        )
        with self._begin() as connection:
            row = connection.execute(query).mappings().first()
            if row is None:
                return None
            sealed = connection.execute(live).scalars().all()
        return KeyRecord(
            key_id=key_id,
            account_id=row[keys.c.account_id],
            kind=KeyKind(row[keys.c.kind]),
            device_id=row[keys.c.device_id],
            scopes=frozenset(Scope(scope) for scope in row[keys.c.scopes].split()),
            plan=Plan(
                name=row[plans.c.name],
                rows_per_day=row[plans.c.rows_per_day],
                max_depth=row[plans.c.max_depth],
                api_links=row[plans.c.api_links],
            ),
            secrets=tuple(box.open(each, key_id=key_id) for each in sealed),
        )


def _note(
    connection: Connection,
    account_id: str | None,
    actor: str,
    action: str,
    subject: str,
    now: datetime,
) -> None:
    connection.execute(
        audit.insert(),
        {
            "at": now.timestamp(),
            "account_id": account_id,
            "actor": actor,
            "action": action,
            "subject": subject,
            "detail": "",
        },
    )
