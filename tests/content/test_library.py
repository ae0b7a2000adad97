"""Filling the library publishes all pieces or none."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from content import library, reading
from content.errors import SlugTaken, TagNotFound
from content.gate import ANYBODY
from content.library import NewPiece
from content.models import Content, ContentKind, ContentStatus, Dimension, Tag, VersionTag
from content.tagging import NewTag
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
        await VersionTag.all().count(),
    )


async def test_every_piece_is_published_at_its_instant_with_its_tags(opened: str) -> None:
    editor = await author()

    await library.fill(TAGS, PIECES, editor, NOW)

    tea = await reading.by_slug(ANYBODY, "spring-tea")
    assert tea is not None
    text = (await reading.texts([tea.version_id]))[tea.version_id]
    assert (tea.title, tea.summary, text.body, tea.kind, tea.locale, tea.status) == (
        "Spring tea",
        "Picked",
        "# Tea",
        ContentKind.ARTICLE,
        "en",
        ContentStatus.PUBLISHED,
    )
    assert (tea.published_at, tea.created_at, tea.updated_at) == (NOW, NOW, NOW)
    assert tea.author_id == editor
    tags = (await reading.tags_by_version([tea.version_id]))[tea.version_id]
    assert [(each.slug, each.name, each.dimension) for each in tags] == [
        ("aroma", "Aroma", Dimension.PRODUCT),
        ("创始人", "创始人", Dimension.COMPANY),
    ]
    page = await reading.contents(ANYBODY, 10)
    assert [edge.node.slug for edge in page.edges] == ["spring-tea", "poster"]


@pytest.mark.parametrize(
    ("tags", "pieces", "error"),
    [
        (TAGS, [*PIECES, (replace(POSTER, slug="x", tags=["unknown"]), NOW)], TagNotFound),
        (TAGS, [*PIECES, (TEA, NOW)], SlugTaken),
        ([*TAGS, TAGS[0]], PIECES, SlugTaken),
    ],
    ids=["an unknown tag", "a slug twice", "a tag twice"],
)
async def test_one_that_cannot_be_written_leaves_none(
    opened: str,
    tags: list[NewTag],
    pieces: list[tuple[NewPiece, datetime]],
    error: type[Exception],
) -> None:
    editor = await author()
    with pytest.raises(error):
        await library.fill(tags, pieces, editor, NOW)
    assert await rows() == (0, 0, 0)


async def test_filling_again_changes_nothing(embedded: str) -> None:
    editor = await author()
    await library.fill(TAGS, PIECES, editor, NOW)
    before = await rows()
    with pytest.raises(SlugTaken):
        await library.fill(TAGS, PIECES, editor, NOW)
    assert await rows() == before == (2, 2, 2)
