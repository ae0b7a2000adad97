"""Owns how eligible touches share a conversion: the five models, in parts per million. Pure."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from fractions import Fraction

from referral.models import AttributionModel

WHOLE_PPM = 1_000_000
HALF_LIFE = timedelta(days=7)


def divide(whole: int, weights: Sequence[Fraction | int]) -> Sequence[int]:
    """The whole in parts by weight that sum to it exactly: what rounding down leaves over goes to
    the largest remainders, to the earlier one on a tie. The weights sum to more than zero."""
    total = sum(weights)
    exact = [divmod(whole * weight, total) for weight in weights]
    parts = [int(part) for part, _ in exact]
    by_remainder = sorted(range(len(parts)), key=lambda at: (-exact[at][1], at))
    for at in by_remainder[: whole - sum(parts)]:
        parts[at] += 1
    return parts


def shares(model: AttributionModel, ages: Sequence[timedelta]) -> Sequence[int]:
    """The share of each touch in time order, summing to 1,000,000; `ages` say how long before the
    conversion each was, at least one of them. Zero is no share."""
    return divide(WHOLE_PPM, _WEIGHTS[model](ages))


def _last(ages: Sequence[timedelta]) -> Sequence[int]:
    return [0] * (len(ages) - 1) + [1]


def _first(ages: Sequence[timedelta]) -> Sequence[int]:
    return [1] + [0] * (len(ages) - 1)


def _linear(ages: Sequence[timedelta]) -> Sequence[int]:
    return [1] * len(ages)


def _by_position(ages: Sequence[timedelta]) -> Sequence[int]:
    """40 % to the first, 40 % to the last, the middle shares 20 %; two have 50 % each."""
    middle = len(ages) - 2
    if middle < 1:
        return _linear(ages)
    return [40 * middle, *[20] * middle, 40 * middle]


def _by_age(ages: Sequence[timedelta]) -> Sequence[Fraction]:
    # Counted from the latest, so that no window is long enough for the sum to vanish.
    latest = min(ages)
    return [Fraction(2.0 ** -((age - latest) / HALF_LIFE)) for age in ages]


_WEIGHTS: Mapping[AttributionModel, Callable[[Sequence[timedelta]], Sequence[Fraction | int]]] = {
    AttributionModel.LAST_TOUCH: _last,
    AttributionModel.FIRST_TOUCH: _first,
    AttributionModel.LINEAR: _linear,
    AttributionModel.POSITION_BASED: _by_position,
    AttributionModel.TIME_DECAY: _by_age,
}
