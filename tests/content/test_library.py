"""Writing contents: begun, saved as versions, restored."""

import asyncio
from datetime import timedelta

import pytest

from content import history, library, reading
from content.drafts import Given
from content.errors import (
    LimitExceeded,
    MediaNotFound,
    SlugTaken,
    StaleVersion,
    TagNotFound,
    TierNotFound,
    VersionNotFound,
)
from content.gate import ANYBODY, Reader
from content.models import (
    Audience,
    Content,
    ContentKind,
    ContentStatus,
    Media,
)
from content.reading import Piece
from core.errors import Invalid, Mistake, Required, TooLong
from members.models import DowngradePolicy, Role, Tier
from tests import factories
from tests.factories import NOW

EDITOR = Reader(True, insider=True, editor=True)
LATER = NOW + timedelta(hours=1)


async def ed() -> int:
    return (await factories.person("ed", Role.REVIEWER)).member.id


async def newest(slug: str) -> Piece:
    piece = await reading.by_slug(EDITOR, slug)
    assert piece is not None
    return piece


async def body_of(piece: Piece) -> str:
    return (await reading.texts([piece.version_id]))[piece.version_id].body


async def test_editing_what_is_published_makes_a_version_that_editors_alone_see(
    opened: str,
) -> None:
    editor = await ed()
    tea = await factories.piece("tea", title="Old", body="old", summary="s", share_text="words")
    await library.update(tea, 1, {"title": "New", "share_text": None}, editor, LATER)
    seen = await reading.by_slug(ANYBODY, "tea")
    assert seen is not None
    assert (seen.title, seen.version, seen.published_version, seen.pending_status) == (
        "Old",
        1,
        1,
        None,
    )
    assert (seen.updated_at, seen.share_text) == (NOW, "words")
    mine = await newest("tea")
    assert (mine.title, mine.version, mine.published_version, mine.pending_status) == (
        "New",
        2,
        1,
        ContentStatus.DRAFT,
    )
    assert (mine.summary, mine.share_text, mine.updated_at) == ("s", None, LATER)
    assert await body_of(mine) == "old"


async def test_a_stale_version_writes_nothing(opened: str) -> None:
    editor = await ed()
    tea = await factories.piece("tea", status=ContentStatus.DRAFT)
    await library.update(tea, 1, {"body": "mine"}, editor, NOW)
    for expected in (1, 3):
        with pytest.raises(StaleVersion) as raised:
            await library.update(tea, expected, {"body": "theirs"}, editor, NOW, slug="cha")
        assert "version 2" in raised.value.message
        with pytest.raises(StaleVersion):
            await library.restore(tea, 1, expected, editor, NOW)
    piece = await newest("tea")
    assert (piece.version, piece.slug, await body_of(piece)) == (2, "tea", "mine")


async def test_two_editors_who_save_at_once_make_one_version(opened: str) -> None:
    editor = await ed()
    tea = await factories.piece("tea", status=ContentStatus.DRAFT)
    saves = [library.update(tea, 1, {"body": str(n)}, editor, NOW) for n in range(4)]
    ended = await asyncio.gather(*saves, return_exceptions=True)
    assert [type(each) for each in ended if each] == [StaleVersion] * 3
    assert (await newest("tea")).version == 2


async def test_an_old_version_is_copied_forward_with_its_tags(opened: str) -> None:
    editor = await ed()
    await factories.tag("a")
    await factories.tag("b")
    first: Given = {"title": "One", "body": "1", "tags": ["a"], "audience": Audience.STAFF}
    tea = await factories.piece("tea", status=ContentStatus.DRAFT, **first)
    changes: Given = {"title": "Two", "body": "2", "tags": ["b"], "audience": Audience.BUYERS}
    await library.update(tea, 1, changes, editor, NOW)
    await library.restore(tea, 1, 2, editor, LATER)
    piece = await newest("tea")
    assert (piece.version, piece.title, piece.audience, await body_of(piece)) == (
        3,
        "One",
        Audience.STAFF,
        "1",
    )
    tags = (await reading.tags_by_version([piece.version_id]))[piece.version_id]
    assert [tag.slug for tag in tags] == ["a"]
    for version in (0, 4, -1):
        with pytest.raises(VersionNotFound):
            await library.restore(tea, version, 3, editor, NOW)


