"""Owns how rows go whose time is over: those first whose time was over first, few at a time."""

from datetime import datetime

from tortoise.models import Model

from core import database

BATCH = 500  # rows in one transaction

# Asked for the first one there is, every planner takes the index of the column.
_FIRST = "SELECT {column} FROM {table} WHERE {column} IS NOT NULL ORDER BY {column} LIMIT 1"
_OVER = "SELECT id FROM {table} WHERE {column} <= $1 ORDER BY {column} LIMIT {batch}{unlocked}"
_FORGET = "DELETE FROM {table} WHERE id {over}"


async def due(table: type[Model], column: str, until: datetime) -> bool:
    """Whether the instant in this column of any row is not after `until`."""
    found = await database.firsts(_FIRST.format(table=table._meta.db_table, column=column))
    return any(at <= until for at in map(database.instant, found) if at is not None)


@database.unit_of_work
async def forget(table: type[Model], column: str, until: datetime) -> bool:
    """Deletes up to 500 of those rows; False where there were none.

    Never waits: what another worker deletes is left to it, and what somebody is changing stays
    until it is looked at again. Wants an index of the column.
    """
    await database.trust_indexes()
    name = table._meta.db_table
    unlocked = " FOR UPDATE SKIP LOCKED" if database.is_postgres() else ""
    over = _OVER.format(table=name, column=column, batch=BATCH, unlocked=unlocked)
    forgotten = _FORGET.format(table=name, over=database.among(over))
    return await database.execute(forgotten, until) > 0
