"""Owns reading tags: the trees and how many contents are under each."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from tortoise.expressions import Q

from content import gate
from content.gate import Reader
from content.models import Dimension, Tag
from core import database, paging
from core.errors import storable
from core.paging import Page

SEARCH_CHARACTERS = 100


async def page(
    dimension: Dimension | None, search: str | None, first: int, after: str | None
) -> tuple[Page[Tag], Callable[[], Awaitable[int]]]:
    """One page of the tags by slug, roots and others alike, with `search` in their slug or name
    whatever its case, and what counts them all; raises `paging.BadPage`."""
    query = Tag.all()
    if dimension is not None:
        query = query.filter(dimension=dimension)
    if search is not None:
        folded = search.strip().casefold()
        if not storable(folded, SEARCH_CHARACTERS):
            raise paging.BadPage(f"`search` is a text of at most {SEARCH_CHARACTERS} characters")
        query = query.filter(Q(slug__contains=folded) | Q(name_key__contains=folded))
    name = f"tags:{dimension or ''}:{search or ''}"
    found = await paging.page(query, order=("slug",), name=name, first=first, after=after)
    return found, query.count


async def children(tag_ids: Collection[int]) -> Mapping[int, Sequence[Tag]]:
    """The tags right below each, by slug, in one statement."""
    found: dict[int, list[Tag]] = {tag_id: [] for tag_id in tag_ids}
    for tag in sorted(await Tag.filter(parent_id__in=set(tag_ids)), key=lambda each: each.slug):
        found[tag.parent_id or 0].append(tag)
    return found


async def counts(reader: Reader, tag_ids: Collection[int]) -> Mapping[int, int]:
    """How many published contents the reader may list under each of the tags, in one statement;
    tags with none are left out."""
    ids = ", ".join(map(str, tag_ids)) or "NULL"
    found = await database.rows(
        f"SELECT ct.tag_id, COUNT(*) AS n FROM content_tag ct WHERE ct.tag_id IN ({ids}) "
        f"AND {gate.published(reader)} GROUP BY ct.tag_id"
    )
    return {row["tag_id"]: row["n"] for row in found}