async def test_a_version_for_a_tier_that_is_no_more_is_not_restored(opened: str) -> None:
    editor = await ed()
    tier = await Tier.create(
        code="board", name="Board", rank=3, rule={}, downgrade=DowngradePolicy.NEVER
    )
    tea = await factories.piece("tea", status=ContentStatus.DRAFT, min_tier="board")
    await library.update(tea, 1, {"min_tier": None}, editor, NOW)
    await library.restore(tea, 1, 2, editor, NOW)
    await library.restore(tea, 2, 3, editor, NOW)
    await Tier.filter(id=tier.id).update(rank=-1)
    with pytest.raises(TierNotFound) as raised:
        await library.restore(tea, 1, 4, editor, NOW)
    assert list(raised.value.field) == ["version"]
    assert (await newest("tea")).version == 4


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("zh-cn", "zh-CN"),
        ("EN", "en"),
        ("zh-hant-tw", "zh-Hant-TW"),
        ("en-us-X-TW-hant", "en-US-x-tw-hant"),
        ("de-1996", "de-1996"),
    ],
)
async def test_a_locale_is_kept_in_its_usual_case(embedded: str, given: str, kept: str) -> None:
    tea = await factories.piece("tea", locale=given)
    assert (await Content.get(id=tea)).locale == kept


async def test_an_old_slug_of_a_content_goes_on_working_and_stays_taken(opened: str) -> None:
    editor = await ed()
    tea = await factories.piece("tea")
    await library.update(tea, 1, {}, editor, NOW, slug=" Chá ")
    for slug in ("tea", "chá", "CHÁ"):
        piece = await reading.by_slug(ANYBODY, slug)
        assert piece is not None
        assert piece.slug == "chá"
    for slug in ("tea", "Chá"):
        with pytest.raises(SlugTaken):
            await factories.piece(slug)
    other = await factories.piece("other")
    with pytest.raises(SlugTaken):
        await library.update(other, 1, {}, editor, NOW, slug="Tea")
    await library.update(tea, 2, {}, editor, NOW, slug="tea")
    assert (await newest("chá")).slug == "tea"


async def test_a_body_is_rendered_once_and_nothing_in_it_runs(opened: str) -> None:
    body = "# T\n\n<script>alert(1)</script>\n\n[a](javascript:x) ![b](https://x.example/b.jpg)"
    await factories.piece("tea", body=body)
    piece = await newest("tea")
    html = (await reading.texts([piece.version_id]))[piece.version_id].html
    assert html.startswith("<h1>T</h1>")
    assert '<img src="https://x.example/b.jpg" alt="b">' in html
    assert "<script" not in html
    assert 'href="javascript' not in html


