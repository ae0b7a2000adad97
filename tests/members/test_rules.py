"""A rule says what it asks for; what it cannot ask for is refused with the place of it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import database
from core.errors import Invalid, Mistake, Required, TooLong
from members import rules
from members.models import TierMetric, Window
from members.rules import AllOf, AnyOf, Leaf, Rule, Term
from tests.factories import NOW
from tests.members import plans
from tests.members.plans import SHANGHAI, all_of, any_of, leaf, spend

LIFETIME, LAST_DAYS, CALENDAR_YEAR = Window.LIFETIME, Window.LAST_DAYS, Window.CALENDAR_YEAR
SPEND, FEE = TierMetric.SPEND, TierMetric.FEE
MOMENT = timedelta(microseconds=1)


def nested(levels: int, kind: str = "any") -> Any:
    """A leaf inside so many lists."""
    rule: Any = spend(1)
    for _ in range(levels):
        rule = {kind: [rule]}
    return rule


# ---- what is understood


def test_a_leaf_is_over_the_whole_lifetime_unless_it_says_otherwise() -> None:
    assert rules.parse(spend(300_000)) == Leaf(Term(SPEND, None, LIFETIME, None), 300_000)


def test_windows_plans_and_trees_are_understood() -> None:
    raw = any_of(
        spend(5, window="CALENDAR_YEAR"),
        all_of(leaf("FEE", 1, plan=" basic "), leaf("INVITED_BOUGHT", 2)),
        leaf("POINTS_EARNED", 0, window="LAST_DAYS", days=36_500, plan=None),
    )
    assert rules.parse(raw) == AnyOf(
        (
            Leaf(Term(SPEND, None, CALENDAR_YEAR), 5),
            AllOf((Leaf(Term(FEE, "basic"), 1), Leaf(Term(TierMetric.INVITED_BOUGHT), 2))),
            Leaf(Term(TierMetric.POINTS_EARNED, None, LAST_DAYS, 36_500), 0),
        )
    )


@pytest.mark.parametrize("metric", TierMetric)
def test_every_metric_can_be_asked_for(metric: TierMetric) -> None:
    assert rules.parse(leaf(metric.value, 3)) == Leaf(Term(metric), 3)


@given(plans.trees(plans.leaves(st.integers(0, rules.LARGEST_COUNT))))
def test_what_is_stored_reads_as_the_same_rule_again(rule: Rule) -> None:
    assert rules.parse(json.loads(json.dumps(rules.stored(rule)))) == rule


def test_the_stored_rule_has_its_defaults_written_out() -> None:
    raw = any_of(spend(1), spend(2, window="LAST_DAYS", days=30), leaf("FEE", 3, plan="basic"))
    assert rules.stored(rules.parse(raw)) == any_of(
        spend(1, window="LIFETIME"),
        spend(2, window="LAST_DAYS", days=30),
        leaf("FEE", 3, plan="basic", window="LIFETIME"),
    )


# ---- what is refused

REFUSED: dict[str, tuple[Any, str]] = {
    "no object": ("SPEND", ""),
    "nothing": (None, ""),
    "a list": ([spend(1)], ""),
    "an empty object": ({}, ""),
    "another word": ({"none": [spend(1)]}, ""),
    "two words": ({**spend(1), **any_of(spend(2))}, ""),
    "a word that is no text": ({1: [spend(1)]}, ""),
    "an empty any": (any_of(), "any"),
    "an empty all": (all_of(), "all"),
    "an any of no list": ({"any": spend(1)}, "any"),
    "an any of a text": ({"any": "SPEND"}, "any"),
    "an any of nothing": ({"any": None}, "any"),
    "an empty list further in": (any_of(spend(1), all_of(spend(2), any_of())), "any.1.all.1.any"),
    "a member of a list that is no rule": (any_of(spend(1), 7), "any.1"),
    "six levels": (nested(6), "any.0.any.0.any.0.any.0.any.0"),
    "six levels of all": (nested(6, "all"), "all.0.all.0.all.0.all.0.all.0"),
    "a leaf of nothing": ({"leaf": None}, "leaf"),
    "a leaf of a list": ({"leaf": [1]}, "leaf"),
    "a leaf without a metric": ({"leaf": {"atLeast": 1}}, "leaf"),
    "a leaf without a threshold": ({"leaf": {"metric": "SPEND"}}, "leaf"),
    "a leaf with another word": (spend(1, currency="CNY"), "leaf"),
    "another metric": (leaf("AGE", 1), "leaf.metric"),
    "a metric in small letters": (leaf("spend", 1), "leaf.metric"),
    "no metric": (leaf(None, 1), "leaf.metric"),  # type: ignore[arg-type]
    "a list of metrics": (leaf(["SPEND"], 1), "leaf.metric"),  # type: ignore[arg-type]
    "an object for a metric": (leaf({"SPEND": 1}, 1), "leaf.metric"),  # type: ignore[arg-type]
    "another window": (spend(1, window="LAST_YEAR"), "leaf.window"),
    "a list of windows": (spend(1, window=["LIFETIME"]), "leaf.window"),
    "days of a lifetime": (spend(1, days=30), "leaf.days"),
    "days of a year": (spend(1, window="CALENDAR_YEAR", days=365), "leaf.days"),
    "the last days without days": (spend(1, window="LAST_DAYS"), "leaf.days"),
    "the last no days": (spend(1, window="LAST_DAYS", days=0), "leaf.days"),
    "the last minus one days": (spend(1, window="LAST_DAYS", days=-1), "leaf.days"),
    "the last 36,501 days": (spend(1, window="LAST_DAYS", days=36_501), "leaf.days"),
    "half a day": (spend(1, window="LAST_DAYS", days=0.5), "leaf.days"),
    "days that are true": (spend(1, window="LAST_DAYS", days=True), "leaf.days"),
    "days in letters": (spend(1, window="LAST_DAYS", days="30"), "leaf.days"),
    "a plan of spend": (spend(1, plan="basic"), "leaf.plan"),
    "a plan of points": (leaf("POINTS_EARNED", 1, plan="basic"), "leaf.plan"),
    "a plan of invitations": (leaf("INVITED_BOUGHT", 1, plan="basic"), "leaf.plan"),
    "an empty plan": (leaf("FEE", 1, plan=" "), "leaf.plan"),
    "a plan too long": (leaf("FEE", 1, plan="x" * 41), "leaf.plan"),
    "a plan that is no text": (leaf("FEE", 1, plan=7), "leaf.plan"),
    "a plan with a line break": (leaf("FEE", 1, plan="a\nb"), "leaf.plan"),
    "half a character for a plan": (leaf("FEE", 1, plan="\ud83d"), "leaf.plan"),
    "a threshold below zero": (spend(-1), "leaf.atLeast"),
    "a threshold of 0.5": (spend(0.5), "leaf.atLeast"),  # type: ignore[arg-type]
    "a threshold that is true": (spend(True), "leaf.atLeast"),
    "a threshold in letters": (spend("1"), "leaf.atLeast"),  # type: ignore[arg-type]
    "no threshold": (spend(None), "leaf.atLeast"),  # type: ignore[arg-type]
    "more money than there is": (spend(10**18 + 1), "leaf.atLeast"),
    "more invitees than there are": (leaf("INVITED_BOUGHT", 2**31), "leaf.atLeast"),
    "a bad leaf further in": (
        any_of(spend(1), all_of(spend(2), leaf("FEE", -1))),
        "any.1.all.1.leaf.atLeast",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_rule_says_is_refused_with_its_place(name: str) -> None:
    raw, place = REFUSED[name]
    with pytest.raises(Mistake) as refused:
        rules.parse(raw, "rules", "3", "rule")
    assert refused.value.field == ("rules", "3", "rule", *filter(None, place.split(".")))
    texts = {"an empty plan": Required, "a plan too long": TooLong}
    assert type(refused.value) is texts.get(name, Invalid)


def test_what_is_just_within_its_limits_is_kept() -> None:
    for raw in (
        nested(5),
        nested(5, "all"),
        spend(0),
        spend(10**18),
        leaf("INVITED_REGISTERED", 2**31 - 1),
        spend(1, window="LAST_DAYS", days=1),
        leaf("FEE", 1, plan="x" * 40),
    ):
        assert rules.parse(raw)


def pairs(count: int) -> Any:
    """All of so many pairs: each doubles the alternatives."""
    return all_of(*(any_of(spend(number), leaf("FEE", number)) for number in range(1, count + 1)))


@pytest.mark.parametrize(
    ("kept", "refused"),
    [
        (any_of(*map(spend, range(32))), any_of(*map(spend, range(33)))),
        (pairs(5), pairs(6)),
        (any_of(pairs(4), pairs(4)), any_of(pairs(4), pairs(4), spend(1))),
    ],
)
def test_32_alternatives_are_kept_and_33_are_refused(kept: Any, refused: Any) -> None:
    assert len(rules.alternatives(rules.parse(kept))) == 32
    with pytest.raises(Invalid) as error:
        rules.parse(refused, "rule")
    assert error.value.field == ("rule",)


def test_a_rule_of_many_alternatives_is_counted_and_not_written_down() -> None:
    """2 to the power of 60: it would never end."""
    with pytest.raises(Invalid) as error:
        rules.parse(pairs(60))
    assert str(2**60) in error.value.message


def test_100_leaves_are_kept_and_101_are_refused() -> None:
    assert len(rules.alternatives(rules.parse(all_of(*map(spend, range(100)))))) == 1
    with pytest.raises(Invalid) as error:
        rules.parse(all_of(*map(spend, range(101))), "rule")
    assert error.value.field == ("rule",)


# ---- alternatives


def test_an_alternative_asks_once_for_each_term_and_for_the_most() -> None:
    rule = rules.parse(all_of(spend(3), any_of(spend(5), leaf("FEE", 1)), spend(4)))
    assert rules.alternatives(rule) == [
        [Leaf(Term(SPEND), 5)],
        [Leaf(Term(SPEND), 4), Leaf(Term(FEE), 1)],
    ]


SMALL = plans.leaves(st.integers(0, 3))


@given(data=st.data(), rule=plans.trees(SMALL))
def test_a_rule_holds_when_all_of_one_alternative_do(data: st.DataObject, rule: Rule) -> None:
    values = {
        term: data.draw(st.integers(-1, 4), label=term.label)
        for term in dict.fromkeys(rules.terms(rule))
    }
    ways = rules.alternatives(rule)
    assert rules.holds(rule, values) == plans.met(rule, values)
    assert rules.holds(rule, values) == any(
        all(values[each.term] >= each.at_least for each in way) for way in ways
    )
    assert len(ways) == rules._ways(rule)


async def in_the_database(rule: Rule, values: dict[Term, int]) -> bool:
    columns = {term: f"t{place}" for place, term in enumerate(values)}
    row = ", ".join(f"{value} AS {columns[term]}" for term, value in values.items())
    [found] = await database.rows(
        f"SELECT CASE WHEN {rules.sql(rule, columns.__getitem__)} THEN 1 ELSE 0 END AS holds"
        f" FROM (SELECT {row}) AS measured"
    )
    return bool(found["holds"])


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), rule=plans.trees(SMALL))
async def test_a_rule_holds_in_the_database_when_it_holds_here(
    opened: str, data: st.DataObject, rule: Rule
) -> None:
    values = {
        term: data.draw(st.integers(-1, 4), label=term.label)
        for term in dict.fromkeys(rules.terms(rule))
    }
    assert await in_the_database(rule, values) == rules.holds(rule, values)


async def test_the_largest_sums_are_compared_in_the_database_too(opened: str) -> None:
    rule, term = rules.parse(spend(10**18)), Term(SPEND)
    assert await in_the_database(rule, {term: 10**18})
    assert not await in_the_database(rule, {term: 10**18 - 1})


# ---- windows


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


YEAR = Term(SPEND, None, CALENDAR_YEAR)


def last(days: int) -> Term:
    return Term(SPEND, None, LAST_DAYS, days)


@pytest.mark.parametrize(
    ("days", "now", "since"),
    [
        (365, "2025-02-28T12:00+00:00", "2024-02-29T12:00+00:00"),  # a leap year: one day less
        (365, "2026-02-28T12:00+00:00", "2025-02-28T12:00+00:00"),
        (366, "2024-12-31T00:00+00:00", "2023-12-31T00:00+00:00"),
        (1, "2024-03-01T00:00+00:00", "2024-02-29T00:00+00:00"),
        (1, "2026-03-01T00:00+00:00", "2026-02-28T00:00+00:00"),
        (30, "2026-03-31T08:00+00:00", "2026-03-01T08:00+00:00"),
        (31, "2026-01-31T23:59:59.999999+00:00", "2025-12-31T23:59:59.999999+00:00"),
        (36_500, "2026-03-01T00:00+00:00", "1926-03-26T00:00+00:00"),
    ],
)
def test_the_last_days_are_so_many_times_24_hours_with_both_ends(
    days: int, now: str, since: str
) -> None:
    term, begin = last(days), at(since)
    assert term.since(at(now), SHANGHAI) == begin
    assert term.until(at(now), SHANGHAI) is None
    assert term.covers(begin, at(now), SHANGHAI)
    assert not term.covers(begin - MOMENT, at(now), SHANGHAI)
    assert term.covers(at(now), at(now), SHANGHAI)
    leaves = term.slides_at(begin, at(now), SHANGHAI)
    assert leaves == at(now) + MOMENT
    assert term.covers(begin, leaves - MOMENT, SHANGHAI)
    assert not term.covers(begin, leaves, SHANGHAI)


def test_the_last_days_do_not_know_of_summer_time() -> None:
    """In Berlin the 29th of March 2026 has 23 hours; a day is 24 all the same."""
    berlin, now = ZoneInfo("Europe/Berlin"), at("2026-03-29T12:00+02:00")
    assert last(1).since(now, berlin) == at("2026-03-28T11:00+01:00")


@pytest.mark.parametrize("year", [2023, 2024, 2025, 2026])
def test_the_year_turns_at_midnight_in_shanghai_to_the_microsecond(year: int) -> None:
    turn = datetime(year, 12, 31, 16, tzinfo=UTC)  # midnight there
    before, following = turn - MOMENT, datetime(year + 1, 12, 31, 16, tzinfo=UTC)

    assert YEAR.until(before, SHANGHAI) == YEAR.since(turn, SHANGHAI) == turn
    assert YEAR.until(turn, SHANGHAI) == following
    assert YEAR.covers(before, before, SHANGHAI)
    assert not YEAR.covers(turn, before, SHANGHAI)
    assert not YEAR.covers(before, turn, SHANGHAI)
    assert YEAR.covers(turn, turn, SHANGHAI)
    assert YEAR.slides_at(before, before, SHANGHAI) == turn


def test_the_same_instant_is_of_another_year_elsewhere() -> None:
    silvester = at("2025-12-31T20:00+00:00")  # 2026 in Shanghai
    assert YEAR.covers(silvester, at("2026-06-01T00:00+00:00"), SHANGHAI)
    assert not YEAR.covers(silvester, at("2026-06-01T00:00+00:00"), ZoneInfo("UTC"))


def test_the_29th_of_february_is_of_its_year() -> None:
    leap = at("2024-02-29T23:59:59.999999+08:00")
    assert YEAR.covers(leap, at("2024-12-31T15:59:59.999999+00:00"), SHANGHAI)
    assert not YEAR.covers(leap, at("2025-02-28T00:00+00:00"), SHANGHAI)


def test_a_lifetime_has_no_ends() -> None:
    term = Term(SPEND)
    assert (term.since(NOW, SHANGHAI), term.until(NOW, SHANGHAI)) == (None, None)
    assert term.covers(datetime(1, 1, 1, tzinfo=UTC), NOW, SHANGHAI)
    assert term.slides_at(NOW, NOW, SHANGHAI) is None


@given(term=plans.terms(), data=st.data())
def test_a_window_covers_what_a_plain_reading_of_it_covers(term: Term, data: st.DataObject) -> None:
    now = NOW + timedelta(seconds=data.draw(st.integers(-(10**8), 10**8), label="now"))
    when = data.draw(st.sampled_from(plans.edges(now)))
    assert term.covers(when, now, SHANGHAI) == plans.inside(term, when, now, SHANGHAI)


@pytest.mark.parametrize(
    ("term", "label"),
    [
        (Term(SPEND), "SPEND"),
        (Term(FEE, "basic"), "FEE basic"),
        (last(365), "SPEND LAST_DAYS 365"),
        (Term(FEE, "private board", CALENDAR_YEAR), "FEE private board CALENDAR_YEAR"),
    ],
)
def test_a_term_has_a_name_for_the_history(term: Term, label: str) -> None:
    assert term.label == label
