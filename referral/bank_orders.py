"""Owns what the bank is told of pay-outs: the only place where whom they go to is in the clear."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from core import audit, database
from members import payees
from referral import programs
from referral.models import Payout, PayoutStatus


@dataclass(frozen=True, slots=True)
class Order:
    """A pay-out with whom it goes to, in the clear: for the bank alone."""

    payout: Payout
    program_code: str
    member_name: str
    payee: payees.Payee


@database.unit_of_work
async def of(
    status: PayoutStatus,
    program_code: str | None,
    vault: payees.Vault,
    actor_id: int,
    now: datetime,
) -> Sequence[Order]:
    """The pay-outs of this status, of one program where it is named, oldest first.

    Who looked at which is audited. Raises `ProgramNotFound` and `payees.Unreadable`.
    """
    query = Payout.filter(status=status)
    if program_code is not None:
        query = query.filter(program=await programs.by_code(program_code))
    found = [
        Order(row, row.program.code, row.member.display_name, vault.open(row.payee))
        for row in await query.order_by("id").select_related("program", "member")
    ]
    ids = [each.payout.id for each in found]
    await audit.note("payoutCsv", "Payout", ids, actor_id=actor_id, now=now, detail={})
    return found


@database.unit_of_work
async def reseal(vault: payees.Vault, after: int) -> int | None:
    """As `payees.reseal`, for where pay-outs went."""
    rows = await Payout.filter(id__gt=after).order_by("id").limit(payees.BATCH)
    for row in rows:
        # Only this column: somebody may settle it at the same time.
        await Payout.filter(id=row.id).update(payee=vault.reseal(row.payee))
    return rows[-1].id if rows else None
