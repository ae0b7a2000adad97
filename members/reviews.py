"""Owns what the time alone does to tiers: grants and validities end, facts leave their windows."""

from datetime import datetime

from core import database
from members.standings import Standings

TOPIC = "tier_review"
BATCH = 100

DUE = """
SELECT member_id FROM standing WHERE review_at <= $1 ORDER BY review_at LIMIT {most}{lock}
"""


async def due(now: datetime) -> bool:
    """Whether the time has come for anybody."""
    return bool(await database.rows(DUE.format(most=1, lock=""), now))


@database.unit_of_work
async def work(now: datetime) -> bool:
    """Decides the tiers of up to 100 members whose review is due; True when there may be more.

    Any number of workers may ask at the same time: each takes other rows. A review that changes
    nothing only says when the next one is due.
    """
    lock = " FOR UPDATE SKIP LOCKED" if database.is_postgres() else ""
    found = await database.rows(DUE.format(most=BATCH, lock=lock), now)
    if not found:
        return False
    member_ids = [row["member_id"] for row in found]
    standings = await Standings.lock(member_ids, now)
    for member_id in member_ids:
        standings.review(member_id)
    await standings.save()
    return len(found) == BATCH
