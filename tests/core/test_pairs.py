"""What an index holds of a text is what a text is looked for by, and never changes."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from core import pairs

# Few characters, so that texts share pairs; the last two share half of themselves.
texts = some.text("ab 春茶\U00020000\U00020001", max_size=8)


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("", ""),
        ("a", "0061"),
        ("ab", "0061 0062 00610062"),
        (" ab", "0020 0061 0062 00200061 00610062"),
        ("aaaa", "0061 00610061"),
        ("春茶", "6625 8336 66258336"),
        ("\U00020000", "d840 dc00 d840dc00"),
    ],
)
def test_what_an_index_holds_of_a_text_never_changes(text: str, held: str) -> None:
    assert sorted(pairs.held(text).split()) == sorted(held.split())


@given(texts)
def test_what_is_held_are_units_and_pairs_of_them(text: str) -> None:
    units = [text.encode("utf-16-be").hex()[at : at + 4] for at in range(0, _length(text) * 4, 4)]
    model = {*units, *(one + other for one, other in itertools.pairwise(units))}
    assert {*pairs.held(text).split()} == model


def _length(text: str) -> int:
    return len(text.encode("utf-16-be")) // 2


@given(texts, texts.filter(bool))
@example("\U00020000\U00020002 \U00020001", "\U00020000\U00020001")
@example("ab", "ab")
@example("aba", "bab")
def test_a_text_is_found_wherever_it_stands_and_a_short_one_nowhere_else(
    text: str, part: str
) -> None:
    holds = {*pairs.wanted(part).split()} <= {*pairs.held(text).split()}
    assert holds or part not in text
    if pairs.exact(part):
        assert holds == (part in text)


@pytest.mark.parametrize(
    ("part", "exact"),
    [("a", True), ("春茶", True), ("abc", False), ("\U00020000", True), ("\U00020000a", False)],
)
def test_what_has_one_pair_is_found_exactly(part: str, exact: bool) -> None:
    assert pairs.exact(part) is exact
