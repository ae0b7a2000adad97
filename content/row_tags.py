"""Owns the tags that rows name: those that there are, and those that are made for them."""

from collections import ChainMap
from collections.abc import Collection, Iterable, Mapping, MutableMapping, Sequence
from datetime import datetime

from content import planting, rows
from content.errors import DimensionElsewhere
from content.planting import NewTag, Planned
from content.rows import Row, TagRow

Tags = Mapping[str, planting.Known]  # by the slugs that a row says


class RowTags:
    """The tags that some rows name, looked up at once; what is missing is planned first and
    written together."""

    def __init__(self, found: MutableMapping[str, planting.Known]) -> None:
        self._known = found
        self._planned: list[Planned] = []

    async def of(self, row: Row) -> Tags:
        """The row's tags; those that are missing are planned, all of them or none.

        Raises `DimensionElsewhere`, `Required` where a missing one has no dimension, and what
        `planting.plan` raises.
        """
        if any(tag.slug not in self._known for tag in row.tags):
            await self._plan(row)
        for tag in row.tags:
            _same_side(tag, self._known[tag.slug])
        return {tag.slug: self._known[tag.slug] for tag in row.tags}

    async def _plan(self, row: Row) -> None:
        planned: dict[str, Planned] = {}
        seen = ChainMap[str, planting.Known](
            planned,  # pyright: ignore[reportArgumentType]
            self._known,
        )
        for tag in row.tags:
            await _ensure(tag, planned, seen)
            _same_side(tag, seen[tag.slug])
        self._known.update(planned)
        self._planned.extend(planned.values())

    async def plant(self, actor_id: int | None, now: datetime) -> None:
        """Writes the tags that are planned, which get their ids."""
        planned = [*self._planned]
        self._planned.clear()
        await planting.plant(planned, actor_id, now)

    def missing(self, row: Row) -> Collection[str]:
        """The slugs of the row's tags, and of those above them, that nobody has made yet."""
        return {slug for slug in _slugs(row) if slug not in self._known}

    def forget(self, slugs: Iterable[str]) -> None:
        """Lets go of tags that were taken back with the row that made them."""
        for slug in slugs:
            self._known.pop(slug, None)


async def look_up(given: Iterable[Row]) -> RowTags:
    """The tags that the rows name."""
    return RowTags(await planting.find({slug for row in given for slug in _slugs(row)}))


def _slugs(row: Row) -> Sequence[str]:
    """Of all of its tags and of those above them."""
    return [slug for tag in row.tags for slug in _lineage(tag)]


def _lineage(tag: TagRow) -> Sequence[str]:
    return [tag.slug, *(_lineage(tag.parent) if tag.parent else ())]


async def _ensure(
    tag: TagRow, planned: MutableMapping[str, Planned], seen: Mapping[str, planting.Known]
) -> None:
    if tag.slug in seen:
        return
    if tag.parent:
        await _ensure(tag.parent, planned, seen)
    new = NewTag(rows.needed(tag), tag.slug, tag.name or tag.slug, tag.parent and tag.parent.slug)
    planned[tag.slug] = await planting.plan(new, seen)


def _same_side(tag: TagRow, found: planting.Known) -> None:
    if tag.dimension not in {None, found.dimension}:
        raise DimensionElsewhere(tag.slug, found.dimension, "tags")
