"""Owns how what is left of commissions goes from one account of its promoter to another."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from members import ledger
from members.ledger import Transfer
from members.models import Account, EntryKind
from referral import whereabouts
from referral.models import Commission

T = TypeVar("T")
Move = tuple[Commission, Account]

RELEASE = "release"
PER_STATEMENT = 1_000


async def locked(commission_ids: Sequence[int]) -> Sequence[Commission]:
    """The commissions as they stay until the unit of work ends, locked in the one order in which
    everybody does. Locks come before those of standings and of the ledger's accounts."""
    found: list[Commission] = []
    for some in portions(sorted(set(commission_ids))):
        found += await Commission.filter(id__in=some).order_by("id").select_for_update()
    return found


async def move(moves: Sequence[Move], kind: EntryKind, fact: str, now: datetime) -> None:
    """Puts each commission, which is locked, where it goes, and books what is left of it under
    `fact` and its own key; belongs into a unit of work, at its end.

    Where nothing is left there is nothing to book. The same fact again raises IntegrityError.
    """
    transfers = [_transfer(each, to, kind, fact) for each, to in moves if whereabouts.left(each)]
    by_target: dict[Account, list[int]] = defaultdict(list)
    for commission, target in moves:
        by_target[target].append(commission.id)
    for target, commission_ids in by_target.items():
        for some in portions(commission_ids):
            await Commission.filter(id__in=some).update(account=target)
    await ledger.post(transfers, now)


def portions(ids: Sequence[T]) -> Iterator[Sequence[T]]:
    """These by the thousand: so many fit into a statement of either database."""
    for start in range(0, len(ids), PER_STATEMENT):
        yield ids[start : start + PER_STATEMENT]


def _transfer(commission: Commission, target: Account, kind: EntryKind, fact: str) -> Transfer:
    return Transfer(
        key=f"{fact}:{whereabouts.key(commission)}",
        kind=kind,
        source=whereabouts.account(commission, commission.account),
        target=whereabouts.account(commission, target),
        amount=whereabouts.left(commission),
        conversion_id=commission.conversion_id,
    )
