"""Owns searching contents: which versions a search finds, how well, and where it shows.

Each run of Chinese characters and each word of the query must stand in some text of the version;
whether one in the body counts is for the gate to say.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from content import folding
from content.models import TextField
from core import bigrams, paging, pairs

SEARCH_CHARACTERS = 200
BEFORE_CHARACTERS = 40  # shown of a text before its first match
PIECE_CHARACTERS = 200  # shown of a text in all, or up to the end of that match

Mark = Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Highlight:
    """A piece of a text around its first match, as it was written, and all matches in the piece:
    from and to behind, in characters of the piece."""

    field: TextField
    text: str
    ranges: Sequence[tuple[int, int]]


def query(search: str | None) -> Sequence[str] | None:
    """The terms that must all occur, none where nothing can be found; None for no search, which
    one of blanks alone is too. Raises `paging.BadPage` above 200 characters."""
    if search is None or not search.strip():
        return None
    if len(search) > SEARCH_CHARACTERS:
        raise paging.BadPage(
            f"`search` has {len(search)} characters; at most {SEARCH_CHARACTERS} are searched for"
        )
    return folding.terms(search)


def hits(terms: Sequence[str], mark: Mark) -> str:
    """SQL for the versions in which all the terms stand, as `version_id`, each once: `titled` is 1
    where all of them stand in its title, else 0; `plain` where none stands in its body alone."""
    if not terms:
        return "SELECT version_id, 0 AS titled, 0 AS plain FROM version_text WHERE FALSE"
    each = [
        f"SELECT s.version_id, MAX(CASE s.field WHEN '{TextField.TITLE}' THEN 1 ELSE 0 END) "
        f"AS titled, MAX(CASE s.field WHEN '{TextField.BODY}' THEN 0 ELSE 1 END) AS plain "
        f"FROM version_text s WHERE {_has(term, mark)} GROUP BY s.version_id"
        for term in terms
    ]
    if len(each) == 1:
        return each[0]
    return (
        "SELECT version_id, MIN(titled) AS titled, MIN(plain) AS plain "
        f"FROM ({' UNION ALL '.join(each)}) AS terms "
        f"GROUP BY version_id HAVING COUNT(*) = {len(each)}"
    )


def _has(term: str, mark: Mark) -> str:
    """The condition that the term stands in the text `s`: the index finds the few that may have
    it, and exactly those that have one pair."""
    holding = bigrams.holding("s", "version_text", mark(bigrams.wanted(term)))
    if pairs.exact(term):
        return holding
    return f"{holding} AND s.search LIKE {mark(bigrams.pattern(term))} ESCAPE '!'"


def highlights(terms: Sequence[str], texts: Mapping[TextField, str | None]) -> Iterator[Highlight]:
    """Where the terms show in the texts of a version, in the order given; a body that may not be
    read is None or left out."""
    for field, text in texts.items():
        if text and (ranges := folding.matches(text, terms)):
            yield _piece(field, text, ranges)


def _piece(field: TextField, text: str, ranges: Sequence[tuple[int, int]]) -> Highlight:
    first, end_of_first = ranges[0]
    begin = max(first - BEFORE_CHARACTERS, 0)
    end = max(begin + PIECE_CHARACTERS, end_of_first)
    shown = [(start - begin, stop - begin) for start, stop in ranges if stop <= end]
    return Highlight(field, text[begin:end], shown)
