"""Owns how rows go that have outlived their use: a few at a time, on the way of those that come."""

from datetime import datetime

from tortoise.models import Model

BITE = 20  # rows looked at; more than come at a time, so that they never pile up


async def delete(table: type[Model], column: str, until: datetime) -> None:
    """Deletes those of the 20 oldest rows whose instant is not after `until`; belongs into a unit
    of work. Never waits: what another one is deleting is left to it.

    Right for tables in which rows end in the order in which they came.
    """
    oldest = await table.all().order_by("id").limit(BITE).values_list("id", column)
    ended = [row_id for row_id, at in oldest if at <= until]
    if ended:
        mine = table.filter(id__in=ended).select_for_update(skip_locked=True)
        await table.filter(id__in=await mine.values_list("id", flat=True)).delete()
