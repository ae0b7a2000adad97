"""Owns the pairs of a text, as an index on SQLite holds them that no trigger writes: see
`core.bigrams`. It imports nothing that takes long, for processes that do nothing else.

A text is taken apart by the units of UTF-16, which C does for a whole text at once; a character
outside of the basic plane is a pair by itself. Units are written in hexadecimal, which no tokenizer
takes apart.
"""

from array import array
from collections.abc import Collection

UNIT_BYTES = 2
_PAIR_BYTES = 2 * UNIT_BYTES


def held(folded: str) -> str:
    """What the index holds of a text: its characters and its pairs, in any order. To be taken out
    again, it must be given the same."""
    units = _units(folded)
    pairs = array("I", _pairs(units)).tobytes()
    ones = array("H", {*memoryview(pairs or units).cast("H")}).tobytes()  # one alone has no pair
    return f"{ones.hex(' ', UNIT_BYTES)} {pairs.hex(' ', _PAIR_BYTES)}".strip()


def wanted(part: str) -> str:
    """What a row must hold of that to have the text, which is not empty."""
    units = _units(part)
    if len(units) == UNIT_BYTES:
        return units.hex()
    return array("I", sorted(_pairs(units))).tobytes().hex(" ", _PAIR_BYTES)


def exact(part: str) -> bool:
    """Whether every row that holds what is wanted has the text: others must be looked at."""
    return len(_units(part)) <= _PAIR_BYTES


def _units(text: str) -> bytes:
    return text.encode("utf-16-be")


def _pairs(units: bytes) -> Collection[int]:
    """The pairs of neighbours, each once, as the numbers that their bytes stand for here: as texts
    it would take twice as long to tell them apart, which most of an import is spent on."""
    seen = memoryview(units)
    odd = len(units) % _PAIR_BYTES
    even = seen[: len(units) - odd]
    between = seen[UNIT_BYTES : len(units) - UNIT_BYTES + odd]
    return {*even.cast("I"), *between.cast("I")}
