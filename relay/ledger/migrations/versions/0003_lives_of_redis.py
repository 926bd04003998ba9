"""Which life of Redis the books go on with."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    table = op.create_table(
        "redis_life",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("life", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_redis_life"),
    )
    op.bulk_insert(table, [{"id": 1, "life": ""}])
