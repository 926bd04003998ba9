"""What a rebuild reads is found at once: jobs that have not ended, rows still to be written."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_jobs_writeback", "jobs")
    for name, condition in (
        ("ix_jobs_unfinished", "conclusion IS NULL"),
        ("ix_jobs_owed", "writeback = 'pending'"),
    ):
        op.create_index(
            name,
            "jobs",
            ["created_at", "job_id"],
            sqlite_where=sa.text(condition),
            postgresql_where=sa.text(condition),
        )
