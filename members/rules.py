"""Owns the threshold rules of tiers: what they ask for, whether they hold, what is missing. Pure.

A rule is a tree of `any` and `all` over leaves; a leaf asks that a metric over a window is at
least so much. Stored and published in the shape of the API's RuleInput.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from math import prod
from typing import Any
from zoneinfo import ZoneInfo

from core.errors import Invalid, text
from members.models import TierMetric, Window

DEEPEST = 5  # `any` and `all` inside each other
MOST_ALTERNATIVES = 32
MOST_LEAVES = 100
LONGEST_WINDOW_DAYS = 36_500
PLAN_CHARACTERS = 40
LARGEST_COUNT = 2**31 - 1
LARGEST_SUM = 10**18
INVITED = frozenset(
    {TierMetric.INVITED_REGISTERED, TierMetric.INVITED_BOUGHT, TierMetric.INVITED_PROMOTED}
)
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Term:
    """What a leaf measures: a metric, of a FEE perhaps one plan alone, over a window."""

    metric: TierMetric
    plan: str | None = None
    window: Window = Window.LIFETIME
    days: int | None = None

    @property
    def label(self) -> str:
        """Its name in the history: `SPEND`, `FEE basic`, `SPEND LAST_DAYS 365`."""
        parts = [self.metric.value, self.plan]
        if self.window is not Window.LIFETIME:
            parts += [self.window.value, self.days and str(self.days)]
        return " ".join(part for part in parts if part)

    def since(self, now: datetime, zone: ZoneInfo) -> datetime | None:
        """From when on facts count, this instant included; None for ever."""
        if self.window is Window.LAST_DAYS:
            return now - timedelta(days=self.days or 0)
        return _new_year(now, zone) if self.window is Window.CALENDAR_YEAR else None

    def until(self, now: datetime, zone: ZoneInfo) -> datetime | None:
        """The first instant whose facts no longer count; None for ever."""
        return _new_year(now, zone, 1) if self.window is Window.CALENDAR_YEAR else None

    def covers(self, at: datetime, now: datetime, zone: ZoneInfo) -> bool:
        """Whether a fact of this date lies in the window."""
        since, until = self.since(now, zone), self.until(now, zone)
        return (since is None or at >= since) and (until is None or at < until)

    def slides_at(self, at: datetime, now: datetime, zone: ZoneInfo) -> datetime | None:
        """When a fact of this date, which lies in the window or behind it, leaves or enters it."""
        if self.window is Window.LAST_DAYS:
            return at + timedelta(days=self.days or 0) + _INSTANT
        return self.until(now, zone)


def _new_year(now: datetime, zone: ZoneInfo, later: int = 0) -> datetime:
    year = now.astimezone(zone).year + later
    return datetime(year, 1, 1, tzinfo=zone).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Leaf:
    """Holds when the term is at least so much: reaching it exactly is enough."""

    term: Term
    at_least: int


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Holds when one of its rules does."""

    rules: tuple["Rule", ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """Holds when all of its rules do."""

    rules: tuple["Rule", ...]


Rule = Leaf | AnyOf | AllOf


def holds(rule: Rule, measured: Mapping[Term, int]) -> bool:
    """Whether the threshold is met by what was measured for each of its terms."""
    match rule:
        case Leaf(term, at_least):
            return measured[term] >= at_least
        case AnyOf(rules):
            return any(holds(each, measured) for each in rules)
        case AllOf(rules):
            return all(holds(each, measured) for each in rules)


def sql(rule: Rule, column: Callable[[Term], str]) -> str:
    """The same as a condition of SQL, over the columns that hold the terms."""
    match rule:
        case Leaf(term, at_least):
            return f"{column(term)} >= {at_least}"
        case AnyOf(rules):
            return f"({' OR '.join(sql(each, column) for each in rules)})"
        case AllOf(rules):
            return f"({' AND '.join(sql(each, column) for each in rules)})"


def terms(rule: Rule) -> Iterator[Term]:
    """Everything that has to be measured to know whether the rule holds."""
    if isinstance(rule, Leaf):
        yield rule.term
    else:
        for each in rule.rules:
            yield from terms(each)


def alternatives(rule: Rule) -> Sequence[Sequence[Leaf]]:
    """The ways to meet the rule: lists of leaves, all of one of which have to hold."""
    match rule:
        case Leaf():
            return [[rule]]
        case AnyOf(rules):
            return [way for each in rules for way in alternatives(each)]
        case AllOf(rules):
            ways = product(*(alternatives(each) for each in rules))
            return [_merged([leaf for part in way for leaf in part]) for way in ways]


def _merged(leaves: Sequence[Leaf]) -> Sequence[Leaf]:
    """Of several demands on one term the highest, where the first one stood."""
    most: dict[Term, int] = {}
    for leaf in leaves:
        most[leaf.term] = max(leaf.at_least, most.get(leaf.term, 0))
    return [Leaf(term, at_least) for term, at_least in most.items()]


def _ways(rule: Rule) -> int:
    """How many alternatives there are, before anybody writes them all down."""
    if isinstance(rule, Leaf):
        return 1
    counts = [_ways(each) for each in rule.rules]
    return sum(counts) if isinstance(rule, AnyOf) else prod(counts)


def parse(raw: Any, *path: str) -> Rule:
    """The rule behind its JSON; raises `Invalid` with the path of the part at fault.

    A leaf that nobody could ever meet is refused, as is an empty list, more than 5 levels, and
    more than 32 alternatives or 100 leaves.
    """
    rule = _parse(raw, path, DEEPEST)
    if _ways(rule) > MOST_ALTERNATIVES:
        raise Invalid(
            f"This rule has {_ways(rule)} alternatives; at most {MOST_ALTERNATIVES} are kept.",
            *path,
        )
    if (leaves := sum(1 for _ in terms(rule))) > MOST_LEAVES:
        raise Invalid(f"This rule has {leaves} leaves; at most {MOST_LEAVES} are kept.", *path)
    return rule


def _parse(raw: Any, path: Sequence[str], levels: int) -> Rule:
    if not isinstance(raw, Mapping) or len(raw) != 1 or not {*raw} <= {"any", "all", "leaf"}:
        raise Invalid("A rule has exactly one of `any`, `all` and `leaf`.", *path)
    [(kind, inner)] = raw.items()
    if kind == "leaf":
        return _leaf(inner, (*path, kind))
    if levels == 0:
        raise Invalid(f"Rules nest at most {DEEPEST} deep.", *path)
    if not isinstance(inner, Sequence) or isinstance(inner, str) or not inner:
        raise Invalid("Name at least one rule here.", *path, kind)
    rules = tuple(
        _parse(each, (*path, kind, str(index)), levels - 1) for index, each in enumerate(inner)
    )
    return AnyOf(rules) if kind == "any" else AllOf(rules)


def _leaf(raw: Any, path: Sequence[str]) -> Leaf:
    known = {"metric", "atLeast", "plan", "window", "days"}
    if not isinstance(raw, Mapping) or not {"metric", "atLeast"} <= {*raw} <= known:
        raise Invalid(
            "A leaf has `metric`, `atLeast`, and perhaps `plan`, `window`, `days`.", *path
        )
    metric = _member(TierMetric, raw["metric"], (*path, "metric"))
    window = _member(Window, raw.get("window", Window.LIFETIME), (*path, "window"))
    plan = _plan(metric, raw.get("plan"), (*path, "plan"))
    days = _days(window, raw.get("days"), (*path, "days"))
    at_least = _at_least(metric, raw["atLeast"], (*path, "atLeast"))
    return Leaf(Term(metric, plan, window, days), at_least)


def _member(kind: Any, value: Any, path: Sequence[str]) -> Any:
    if not isinstance(value, str) or value not in {each.value for each in kind}:
        raise Invalid(f"This is one of {', '.join(kind)}.", *path)
    return kind(value)


def _plan(metric: TierMetric, plan: Any, path: Sequence[str]) -> str | None:
    if plan is None:
        return None
    if metric is not TierMetric.FEE:
        raise Invalid("Only fees have a plan: with another metric this is never met.", *path)
    if not isinstance(plan, str):
        raise Invalid("A plan is a text.", *path)
    return text(plan, *path, most=PLAN_CHARACTERS)


def _days(window: Window, days: Any, path: Sequence[str]) -> int | None:
    if window is not Window.LAST_DAYS:
        if days is not None:
            raise Invalid("Only LAST_DAYS takes a number of days.", *path)
        return None
    if not _whole(days) or not 1 <= days <= LONGEST_WINDOW_DAYS:
        raise Invalid(f"LAST_DAYS takes from 1 to {LONGEST_WINDOW_DAYS} days.", *path)
    return days


def _at_least(metric: TierMetric, value: Any, path: Sequence[str]) -> int:
    most = LARGEST_COUNT if metric in INVITED else LARGEST_SUM
    if not _whole(value) or not 0 <= value <= most:
        raise Invalid(f"A threshold lies from 0 to {most}: others are never met.", *path)
    return value


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def stored(rule: Rule) -> dict[str, Any]:
    """The rule as JSON in the shape of RuleInput, with its defaults written out."""
    match rule:
        case AnyOf(rules):
            return {"any": [stored(each) for each in rules]}
        case AllOf(rules):
            return {"all": [stored(each) for each in rules]}
        case Leaf(term, at_least):
            leaf = {
                "metric": term.metric.value,
                "atLeast": at_least,
                "plan": term.plan,
                "window": term.window.value,
                "days": term.days,
            }
            return {"leaf": {name: value for name, value in leaf.items() if value is not None}}
