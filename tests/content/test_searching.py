"""Contents are found by what they say, the same on both databases as in a plain model."""

import random
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from content import filters, folding, library, lifecycle, reading, searching, shelving, tagging
from content.filters import Order, OrderField, TagFilter, Where
from content.gate import ANYBODY, Reader
from content.models import Audience, ContentStatus, Dimension, TextField, VersionText
from core import database, paging, pairs
from tests import factories, former
from tests.factories import NOW

INSIDER = Reader(True, insider=True)
EDITOR = Reader(True, insider=True, editor=True)
BUYER = Reader(True, audiences=frozenset({Audience.EVERYONE, Audience.BUYERS}))
# By what they fold to, written by hand: the model does not ask the code what a text is.
SPELLED = {
    "直播": "直播",
    "直": "直",
    "播": "播",
    "帶貨": "带货",
    "带货": "带货",
    "臺": "台",
    "台": "台",
    "茶": "茶",
    "tea": "tea",
    "Ｔｅａ": "tea",
    "STEAM": "steam",
    "teas": "teas",
    "s": "s",
    "7": "7",
    " ": " ",
    "，": " ",
    "-": " ",
    "\n": " ",
}
TAGS = {"t-live": "直播 Tea", "t-sell": "帶貨", "t-steam": "Steam"}


@dataclass(frozen=True)
class Written:
    """A content as the model knows it: folded texts by field."""

    slug: str
    texts: dict[str, str]
    tags: frozenset[str]
    at: datetime
    audience: Audience
    id: int


def folded(pieces: Sequence[str]) -> str:
    return "".join(SPELLED[piece] for piece in pieces)


def stands(part: str, text: str) -> bool:
    if re.match("[a-z0-9]", part):
        return any(word.startswith(part) for word in re.findall("[a-z0-9]+", text))
    return part in text


def found_by(what: Written, query: str, reader: Reader) -> int | None:
    """1 where the title has it all, 0 where it is found elsewhere, None where it is not found."""
    parts = re.findall("[a-z0-9]+|[^a-z0-9 ]+", query)
    texts = {
        field: text
        for field, text in what.texts.items()
        if field != "body" or reader.insider or what.audience in reader.audiences
    }
    if not all(any(stands(part, text) for text in texts.values()) for part in parts):
        return None
    return int(all(stands(part, texts["title"]) for part in parts))


async def library_of(chance: random.Random, count: int) -> list[Written]:
    for slug, name in TAGS.items():
        await factories.tag(slug)
        await tagging.update(slug, {"name": name}, (await editor()), NOW)
    made = []
    for number in range(count):
        said = {
            field: chance.choices([*SPELLED], k=chance.randint(0, most))
            for field, most in (("title", 3), ("summary", 4), ("body", 12))
        }
        said["title"] = ["台", *(each for each in said["title"] if each != "\n"), "7"]
        tags = frozenset(chance.sample(sorted(TAGS), chance.randint(0, 2)))
        texts = {field: folded(pieces) for field, pieces in said.items()}
        names = " ".join(
            {"t-live": "直播 tea", "t-sell": "带货", "t-steam": "steam"}[t] for t in tags
        )
        what = Written(
            f"p{number}",
            {**texts, "tags": names},
            tags,
            NOW + timedelta(minutes=chance.randint(0, 2)),
            chance.choice([Audience.EVERYONE, Audience.BUYERS]),
            0,
        )
        content_id = await factories.piece(
            what.slug,
            at=what.at,
            tags=sorted(tags),
            audience=what.audience,
            title="".join(said["title"]),
            summary="".join(said["summary"]),
            body="".join(said["body"]),
        )
        made.append(replace(what, id=content_id))
    return made


async def editor() -> int:
    return (await factories.person("ed")).member.id


async def slugs(search: str, reader: Reader = ANYBODY, **where: Any) -> list[str]:
    page = await reading.contents(reader, 100, where=Where(search=search, **where))
    return [edge.node.slug for edge in page.edges]


async def walked(reader: Reader, where: Where, forward: bool) -> list[str]:
    seen: list[str] = []
    cursor = None
    while True:
        asked = (3, cursor, None, None) if forward else (None, None, 3, cursor)
        page = await reading.contents(reader, *asked, where=where)
        some = [edge.node.slug for edge in page.edges]
        seen = [*seen, *some] if forward else [*some, *seen]
        if not (page.has_next if forward else page.has_previous):
            return seen
        cursor = page.edges[-1 if forward else 0].cursor


