"""Rows that come in: each by itself, again without a trace, and out as they came."""

import json
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from content import batches, exporting, import_jobs, importing, lifecycle, reading, rows, tagging
from content.ahead import process
from content.errors import (
    DimensionElsewhere,
    InvalidTransition,
    KindElsewhere,
    ParentElsewhere,
    TierNotFound,
)
from content.filters import Where
from content.gate import ANYBODY
from content.importing import Outcome
from content.models import (
    Audience,
    Content,
    ContentStatus,
    ContentVersion,
    Dimension,
    Tag,
    TagSlug,
)
from core import audit, database, outbox
from core.errors import Invalid, Mistake, Required, TooLong
from core.jobs import Job, JobItem, JobStatus
from members.models import Role
from tests import factories
from tests.content import test_tagging
from tests.factories import NOW

NEW, CHANGED, UNCHANGED = Outcome
DAY = timedelta(days=1)
TEA = {"dimension": "PRODUCT", "slug": "tea", "name": "Tea"}
GREEN = {"dimension": "PRODUCT", "slug": "Green Tea", "name": "Green tea", "parent": TEA}


def said(slug: str = "spring", **more: Any) -> dict[str, Any]:
    return {"slug": slug, "title": slug.title(), **more}


async def bring(*items: dict[str, Any]) -> Sequence[Outcome | type[Mistake]]:
    """What became of each; of a mistake its class."""
    given = [rows.read(item) for item in items]
    outcomes = await importing.bring(given, None, NOW)
    return [each if isinstance(each, Outcome) else type(each) for each in outcomes]


async def in_turn(*parts: Sequence[dict[str, Any]], executor: Executor | None) -> list[Any]:
    """The same, batch by batch."""
    given = [[rows.read(item) for item in part] for part in parts]
    ends = batches.in_turn(given, importing.bring, lambda: NOW, executor)
    outcomes = [each async for some in ends for each in some]
    return [each if isinstance(each, Outcome) else type(each) for each in outcomes]


async def exported() -> list[dict[str, Any]]:
    found: list[Any] = []
    await exporting.export(lambda row: found.append(json.loads(json.dumps(rows.write(row)))))
    return found


async def state(slug: str = "spring") -> tuple[Any, ...]:
    content = await Content.get(slug=slug)
    return content.status, content.pending_status, content.version, content.published_version


# ---- batch by batch


@pytest.mark.parametrize("beside", [False, True])
async def test_batches_that_are_prepared_ahead_come_in_as_one_does(
    opened: str, beside: bool
) -> None:
    shown = {"status": "PUBLISHED"}
    many = [said(f"piece-{each}", body=f"**{each}**\r\n帶貨 ", **shown) for each in range(60)]
    refused = [said("half", body="\ud800"), said("long", body="x" * 500_001)]
    again = [many[0], said("piece-1", body="new", **shown), said("last", **shown)]
    with process() if beside else nullcontext() as executor:
        ends = await in_turn(many, refused, again, executor=executor)
    assert ends == [NEW] * 60 + [Invalid, TooLong] + [UNCHANGED, CHANGED, NEW]
    version = await ContentVersion.get(title="Piece-59")
    assert (version.body, version.body_html) == (
        "**59**\n帶貨",
        "<p><strong>59</strong>\n帶貨</p>\n",
    )
    for search, count in (("带货", 59), ("59", 1), ("new", 1), ("piece", 60), ("last", 1)):
        assert await reading.count(ANYBODY, Where(search=search)) == count, search


async def test_no_batch_is_no_outcome(opened: str) -> None:
    assert await in_turn(executor=None) == []


# ---- what a row may say


