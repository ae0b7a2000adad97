"""Owns how much a credit is worth, and how much of it a refund takes back. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from core.money import half_up
from members.models import Asset, Role
from referral.models import RewardRule
from referral.shares import divide

ONE_BPS = 10_000


@dataclass(frozen=True, slots=True)
class Receiver:
    """Somebody who may get a part of a commission."""

    promoter_id: int
    roles: Collection[Role]


@dataclass(frozen=True, slots=True)
class Reward:
    """What a promoter gets by a rule, in minor units or points."""

    promoter_id: int
    rule: RewardRule
    amount: int


def rewards(
    rules: Sequence[RewardRule],
    amount: int,
    level: int,
    weights: Sequence[int],
    receivers: Sequence[Receiver | None],
) -> Sequence[Reward]:
    """What the receivers of one level get for a conversion worth `amount`, one row for each of
    them and asset.

    Each rule's commission is computed on the whole and split by the weights, so that the parts sum
    to the whole; everybody takes the part of the rule that matches them. The part of a None, a
    parent who is not there, is not paid. The order of the receivers breaks ties.
    """
    found: dict[tuple[int, Asset], Reward] = {}
    for asset in Asset:
        candidates = [rule for rule in rules if rule.asset is asset and rule.level == level]
        if not candidates:
            continue
        for at, receiver in enumerate(receivers):
            rule = receiver and matching(candidates, receiver.roles)
            if receiver is None or rule is None:
                continue
            part = divide(commission(rule, amount), weights)[at]
            key = receiver.promoter_id, asset
            before = found[key].amount if key in found else 0
            found[key] = Reward(receiver.promoter_id, rule, before + part)
    return [*found.values()]


def matching(rules: Sequence[RewardRule], roles: Collection[Role]) -> RewardRule | None:
    """The most specific of the rules for somebody with these roles: one that names a role of
    theirs before one that names none, the first of several."""
    named = (rule for rule in rules if rule.role in roles)
    return next(named, None) or next((rule for rule in rules if rule.role is None), None)


def commission(rule: RewardRule, amount: int) -> int:
    """What the rule gives for the whole: a fixed amount, or a percentage to the nearest unit, a
    half upwards; at most its cap."""
    whole = (
        rule.amount if rule.amount is not None else half_up(amount * (rule.rate_bps or 0), ONE_BPS)
    )
    return whole if rule.cap_per_conversion is None else min(whole, rule.cap_per_conversion)


def reversed_total(commission_amount: int, refunded_minor: int, amount_minor: int) -> int:
    """How much of a commission is taken back once this much of the order was refunded.

    The total and not the step: the steps of any sequence of refunds add up to it exactly, and a
    full refund takes back everything.
    """
    return half_up(commission_amount * refunded_minor, amount_minor)
