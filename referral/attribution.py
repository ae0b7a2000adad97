"""Owns the decision who brought an order. Pure: from its arguments alone, no clock, no database.

The model is LAST_TOUCH: of the touches that count, the latest takes the whole order.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from referral.models import Verdict

VISIT = timedelta(minutes=30)
WHOLE_PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Touch:
    """A click as the decision sees it. A mailbox of None is nobody's."""

    id: int
    link_id: int
    program_id: int
    promoter_id: int
    promoter_mailbox: str | None
    visitor: str
    touched_at: datetime
    bot_reason: str | None


@dataclass(frozen=True, slots=True)
class Terms:
    """What a program brings to the decision; `pays` when a rule rewards this conversion."""

    window_days: int
    pays: bool


@dataclass(frozen=True, slots=True)
class Customer:
    """Who bought."""

    member_id: int
    mailbox: str | None


@dataclass(frozen=True, slots=True)
class Judged:
    """A touch, its verdict and the reason in words."""

    touch: Touch
    verdict: Verdict
    detail: str


@dataclass(frozen=True, slots=True)
class Credit:
    """That the promoter brought the conversion, through this link."""

    touch: Touch
    weight_ppm: int


@dataclass(frozen=True, slots=True)
class Decision:
    """Who brought it, at most one per program, and every touch with its verdict in time order."""

    credits: Sequence[Credit]
    judged: Sequence[Judged]


def visits(touches: Iterable[Touch]) -> Sequence[Touch]:
    """The touches that open a visit, in time order.

    Clicks of one visitor on one link within 30 minutes of the first are one visit, whose touch is
    the first; people and bots are kept apart.
    """
    opened: dict[tuple[str, int, bool], datetime] = {}
    firsts = []
    for touch in sorted(touches, key=lambda each: (each.touched_at, each.id)):
        series = (touch.visitor, touch.link_id, touch.bot_reason is None)
        since = opened.get(series)
        if since is None or touch.touched_at - since > VISIT:
            opened[series] = touch.touched_at
            firsts.append(touch)
    return firsts


def decide(
    customer: Customer,
    occurred_at: datetime,
    touches: Iterable[Touch],
    terms: Mapping[int, Terms],
) -> Decision:
    """Judges every touch of the customer for a conversion at `occurred_at`.

    `terms` holds the terms of every program that a touch belongs to. One order is never paid by
    two programs: of those that pay, the one whose latest eligible touch is newest decides.
    """
    looked_at = visits(touches)
    refused = {
        touch.id: refusal
        for touch in looked_at
        if (refusal := _refusal(customer, occurred_at, touch, terms[touch.program_id]))
    }
    latest: dict[int, Touch] = {}
    for touch in looked_at:
        if touch.id not in refused:
            latest[touch.program_id] = touch
    payer = _payer(latest, terms)
    judged = [
        refused.get(touch.id) or _ranking(touch, latest[touch.program_id], payer, terms)
        for touch in looked_at
    ]
    credits = [
        Credit(touch, WHOLE_PPM)
        for program_id, touch in sorted(latest.items())
        if payer is None or program_id == payer or not terms[program_id].pays
    ]
    return Decision(credits, judged)


def _payer(latest: Mapping[int, Touch], terms: Mapping[int, Terms]) -> int | None:
    paying = [touch for program_id, touch in latest.items() if terms[program_id].pays]
    newest = max(paying, key=lambda touch: (touch.touched_at, touch.id), default=None)
    return newest and newest.program_id


def _refusal(
    customer: Customer, occurred_at: datetime, touch: Touch, terms: Terms
) -> Judged | None:
    """Why the touch cannot count at all, or None when it is eligible."""
    if touch.bot_reason is not None:
        return Judged(touch, Verdict.BOT, f"not a person: {touch.bot_reason}")
    if touch.promoter_id == customer.member_id:
        return Judged(touch, Verdict.SELF_REFERRAL, "the promoter is the customer")
    if customer.mailbox is not None and touch.promoter_mailbox == customer.mailbox:
        return Judged(touch, Verdict.SELF_REFERRAL, "promoter and customer share a mailbox")
    age = occurred_at - touch.touched_at
    if age < timedelta(0):
        return Judged(touch, Verdict.OUTSIDE_WINDOW, f"touched {-age} after the conversion")
    if age > timedelta(days=terms.window_days):
        detail = f"touched {age} before; the window is {terms.window_days} days"
        return Judged(touch, Verdict.OUTSIDE_WINDOW, detail)
    return None


def _ranking(touch: Touch, latest: Touch, payer: int | None, terms: Mapping[int, Terms]) -> Judged:
    """The verdict of an eligible touch among the others."""
    pays = terms[touch.program_id].pays
    if pays and touch.program_id != payer:
        return Judged(touch, Verdict.OTHER_PROGRAM, "another program has the newer touch")
    if touch is not latest:
        return Judged(touch, Verdict.SUPERSEDED, "a later touch took its place")
    if not pays:
        return Judged(touch, Verdict.NO_RULE, "no rule of the program rewards this")
    return Judged(touch, Verdict.CREDITED, "the last touch before the conversion")
