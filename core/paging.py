"""Owns keyset pages: a cursor says where a page ended, so that new rows never shift the next."""

import base64
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import orjson
from tortoise.expressions import Q
from tortoise.models import Model
from tortoise.queryset import QuerySet

from core.errors import storable

USUAL_PAGE = 20
LARGEST_PAGE = 100
LARGEST_KEY = 2**63 - 1
UNREADABLE = (ValueError, TypeError, KeyError, OverflowError, RecursionError)

M = TypeVar("M", bound=Model)
T = TypeVar("T")


class BadPage(ValueError):
    """A cursor or a size that no page can be made of; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Edge(Generic[T]):
    """A row and the cursor behind it."""

    node: T
    cursor: str


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Up to `first` rows in order, and whether there are more behind and before them."""

    edges: Sequence[Edge[T]]
    has_next: bool
    has_previous: bool


async def page(
    query: QuerySet[M], *, order: Sequence[str], name: str, first: int, after: str | None
) -> Page[M]:
    """One page of the query, in one statement.

    `order` holds column names, `-` in front for descending; the last one must be unique. `name`
    says which list this is: a cursor of another list is refused. Raises `BadPage`.
    """
    columns = [column.removeprefix("-") for column in order]
    kinds = [query.model._meta.fields_map[column].field_type for column in columns]
    behind = start(name, first, after, kinds)
    if behind is not None:
        query = query.filter(_behind(order, behind))
    found = await query.order_by(*order).limit(first + 1)
    return cut(found, columns=columns, name=name, first=first, after=after)


def start(name: str, first: int, after: str | None, kinds: Sequence[type]) -> Sequence[Any] | None:
    """The values behind which a page begins, one of each kind; None for the first page.

    Raises `BadPage`.
    """
    if not 1 <= first <= LARGEST_PAGE:
        raise BadPage(f"`first` must be from 1 to {LARGEST_PAGE}, not {first}")
    return None if after is None else decode(name, after, kinds)


def cut(
    found: Sequence[M], *, columns: Sequence[str], name: str, first: int, after: str | None
) -> Page[M]:
    """The page of rows that were found in order, up to one more than fits."""
    edges = [
        Edge(row, encode(name, [getattr(row, column) for column in columns]))
        for row in found[:first]
    ]
    return Page(edges, has_next=len(found) > first, has_previous=after is not None)


@dataclass(frozen=True, slots=True)
class Window:
    """Which page of a list is asked for: `size` rows from its front, or `backwards` from its end,
    of what lies behind the values `after` and before the values `before`."""

    size: int
    backwards: bool = False
    after: Sequence[Any] | None = None
    before: Sequence[Any] | None = None


