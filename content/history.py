"""Owns the versions of a content as editors look back on them."""

import asyncio
import difflib
from collections.abc import Awaitable, Callable, Sequence

from content import drafts, library
from content.drafts import Draft
from content.errors import LimitExceeded
from content.models import ContentVersion, Media
from core import paging
from core.paging import Page
from members.models import Tier

MOST_LINES = 20_000  # to be compared: that takes time by the square of them


async def versions(
    content_id: int, first: int, after: str | None
) -> tuple[Page[ContentVersion], Callable[[], Awaitable[int]]]:
    """One page of the versions, newest first, and what counts them all; raises
    `paging.BadPage`."""
    query = ContentVersion.filter(content_id=content_id)
    name = f"versions:{content_id}"
    page = await paging.page(query, order=("-version",), name=name, first=first, after=after)
    return page, query.count


async def diff(content_id: int, older: int, newer: int) -> str:
    """What changed between two versions of a content, as a unified diff of everything that they
    say; empty where nothing did. Raises `VersionNotFound`, and `LimitExceeded` above 20,000 lines.
    """
    before = await _lines(content_id, older, "from")
    after = await _lines(content_id, newer, "to")
    lines = await asyncio.to_thread(
        lambda: [
            *difflib.unified_diff(
                before, after, f"version {older}", f"version {newer}", lineterm=""
            )
        ]
    )
    return "".join(f"{line}\n" for line in lines)


async def _lines(content_id: int, version: int, field: str) -> list[str]:
    row = await library.find_version(content_id, version, field)
    draft = await drafts.load(row)
    tier = await Tier.get_or_none(id=draft.min_tier_id)
    media = await Media.in_bulk(draft.media, "id")
    urls = [media[id].url for id in draft.media]
    lines = _written(draft, tier.code if tier else "", urls).split("\n")
    if len(lines) > MOST_LINES:
        raise LimitExceeded(len(lines), MOST_LINES, field)
    return lines


def _written(draft: Draft, tier: str, media: Sequence[str]) -> str:
    """Everything that a version says, in lines."""
    return "\n".join(
        [
            f"title: {draft.title}",
            f"summary: {draft.summary}",
            f"coverUrl: {draft.cover_url or ''}",
            f"shareText: {draft.share_text or ''}",
            f"tags: {', '.join(sorted(draft.tags.values()))}",
            f"media: {', '.join(media)}",
            f"audience: {draft.audience}",
            f"minTier: {tier}",
            "",
            draft.body,
        ]
    )
