"""Owns making tags, as many at once as there are: each is checked before anything is written."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from content import shelving, slugs
from content.errors import ParentElsewhere, TagNotFound
from content.models import Dimension, Tag, TagSlug
from core import audit, bulk, database, dialect
from core.errors import Invalid, storable, text

NAME_CHARACTERS = 100
DEEPEST_TREE = 10


@dataclass(frozen=True, slots=True)
class NewTag:
    """A tag to be made; `parent` is a slug."""

    dimension: Dimension
    slug: str
    name: str
    parent: str | None = None


@dataclass(slots=True, eq=False)
class Known:
    """A tag that there is, or that is planned: that one gets its id when it is written."""

    id: int
    dimension: Dimension
    slug: str  # its own now, folded
    level: int = 0  # 1 is a root; 0 while nobody has looked


@dataclass(slots=True, eq=False)
class Planned(Known):
    """A tag that is checked and still to be written."""

    name: str = ""
    parent: Known | None = None


async def find(given: Iterable[str]) -> dict[str, Known]:
    """The tags with these folded slugs, or that had them once, by slug; without those that are
    missing."""
    wanted = {slug for slug in given if storable(slug, slugs.SLUG_CHARACTERS)}
    known: dict[int, Known] = {}
    found: dict[str, Known] = {}
    for row in await database.rows(
        "SELECT s.slug, t.id, t.dimension, t.slug AS own FROM tag_slug s "
        f"JOIN tag t ON t.id = s.tag_id WHERE s.slug {dialect.listed(1)}",
        dialect.as_list(wanted),
    ):
        tag = Known(row["id"], Dimension(row["dimension"]), row["own"])
        found[row["slug"]] = known.setdefault(tag.id, tag)
    return found


async def plan(new: NewTag, known: Mapping[str, Known]) -> Planned:
    """The tag, to be written by `plant`, among those that are known by their slugs; whether its
    own is free is for the caller to see.

    Raises `TagNotFound` or `ParentElsewhere` for its parent, `Invalid` where it would stand deeper
    than ten levels, and mistakes of form with the field.
    """
    slug = slugs.checked(new.slug, "slug")
    name = text(new.name, "name", most=NAME_CHARACTERS)
    parent = None if new.parent is None else _parent(new.parent, new.dimension, known)
    level = 1 + (await _level(parent) if parent else 0)
    if level > DEEPEST_TREE:
        raise Invalid(f"Tags stand at most {DEEPEST_TREE} levels deep.", "parent")
    return Planned(0, new.dimension, slug, level, name, parent)


def _parent(slug: str, dimension: Dimension, known: Mapping[str, Known]) -> Known:
    parent = known.get(slugs.fold(slug))
    if parent is None:
        raise TagNotFound(slug, "parent")
    if parent.dimension != dimension:
        raise ParentElsewhere("parent")
    return parent


async def _level(tag: Known) -> int:
    if not tag.level:
        tag.level = (
            await database.firsts("SELECT COUNT(*) FROM tag_ancestor WHERE tag_id = $1", tag.id)
        )[0]
    return tag.level


async def plant(planned: Sequence[Planned], actor_id: int | None, now: datetime) -> None:
    """Writes the tags, which get their ids; belongs into the unit of work that has planned them
    and holds the lock. Those that are planned below each other go together."""
    by_level = sorted(planned, key=lambda tag: tag.level)
    for _, level in groupby(by_level, key=lambda tag: tag.level):
        await _plant([*level])
    details = [(tag.id, _said(tag)) for tag in planned]
    await audit.note_each("tagCreate", "Tag", details, actor_id=actor_id, now=now)


def _said(tag: Planned) -> Mapping[str, str | None]:
    return {"slug": tag.slug, "name": tag.name, "parent": tag.parent and tag.parent.slug}


async def _plant(level: Sequence[Planned]) -> None:
    """Writes tags of one level; their parents are there."""
    made = await bulk.insert_returning(
        Tag,
        ("dimension", "slug", "name", "name_key", "parent_id"),
        [
            (tag.dimension, tag.slug, tag.name, tag.name.casefold(), tag.parent and tag.parent.id)
            for tag in level
        ],
        "id, slug",
    )
    ids = {row["slug"]: row["id"] for row in made}
    for tag in level:
        tag.id = ids[tag.slug]
    await bulk.insert(TagSlug, ("slug", "tag_id"), [(tag.slug, tag.id) for tag in level])
    await shelving.grow(sorted(ids.values()))
