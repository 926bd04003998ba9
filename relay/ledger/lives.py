"""Which life of Redis the books go on with: what is left over from an earlier one is not booked.

A Redis that lost everything begins a new life, with counters taken from the books. A recorder that
still holds a batch of the old life must not book it after they were counted: it would add to what
has been counted already.
"""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from relay.errors import OfAnotherLife
from relay.ledger.database import Database
from relay.ledger.schema import redis_life

NO_LIFE: Final = ""
"""Of a Redis that was never filled from these books."""


class Lives(Database):
    """The one life that may be booked."""

    def life(self) -> str:
        """The life the books go on with."""
        with self._begin() as connection:
            return str(connection.execute(sa.select(redis_life.c.life)).scalar_one())

    def begin_life(self, life: str, *, instead_of: str) -> bool:
        """Go on with *life*, unless the life is not (any more) *instead_of*. Whether it is now.

        Waits for what is being booked; nothing of an earlier life is booked after it.
        """
        with self._begin() as connection:
            changed = connection.execute(
                redis_life.update().where(redis_life.c.life == instead_of).values(life=life)
            )
            return changed.rowcount == 1


def hold_life(connection: Connection, life: str) -> None:
    """Keep *life* the one to be booked until this transaction ends, or raise OfAnotherLife."""
    # A write, not a look: it takes the lock that begin_life waits for, on either database.
    held = connection.execute(
        redis_life.update().where(redis_life.c.life == life).values(life=redis_life.c.life)
    )
    if held.rowcount != 1:
        raise OfAnotherLife