@dataclass(frozen=True, slots=True)
class Keyset:
    """An order of rows for lists in plain SQL: `columns` are its expressions, all ascending or all
    `descending`, the last one unique; `kinds` are their types. `name` says which list this is: a
    cursor of another one is refused, so what filters the list belongs into it."""

    name: str
    columns: Sequence[str]
    kinds: Sequence[type]
    descending: bool = False

    def window(
        self,
        first: int | None,
        after: str | None,
        last: int | None = None,
        before: str | None = None,
    ) -> Window:
        """The page that is asked for; the first 20 where neither size is given.

        Raises `BadPage` for both sizes, for one outside 1 to 100, and for a cursor that is not of
        this list.
        """
        if first is not None and last is not None:
            raise BadPage("give `first` or `last`, not both")
        name, size = ("first", first) if last is None else ("last", last)
        size = USUAL_PAGE if size is None else size
        if not 1 <= size <= LARGEST_PAGE:
            raise BadPage(f"`{name}` must be from 1 to {LARGEST_PAGE}, not {size}")
        return Window(
            size,
            last is not None,
            None if after is None else decode(self.name, after, self.kinds),
            None if before is None else decode(self.name, before, self.kinds),
        )

    def conditions(self, window: Window, mark: Callable[[Any], str]) -> Sequence[str]:
        """What keeps a row inside the window, in SQL; `mark` gives the placeholder of a value."""
        behind, ahead = ("<", ">") if self.descending else (">", "<")
        bounds = ((window.after, behind), (window.before, ahead))
        left = ", ".join(self.columns)
        return [
            f"({left}) {comparison} ({', '.join(mark(value) for value in values)})"
            for values, comparison in bounds
            if values is not None
        ]

    def order_by(self, window: Window) -> str:
        """How to read the rows of the window, in SQL: from its end where that is asked for."""
        direction = "DESC" if self.descending != window.backwards else "ASC"
        return ", ".join(f"{column} {direction}" for column in self.columns)

    def page(
        self, window: Window, found: Sequence[T], values: Callable[[T], Sequence[Any]]
    ) -> Page[T]:
        """The page made of up to `size + 1` rows as they were read; `values` are those of the
        order in a row."""
        kept, has_next, has_previous = self.cut(window, found)
        edges = [Edge(row, encode(self.name, values(row))) for row in kept]
        return Page(edges, has_next=has_next, has_previous=has_previous)

    def cut(self, window: Window, found: Sequence[T]) -> tuple[Sequence[T], bool, bool]:
        """Those of the rows that are on the page, in order, and whether there are more behind and
        before them."""
        more = len(found) > window.size
        kept = found[: window.size]
        ahead, behind = window.after is not None, window.before is not None
        return (
            kept[::-1] if window.backwards else kept,
            behind or (more and not window.backwards),
            ahead or (more and window.backwards),
        )


def _behind(order: Sequence[str], values: Sequence[Any]) -> Q:
    """The condition for a row to come after the one with these values."""
    conditions = []
    for place, column in enumerate(order):
        comparison = "lt" if column.startswith("-") else "gt"
        equal = {
            earlier.removeprefix("-"): value
            for earlier, value in zip(order[:place], values, strict=False)
        }
        conditions.append(
            Q(**equal, **{f"{column.removeprefix('-')}__{comparison}": values[place]})
        )
    return Q(*conditions, join_type=Q.OR)


def encode(name: str, values: Sequence[Any]) -> str:
    """The cursor behind a row with these values: integers, texts or instants."""
    text = json.dumps(
        [name, *(_packed(value) for value in values)], ensure_ascii=False, separators=(",", ":")
    ).encode()
    checked = text + zlib.crc32(text).to_bytes(4)
    return _text(checked)


def decode(name: str, cursor: str, kinds: Sequence[type]) -> Sequence[Any]:
    """The values behind a cursor of the list `name`, one of each kind; raises `BadPage` for any
    other text. The check sum finds damage; a cursor that somebody made up opens nothing, since it
    is only a place in a list that they may read anyway."""
    try:
        checked = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        text, check = checked[:-4], checked[-4:]
        if zlib.crc32(text).to_bytes(4) != check or _text(checked) != cursor:
            raise BadPage("this cursor is damaged")
        made_for, *packed = orjson.loads(text)
        values = [_unpacked(value) for value in packed]
    except UNREADABLE as error:
        raise BadPage("this is not a cursor that this server gave out") from error
    if made_for != name or len(values) != len(kinds) or not all(map(_fits, values, kinds)):
        raise BadPage("this cursor belongs to another list")
    return values


def _text(checked: bytes) -> str:
    return base64.urlsafe_b64encode(checked).decode().rstrip("=")


def _fits(value: Any, kind: type) -> bool:
    if isinstance(value, int):
        return kind is int and abs(value) <= LARGEST_KEY and not isinstance(value, bool)
    return isinstance(value, kind) and (not isinstance(value, str) or storable(value))


def _packed(value: Any) -> Any:
    return {"at": value.isoformat()} if isinstance(value, datetime) else value


def _unpacked(value: Any) -> Any:
    return datetime.fromisoformat(value["at"]).astimezone(UTC) if isinstance(value, dict) else value