@pytest.mark.parametrize(
    ("wrong", "mistake"),
    [
        ([], Invalid),
        ({"title": "x"}, Required),
        ({"slug": "a/b", "title": "x"}, Invalid),
        ({"slug": "x" * 101, "title": "x"}, TooLong),
        (said(coverURL="/x"), Invalid),
        (said(kind="article"), Invalid),
        (said(status="GONE"), Invalid),
        (said(title=3), Invalid),
        (said(tags="tea"), Invalid),
        (said(tags=[{"dimension": "X", "slug": "x", "name": "x"}]), Invalid),
        (said(tags=[{"dimension": "USER", "slug": 1}]), Invalid),
        (said(tags=[{"slug": "x", "colour": "red"}]), Invalid),
        (said(publishedAt="yesterday"), Invalid),
        (said(publishedAt="0001-01-01T00:00:00+14:00"), Invalid),
    ],
)
def test_what_is_no_row_is_refused(wrong: object, mistake: type[Mistake]) -> None:
    with pytest.raises(mistake):
        rows.read(wrong)


def test_an_instant_without_a_zone_is_in_utc() -> None:
    assert rows.read(said(publishedAt="2026-03-01 12:00")).published_at == NOW
    assert rows.read(said(publishedAt="2026-03-01T20:00:00+08:00")).published_at == NOW


# ---- new contents


async def test_a_row_makes_a_content_with_its_tags_and_those_above(opened: str) -> None:
    mei = await factories.person("mei", Role.EDITOR)
    first = said(tags=[GREEN], author="Mei@Example.com", status="PUBLISHED", body="# Tea")
    assert await bring({**first, "publishedAt": "2020-01-02"}) == [NEW]
    assert await state() == (ContentStatus.PUBLISHED, None, 1, 1)
    content = await Content.get(slug="spring")
    assert content.author_id == mei.member.id
    assert content.published_at is not None
    assert content.published_at.year == 2020
    assert "<h1>" in (await ContentVersion.get(content_id=content.id)).body_html
    green = await Tag.get(slug="green-tea").select_related("parent")
    assert (green.name, green.parent and green.parent.slug) == ("Green tea", "tea")


async def test_an_author_without_an_account_is_nobody(opened: str) -> None:
    await bring(said(author="Lu Xun"), said("b", author="\0"))
    assert await Content.filter(author_id__isnull=True).count() == 2


async def test_rows_begin_where_they_say(opened: str) -> None:
    later = (NOW + DAY).isoformat()
    items = [
        said(status.lower(), status=status, publishedAt="2020-01-02")
        for status in ("DRAFT", "IN_REVIEW", "ARCHIVED", "PUBLISHED", "SCHEDULED")
    ]
    items += [said("a", status="PUBLISHED", publishedAt=later)]
    items += [said("b", status="SCHEDULED", publishedAt=later)]
    assert await bring(*items) == [NEW] * 7
    found = {each.slug: each.status for each in await Content.all()}
    assert found == {
        "draft": "DRAFT",
        "in_review": "IN_REVIEW",
        "archived": "ARCHIVED",
        "published": "PUBLISHED",
        "scheduled": "PUBLISHED",
        "a": "SCHEDULED",
        "b": "SCHEDULED",
    }
    while await lifecycle.work(NOW + 2 * DAY):
        pass
    assert await Content.filter(status="PUBLISHED").count() == 4
    assert (await Content.get(slug="a")).published_at == NOW + DAY


async def test_only_what_is_published_has_a_time_to_come(opened: str) -> None:
    later = (NOW + DAY).isoformat()
    assert await bring(said("a", publishedAt=later), said("b", status="SCHEDULED"), said("c")) == [
        Invalid,
        Required,
        NEW,
    ]


# ---- refused rows


async def test_a_refused_row_leaves_nothing_and_its_neighbours_land(opened: str) -> None:
    other = {"dimension": "USER", "slug": "new", "name": "New"}
    clash = {"dimension": "USER", "slug": "tea", "name": "Tea"}
    await bring(said("held", tags=[TEA], status="ARCHIVED"))
    assert await bring(
        said("a", tags=[other, clash]),
        said("held", tags=[other], status="PUBLISHED"),
        said("b", tags=[other, {"slug": "unknown"}]),
        said("c", tags=[TEA, other]),
        said("d", title=""),
        said("held", kind="VIDEO"),
        said("e", minTier="gold"),
    ) == [
        DimensionElsewhere,
        InvalidTransition,
        Required,
        NEW,
        Required,
        KindElsewhere,
        TierNotFound,
    ]
    assert {each.slug for each in await Content.all()} == {"held", "c"}
    assert {each.slug for each in await TagSlug.all()} == {"tea", "new"}
    assert await state("held") == (ContentStatus.ARCHIVED, None, 1, None)
    assert await ContentVersion.all().count() == 2


