"""Owns what a version says: checking what an editor gives, and keeping it as a version."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypedDict
from urllib.parse import urlsplit

from content import indexing, tagging
from content.ahead import Ahead
from content.errors import LimitExceeded, MediaNotFound, TierNotFound
from content.models import (
    Audience,
    Content,
    ContentVersion,
    Media,
    VersionMedia,
    VersionTag,
)
from content.preparing import Texts
from core import bulk
from core.errors import Invalid, Required, TooLong, storable, text
from members.models import Tier

TITLE_CHARACTERS = 300
SUMMARY_CHARACTERS = 2_000
BODY_CHARACTERS = 500_000
SHARE_TEXT_CHARACTERS = 2_000
URL_CHARACTERS = 2_000
TIER_CHARACTERS = 40
MOST_MEDIA = 100
_COLUMNS = (
    *("content_id", "version", "title", "summary", "body", "body_html"),
    *("cover_url", "share_text", "audience", "min_tier_id"),
    *("saved_by_id", "saved_at", "updated_at"),
)
_LINE_ENDS = re.compile(r"\r\n?")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Given(TypedDict, total=False):
    """What an editor gives of a version; what is missing stays as it is, or is empty at first.

    `tags` are slugs, `media` ids, `min_tier` is a tier's code.
    """

    title: str
    summary: str
    body: str
    cover_url: str | None
    share_text: str | None
    audience: Audience
    min_tier: str | None
    tags: Sequence[str]
    media: Sequence[int]


@dataclass(frozen=True, slots=True)
class Draft:
    """What a version says, checked, with everything found that it refers to."""

    title: str
    summary: str = ""
    body: str = ""
    cover_url: str | None = None
    share_text: str | None = None
    audience: Audience = Audience.EVERYONE
    min_tier_id: int | None = None
    tags: Mapping[int, str] = field(default_factory=dict)  # slugs by id
    media: Sequence[int] = ()


async def begun(given: Given) -> Draft:
    """The first draft of a content; raises as `changed`, and `Required` without a title."""
    return await changed(Draft(title=""), {"title": "", **given})


async def changed(draft: Draft, given: Given) -> Draft:
    """The draft with what is given in place of what it says.

    Raises `TagNotFound`, `TierNotFound`, `MediaNotFound`, `LimitExceeded`, and mistakes of form,
    each with the field.
    """
    said: dict[str, Any] = {}
    if "title" in given:
        said["title"] = text(given["title"], "title", most=TITLE_CHARACTERS)
    if "summary" in given:
        said["summary"] = prose(given["summary"], "summary", most=SUMMARY_CHARACTERS)
    if "body" in given:
        said["body"] = prose(given["body"], "body", most=BODY_CHARACTERS)
    if "cover_url" in given:
        said["cover_url"] = _url(given["cover_url"], "coverUrl")
    if "share_text" in given:
        words = prose(given["share_text"] or "", "shareText", most=SHARE_TEXT_CHARACTERS)
        said["share_text"] = words or None
    if "audience" in given:
        said["audience"] = given["audience"]
    if "min_tier" in given:
        said["min_tier_id"] = await _tier(given["min_tier"])
    if "tags" in given:
        said["tags"] = await tagging.ids_of(given["tags"], "tags")
    if "media" in given:
        said["media"] = await _media(given["media"])
    return replace(draft, **said)


def said(given: Given) -> Texts:
    """What a new content would say; raises the mistakes of form in it, as `begun` does."""
    return Texts(
        text(given.get("title", ""), "title", most=TITLE_CHARACTERS),
        prose(given.get("summary", ""), "summary", most=SUMMARY_CHARACTERS),
        prose(given.get("body", ""), "body", most=BODY_CHARACTERS),
    )


def prose(value: str, field: str, *, most: int) -> str:
    """A text of several lines, which may be empty, without outer blanks; raises `TooLong`, and
    `Invalid` with another control character than line ends and tabs or half a surrogate pair."""
    value = _LINE_ENDS.sub("\n", value).strip()
    if len(value) > most:
        raise TooLong(f"This has {len(value)} characters; at most {most} are stored.", field)
    if _CONTROLS.search(value) or not storable(value):
        raise Invalid("This must be whole Unicode characters without control characters.", field)
    return value


def note(value: str, field: str) -> str:
    """Such a text that must say something; raises `Required` too."""
    value = prose(value, field, most=SUMMARY_CHARACTERS)
    if not value:
        raise Required("This must not be empty.", field)
    return value


def _url(value: str | None, field: str) -> str | None:
    if value is None:
        return None
    value = text(value, field, most=URL_CHARACTERS)
    try:
        parts = urlsplit(value)
        web = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError as error:
        raise Invalid("This is no address.", field) from error
    ours = not parts.scheme and not parts.netloc and value.startswith("/")
    if not (web or ours) or "\\" in value or " " in value:
        raise Invalid("This is an address that begins with https:// or, of ours, with /.", field)
    return value


async def _tier(code: str | None) -> int | None:
    if code is None:
        return None
    known = storable(code, TIER_CHARACTERS)
    tier = await Tier.get_or_none(code=code, rank__gte=0) if known else None
    if tier is None:
        raise TierNotFound(code, "minTier")
    return tier.id


async def check_gate(draft: Draft, field: str) -> None:
    """Raises `TierNotFound` where the rules have left out the tier that opens the draft: nobody
    could ever reach it."""
    if draft.min_tier_id is None:
        return
    tier = await Tier.get(id=draft.min_tier_id)
    if tier.rank < 0:
        raise TierNotFound(tier.code, field)


async def _media(ids: Sequence[int]) -> Sequence[int]:
    if len(ids) > MOST_MEDIA:
        raise LimitExceeded(len(ids), MOST_MEDIA, "media")
    if await Media.filter(id__in=ids).count() != len(set(ids)):
        raise MediaNotFound("media")
    return ids


def same(one: Draft, other: Draft) -> bool:
    """Whether both say the same, whatever the slugs by which their tags were given."""
    alike = replace(one, tags={}, media=()) == replace(other, tags={}, media=())
    return alike and one.tags.keys() == other.tags.keys() and [*one.media] == [*other.media]


async def load(row: ContentVersion) -> Draft:
    """What the version says, to go on from."""
    tags = await VersionTag.filter(version_id=row.id).select_related("tag")
    media = await VersionMedia.filter(version_id=row.id).order_by("place")
    return Draft(
        title=row.title,
        summary=row.summary,
        body=row.body,
        cover_url=row.cover_url,
        share_text=row.share_text,
        audience=row.audience,
        min_tier_id=row.min_tier_id,
        tags={each.tag_id: each.tag.slug for each in tags},
        media=[each.media_id for each in media],
    )


@dataclass(frozen=True, slots=True)
class Kept:
    """A draft to be kept as this version of the content."""

    content_id: int
    version: int
    draft: Draft


async def keep(content: Content, draft: Draft, actor_id: int | None, now: datetime) -> None:
    """Writes the draft as the version that `content.version` names; belongs into a unit of work.
    The body is rendered here and never again, and the version is found by what it says."""
    await keep_all([Kept(content.id, content.version, draft)], actor_id, now, Ahead())


async def keep_all(kept: Sequence[Kept], actor_id: int | None, now: datetime, ahead: Ahead) -> None:
    """The same for many contents at once; no content twice. `ahead` may have begun with them."""
    prepared = await ahead.prepared(texts(each.draft) for each in kept)
    versions = [
        (*_version(each, made.html), actor_id, now, now)
        for each, made in zip(kept, prepared, strict=True)
    ]
    made = await bulk.insert_returning(ContentVersion, _COLUMNS, versions, "id, content_id")
    ids = {row["content_id"]: row["id"] for row in made}
    await indexing.add(
        {ids[each.content_id]: made for each, made in zip(kept, prepared, strict=True)}
    )
    drafts = {ids[each.content_id]: each.draft for each in kept}
    await bulk.insert(
        VersionTag,
        ("version_id", "tag_id"),
        [(version_id, tag_id) for version_id, draft in drafts.items() for tag_id in draft.tags],
    )
    await bulk.insert(
        VersionMedia,
        ("version_id", "media_id", "place"),
        [
            (version_id, media_id, place)
            for version_id, draft in drafts.items()
            for place, media_id in enumerate(draft.media)
        ],
    )


def texts(draft: Draft) -> Texts:
    """What of the draft is read and searched."""
    return Texts(draft.title, draft.summary, draft.body)


def _version(kept: Kept, html: str) -> Sequence[object]:
    """What stands in the columns of a version, but for who saves it and when."""
    draft = kept.draft
    return (
        *(kept.content_id, kept.version, draft.title, draft.summary, draft.body, html),
        *(draft.cover_url, draft.share_text, draft.audience, draft.min_tier_id),
    )
