"""Owns the quick way to a page of contents: what is shown of each, in one statement."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from content import filters, gate, reading, searching
from content.filters import Order, Statement, Where
from content.gate import Reader
from content.models import Audience
from core import database, paging
from core.paging import Keyset, Window

Row = list[Any]
KEPT_STATEMENTS = 256

# What may be shown of a content, and where it is: in the page, which holds all of a `Piece`, or in
# what is joined to it. JSON gives instants as texts; `reading.instant` reads them.
COLUMNS: Mapping[str, str] = {
    **{name: f"page.{name}" for name in reading.NAMES},
    "author_name": "author.display_name",
    "author_avatar": "author.avatar_url",
    "tier_code": "tier.code",
    "tier_name": "tier.name",
    "tier_rank": "tier.rank",
}
MADE = ("access", "cursor", "tags")  # may be shown as well
TAG = ("slug", "id", "dimension", "name")  # a tag is a list of these; tags go by slug
_JOINS = {
    "author.": "LEFT JOIN member AS author ON author.id = page.author_id",
    "tier.": "LEFT JOIN tier ON tier.id = page.min_tier_id",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A page of a list, as `reading.contents` is asked for it."""

    reader: Reader
    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None
    where: Where = filters.EVERYTHING_PUBLISHED
    order: Order | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A page: of each content what was asked to be shown, in that order, and more behind it."""

    rows: Sequence[Row]
    has_next: bool
    has_previous: bool
    cursor: Callable[[Row], str]  # behind a row


def able(asked: Asked) -> bool:
    """Whether one statement is enough: a search has more to say to the database."""
    return searching.query(asked.where.search) is None


async def page(asked: Asked, shown: Sequence[str]) -> Listed:
    """The same page as that of `reading.contents`, of a list that is `able`, in one statement,
    showing these of `COLUMNS` and `MADE`. Raises `paging.BadPage`."""
    order = asked.order or filters.usual(asked.where)
    postgres = database.is_postgres()
    keyset = _keyset(postgres, asked.reader, asked.where, order)
    window = keyset.window(asked.first, asked.after, asked.last, asked.before)
    shape = replace(window, after=_some(window.after), before=_some(window.before))
    sql, values = _prepared(postgres, asked.reader, asked.where, order, shape, tuple(shown))
    found = await database.firsts(sql, *values, *(window.after or ()), *(window.before or ()))
    rows, has_next, has_previous = keyset.cut(window, [orjson.loads(each) for each in found])
    cursor = _cursor(keyset, len(shown))
    if "access" in shown:
        at = shown.index("access")
        for row in rows:
            audience, min_tier_id = row[at]
            row[at] = gate.access(asked.reader, Audience(audience), min_tier_id)
    if "cursor" in shown:
        at = shown.index("cursor")
        for row in rows:
            row[at] = cursor(row)
    return Listed(rows, has_next, has_previous, cursor)


def _cursor(keyset: Keyset, start: int) -> Callable[[Row], str]:
    """What makes the cursor behind a row, of its values from `start` on."""

    def cursor(row: Row) -> str:
        values = zip(row[start:], keyset.kinds, strict=True)
        return paging.encode(
            keyset.name,
            [reading.instant(value) if kind is datetime else value for value, kind in values],
        )

    return cursor


def _some(values: Sequence[Any] | None) -> Sequence[Any] | None:
    """What stands for any such values in what is kept."""
    return None if values is None else (None,) * len(values)


# What is asked for again, with another cursor each time, is put into words once; `postgres`
# is what the words depend on beside the other arguments.
@functools.lru_cache(maxsize=KEPT_STATEMENTS)
def _keyset(postgres: bool, reader: Reader, where: Where, order: Order) -> Keyset:
    return filters.keyset(reader, where, order)


@functools.lru_cache(maxsize=KEPT_STATEMENTS)
def _prepared(  # noqa: PLR0917 - all that the words depend on
    postgres: bool, reader: Reader, where: Where, order: Order, shape: Window, shown: Sequence[str]
) -> tuple[str, Sequence[Any]]:
    """The statement, and its values before those of the window.

    It reads the page as `reading.contents` does; each row is one JSON list of what is shown and,
    behind it, the values that its cursor is made of.
    """
    keyset = _keyset(postgres, reader, where, order)
    marks = Statement()
    source = filters.found(reader, where, marks)
    narrowed = filters.conditions(reader, where, marks)
    values = (*marks.values,)
    conditions = [narrowed, *keyset.conditions(shape, marks.mark)]
    places = [f"place_{number}" for number in range(len(keyset.columns))]
    placed = [f"{column} AS {place}" for column, place in zip(keyset.columns, places, strict=True)]
    columns = [_column(name, reader) for name in shown] + [f"page.{each}" for each in places]
    sql = (
        f"WITH page AS (SELECT {reading.COLUMNS}, {', '.join(placed)} FROM {source} "
        f"WHERE {' AND '.join(conditions)} ORDER BY {keyset.order_by(shape)} "
        f"LIMIT {shape.size + 1}) SELECT {database.json_list(columns)} AS shown "
        f"FROM page{_joined(shown)} ORDER BY {replace(keyset, columns=places).order_by(shape)}"
    )
    return sql, values


def _column(name: str, reader: Reader) -> str:
    if name == "tags":
        return _tags()[0]
    if name == "access":
        return database.json_list(["page.audience", "page.min_tier_id"])
    hidden = name in reading.OF_EDITORS and not reader.editor
    return "NULL" if hidden or name == "cursor" else COLUMNS[name]


def _joined(shown: Sequence[str]) -> str:
    """What has to be joined to the page to show these."""
    columns = [COLUMNS.get(name, "") for name in shown]
    joins = [
        f" {join}"
        for table, join in _JOINS.items()
        if any(column.startswith(table) for column in columns)
    ]
    if "tags" in shown:
        joins.append(_tags()[1])
    return "".join(joins)


def _tags() -> tuple[str, str]:
    """SQL for the tags of a row of the page, and what has to be joined for it."""
    return database.gathered(
        [f"tag.{name}" for name in TAG],
        "version_tag vt JOIN tag ON tag.id = vt.tag_id",
        "vt.version_id",
        ("page", "version_id"),
    )
