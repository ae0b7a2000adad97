"""Owns the look at where members want to be paid: an account that two of them name becomes a case
for each."""

from collections.abc import Sequence
from datetime import datetime

from tortoise.expressions import F

from core import database
from core.webhooks import ref
from members import payees
from members.models import Account, Asset
from members.payees import Payee, Vault
from referral import risk
from referral.models import Commission
from referral.risk import Suspicion
from referral.risk_rules import Rule


@database.unit_of_work
async def put(member_id: int, payee: Payee, vault: Vault, now: datetime) -> None:
    """Keeps where the member is paid from now on, as `payees.put` does. Where somebody else is paid
    to the same account, a case is opened for each of them, and their commissions in cash are held.

    Somebody for whom staff have released a case of this account is left alone.
    """
    await database.lock(risk.LOCK)  # two who name one account at the same time see each other
    await payees.put(member_id, payee, vault, now)
    together = await payees.sharing(member_id)
    if len(together) > 1:
        about = vault.fingerprint(payee)
        shown = payee.masked_account
        await risk.report(
            [await _suspicion(each, together, about, shown) for each in together], now
        )


async def _suspicion(member_id: int, together: Sequence[int], about: str, shown: str) -> Suspicion:
    left = Commission.filter(promoter_id=member_id, asset=Asset.CASH, reversed__lt=F("amount"))
    commissions = await left.exclude(account=Account.PAID).order_by("id")
    others = [ref("Member", each) for each in together if each != member_id]
    return Suspicion(
        Rule.SHARED_PAYEE,
        member_id,
        await risk.at_stake({each.conversion_id for each in commissions}, commissions),
        about,
        settles=True,
        bare=True,
        facts={"account": shown, "sharedWith": others},
    )
