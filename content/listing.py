"""Owns the quick way to a page of contents: the JSON of what is shown of each, in one statement."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from content import filters, reading, searching
from content.filters import Order, Statement, Where
from content.gate import Reader
from content.templates import Parts, Writer
from core import database, dialect, paging
from core.paging import Keyset, Window

KEPT_STATEMENTS = 256
# The marks: between texts, between their rows, and around a place that becomes a cursor. No JSON
# text holds these characters.
TEXT, ROW, CURSOR = "\x1d", "\x1e", "\x1c"
_TEXT, _ROW, _CURSOR = (mark.encode() for mark in (TEXT, ROW, CURSOR))

Finish = Callable[[bytes], bytes]  # of UTF-8, as all texts are


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
    """What is shown of each content of a page, as JSON: one text of it, or more. What stands in
    them between two of the marks, which are one character each, is finished by its function; by
    `CURSOR`, a `Place` is."""

    texts: Sequence[Parts]
    finish: Mapping[bytes, Finish]


@dataclass(frozen=True, slots=True)
class Listed:
    """A page: the texts of its rows, in the order of the template, and the place of each row."""

    texts: Sequence[bytes]
    places: Sequence[bytes]
    has_next: bool
    has_previous: bool
    cursor_at: Finish
    finish: Mapping[bytes, Finish]

    def text(self, number: int) -> bytes:
        """One of the texts of the template, of all rows, with commas between them; finished."""
        text = self.texts[number]
        for mark, finish in ((_CURSOR, self.cursor_at), *self.finish.items()):
            if mark in text:
                parts = text.split(mark)
                parts[1::2] = map(finish, parts[1::2])
                text = b"".join(parts)
        return text

    def cursor(self, row: int) -> bytes:
        """The cursor behind a row, as JSON; null where the page is empty."""
        return b'"%b"' % self.cursor_at(self.places[row]) if self.places else b"null"


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
    *texts, places = found.split(_TEXT) if found else [b""] * (len(template.texts) + 1)
    kept, has_next, has_previous = keyset.cut(window, places.split(_ROW) if found else [])
    texts = [_cut(text, len(kept), backwards=window.backwards) for text in texts]
    cursor_at = functools.partial(_cursor, keyset)
    return Listed(texts, kept, has_next, has_previous, cursor_at, template.finish)


def _cut(text: bytes, rows: int, *, backwards: bool) -> bytes:
    """What so many rows say, in their order, with commas between them."""
    if backwards:
        return b",".join(text.split(_ROW)[:rows][::-1])
    return b",".join(text.split(_ROW, rows)[:rows])


def _cursor(keyset: Keyset, place: bytes) -> bytes:
    """The cursor behind a row of this place."""
    values = [
        reading.instant(value) if kind is datetime else value
        for value, kind in zip(orjson.loads(place), keyset.kinds, strict=True)
    ]
    return paging.encode(keyset.name, values).encode()


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

    It reads the page as `reading.contents` does and gives the texts of the template, and behind
    them for each row a JSON list of the values that its cursor is made of.
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
    texts = [*map(writer.text, template.texts), dialect.json_list(places)]
    order_by = replace(keyset, columns=places).order_by(shape)
    sql = (
        f"WITH page AS (SELECT {reading.COLUMNS}, {', '.join(placed)} FROM {source} "
        f"WHERE {' AND '.join(conditions)} ORDER BY {keyset.order_by(shape)} "
        f"LIMIT {shape.size + 1}) "
        f"SELECT {dialect.joined(texts, TEXT, ROW, order_by)} AS shown FROM page{writer.joins()}"
    )
    return sql, values
