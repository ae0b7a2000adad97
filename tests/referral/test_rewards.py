"""Commissions round half up, and refunds take back exactly the whole, whatever their steps."""

from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from referral import rewards


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
    assert rewards.commission(amount_minor, rate_bps) == commission


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


@st.composite
def refunds(draw: st.DrawFn) -> list[int]:
    return draw(st.lists(st.integers(1, 10**6), min_size=1, max_size=12))


@settings(deadline=None)
@given(steps=refunds(), rate_bps=st.integers(0, 10_000))
def test_refunds_of_the_whole_order_take_back_the_whole_commission(
    steps: list[int], rate_bps: int
) -> None:
    amount = sum(steps)
    commission = rewards.commission(amount, rate_bps)
    totals = [
        rewards.reversed_total(commission, refunded, amount) for refunded in accumulate(steps)
    ]
    booked = [after - before for before, after in zip([0, *totals], totals, strict=False)]

    assert sum(booked) == totals[-1] == commission
    assert all(step >= 0 for step in booked)
    assert all(total <= commission for total in totals)


@settings(deadline=None)
@given(steps=refunds(), kept=st.integers(1, 10**6), rate_bps=st.integers(0, 10_000))
def test_a_part_takes_back_its_part_within_half_a_unit(
    steps: list[int], kept: int, rate_bps: int
) -> None:
    amount = sum(steps) + kept
    commission = rewards.commission(amount, rate_bps)
    total = rewards.reversed_total(commission, sum(steps), amount)

    assert 0 <= total <= commission
    assert abs(2 * total * amount - 2 * commission * sum(steps)) <= amount


@settings(deadline=None)
@given(amount=st.integers(0, 10**15), rate_bps=st.integers(0, 10_000))
def test_a_commission_is_never_above_its_order(amount: int, rate_bps: int) -> None:
    commission = rewards.commission(amount, rate_bps)
    assert 0 <= commission <= amount
    assert abs(2 * commission * 10_000 - 2 * amount * rate_bps) <= 10_000
