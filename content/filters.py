"""Owns what a list of contents can be narrowed to and ordered by, and how that reads in SQL."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from content import gate, locales, searching
from content.gate import Reader
from content.models import BITS, ContentKind, ContentStatus, Dimension
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
    pending: Sequence[ContentStatus] | None = None  # of a newer version beside the published one
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
    # Each has one; joined inner, PostgreSQL would expect fewer rows than a page has, and sort.
    return f"content c LEFT JOIN content_version v ON v.content_id = c.id AND v.version = {column}"


def found(reader: Reader, where: Where, statement: Statement) -> str:
    """The same, from what the search finds where there is one; raises `paging.BadPage`."""
    wanted = searching.query(where.search)
    if wanted is None:
        return source(reader)
    hits = searching.hits(wanted, statement.mark)
    # What is found comes first: SQLite keeps to the order of cross joins.
    return f"({hits}) AS hit CROSS JOIN content_version v CROSS JOIN content c"


def counted(reader: Reader, where: Where, statement: Statement) -> str:
    """The same without the versions where nothing is said of them: for counting."""
    if searching.query(where.search) is None:
        return "content c"
    return found(reader, where, statement)


def everything(where: Where) -> bool:
    """Whether that is all that is PUBLISHED."""
    listed = replace(where, search=None, statuses=tuple({*where.statuses}))
    return listed == EVERYTHING_PUBLISHED and searching.query(where.search) is None


def conditions(reader: Reader, where: Where, statement: Statement) -> str:
    """What the reader may see and asks for, as one condition on `found`; raises
    `paging.BadPage` for a filter above its limits."""
    return " AND ".join(_asked(reader, where, statement))


def _asked(reader: Reader, where: Where, statement: Statement) -> Iterator[str]:
    searched = searching.query(where.search) is not None
    found = searched or where.tags is not None  # and then looked up by its key
    yield gate.visible(reader, _alone(gate.LISTED) if found else gate.LISTED)
    if searched:
        yield "v.id = hit.version_id AND c.id = v.content_id"
        yield f"v.version = {gate.version(reader)}"
        if not reader.insider:
            yield f"(hit.plain = 1 OR {gate.readable(reader, 'c')})"
    if {*where.statuses} == {ContentStatus.PUBLISHED}:
        yield _alone(gate.LISTED)  # most of a library: an editor's list goes by its order
    else:
        status = f"c.status IN ({statement.marks(where.statuses)})"
        yield _alone(status) if found or len({*where.statuses}) > 1 else status
    if where.kinds is not None:
        yield _alone(f"c.kind IN ({statement.marks(where.kinds)})")
    if where.pending is not None and reader.editor:
        yield f"c.pending_status IN ({statement.marks(where.pending)})"
    elif where.pending is not None:
        yield "FALSE"  # others know nothing of newer versions
    if where.locale is not None:
        known = storable(where.locale, LOCALE_CHARACTERS)
        locale = locales.fold(where.locale)
        yield _alone(f"c.locale = {statement.mark(locale)}") if known else "FALSE"
    if where.published_after is not None:
        yield f"c.published_at > {statement.mark(where.published_after)}"
    if where.published_before is not None:
        yield f"c.published_at < {statement.mark(where.published_before)}"
    if where.dimension is not None:
        yield f"{gate.shown(reader, 'dimensions')} & {BITS[where.dimension]} <> 0"
    if where.tags is not None:
        _check(where.tags)
        yield from _tagged(reader, where.tags, statement)


def _alone(condition: str) -> str:
    """The condition, so that no planner looks for an index by it: of what it knows nothing, it
    expects half of all rows, and not one of two hundred."""
    return f"COALESCE({condition}, FALSE)"


def _tagged(reader: Reader, tags: TagFilter, statement: Statement) -> Iterator[str]:
    if tags.any_of is not None:
        slugs = _named(tags.any_of, statement)
        yield f"c.id IN ({_under(reader, f'IN ({slugs})')})"
    if tags.all_of:
        yield f"c.id IN ({_under_all(reader, tags.all_of, statement)})"
    if tags.none_of:
        slugs = _named(tags.none_of, statement)
        yield f"c.id NOT IN ({_under(reader, f'IN ({slugs})')})"
    for inner in tags.both:
        yield from _tagged(reader, inner, statement)


def _under(reader: Reader, tags: str) -> str:
    return f"SELECT content_id FROM content_tag WHERE tag_id {tags} AND {gate.tagged(reader)}"


def _under_all(reader: Reader, slugs: Sequence[str], statement: Statement) -> str:
    """Contents under the first tag that are under the others: looked up in one index, so that no
    content is read in vain."""
    tagged = gate.tagged(reader)
    first, *others = (f"({_named([slug], statement)})" for slug in slugs)
    also = "".join(
        f" AND EXISTS (SELECT 1 FROM content_tag b WHERE b.tag_id = {tag} "
        f"AND b.content_id = a.content_id AND b.{tagged})"
        for tag in others
    )
    return f"SELECT a.content_id FROM content_tag a WHERE a.tag_id = {first} AND a.{tagged}{also}"


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


def keyset(reader: Reader, where: Where, order: Order) -> Keyset:
    """The order in SQL, for this filter alone: its cursors fit no other one. Raises
    `paging.BadPage` for RELEVANCE without a search."""
    column, kind = _column(reader, order.field)
    digest = hashlib.blake2b(repr((where, order)).encode(errors="replace"), digest_size=8)
    name = f"contents:{digest.hexdigest()}"
    if order.field is not OrderField.RELEVANCE:
        return Keyset(name, (column, "c.id"), (kind, int), order.descending)
    if searching.query(where.search) is None:
        raise paging.BadPage("RELEVANCE is an order of what is searched for: give `search` too")
    return Keyset(name, ("hit.titled", column, "c.id"), (int, kind, int), order.descending)


def _column(reader: Reader, by: OrderField) -> tuple[str, type]:
    if by is OrderField.TITLE:
        title = gate.shown(reader, "title")
        return (f'{title} COLLATE "C"' if database.is_postgres() else title), str
    if by is OrderField.UPDATED_AT:
        return gate.shown(reader, "updated_at"), datetime
    if reader.editor:
        return "COALESCE(c.published_at, c.created_at)", datetime
    return "c.published_at", datetime  # never null where readers see it
