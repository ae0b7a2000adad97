"""Owns writing many rows of a table at once: what the ORM does row by row, in one statement.

PostgreSQL is given a list for each column, so that the statement is the same for any number of rows
and prepared once; SQLite, which lives in the process, runs a prepared statement for each row.
"""

from collections.abc import Collection, Sequence
from functools import cache, lru_cache
from itertools import chain, count
from typing import Any

from tortoise.models import Model

from core import database, dialect

MOST_VALUES = 30_000  # in one statement: SQLite takes 32,766

Rows = Sequence[Sequence[Any]]  # each with a value for every column


async def insert(table: type[Model], columns: Sequence[str], rows: Rows) -> None:
    """Adds the rows; raises IntegrityError where one of them breaks a constraint."""
    await _write(_insert, table, columns, rows)


async def insert_returning(
    table: type[Model],
    columns: Sequence[str],
    rows: Rows,
    wanted: str,
    unless: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Adds the rows likewise, and returns the wanted columns of each, in no order that is promised.
    Those that are there already by the unique columns of `unless` are left out, and not returned.

    On SQLite they go in few statements, whose texts grow with them: meant for some hundred rows.
    """
    skip = f" ON CONFLICT ({', '.join(unless)}) DO NOTHING" if unless else ""
    if database.is_postgres():
        sql = f"{_insert(table, tuple(columns), at_once=True)}{skip} RETURNING {wanted}"
        return await database.rows(sql, *_columns(rows)) if rows else []
    made: list[dict[str, Any]] = []
    most = MOST_VALUES // len(columns)
    for start in range(0, len(rows), most):
        some = rows[start : start + most]
        into = f"INSERT INTO {table._meta.db_table} ({', '.join(columns)})"
        sql = f"{into} VALUES {_places(len(some), len(columns))}{skip} RETURNING {wanted}"
        made += await database.rows(sql, *chain.from_iterable(some))
    return made


async def insert_one(table: type[Model], columns: Sequence[str], row: Sequence[Any]) -> int:
    """Adds one row likewise, without the ORM's share of the time, and returns its id."""
    sql = f"{_insert(table, tuple(columns), at_once=False)} RETURNING id"
    [added] = await database.rows(sql, *row)
    return added["id"]


async def update(table: type[Model], columns: Sequence[str], rows: Rows) -> None:
    """Sets the columns of rows that are there; the first column is the `id` that names them."""
    await _write(_update, table, columns, rows)


async def add(table: type[Model], columns: Sequence[str], rows: Rows) -> None:
    """Adds numbers to the columns of rows that are there, named likewise."""
    await _write(_add, table, columns, rows)


async def lock(table: type[Model], ids: Collection[int]) -> None:
    """Waits until no other unit of work writes the rows with these ids, and keeps others from it
    until this one ends. They are taken in the order of their ids, so that two callers cannot wait
    for each other. On SQLite a unit of work is alone anyway."""
    if ids and database.is_postgres():
        name = table._meta.db_table
        await database.rows(
            f"SELECT id FROM {name} WHERE id {dialect.listed(1)} ORDER BY id FOR NO KEY UPDATE",
            dialect.as_list(ids),
        )


async def _write(statement: Any, table: type[Model], columns: Sequence[str], rows: Rows) -> None:
    if not rows:
        return
    at_once = database.is_postgres()
    sql = statement(table, tuple(columns), at_once=at_once)
    if at_once:
        await database.client().execute_query(sql, _columns(rows))
    else:
        await database.execute_many(sql, rows)


def _columns(rows: Rows) -> list[list[Any]]:
    return [list(values) for values in zip(*rows, strict=True)]


@lru_cache(maxsize=64)
def _places(rows: int, columns: int) -> str:
    """The placeholders of so many rows; batches are mostly of one size."""
    numbers = count(1)
    return ", ".join(
        f"({', '.join(f'${next(numbers)}' for _ in range(columns))})" for _ in range(rows)
    )


@cache
def _insert(table: type[Model], columns: Sequence[str], *, at_once: bool) -> str:
    into = f"INSERT INTO {table._meta.db_table} ({', '.join(columns)})"
    if at_once:
        return f"{into} SELECT * FROM {_lists(table, columns)}"
    return f"{into} VALUES ({', '.join(f'${number}' for number, _ in enumerate(columns, 1))})"


@cache
def _update(table: type[Model], columns: Sequence[str], *, at_once: bool) -> str:
    return _change(table, columns, "{column} = {given}", at_once=at_once)


@cache
def _add(table: type[Model], columns: Sequence[str], *, at_once: bool) -> str:
    change = f"{{column}} = {table._meta.db_table}.{{column}} + {{given}}"
    return _change(table, columns, change, at_once=at_once)


def _change(table: type[Model], columns: Sequence[str], change: str, *, at_once: bool) -> str:
    name = table._meta.db_table
    changes = ", ".join(
        change.format(column=column, given=f"given.{column}" if at_once else f"${number}")
        for number, column in enumerate(columns[1:], 2)
    )
    if at_once:
        given = f"{_lists(table, columns)} AS given ({', '.join(columns)})"
        return f"UPDATE {name} SET {changes} FROM {given} WHERE {name}.id = given.id"
    return f"UPDATE {name} SET {changes} WHERE id = $1"


def _lists(table: type[Model], columns: Sequence[str]) -> str:
    """The values as a table. Lengths are left out of the types: PostgreSQL would cut what is too
    long for them, and shall refuse it."""
    fields = table._meta.fields_map
    types = [fields[each].get_for_dialect("postgres", "SQL_TYPE") for each in columns]
    return "unnest({})".format(
        ", ".join(f"${number}::{type.partition('(')[0]}[]" for number, type in enumerate(types, 1))
    )
