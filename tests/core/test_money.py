"""Rounding against exact arithmetic."""

from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from math import floor

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core import money

NUMERATORS = st.integers(0, 10**30)
DENOMINATORS = st.integers(1, 10**15)


@given(NUMERATORS, DENOMINATORS)
@example(0, 1)
@example(1, 2)
@example(10**30, 10**15)
def test_half_up_is_the_floor_of_the_fraction_and_a_half(numerator: int, denominator: int) -> None:
    assert money.half_up(numerator, denominator) == floor(
        Fraction(numerator, denominator) + Fraction(1, 2)
    )


@given(st.integers(0, 10**20), st.sampled_from([1, 2, 4, 5, 10, 100, 10_000, 1_000_000]))
def test_half_up_rounds_as_decimal_does(numerator: int, denominator: int) -> None:
    with localcontext() as context:
        context.prec = 60
        exact = Decimal(numerator) / Decimal(denominator)
        rounded = int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))
    assert money.half_up(numerator, denominator) == rounded


@pytest.mark.parametrize(
    ("numerator", "denominator", "rounded"),
    [
        (0, 1, 0),
        (1, 1, 1),
        (1, 2, 1),  # a half goes up
        (3, 2, 2),
        (5, 2, 3),  # also where the nearest even number is below
        (49, 100, 0),  # just below a half
        (50, 100, 1),
        (51, 100, 1),
        (1, 3, 0),
        (2, 3, 1),
        (3, 7, 0),  # an odd denominator has no half: 3/7 is below it, 4/7 above
        (4, 7, 1),
    ],
)
def test_a_half_goes_up_and_what_is_below_it_down(
    numerator: int, denominator: int, rounded: int
) -> None:
    assert money.half_up(numerator, denominator) == rounded


def test_large_amounts_lose_no_unit() -> None:
    assert money.half_up(10**20 + 1, 1) == 10**20 + 1
    assert money.half_up((2 * 10**20 + 1) * 3, 6) == 10**20 + 1


@pytest.mark.parametrize(("numerator", "denominator"), [(-1, 1), (1, 0), (0, 0), (1, -1)])
def test_signs_and_zero_denominators_are_refused(numerator: int, denominator: int) -> None:
    with pytest.raises(ValueError, match=f"{numerator}/{denominator}"):
        money.half_up(numerator, denominator)
