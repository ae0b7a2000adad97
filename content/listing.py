"""Owns the quick way to a page of contents: the JSON of what is shown of each, in one statement."""

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
from content.templates import LEFT, Parts, Writer
from core import database, paging
from core.paging import Keyset, Window

KEPT_STATEMENTS = 256
ROW, TEXT = "\x1e", "\x1d"  # between rows and between their texts: no JSON text holds these
_LEFT, _ROW, _TEXT = (mark.encode() for mark in (LEFT, ROW, TEXT))
ACCESS, CURSOR = "a", "c"  # by these letters is finished what is known here

Finish = Callable[[bytes], bytes]  # of JSON in UTF-8, as all texts are


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


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """What is shown of each content of a page, as JSON: one text of it, or more. Those of its parts
    that are unfinished are finished by these functions, but for `ACCESS` and `CURSOR`."""

    texts: Sequence[Parts]
    finish: Mapping[str, Finish]


@dataclass(frozen=True, slots=True)
class Listed:
    """A page, by the texts of its rows."""

    rows: Sequence[Sequence[bytes]]
    has_next: bool
    has_previous: bool
    finish: Mapping[int, Finish]

    def text(self, number: int) -> bytes:
        """One of the texts of the template, of all rows, with commas between them; finished."""
        parts = b",".join([row[number] for row in self.rows]).split(_LEFT)
        finish = self.finish
        parts[1::2] = [finish[part[0]](part[1:]) for part in parts[1::2]]
        return b"".join(parts)

    def cursor(self, row: int) -> bytes:
        """The cursor behind a row, as JSON; null where the page is empty."""
        return self.finish[ord(CURSOR)](self.rows[row][-1]) if self.rows else b"null"


def able(asked: Asked) -> bool:
    """Whether one statement is enough: a search has more to say to the database."""
    return searching.query(asked.where.search) is None


async def page(asked: Asked, template: Template) -> Listed:
    """The same page as that of `reading.contents`, of a list that is `able`, in one statement.

    Raises `paging.BadPage`.
    """
    order = asked.order or filters.usual(asked.where)
    postgres = database.is_postgres()
    keyset = _keyset(postgres, asked.reader, asked.where, order)
    window = keyset.window(asked.first, asked.after, asked.last, asked.before)
    shape = Window(window.size, window.backwards, _some(window.after), _some(window.before))
    sql, values = _prepared(postgres, asked.reader, asked.where, order, shape, template)
    [found] = await database.firsts(sql, *values, *(window.after or ()), *(window.before or ()))
    rows = [row.split(_TEXT) for row in found.split(_ROW)] if found else []
    rows, has_next, has_previous = keyset.cut(window, rows)
    finish = {**template.finish, ACCESS: _access(asked.reader), CURSOR: _cursor(keyset)}
    by_letter = {ord(letter): each for letter, each in finish.items()}
    return Listed(rows, has_next, has_previous, by_letter)


def _access(reader: Reader) -> Finish:
    """What says whether the reader may read the body of what is gated like this."""

    @functools.cache
    def access(gated: bytes) -> bytes:
        audience, min_tier_id = orjson.loads(gated)
        return orjson.dumps(gate.access(reader, Audience(audience), min_tier_id))

    return access


def _cursor(keyset: Keyset) -> Finish:
    """What makes the cursor behind a row of its place."""

    def cursor(place: bytes) -> bytes:
        values = [
            reading.instant(value) if kind is datetime else value
            for value, kind in zip(orjson.loads(place), keyset.kinds, strict=True)
        ]
        return orjson.dumps(paging.encode(keyset.name, values))

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
    postgres: bool, reader: Reader, where: Where, order: Order, shape: Window, template: Template
) -> tuple[str, Sequence[Any]]:
    """The statement, and its values before those of the window.

    It reads the page as `reading.contents` does and gives one text: for each row those of the
    template and, behind them, a JSON list of the values that its cursor is made of.
    """
    keyset = _keyset(postgres, reader, where, order)
    marks = Statement()
    source = filters.found(reader, where, marks)
    narrowed = filters.conditions(reader, where, marks)
    values = (*marks.values,)
    conditions = [narrowed, *keyset.conditions(shape, marks.mark)]
    placed = [f"{column} AS place_{number}" for number, column in enumerate(keyset.columns)]
    places = [f"page.place_{number}" for number in range(len(keyset.columns))]
    writer = Writer.of(reader, places)
    row = f" || '{TEXT}' || ".join([*map(writer.text, template.texts), database.json_list(places)])
    order_by = replace(keyset, columns=places).order_by(shape)
    sql = (
        f"WITH page AS (SELECT {reading.COLUMNS}, {', '.join(placed)} FROM {source} "
        f"WHERE {' AND '.join(conditions)} ORDER BY {keyset.order_by(shape)} "
        f"LIMIT {shape.size + 1}) "
        f"SELECT {database.joined(row, ROW, order_by)} AS shown FROM page{writer.joins()}"
    )
    return sql, values
