"""Owns what is made from the rows that editors write: the index by tag (`ContentTag`), the closure
of the tag trees (`TagAncestor`), and what contents are listed by. Whatever is shelved is indexed by
text (`VersionText`) too."""

from collections.abc import Collection

from content import indexing
from content.models import BITS, Audience, ContentStatus
from core import database

# Every path from a tag up to its root, the tag itself included.
_CLOSURE = """
INSERT INTO tag_ancestor (tag_id, ancestor_id)
WITH RECURSIVE up (tag_id, ancestor_id) AS (
    SELECT id, id FROM tag
    UNION ALL
    SELECT up.tag_id, tag.parent_id FROM up JOIN tag ON tag.id = up.ancestor_id
    WHERE tag.parent_id IS NOT NULL
)
SELECT tag_id, ancestor_id FROM up
"""
# Of tags whose parents stand in it already.
_GROW = """
INSERT INTO tag_ancestor (tag_id, ancestor_id)
SELECT id, id FROM tag WHERE id IN ({ids})
UNION ALL
SELECT t.id, above.ancestor_id FROM tag t JOIN tag_ancestor above ON above.tag_id = t.parent_id
WHERE t.id IN ({ids})
"""
_SHELVE = f"""
INSERT INTO content_tag (content_id, tag_id, readers, editors, published, staff)
SELECT c.id, a.ancestor_id,
    MAX(CASE WHEN v.version = c.published_version THEN 1 ELSE 0 END) = 1,
    MAX(CASE WHEN v.version = c.version THEN 1 ELSE 0 END) = 1,
    c.status = '{ContentStatus.PUBLISHED}', COALESCE(c.audience = '{Audience.STAFF}', FALSE)
FROM content c
JOIN content_version v ON v.content_id = c.id AND v.version IN (c.version, c.published_version)
JOIN version_tag vt ON vt.version_id = v.id
JOIN tag_ancestor a ON a.tag_id = vt.tag_id
WHERE c.id IN ({{which}})
GROUP BY c.id, a.ancestor_id
"""
LIST = """
UPDATE content SET
    title = n.title, updated_at = n.updated_at,
    published_title = p.title, published_updated_at = p.updated_at,
    audience = p.audience, min_tier_id = p.min_tier_id, listed = c.status = 'PUBLISHED'
FROM content c JOIN content_version n ON n.content_id = c.id AND n.version = c.version
LEFT JOIN content_version p ON p.content_id = c.id AND p.version = c.published_version
WHERE c.id = content.id AND content.id IN ({which})
"""
_BIT = "CASE t.dimension " + " ".join(f"WHEN '{side}' THEN {bit}" for side, bit in BITS.items())
# Each tag by its key: joined, a planner may look at every tag for every content.
_SIDES = f"""(
    SELECT COALESCE(SUM(DISTINCT (SELECT {_BIT} END FROM tag t WHERE t.id = ct.tag_id)), 0)
    FROM content_tag ct WHERE ct.content_id = content.id AND ct."""
ADD_SIDES = f"""
UPDATE content SET dimensions = {_SIDES}editors), published_dimensions = {_SIDES}readers)
WHERE id IN ({{which}})
"""
# By what the versions say, and not by the index, which is being made anew.
_CARRYING = """
SELECT v.content_id FROM tag_ancestor a
JOIN version_tag vt ON vt.tag_id = a.tag_id
JOIN content_version v ON v.id = vt.version_id
WHERE a.ancestor_id = $1
"""
# Those that carry the tag itself.
_NAMED = """
SELECT v.content_id FROM version_tag vt JOIN content_version v ON v.id = vt.version_id
WHERE vt.tag_id = $1
"""
# What is made anew, in this order, of the contents in `which`.
STATEMENTS = (LIST, _SHELVE, ADD_SIDES)


async def shelve(*content_ids: int) -> None:
    """Puts the contents under the tags of what readers and editors see of them now."""
    if content_ids:
        await _shelve(", ".join(map(str, content_ids)))


async def shelve_under(tag_id: int) -> None:
    """Puts every content with a tag of this one's subtree under its tags anew."""
    await _shelve(_CARRYING, tag_id)


async def _shelve(which: str, *values: int) -> None:
    await database.execute(f"DELETE FROM content_tag WHERE content_id IN ({which})", *values)
    for statement in STATEMENTS:
        await database.execute(statement.format(which=which), *values)
    await indexing.refresh(which, *values)


async def rename(tag_id: int) -> None:
    """Has every content that carries the tag found by the tag's name as it is now."""
    await indexing.refresh(_NAMED, tag_id)


async def grow(tag_ids: Collection[int]) -> None:
    """Adds new tags of one level, with nothing below them yet, to the closure."""
    if tag_ids:
        ids = ", ".join(map(str, tag_ids))
        await database.execute(_GROW.format(ids=ids))


async def regrow() -> None:
    """Makes the closure of all trees anew: there are far fewer tags than contents."""
    await database.execute("DELETE FROM tag_ancestor")
    await database.execute(_CLOSURE)
