"""Owns what is made of the texts of a version before they are written, from their letters alone:
the HTML that is shown, and what they are found by.

It imports nothing that takes long: a process that does nothing else starts at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from content import folding, rendering
from core import pairs


class Texts(NamedTuple):
    """What a version says, as it is stored."""

    title: str
    summary: str
    body: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is made of that: the body as HTML, all three as the index by text holds them, and, for
    SQLite's, their pairs."""

    html: str
    forms: Sequence[str]
    pairs: Sequence[str | None]


def prepare(several: Sequence[Texts], *, paired: bool) -> Sequence[Prepared]:
    """What is made of each; with their pairs or without."""
    return [_prepare(texts, paired=paired) for texts in several]


def _prepare(texts: Texts, *, paired: bool) -> Prepared:
    forms = [folding.form(text) for text in texts]
    held = [pairs.held(form) if paired else None for form in forms]
    return Prepared(rendering.html(texts.body), forms, held)
