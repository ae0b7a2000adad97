"""Commissions round half up, their parts sum to the whole, and refunds take back exactly that,
whatever their steps."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from members.models import Asset, Role
from referral import rewards
from referral.models import AttributionModel, ConversionType, RewardRule
from referral.rewards import Receiver
from tests.factories import NOW
from tests.referral import plain
from tests.referral.test_shares import AGES

LIN, WANG, CHEN = 1, 2, 3
ANYBODY = frozenset[Role]()
HALVES = [500_000, 500_000]


def rule(
    rate_bps: int | None = None,
    *,
    number: int = 1,
    amount: int | None = None,
    asset: Asset = Asset.CASH,
    level: int = 1,
    role: Role | None = None,
    cap: int | None = None,
) -> RewardRule:
    return RewardRule(
        id=number,
        program_id=1,
        version=1,
        on=ConversionType.ORDER,
        asset=asset,
        rate_bps=rate_bps,
        amount=amount,
        level=level,
        role=role,
        cap_per_conversion=cap,
    )


def given_to(
    rules: Sequence[RewardRule],
    amount: int,
    *receivers: Receiver | None,
    weights: Sequence[int] = (1_000_000,),
    level: int = 1,
) -> list[tuple[int, int, int]]:
    """Promoter, rule and amount."""
    found = rewards.rewards(rules, amount, level, weights, receivers)
    return [(each.promoter_id, each.rule.id, each.amount) for each in found]


# ---- one commission


@pytest.mark.parametrize(
    ("amount_minor", "rate_bps", "commission"),
    [
        (0, 1_000, 0),
        (1, 0, 0),
        (4, 1_000, 0),
        (5, 1_000, 1),  # half a minor unit
        (14, 1_000, 1),
        (15, 1_000, 2),  # half up and not to even: 1.5
        (25, 1_000, 3),  # nor here: 2.5
        (4_999, 1, 0),
        (5_000, 1, 1),
        (500_001, 333, 16_650),
        (10**15, 10_000, 10**15),
        (10**15 - 1, 9_999, 999_899_999_999_999),
    ],
)
def test_a_commission_is_rounded_half_up(amount_minor: int, rate_bps: int, commission: int) -> None:
    assert rewards.commission(rule(rate_bps), amount_minor) == commission


def test_a_fixed_amount_does_not_ask_for_the_order_s() -> None:
    for amount_minor in (0, 1, 10**15):
        assert rewards.commission(rule(amount=500), amount_minor) == 500


@pytest.mark.parametrize(
    ("amount_minor", "commission"), [(69, 7), (70, 7), (74, 7), (75, 7), (64, 6)]
)
def test_a_cap_holds_what_was_rounded(amount_minor: int, commission: int) -> None:
    assert rewards.commission(rule(1_000, cap=7), amount_minor) == commission


def test_a_cap_of_nothing_leaves_nothing_and_holds_a_fixed_amount_too() -> None:
    assert rewards.commission(rule(1_000, cap=0), 500) == 0
    assert rewards.commission(rule(amount=8, cap=7), 500) == 7
    assert rewards.commission(rule(amount=7, cap=7), 500) == 7


@settings(deadline=None)
@given(amount=st.integers(0, 10**15), rate_bps=st.integers(0, 10_000))
def test_a_commission_is_never_above_its_order(amount: int, rate_bps: int) -> None:
    commission = rewards.commission(rule(rate_bps), amount)
    assert 0 <= commission <= amount
    assert abs(2 * commission * 10_000 - 2 * amount * rate_bps) <= 10_000


# ---- which rule


def test_a_rule_that_names_a_role_comes_before_one_that_names_none() -> None:
    rules = [rule(100, number=1), rule(200, number=2, role=Role.KOC)]
    for order in (rules, rules[::-1]):
        assert given_to(order, 10_000, Receiver(LIN, {Role.KOC})) == [(LIN, 2, 200)]
        assert given_to(order, 10_000, Receiver(LIN, {Role.EMPLOYEE})) == [(LIN, 1, 100)]
        assert given_to(order, 10_000, Receiver(LIN, ANYBODY)) == [(LIN, 1, 100)]


def test_a_better_rate_does_not_make_a_rule_more_specific() -> None:
    rules = [rule(9_000, number=1), rule(0, number=2, role=Role.KOC)]
    assert given_to(rules, 100, Receiver(LIN, {Role.KOC})) == [(LIN, 2, 0)]


def test_of_two_that_name_a_role_of_theirs_the_first_one_counts() -> None:
    rules = [rule(100, number=1, role=Role.KOC), rule(200, number=2, role=Role.EMPLOYEE)]
    assert given_to(rules, 10_000, Receiver(LIN, {Role.EMPLOYEE, Role.KOC})) == [(LIN, 1, 100)]


def test_a_rule_for_another_role_gives_nothing() -> None:
    assert given_to([rule(100, role=Role.KOC)], 10_000, Receiver(LIN, {Role.EMPLOYEE})) == []


def test_every_asset_has_its_own_rule() -> None:
    rules = [
        rule(100, number=1),
        rule(200, number=2, role=Role.KOC),
        rule(amount=30, number=3, asset=Asset.POINTS),
    ]
    assert given_to(rules, 10_000, Receiver(LIN, {Role.KOC})) == [(LIN, 2, 200), (LIN, 3, 30)]


def test_every_level_has_its_own_rule() -> None:
    rules = [rule(1_000, number=1), rule(300, number=2, level=2), rule(100, number=3, level=3)]
    assert given_to(rules, 10_000, Receiver(LIN, ANYBODY)) == [(LIN, 1, 1_000)]
    assert given_to(rules, 10_000, Receiver(LIN, ANYBODY), level=2) == [(LIN, 2, 300)]


# ---- the parts


def test_the_whole_is_rounded_and_capped_before_it_is_split() -> None:
    both = [Receiver(LIN, ANYBODY), Receiver(WANG, ANYBODY)]
    # 10 % of 15 are 2; by itself each half would round to 1 and a half to 1.
    assert given_to([rule(1_000)], 15, *both, weights=HALVES) == [(LIN, 1, 1), (WANG, 1, 1)]
    capped = given_to([rule(1_000, cap=5)], 10**6, *both, weights=HALVES)
    assert capped == [(LIN, 1, 3), (WANG, 1, 2)]


def test_the_earlier_promoter_has_what_is_over() -> None:
    three = [Receiver(each, ANYBODY) for each in (CHEN, LIN, WANG)]
    parts = given_to([rule(amount=100)], 0, *three, weights=[333_333] * 3)
    assert parts == [(CHEN, 1, 34), (LIN, 1, 33), (WANG, 1, 33)]


def test_everybody_takes_the_part_of_the_rule_that_is_theirs() -> None:
    rules = [rule(amount=101, number=1), rule(amount=201, number=2, role=Role.KOC)]
    both = [Receiver(LIN, ANYBODY), Receiver(WANG, {Role.KOC})]
    # Of 101 the first half, which is the larger; of 201 the second, which is the smaller.
    assert given_to(rules, 0, *both, weights=HALVES) == [(LIN, 1, 51), (WANG, 2, 100)]


def test_a_part_that_nobody_takes_makes_no_other_larger() -> None:
    rules = [rule(amount=100, role=Role.KOC)]
    both = [Receiver(LIN, ANYBODY), Receiver(WANG, {Role.KOC})]
    assert given_to(rules, 0, *both, weights=HALVES) == [(WANG, 1, 50)]


def test_the_part_of_a_parent_who_is_not_there_is_not_paid() -> None:
    parents = [Receiver(LIN, ANYBODY), None]
    found = given_to([rule(amount=100, level=2)], 0, *parents, weights=HALVES, level=2)
    assert found == [(LIN, 1, 50)]
    assert given_to([rule(amount=100, level=2)], 0, None, level=2) == []


def test_the_parts_of_one_parent_add_up() -> None:
    weights = [333_334, 333_333, 333_333]
    parents = [Receiver(LIN, ANYBODY), Receiver(WANG, ANYBODY), Receiver(LIN, ANYBODY)]
    found = given_to([rule(amount=100, level=2)], 0, *parents, weights=weights, level=2)
    assert found == [(LIN, 1, 67), (WANG, 1, 33)]


@settings(deadline=None, max_examples=200)
@given(
    weights=st.lists(st.integers(1, 10**6), min_size=1, max_size=8),
    amount=st.integers(0, 10**12),
    rate_bps=st.integers(0, 10_000),
    cap=st.none() | st.integers(0, 10**6),
    level=st.sampled_from([1, 2]),
)
def test_the_parts_of_a_rule_that_everybody_matches_sum_to_the_whole(
    weights: list[int], amount: int, rate_bps: int, cap: int | None, level: int
) -> None:
    only = rule(rate_bps, cap=cap, level=level)
    receivers = [Receiver(number, ANYBODY) for number in range(len(weights))]
    found = given_to([only], amount, *receivers, weights=weights, level=level)
    assert [part for _, _, part in found] == plain.split(plain.commission(only, amount), weights)
    assert sum(part for _, _, part in found) == rewards.commission(only, amount)


# ---- what a refund takes back


@pytest.mark.parametrize(
    ("commission", "refunded", "amount", "total"),
    [
        (3, 0, 2, 0),
        (3, 1, 2, 2),  # 1.5
        (1, 1, 3, 0),
        (1, 1, 2, 1),
        (3, 2, 2, 3),
        (0, 5, 9, 0),
        (10**15, 10**15 - 1, 10**15, 10**15 - 1),
    ],
)
def test_what_is_taken_back_is_rounded_half_up_in_total(
    commission: int, refunded: int, amount: int, total: int
) -> None:
    assert rewards.reversed_total(commission, refunded, amount) == total


REFUNDS = st.lists(st.integers(1, 10**6), min_size=1, max_size=12)


@settings(deadline=None, max_examples=200)
@given(
    steps=REFUNDS,
    pays=st.integers(0, 10_000).map(rule)
    | st.integers(0, 10**6).map(lambda each: rule(amount=each)),
    model=st.sampled_from(AttributionModel),
    ages=st.lists(AGES, min_size=1, max_size=6),
    level=st.sampled_from([1, 2]),
)
def test_refunds_of_the_whole_order_take_back_every_part_whatever_the_steps(
    steps: list[int], pays: RewardRule, model: AttributionModel, ages: list[timedelta], level: int
) -> None:
    amount, pays.level = sum(steps), level
    weights = plain.by_model(model, [NOW - age for age in sorted(ages, reverse=True)], NOW)
    receivers = [Receiver(number, ANYBODY) for number in range(len(weights))]
    for _, _, part in given_to([pays], amount, *receivers, weights=weights, level=level):
        totals = [rewards.reversed_total(part, refunded, amount) for refunded in accumulate(steps)]
        booked = [after - before for before, after in zip([0, *totals], totals, strict=False)]
        assert sum(booked) == totals[-1] == part
        assert all(step >= 0 for step in booked)
        assert all(total <= part for total in totals)


@settings(deadline=None)
@given(steps=REFUNDS, kept=st.integers(1, 10**6), rate_bps=st.integers(0, 10_000))
def test_a_part_takes_back_its_part_within_half_a_unit(
    steps: list[int], kept: int, rate_bps: int
) -> None:
    amount = sum(steps) + kept
    commission = rewards.commission(rule(rate_bps), amount)
    total = rewards.reversed_total(commission, sum(steps), amount)

    assert 0 <= total <= commission
    assert abs(2 * total * amount - 2 * commission * sum(steps)) <= amount
