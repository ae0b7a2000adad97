"""Owns reading the library: contents, tags and counts, each as a given reader may see them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from content import filters, gate, searching
from content.filters import EVERYTHING_PUBLISHED, Order, OrderField, Statement, Where
from content.gate import AccessReason, Reader
from content.models import Audience, ContentKind, ContentStatus, Dimension, Media, Tag, VersionMedia
from content.slugs import SLUG_CHARACTERS, fold
from core import database, dialect, paging
from core.errors import storable
from core.paging import Edge, Page

LARGEST_FACETS = 100


@dataclass(frozen=True, slots=True)
class Piece:
    """A content as somebody sees it: everything of the version shown but its text, which is asked
    for apart once `access` grants it."""

    id: int
    slug: str
    kind: ContentKind
    status: ContentStatus
    locale: str
    version: int  # the newest that the reader may know of
    published_version: int | None
    pending_status: ContentStatus | None
    scheduled_at: datetime | None
    review_note: str | None
    author_id: int | None
    published_at: datetime | None
    created_at: datetime
    version_id: int
    title: str
    summary: str
    cover_url: str | None
    share_text: str | None
    audience: Audience
    min_tier_id: int | None
    updated_at: datetime
    access: AccessReason


@dataclass(frozen=True, slots=True)
class Text:
    """The body of a version."""

    body: str
    html: str


@dataclass(frozen=True, slots=True)
class Facet:
    """How many contents of a list are under a tag."""

    tag: Tag
    count: int


_OF_CONTENT = [
    "id",
    "slug",
    "kind",
    "status",
    "locale",
    "published_version",
    "pending_status",
    "scheduled_at",
    "review_note",
    "author_id",
    "published_at",
    "created_at",
]
_OF_VERSION = [
    "version",
    "title",
    "summary",
    "cover_url",
    "share_text",
    "audience",
    "min_tier_id",
    "updated_at",
]
COLUMNS = ", ".join(
    [f"c.{name}" for name in _OF_CONTENT]
    + [f"v.{name}" for name in _OF_VERSION]
    + ["v.id AS version_id"]
)
NAMES = (*_OF_CONTENT, *_OF_VERSION, "version_id")  # what `COLUMNS` gives
OF_EDITORS = ("pending_status", "scheduled_at", "review_note")
_INSTANTS = ("scheduled_at", "published_at", "created_at", "updated_at")


def _piece(row: dict[str, Any], reader: Reader) -> Piece:
    for name in _INSTANTS:
        row[name] = instant(row[name])
    if not reader.editor:
        row |= dict.fromkeys(OF_EDITORS)
    row["kind"] = ContentKind(row["kind"])
    row["status"] = ContentStatus(row["status"])
    row["audience"] = Audience(row["audience"])
    row["pending_status"] = row["pending_status"] and ContentStatus(row["pending_status"])
    return Piece(**row, access=gate.access(reader, row["audience"], row["min_tier_id"]))


def instant(value: Any) -> Any:
    """An instant as the database gave it: SQLite gives text."""
    return datetime.fromisoformat(value).astimezone(UTC) if isinstance(value, str) else value


async def _pieces(reader: Reader, condition: str, *values: Any) -> Sequence[Piece]:
    found = await database.rows(
        f"SELECT {COLUMNS} FROM {filters.source(reader)} "
        f"WHERE {gate.visible(reader)} AND {condition}",
        *values,
    )
    return [_piece(row, reader) for row in found]


async def by_slug(reader: Reader, slug: str) -> Piece | None:
    """The content with this slug, or that had it once, if the reader may see it."""
    folded = fold(slug)
    if not storable(folded, SLUG_CHARACTERS):
        return None
    named = "c.id = (SELECT content_id FROM content_slug WHERE slug = $1)"
    found = await _pieces(reader, named, folded)
    return found[0] if found else None


async def by_ids(reader: Reader, content_ids: Collection[int]) -> Mapping[int, Piece]:
    """Those of the contents that the reader may see, in one statement."""
    marks = Statement()
    found = await _pieces(reader, f"c.id IN ({marks.marks([*content_ids])})", *marks.values)
    return {piece.id: piece for piece in found}


async def contents(
    reader: Reader,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
    *,
    where: Where = EVERYTHING_PUBLISHED,
    order: Order | None = None,
) -> Page[Piece]:
    """One page of what the reader may see and asks for, in one statement: the newest first, or
    the best where it searches, unless ordered otherwise. Raises `paging.BadPage`."""
    order = order or filters.usual(where)
    marks = Statement()
    source = filters.found(reader, where, marks)
    keyset = filters.keyset(reader, where, order)
    window = keyset.window(first, after, last, before)
    conditions = [filters.conditions(reader, where, marks), *keyset.conditions(window, marks.mark)]
    rank = "hit.titled" if order.field is OrderField.RELEVANCE else "0"
    found = await _rows(
        where,
        f"SELECT {COLUMNS}, {rank} AS relevance FROM {source} WHERE {' AND '.join(conditions)} "
        f"ORDER BY {keyset.order_by(window)} LIMIT {window.size + 1}",
        marks,
    )
    rows = [(row.pop("relevance"), _piece(row, reader)) for row in found]
    page = keyset.page(window, rows, lambda row: _place(order.field, *row))
    edges = [Edge(edge.node[1], edge.cursor) for edge in page.edges]
    return Page(edges, page.has_next, page.has_previous)


def _place(by: OrderField, relevance: int, piece: Piece) -> Sequence[Any]:
    if by is OrderField.TITLE:
        return piece.title, piece.id
    if by is OrderField.UPDATED_AT:
        return piece.updated_at, piece.id
    at = piece.published_at or piece.created_at
    return (relevance, at, piece.id) if by is OrderField.RELEVANCE else (at, piece.id)


async def _rows(where: Where, sql: str, marks: Statement) -> list[dict[str, Any]]:
    """Runs the statement; where it searches, by the index whatever the planner believes."""
    if database.is_postgres() and searching.query(where.search) is not None:
        return await _by_index(sql, marks)
    return await database.rows(sql, *marks.values)


@database.snapshot
async def _by_index(sql: str, marks: Statement) -> list[dict[str, Any]]:
    await database.trust_indexes(sort=True, in_order=True)
    return await database.rows(sql, *marks.values)


async def count(reader: Reader, where: Where = EVERYTHING_PUBLISHED) -> int:
    """How many contents all the pages hold together."""
    marks = Statement()
    source = filters.counted(reader, where, marks)
    condition = filters.conditions(reader, where, marks)
    [row] = await _rows(where, f"SELECT COUNT(*) AS n FROM {source} WHERE {condition}", marks)
    return row["n"]


async def facets(reader: Reader, where: Where, dimension: Dimension, first: int) -> Sequence[Facet]:
    """The tags of a dimension with how many contents of the list are under each, those with none
    left out: highest first, then by slug. Raises `paging.BadPage` unless `first` is 1 to 100."""
    if not 1 <= first <= LARGEST_FACETS:
        raise paging.BadPage(f"`first` must be from 1 to {LARGEST_FACETS}, not {first}")
    marks = Statement()
    counted = _counted(reader, where, dimension, marks)
    found = await _rows(
        where,
        f"SELECT t.id, t.dimension, t.slug, t.name, t.parent_id, counted.n "
        f"FROM ({counted}) AS counted CROSS JOIN tag t "
        f"WHERE t.id = counted.tag_id AND t.dimension = {marks.mark(dimension)}",
        marks,
    )
    found.sort(key=lambda row: (-row["n"], row["slug"]))
    return [Facet(_tag(row), row["n"]) for row in found[:first]]


def _counted(reader: Reader, where: Where, dimension: Dimension, marks: Statement) -> str:
    """SQL for how many contents of the list are under each tag, of the dimension at least."""
    if filters.everything(where):
        return (
            "SELECT ct.tag_id, COUNT(*) AS n FROM tag s CROSS JOIN content_tag ct "
            f"WHERE ct.tag_id = s.id AND s.dimension = {marks.mark(dimension)} "
            f"AND {gate.published(reader)} GROUP BY ct.tag_id"
        )
    source = filters.counted(reader, where, marks)
    found = f"SELECT c.id FROM {source} WHERE {filters.conditions(reader, where, marks)}"
    return (
        "SELECT ct.tag_id, COUNT(*) AS n FROM content_tag ct "
        f"WHERE ct.content_id {dialect.among(found)} AND ct.{gate.tagged(reader)} "
        "GROUP BY ct.tag_id"
    )


def _tag(row: Mapping[str, Any]) -> Tag:
    return Tag(
        id=row["id"],
        dimension=Dimension(row["dimension"]),
        slug=row["slug"],
        name=row["name"],
        parent_id=row["parent_id"],
    )


async def texts(version_ids: Collection[int]) -> Mapping[int, Text]:
    """The bodies of these versions, in one statement. Ask for what `Piece.access` grants alone."""
    marks = Statement()
    found = await database.rows(
        "SELECT id, body, body_html FROM content_version "
        f"WHERE id IN ({marks.marks([*version_ids])})",
        *marks.values,
    )
    return {row["id"]: Text(row["body"], row["body_html"]) for row in found}


async def tags_by_version(version_ids: Collection[int]) -> Mapping[int, Sequence[Tag]]:
    """The tags that each version carries, by slug, in one statement."""
    marks = Statement()
    found = await database.rows(
        "SELECT vt.version_id, t.* FROM version_tag vt JOIN tag t ON t.id = vt.tag_id "
        f"WHERE vt.version_id IN ({marks.marks([*version_ids])})",
        *marks.values,
    )
    found.sort(key=lambda row: row["slug"])
    return _grouped(version_ids, ((row["version_id"], _tag(row)) for row in found))


async def media_by_version(version_ids: Collection[int]) -> Mapping[int, Sequence[Media]]:
    """The media of each version in their order, in one statement."""
    found = await (
        VersionMedia.filter(version_id__in=set(version_ids))
        .select_related("media")
        .order_by("version_id", "place")
    )
    return _grouped(version_ids, ((row.version_id, row.media) for row in found))


def _grouped(keys: Collection[int], pairs: Iterable[tuple[int, Any]]) -> dict[int, list[Any]]:
    groups: dict[int, list[Any]] = {key: [] for key in keys}
    for key, value in pairs:
        groups[key].append(value)
    return groups