def _chain(levels: int) -> dict[str, Any]:
    """A tag that stands as deep as that, with all above it."""
    tag = {"dimension": "PRODUCT", "slug": "level-1", "name": "1"}
    for level in range(2, levels + 1):
        tag = {"dimension": "PRODUCT", "slug": f"level-{level}", "name": "x", "parent": tag}
    return tag


async def test_tags_of_one_batch_stand_below_each_other_and_below_older_ones(opened: str) -> None:
    cup = {"dimension": "PRODUCT", "slug": "Cup", "name": "Cup", "parent": "level-3"}
    deep = {"dimension": "PRODUCT", "slug": "deep", "name": "Deep", "parent": "level-10"}
    assert await bring(said("old", tags=[_chain(3)])) == [NEW]
    assert await bring(
        said("a", tags=[cup, {**cup, "slug": "lid", "parent": "cup"}]),
        said("b", tags=[{"dimension": "PRODUCT", "slug": "saucer", "parent": cup}]),
        said("c", tags=[_chain(10)]),
        said("d", tags=[{**cup, "slug": "spoon"}, deep]),
        said("old", title="Changed", tags=[{**cup, "slug": "bowl"}]),
        said("old", title="Refused", tags=[{**cup, "slug": "fork"}, deep]),
        said("e", tags=["level-10", "bowl", {**cup, "slug": "level-1", "dimension": "PRODUCT"}]),
    ) == [NEW, NEW, NEW, Invalid, CHANGED, Invalid, NEW]
    await test_tagging.consistent()
    above = {
        slug: await database.firsts(
            "SELECT a.slug FROM tag t JOIN tag_ancestor up ON up.tag_id = t.id "
            "JOIN tag a ON a.id = up.ancestor_id WHERE t.slug = $1 AND a.id <> t.id "
            "ORDER BY a.slug",
            slug,
        )
        for slug in ("lid", "saucer", "bowl", "level-4")
    }
    low = ["level-1", "level-2", "level-3"]
    assert above == {"lid": ["cup", *low], "saucer": ["cup", *low], "bowl": low, "level-4": low}
    assert not await TagSlug.filter(slug__in=["spoon", "fork", "deep"]).exists()
    trail = await audit.AuditEntry.filter(action="tagCreate").order_by("id")
    cup_id = (await Tag.get(slug="cup")).id
    told = {entry.detail["slug"]: entry.detail for entry in trail}
    assert [entry.detail for entry in trail if entry.subject_id == cup_id] == [told["cup"]]
    assert told["lid"] == {"slug": "lid", "name": "Cup", "parent": "cup"}
    assert told.keys() == {tag.slug for tag in await Tag.all()}


async def test_a_parent_of_another_side_is_refused_in_one_batch(opened: str) -> None:
    wrong = {"dimension": "USER", "slug": "wish", "name": "Wish", "parent": "tea"}
    assert await bring(
        said("a", tags=[TEA]), said("b", tags=[wrong]), said("c", tags=["wish"])
    ) == [
        NEW,
        ParentElsewhere,
        Required,
    ]
    assert await Tag.all().count() == 1


async def test_an_old_slug_of_a_tag_finds_it(opened: str) -> None:
    ed = (await factories.person("ed", Role.EDITOR)).member.id
    await factories.tag("char")
    await tagging.update("char", {"slug": "tea"}, ed, NOW)
    below = {"dimension": "PRODUCT", "slug": "green", "name": "Green", "parent": "char"}
    assert await bring(said(tags=["char", "tea", below])) == [NEW]
    assert await database.firsts("SELECT slug FROM tag ORDER BY id") == ["tea", "green"]
    detail = (await audit.AuditEntry.filter(action="tagCreate").order_by("-id").first()).detail  # type: ignore[union-attr]
    assert detail["parent"] == "tea"


