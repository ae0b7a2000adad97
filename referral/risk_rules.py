"""Owns what is suspicious, and how what was seen is kept for staff. Pure."""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from core.webhooks import instant
from referral.eligibility import SAME_MAILBOX, SAME_MEMBER, SAME_WECHAT
from referral.models import ConversionType, Verdict

EXAMPLES = 20  # that a case keeps


class Rule(StrEnum):
    """What a case was raised by."""

    SELF_REFERRAL = "SELF_REFERRAL"  # refused by the decision: nothing to hold
    OWN_DOWNLINE = "OWN_DOWNLINE"  # likewise
    REGISTRATION_VELOCITY = "REGISTRATION_VELOCITY"
    ORDER_VELOCITY = "ORDER_VELOCITY"
    SHARED_PAYEE = "SHARED_PAYEE"


VELOCITY = {
    ConversionType.REGISTRATION: Rule.REGISTRATION_VELOCITY,
    ConversionType.ORDER: Rule.ORDER_VELOCITY,
}
REFUSED = {
    Verdict.SELF_REFERRAL: Rule.SELF_REFERRAL,
    Verdict.OWN_DOWNLINE: Rule.OWN_DOWNLINE,
}
FORMS = {SAME_MEMBER: "MEMBER", SAME_MAILBOX: "MAILBOX", SAME_WECHAT: "WECHAT"}


@dataclass(frozen=True, slots=True)
class Limits:
    """How many of a kind a promoter may bring within any `window`; 0 for as many as they like."""

    registrations: int = 100
    orders: int = 100
    window: timedelta = timedelta(hours=1)

    def of(self, kind: ConversionType) -> int:
        return self.registrations if kind is ConversionType.REGISTRATION else self.orders


@dataclass(frozen=True, slots=True)
class Moment:
    """A conversion as velocity sees it."""

    at: datetime
    conversion_id: int


@dataclass(frozen=True, slots=True)
class Seen:
    """A conversion that a case is about, with the commissions that it puts at stake by id, their
    sums by asset, and what staff are shown of it."""

    at: datetime
    conversion_id: int
    commission_ids: Sequence[int] = ()
    amounts: Mapping[str, int] = field(default_factory=dict)
    shown: Mapping[str, Any] = field(default_factory=dict)

    @property
    def pairs(self) -> Sequence[tuple[int, int | None]]:
        """Conversion and commission: one pair without where there is none."""
        return [(self.conversion_id, each) for each in self.commission_ids or (None,)]


def too_fast(moments: Iterable[Moment], most: int, window: timedelta) -> Sequence[Moment]:
    """Those that are more than `most` in the window that ends with them, its very beginning left
    out: so many at one instant are one too many, and what is a whole window older does not count.
    In time order; none where `most` is 0."""
    if most == 0:
        return []
    within: deque[datetime] = deque()
    found = []
    for moment in sorted(moments, key=lambda each: (each.at, each.conversion_id)):
        within.append(moment.at)
        while within[0] <= moment.at - window:
            within.popleft()
        if len(within) > most:
            found.append(moment)
    return found


def sums(amounts: Iterable[tuple[str, int]]) -> Mapping[str, int]:
    """What the amounts of each name add up to, where that is anything."""
    found: Counter[str] = Counter()
    for name, amount in amounts:
        found[str(name)] += amount
    return +found


def evidence(before: Mapping[str, Any], seen: Sequence[Seen], **facts: object) -> dict[str, Any]:
    """What was known, with what was seen since: how many conversions, from when to when, the first
    20 of them, and what was left of the commissions by asset. `facts` are the rule's own and take
    the place of earlier ones."""
    at_stake = Counter(before.get("atStake", {}))
    for each in seen:
        at_stake.update(each.amounts)
    times = [instant(each.at) for each in seen]
    known = [before[name] for name in ("firstAt", "lastAt") if before.get(name) is not None]
    shown = [*before.get("examples", ()), *(dict(each.shown) for each in seen)]
    return {
        **before,
        **facts,
        "conversions": before.get("conversions", 0) + len(seen),
        "firstAt": min([*times, *known], key=datetime.fromisoformat, default=None),
        "lastAt": max([*times, *known], key=datetime.fromisoformat, default=None),
        "examples": shown[:EXAMPLES],
        "atStake": dict(at_stake),
    }
