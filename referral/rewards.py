"""Owns how much a credit is worth, and how much of it a refund takes back. Pure."""

from core.money import half_up

ONE_BPS = 10_000


def commission(amount_minor: int, rate_bps: int) -> int:
    """The share of an amount, to the nearest minor unit, a half upwards."""
    return half_up(amount_minor * rate_bps, ONE_BPS)


def reversed_total(commission_amount: int, refunded_minor: int, amount_minor: int) -> int:
    """How much of a commission is taken back once this much of the order was refunded.

    The total and not the step: the steps of any sequence of refunds add up to it exactly, and a
    full refund takes back everything.
    """
    return half_up(commission_amount * refunded_minor, amount_minor)