async def test_a_rehearsal_says_the_same_and_writes_nothing(opened: str) -> None:
    given = [rows.read(said(tags=[GREEN])), rows.read(said("b", title=""))]
    new, wrong = await importing.rehearse(given, None, NOW)
    assert new is NEW
    assert isinstance(wrong, Required)
    assert await Content.all().count() == await Tag.all().count() == 0


# ---- the same rows again, and others


async def test_the_same_row_again_makes_no_version(opened: str) -> None:
    item = said(tags=[GREEN], status="PUBLISHED", summary=" s ", body="a\r\nb")
    assert await bring(item, item) == [NEW, UNCHANGED]
    assert await bring(item) == [UNCHANGED]
    assert await state() == (ContentStatus.PUBLISHED, None, 1, 1)


async def test_a_changed_row_makes_one_version(opened: str) -> None:
    item = said(status="PUBLISHED", tags=[TEA])
    await bring(item)
    for change in ({"title": "Other"}, {"title": "Other", "tags": []}):
        assert await bring({**item, **change}) == [CHANGED]
        assert await bring({**item, **change}) == [UNCHANGED]
    assert await state() == (ContentStatus.PUBLISHED, None, 3, 3)


async def test_a_draft_of_what_is_published_comes_beside_it(opened: str) -> None:
    await bring(said(status="PUBLISHED"))
    assert await bring(said(title="Newer")) == [CHANGED]
    assert await state() == (ContentStatus.PUBLISHED, ContentStatus.DRAFT, 2, 1)
    assert await bring(said(title="Newer", status="IN_REVIEW")) == [CHANGED]
    assert await bring(said(status="PUBLISHED")) == [UNCHANGED]
    assert await bring(said(title="Newer", status="PUBLISHED")) == [CHANGED]
    assert await state() == (ContentStatus.PUBLISHED, None, 2, 2)


async def test_an_old_slug_finds_its_content(opened: str) -> None:
    from content import library

    ed = await factories.person("ed", Role.EDITOR)
    await bring(said())
    content = await Content.get(slug="spring")
    await library.update(content.id, 1, {}, ed.member.id, NOW, slug="summer")
    assert await bring(said(title="Spring")) == [UNCHANGED]
    assert await Content.all().count() == 1


async def test_what_a_row_does_not_speak_of_stays_gated(opened: str) -> None:
    await factories.ladder()
    await bring(said(audience="STAFF", minTier="gold", status="PUBLISHED"))
    await bring(said(title="Other", status="PUBLISHED"))
    version = await ContentVersion.get(version=2)
    assert version.audience is Audience.STAFF
    assert version.min_tier_id is not None


async def test_what_a_row_does_not_speak_of_stays(opened: str) -> None:
    full = said(coverUrl="/c.png", summary="s", body="b", shareText="go", status="PUBLISHED")
    assert await bring(full, said(title="Other", status="PUBLISHED")) == [NEW, CHANGED]
    version = await ContentVersion.get(version=2)
    assert (version.title, version.cover_url) == ("Other", "/c.png")
    assert (version.summary, version.body, version.share_text) == ("s", "b", "go")
    assert await bring(said(title="Other", status="PUBLISHED")) == [UNCHANGED]


@pytest.mark.parametrize("empty", [None, ""])
async def test_what_a_row_says_is_empty_is_emptied(embedded: str, empty: str | None) -> None:
    await bring(said(coverUrl="/c.png", summary="s", body="b", shareText="go"))
    assert await bring(said(coverUrl=empty, summary=empty, body=empty, shareText=empty)) == [
        CHANGED
    ]
    version = await ContentVersion.get(version=2)
    assert (version.cover_url, version.share_text) == (None, None)
    assert (version.summary, version.body, version.body_html) == ("", "", "")


# ---- out and in again


