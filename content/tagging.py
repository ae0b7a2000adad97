"""Owns writing tags: making, renaming, moving and merging them, and putting them on contents.

Everything here acts at once, also on what is published.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TypedDict

from content import planting, shelving, slugs
from content.errors import (
    ContentNotFound,
    LimitExceeded,
    ParentElsewhere,
    SlugTaken,
    TagCycle,
    TagNotFound,
)
from content.models import (
    Content,
    ContentVersion,
    Dimension,
    Tag,
    TagAncestor,
    TagSlug,
    VersionTag,
)
from content.planting import DEEPEST_TREE, NAME_CHARACTERS, NewTag
from core import audit, database
from core.errors import Invalid, storable, text

LOCK = "library"  # everything that writes the library takes turns
MOST_TAGS = 100  # on one content, and in one call
MOST_CONTENTS = 100  # in one call

# Takes the slug, or finds that it is the tag's own already; no row when it is another one's.
_TAKE_SLUG = """
INSERT INTO tag_slug (slug, tag_id) VALUES ($1, $2)
ON CONFLICT (slug) DO UPDATE SET slug = excluded.slug WHERE tag_slug.tag_id = excluded.tag_id
RETURNING id
"""
# What readers and editors see of the contents now.
_SHOWN = """
SELECT v.id FROM content c
JOIN content_version v ON v.content_id = c.id AND v.version IN (c.version, c.published_version)
WHERE c.id IN ({ids})
"""


class TagChanges(TypedDict, total=False):
    """What is changed about a tag; what is missing stays. A parent of None makes it a root."""

    name: str
    slug: str
    parent: str | None


@database.unit_of_work
async def create(new: NewTag, actor_id: int, now: datetime) -> Tag:
    """Makes a tag; raises `SlugTaken` and what `planting.plan` raises."""
    await database.lock(LOCK)
    known = await planting.find(map(slugs.fold, [new.slug, new.parent or ""]))
    planned = await planting.plan(new, known)
    if planned.slug in known:
        raise SlugTaken(planned.slug, "slug")
    await planting.plant([planned], actor_id, now)
    return await Tag.get(id=planned.id)


@database.unit_of_work
async def update(slug: str, changes: TagChanges, actor_id: int, now: datetime) -> Tag:
    """Renames a tag, gives it another slug (the old one goes on working) or another parent.

    Raises `TagNotFound`, `SlugTaken`, `ParentElsewhere`, `TagCycle`, and mistakes of form.
    """
    await database.lock(LOCK)
    tag = await named(slug, "slug")
    if "name" in changes:
        tag.name = text(changes["name"], "name", most=NAME_CHARACTERS)
        tag.name_key = tag.name.casefold()
    if "slug" in changes:
        tag.slug = slugs.checked(changes["slug"], "newSlug")
        await _take(tag, tag.slug, "newSlug")
    moved = "parent" in changes and await _move(tag, changes["parent"])
    await tag.save()
    if moved:
        await _replant(tag)
    if "name" in changes:
        await shelving.rename(tag.id)
    detail = {"tag": slug, **changes}
    await audit.note("tagUpdate", "Tag", [tag.id], actor_id=actor_id, now=now, detail=detail)
    return tag


async def _move(tag: Tag, parent_slug: str | None) -> bool:
    """Sets another parent in memory; whether it is another one."""
    before = tag.parent_id
    parent = None if parent_slug is None else await _parent(parent_slug, tag.dimension)
    if parent and await TagAncestor.exists(tag_id=parent.id, ancestor_id=tag.id):
        raise TagCycle("parent")
    tag.parent_id = parent and parent.id
    return tag.parent_id != before


async def _replant(tag: Tag) -> None:
    await shelving.regrow()
    await _check_depth()
    await shelving.shelve_under(tag.id)


@database.unit_of_work
async def merge(source: str, target: str, actor_id: int, now: datetime) -> Tag:
    """Puts every content of one tag under another one of its dimension, which also takes over its
    children and slugs; the first one is no more.

    Raises `TagNotFound`, and `Invalid` for a tag with itself or with one of another dimension.
    """
    await database.lock(LOCK)
    gone, kept = await named(source, "from"), await named(target, "into")
    if gone.id == kept.id:
        raise Invalid("A tag cannot be merged into itself.", "into")
    if gone.dimension != kept.dimension:
        raise Invalid("Tags of one dimension alone can be merged.", "into")
    # First out of the subtree of what goes, so that its children cannot come to stand above it.
    if await TagAncestor.exists(tag_id=kept.id, ancestor_id=gone.id):
        kept.parent_id = gone.parent_id
        await kept.save()
    await Tag.filter(parent_id=gone.id).update(parent_id=kept.id)
    await _hand_over(gone.id, kept.id)
    await shelving.regrow()
    await _check_depth()
    await shelving.shelve_under(kept.id)
    detail = {"from": gone.slug, "into": kept.slug}
    subjects = [gone.id, kept.id]
    await audit.note("tagMerge", "Tag", subjects, actor_id=actor_id, now=now, detail=detail)
    return kept


async def _hand_over(gone_id: int, kept_id: int) -> None:
    await database.execute(
        "INSERT INTO version_tag (version_id, tag_id) "
        "SELECT version_id, CAST($2 AS BIGINT) FROM version_tag WHERE tag_id = $1 "
        "ON CONFLICT (version_id, tag_id) DO NOTHING",
        gone_id,
        kept_id,
    )
    await database.execute("UPDATE tag_slug SET tag_id = $2 WHERE tag_id = $1", gone_id, kept_id)
    for table in ("version_tag", "content_tag"):
        await database.execute(f"DELETE FROM {table} WHERE tag_id = $1", gone_id)
    await database.execute(
        "DELETE FROM tag_ancestor WHERE tag_id = $1 OR ancestor_id = $1", gone_id
    )
    await database.execute("DELETE FROM tag WHERE id = $1", gone_id)


@database.unit_of_work
async def tag_contents(
    content_ids: Sequence[int],
    add: Sequence[str],
    remove: Sequence[str],
    actor_id: int,
    now: datetime,
) -> None:
    """Puts tags on contents and takes others off, in what readers see and in the newest version,
    without making a version; all of it or nothing.

    Raises `ContentNotFound`, `TagNotFound`, `LimitExceeded`, and `Invalid` for a tag to be both
    added and removed.
    """
    _limited(content_ids, MOST_CONTENTS, "ids")
    await database.lock(LOCK)
    added, removed = await ids_of(add, "add"), await ids_of(remove, "remove")
    if added.keys() & removed.keys():
        raise Invalid("The same tag is to be added and removed.", "remove")
    if await Content.filter(id__in=content_ids).count() != len(set(content_ids)):
        raise ContentNotFound("ids")
    if not content_ids or not (added or removed):
        return
    shown = [row["id"] for row in await database.rows(_SHOWN.format(ids=_list(content_ids)))]
    await _put(shown, added)
    await VersionTag.filter(version_id__in=shown, tag_id__in=[*removed]).delete()
    await _check_count(shown)
    await ContentVersion.filter(id__in=shown).update(updated_at=now)
    await shelving.shelve(*content_ids)
    detail = {"add": [*added.values()], "remove": [*removed.values()]}
    await audit.note(
        "contentsTag",
        "Content",
        [*dict.fromkeys(content_ids)],
        actor_id=actor_id,
        now=now,
        detail=detail,
    )


async def _put(version_ids: Collection[int], tags: Mapping[int, str]) -> None:
    if tags:
        await database.execute(
            "INSERT INTO version_tag (version_id, tag_id) SELECT v.id, t.id "
            f"FROM content_version v CROSS JOIN tag t WHERE v.id IN ({_list(version_ids)}) "
            f"AND t.id IN ({_list(tags)}) ON CONFLICT (version_id, tag_id) DO NOTHING"
        )


async def _check_count(version_ids: Collection[int]) -> None:
    counts = await database.rows(
        "SELECT COUNT(*) AS n FROM version_tag "
        f"WHERE version_id IN ({_list(version_ids)}) GROUP BY version_id ORDER BY n DESC LIMIT 1"
    )
    if counts and counts[0]["n"] > MOST_TAGS:
        raise LimitExceeded(counts[0]["n"], MOST_TAGS, "add")


def _list(ids: Collection[int]) -> str:
    return ", ".join(map(str, ids))


def _limited(values: Collection[object], most: int, field: str) -> None:
    if len(values) > most:
        raise LimitExceeded(len(values), most, field)


async def ids_of(given: Sequence[str], field: str) -> Mapping[int, str]:
    """The ids of the tags with these slugs, each with its slug as given; raises `TagNotFound`
    naming those that are missing, and `LimitExceeded` above 100."""
    _limited(given, MOST_TAGS, field)
    folded = {slugs.fold(slug): slug for slug in given}
    known = [slug for slug in folded if storable(slug, slugs.SLUG_CHARACTERS)]
    found = {row.slug: row.tag_id for row in await TagSlug.filter(slug__in=known)}
    missing = [given for slug, given in folded.items() if slug not in found]
    if missing:
        raise TagNotFound(", ".join(missing), field)
    return {found[slug]: given for slug, given in folded.items()}


async def named(slug: str, field: str) -> Tag:
    """The tag with this slug, or that had it once; raises `TagNotFound` with the field."""
    [tag_id] = await ids_of([slug], field)
    return await Tag.get(id=tag_id)


async def _parent(slug: str, dimension: Dimension) -> Tag:
    parent = await named(slug, "parent")
    if parent.dimension != dimension:
        raise ParentElsewhere("parent")
    return parent


async def _take(tag: Tag, slug: str, field: str) -> None:
    if not await database.rows(_TAKE_SLUG, slug, tag.id):
        raise SlugTaken(slug, field)


async def _check_depth() -> None:
    """Raises `Invalid` where any tag stands deeper than ten levels."""
    deepest = await database.rows(
        "SELECT COUNT(*) AS n FROM tag_ancestor GROUP BY tag_id ORDER BY n DESC LIMIT 1"
    )
    if deepest and deepest[0]["n"] > DEEPEST_TREE:
        raise Invalid(f"Tags stand at most {DEEPEST_TREE} levels deep.", "parent")
