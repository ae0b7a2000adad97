"""Owns what the two databases spell differently in SQL."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from core.database import is_postgres


def later(column: str, days: int) -> str:
    """SQL for the instant so many times 24 hours after the one in the column, or up to two
    milliseconds behind it."""
    if is_postgres():
        return f"{column} + interval '{days * 24} hours'"
    shifted = f"strftime('%Y-%m-%d %H:%M:%f', {column}, '+{days} days', '+0.002 seconds')"
    return f"{shifted} || '000+00:00'"


def earliest(*columns: str) -> str:
    """SQL for the earliest of some instants, of which any may be null; null where all are."""
    if is_postgres():
        return f"LEAST({', '.join(columns)})"
    never = "'9999'"
    known = ", ".join(f"COALESCE({column}, {never})" for column in columns)
    return f"NULLIF(MIN({known}, {never}), {never})"


def typed(number: int) -> str:
    """The placeholder of an instant where the statement does not say that it is one."""
    return f"CAST(${number} AS timestamptz)" if is_postgres() else f"${number}"


def json_object(columns: Mapping[str, str]) -> str:
    """SQL for a JSON object: expressions for its names, and the columns that hold their values."""
    pairs = ", ".join(f"{name}, {column}" for name, column in columns.items())
    return f"jsonb_build_object({pairs})" if is_postgres() else f"json_object({pairs})"


def listed(number: int) -> str:
    """SQL for being one of a list that is a value of the statement, whose text is the same for a
    list of any length then; see `as_list`."""
    return f"= ANY(${number})" if is_postgres() else f"IN (SELECT value FROM json_each(${number}))"


def as_list(values: Collection[int] | Collection[str]) -> Any:
    """The list as the value that `listed` wants."""
    return [*values] if is_postgres() else json.dumps([*values])


def among(found: str) -> str:
    """SQL for being one of what the SELECT finds, which is found first, and each looked up in an
    index then: PostgreSQL expects ten values of a list, and of a SELECT whatever it guesses."""
    return f"= ANY(ARRAY({found}))" if is_postgres() else f"IN ({found})"


def json_list(columns: Sequence[str]) -> str:
    """SQL for the text of a JSON list of these columns."""
    listed = ", ".join(columns)
    return f"json_build_array({listed})::text" if is_postgres() else f"json_array({listed})"


def json_text(column: str) -> str:
    """SQL for a column as the text of its JSON: `null` where it is null."""
    return (
        f"COALESCE(to_json({column})::text, 'null')" if is_postgres() else f"json_quote({column})"
    )


def instant_text(column: str) -> str:
    """SQL for an instant as text in UTC, in the form of RFC 3339; its fraction of a second has six
    digits or is left out, as Python writes it. Null where the column is."""
    if is_postgres():
        written = f"to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
        return f"replace({written}, '.000000Z', 'Z')"
    return f"replace(replace({column}, ' ', 'T'), '+00:00', 'Z')"  # written by Python, in UTC


def joined(columns: Sequence[str], column_mark: str, row_mark: str, order_by: str) -> str:
    """SQL for one text, in bytes of UTF-8, of all rows that a SELECT finds: the first column of
    every row, then the second of every row, and so on; with these marks between columns and between
    rows. Null where it finds none. No column is null.

    One row instead of many lets go of Python once, not for each: while SQLite finds the next page,
    this one is finished. It joins rows as it finds them, so they have to come in order.
    """
    between = f" || '{column_mark}' || "
    if is_postgres():
        ordered = (f"string_agg({each}, '{row_mark}' ORDER BY {order_by})" for each in columns)
        return f"convert_to({between.join(ordered)}, 'UTF8')"
    found = (f"group_concat({each}, '{row_mark}')" for each in columns)
    return f"CAST({between.join(found)} AS BLOB)"


def gathered(  # noqa: PLR0917 - all that such a list is made of
    name: str, text: str, source: str, column: str, page: tuple[str, str], order_by: str
) -> tuple[str, str]:
    """SQL for a text of what belongs to each row of a page, with commas between: one for each of
    the rows of `source` whose `column` is the one of the page, which is named by its table and its
    own column, by code points of `order_by`. And what has to be joined to the page for it, under
    this name.

    PostgreSQL gathers for the whole page at once: looked up row by row, this would cost it more
    than all the rest. SQLite looks up by key within the process.
    """
    table, key = page
    if is_postgres():
        together = f"string_agg({text}, ',' ORDER BY {order_by} COLLATE \"C\")"
        return f"COALESCE({name}.texts, '')", (
            f" LEFT JOIN (SELECT {column} AS page_key, {together} AS texts FROM {source} "
            f"WHERE {column} IN (SELECT {key} FROM {table}) GROUP BY {column}"
            f") AS {name} ON {name}.page_key = {table}.{key}"
        )
    looked_up = f"SELECT {text} AS text FROM {source} WHERE {column} = {table}.{key}"
    together = f"SELECT group_concat(text, ',') FROM ({looked_up} ORDER BY {order_by})"
    return f"COALESCE(({together}), '')", ""
