"""Owns the form in which contents come in and go out: what one row may say. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from content import locales, slugs
from content.drafts import Given
from content.errors import LimitExceeded
from content.models import Audience, ContentKind, ContentStatus, Dimension
from content.planting import DEEPEST_TREE
from content.tagging import MOST_TAGS
from core.errors import Invalid, Required

E = TypeVar("E", bound=StrEnum)

FIELDS = (
    *("slug", "kind", "locale", "title", "summary", "body", "coverUrl", "shareText"),
    *("audience", "minTier", "tags", "author", "publishedAt", "status"),
)
TAG_FIELDS = ("dimension", "slug", "name", "parent")


@dataclass(frozen=True, slots=True)
class TagRow:
    """A tag that a row carries; it is made where it is missing, which takes a dimension."""

    slug: str
    dimension: Dimension | None = None
    name: str | None = None
    parent: "TagRow | None" = None


@dataclass(frozen=True, slots=True)
class Row:
    """A content as it comes in and goes out; `slug` is folded, and so are those of its tags."""

    slug: str
    kind: ContentKind
    locale: str
    given: Given  # without tags
    tags: Sequence[TagRow]
    author: str | None
    published_at: datetime | None
    status: ContentStatus


def read(said: object) -> Row:
    """The row that such an object of JSON says; what is missing has its default, or is left out of
    what it gives.

    Raises `Required`, `TooLong`, `LimitExceeded` and `Invalid` with the field.
    """
    if not isinstance(said, Mapping):
        raise Invalid("A row is an object with a slug and a title.")
    _only(said, FIELDS)
    given: Given = {"title": _text(said, "title") or ""}
    # What a row does not speak of stays as it is: no text is lost and no gate opens by an import.
    if "summary" in said:
        given["summary"] = _text(said, "summary") or ""
    if "body" in said:
        given["body"] = _text(said, "body") or ""
    if "coverUrl" in said:
        given["cover_url"] = _text(said, "coverUrl") or None
    if "shareText" in said:
        given["share_text"] = _text(said, "shareText") or None
    if "audience" in said:
        given["audience"] = _one_of(Audience, said, "audience", Audience.EVERYONE)
    if "minTier" in said:
        given["min_tier"] = _text(said, "minTier") or None
    return Row(
        slug=slugs.checked(_text(said, "slug") or "", "slug"),
        kind=_one_of(ContentKind, said, "kind", ContentKind.ARTICLE),
        locale=locales.fold(_text(said, "locale") or "zh-CN"),
        given=given,
        tags=_tags(said.get("tags")),
        author=_text(said, "author") or None,
        published_at=_instant(_text(said, "publishedAt") or None),
        status=_one_of(ContentStatus, said, "status", ContentStatus.DRAFT),
    )


def _only(said: Mapping[Any, Any], known: Sequence[str], *field: str) -> None:
    unknown = [str(name) for name in said if name not in known]
    if unknown:
        raise Invalid(f"There is no {unknown[0]!r} here, but {', '.join(known)}.", *field)


def _text(said: Mapping[Any, Any], name: str) -> str | None:
    value = said.get(name)
    if value is not None and not isinstance(value, str):
        raise Invalid("This is a text.", name)
    return value


def _one_of(kind: type[E], said: Mapping[Any, Any], name: str, default: E) -> E:
    value = _text(said, name) or default
    if value not in kind.__members__:
        raise Invalid(f"This is one of {', '.join(kind)}.", name)
    return kind(value)


def _instant(value: str | None) -> datetime | None:
    """An instant, in UTC where no zone is said; a day alone begins at midnight."""
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Invalid("This is a time such as 2026-03-01T12:00:00Z.", "publishedAt") from error


def _tags(said: object) -> Sequence[TagRow]:
    if said is None or said == "":
        return ()
    if not isinstance(said, list):
        raise Invalid("Tags are a list.", "tags")
    tags = {tag.slug: tag for tag in (_tag(each) for each in said)}
    if len(tags) > MOST_TAGS:
        raise LimitExceeded(len(tags), MOST_TAGS, "tags")
    return [*tags.values()]


def _tag(said: object, side: Dimension | None = None, level: int = 1) -> TagRow:
    """A tag as an object, or the slug alone of one that exists. One above has its dimension."""
    if level > DEEPEST_TREE:
        raise Invalid(f"Tags stand at most {DEEPEST_TREE} levels deep.", "tags")
    if isinstance(said, str):
        return TagRow(slugs.checked(said, "tags"))
    if not isinstance(said, Mapping):
        raise Invalid("A tag is an object with dimension, slug and name, or a slug alone.", "tags")
    _only(said, TAG_FIELDS, "tags")
    if any(not isinstance(said.get(name, ""), str) for name in ("dimension", "slug", "name")):
        raise Invalid("The dimension, slug and name of a tag are texts.", "tags")
    named = said.get("dimension")
    if named and named not in Dimension.__members__:
        raise Invalid(f"A dimension is one of {', '.join(Dimension)}.", "tags")
    side = Dimension(named) if named else side
    above = said.get("parent")
    return TagRow(
        slug=slugs.checked(said.get("slug", ""), "tags"),
        dimension=side,
        name=said.get("name"),
        parent=_tag(above, side, level + 1) if above else None,
    )


def write(row: Row) -> Mapping[str, Any]:
    """What `read` makes this row of, in one order of fields."""
    given = row.given
    return {
        "slug": row.slug,
        "kind": row.kind,
        "locale": row.locale,
        "title": given.get("title"),
        "summary": given.get("summary", ""),
        "body": given.get("body", ""),
        "coverUrl": given.get("cover_url"),
        "shareText": given.get("share_text"),
        "audience": given.get("audience", Audience.EVERYONE),
        "minTier": given.get("min_tier"),
        "tags": [_write_tag(tag) for tag in row.tags],
        "author": row.author,
        "publishedAt": row.published_at and row.published_at.isoformat().replace("+00:00", "Z"),
        "status": row.status,
    }


def _write_tag(tag: TagRow) -> Mapping[str, Any]:
    said = {"dimension": tag.dimension, "slug": tag.slug, "name": tag.name}
    return said | ({"parent": _write_tag(tag.parent)} if tag.parent else {})


def needed(tag: TagRow) -> Dimension:
    """The dimension of a tag that has to be made; raises `Required`."""
    if tag.dimension is None:
        raise Required(f"There is no tag {tag.slug} yet: it needs a dimension and a name.", "tags")
    return tag.dimension
