"""Owns bringing rows into the library: each as one unit, all of it or nothing of it.

A row is found again by its slug. What is new goes in many at a time; what is there already is
compared, and saved as a version where it says something else.
"""

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from content import drafts, library, lifecycle, row_tags, shelving
from content.ahead import Ahead
from content.drafts import Draft, Kept
from content.errors import KindElsewhere
from content.models import Content, ContentSlug, ContentStatus, ContentVersion
from content.row_tags import RowTags, Tags
from content.rows import Row
from content.tagging import LOCK
from content.workflow import Action, State
from core import audit, bulk, database, webhooks
from core.errors import Invalid, Mistake, Required, storable
from members import identity
from members.models import Member

MOST_ROWS = 200  # in one transaction
EMAIL_CHARACTERS = 254
ACTION = "contentsImport"

_COLUMNS = (
    *("slug", "kind", "status", "locale", "version", "published_version"),
    *("scheduled_at", "published_at", "author_id", "created_at"),
)
_DRAFT, _IN_REVIEW, _SCHEDULED, _PUBLISHED, _ARCHIVED = ContentStatus


class Outcome(StrEnum):
    """What became of a row."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


Outcomes = Sequence[Outcome | Mistake]


class _Undone(Exception):
    """Takes back what a rehearsal wrote."""

    def __init__(self, outcomes: Outcomes) -> None:
        super().__init__()
        self.outcomes = outcomes


@dataclass(frozen=True, slots=True)
class _New:
    """A content to be begun, and where in its life."""

    row: Row
    draft: Draft  # without tags: of those some may still be planned
    tags: Tags
    status: ContentStatus
    at: datetime | None  # since when it is published, or for when it is scheduled


@dataclass(frozen=True, slots=True)
class _Known:
    """What a batch knows of the library: tags, contents by every slug, people by address."""

    actor_id: int | None
    now: datetime
    ahead: Ahead  # prepares what those say that wait
    tags: RowTags
    contents: MutableMapping[str, int] = field(default_factory=dict)
    people: MutableMapping[str, int] = field(default_factory=dict)
    waiting: MutableMapping[str, _New] = field(default_factory=dict)


@database.unit_of_work
async def bring(
    given: Sequence[Row], actor_id: int | None, now: datetime, ahead: Ahead | None = None
) -> Outcomes:
    """Brings in at most 200 rows; what became of each, in their order: a refused one has left
    nothing. A second call with the same rows changes nothing.

    A row that says DRAFT or IN_REVIEW takes back nothing that is published: it makes a newer
    version beside it. `author` is the e-mail address of a member, or nobody; it counts for new
    contents alone, and so does `publishedAt` for what was never published. `ahead` may have begun
    with what the rows say: see `content.batches`.
    """
    await database.lock(LOCK)
    return await take(given, actor_id, now, ahead)


async def rehearse(
    given: Sequence[Row], actor_id: int | None, now: datetime, ahead: Ahead | None = None
) -> Outcomes:
    """What `bring` would do; writes nothing."""
    try:
        await _undo(given, actor_id, now, ahead)
    except _Undone as undone:
        return undone.outcomes
    raise AssertionError("a rehearsal ends by taking back what it wrote")


@database.unit_of_work
async def _undo(
    given: Sequence[Row], actor_id: int | None, now: datetime, ahead: Ahead | None
) -> None:
    raise _Undone(await bring(given, actor_id, now, ahead))


async def take(
    given: Sequence[Row], actor_id: int | None, now: datetime, ahead: Ahead | None = None
) -> Outcomes:
    """The same as `bring`, in a running unit of work that holds the lock."""
    known = await _look_up(given, actor_id, now, ahead or Ahead())
    outcomes: list[Outcome | Mistake] = []
    for row in given:
        if row.slug in known.waiting:
            await _begin(known)  # what the row is to be compared with
        missing = known.tags.missing(row)
        try:
            outcomes.append(await _one(row, known))
        except Mistake as mistake:
            outcomes.append(mistake)
            known.tags.forget(missing)
    await _begin(known)
    return outcomes


async def _look_up(
    given: Sequence[Row], actor_id: int | None, now: datetime, ahead: Ahead
) -> _Known:
    emails = {identity.fold_email(row.author) for row in given if row.author}
    known = _Known(actor_id, now, ahead, await row_tags.look_up(given))
    found = ContentSlug.filter(slug__in={row.slug for row in given})
    known.contents.update(await found.values_list("slug", "content_id"))
    some = [each for each in emails if storable(each, EMAIL_CHARACTERS)]
    for member in await Member.filter(email_key__in=some):
        known.people[member.email_key or ""] = member.id
    return known


async def _one(row: Row, known: _Known) -> Outcome:
    content_id = known.contents.get(row.slug)
    if content_id is not None:
        # What others need, before what this one may take back.
        await known.tags.plant(known.actor_id, known.now)
        return await _compare(row, content_id, known)
    draft = await drafts.begun(row.given)
    library.locale_of(row.locale)
    status, at = _aim(row, known.now)
    known.waiting[row.slug] = _New(row, draft, await known.tags.of(row), status, at)
    known.ahead.add(drafts.texts(draft))
    return Outcome.NEW


def _aim(row: Row, now: datetime) -> tuple[ContentStatus, datetime | None]:
    """Where in its life a new row begins, and since or for when."""
    at = row.published_at
    if row.status is _SCHEDULED and at is None:
        raise Required("What is SCHEDULED needs the time at which it is published.", "publishedAt")
    if row.status in {_PUBLISHED, _SCHEDULED}:
        return (_SCHEDULED, at) if at and at > now else (_PUBLISHED, at or now)
    if at and at > now:
        raise Invalid("Only what is PUBLISHED or SCHEDULED has a time to come.", "publishedAt")
    return row.status, at


def _carried(draft: Draft, tags: Tags) -> Draft:
    """The draft with these tags, which are written."""
    return replace(draft, tags={tag.id: slug for slug, tag in tags.items()})


async def _begin(known: _Known) -> None:
    """Writes the new contents that wait, all at once; nothing of them can be refused any more."""
    if not known.waiting:
        return
    await known.tags.plant(known.actor_id, known.now)
    new = {**known.waiting}
    known.waiting.clear()
    begun = [_content(each, known) for each in new.values()]
    made = await bulk.insert_returning(Content, _COLUMNS, begun, "id, slug")
    ids = {row["slug"]: row["id"] for row in made}
    known.contents.update(ids)
    await bulk.insert(ContentSlug, ("slug", "content_id"), [*ids.items()])
    kept = [Kept(ids[slug], 1, _carried(of.draft, of.tags)) for slug, of in new.items()]
    await drafts.keep_all(kept, known.actor_id, known.now, known.ahead)
    await shelving.shelve(*ids.values())
    for slug, of in new.items():
        if of.status is _SCHEDULED and of.at:
            await lifecycle.fall_due(ids[slug], of.at)
    shown = [(slug, of.at) for slug, of in new.items() if of.status is _PUBLISHED]
    events = [lifecycle.published(ids[slug], slug, 1, at) for slug, at in shown]
    await webhooks.emit(events, known.now)
    await _note([(ids[slug], of.status) for slug, of in new.items()], known)


def _content(new: _New, known: _Known) -> Sequence[object]:
    """What stands in the columns of a new content."""
    row, waits = new.row, new.status is _SCHEDULED
    author = known.people.get(identity.fold_email(row.author)) if row.author else None
    return (
        *(row.slug, row.kind, new.status, row.locale),
        *(1, 1 if new.status is _PUBLISHED else None),
        *(new.at if waits else None, None if waits else new.at, author, known.now),
    )


async def _note(begun: Sequence[tuple[int, ContentStatus]], known: _Known) -> None:
    details = [(content_id, {"version": 1, "to": status}) for content_id, status in begun]
    await audit.note_each(ACTION, "Content", details, actor_id=known.actor_id, now=known.now)


@database.unit_of_work
async def _compare(row: Row, content_id: int, known: _Known) -> Outcome:
    """Saves and moves on a content that is there; a savepoint, which a refused row takes back."""
    content = await Content.get(id=content_id)
    if (row.kind, row.locale) != (content.kind, content.locale):
        raise KindElsewhere(content.kind, content.locale)
    before = (content.version, State(content.status, content.pending_status), content.scheduled_at)
    tags = await known.tags.of(row)
    await known.tags.plant(known.actor_id, known.now)
    if row.status is _PUBLISHED and await _says(content, content.published_version, row, tags):
        return Outcome.UNCHANGED
    draft = await _draft(content, content.version, row, tags)
    if draft is not None:
        await library.save(content, draft, ACTION, known.actor_id, known.now)
    await _advance(content, row, known)
    after = (content.version, State(content.status, content.pending_status), content.scheduled_at)
    return Outcome.UNCHANGED if after == before else Outcome.CHANGED


async def _says(content: Content, version: int | None, row: Row, tags: Tags) -> bool:
    return version is not None and await _draft(content, version, row, tags) is None


async def _draft(content: Content, version: int, row: Row, tags: Tags) -> Draft | None:
    """What the row makes of a version; None where that says it already."""
    old = await drafts.load(await ContentVersion.get(content_id=content.id, version=version))
    draft = _carried(await drafts.changed(old, row.given), tags)
    return None if drafts.same(old, draft) else draft


async def _advance(content: Content, row: Row, known: _Known) -> None:
    """Takes the steps that lead where the row says, of which none leads back."""
    at = content.pending_status or content.status
    if row.status is _IN_REVIEW and at == _DRAFT:
        await lifecycle.move(content, Action.SUBMIT, ACTION, known.actor_id, known.now)
    if row.status is _ARCHIVED and content.status != _ARCHIVED:
        await lifecycle.move(content, Action.ARCHIVE, ACTION, known.actor_id, known.now)
    if row.status in {_PUBLISHED, _SCHEDULED} and at != _PUBLISHED:
        await _publish(content, row, at, known)


async def _publish(content: Content, row: Row, at: ContentStatus, known: _Known) -> None:
    status, when = _aim(row, known.now)
    if status is _SCHEDULED and when:
        if at == _SCHEDULED and content.scheduled_at == when:
            return
        await lifecycle.move(content, Action.SCHEDULE, ACTION, known.actor_id, known.now, at=when)
        await lifecycle.fall_due(content.id, when)
        return
    content.published_at = content.published_at or when
    await lifecycle.move(content, Action.PUBLISH, ACTION, known.actor_id, known.now)
