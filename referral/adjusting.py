"""Owns corrections by finance: somebody gets more, or less, for a reason that is written down."""

from datetime import datetime

from core import audit, database
from core.errors import Invalid, text
from members import ledger
from members.errors import MemberNotFound
from members.ledger import AccountRef
from members.models import Account, Asset, Member
from referral import programs

LARGEST_AMOUNT = 10**15
MEMO_CHARACTERS = 300
KEY_CHARACTERS = 100


@database.unit_of_work
async def adjust(
    member_id: int,
    program_code: str,
    *,
    asset: Asset,
    amount: int,
    memo: str,
    key: str,
    actor_id: int,
    now: datetime,
) -> None:
    """Adds the amount, in minor units or points, to what the member has available in the program;
    a negative one is taken away.

    The same key with the same words and figures changes nothing. Raises `ProgramNotFound`,
    `MemberNotFound`, `Invalid` for an amount of zero or beyond 10^15, `Required` or `TooLong` for
    memo and key, and what `ledger.adjust` raises.
    """
    memo = text(memo, "memo", most=MEMO_CHARACTERS)
    key = text(key, "key", most=KEY_CHARACTERS)
    if not 0 < abs(amount) <= LARGEST_AMOUNT:
        raise Invalid(f"An adjustment is of 1 to {LARGEST_AMOUNT}, or as much below 0.", "amount")
    program = await programs.by_code(program_code)
    if not await Member.exists(id=member_id):
        raise MemberNotFound("member")
    account = AccountRef(program.id, asset, member_id, Account.AVAILABLE)
    if await ledger.adjust(account, amount, memo, key, now):
        said = {"asset": asset, "amount": amount, "memo": memo, "key": key}
        await audit.note(
            "ledgerAdjust",
            "Member",
            [member_id],
            actor_id=actor_id,
            now=now,
            detail={"program": program_code, **said},
        )
