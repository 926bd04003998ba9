"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.String(64)


def upgrade() -> None:
    op.create_table(
        "plans",
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("rows_per_day", sa.Integer),
        sa.Column("max_depth", sa.Integer),
        sa.Column("history_days", sa.Integer),
        sa.Column("api_links", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_plans"),
    )
    op.create_table(
        "accounts",
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("plan", sa.String(40), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("account_id", name="pk_accounts"),
        sa.ForeignKeyConstraint(["plan"], ["plans.name"], name="fk_accounts_plan_plans"),
    )
    op.create_table(
        "devices",
        sa.Column("device_id", _ID, nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("device_id", name="pk_devices"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name="fk_devices_account_id_accounts"
        ),
    )
    op.create_index("ix_devices_account_id", "devices", ["account_id"])
    op.create_table(
        "keys",
        sa.Column("key_id", _ID, nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("device_id", _ID),
        sa.Column("scopes", sa.String(400), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("revoked_at", sa.Double),
        sa.PrimaryKeyConstraint("key_id", name="pk_keys"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name="fk_keys_account_id_accounts"
        ),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.device_id"], name="fk_keys_device_id_devices"
        ),
    )
    op.create_index("ix_keys_account_id", "keys", ["account_id"])
    op.create_table(
        "key_secrets",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("key_id", _ID, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("master_key_version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_key_secrets"),
        sa.ForeignKeyConstraint(["key_id"], ["keys.key_id"], name="fk_key_secrets_key_id_keys"),
    )
    op.create_index("ix_key_secrets_key_id", "key_secrets", ["key_id"])
    op.create_table(
        "sources",
        sa.Column("source_id", _ID, nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("device_id", _ID),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("source_id", name="pk_sources"),
    )
    op.create_index("ix_sources_account_id", "sources", ["account_id"])
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.String(36), nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("source_id", _ID),
        sa.Column("row_id", sa.String(255)),
        sa.Column("refresh_id", _ID),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("key_id", _ID, nullable=False),
        sa.Column("signed_at", sa.BigInteger, nullable=False),
        sa.Column("nonce", _ID, nullable=False),
        sa.Column("body_sha256", sa.String(64), nullable=False),
        sa.Column("admitted_by", _ID),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("conclusion", sa.String(40)),
        sa.Column("outcome", sa.Text),
        sa.Column("final_url", sa.Text),
        sa.Column("previous_final_url", sa.Text),
        sa.Column("destination_changed", sa.Boolean),
        sa.Column("skip_reason", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("device_id", _ID),
        sa.Column("checked_at", sa.Double),
        sa.Column("writeback", sa.String(16), nullable=False),
        sa.Column("writeback_detail", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("job_id", name="pk_jobs"),
    )
    for columns in (
        ["account_id", "created_at", "job_id"],
        ["account_id", "source_id", "row_id"],
        ["account_id", "refresh_id"],
        ["account_id", "status"],
        ["writeback"],
    ):
        op.create_index("ix_jobs_" + "_".join(columns), "jobs", columns)
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("account_id", _ID),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("action", sa.String(80), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_account_id", "audit", ["account_id"])
    op.create_table(
        "unreadable_events",
        sa.Column("entry_id", sa.String(64), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("fields", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("entry_id", name="pk_unreadable_events"),
    )


def downgrade() -> None:
    for table in (
        "unreadable_events",
        "audit",
        "jobs",
        "sources",
        "key_secrets",
        "keys",
        "devices",
        "accounts",
        "plans",
    ):
        op.drop_table(table)