WRONG: dict[str, tuple[Given, type[Mistake], str]] = {
    "no title": ({"title": " "}, Required, "title"),
    "long title": ({"title": "x" * 301}, TooLong, "title"),
    "two lines of title": ({"title": "a\nb"}, Invalid, "title"),
    "long summary": ({"summary": "x" * 2_001}, TooLong, "summary"),
    "long body": ({"body": "x" * 500_001}, TooLong, "body"),
    "NUL": ({"body": "a\0b"}, Invalid, "body"),
    "half a character": ({"summary": "\ud800"}, Invalid, "summary"),
    "long share text": ({"share_text": "x" * 2_001}, TooLong, "shareText"),
    "a script for a cover": ({"cover_url": "javascript:alert(1)"}, Invalid, "coverUrl"),
    "another host in disguise": ({"cover_url": "//evil.example/x"}, Invalid, "coverUrl"),
    "words for a cover": ({"cover_url": "a picture"}, Invalid, "coverUrl"),
    "no host": ({"cover_url": "https://"}, Invalid, "coverUrl"),
    "half an address": ({"cover_url": "https://[x"}, Invalid, "coverUrl"),
    "an unknown tag": ({"tags": ["a", "nope"]}, TagNotFound, "tags"),
    "too many tags": ({"tags": ["a"] * 101}, LimitExceeded, "tags"),
    "an unknown tier": ({"min_tier": "nope"}, TierNotFound, "minTier"),
    "a tier that was left out": ({"min_tier": "gone"}, TierNotFound, "minTier"),
    "a tier that cannot be": ({"min_tier": "\0"}, TierNotFound, "minTier"),
    "an unknown medium": ({"media": [98_765]}, MediaNotFound, "media"),
    "too many media": ({"media": [1] * 101}, LimitExceeded, "media"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_what_a_version_cannot_say_is_refused_with_its_field(
    embedded: str, name: str
) -> None:
    given, error, field = WRONG[name]
    editor = await ed()
    await factories.tag("a")
    await Tier.create(code="gone", name="Gone", rank=-1, rule={}, downgrade=DowngradePolicy.NEVER)
    tea = await factories.piece("tea")
    new = library.NewContent("new", ContentKind.ARTICLE, "en")
    for attempt in (
        lambda: library.update(tea, 1, given, editor, NOW, slug="cha"),
        lambda: library.create(new, {"title": "T", **given}, editor, NOW),
    ):
        with pytest.raises(error) as raised:
            await attempt()
        assert list(raised.value.field) == [field]
    assert await Content.all().count() == 1
    assert (await newest("tea")).version == 1
    assert await reading.by_slug(EDITOR, "cha") is None


async def test_the_longest_and_the_most_are_taken(embedded: str) -> None:
    media = [await Media.create(url="https://x.example/1", mime="image/png") for _ in range(2)]
    given: Given = {
        "title": "茶" * 300,
        "summary": "s" * 2_000,
        "body": "x" * 500_000,
        "share_text": "w" * 2_000,
        "cover_url": "/assets/cover.webp",
        "media": [media[1].id, media[0].id, media[1].id],
    }
    await factories.piece("tea", **given)
    piece = await newest("tea")
    assert (len(piece.title), piece.cover_url) == (300, "/assets/cover.webp")
    found = (await reading.media_by_version([piece.version_id]))[piece.version_id]
    assert [each.id for each in found] == given["media"]


@pytest.mark.parametrize("locale", ["", "chinese language", "zh_CN", "zh-" + "x" * 18, "é"])
async def test_what_is_no_locale_is_refused(embedded: str, locale: str) -> None:
    with pytest.raises(Invalid) as raised:
        await factories.piece("tea", locale=locale)
    assert list(raised.value.field) == ["locale"]


async def test_a_diff_names_what_changed_and_nothing_else(opened: str) -> None:
    editor = await ed()
    await factories.tag("a")
    tea = await factories.piece("tea", title="Old", body="one\ntwo\nthree", tags=["a"])
    await library.update(tea, 1, {"title": "New", "body": "one\n2\nthree"}, editor, NOW)
    lines = (await history.diff(tea, 1, 2)).splitlines()
    assert lines[:2] == ["--- version 1", "+++ version 2"]
    changed = [line for line in lines[2:] if line[0] in "+-"]
    assert changed == ["-title: Old", "+title: New", "-two", "+2"]
    assert await history.diff(tea, 2, 2) == ""
    with pytest.raises(VersionNotFound):
        await history.diff(tea, 1, 3)


async def test_a_diff_names_media_by_their_addresses(embedded: str) -> None:
    editor = await ed()
    urls = ["/assets/a.jpg", "https://v.example/b.mp4"]
    one, two = [(await Media.create(url=url, mime="video/mp4")).id for url in urls]
    tea = await factories.piece("tea", media=[one])
    await library.update(tea, 1, {"media": [two, one]}, editor, NOW)
    lines = (await history.diff(tea, 1, 2)).splitlines()
    changed = [line for line in lines[2:] if line[0] in "+-"]
    assert changed == ["-media: /assets/a.jpg", "+media: https://v.example/b.mp4, /assets/a.jpg"]


async def test_a_diff_of_too_many_lines_is_refused(embedded: str) -> None:
    editor = await ed()
    head = 9  # lines above the body
    body = "\n".join("x" * (history.MOST_LINES - head))
    tea = await factories.piece("tea", body=body)
    await library.update(tea, 1, {"body": f"{body}\nx"}, editor, NOW)
    assert await history.diff(tea, 1, 1) == ""
    with pytest.raises(LimitExceeded) as raised:
        await history.diff(tea, 1, 2)
    assert list(raised.value.field) == ["to"]
