"""Publishing at a time, and what reviewers and the audit trail see of a content's life."""

from datetime import UTC, datetime, timedelta

import pytest

from content import library, lifecycle, reading
from content.errors import ContentNotFound, InvalidTransition, StaleVersion
from content.gate import ANYBODY
from content.models import Content, ContentStatus, ContentVersion
from core import audit, outbox
from core.errors import Required, TooLong
from members.models import Role
from tests import factories
from tests.factories import NOW

AT = NOW + timedelta(hours=1)
DUE = AT + timedelta(seconds=1)
MOMENT = timedelta(microseconds=1)


async def editor() -> int:
    return (await factories.person("ed", Role.REVIEWER)).member.id


async def seen(slug: str = "tea") -> str | None:
    piece = await reading.by_slug(ANYBODY, slug)
    return piece and piece.title


async def work(now: datetime) -> None:
    while await lifecycle.work(now):
        pass


async def test_what_is_scheduled_appears_a_second_after_its_time_and_not_before(
    opened: str,
) -> None:
    ed = await editor()
    tea = await factories.piece("tea", status=ContentStatus.DRAFT, author_id=ed)
    await lifecycle.publish(tea, 1, AT, ed, NOW)
    assert await seen() is None
    # A worker whose clock is almost a second ahead of the readers'.
    await work(DUE - MOMENT)
    assert await seen() is None
    await work(DUE)
    assert await seen() == "Tea"
    content = await Content.get(id=tea)
    assert (content.status, content.published_at, content.scheduled_at) == (
        ContentStatus.PUBLISHED,
        AT,
        None,
    )
    assert await outbox.open_count(lifecycle.TOPIC) == 0


async def test_a_newer_version_that_is_scheduled_replaces_the_published_one_in_time(
    opened: str,
) -> None:
    ed = await editor()
    tea = await factories.piece("tea", author_id=ed)
    await library.update(tea, 1, {"title": "New tea"}, ed, NOW)
    await lifecycle.publish(tea, 2, AT, ed, NOW)
    await work(DUE - MOMENT)
    assert await seen() == "Tea"
    await work(DUE)
    assert await seen() == "New tea"
    assert (await Content.get(id=tea)).published_at == NOW


async def test_what_was_unscheduled_or_archived_stays_as_it_is(opened: str) -> None:
    ed = await editor()
    for slug, step in (("a", lifecycle.unschedule), ("b", lifecycle.archive)):
        content_id = await factories.piece(slug, status=ContentStatus.SCHEDULED, author_id=ed)
        await step(content_id, ed, NOW)
    await work(NOW + timedelta(days=2))
    statuses = [row.status for row in await Content.all().order_by("slug")]
    assert statuses == [ContentStatus.DRAFT, ContentStatus.ARCHIVED]


@pytest.mark.parametrize("sooner", [True, False])
async def test_another_time_counts_from_when_it_was_set(opened: str, sooner: bool) -> None:
    ed = await editor()
    first, second = (AT, NOW + timedelta(minutes=1)) if sooner else (NOW + MOMENT, AT)
    tea = await factories.piece("tea", status=ContentStatus.DRAFT, author_id=ed)
    await lifecycle.publish(tea, 1, first, ed, NOW)
    await lifecycle.unschedule(tea, ed, NOW)
    await lifecycle.publish(tea, 1, second, ed, NOW)
    await work(second + lifecycle.CLOCK_SKEW - MOMENT)
    assert await seen() is None
    await work(second + lifecycle.CLOCK_SKEW)
    assert await seen() == "Tea"


async def test_a_time_that_is_now_or_past_publishes_at_once(opened: str) -> None:
    ed = await editor()
    for slug, at in (("now", NOW), ("past", NOW - MOMENT)):
        content_id = await factories.piece(slug, status=ContentStatus.DRAFT, author_id=ed)
        await lifecycle.publish(content_id, 1, at, ed, NOW)
        assert await seen(slug) == slug.title()
    later = await factories.piece("later", status=ContentStatus.DRAFT, author_id=ed)
    await lifecycle.publish(later, 1, NOW + MOMENT, ed, NOW)
    assert await seen("later") is None


