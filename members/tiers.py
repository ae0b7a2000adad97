"""Owns the tiers: what it takes to enter one, and what falling below does.

The decision is pure; `members.standings` writes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core import database
from members.errors import TiersDiffer
from members.models import DowngradePolicy, Tier, TierChangeReason

Rule = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TierRule:
    """A tier as an operator writes it down; `rule` in the shape that `holds` reads."""

    code: str
    name: str
    rank: int
    rule: Rule
    downgrade: DowngradePolicy


def spend_at_least(amount_minor: int) -> Rule:
    """The rule that holds from a net lifetime spend of exactly this much."""
    return {"leaf": {"metric": "SPEND", "atLeast": amount_minor, "window": "LIFETIME"}}


def holds(rule: Rule, spend_minor: int) -> bool:
    """Whether the threshold is met: reaching it exactly is enough.

    `{"leaf": {"metric": "SPEND", "atLeast": N, "window": "LIFETIME"}}`, the shape of the API's
    RuleInput.
    """
    return spend_minor >= rule["leaf"]["atLeast"]


def decide(tiers: Sequence[Tier], current: Tier | None, spend_minor: int) -> Tier | None:
    """The tier of somebody who is in `current` and now has this spend.

    The highest tier whose rule holds, straight away and however many lie between; below the
    current one, that tier's own policy says whether it is kept.
    """
    qualified = max(
        (tier for tier in tiers if holds(tier.rule, spend_minor)),
        key=lambda tier: tier.rank,
        default=None,
    )
    if current is None or (qualified is not None and qualified.rank >= current.rank):
        return qualified
    return current if current.downgrade is DowngradePolicy.NEVER else qualified


def reason(before: Tier | None, after: Tier | None) -> TierChangeReason:
    """Why an order or a refund moved somebody: up by qualifying, down by the refund."""
    rose = after is not None and (before is None or after.rank > before.rank)
    return TierChangeReason.QUALIFIED if rose else TierChangeReason.REFUNDED


@database.unit_of_work
async def set_up(rules: Sequence[TierRule]) -> None:
    """Writes the tiers of a new installation; the same ones again change nothing.

    Raises `TiersDiffer` when there are others: members may stand in them.
    """
    await database.lock("tiers")
    existing = [
        TierRule(tier.code, tier.name, tier.rank, tier.rule, tier.downgrade)
        for tier in await Tier.all().order_by("rank")
    ]
    if existing == sorted(rules, key=lambda rule: rule.rank):
        return
    if existing:
        raise TiersDiffer
    for rule in rules:
        await Tier.create(
            code=rule.code,
            name=rule.name,
            rank=rule.rank,
            rule=rule.rule,
            downgrade=rule.downgrade,
        )


async def ladder() -> Sequence[Tier]:
    """All tiers, lowest first."""
    return await Tier.all().order_by("rank")
