"""Draws rules, tiers and facts at random, and says what they come to in the plainest way.

Written from what the rules promise and not from how they are kept: slow, and easy to believe.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from members.models import TierMetric, Window
from members.rules import INVITED, AllOf, AnyOf, Leaf, Rule, Term

SHANGHAI = ZoneInfo("Asia/Shanghai")
PLANS = ("basic", "board")


def leaf(metric: str, at_least: int, **more: Any) -> dict[str, Any]:
    """A leaf as an operator writes it."""
    return {"leaf": {"metric": metric, "atLeast": at_least, **more}}


def spend(at_least: int, **more: Any) -> dict[str, Any]:
    return leaf("SPEND", at_least, **more)


def any_of(*rules: Any) -> dict[str, Any]:
    return {"any": list(rules)}


def all_of(*rules: Any) -> dict[str, Any]:
    return {"all": list(rules)}


@st.composite
def terms(draw: st.DrawFn) -> Term:
    """Any of the things that a rule may measure, of a few days and plans."""
    metric = draw(st.sampled_from(TierMetric))
    plan = draw(st.sampled_from([None, *PLANS])) if metric is TierMetric.FEE else None
    window = draw(st.sampled_from(Window))
    days = draw(st.sampled_from([1, 30, 365])) if window is Window.LAST_DAYS else None
    return Term(metric, plan, window, days)


def trees(leaves: st.SearchStrategy[Leaf]) -> st.SearchStrategy[Rule]:
    """Rules of up to three levels, small enough to be kept."""
    level: st.SearchStrategy[Rule] = leaves
    for _ in range(3):
        parts = st.lists(level, min_size=1, max_size=2).map(tuple)
        level = st.one_of(leaves, parts.map(AnyOf), parts.map(AllOf))
    return level


def leaves(amounts: st.SearchStrategy[int]) -> st.SearchStrategy[Leaf]:
    return st.builds(Leaf, terms(), amounts)


@dataclass(frozen=True, slots=True)
class Fact:
    """What a member is told to have done: paid, got points, or invited somebody."""

    metric: TierMetric
    at: datetime
    amount: int = 1
    plan: str | None = None


def measured(term: Term, facts: Iterable[Fact], now: datetime, zone: ZoneInfo) -> int:
    """The sum of the facts that the term asks for."""
    return sum(
        fact.amount
        for fact in facts
        if fact.metric is term.metric
        and (term.plan is None or term.plan == fact.plan)
        and inside(term, fact.at, now, zone)
    )


def inside(term: Term, at: datetime, now: datetime, zone: ZoneInfo) -> bool:
    if term.window is Window.CALENDAR_YEAR:
        return at.astimezone(zone).year == now.astimezone(zone).year
    if term.window is Window.LAST_DAYS:
        return now - at <= timedelta(hours=24 * (term.days or 0))
    return True


def met(rule: Rule, values: Mapping[Term, int]) -> bool:
    """Whether the rule holds, by its words."""
    if isinstance(rule, Leaf):
        return not values[rule.term] < rule.at_least
    answers = [met(each, values) for each in rule.rules]
    return True in answers if isinstance(rule, AnyOf) else False not in answers


def edges(now: datetime, zone: ZoneInfo = SHANGHAI) -> Sequence[datetime]:
    """Instants around every edge that a window may have at `now`."""
    year = now.astimezone(zone).year
    turns = [datetime(each, 1, 1, tzinfo=zone).astimezone(UTC) for each in (year, year + 1)]
    begins = [now - timedelta(days=days) for days in (1, 30, 365)]
    moments = [timedelta(microseconds=each) for each in (-1, 0, 1)]
    around = [edge + moment for edge in (*turns[:1], *begins) for moment in moments]
    return [*around, now, now - timedelta(days=4_000)]


def facts(at: st.SearchStrategy[datetime]) -> st.SearchStrategy[Fact]:
    """Payments, points and refunds; invitations are drawn apart."""
    booked = [TierMetric.SPEND, TierMetric.FEE, TierMetric.POINTS_EARNED]
    plain = st.builds(
        Fact, st.sampled_from(booked), at, st.integers(-3, 4), st.sampled_from([None, *PLANS])
    )
    return plain.map(
        lambda fact: (
            fact if fact.metric is TierMetric.FEE else Fact(fact.metric, fact.at, fact.amount)
        )
    )


def is_invited(term: Term) -> bool:
    return term.metric in INVITED
