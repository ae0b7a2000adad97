"""Owns the versions of a content as editors look back on them."""

import asyncio
import difflib
from collections.abc import Awaitable, Callable

from content import drafts, library
from content.drafts import Draft
from content.models import ContentVersion
from core import paging
from core.paging import Page
from members.models import Tier


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
    say; empty where nothing did. Raises `VersionNotFound`."""
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
    return _written(draft, tier.code if tier else "").split("\n")


def _written(draft: Draft, tier: str) -> str:
    """Everything that a version says, in lines."""
    return "\n".join(
        [
            f"title: {draft.title}",
            f"summary: {draft.summary}",
            f"coverUrl: {draft.cover_url or ''}",
            f"shareText: {draft.share_text or ''}",
            f"tags: {', '.join(sorted(draft.tags.values()))}",
            f"media: {', '.join(map(str, draft.media))}",
            f"audience: {draft.audience}",
            f"minTier: {tier}",
            "",
            draft.body,
        ]
    )
