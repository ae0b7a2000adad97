"""Tags: folded, unique, in trees, renamed, moved, merged and put on contents, at once."""

from collections.abc import Sequence

import pytest

from content import reading, tagging
from content.errors import (
    ContentNotFound,
    LimitExceeded,
    ParentElsewhere,
    SlugTaken,
    TagCycle,
    TagNotFound,
)
from content.filters import TagFilter, Where
from content.gate import ANYBODY, Reader
from content.library import update
from content.models import ContentTag, ContentVersion, Dimension, Tag, TagAncestor
from content.planting import NewTag
from content.slugs import fold
from core import audit, database
from core.errors import Invalid, Mistake, Required, TooLong
from members.models import Role
from tests import factories
from tests.factories import NOW

EDITOR = Reader(True, insider=True, editor=True)


async def ed() -> int:
    return (await factories.person("ed", Role.REVIEWER)).member.id


async def under(slug: str, reader: Reader = ANYBODY) -> list[str]:
    page = await reading.contents(reader, 100, where=Where(tags=TagFilter(any_of=(slug,))))
    return sorted(edge.node.slug for edge in page.edges)


async def carried(slug: str, reader: Reader = ANYBODY) -> list[str]:
    piece = await reading.by_slug(reader, slug)
    assert piece is not None
    tags = await reading.tags_by_version([piece.version_id])
    return [tag.slug for tag in tags[piece.version_id]]


async def consistent() -> None:
    """The closure and the index are what they would be if they were made anew."""
    parents = {tag.id: tag.parent_id for tag in await Tag.all()}
    closure = set()
    for tag_id in parents:
        at: int | None = tag_id
        while at is not None:
            closure.add((tag_id, at))
            at = parents[at]
    assert {(row.tag_id, row.ancestor_id) for row in await TagAncestor.all()} == closure
    shelved = set()
    for row in await database.rows("SELECT * FROM content"):
        for column, side in (("published_version", "readers"), ("version", "editors")):
            version = await ContentVersion.get_or_none(
                content_id=row["id"], version=row[column] or 0
            ).prefetch_related("version_tags")
            for each in version.version_tags if version else []:
                shelved |= {(row["id"], top, side) for low, top in closure if low == each.tag_id}
    found = await ContentTag.all()
    assert shelved == {
        (row.content_id, row.tag_id, side)
        for row in found
        for side in ("readers", "editors")
        if getattr(row, side)
    }
    assert all(row.readers or row.editors for row in found)


@pytest.mark.parametrize(
    ("typed", "slug"),
    [
        ("Green Tea", "green-tea"),
        ("  green \t tea\n", "green-tea"),
        ("ＡＢ", "ａｂ"),
        ("Straße", "strasse"),
        ("Cafe\u0301", "caf\u00e9"),
        ("明前　绿茶", "明前-绿茶"),
        ("ЧАЙ", "чай"),
        ("a-b", "a-b"),
        ("\ufeffgreen\u200b tea\u00ad", "green-tea"),
        ("\u202e\u200b green-tea \u2060 ", "green-tea"),
        ("نمی\u200cخواهم", "نمی\u200cخواهم"),
        ("\u200b", ""),
        ("", ""),
    ],
)
def test_a_slug_is_folded(typed: str, slug: str) -> None:
    assert fold(typed) == slug
    assert fold(slug) == slug


@pytest.mark.parametrize("again", ["green-tea", "Green Tea", " GREEN  tea "])
async def test_a_slug_that_folds_to_another_one_is_taken(opened: str, again: str) -> None:
    await factories.tag("green tea")
    with pytest.raises(SlugTaken):
        await factories.tag(again, dimension=Dimension.USER)
    assert await Tag.all().count() == 1


