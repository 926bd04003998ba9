"""What Alembic does for the tables. Loaded only where it is needed: it takes long to load."""

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

_MIGRATIONS: Final = Path(__file__).parent / "migrations"


def upgrade(connection: sa.Connection) -> None:
    """Bring the tables up to the newest version."""
    config = migrations()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def found(connection: sa.Connection) -> str | None:
    """The tables' version; None when there are none."""
    return MigrationContext.configure(connection).get_current_revision()


def wanted() -> str | None:
    """The version this program is written for."""
    return ScriptDirectory.from_config(migrations()).get_current_head()


def migrations() -> AlembicConfig:
    """What Alembic is told; it is handed a connection besides."""
    config = AlembicConfig()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config
