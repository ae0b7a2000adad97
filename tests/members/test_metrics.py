"""What the database measures is the plain sum of the facts, over every window."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import database
from members import metrics, tiers
from members.metrics import Measuring
from members.models import TierMetric, Window
from members.rules import AnyOf, Leaf, Term
from members.tiers import Ladder, Rung, State
from tests import factories
from tests.factories import NOW
from tests.members import plans, population
from tests.members.plans import SHANGHAI, Fact
from tests.members.population import Crowd, Settler
from tests.members.statements import watched

DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)


def asking(terms: Sequence[Term], **more: bool) -> Ladder:
    """A ladder of one tier that asks for all of these."""
    rule = AnyOf(tuple(Leaf(term, 1) for term in terms))
    return Ladder(1, SHANGHAI, [Rung(1, "tier", 1, rule, **more)])


async def measured(ladder: Ladder, scope: str = metrics.EVERYBODY) -> dict[int, metrics.Measured]:
    measuring = Measuring(ladder, NOW, scope)
    found = await database.rows(measuring.sql, *measuring.values)
    return {row["member_id"]: measuring.measured(row) for row in found}


def oldest(crowd: Crowd, member_id: int, term: Term) -> object:
    """The earliest fact that is in the window, or will be."""
    since = term.since(NOW, SHANGHAI)
    dates = [
        fact.at
        for fact in crowd.settlers[member_id].facts
        if fact.metric is term.metric and term.plan in {None, fact.plan}
        if since is not None and fact.at >= since
    ]
    return min(dates, default=None)


@settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    terms=st.lists(plans.terms(), min_size=1, max_size=6, unique=True), seed=st.integers(0, 10**6)
)
async def test_what_is_measured_is_the_plain_sum_of_the_facts(
    opened: str, terms: list[Term], seed: int
) -> None:
    await factories.ladder()
    crowd = await population.settle(population.drawn(Random(seed), ["silver", "gold"], 12))
    ladder = asking(terms)
    ids = list(crowd.settlers)

    by_name = await measured(ladder, metrics.among(ids))
    by_range = await measured(ladder, metrics.between(ids[0] - 1, ids[-1]))

    assert by_name == by_range
    assert set(by_name) == set(ids)
    everybody = await measured(ladder)
    for member_id, found in by_name.items():
        assert found == everybody[member_id]
        assert found.values == crowd.values(member_id, ladder, NOW)
        windowed = [term for term in terms if term.window is not Window.LIFETIME]
        assert {term: found.oldest.get(term) for term in windowed} == {
            term: oldest(crowd, member_id, term) for term in windowed
        }


async def test_a_range_begins_behind_its_first_and_ends_with_its_last(opened: str) -> None:
    await factories.ladder()
    crowd = await population.settle([Settler() for _ in range(5)])
    first, second, third, *_ = sorted(crowd.settlers)
    ladder = asking([Term(TierMetric.SPEND)])
    assert set(await measured(ladder, metrics.between(first, third))) == {second, third}


async def test_whoever_has_no_facts_is_measured_as_nothing(opened: str) -> None:
    await factories.ladder()
    [mei] = (await population.settle([Settler()])).settlers
    terms = [
        Term(metric, None, window, 30 if window is Window.LAST_DAYS else None)
        for metric in TierMetric
        for window in Window
    ]
    found = (await measured(asking(terms)))[mei]
    assert found.values == dict.fromkeys(terms, 0)
    assert (found.oldest, found.state) == ({}, State())


async def test_the_state_is_read_whole(opened: str) -> None:
    await factories.ladder()
    silver, gold = (each.id for each in await tiers.ladder())
    settler = Settler(
        earned="silver",
        expires_at=NOW + DAY,
        floor="gold",
        floor_until=NOW + 2 * DAY,
        approved=frozenset({"gold"}),
    )
    [mei] = (await population.settle([settler])).settlers
    rule = Leaf(Term(TierMetric.SPEND), 1)
    for needing, approved in ((True, {gold}), (False, set())):
        ladder = Ladder(1, SHANGHAI, [Rung(gold, "gold", 1, rule, requires_approval=needing)])
        assert (await measured(ladder))[mei].state == State(
            gold, silver, NOW + DAY, gold, NOW + 2 * DAY, frozenset(approved)
        )


async def test_lifetime_metrics_are_read_from_the_standing_and_no_fact_is_looked_at(
    opened: str,
) -> None:
    with watched() as statements:
        await measured(asking([Term(metric) for metric in TierMetric]))
    assert len(statements) == 1
    assert "metric_fact" not in statements[0]
    assert "invitation" not in statements[0]


async def test_sums_beyond_32_bits_are_whole_numbers(opened: str) -> None:
    await factories.ladder()
    facts = [Fact(TierMetric.SPEND, NOW, 10**15) for _ in range(3)]
    [mei] = (await population.settle([Settler(facts)])).settlers
    term = Term(TierMetric.SPEND, None, Window.LAST_DAYS, 30)
    value = (await measured(asking([term])))[mei].values[term]
    assert (value, type(value)) == (3 * 10**15, int)


# ---- when time alone may change something


LAST_30 = Term(TierMetric.SPEND, None, Window.LAST_DAYS, 30)
YEAR = Term(TierMetric.SPEND, None, Window.CALENDAR_YEAR)


@pytest.mark.parametrize(
    ("state", "oldest", "due"),
    [
        (State(), {}, None),
        (State(floor_until=NOW + DAY), {}, NOW + DAY),
        (State(expires_at=NOW + DAY), {}, NOW + DAY),
        (State(floor_until=NOW + 2 * DAY, expires_at=NOW + DAY), {}, NOW + DAY),
        (State(), {LAST_30: NOW - DAY}, NOW + 29 * DAY + MOMENT),
        (State(), {YEAR: NOW}, YEAR.until(NOW, SHANGHAI)),
        (State(expires_at=NOW + DAY), {LAST_30: NOW, YEAR: NOW}, NOW + DAY),
        (State(), {LAST_30: NOW, YEAR: NOW}, NOW + 30 * DAY + MOMENT),
    ],
)
def test_a_review_is_due_when_the_first_of_what_ends_does(
    state: State, oldest: dict[Term, object], due: object
) -> None:
    measured = metrics.Measured(1, state, {}, oldest)  # type: ignore[arg-type]
    assert metrics.review_at(asking([LAST_30, YEAR]), measured, NOW) == due
