"""A threshold reached exactly qualifies, one below does not; falling is the tier's own policy."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from members import tiers
from members.errors import TiersDiffer
from members.models import DowngradePolicy, Tier, TierChangeReason
from members.tiers import TierRule
from tests import factories

IMMEDIATE, NEVER = DowngradePolicy.IMMEDIATE, DowngradePolicy.NEVER
THRESHOLDS = {"bronze": 1_000, "silver": 3_000, "gold": 5_000}


def rules(policy: DowngradePolicy = IMMEDIATE) -> list[TierRule]:
    return [
        TierRule(code, code.title(), rank, tiers.spend_at_least(amount), policy)
        for rank, (code, amount) in enumerate(THRESHOLDS.items(), start=1)
    ]


def ladder(policy: DowngradePolicy = IMMEDIATE) -> dict[str | None, Tier | None]:
    made = [
        Tier(code=each.code, rank=each.rank, rule=each.rule, downgrade=each.downgrade)
        for each in rules(policy)
    ]
    return {None: None, **{tier.code: tier for tier in made}}


def decided(
    current: str | None, spend_minor: int, policy: DowngradePolicy = IMMEDIATE
) -> str | None:
    by_code = ladder(policy)
    tier = tiers.decide([tier for tier in by_code.values() if tier], by_code[current], spend_minor)
    return tier and tier.code


@pytest.mark.parametrize("amount", [0, 1, 300_000])
def test_a_threshold_holds_from_exactly_its_amount(amount: int) -> None:
    rule = tiers.spend_at_least(amount)
    assert tiers.holds(rule, amount)
    assert tiers.holds(rule, amount + 1)
    assert not tiers.holds(rule, amount - 1)


def test_a_rule_has_the_shape_of_the_api() -> None:
    assert tiers.spend_at_least(5) == {
        "leaf": {"metric": "SPEND", "atLeast": 5, "window": "LIFETIME"}
    }


@pytest.mark.parametrize(
    ("spend_minor", "code"),
    [
        (-1, None),
        (0, None),
        (999, None),
        (1_000, "bronze"),
        (2_999, "bronze"),
        (3_000, "silver"),
        (4_999, "silver"),
        (5_000, "gold"),
        (10**15, "gold"),
    ],
)
@pytest.mark.parametrize("policy", [IMMEDIATE, NEVER])
def test_somebody_new_comes_straight_into_the_highest_tier_that_holds(
    spend_minor: int, code: str | None, policy: DowngradePolicy
) -> None:
    assert decided(None, spend_minor, policy) == code


@pytest.mark.parametrize("policy", [IMMEDIATE, NEVER])
def test_a_rise_passes_over_the_tiers_between(policy: DowngradePolicy) -> None:
    assert decided("bronze", 5_000, policy) == "gold"
    assert decided("bronze", 4_999, policy) == "silver"


@pytest.mark.parametrize(
    ("spend_minor", "code"),
    [(5_000, "gold"), (4_999, "silver"), (2_999, "bronze"), (999, None), (-1, None)],
)
def test_immediate_drops_to_the_highest_tier_that_still_holds(
    spend_minor: int, code: str | None
) -> None:
    assert decided("gold", spend_minor, IMMEDIATE) == code


@pytest.mark.parametrize("spend_minor", [5_000, 4_999, 0, -1])
def test_never_keeps_the_tier(spend_minor: int) -> None:
    assert decided("gold", spend_minor, NEVER) == "gold"


def test_the_policy_is_that_of_the_tier_one_is_in() -> None:
    low = Tier(code="low", rank=1, rule=tiers.spend_at_least(1), downgrade=NEVER)
    high = Tier(code="high", rank=2, rule=tiers.spend_at_least(9), downgrade=IMMEDIATE)

    assert tiers.decide([low, high], high, 0) is None
    assert tiers.decide([low, high], high, 1) is low
    assert tiers.decide([low, high], low, 0) is low


def test_the_rank_decides_and_not_the_order_of_the_list() -> None:
    by_code = ladder()
    backwards = [by_code["gold"], by_code["bronze"], by_code["silver"]]
    assert tiers.decide([tier for tier in backwards if tier], None, 3_000) is by_code["silver"]


def test_the_highest_rank_wins_even_with_the_lower_threshold() -> None:
    easy = Tier(code="easy", rank=9, rule=tiers.spend_at_least(1), downgrade=IMMEDIATE)
    hard = Tier(code="hard", rank=1, rule=tiers.spend_at_least(100), downgrade=IMMEDIATE)
    assert tiers.decide([hard, easy], None, 100) is easy


def test_without_tiers_nobody_has_one() -> None:
    assert tiers.decide([], None, 10**9) is None


@given(
    current=st.sampled_from([None, *THRESHOLDS]),
    spend_minor=st.integers(-10, 6_000),
    policy=st.sampled_from(DowngradePolicy),
)
def test_deciding_again_with_the_same_spend_changes_nothing(
    current: str | None, spend_minor: int, policy: DowngradePolicy
) -> None:
    once = decided(current, spend_minor, policy)
    assert decided(once, spend_minor, policy) == once


def test_the_reason_says_whether_somebody_rose_or_fell() -> None:
    by_code = ladder()
    silver, gold = by_code["silver"], by_code["gold"]
    assert tiers.reason(None, silver) is TierChangeReason.QUALIFIED
    assert tiers.reason(silver, gold) is TierChangeReason.QUALIFIED
    assert tiers.reason(gold, silver) is TierChangeReason.REFUNDED
    assert tiers.reason(silver, None) is TierChangeReason.REFUNDED


async def stored() -> list[TierRule]:
    return [
        TierRule(tier.code, tier.name, tier.rank, tier.rule, tier.downgrade)
        for tier in await tiers.ladder()
    ]


async def test_set_up_writes_the_tiers_lowest_first(embedded: str) -> None:
    await tiers.set_up(list(reversed(rules())))
    assert await stored() == rules()


async def test_the_same_tiers_again_change_nothing(opened: str) -> None:
    await tiers.set_up(rules())
    ids = [tier.id for tier in await tiers.ladder()]

    await tiers.set_up(rules())
    await tiers.set_up(list(reversed(rules())))

    assert [tier.id for tier in await tiers.ladder()] == ids


OTHERS = {
    "another policy": rules(NEVER),
    "one less": rules()[:2],
    "one more": [*rules(), TierRule("board", "Board", 4, tiers.spend_at_least(9_000), IMMEDIATE)],
    "another threshold": [
        *rules()[:2],
        TierRule("gold", "Gold", 3, tiers.spend_at_least(4_999), IMMEDIATE),
    ],
    "none": [],
}


async def test_other_tiers_are_refused_and_nothing_changes(opened: str) -> None:
    await tiers.set_up(rules())
    for name, others in OTHERS.items():
        with pytest.raises(TiersDiffer):
            await tiers.set_up(others)
        assert await stored() == rules(), name


async def test_two_set_ups_at_once_make_the_tiers_once(opened: str) -> None:
    await asyncio.gather(*(tiers.set_up(rules()) for _ in range(5)))
    assert await stored() == rules()


async def test_the_tiers_of_the_demo_begin_at_3_000_and_5_000(embedded: str) -> None:
    await factories.ladder()
    assert [(each.code, each.rule["leaf"]["atLeast"]) for each in await stored()] == [
        ("silver", 300_000),
        ("gold", 500_000),
    ]
