"""Owns the scalars that GraphQL lacks: instants with an offset and 64-bit integers."""

from datetime import UTC, datetime
from typing import Any, NewType

import strawberry
from strawberry.types.scalar import ScalarDefinition

Long = NewType("Long", int)
LARGEST = 2**63 - 1


def _parse_instant(value: Any) -> datetime:
    if not isinstance(value, str):
        raise ValueError("an instant is a text such as 2026-11-22T09:30:00+08:00")
    try:
        instant = datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError("an instant has the form 2026-11-22T09:30:00+08:00 (RFC 3339)") from error
    if instant.tzinfo is None:
        raise ValueError("an instant needs its offset, such as 2026-11-22T09:30:00+08:00 or …Z")
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("an instant lies between the years 1 and 9999") from error


def serialize_instant(value: datetime) -> str:
    """The instant as answers carry it."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _parse_long(value: Any) -> int:
    # A whole number above 2^53 comes back from JavaScript as a float: it has lost digits already.
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("a Long is a whole number")
    if not -LARGEST - 1 <= value <= LARGEST:
        raise ValueError("a Long has at most 64 bits")
    return value


SCALARS: dict[object, ScalarDefinition] = {
    Long: strawberry.scalar(
        name="Long",
        description="A 64-bit integer as a JSON number: money in minor units, counts, points.",
        serialize=int,
        parse_value=_parse_long,
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description="An instant in RFC 3339, always with an offset; UTC on output.",
        serialize=serialize_instant,
        parse_value=_parse_instant,
    ),
}
