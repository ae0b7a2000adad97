"""Owns how rows go whose time is over: those first whose time was over first, few at a time."""

from datetime import datetime

from tortoise.models import Model

from core import database, dialect

BATCH = 500  # rows in one transaction

# Asked for the first ones, every planner takes the index of the column.
_OVER = "SELECT id FROM {table} WHERE {column} <= $1 ORDER BY {column} LIMIT {most}"
_FORGET = "DELETE FROM {table} WHERE id {over}"


async def due(table: type[Model], column: str, until: datetime) -> bool:
    """Whether the instant in this column of any row is not after `until`."""
    over = _OVER.format(table=table._meta.db_table, column=column, most=1)
    return bool(await database.firsts(over, until))


@database.unit_of_work
async def forget(table: type[Model], column: str, until: datetime) -> bool:
    """Deletes up to 500 of those rows; False where there were none.

    Never waits: what another worker deletes is left to it, and what somebody is changing stays
    until it is looked at again. Wants an index of the column.
    """
    await database.trust_indexes()
    name = table._meta.db_table
    over = _OVER.format(table=name, column=column, most=BATCH)
    if database.is_postgres():
        over += " FOR UPDATE SKIP LOCKED"
    forgotten = _FORGET.format(table=name, over=dialect.among(over))
    return await database.execute(forgotten, until) > 0
