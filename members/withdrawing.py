"""Owns taking points back that should not have been earned: as if there had been less of them from
the beginning, unlike what a refund takes at its own date."""

from collections.abc import Mapping
from datetime import datetime

from core import database
from members.standings import Standings

FACTS = """
UPDATE metric_fact SET amount = amount - $1
WHERE member_id = $2 AND metric = 'POINTS_EARNED' AND conversion_id = $3
"""
STANDINGS = "UPDATE standing SET points_earned = points_earned - $1 WHERE member_id = $2"


async def take_back(points: Mapping[tuple[int, int], int], now: datetime) -> None:
    """Lowers what these members earned with these conversions, and decides their tiers; belongs
    into a unit of work, behind its locks of commissions. Nothing for nobody."""
    members = sorted({member_id for member_id, _ in points})
    if not members:
        return
    await Standings.lock(members, now)
    for (member_id, conversion_id), amount in sorted(points.items()):
        await database.execute(FACTS, amount, member_id, conversion_id)
        await database.execute(STANDINGS, amount, member_id)
    standings = await Standings.lock(members, now)  # measured anew
    for member_id in members:
        standings.restore(member_id, standings.measured(member_id).state)
    await standings.save()