async def test_the_last_instant_that_there_is_can_be_waited_for(opened: str) -> None:
    ed = await editor()
    for slug, at in (("last", datetime.max.replace(tzinfo=UTC)), ("latest", lifecycle.LATEST)):
        content_id = await factories.piece(slug, status=ContentStatus.DRAFT, author_id=ed)
        await lifecycle.publish(content_id, 1, at, ed, NOW)
        assert (await Content.get(id=content_id)).scheduled_at == at
    await work(NOW + timedelta(days=400))
    assert await seen("last") is None
    assert await outbox.open_count(lifecycle.TOPIC) == 2


async def test_a_second_delivery_publishes_nothing(opened: str) -> None:
    ed = await editor()
    await factories.piece("tea", status=ContentStatus.SCHEDULED, author_id=ed)
    now = NOW + timedelta(days=2)
    claims = await outbox.claim(lifecycle.TOPIC, now)
    await lifecycle.publish_due(claims, now)
    with pytest.raises(outbox.LeaseLost):
        await lifecycle.publish_due(claims, now)
    assert len(await audit.AuditEntry.filter(actor_id=None)) == 1


async def test_a_stale_version_is_not_published(opened: str) -> None:
    ed = await editor()
    tea = await factories.piece("tea", status=ContentStatus.DRAFT, author_id=ed)
    await library.update(tea, 1, {"title": "New"}, ed, NOW)
    for version in (1, 3):
        with pytest.raises(StaleVersion):
            await lifecycle.publish(tea, version, None, ed, NOW)
    assert await seen() is None


async def test_a_rejection_needs_a_note_which_submitting_again_takes_away(embedded: str) -> None:
    ed = await editor()
    tea = await factories.piece("tea", status=ContentStatus.IN_REVIEW, author_id=ed)
    with pytest.raises(Required):
        await lifecycle.reject(tea, " \n ", ed, NOW)
    with pytest.raises(TooLong):
        await lifecycle.reject(tea, "x" * 2_001, ed, NOW)
    await lifecycle.reject(tea, "x" * 2_000, ed, NOW)
    assert (await Content.get(id=tea)).review_note == "x" * 2_000
    await lifecycle.submit(tea, ed, NOW)
    assert (await Content.get(id=tea)).review_note is None


async def test_a_content_that_is_published_again_keeps_its_first_time(embedded: str) -> None:
    ed = await editor()
    tea = await factories.piece("tea", status=ContentStatus.ARCHIVED, author_id=ed)
    await lifecycle.unarchive(tea, ed, AT)
    await lifecycle.publish(tea, 1, None, ed, AT)
    content = await Content.get(id=tea)
    version = await ContentVersion.get(content_id=tea)
    assert (content.published_at, version.updated_at, version.saved_at) == (NOW, AT, NOW)


async def test_what_is_not_there_has_no_life(embedded: str) -> None:
    ed = await editor()
    with pytest.raises(ContentNotFound):
        await lifecycle.submit(98_765, ed, NOW)


async def test_the_audit_trail_says_who_did_what_when(opened: str) -> None:
    ed = await editor()
    tea = await factories.piece("tea", status=ContentStatus.IN_REVIEW, author_id=ed)
    await lifecycle.reject(tea, "Shorter", ed, AT)
    with pytest.raises(InvalidTransition):
        await lifecycle.reject(tea, "Again", ed, AT)
    entries = await audit.AuditEntry.filter(subject_kind="Content").order_by("id")
    assert [(each.action, each.actor_id, each.subject_id, each.at) for each in entries] == [
        ("contentCreate", ed, tea, NOW),
        ("contentSubmit", ed, tea, NOW),
        ("contentReject", ed, tea, AT),
    ]
    assert entries[-1].detail == {
        "version": 1,
        "from": "IN_REVIEW",
        "to": "DRAFT",
        "note": "Shorter",
    }