@pytest.mark.parametrize(
    ("slug", "name", "error", "field"),
    [
        ("", "x", Required, "slug"),
        (" ", "x", Required, "slug"),
        ("x" * 101, "x", TooLong, "slug"),
        ("ß" * 51, "x", TooLong, "slug"),
        ("a/b", "x", Invalid, "slug"),
        ("..", "x", Invalid, "slug"),
        ("a\0b", "x", Invalid, "slug"),
        ("\ud800", "x", Invalid, "slug"),
        ("x", " ", Required, "name"),
        ("x", "n" * 101, TooLong, "name"),
    ],
)
async def test_what_is_no_slug_or_name_is_refused(
    embedded: str, slug: str, name: str, error: type[Mistake], field: str
) -> None:
    new = NewTag(Dimension.USER, slug, name)
    with pytest.raises(error) as raised:
        await tagging.create(new, await ed(), NOW)
    assert list(raised.value.field) == [field]
    assert await Tag.all().count() == 0


async def test_the_longest_slug_and_name_are_taken(opened: str) -> None:
    new = NewTag(Dimension.USER, "茶" * 100, "İ" * 100)  # folds to two characters each
    assert (await tagging.create(new, await ed(), NOW)).name == "İ" * 100


async def test_a_parent_is_of_the_same_side_and_there(opened: str) -> None:
    await factories.tag("tea")
    with pytest.raises(ParentElsewhere):
        await factories.tag("wish", "tea", Dimension.USER)
    with pytest.raises(TagNotFound) as raised:
        await factories.tag("green", "te")
    assert "te" in raised.value.message
    await factories.tag("green", " TEA ")
    await consistent()


async def test_tags_stand_ten_levels_deep_and_no_deeper(opened: str) -> None:
    for level in range(10):
        await factories.tag(f"t{level}", f"t{level - 1}" if level else None)
    with pytest.raises(Invalid):
        await factories.tag("t10", "t9")
    await factories.tag("other")
    with pytest.raises(Invalid):
        await tagging.update("t0", {"parent": "other"}, await ed(), NOW)
    await consistent()


async def test_an_old_slug_goes_on_working_and_stays_taken(opened: str) -> None:
    editor = await ed()
    await factories.tag("tea")
    await factories.piece("p", tags=["tea"])
    tag = await tagging.update("tea", {"slug": " CHA ", "name": "Chá"}, editor, NOW)
    assert (tag.slug, tag.name) == ("cha", "Chá")
    assert await under("tea") == await under("cha") == ["p"]
    assert await carried("p") == ["cha"]
    with pytest.raises(SlugTaken):
        await factories.tag("tea")
    with pytest.raises(SlugTaken):
        await factories.tag("cha")
    await factories.tag("other")
    with pytest.raises(SlugTaken):
        await tagging.update("other", {"slug": "Tea"}, editor, NOW)
    back = await tagging.update("cha", {"slug": "tea"}, editor, NOW)
    assert back.slug == "tea"


async def test_moving_a_tag_takes_its_contents_along(opened: str) -> None:
    editor = await ed()
    for slug, parent in (("a", None), ("b", "a"), ("c", "b"), ("x", None)):
        await factories.tag(slug, parent)
    await factories.piece("p", tags=["c"])
    assert await under("a") == ["p"]
    await tagging.update("b", {"parent": "x"}, editor, NOW)
    assert (await under("a"), await under("x"), await under("b")) == ([], ["p"], ["p"])
    await consistent()
    await tagging.update("b", {"parent": None}, editor, NOW)
    assert (await under("x"), await under("b")) == ([], ["p"])
    await consistent()


@pytest.mark.parametrize("parent", ["a", "b", "c"])
async def test_a_tag_cannot_stand_below_itself(opened: str, parent: str) -> None:
    for slug, above in (("a", None), ("b", "a"), ("c", "b")):
        await factories.tag(slug, above)
    with pytest.raises(TagCycle):
        await tagging.update("a", {"parent": parent}, await ed(), NOW)
    await consistent()


async def test_merging_takes_contents_children_and_slugs_along(opened: str) -> None:
    editor = await ed()
    for slug, parent in (("top", None), ("teas", "top"), ("green", "teas"), ("tea", None)):
        await factories.tag(slug, parent)
    await factories.piece("one", tags=["teas"])
    await factories.piece("both", tags=["tea", "teas"])
    await factories.piece("below", tags=["green"])
    await tagging.merge("teas", "tea", editor, NOW)
    assert await under("tea") == await under("teas") == ["below", "both", "one"]
    assert await under("top") == []
    assert await carried("both") == ["tea"]
    assert [tag.slug for tag in await Tag.filter(parent__slug="tea")] == ["green"]
    with pytest.raises(SlugTaken):
        await factories.tag("teas")
    await consistent()


