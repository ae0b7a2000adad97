"""Owns what texts and queries are compared as: folded, and taken apart into runs of Chinese
characters and words of other scripts."""

import functools
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import opencc

# Scripts without blanks between words: Han, kana and bopomofo. A run of them is found anywhere.
_RUN = "々〇〡-〩ぁ-ゖゝ-ゟァ-ヺー-ヿㄅ-ㄯㆠ-ㆿㇰ-ㇿ㐀-䶿一-鿿\U00020000-\U000323af"
_CHARACTER = re.compile(f"[{_RUN}]")
_PART = re.compile(f"[{_RUN}]+|[^ {_RUN}]+")  # of a text with a blank for all that is neither
_TOKEN = re.compile(f"[{_RUN}]+|[^\\W_{_RUN}]+")
_HAN = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0x20000, 0x2F7FF), (0x30000, 0x323AF))
# Starters that compose with the character before them, by Unicode's composition pairs.
_SECOND = frozenset(
    "\u09be\u09d7\u0b3e\u0b56\u0b57\u0bbe\u0bd7\u0cc2\u0cd5\u0cd6\u0d3e\u0d57\u0dcf\u0ddf\u102e"
    "\u1b35\U00011127\U0001133e\U00011357\U000114b0\U000114ba\U000114bd\U000115af\U00011930"
) | {chr(jamo) for jamo in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}


@functools.cache
def simplified() -> Mapping[str, str]:
    """The simplified character of each traditional one."""
    characters = [chr(code) for first, last in _HAN for code in range(first, last + 1)]
    convert = opencc.OpenCC("t2s").convert
    # On lines of their own, so that no phrase can match.
    once = convert("\n".join(characters))
    twice = convert(once).split("\n")  # what one became may stand for another
    return {old: new for old, new in zip(characters, twice, strict=True) if old != new}


def fold(text: str) -> str:
    """The text as it is compared: whatever its case and width (NFKC), traditional or simplified."""
    folded = _replaced(text, _FOLDED)
    return _fold(text) if folded is None else folded


def _fold(text: str) -> str:
    """The same of any text: what stands in it may become one with what stands before it."""
    compatible = unicodedata.normalize("NFKC", text).casefold()
    text = unicodedata.normalize("NFKC", compatible)
    for traditional in simplified().keys() & set(text):
        text = text.replace(traditional, simplified()[traditional])
    return text


def form(text: str) -> str:
    """The text as the index holds it: its runs and words with one blank before each, or nothing.

    A term (see `terms`) is found in the text exactly if it is a piece of this.
    """
    held = _replaced(text, _HELD)
    tokens = _TOKEN.findall(_fold(text)) if held is None else _PART.findall(held)
    return f" {' '.join(tokens)}" if tokens else ""


class _Becomes(dict[str, str | None]):
    """What each character becomes, found out when it is met first; None for one that may become
    one with what stands before it. What one becomes is left as it is: the order is all the same."""

    def __init__(self, alone: Callable[[str], str]) -> None:
        super().__init__()
        self._alone = alone

    def __missing__(self, character: str) -> str | None:
        made = self[character] = None if _joins(character) else self._alone(character)
        return made


def _replaced(text: str, becomes: _Becomes) -> str | None:
    """The text with every character replaced, whatever its case; None where one is not alone.

    A text has few characters, however long it is: looking at each place would take most of an
    import.
    """
    text = text.casefold()
    changes = [(old, new) for old in set(text) if (new := becomes[old]) != old]
    for old, new in changes:
        if new is None:
            return None
        text = text.replace(old, new)
    return text


def _held(character: str) -> str:
    """What the index holds of a character: a blank in place of what is in no run and no word."""
    return "".join(
        each if each.isalnum() or _CHARACTER.match(each) else " " for each in _fold(character)
    )


_FOLDED, _HELD = _Becomes(_fold), _Becomes(_held)


def terms(query: str) -> Sequence[str]:
    """What must all occur for the query to be found, each a piece of a `form`: a run of Chinese
    characters as it is, a word with the blank before it. Without those that others imply, the
    longest first; none where the query has neither."""
    found = {_term(token) for token in _TOKEN.findall(fold(query))}
    longest = sorted(found, key=lambda term: (-len(term), term))
    return [
        term for at, term in enumerate(longest) if not any(term in more for more in longest[:at])
    ]


def _term(token: str) -> str:
    return token if _CHARACTER.match(token) else f" {token}"


def matches(text: str, wanted: Collection[str]) -> Sequence[tuple[int, int]]:
    """Where the terms stand in the text: from and to behind, in characters of the text as it was
    given. In order, none over another; of two at one place the longer."""
    if not wanted:
        return []
    longest = sorted(wanted, key=len, reverse=True)
    sought = "|".join(
        f"(?<![^\\W_{_RUN}]){re.escape(term[1:])}" if term[0] == " " else re.escape(term)
        for term in longest
    )
    found = [match.span() for match in re.finditer(sought, fold(text))]
    places = _places(text) if found else ()
    return [(places[begin][0], places[end - 1][1]) for begin, end in found]


def _places(text: str) -> Sequence[tuple[int, int]]:
    """For each character of the folded text, from where to where it stands in the text."""
    if all(map(_alone, set(text))):
        return [(at, at + 1) for at in range(len(text))]
    return [
        (begin, end) for begin, end in _clusters(text) for _ in range(len(fold(text[begin:end])))
    ]


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    """The shortest pieces that fold apart as they do together."""
    begin = 0
    for at in range(1, len(text) + 1):
        if at == len(text) or not _joins(text[at]):
            yield begin, at
            begin = at


@functools.lru_cache(maxsize=20_000)
def _alone(character: str) -> bool:
    """Whether it folds to one character whatever stands beside it."""
    return not _joins(character) and len(fold(character)) == 1


@functools.lru_cache(maxsize=20_000)
def _joins(character: str) -> bool:
    """Whether it may become one with what stands before it."""
    first = unicodedata.normalize("NFKD", character)[0]
    return unicodedata.combining(first) > 0 or first in _SECOND