async def test_what_is_found_counted_and_paged_is_that_of_a_plain_model(opened: str) -> None:
    chance = random.Random(7)
    written = await library_of(chance, 16)
    for _ in range(40):
        pieces = chance.choices([*SPELLED], k=chance.randint(1, 4))
        query = folded(pieces)
        if not query.strip():
            continue
        reader = chance.choice([ANYBODY, BUYER, INSIDER])
        only = chance.choice([None, "t-live"])
        tags = None if only is None else TagFilter(any_of=(only,))
        ranked = [
            (rank, what.at, what.id, what.slug)
            for what in written
            if (rank := found_by(what, query, reader)) is not None
            and (only is None or only in what.tags)
        ]
        wanted = Where(search="".join(pieces), tags=tags)
        expected = [slug for *_, slug in sorted(ranked, reverse=True)]
        for forward in (True, False):
            assert await walked(reader, wanted, forward) == expected, wanted
        assert await reading.count(reader, wanted) == len(expected), wanted
        facets = await reading.facets(reader, wanted, Dimension.PRODUCT, 100)
        counts = {
            slug: sum(what.slug in expected for what in written if slug in what.tags)
            for slug in TAGS
        }
        assert {each.tag.slug: each.count for each in facets} == {
            slug: count for slug, count in counts.items() if count
        }


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("直播", ["live"]),
        ("播间", ["live"]),
        ("播帶", []),
        ("帶貨", ["live"]),
        ("带货", ["live"]),
        ("臺灣", ["tea"]),
        ("ＴＥＡ", ["tea"]),
        ("te", ["tea"]),
        ("eas", []),
        ("team", []),
        ("直播 steam", ["live"]),
        ("steam直播", ["live"]),
        ("直播 tea", []),
        ("100%_", ["live"]),
        ("00", []),
        ("茶", ["tea"]),
        ("!", []),
        ("\0", []),
        ("\ud800", []),
        ("'", []),
        ("$1 ?1 :grams", []),
        (" \u3000\n", ["tea", "live"]),
        ("", ["tea", "live"]),
        ("直播".ljust(200), ["live"]),
    ],
)
async def test_runs_stand_as_written_and_words_begin_so(
    embedded: str, search: str, found: list[str]
) -> None:
    await factories.piece("live", title="在直播间，帶货", summary="100% Steam")
    await factories.piece("tea", title="台湾", body="**Teas** 红茶")
    assert await slugs(search) == found
    assert await reading.count(ANYBODY, Where(search=search)) == len(found)


async def test_a_search_above_200_characters_or_an_order_without_one_is_refused(
    embedded: str,
) -> None:
    for where, order in (
        (Where(search="x" * 201), None),
        (Where(), filters.BEST_FIRST),
        (Where(search=" "), filters.BEST_FIRST),
    ):
        with pytest.raises(paging.BadPage):
            await reading.contents(ANYBODY, where=where, order=order)
    with pytest.raises(paging.BadPage):
        await reading.count(ANYBODY, Where(search="x" * 201))


async def test_a_cursor_of_another_search_is_refused(opened: str) -> None:
    for number in range(3):
        await factories.piece(f"p{number}", title="茶 tea")
    page = await reading.contents(ANYBODY, 1, where=Where(search="tea"))
    after = page.edges[0].cursor
    assert len((await reading.contents(ANYBODY, 5, after, where=Where(search="tea"))).edges) == 2
    for where, order in (
        (Where(search="茶"), None),
        (Where(), None),
        (Where(search="tea"), Order(OrderField.RELEVANCE, descending=False)),
        (Where(search="tea"), Order()),
    ):
        with pytest.raises(paging.BadPage):
            await reading.contents(ANYBODY, 5, after, where=where, order=order)


async def test_titles_come_first_then_the_newest(opened: str) -> None:
    for slug, title, minutes in (("a", "茶", 0), ("b", "x", 2), ("c", "茶", 1), ("d", "y", 2)):
        at = NOW + timedelta(minutes=minutes)
        await factories.piece(slug, title=title, body="茶", at=at)
    assert await slugs("茶") == ["c", "a", "d", "b"]
    for order, expected in (
        (Order(), "dbca"),
        (Order(OrderField.RELEVANCE, descending=False), "bdac"),
    ):
        page = await reading.contents(ANYBODY, where=Where(search="茶"), order=order)
        assert "".join(edge.node.slug for edge in page.edges) == expected