@pytest.mark.parametrize("into", ["b", "c"])
async def test_a_tag_can_be_merged_into_one_below_it(opened: str, into: str) -> None:
    for slug, parent in (("top", None), ("a", "top"), ("b", "a"), ("c", "b"), ("d", "a")):
        await factories.tag(slug, parent)
    for slug in "abcd":
        await factories.piece(f"p{slug}", tags=[slug])
    await tagging.merge("a", into, await ed(), NOW)
    assert await under(into) == await under("top") == ["pa", "pb", "pc", "pd"]
    await consistent()


async def test_what_cannot_be_merged_stays_as_it_was(opened: str) -> None:
    await factories.tag("a")
    await factories.tag("wish", dimension=Dimension.USER)
    for source, target, error in (
        ("a", " A ", Invalid),
        ("a", "wish", Invalid),
        ("a", "b", TagNotFound),
        ("b", "a", TagNotFound),
    ):
        with pytest.raises(error):
            await tagging.merge(source, target, await ed(), NOW)
    assert await Tag.all().count() == 2


async def test_tags_go_on_what_readers_see_and_on_the_newest_version_at_once(opened: str) -> None:
    editor = await ed()
    for slug in ("old", "new", "draft"):
        await factories.tag(slug)
    p = await factories.piece("p", tags=["old"])
    await update(p, 1, {"tags": ["draft"]}, editor, NOW)
    await tagging.tag_contents([p, p], ["new"], ["old"], editor, NOW)
    assert await carried("p") == ["new"]
    assert await carried("p", EDITOR) == ["draft", "new"]
    assert (await under("new"), await under("old"), await under("draft")) == (["p"], [], [])
    assert await under("draft", EDITOR) == ["p"]
    assert await ContentVersion.all().count() == 2
    await consistent()
    # A version that nobody sees any more keeps what it said.
    await update(p, 2, {"title": "Third"}, editor, NOW)
    await tagging.tag_contents([p], [], ["draft"], editor, NOW)
    [second] = await ContentVersion.filter(version=2).prefetch_related("version_tags")
    assert len(list(second.version_tags)) == 2
    entries = await audit.AuditEntry.filter(action="contentsTag").order_by("id")
    assert entries[0].detail == {"add": ["new"], "remove": ["old"]}
    assert len(entries) == 2


@pytest.mark.parametrize(
    ("add", "remove", "error"),
    [
        (["a", "nope", "nada"], [], TagNotFound),
        ([], ["nope"], TagNotFound),
        (["a"], ["A"], Invalid),
        (["x"] * 101, [], LimitExceeded),
    ],
)
async def test_a_wrong_tag_leaves_every_content_as_it_was(
    opened: str, add: Sequence[str], remove: Sequence[str], error: type[Mistake]
) -> None:
    await factories.tag("a")
    p = await factories.piece("p")
    with pytest.raises(error) as raised:
        await tagging.tag_contents([p], add, remove, await ed(), NOW)
    if error is TagNotFound:
        assert raised.value.message == f"There is no tag {', '.join([*add[1:], *remove])}."
    assert await carried("p") == []


async def test_a_content_that_is_not_there_leaves_the_others_as_they_were(opened: str) -> None:
    await factories.tag("a")
    p = await factories.piece("p")
    with pytest.raises(ContentNotFound):
        await tagging.tag_contents([p, 98_765], ["a"], [], await ed(), NOW)
    with pytest.raises(LimitExceeded):
        await tagging.tag_contents([p] * 101, ["a"], [], await ed(), NOW)
    await tagging.tag_contents([p] * 100, [], [], await ed(), NOW)
    assert await carried("p") == []


async def test_a_content_carries_a_hundred_tags_and_no_more(embedded: str) -> None:
    editor = await ed()
    names = [f"t{number}" for number in range(101)]
    for name in names:
        await factories.tag(name)
    p = await factories.piece("p", tags=names[:100])
    with pytest.raises(LimitExceeded):
        await tagging.tag_contents([p], names[100:], [], editor, NOW)
    assert len(await carried("p")) == 100
