"""Owns what a commission is to the ledger: its key, where what is left of it lies and goes next.

Pure: decides, writes nothing.
"""

from datetime import datetime
from enum import StrEnum

from members.ledger import AccountRef
from members.models import Account
from referral.models import Commission


class CommissionStatus(StrEnum):
    """How far a commission is, in one word."""

    PENDING = "PENDING"
    AVAILABLE = "AVAILABLE"
    PAID = "PAID"
    REVERSED = "REVERSED"  # nothing is left of it
    HELD = "HELD"


def status(commission: Commission) -> CommissionStatus:
    """Where what is left of it lies, or that nothing is."""
    if commission.reversed and not left(commission):
        return CommissionStatus.REVERSED
    return CommissionStatus(commission.account)


def left(commission: Commission) -> int:
    """What refunds have not taken back, in minor units or points."""
    return commission.amount - commission.reversed


def taken_from(commission: Commission) -> AccountRef:
    """The promoter's account that a refund takes from: where the money is, and once that has been
    paid out the available one, which later commissions fill again."""
    paid = commission.account is Account.PAID
    return account(commission, Account.AVAILABLE if paid else commission.account)


def account(commission: Commission, name: Account) -> AccountRef:
    """The promoter's account of this name, in the commission's program and asset."""
    return AccountRef(commission.program_id, commission.asset, commission.promoter_id, name)


def after_hold(commission: Commission, now: datetime) -> Account:
    """Where it goes when it is no longer held: to where it would be by now."""
    return Account.AVAILABLE if commission.available_at <= now else Account.PENDING


def key(commission: Commission) -> str:
    """The business fact behind a commission, with which the keys of its transfers end."""
    return (
        f"{commission.conversion_id}:{commission.program_id}:{commission.promoter_id}"
        f":{commission.level}:{commission.asset}"
    )