async def test_what_is_found_follows_edits_publishing_and_tags(opened: str) -> None:
    actor = await editor()
    await factories.tag("gone")
    await factories.tag("kept")
    content_id = await factories.piece("p", title="旧题", tags=["gone"])
    await library.update(content_id, 1, {"title": "新题"}, actor, NOW)
    assert await slugs("旧题") == await slugs("新题", EDITOR) == ["p"]
    assert await slugs("新题") == await slugs("旧题", EDITOR) == []
    await lifecycle.publish(content_id, 2, None, actor, NOW)
    assert (await slugs("旧题"), await slugs("新题")) == ([], ["p"])
    await tagging.update("gone", {"name": "直播"}, actor, NOW)
    assert (await slugs("gone"), await slugs("直播")) == ([], ["p"])
    await tagging.merge("gone", "kept", actor, NOW)
    assert (await slugs("直播"), await slugs("kept")) == ([], ["p"])
    await tagging.tag_contents([content_id], [], ["kept"], actor, NOW)
    assert await slugs("kept") == []
    rows = await VersionText.all().values_list("field", "search")
    assert rows == [(TextField.TITLE, " 新题")]
    await lifecycle.archive(content_id, actor, NOW)
    assert await slugs("新题") == []
    assert await slugs("新题", EDITOR, statuses=(ContentStatus.ARCHIVED,)) == ["p"]


async def test_nothing_is_written_where_nothing_changed(opened: str) -> None:
    await factories.tag("tea")
    content_id = await factories.piece("p", summary="s", body="b", tags=["tea"])
    before = await VersionText.all().order_by("id").values_list("id", "search")
    await database.unit_of_work(shelving.shelve)(content_id)
    assert await VersionText.all().order_by("id").values_list("id", "search") == before
    assert [search for _, search in before] == [" p", " s", " b", " tea"]


async def test_a_word_in_a_gated_body_is_found_by_who_may_read_it_alone(opened: str) -> None:
    await factories.piece("gated", title="茶会", body="秘密", audience=Audience.BUYERS)
    await factories.piece("open", title="x", body="秘密")
    for reader in (BUYER, INSIDER, EDITOR):
        assert sorted(await slugs("秘密", reader)) == ["gated", "open"]
    assert await slugs("秘密") == ["open"]
    assert await slugs("秘密 茶会") == []
    assert await slugs("茶会") == ["gated"]


def test_a_piece_around_the_first_match_is_shown_with_all_matches_in_it() -> None:
    body = "x" * 99 + "！直播" + "。" * 158 + "直播直播"
    texts = {
        TextField.TITLE: "Ｔｅａ直播",
        TextField.SUMMARY: "nothing",
        TextField.BODY: body,
        TextField.TAGS: None,
    }
    title, shown = searching.highlights(folding.terms("直播 te"), texts)
    assert (title.field, title.text, title.ranges) == (
        TextField.TITLE,
        "Ｔｅａ直播",
        [(0, 2), (3, 5)],
    )
    assert shown.field is TextField.BODY
    assert len(shown.text) == searching.PIECE_CHARACTERS
    assert [shown.text[begin:end] for begin, end in shown.ranges] == ["直播"]
    assert shown.ranges == [(40, 42)]


@pytest.mark.parametrize("written", ["\U00020000\U00020002 \U00020001", "\U00020001\U00020000"])
async def test_characters_beyond_the_basic_plane_are_found_where_they_stand_together(
    opened: str, written: str
) -> None:
    await factories.piece("rare", title=f"古籍{written}")
    assert await slugs("\U00020000\U00020001") == []
    for piece in (written, "\U00020000", "\U00020001", f"古籍{written[:1]}"):
        assert await slugs(piece) == ["rare"], piece


