"""Readers see what is published, newest first, and nothing else from anywhere."""

from datetime import datetime, timedelta

import pytest

from content import reading
from content.models import Content, ContentKind, ContentStatus, ContentTag, Dimension, Tag
from core import paging
from tests.factories import NOW
from tests.members.statements import watched


async def piece(
    slug: str,
    status: ContentStatus = ContentStatus.PUBLISHED,
    published_at: datetime | None = NOW,
) -> Content:
    return await Content.create(
        slug=slug,
        kind=ContentKind.ARTICLE,
        status=status,
        locale="zh-Hans",
        title=slug.title(),
        summary="",
        body="",
        published_at=published_at,
        created_at=NOW,
        updated_at=NOW,
    )


async def tag(slug: str, *carried_by: Content) -> Tag:
    row = await Tag.create(dimension=Dimension.PRODUCT, slug=slug, name=slug)
    for each in carried_by:
        await ContentTag.create(content=each, tag=row)
    return row


async def slugs(first: int = 10, after: str | None = None) -> list[str]:
    page = await reading.contents(first, after)
    return [edge.node.slug for edge in page.edges]


async def test_a_draft_is_hidden_from_every_path(opened: str) -> None:
    shown = await piece("shown")
    hidden = await piece("hidden", ContentStatus.DRAFT)

    assert await slugs() == ["shown"]
    assert await reading.count() == 1
    assert await reading.by_slug("hidden") is None
    assert await reading.by_id(hidden.id) is None
    assert await reading.visible().count() == 1
    for found in (await reading.by_slug("shown"), await reading.by_id(shown.id)):
        assert found is not None
        assert found.id == shown.id


async def test_a_draft_that_was_published_once_is_hidden_too(embedded: str) -> None:
    await piece("was", ContentStatus.DRAFT, published_at=NOW - timedelta(days=9))
    assert await slugs() == []


async def test_what_is_not_there_is_none(embedded: str) -> None:
    assert await reading.by_slug("missing") is None
    assert await reading.by_id(98_765) is None
    assert await reading.count() == 0


async def test_the_newest_comes_first_and_ties_go_by_id(opened: str) -> None:
    await piece("old", published_at=NOW - timedelta(days=1))
    await piece("tie-1")
    await piece("tie-2")
    await piece("new", published_at=NOW + timedelta(microseconds=1))
    assert await slugs() == ["new", "tie-2", "tie-1", "old"]


async def test_pages_hold_every_piece_once(opened: str) -> None:
    for number in range(5):
        await piece(f"p{number}", published_at=NOW + timedelta(minutes=number // 2))
    seen: list[str] = []
    after = None
    while True:
        page = await reading.contents(2, after)
        seen += [edge.node.slug for edge in page.edges]
        if not page.has_next:
            break
        after = page.edges[-1].cursor
        await piece(f"late-{after}"[:100], published_at=NOW + timedelta(days=1))
    assert seen == ["p4", "p3", "p2", "p1", "p0"]


async def test_a_page_has_1_to_100_pieces(embedded: str) -> None:
    await piece("one")
    assert await slugs(1) == await slugs(100) == ["one"]
    for first in (0, 101):
        with pytest.raises(paging.BadPage):
            await reading.contents(first, None)


async def test_tags_come_by_slug_for_every_piece_in_one_statement(opened: str) -> None:
    both, one, none = await piece("both"), await piece("one"), await piece("none")
    await tag("zest", both)
    await tag("aroma", both, one)

    with watched() as statements:
        found = await reading.tags_by_content([both.id, one.id, none.id])

    assert {key: [each.slug for each in tags] for key, tags in found.items()} == {
        both.id: ["aroma", "zest"],
        one.id: ["aroma"],
        none.id: [],
    }
    assert len(statements) == 1
