"""Owns writing contents: beginning them, saving versions, going back to one."""

import re
from dataclasses import dataclass
from datetime import datetime

from tortoise.exceptions import IntegrityError

from content import drafts, lifecycle, locales, shelving, slugs, workflow
from content.drafts import Draft, Given
from content.errors import SlugTaken, VersionNotFound
from content.models import Content, ContentKind, ContentStatus, ContentVersion
from content.tagging import LOCK
from content.workflow import Action, State
from core import audit, database
from core.errors import Invalid

_LOCALE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")  # BCP 47, roughly
LOCALE_CHARACTERS = 20

# Takes the slug, or finds that it is the content's own already; no row when it is another one's.
_TAKE_SLUG = """
INSERT INTO content_slug (slug, content_id) VALUES ($1, $2)
ON CONFLICT (slug) DO UPDATE SET slug = excluded.slug
WHERE content_slug.content_id = excluded.content_id
RETURNING id
"""


@dataclass(frozen=True, slots=True)
class NewContent:
    """A content to be begun."""

    slug: str
    kind: ContentKind
    locale: str


@database.unit_of_work
async def create(new: NewContent, given: Given, actor_id: int, now: datetime) -> int:
    """Begins a content as a DRAFT with its version 1; its id.

    Raises `SlugTaken` and what `drafts.changed` raises.
    """
    await database.lock(LOCK)
    content = await _begin(new, await drafts.begun(given), actor_id, now)
    detail = {"slug": content.slug, "version": 1}
    subjects = [content.id]
    await audit.note(
        "contentCreate", "Content", subjects, actor_id=actor_id, now=now, detail=detail
    )
    return content.id


async def _begin(new: NewContent, draft: Draft, actor_id: int, now: datetime) -> Content:
    slug, locale = slugs.checked(new.slug, "slug"), locale_of(new.locale)
    try:
        content = await Content.create(
            slug=slug,
            kind=new.kind,
            status=ContentStatus.DRAFT,
            locale=locale,
            version=1,
            author_id=actor_id,
            created_at=now,
        )
    except IntegrityError as error:
        raise SlugTaken(slug, "slug") from error
    await _take(content, slug)
    await drafts.keep(content, draft, actor_id, now)
    await shelving.shelve(content.id)
    return content


def locale_of(value: str) -> str:
    """The language tag in its usual case, to be stored; raises `Invalid` with the field."""
    if len(value) > LOCALE_CHARACTERS or not _LOCALE.fullmatch(value):
        raise Invalid("A locale is a language tag such as zh-CN.", "locale")
    return locales.fold(value)


async def _take(content: Content, slug: str) -> None:
    if not await database.rows(_TAKE_SLUG, slug, content.id):
        raise SlugTaken(slug, "slug")


@database.unit_of_work
async def update(
    content_id: int,
    expected_version: int,
    given: Given,
    actor_id: int,
    now: datetime,
    *,
    slug: str | None = None,
) -> None:
    """Saves a newer version, of a published content beside the published one. A new slug holds at
    once, and the old one goes on working.

    Raises `ContentNotFound`, `StaleVersion`, `SlugTaken`, `InvalidTransition` while it is
    SCHEDULED, and what `drafts.changed` raises.
    """
    content = await lifecycle.held(content_id)
    lifecycle.fresh(content, expected_version)
    newest = await ContentVersion.get(content_id=content_id, version=content.version)
    draft = await drafts.changed(await drafts.load(newest), given)
    if slug is not None:
        content.slug = slugs.checked(slug, "slug")
        await _take(content, content.slug)
    changes = sorted([*given, *(["slug"] if slug is not None else [])])
    await save(content, draft, "contentUpdate", actor_id, now, changed=changes)


@database.unit_of_work
async def restore(
    content_id: int, version: int, expected_version: int, actor_id: int, now: datetime
) -> None:
    """Saves what an old version says, with its tags, as the newest version.

    Raises `ContentNotFound`, `VersionNotFound`, `StaleVersion`, `InvalidTransition`, or
    `TierNotFound` where it was for a tier that is no more.
    """
    content = await lifecycle.held(content_id)
    lifecycle.fresh(content, expected_version)
    old = await find_version(content_id, version, "version")
    draft = await drafts.load(old)
    await drafts.check_gate(draft, "version")
    await save(content, draft, "contentRestoreVersion", actor_id, now, restored=version)


async def find_version(content_id: int, version: int, field: str) -> ContentVersion:
    """One version of a content; raises `VersionNotFound` with the field."""
    known = 1 <= version < 2**31
    row = (
        await ContentVersion.get_or_none(content_id=content_id, version=version) if known else None
    )
    if row is None:
        raise VersionNotFound(version, field)
    return row


async def save(
    content: Content,
    draft: Draft,
    name: str,
    actor_id: int | None,
    now: datetime,
    **detail: object,
) -> None:
    """Saves the draft as the newest version in a running unit of work that holds the lock; raises
    `InvalidTransition`."""
    state = workflow.step(State(content.status, content.pending_status), Action.SAVE)
    content.status, content.pending_status = state.status, state.pending
    content.version += 1
    await content.save()
    await drafts.keep(content, draft, actor_id, now)
    await shelving.shelve(content.id)
    detail = {"version": content.version, **detail}
    await audit.note(name, "Content", [content.id], actor_id=actor_id, now=now, detail=detail)
