"""Every model's shares are those of the plain model, and sum to the whole to the last part."""

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from referral import shares
from referral.models import AttributionModel
from tests.factories import NOW
from tests.referral import plain

TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)
WEEK = 7 * DAY
MODELS = st.sampled_from(AttributionModel)
AGES = st.one_of(
    st.timedeltas(min_value=timedelta(0), max_value=400 * DAY),
    st.integers(0, 8).map(lambda weeks: weeks * WEEK),
    st.sampled_from([timedelta(0), TICK, DAY, 20_000 * DAY]),
)


def of(model: AttributionModel, *ages: timedelta) -> list[int]:
    return [*shares.shares(model, ages)]


@settings(deadline=None, max_examples=300)
@given(model=MODELS, ages=st.lists(AGES, min_size=1, max_size=12))
def test_the_shares_are_those_of_the_plain_model(
    model: AttributionModel, ages: list[timedelta]
) -> None:
    ages = sorted(ages, reverse=True)
    parts = of(model, *ages)
    assert parts == plain.by_model(model, [NOW - age for age in ages], NOW)
    assert sum(parts) == 1_000_000
    assert all(part >= 0 for part in parts)


@settings(deadline=None)
@given(
    whole=st.integers(0, 10**15),
    weights=st.lists(st.integers(0, 10**6), min_size=1, max_size=9).filter(any),
)
def test_the_parts_sum_to_the_whole_and_none_is_a_unit_off(whole: int, weights: list[int]) -> None:
    parts = shares.divide(whole, weights)
    assert parts == plain.split(whole, weights)
    assert sum(parts) == whole
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(whole * weight, sum(weights))) < 1


@pytest.mark.parametrize(
    ("whole", "weights", "parts"),
    [
        (0, [1, 2], [0, 0]),
        (1, [1, 1], [1, 0]),  # a tie: the earlier one
        (1, [1, 2], [0, 1]),  # the larger remainder, though later
        (2, [1, 1, 1], [1, 1, 0]),
        (5, [1, 1], [3, 2]),
        (7, [0, 1, 0], [0, 7, 0]),
        (100, [Fraction(1, 3), Fraction(1, 6)], [67, 33]),
    ],
)
def test_what_rounding_leaves_over_goes_to_the_largest_remainder(
    whole: int, weights: list[Fraction | int], parts: list[int]
) -> None:
    assert shares.divide(whole, weights) == parts


@pytest.mark.parametrize("model", AttributionModel)
def test_an_only_touch_has_the_whole(model: AttributionModel) -> None:
    for age in (timedelta(0), TICK, WEEK, 100_000 * DAY):
        assert of(model, age) == [1_000_000]


def test_the_last_touch_and_the_first_have_the_whole() -> None:
    ages = 3 * DAY, 2 * DAY, DAY
    assert of(AttributionModel.LAST_TOUCH, *ages) == [0, 0, 1_000_000]
    assert of(AttributionModel.FIRST_TOUCH, *ages) == [1_000_000, 0, 0]


@pytest.mark.parametrize(
    ("touches", "parts"),
    [
        (2, [500_000, 500_000]),
        (3, [333_334, 333_333, 333_333]),
        (4, [250_000] * 4),
        (6, [166_667] * 4 + [166_666] * 2),
        (7, [142_858] + [142_857] * 6),
    ],
)
def test_linear_shares_are_equal_and_the_earlier_touches_have_what_is_over(
    touches: int, parts: list[int]
) -> None:
    assert of(AttributionModel.LINEAR, *[DAY] * touches) == parts


@pytest.mark.parametrize(
    ("touches", "parts"),
    [
        (1, [1_000_000]),
        (2, [500_000, 500_000]),
        (3, [400_000, 200_000, 400_000]),
        (4, [400_000, 100_000, 100_000, 400_000]),
        (5, [400_000, 66_667, 66_667, 66_666, 400_000]),
    ],
)
def test_by_position_the_ends_have_40_and_the_middle_shares_20(
    touches: int, parts: list[int]
) -> None:
    assert of(AttributionModel.POSITION_BASED, *[DAY] * touches) == parts


def test_a_touch_seven_days_older_has_exactly_half() -> None:
    decay = AttributionModel.TIME_DECAY
    assert of(decay, WEEK, timedelta(0)) == [333_333, 666_667]
    assert of(decay, 2 * WEEK, WEEK, timedelta(0)) == [142_857, 285_714, 571_429]
    assert of(decay, *[WEEK] * 2, timedelta(0)) == [250_000, 250_000, 500_000]


def test_decay_knows_the_distance_between_touches_and_not_the_day() -> None:
    decay = AttributionModel.TIME_DECAY
    for age in (timedelta(0), DAY, WEEK, 300 * WEEK):
        assert of(decay, *[age + WEEK] * 2, age) == [250_000, 250_000, 500_000]


def test_decay_goes_on_between_the_weeks() -> None:
    decay = AttributionModel.TIME_DECAY
    [older, newer] = of(decay, timedelta(days=3, hours=12), timedelta(0))
    assert (older, newer) == (414_214, 585_786)  # 1 to the root of 2
    assert of(decay, WEEK - DAY, timedelta(0))[0] > 333_333 > of(decay, WEEK + DAY, timedelta(0))[0]


def test_touches_of_one_instant_decay_alike_and_the_earlier_has_what_is_over() -> None:
    assert of(AttributionModel.TIME_DECAY, *[DAY] * 3) == [333_334, 333_333, 333_333]


def test_a_touch_may_be_too_old_for_a_single_part() -> None:
    assert of(AttributionModel.TIME_DECAY, 21 * WEEK, timedelta(0)) == [0, 1_000_000]
    assert of(AttributionModel.TIME_DECAY, 20 * WEEK, timedelta(0)) == [1, 999_999]
