"""Owns the folding of slugs: what people type differently and mean alike is one slug."""

import re
import unicodedata

from core.errors import Invalid, text

SLUG_CHARACTERS = 100
_BLANKS = re.compile(r"\s+")


def fold(slug: str) -> str:
    """The slug case-folded and composed (NFC), without outer blanks, `-` for each run of inner
    ones; any script."""
    composed = unicodedata.normalize("NFC", slug.strip()).casefold()
    return unicodedata.normalize("NFC", _BLANKS.sub("-", composed))


def checked(slug: str, field: str) -> str:
    """The slug folded, to be stored; raises `Required`, `TooLong` or `Invalid` with the field."""
    folded = text(fold(slug), field, most=SLUG_CHARACTERS)
    if "/" in folded or not folded.strip("."):
        raise Invalid("A slug is one part of an address: no `/`, and not dots alone.", field)
    return folded
