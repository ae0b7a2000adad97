"""Owns the end of the hold time: what is due becomes available, by the time alone.

But not before the rules of risk have looked at it (see `looking`): what is pending is not paid out.
"""

from datetime import datetime

from core import database
from members.models import Account, EntryKind
from referral import moving

TOPIC = "commission_release"
BATCH = 100

DUE = """
SELECT id FROM commission WHERE account = 'PENDING' AND available_at <= $1 AND (
    SELECT attribution.id FROM attribution
    WHERE attribution.conversion_id = commission.conversion_id
    AND attribution.program_id = commission.program_id
    AND attribution.promoter_id = commission.promoter_id
    AND attribution.level = commission.level
) <= (SELECT attribution_id FROM looked)
ORDER BY available_at LIMIT {most}{lock}
"""


async def due(now: datetime) -> bool:
    """Whether the time has come for anything."""
    return bool(await database.rows(DUE.format(most=1, lock=""), now))


@database.unit_of_work
async def work(now: datetime) -> bool:
    """Releases up to 100 commissions whose hold time is over, that instant included; True when
    there may be more.

    Any number of workers may ask at the same time: each takes other rows. What somebody else is
    at work on is left for the next round.
    """
    await database.trust_indexes()
    lock = " FOR UPDATE OF commission SKIP LOCKED" if database.is_postgres() else ""
    found = await database.rows(DUE.format(most=BATCH, lock=lock), now)
    if not found:
        return False
    commissions = await moving.locked([row["id"] for row in found])
    await moving.move(
        [(each, Account.AVAILABLE) for each in commissions], EntryKind.RELEASE, moving.RELEASE, now
    )
    return len(found) == BATCH
