"""Filling the library publishes all pieces or none."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from tortoise.exceptions import IntegrityError

from content import library, reading
from content.library import NewPiece, NewTag
from content.models import Content, ContentKind, ContentStatus, ContentTag, Dimension, Tag
from tests import factories
from tests.factories import NOW

TAGS = [
    NewTag(Dimension.PRODUCT, "aroma", "Aroma"),
    NewTag(Dimension.COMPANY, "创始人", "创始人"),
]
TEA = NewPiece(
    "spring-tea", ContentKind.ARTICLE, "en", "Spring tea", "Picked", "# Tea", ["aroma", "创始人"]
)
POSTER = NewPiece("poster", ContentKind.POSTER, "zh-Hans", "海报", "", "", [])
PIECES = [(TEA, NOW), (POSTER, NOW - timedelta(days=2))]


async def author() -> int:
    return (await factories.person("ed")).member.id


async def rows() -> tuple[int, int, int]:
    return (
        await Tag.all().count(),
        await Content.all().count(),
        await ContentTag.all().count(),
    )


async def test_every_piece_is_published_at_its_instant_with_its_tags(opened: str) -> None:
    editor = await author()

    await library.fill(TAGS, PIECES, editor)

    tea = await reading.by_slug("spring-tea")
    assert tea is not None
    assert (tea.title, tea.summary, tea.body, tea.kind, tea.locale, tea.status) == (
        "Spring tea",
        "Picked",
        "# Tea",
        ContentKind.ARTICLE,
        "en",
        ContentStatus.PUBLISHED,
    )
    assert (tea.published_at, tea.created_at, tea.updated_at) == (NOW, NOW, NOW)
    assert tea.author_id == editor
    tags = (await reading.tags_by_content([tea.id]))[tea.id]
    assert [(each.slug, each.name, each.dimension) for each in tags] == [
        ("aroma", "Aroma", Dimension.PRODUCT),
        ("创始人", "创始人", Dimension.COMPANY),
    ]
    page = await reading.contents(10, None)
    assert [edge.node.slug for edge in page.edges] == ["spring-tea", "poster"]


@pytest.mark.parametrize(
    ("tags", "pieces", "error"),
    [
        (TAGS, [*PIECES, (replace(POSTER, slug="x", tags=["unknown"]), NOW)], KeyError),
        (TAGS, [*PIECES, (TEA, NOW)], IntegrityError),
        ([*TAGS, TAGS[0]], PIECES, IntegrityError),
        (
            TAGS,
            [*PIECES, (replace(POSTER, slug="x", tags=["aroma", "aroma"]), NOW)],
            IntegrityError,
        ),
    ],
    ids=["an unknown tag", "a slug twice", "a tag twice", "a tag twice on a piece"],
)
async def test_one_that_cannot_be_written_leaves_none(
    opened: str,
    tags: list[NewTag],
    pieces: list[tuple[NewPiece, datetime]],
    error: type[Exception],
) -> None:
    editor = await author()
    with pytest.raises(error):
        await library.fill(tags, pieces, editor)
    assert await rows() == (0, 0, 0)


async def test_filling_again_changes_nothing(embedded: str) -> None:
    editor = await author()
    await library.fill(TAGS, PIECES, editor)
    before = await rows()
    with pytest.raises(IntegrityError):
        await library.fill(TAGS, PIECES, editor)
    assert await rows() == before == (2, 2, 2)
