"""Owns the folding of slugs: what people type differently and mean alike is one slug."""

import re
import unicodedata

from core.errors import Invalid, text

SLUG_CHARACTERS = 100
_BLANKS = re.compile(r"\s+")
# What nobody sees and copying from other programs brings along: soft hyphens, blanks of no width,
# byte order marks, and what turns the direction of a text. Joiners stay: Persian spells with them.
_UNSEEN = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")


def fold(slug: str) -> str:
    """The slug case-folded and composed (NFC), without outer blanks and what cannot be seen, `-`
    for each run of inner blanks; any script."""
    composed = unicodedata.normalize("NFC", _UNSEEN.sub("", slug).strip()).casefold()
    return unicodedata.normalize("NFC", _BLANKS.sub("-", composed))


def checked(slug: str, field: str) -> str:
    """The slug folded, to be stored; raises `Required`, `TooLong` or `Invalid` with the field."""
    folded = text(fold(slug), field, most=SLUG_CHARACTERS)
    if "/" in folded or not folded.strip("."):
        raise Invalid("A slug is one part of an address: no `/`, and not dots alone.", field)
    return folded
