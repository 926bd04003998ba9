"""Which version the tables are of, and how they come to be of this one."""

import sqlalchemy as sa

from relay.errors import LedgerNotMigrated
from relay.ledger.database import Database


class Versions(Database):
    """The tables' version."""

    def migrate(self) -> None:
        """Bring the tables up to this version; two that do it at once wait for each other."""
        from relay.ledger import upgrades  # noqa: PLC0415 - clock and recorder do without Alembic

        with self._begin() as connection:
            if connection.dialect.name == "postgresql":
                # A migration may wait for its turn; a request may not.
                connection.execute(sa.text("SET LOCAL lock_timeout = 0"))
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(7512684)"))
            else:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            upgrades.upgrade(connection)

    def check_version(self) -> None:
        """Raise LedgerNotMigrated unless the tables are of this version."""
        from relay.ledger import upgrades  # noqa: PLC0415 - see above

        with self._begin() as connection:
            found = upgrades.found(connection)
        wanted = upgrades.wanted()
        if found != wanted:
            raise LedgerNotMigrated(
                f"the ledger is at version {found or 'none'}, this Linkrow needs {wanted}; "
                "run linkrow-relay init"
            )
