"""Owns what a list of contents can be narrowed to and ordered by, and how that reads in SQL."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from content import gate, searching
from content.gate import Reader
from content.models import ContentKind, ContentStatus, Dimension
from content.slugs import SLUG_CHARACTERS, fold
from core import database, paging
from core.errors import storable
from core.paging import Keyset

MOST_SLUGS = 100
DEEPEST_FILTER = 5
LOCALE_CHARACTERS = 20


class OrderField(StrEnum):
    """What a list of contents is ordered by; ties go by id."""

    PUBLISHED_AT = "PUBLISHED_AT"  # what was never published counts from when it was begun
    UPDATED_AT = "UPDATED_AT"
    TITLE = "TITLE"  # by code points, the same on every database
    RELEVANCE = "RELEVANCE"  # of a search: the title says it all, then PUBLISHED_AT


@dataclass(frozen=True, slots=True)
class Order:
    """An order and its direction."""

    field: OrderField = OrderField.PUBLISHED_AT
    descending: bool = True


@dataclass(frozen=True, slots=True)
class TagFilter:
    """Tags by slug, each standing for its whole subtree; all that is given holds together."""

    any_of: Sequence[str] | None = None
    all_of: Sequence[str] = ()
    none_of: Sequence[str] = ()
    both: "Sequence[TagFilter]" = ()


@dataclass(frozen=True, slots=True)
class Where:
    """What a list is narrowed to. None means that it is not; an empty choice matches nothing.

    A search of blanks alone is none; one without a letter or a digit finds nothing.
    """

    search: str | None = None
    dimension: Dimension | None = None
    tags: TagFilter | None = None
    kinds: Sequence[ContentKind] | None = None
    statuses: Sequence[ContentStatus] = (ContentStatus.PUBLISHED,)
    locale: str | None = None
    published_after: datetime | None = None  # later than this
    published_before: datetime | None = None  # earlier than this


EVERYTHING_PUBLISHED = Where()
NEWEST_FIRST = Order()
BEST_FIRST = Order(OrderField.RELEVANCE)


@dataclass(slots=True)
class Statement:
    """A statement in the making: its values in the order of their placeholders."""

    values: list[Any] = field(default_factory=list)

    def mark(self, value: Any) -> str:
        """The placeholder of the value."""
        self.values.append(value)
        return f"${len(self.values)}"

    def marks(self, values: Sequence[Any]) -> str:
        """The placeholders of a choice of values, for IN; one that nothing equals for none."""
        return ", ".join(map(self.mark, values)) or "NULL"


def usual(where: Where) -> Order:
    """The order of a list for which none is asked."""
    return NEWEST_FIRST if searching.query(where.search) is None else BEST_FIRST


def source(reader: Reader) -> str:
    """Contents with the version of each that the reader sees."""
    column = gate.version(reader)
    return f"content c JOIN content_version v ON v.content_id = c.id AND v.version = {column}"


def found(reader: Reader, where: Where, statement: Statement) -> str:
    """The same, from what the search finds where there is one; raises `paging.BadPage`."""
    wanted = searching.query(where.search)
    if wanted is None:
        return source(reader)
    hits = searching.hits(reader, wanted, statement.mark)
    # What is found comes first: SQLite keeps to the order of cross joins.
    return f"({hits}) AS hit CROSS JOIN content_version v CROSS JOIN content c"


def conditions(reader: Reader, where: Where, statement: Statement) -> str:
    """What the reader may see and asks for, as one condition on `found`; raises
    `paging.BadPage` for a filter above its limits."""
    return " AND ".join([gate.visible(reader), *_asked(reader, where, statement)])


def _asked(reader: Reader, where: Where, statement: Statement) -> Iterator[str]:
    if searching.query(where.search) is not None:
        yield "v.id = hit.version_id AND c.id = v.content_id"
        yield f"v.version = {gate.version(reader)}"
    yield f"c.status IN ({statement.marks(where.statuses)})"
    if where.kinds is not None:
        yield f"c.kind IN ({statement.marks(where.kinds)})"
    if where.locale is not None:
        known = storable(where.locale, LOCALE_CHARACTERS)
        yield f"c.locale = {statement.mark(where.locale)}" if known else "FALSE"
    if where.published_after is not None:
        yield f"c.published_at > {statement.mark(where.published_after)}"
    if where.published_before is not None:
        yield f"c.published_at < {statement.mark(where.published_before)}"
    if where.dimension is not None:
        tags = f"SELECT id FROM tag WHERE dimension = {statement.mark(where.dimension)}"
        yield f"c.id IN ({_under(reader, f'IN ({tags})')})"
    if where.tags is not None:
        _check(where.tags)
        yield from _tagged(reader, where.tags, statement)


def _tagged(reader: Reader, tags: TagFilter, statement: Statement) -> Iterator[str]:
    if tags.any_of is not None:
        slugs = _named(tags.any_of, statement)
        yield f"c.id IN ({_under(reader, f'IN ({slugs})')})"
    for slug in tags.all_of:
        yield f"c.id IN ({_under(reader, f'= ({_named([slug], statement)})')})"
    if tags.none_of:
        slugs = _named(tags.none_of, statement)
        yield f"c.id NOT IN ({_under(reader, f'IN ({slugs})')})"
    for inner in tags.both:
        yield from _tagged(reader, inner, statement)


def _under(reader: Reader, tags: str) -> str:
    return f"SELECT content_id FROM content_tag WHERE tag_id {tags} AND {gate.tagged(reader)}"


def _named(slugs: Sequence[str], statement: Statement) -> str:
    known = [slug for slug in map(fold, slugs) if storable(slug, SLUG_CHARACTERS)]
    return f"SELECT tag_id FROM tag_slug WHERE slug IN ({statement.marks(known)})"


def _check(tags: TagFilter) -> None:
    slugs = 0
    level = [tags]
    for _ in range(DEEPEST_FILTER):
        slugs += sum(
            len(each.any_of or ()) + len(each.all_of) + len(each.none_of) for each in level
        )
        level = [inner for each in level for inner in each.both]
    if level:
        raise paging.BadPage(f"a filter of tags nests at most {DEEPEST_FILTER} deep")
    if slugs > MOST_SLUGS:
        raise paging.BadPage(f"a filter names at most {MOST_SLUGS} tags, not {slugs}")


def keyset(where: Where, order: Order, statement: Statement) -> Keyset:
    """The order in SQL, for this filter alone: its cursors fit no other one. Raises
    `paging.BadPage` for RELEVANCE without a search."""
    column, kind = _column(where, order.field)
    digest = hashlib.blake2b(repr((where, order)).encode(errors="replace"), digest_size=8)
    name = f"contents:{digest.hexdigest()}"
    if order.field is not OrderField.RELEVANCE:
        return Keyset(name, (column, "c.id"), (kind, int), order.descending)
    wanted = searching.query(where.search)
    if wanted is None:
        raise paging.BadPage("RELEVANCE is an order of what is searched for: give `search` too")
    columns = (searching.rank(wanted, statement.mark), column, "c.id")
    return Keyset(name, columns, (int, kind, int), order.descending)


def _column(where: Where, by: OrderField) -> tuple[str, type]:
    if by is OrderField.TITLE:
        return ('v.title COLLATE "C"' if database.is_postgres() else "v.title"), str
    if by is OrderField.UPDATED_AT:
        return "v.updated_at", datetime
    if set(where.statuses) <= {ContentStatus.PUBLISHED}:
        return "c.published_at", datetime  # never null then, and has an index
    return "COALESCE(c.published_at, c.created_at)", datetime