@pytest.fixture(params=former.KINDS)
async def before(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """A database as it was before there was a search."""
    async with former.opened(
        request.param, tmp_path, "content", "0002_versions_and_tag_trees"
    ) as url:
        yield url


async def test_contents_that_were_there_before_have_their_locales_in_the_usual_case(
    before: str,
) -> None:
    for slug, locale in (("a", "zh-cn"), ("b", "EN"), ("c", "zh-CN")):
        await database.rows(
            """INSERT INTO content (slug, kind, status, locale, version, created_at)
            VALUES ($2, 'ARTICLE', 'DRAFT', $3, 1, $1)""",
            *(NOW, slug, locale),
        )
    assert "content.0006_pending" in await database.migrate()
    found = await database.rows("SELECT slug, locale FROM content ORDER BY slug")
    assert [row["locale"] for row in found] == ["zh-CN", "en", "zh-CN"]


async def test_contents_that_were_there_before_are_found(before: str) -> None:
    at = (NOW,)
    await database.rows(
        """INSERT INTO content (slug, kind, status, locale, version, published_version,
            published_at, created_at)
        VALUES ('old', 'ARTICLE', 'PUBLISHED', 'en', 3, 2, $1, $1)""",
        *at,
    )
    for version, title in enumerate(("茶一", "茶二", "茶三"), 1):
        await database.rows(
            """INSERT INTO content_version (content_id, version, title, summary, body, body_html,
                audience, saved_at, updated_at)
            SELECT id, $2, $3, '', '帶貨', '', 'EVERYONE', $1, $1 FROM content""",
            *at,
            version,
            title,
        )
    await database.rows("INSERT INTO tag (dimension, slug, name) VALUES ('USER', 'x', '直播')")
    await database.rows(
        """INSERT INTO version_tag (version_id, tag_id)
        SELECT v.id, t.id FROM content_version v CROSS JOIN tag t"""
    )
    assert "content.0003_search" in await database.migrate()
    assert await VersionText.all().count() == 6
    for search in ("茶二", "带货", "直播"):
        assert await slugs(search) == ["old"], search
    assert await slugs("茶三", EDITOR) == ["old"]
    assert await slugs("茶三") == await slugs("茶一", EDITOR) == []
    await library.update(1, 3, {"title": "茶四"}, await editor(), NOW)
    assert (await slugs("茶三", EDITOR), await slugs("茶四", EDITOR)) == ([], ["old"])


async def test_an_index_of_an_older_form_is_made_anew(before: str) -> None:
    await former.migrate(before, "content", "0005_lists")
    for statement in FILL:
        await database.rows(statement, *([NOW] if "$1" in statement else []))
    if not database.is_postgres():
        for row in await database.rows("SELECT id, search FROM version_text"):
            text = row["search"]
            grams = {text[at : at + size] for size in (1, 2) for at in range(len(text) + 1 - size)}
            await database.execute(
                "INSERT INTO version_text_bigrams (rowid, grams) VALUES ($1, $2)",
                *(row["id"], " ".join(gram.encode().hex() for gram in grams)),
            )
    await database.migrate()
    assert await slugs("红茶") == ["c5000", "c4000", "c3000", "c2000", "c1000"]
    assert await slugs("c77") == [f"c{number}" for number in (*range(779, 769, -1), 77)]


FILL = (
    """INSERT INTO content (id, slug, kind, status, locale, version, published_version,
        published_at, created_at, audience, listed)
    SELECT n, 'c' || n, 'ARTICLE', 'PUBLISHED', 'en', 1, 1, $1, $1, 'EVERYONE', TRUE
    FROM (WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers
          WHERE n < 5000) SELECT n FROM numbers) AS every""",
    """INSERT INTO content_version (id, content_id, version, title, summary, body, body_html,
        audience, saved_at, updated_at)
    SELECT id, id, 1, slug, '', '', '', 'EVERYONE', created_at, created_at FROM content""",
    """INSERT INTO version_text (version_id, field, search)
    SELECT id, 'TITLE', ' ' || title FROM content_version""",
    """INSERT INTO version_text (version_id, field, search)
    SELECT id, 'SUMMARY', ' 红茶' FROM content_version WHERE id % 1000 = 0""",
)
WHOLE = re.compile(
    r"Seq Scan on (content|content_version|version_text)\b"
    r"|Index[ \w]* Scan using (?!content_pkey)\w+ on content c\b"
    r"|SCAN (c|v|s)\b|SEARCH c USING (?!INTEGER PRIMARY KEY)"
)


async def test_a_search_of_two_characters_goes_through_no_table(
    opened: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for statement in FILL:
        await database.rows(statement, *([NOW] if "$1" in statement else []))
    if not database.is_postgres():
        for row in await database.rows("SELECT id, search FROM version_text"):
            await database.execute(
                "INSERT INTO version_text_bigrams (rowid, grams) VALUES ($1, $2)",
                row["id"],
                pairs.held(row["search"]),
            )
    plans: dict[str, str] = {}
    explain = "EXPLAIN" if database.is_postgres() else "EXPLAIN QUERY PLAN"
    rows = database.rows

    async def explained(sql: str, *values: Any) -> list[dict[str, Any]]:
        plan = await rows(f"{explain} {sql}", *values)
        plans[sql] = "\n".join(str([*step.values()]) for step in plan)
        return await rows(sql, *values)

    monkeypatch.setattr(database, "rows", explained)
    for order in (None, Order()):
        for reader in (ANYBODY, EDITOR):
            wanted = Where(search="红茶")
            page = await reading.contents(reader, 2, where=wanted, order=order)
            assert [edge.node.slug for edge in page.edges] == ["c5000", "c4000"]
            assert await reading.count(reader, wanted) == 5
            assert await reading.facets(reader, wanted, Dimension.PRODUCT, 5) == []
    searched = {sql: plan for sql, plan in plans.items() if "version_text" in sql}
    assert len(searched) >= 6
    for sql, plan in searched.items():
        assert "version_text_bigrams" in plan, (sql, plan)
        assert WHOLE.search(plan) is None, (sql, plan)
