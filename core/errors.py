"""Owns the root of the mistakes that a caller can make and mend."""

import re
from collections.abc import Sequence
from typing import ClassVar

_CONTROLS = re.compile("[\x00-\x1f\x7f]")


class Mistake(Exception):
    """Something the caller can fix: nothing was written.

    `code` is stable and part of the API; `field` is the path to the value at fault, outermost
    first; the message says what to do in one sentence.
    """

    code: ClassVar[str] = "INVALID"

    def __init__(self, message: str, *field: str) -> None:
        super().__init__(message)
        self.message = message
        self.field: Sequence[str] = field


class Invalid(Mistake):
    """A value outside its range or of the wrong form."""


class Required(Mistake):
    """A value that has to be there and is empty."""

    code = "REQUIRED"


class TooLong(Mistake):
    """A text above its limit."""

    code = "TOO_LONG"


class NotFound(Mistake):
    """A reference to something that does not exist."""

    code = "NOT_FOUND"


class KeyReused(Mistake):
    """An idempotency key that came before, with another input."""

    code = "IDEMPOTENCY_CONFLICT"

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key came with another request; make a new key.")


def text(value: str, *field: str, most: int) -> str:
    """The text without outer blanks; raises `Required` when empty, `TooLong` above `most`
    characters, `Invalid` with a control character or half a surrogate pair."""
    value = value.strip()
    if not value:
        raise Required("This must not be empty.", *field)
    if len(value) > most:
        raise TooLong(f"This has {len(value)} characters; at most {most} are stored.", *field)
    if _CONTROLS.search(value):
        raise Invalid("This must not contain control characters.", *field)
    if not storable(value):
        raise Invalid("This must be whole Unicode characters.", *field)
    return value


def storable(value: str, most: int | None = None) -> bool:
    """Whether both databases can hold the text: no NUL, no half of a surrogate pair, not longer
    than `most` characters. What cannot be stored cannot be found: look-ups need not ask."""
    short = most is None or len(value) <= most
    return short and "\0" not in value and _is_whole(value)


def _is_whole(value: str) -> bool:
    """Whether no half of a surrogate pair is in it, by the quickest way to look through a text."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
