"""Owns keyset pages: a cursor says where a page ended, so that new rows never shift the next."""

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from tortoise.expressions import Q
from tortoise.models import Model
from tortoise.queryset import QuerySet

from core.errors import storable

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
        made_for, *packed = json.loads(text)
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
