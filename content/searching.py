"""Owns searching contents: which versions a search finds, how well, and where it shows.

Each run of Chinese characters and each word of the query must stand in some text of the version;
in the body only where the reader may read it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from content import folding, gate
from content.gate import Reader
from content.models import TextField
from core import bigrams, paging

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


def hits(reader: Reader, terms: Sequence[str], mark: Mark) -> str:
    """SQL for the versions, as `version_id`, each once, in which the reader finds all the terms."""
    if not terms:
        return "SELECT version_id FROM version_text WHERE FALSE"
    # As a value of its own, so that no planner goes through all the versions for it.
    granted = f"(SELECT {gate.readable(reader)} FROM content_version v WHERE v.id = s.version_id)"
    body = "" if reader.insider else f" AND (s.field <> '{TextField.BODY}' OR {granted})"
    return " INTERSECT ".join(
        f"SELECT s.version_id FROM version_text s WHERE {_has(term, mark, index=True)}{body}"
        for term in terms
    ) + ("" if len(terms) > 1 else " GROUP BY s.version_id")


def rank(terms: Sequence[str], mark: Mark) -> str:
    """SQL for how well the version `v` fits: 1 where all the terms stand in its title, else 0."""
    all_there = " AND ".join(_has(term, mark) for term in terms) or "FALSE"
    return (
        f"(SELECT CASE WHEN {all_there} THEN 1 ELSE 0 END FROM version_text s "
        f"WHERE s.version_id = v.id AND s.field = '{TextField.TITLE}')"
    )


def _has(term: str, mark: Mark, *, index: bool = False) -> str:
    """The condition that the term stands in the text `s`; an index finds the few that it may."""
    like = f"s.search LIKE {mark(bigrams.pattern(term))} ESCAPE '!'"
    if not index:
        return like
    return f"{bigrams.holding('s', 'version_text', mark(bigrams.wanted(term)))} AND {like}"


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
