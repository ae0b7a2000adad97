"""Owns reading the library: what a reader may list, and in which order."""

from collections.abc import Collection, Mapping, Sequence

from tortoise.queryset import QuerySet

from content.models import Content, ContentStatus, ContentTag, Tag
from core import paging
from core.errors import storable

SLUG_CHARACTERS = 100
NEWEST_FIRST = ("-published_at", "-id")


def visible() -> QuerySet[Content]:
    """Everything that readers may see: the one predicate that every path goes through."""
    return Content.filter(status=ContentStatus.PUBLISHED)


async def contents(first: int, after: str | None) -> paging.Page[Content]:
    """One page of what readers may see, newest first; raises `paging.BadPage`."""
    return await paging.page(
        visible(), order=NEWEST_FIRST, name="contents", first=first, after=after
    )


async def count() -> int:
    """How many pieces all the pages hold together."""
    return await visible().count()


async def by_slug(slug: str) -> Content | None:
    """The piece, if readers may see it."""
    return await visible().get_or_none(slug=slug) if storable(slug, SLUG_CHARACTERS) else None


async def by_id(content_id: int) -> Content | None:
    """The piece, if readers may see it."""
    return await visible().get_or_none(id=content_id)


async def tags_by_content(content_ids: Collection[int]) -> Mapping[int, Sequence[Tag]]:
    """The tags of each piece by slug, in one statement."""
    links = await (
        ContentTag.filter(content_id__in=set(content_ids))
        .select_related("tag")
        .order_by("tag__slug")
    )
    found: dict[int, list[Tag]] = {content_id: [] for content_id in content_ids}
    for link in links:
        found[link.content_id].append(link.tag)
    return found
