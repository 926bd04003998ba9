"""What is said of sources, their refreshes, and that devices may make sources."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column("kind", sa.String(16)),
        sa.Column("name", sa.String(200), nullable=False, server_default=""),
        sa.Column("max_age_seconds", sa.Integer, nullable=False, server_default="86400"),
        sa.Column("paused", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("last_seen_at", sa.Double),
        sa.Column("deleted_at", sa.Double),
        sa.Column("changed_at", sa.Double),
    ):
        op.add_column("sources", column)
    op.create_table(
        "refreshes",
        sa.Column("refresh_id", sa.String(64), nullable=False),
        sa.Column("account_id", sa.String(64), nullable=False),
        sa.Column("source_id", sa.String(64), nullable=False),
        sa.Column("job_id", sa.String(36), nullable=False),
        sa.Column("order", sa.Text, nullable=False),
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("signed_at", sa.BigInteger, nullable=False),
        sa.Column("nonce", sa.String(64), nullable=False),
        sa.Column("body_sha256", sa.String(64), nullable=False),
        sa.Column("asked_by", sa.String(64)),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("rows", sa.BigInteger),
        sa.Column("not_submitted", sa.Text, nullable=False),
        sa.Column("counts", sa.Text, nullable=False),
        sa.Column("error_code", sa.String(64), nullable=False),
        sa.Column("error_detail", sa.Text, nullable=False),
        sa.Column("ended_at", sa.Double),
        sa.PrimaryKeyConstraint("refresh_id", name="pk_refreshes"),
    )
    op.create_index(
        "ix_refreshes_account_id_source_id_created_at_refresh_id",
        "refreshes",
        ["account_id", "source_id", "created_at", "refresh_id"],
    )
    op.create_index("ix_refreshes_created_at", "refreshes", ["created_at"])
    # A device announces its sources, and may now say their names too.
    op.execute(
        "UPDATE keys SET scopes = scopes || ' sources:write' "
        "WHERE kind = 'device' AND ' ' || scopes || ' ' LIKE '% agent %' "
        "AND ' ' || scopes || ' ' NOT LIKE '% sources:write %'"
    )
