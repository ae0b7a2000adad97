"""Owns what becomes of a content: review, publishing now or later, archiving.

What is scheduled is a row of the outbox that falls due; readers know no clock: they see it once a
worker has published it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from content import drafts, shelving, workflow
from content.errors import ContentNotFound, StaleVersion
from content.models import Content, ContentStatus, ContentVersion
from content.tagging import LOCK
from content.workflow import Action, State
from core import audit, database, outbox, webhooks
from core.webhooks import Event

TOPIC = "content"
PUBLISHING = (Action.PUBLISH, Action.FALL_DUE)
# How far a worker's clock may be ahead of a reader's: so much after its time a piece is published.
CLOCK_SKEW = timedelta(seconds=1)
LATEST = datetime.max.replace(tzinfo=UTC) - CLOCK_SKEW  # behind it no clock can count any more


async def held(content_id: int) -> Content:
    """The content, with the library locked until the unit of work ends; raises
    `ContentNotFound`."""
    await database.lock(LOCK)
    content = await Content.get_or_none(id=content_id)
    if content is None:
        raise ContentNotFound("id")
    return content


def fresh(content: Content, expected_version: int) -> None:
    """Raises `StaleVersion` unless the newest version is the one that the caller knows."""
    if content.version != expected_version:
        raise StaleVersion(content.version)


@database.unit_of_work
async def submit(content_id: int, actor_id: int, now: datetime) -> None:
    """DRAFT to IN_REVIEW; raises `ContentNotFound` or `InvalidTransition`, as all below."""
    content = await held(content_id)
    await move(content, Action.SUBMIT, "contentSubmit", actor_id, now)


@database.unit_of_work
async def reject(content_id: int, note: str, actor_id: int, now: datetime) -> None:
    """IN_REVIEW to DRAFT, with a note for the editor; raises `Required` or `TooLong` too."""
    note = drafts.note(note, "note")
    content = await held(content_id)
    await move(content, Action.REJECT, "contentReject", actor_id, now, note=note)


@database.unit_of_work
async def publish(
    content_id: int, expected_version: int, at: datetime | None, actor_id: int, now: datetime
) -> None:
    """DRAFT or IN_REVIEW to PUBLISHED, or to SCHEDULED for a time that is still to come.

    Raises `StaleVersion` too.
    """
    content = await held(content_id)
    fresh(content, expected_version)
    if at is None or at <= now:
        await move(content, Action.PUBLISH, "contentPublish", actor_id, now)
        return
    await move(content, Action.SCHEDULE, "contentPublish", actor_id, now, at=at)
    await fall_due(content.id, at)


async def fall_due(content_id: int, at: datetime) -> None:
    """Has a worker publish at its time what is SCHEDULED for it; belongs into a unit of work."""
    # A lane for each: what was unscheduled and waits for its time holds up nothing.
    lane = f"{content_id}:{at.isoformat()}"
    await outbox.put(TOPIC, [(content_id, lane)], min(at, LATEST) + CLOCK_SKEW)


@database.unit_of_work
async def unschedule(content_id: int, actor_id: int, now: datetime) -> None:
    """SCHEDULED to DRAFT."""
    content = await held(content_id)
    await move(content, Action.UNSCHEDULE, "contentUnschedule", actor_id, now)


@database.unit_of_work
async def archive(content_id: int, actor_id: int, now: datetime) -> None:
    """PUBLISHED or SCHEDULED to ARCHIVED: readers do not see it any more."""
    content = await held(content_id)
    await move(content, Action.ARCHIVE, "contentArchive", actor_id, now)


@database.unit_of_work
async def unarchive(content_id: int, actor_id: int, now: datetime) -> None:
    """ARCHIVED to DRAFT, in its newest version."""
    content = await held(content_id)
    await move(content, Action.UNARCHIVE, "contentUnarchive", actor_id, now)


async def move(
    content: Content,
    action: Action,
    name: str,
    actor_id: int | None,
    now: datetime,
    *,
    note: str | None = None,
    at: datetime | None = None,
) -> None:
    """Takes the step, writes it down, and puts the content where readers find it or do not."""
    before = State(content.status, content.pending_status)
    after = workflow.step(before, action)
    _enter(content, after, content.scheduled_at or now)
    content.scheduled_at = at
    content.review_note = note if action is Action.REJECT else None
    await content.save()
    await ContentVersion.filter(content_id=content.id, version=content.version).update(
        updated_at=now
    )
    await shelving.shelve(content.id)
    if action in PUBLISHING:
        shown = published(content.id, content.slug, content.version, content.published_at)
        await webhooks.emit([shown], now)
    detail = {"version": content.version, "from": _words(before), "to": _words(after)}
    detail |= {"note": note} if note else {}
    detail |= {"at": at.isoformat()} if at else {}
    await audit.note(name, "Content", [content.id], actor_id=actor_id, now=now, detail=detail)


def published(content_id: int, slug: str, version: int, at: datetime | None) -> Event:
    """What webhooks tell of a content when another version of it is what readers find; `at` is
    when it was published first."""
    data = {
        "content": webhooks.ref("Content", content_id),
        "slug": slug,
        "version": version,
        "publishedAt": at and webhooks.instant(at),
    }
    return Event("content.published", data)


def _enter(content: Content, state: State, at: datetime) -> None:
    content.status, content.pending_status = state.status, state.pending
    if state == State(ContentStatus.PUBLISHED):
        content.published_version = content.version
        content.published_at = content.published_at or at
    elif state.status is not ContentStatus.PUBLISHED:
        content.published_version = None


def _words(state: State) -> str:
    return f"{state.status} with {state.pending}" if state.pending else state.status


async def work(now: datetime) -> bool:
    """Claims what has fallen due and publishes it; False where there was nothing.

    Whatever goes wrong is kept with the rows, which are tried again, and raised.
    """
    claims = await outbox.claim(TOPIC, now)
    if not claims:
        return False
    try:
        await publish_due(claims, now)
    except Exception as error:
        await outbox.give_back(claims, error, now)
        raise
    return True


@database.unit_of_work
async def publish_due(claims: Sequence[outbox.Claim], now: datetime) -> None:
    """Publishes what is SCHEDULED for now or earlier, each from its own time on; what was
    unscheduled or archived meanwhile stays as it is. Raises `outbox.LeaseLost`."""
    await database.lock(LOCK)
    await outbox.settle(claims, now)
    ids = {claim.subject_id for claim in claims}
    for content in await Content.filter(id__in=ids).order_by("id"):
        if content.scheduled_at is not None and content.scheduled_at <= now - CLOCK_SKEW:
            await move(content, Action.FALL_DUE, "contentPublish", None, now)
