"""How fast is too fast, said once more without a sliding window, and what a case keeps."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from api.settings import Settings
from referral import risk_rules
from referral.models import ConversionType
from referral.risk_rules import Limits, Moment, Seen
from tests.factories import NOW

HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)


def moments(*minutes: float) -> list[Moment]:
    return [Moment(NOW + timedelta(minutes=each), place) for place, each in enumerate(minutes)]


def fast(most: int, *minutes: float) -> list[int]:
    return [each.conversion_id for each in risk_rules.too_fast(moments(*minutes), most, HOUR)]


def test_as_many_as_the_limit_are_let_through_and_one_more_is_not() -> None:
    assert fast(3, 0, 10, 20) == []
    assert fast(3, 0, 10, 20, 30) == [3]


def test_all_that_come_behind_are_too_many_until_the_window_has_moved_on() -> None:
    assert fast(2, 0, 1, 2, 3, 63, 64, 65) == [2, 3, 6]


def test_a_whole_window_later_does_not_count_and_a_moment_less_does() -> None:
    assert fast(1, 0, 60) == []
    before = [Moment(NOW, 1), Moment(NOW + HOUR - TICK, 2)]
    assert [each.conversion_id for each in risk_rules.too_fast(before, 1, HOUR)] == [2]


def test_at_one_instant_the_later_ids_are_too_many() -> None:
    assert fast(2, 5, 5, 5) == [2]


def test_without_a_limit_nothing_is_too_many() -> None:
    assert fast(0, *range(50)) == []


@given(
    some.lists(some.integers(0, 300), max_size=40),
    some.integers(0, 5),
    some.integers(1, 100),
    some.randoms(),
)
def test_the_order_of_arrival_does_not_matter(
    minutes: list[int], most: int, window_minutes: int, dice: object
) -> None:
    window = timedelta(minutes=window_minutes)
    given_moments = moments(*minutes)
    shuffled = list(given_moments)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    by_time = sorted(given_moments, key=lambda each: (each.at, each.conversion_id))
    plainly = [
        each
        for place, each in enumerate(by_time)
        if most and sum(other.at > each.at - window for other in by_time[: place + 1]) > most
    ]
    assert [*risk_rules.too_fast(shuffled, most, window)] == plainly


def test_evidence_adds_up_and_keeps_the_first_twenty() -> None:
    def seen(*places: int) -> list[Seen]:
        return [
            Seen(NOW + place * HOUR, place, [place], {"CASH": 10}, {"place": place})
            for place in places
        ]

    first = risk_rules.evidence({}, seen(*range(5, 20)), limit=3)
    both = risk_rules.evidence(first, seen(*range(30, 40), 1), limit=4)

    assert (both["conversions"], both["atStake"], both["limit"]) == (26, {"CASH": 260}, 4)
    assert [each["place"] for each in both["examples"]] == [*range(5, 20), *range(30, 35)]
    assert (both["firstAt"], both["lastAt"]) == ("2026-03-01T13:00:00Z", "2026-03-03T03:00:00Z")
    nothing = risk_rules.evidence({}, [])
    assert (nothing["conversions"], nothing["firstAt"], nothing["examples"]) == (0, None, [])


@pytest.mark.parametrize("kind", [ConversionType.REGISTRATION, ConversionType.ORDER])
def test_the_settings_begin_with_the_limits_of_the_rules(kind: ConversionType) -> None:
    settings, limits = Settings(), Limits()
    of = {
        ConversionType.REGISTRATION: settings.risk_registrations,
        ConversionType.ORDER: settings.risk_orders,
    }
    assert limits.of(kind) == of[kind]
    assert limits.window == timedelta(minutes=settings.risk_window_minutes)
