"""The ledger's tables. A change here is a new file in ``migrations/versions``."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
    text,
)

# What a rebuild reads of the jobs; a partial index is used only by a query with its very words.
UNFINISHED: Final = text("conclusion IS NULL")
OWED: Final = text("writeback = 'pending'")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_ID = String(64)

# Times are unix seconds (float) on Redis' clock for jobs, on the relay's for everything else.
plans = Table(
    "plans",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("rows_per_day", Integer),  # NULL: no limit
    Column("max_depth", Integer),
    Column("history_days", Integer),
    Column("api_links", Boolean, nullable=False),
)

accounts = Table(
    "accounts",
    metadata,
    Column("account_id", _ID, primary_key=True),
    Column("name", String(200), nullable=False),
    Column("plan", String(40), ForeignKey("plans.name"), nullable=False),
    Column("created_at", Double, nullable=False),
)

devices = Table(
    "devices",
    metadata,
    Column("device_id", _ID, primary_key=True),
    Column("account_id", _ID, ForeignKey("accounts.account_id"), nullable=False, index=True),
    Column("name", String(200), nullable=False),
    Column("created_at", Double, nullable=False),
)

keys = Table(
    "keys",
    metadata,
    Column("key_id", _ID, primary_key=True),
    Column("account_id", _ID, ForeignKey("accounts.account_id"), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("device_id", _ID, ForeignKey("devices.device_id")),
    Column("scopes", String(400), nullable=False),  # separated by spaces
    Column("name", String(200), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("revoked_at", Double),
)

key_secrets = Table(
    "key_secrets",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key_id", _ID, ForeignKey("keys.key_id"), nullable=False, index=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("master_key_version", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),  # NULL: until revoked
)

sources = Table(
    "sources",
    metadata,
    Column("source_id", _ID, primary_key=True),
    Column("account_id", _ID, nullable=False, index=True),
    Column("device_id", _ID),
    Column("created_at", Double, nullable=False),
    Column("kind", String(16)),
    Column("name", String(200), nullable=False, server_default=""),
    Column("max_age_seconds", Integer, nullable=False, server_default="86400"),
    Column("paused", Boolean, nullable=False, server_default=false()),
    Column("last_seen_at", Double),
    Column("deleted_at", Double),
    Column("changed_at", Double),  # when all but last_seen_at was said; NULL: never
)

refreshes = Table(
    "refreshes",
    metadata,
    Column("refresh_id", _ID, primary_key=True),
    Column("account_id", _ID, nullable=False),
    Column("source_id", _ID, nullable=False),
    Column("job_id", String(36), nullable=False),
    Column("order", Text, nullable=False),  # JSON of wire.models.RefreshOrder
    # Who signed it.
    Column("key_id", _ID, nullable=False),
    Column("signed_at", BigInteger, nullable=False),
    Column("nonce", _ID, nullable=False),
    Column("body_sha256", String(64), nullable=False),
    Column("asked_by", _ID),  # the device, if it was one
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    # How far it is. Its jobs are counted, but for one that is done: there the counts stand.
    Column("state", String(20), nullable=False),
    Column("rows", BigInteger),
    Column("not_submitted", Text, nullable=False),
    Column("counts", Text, nullable=False),
    Column("error_code", String(64), nullable=False),
    Column("error_detail", Text, nullable=False),
    Column("ended_at", Double),
    Index(None, "account_id", "source_id", "created_at", "refresh_id"),
    Index(None, "created_at"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("job_id", String(36), primary_key=True),
    Column("account_id", _ID, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("source_id", _ID),
    Column("row_id", String(255)),
    Column("refresh_id", _ID),
    Column("request", Text, nullable=False),  # JSON of wire.models.JobRequest
    # Who signed it.
    Column("key_id", _ID, nullable=False),
    Column("signed_at", BigInteger, nullable=False),
    Column("nonce", _ID, nullable=False),
    Column("body_sha256", String(64), nullable=False),
    Column("admitted_by", _ID),  # the device, if it was one
    Column("created_at", Double, nullable=False),
    # How it ended; hop evidence is in the outcome (JSON of wire.models.Outcome).
    Column("status", String(16), nullable=False),
    Column("conclusion", String(40)),
    Column("outcome", Text),
    Column("final_url", Text),
    Column("previous_final_url", Text),
    Column("destination_changed", Boolean),
    Column("skip_reason", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("device_id", _ID),
    Column("checked_at", Double),
    Column("writeback", String(16), nullable=False),
    Column("writeback_detail", Text, nullable=False),
    Index(None, "account_id", "created_at", "job_id"),
    Index(None, "account_id", "source_id", "row_id"),
    Index(None, "account_id", "refresh_id"),
    Index(None, "account_id", "status"),
    Index(
        "ix_jobs_unfinished",
        "created_at",
        "job_id",
        sqlite_where=UNFINISHED,
        postgresql_where=UNFINISHED,
    ),
    Index("ix_jobs_owed", "created_at", "job_id", sqlite_where=OWED, postgresql_where=OWED),
)

# Which refreshes a job serves besides its own.
joins = Table(
    "joins",
    metadata,
    Column("job_id", String(36), primary_key=True),
    Column("refresh_id", _ID, primary_key=True),
)

# One row: which life of Redis the books go on with. Events of another one are not booked.
redis_life = Table(
    "redis_life",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("life", _ID, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Double, nullable=False),
    Column("account_id", _ID, index=True),
    Column("actor", String(200), nullable=False),
    Column("action", String(80), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("detail", Text, nullable=False),
)

unreadable_events = Table(
    "unreadable_events",
    metadata,
    Column("entry_id", String(64), primary_key=True),
    Column("at", Double, nullable=False),
    Column("why", Text, nullable=False),
    Column("fields", Text, nullable=False),
)
