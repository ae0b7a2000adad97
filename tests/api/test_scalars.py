"""Instants always have an offset, Longs are whole numbers of 64 bits."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from api.scalars import SCALARS, Long

parse_instant: Any = SCALARS[datetime].parse_value
show_instant: Any = SCALARS[datetime].serialize
parse_long: Any = SCALARS[Long].parse_value

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["2026-11-22T12:00:00Z", "2026-11-22T20:00:00+08:00", "2026-11-22T12:00:00.000+00:00"],
)
def test_an_instant_is_read_in_any_offset_and_becomes_utc(text: str) -> None:
    instant = parse_instant(text)
    assert instant == NOON
    assert instant.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("2026-11-22T12:00:00", "offset"),
        ("2026-11-22", "offset"),
        ("noon", "RFC 3339"),
        ("2026-13-01T00:00:00Z", "RFC 3339"),
        ("9999-12-31T23:59:59-01:00", "9999"),
        ("0001-01-01T00:00:00+01:00", "years 1"),
        (1_795_000_000, "text"),
        (None, "text"),
        (True, "text"),
    ],
)
def test_anything_else_is_no_instant_and_says_why(value: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_instant(value)


def test_an_instant_goes_out_in_utc() -> None:
    shanghai = NOON.astimezone(timezone(timedelta(hours=8)))
    assert show_instant(shanghai) == "2026-11-22T12:00:00Z"
    assert show_instant(NOON.replace(microsecond=5)) == "2026-11-22T12:00:00.000005Z"


@pytest.mark.parametrize("value", [0, -1, 2**63 - 1, -(2**63)])
def test_a_long_has_64_bits(value: int) -> None:
    assert parse_long(value) == value


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 1.0, True, False, "1", None, [1]])
def test_anything_else_is_no_long(value: object) -> None:
    with pytest.raises(ValueError, match="a Long"):
        parse_long(value)
