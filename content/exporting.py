"""Owns giving the whole library out, as the rows that `content.importing` takes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from content import drafts
from content.drafts import Draft
from content.models import Content, ContentStatus, ContentVersion, Tag
from content.rows import Row, TagRow
from core import database
from members.models import Tier

BATCH = 500

Give = Callable[[Row], None]


@dataclass(frozen=True, slots=True)
class _Names:
    """What ids of tags and tiers stand for."""

    tags: Mapping[int, TagRow]
    tiers: Mapping[int, str]


@database.snapshot
async def export(give: Give) -> int:
    """Gives every content, drafts and what is gated too, in the order in which they were begun; how
    many. All of it is as of one instant.

    Of a published content with a newer version beside it there are two rows: the published one
    and, behind it, the newer one. Versions before those, media and old slugs stay behind.
    """
    names, count, last = await _names(), 0, 0
    while batch := await _batch(last, BATCH):
        for content in batch:
            for row in await _rows(content, names):
                give(row)
        count, last = count + len(batch), batch[-1].id
    return count


@dataclass(frozen=True, slots=True)
class Some:
    """A part of the library: the rows of so many contents, the last of which has this id."""

    rows: Sequence[Row]
    count: int
    last: int


async def behind(last: int, most: int) -> Some | None:
    """At most so many of the contents behind the one with this id, in the order in which they were
    begun; None where there is none."""
    names, batch = await _names(), await _batch(last, most)
    if not batch:
        return None
    found = [row for content in batch for row in await _rows(content, names)]
    return Some(found, len(batch), batch[-1].id)


async def _names() -> _Names:
    return _Names(await _tags(), {tier.id: tier.code for tier in await Tier.all()})


async def _batch(last: int, most: int) -> Sequence[Content]:
    found = Content.filter(id__gt=last).select_related("author").order_by("id")
    return await found.limit(most)


async def _tags() -> Mapping[int, TagRow]:
    """Every tag with those above it."""
    found = {tag.id: tag for tag in await Tag.all()}
    return {id: _tag(tag, found) for id, tag in found.items()}


def _tag(tag: Tag, found: Mapping[int, Tag]) -> TagRow:
    above = None if tag.parent_id is None else _tag(found[tag.parent_id], found)
    return TagRow(tag.slug, tag.dimension, tag.name, above)


async def _rows(content: Content, names: _Names) -> Sequence[Row]:
    newest = await _draft(content, content.version)
    if content.pending_status is None:
        at = content.scheduled_at or content.published_at
        return [_row(content, newest, content.status, at, names)]
    published = await _draft(content, content.published_version or content.version)
    rows = [_row(content, published, content.status, content.published_at, names)]
    if not drafts.same(published, newest):
        at = content.scheduled_at or content.published_at
        rows.append(_row(content, newest, content.pending_status, at, names))
    return rows


async def _draft(content: Content, version: int) -> Draft:
    return await drafts.load(await ContentVersion.get(content_id=content.id, version=version))


def _row(
    content: Content,
    draft: Draft,
    status: ContentStatus,
    at: datetime | None,
    names: _Names,
) -> Row:
    return Row(
        slug=content.slug,
        kind=content.kind,
        locale=content.locale,
        given={
            "title": draft.title,
            "summary": draft.summary,
            "body": draft.body,
            "cover_url": draft.cover_url,
            "share_text": draft.share_text,
            "audience": draft.audience,
            "min_tier": None if draft.min_tier_id is None else names.tiers[draft.min_tier_id],
        },
        tags=sorted((names.tags[id] for id in draft.tags), key=lambda tag: tag.slug),
        author=content.author.email if content.author else None,
        published_at=at,
        status=status,
    )
