"""Which refreshes a job serves besides its own."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "joins",
        sa.Column("job_id", sa.String(36), nullable=False),
        sa.Column("refresh_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "refresh_id", name="pk_joins"),
    )
