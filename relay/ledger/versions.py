"""Which version the tables are of, and how they come to be of this one."""

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from relay.errors import LedgerNotMigrated
from relay.ledger.database import Database

_MIGRATIONS: Final = Path(__file__).parent / "migrations"


class Versions(Database):
    """The tables' version."""

    def migrate(self) -> None:
        """Bring the tables up to this version; two that do it at once wait for each other."""
        with self._begin() as connection:
            if connection.dialect.name == "postgresql":
                # A migration may wait for its turn; a request may not.
                connection.execute(sa.text("SET LOCAL lock_timeout = 0"))
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(7512684)"))
            else:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            config = migrations()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def check_version(self) -> None:
        """Raise LedgerNotMigrated unless the tables are of this version."""
        with self._begin() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
        wanted = ScriptDirectory.from_config(migrations()).get_current_head()
        if found != wanted:
            raise LedgerNotMigrated(
                f"the ledger is at version {found or 'none'}, this Linkrow needs {wanted}; "
                "run linkrow-relay init"
            )


def migrations() -> AlembicConfig:
    """What Alembic is told; it is handed a connection besides."""
    config = AlembicConfig()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config
