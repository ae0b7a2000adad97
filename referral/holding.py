"""Owns keeping commissions back while somebody looks at them, and letting them go again."""

from collections.abc import Sequence
from datetime import datetime

from members.models import Account, EntryKind, LedgerTransfer
from referral import moving, whereabouts
from referral.models import Commission


async def hold(commission_ids: Sequence[int], fact: str, now: datetime) -> Sequence[int]:
    """Holds what is left of those that are pending or available, and says which; belongs into a
    unit of work.

    What is held already stays so, and what is paid out cannot be held. `fact`, at most 60
    characters, is why: the same hold again under it raises IntegrityError.
    """
    free = (Account.PENDING, Account.AVAILABLE)
    found = [each for each in await moving.locked(commission_ids) if each.account in free]
    await moving.move([(each, Account.HELD) for each in found], EntryKind.HOLD, f"hold:{fact}", now)
    return [each.id for each in found]


async def unhold(commission_ids: Sequence[int], fact: str, now: datetime) -> Sequence[int]:
    """Puts those that are held back to where they would be by now, available once their hold time
    is over, and says which; belongs into a unit of work. `fact` is as in `hold`."""
    found = [each for each in await moving.locked(commission_ids) if each.account is Account.HELD]
    released = await _released(found)
    moves = [
        (each, Account.AVAILABLE if each.id in released else whereabouts.after_hold(each, now))
        for each in found
    ]
    await moving.move(moves, EntryKind.UNHOLD, f"unhold:{fact}", now)
    return [each.id for each in found]


async def _released(commissions: Sequence[Commission]) -> set[int]:
    """Those that were released before they were held: by a clock that was ahead of this one,
    perhaps, and nothing is released twice."""
    released: set[int] = set()
    for some in moving.portions(commissions):
        keys = {f"{moving.RELEASE}:{whereabouts.key(each)}": each.id for each in some}
        released |= {keys[each.key] for each in await LedgerTransfer.filter(key__in=list(keys))}
    return released
