"""One statement for many rows: compiled once, and its rows handed to the driver as they are.

SQLAlchemy looks at every parameter of every row. For the recorder, whose rows are plain values
already, that costs more than the database does.
"""

from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect

from relay.ledger.database import insert_into

Row = dict[str, object]


def insert_missing(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Put *rows* into *table*; what is there stays. All have the same columns, two or more."""
    if rows:
        text, order = _insert(connection.dialect, table, tuple(rows[0]))
        _execute(connection, text, order, rows)


def update_each(connection: Connection, update: sa.Update, rows: Sequence[Row]) -> None:
    """Execute *update*, all of whose parameters have names, once for each of *rows*."""
    if rows:
        text, order = _update(connection.dialect, update)
        _execute(connection, text, order, rows)


def _execute(
    connection: Connection, text: str, order: Sequence[str] | None, rows: Sequence[Row]
) -> None:
    parameters: Any = rows if order is None else list(map(itemgetter(*order), rows))
    connection.exec_driver_sql(text, parameters)


@lru_cache(maxsize=64)
def _insert(
    dialect: Dialect, table: sa.Table, columns: tuple[str, ...]
) -> tuple[str, Sequence[str] | None]:
    return _compiled(dialect, insert_into(dialect, table).on_conflict_do_nothing(), columns)


@lru_cache(maxsize=64)
def _update(dialect: Dialect, update: sa.Update) -> tuple[str, Sequence[str] | None]:
    return _compiled(dialect, update, None)


def _compiled(
    dialect: Dialect, statement: Any, columns: Sequence[str] | None
) -> tuple[str, Sequence[str] | None]:
    """The text for the driver; and the order of its parameters, if they have no names there."""
    compiled = statement.compile(dialect=dialect, column_keys=columns)
    return str(compiled), compiled.positiontup