async def _library() -> None:
    """A content in every state, with everything that a row may say."""
    await factories.ladder()
    await factories.person("mei", Role.EDITOR)
    later = (NOW + DAY).isoformat()
    full = {
        "tags": [GREEN],
        "author": "mei@example.com",
        "summary": "s",
        "body": '# b\n\n茶 "',
        "coverUrl": "/c.png",
        "shareText": "go",
        "audience": "STAFF",
        "minTier": "gold",
        "kind": "CASE",
        "locale": "en",
        "publishedAt": "2020-01-02T03:04:05.678901Z",
    }
    for status in ("DRAFT", "IN_REVIEW", "ARCHIVED", "PUBLISHED"):
        await bring(said(status.lower(), status=status, **full), said(f"{status}-b", status=status))
    await bring(said("s", status="SCHEDULED", publishedAt=later))
    await bring(said("p", status="PUBLISHED"), said("p", title="P2", status="DRAFT"))
    await bring(said("q", status="PUBLISHED"))
    await bring(said("q", title="Q2", status="SCHEDULED", publishedAt=later))


async def test_importing_an_export_changes_nothing(opened: str) -> None:
    await _library()
    first = await exported()
    assert set(await bring(*first)) == {UNCHANGED}
    assert await exported() == first
    for slug, dimension in (("tea", Dimension.PRODUCT), ("green-tea", Dimension.PRODUCT)):
        assert (await Tag.get(slug=slug)).dimension is dimension


async def test_an_export_makes_the_same_library_elsewhere(sqlite_url: str, tmp_path: Path) -> None:
    empty = f"sqlite://{tmp_path / 'empty.db'}"
    async with database.opened(sqlite_url):
        await _library()
        first = await exported()
    async with database.opened(empty):
        await database.migrate()
        await factories.ladder()
        await factories.person("mei", Role.EDITOR)
        assert len(await bring(*first)) == len(first)
        assert await exported() == first


# ---- jobs


async def _run(clock: Any = lambda: NOW) -> None:
    for topic in import_jobs.TOPICS:
        while await import_jobs.work(topic, clock):
            pass


async def test_a_job_names_what_it_refuses_and_is_done(
    opened: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_jobs, "BATCH", 2)
    ed = await factories.person("ed", Role.EDITOR)
    items = [said(), said("a/b"), said("c", title=""), said("\0", title="\ud800"), said("d")]
    job = await import_jobs.start(items, ed.member.id, NOW, dry_run=False)
    await _run()
    job = await Job.get(id=job.id)
    assert (job.status, job.done, job.total) == (JobStatus.DONE, 5, 5)
    assert [each.partition(":")[0] for each in job.problems] == [
        "items[1] (a/b)",
        "items[2] (c)",
        "items[3]",
    ]
    assert {each.slug for each in await Content.all()} == {"spring", "d"}
    assert (await ContentVersion.first()).saved_by_id == ed.member.id  # type: ignore[union-attr]
    assert await JobItem.all().count() == 0


async def test_a_dry_job_writes_nothing(opened: str) -> None:
    ed = await factories.person("ed", Role.EDITOR)
    items = [said(tags=[GREEN]), said("c", title="")]
    job = await import_jobs.start(items, ed.member.id, NOW, dry_run=True)
    await _run()
    job = await Job.get(id=job.id)
    assert (job.status, job.done, len(job.problems)) == (JobStatus.DONE, 2, 1)
    assert await Content.all().count() == await Tag.all().count() == 0


async def test_a_job_whose_worker_died_goes_on_with_the_next_batch(
    opened: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_jobs, "BATCH", 1)
    ed = await factories.person("ed", Role.EDITOR)
    items = [said("a"), said("b"), said("c")]
    job = await import_jobs.start(items, ed.member.id, NOW, dry_run=False)
    claims = await outbox.claim(import_jobs.TOPIC, NOW, most=1)
    assert await import_jobs.advance(claims, NOW)
    await _run(lambda: NOW + 2 * outbox.LEASE)
    job = await Job.get(id=job.id)
    assert (job.status, job.done) == (JobStatus.DONE, 3)
    with pytest.raises(outbox.LeaseLost):
        await import_jobs.advance(claims, NOW)
    assert await ContentVersion.all().count() == 3
