"""Lists: narrowed, ordered, paged both ways and counted, against the same done in Python."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from content import filters, lifecycle, locales, reading, tags
from content import library as writing
from content.filters import Order, OrderField, TagFilter, Where
from content.gate import ANYBODY, Reader
from content.models import ContentKind, ContentStatus, Dimension
from core import paging
from members.models import Role
from tests import factories
from tests.factories import NOW
from tests.members.statements import watched

EDITOR = Reader(True, insider=True, editor=True)
ORDERS = (OrderField.PUBLISHED_AT, OrderField.UPDATED_AT, OrderField.TITLE)
ALL_STATUSES = tuple(ContentStatus)
# Each with its parent: two trees of one side, and a tag of another side.
TREES = {
    "tea": None,
    "green": "tea",
    "sencha": "green",
    "white": "tea",
    "cup": None,
    "直播": None,
}


@dataclass(frozen=True)
class Shelved:
    """A content as the model knows it."""

    slug: str
    title: str
    tags: frozenset[str]
    status: ContentStatus
    kind: ContentKind
    locale: str
    at: datetime
    id: int
    pending: ContentStatus | None = None


def dimension_of(slug: str) -> Dimension:
    return Dimension.INDUSTRY if slug == "直播" else Dimension.PRODUCT


def above(slug: str) -> set[str]:
    """The tag and all above it."""
    parent = TREES[slug]
    return {slug} | (above(parent) if parent else set())


def under(what: Shelved) -> set[str]:
    return {each for slug in what.tags for each in above(slug)}


async def library(chance: random.Random, count: int) -> list[Shelved]:
    """That many contents with tags, times and titles of which some are alike."""
    for slug, parent in TREES.items():
        await factories.tag(slug, parent, dimension_of(slug))
    made = []
    for number in range(count):
        carried = frozenset(chance.sample(sorted(TREES), chance.randint(0, 3)))
        status = chance.choice([ContentStatus.PUBLISHED] * 3 + [ContentStatus.DRAFT])
        what = Shelved(
            slug=f"p{number}",
            title=chance.choice(["Tea", "tea", "茶", "Ü", "z", "Zen", "明前"]),
            tags=carried,
            status=status,
            kind=chance.choice([*ContentKind]),
            locale=chance.choice(["zh-CN", "en"]),
            at=NOW + timedelta(microseconds=chance.choice([0, 1, 500_000, 1_000_000])),
            id=0,
        )
        content_id = await factories.piece(
            what.slug,
            title=what.title,
            tags=sorted(carried),
            status=status,
            kind=what.kind,
            locale=what.locale,
            at=what.at,
        )
        pending = await begin_newer(chance, content_id, what)
        made.append(replace(what, id=content_id, pending=pending))
    return made


async def begin_newer(
    chance: random.Random, content_id: int, what: Shelved
) -> ContentStatus | None:
    """A newer version beside some of what is published, which says the same; its status."""
    if what.status is not ContentStatus.PUBLISHED or chance.random() < 0.5:
        return None
    editor = (await factories.person("ed", Role.REVIEWER)).member.id
    await writing.update(content_id, 1, {}, editor, what.at)
    if chance.random() < 0.5:
        return ContentStatus.DRAFT
    await lifecycle.submit(content_id, editor, what.at)
    return ContentStatus.IN_REVIEW


def has(what: Shelved, tags: TagFilter) -> bool:
    """What the filter means, said plainly."""
    found = under(what)
    return (
        (tags.any_of is None or any(slug.strip().casefold() in found for slug in tags.any_of))
        and all(slug in found for slug in tags.all_of)
        and not any(slug in found for slug in tags.none_of)
        and all(has(what, inner) for inner in tags.both)
    )


def matches(what: Shelved, where: Where, reader: Reader) -> bool:
    visible = reader.editor or what.status is ContentStatus.PUBLISHED
    seen = what.at if what.status is ContentStatus.PUBLISHED else None
    return (
        visible
        and what.status in where.statuses
        and (where.kinds is None or what.kind in where.kinds)
        and (where.pending is None or (reader.editor and what.pending in where.pending))
        and (where.locale is None or what.locale == locales.fold(where.locale))
        and (where.published_after is None or bool(seen and seen > where.published_after))
        and (where.published_before is None or bool(seen and seen < where.published_before))
        and (
            where.dimension is None
            or any(dimension_of(slug) is where.dimension for slug in what.tags)
        )
        and (where.tags is None or has(what, where.tags))
    )


def some(chance: random.Random, choice: Sequence[Any], most: int = 2) -> tuple[Any, ...]:
    return tuple(chance.choices(choice, k=chance.randint(0, most)))


def any_filter(chance: random.Random, depth: int = 2) -> TagFilter:
    slugs = [*TREES, "unknown", " TEA "]
    return TagFilter(
        any_of=chance.choice([None, some(chance, slugs)]),
        all_of=some(chance, [*TREES, "unknown"] if chance.random() < 0.2 else [*TREES]),
        none_of=some(chance, [*TREES, "unknown"]),
        both=tuple(any_filter(chance, depth - 1) for _ in range(chance.randint(0, depth))),
    )


def any_where(chance: random.Random) -> Where:
    def maybe(make: Callable[[], Any]) -> Any:
        return make() if chance.random() < 0.3 else None

    moments = [NOW, NOW + timedelta(microseconds=1), NOW + timedelta(seconds=1)]
    return Where(
        dimension=maybe(lambda: chance.choice([Dimension.PRODUCT, Dimension.USER])),
        tags=maybe(lambda: any_filter(chance)),
        kinds=maybe(lambda: some(chance, [*ContentKind], 3)),
        statuses=maybe(lambda: some(chance, ALL_STATUSES, 4)) or (ContentStatus.PUBLISHED,),
        pending=maybe(lambda: some(chance, [ContentStatus.DRAFT, ContentStatus.IN_REVIEW])),
        locale=maybe(lambda: chance.choice(["en", "zh-CN", "ZH-cn", "fr", "x" * 21, "\0"])),
        published_after=maybe(lambda: chance.choice(moments)),
        published_before=maybe(lambda: chance.choice(moments)),
    )


def ordered(found: list[Shelved], order: Order) -> list[str]:
    key = {
        OrderField.TITLE: lambda each: (each.title, each.id),
        OrderField.PUBLISHED_AT: lambda each: (each.at, each.id),
        OrderField.UPDATED_AT: lambda each: (each.at, each.id),
    }[order.field]
    return [each.slug for each in sorted(found, key=key, reverse=order.descending)]


async def walked(reader: Reader, where: Where, order: Order, size: int, forward: bool) -> list[str]:
    """All pages, one after the other, from either end."""
    seen: list[str] = []
    cursor = None
    while True:
        asked = (size, cursor, None, None) if forward else (None, None, size, cursor)
        page = await reading.contents(reader, *asked, where=where, order=order)
        slugs = [edge.node.slug for edge in page.edges]
        seen = [*seen, *slugs] if forward else [*slugs, *seen]
        assert (page.has_previous if forward else page.has_next) == (cursor is not None)
        if not (page.has_next if forward else page.has_previous):
            return seen
        assert len(slugs) == size
        cursor = page.edges[-1 if forward else 0].cursor


@pytest.mark.parametrize("seed", [1, 2])
async def test_lists_counts_and_facets_are_those_of_a_plain_model(opened: str, seed: int) -> None:
    chance = random.Random(seed)
    written = await library(chance, 24)
    for _ in range(40):
        reader = chance.choice([ANYBODY, EDITOR])
        where, order = any_where(chance), Order(chance.choice(ORDERS), chance.random() < 0.5)
        found = [what for what in written if matches(what, where, reader)]
        size = chance.choice([1, 2, 5, 100])
        for forward in (True, False):
            assert await walked(reader, where, order, size, forward) == ordered(found, order), where
        assert await reading.count(reader, where) == len(found), where
        for side in (Dimension.PRODUCT, Dimension.INDUSTRY):
            facets = await reading.facets(reader, where, side, 100)
            assert [(each.tag.slug, each.count) for each in facets] == plain_facets(found, side)
            assert await reading.facets(reader, where, side, 2) == facets[:2]


def plain_facets(found: Sequence[Shelved], side: Dimension) -> list[tuple[str, int]]:
    counts = {
        slug: sum(slug in under(what) for what in found)
        for slug in TREES
        if dimension_of(slug) is side
    }
    return sorted(
        ((slug, count) for slug, count in counts.items() if count),
        key=lambda each: (-each[1], each[0]),
    )


async def test_a_tag_counts_what_can_be_listed_under_it_and_all_below(opened: str) -> None:
    written = await library(random.Random(3), 12)
    page, total = await tags.page(None, None, 100, None)
    assert await total() == len(TREES)
    rows = {edge.node.slug: edge.node.id for edge in page.edges}
    for reader in (ANYBODY, EDITOR):
        counts = await tags.counts(reader, list(rows.values()))
        for slug, tag_id in rows.items():
            listed = [what for what in written if matches(what, Where(), reader)]
            assert counts.get(tag_id, 0) == sum(slug in under(what) for what in listed), slug


async def test_a_cursor_of_another_filter_or_order_is_refused(opened: str) -> None:
    for number in range(3):
        await factories.piece(f"p{number}")
    page = await reading.contents(ANYBODY, 1)
    cursor = page.edges[0].cursor
    assert len((await reading.contents(ANYBODY, 5, cursor)).edges) == 2
    for where, order in (
        (Where(locale="zh-CN"), Order()),
        (Where(), Order(OrderField.UPDATED_AT)),
        (Where(), Order(descending=False)),
        (Where(tags=TagFilter(any_of=())), Order()),
        (Where(tags=TagFilter()), Order()),
    ):
        for asked in ({"after": cursor}, {"before": cursor}):
            with pytest.raises(paging.BadPage):
                await reading.contents(ANYBODY, **asked, where=where, order=order)


async def test_a_page_has_1_to_100_contents_and_20_where_none_is_asked_for(embedded: str) -> None:
    for number in range(21):
        await factories.piece(f"p{number}")
    assert len((await reading.contents(ANYBODY)).edges) == 20
    assert len((await reading.contents(ANYBODY, 100)).edges) == 21
    assert len((await reading.contents(ANYBODY, last=100)).edges) == 21
    for asked in (
        {"first": 0},
        {"first": 101},
        {"last": 0},
        {"last": 101},
        {"first": 1, "last": 1},
    ):
        with pytest.raises(paging.BadPage):
            await reading.contents(ANYBODY, **asked)
    for first in (0, 101):
        with pytest.raises(paging.BadPage):
            await reading.facets(ANYBODY, Where(), Dimension.USER, first)


async def test_a_window_between_two_cursors_has_what_lies_between(opened: str) -> None:
    for number in range(6):
        await factories.piece(f"p{number}", at=NOW + timedelta(minutes=number))
    edges = (await reading.contents(ANYBODY)).edges
    between = {"after": edges[0].cursor, "before": edges[5].cursor}
    page = await reading.contents(ANYBODY, first=3, **between)
    assert [edge.node.slug for edge in page.edges] == ["p4", "p3", "p2"]
    page = await reading.contents(ANYBODY, last=3, **between)
    assert [edge.node.slug for edge in page.edges] == ["p3", "p2", "p1"]
    assert page.has_next
    assert page.has_previous


async def test_a_filter_has_limits(embedded: str) -> None:
    deep = TagFilter()
    for _ in range(filters.DEEPEST_FILTER - 1):
        deep = TagFilter(both=(deep,))
    many = TagFilter(any_of=("x",) * 50, none_of=("x",) * 50)
    for tags_filter in (deep, many):
        assert await reading.count(ANYBODY, Where(tags=tags_filter)) == 0
    for tags_filter in (TagFilter(both=(deep,)), replace(many, all_of=("x",))):
        with pytest.raises(paging.BadPage):
            await reading.count(ANYBODY, Where(tags=tags_filter))


async def test_a_page_is_one_statement_whatever_its_length(opened: str) -> None:
    await factories.tag("tea")
    for number in range(4):
        await factories.piece(f"p{number}", tags=["tea"])
    for ask in (
        lambda: reading.contents(ANYBODY),
        lambda: reading.contents(ANYBODY, where=Where(tags=TagFilter(any_of=("tea",)))),
        lambda: reading.count(ANYBODY),
        lambda: reading.facets(ANYBODY, Where(), Dimension.PRODUCT, 20),
        lambda: reading.by_slug(ANYBODY, "p1"),
        lambda: reading.tags_by_version([1, 2, 3]),
        lambda: reading.texts([1, 2, 3]),
        lambda: reading.media_by_version([1, 2, 3]),
    ):
        with watched() as statements:
            await ask()
        # PostgreSQL is told first to go by the order of an index.
        assert len([each for each in statements if " FROM " in each]) == 1


async def test_what_no_database_can_hold_is_not_found(opened: str) -> None:
    for slug in ("missing", "\0", "\ud800", "x" * 101):
        assert await reading.by_slug(ANYBODY, slug) is None
        assert await reading.count(ANYBODY, Where(tags=TagFilter(any_of=(slug,)))) == 0
    assert await reading.by_ids(ANYBODY, []) == {}


async def test_tags_are_searched_in_any_case_and_as_written(opened: str) -> None:
    await factories.tag("Grün-Tee")
    await factories.tag("a%b")
    for search, slugs in (
        ("GRÜN", ["grün-tee"]),
        ("%", ["a%b"]),
        ("_", []),
        (" tee ", ["grün-tee"]),
    ):
        page, total = await tags.page(None, search, 10, None)
        assert [edge.node.slug for edge in page.edges] == slugs
        assert await total() == len(slugs)
