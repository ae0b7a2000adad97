"""Texts are compared folded, and what is found is shown where it stands in the text as written."""

import hashlib
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from content import folding

PIECES = some.sampled_from(
    [
        *"直播帶货带貨间臺台 teasTEAＴｅａ１，。-ßﬁ①㈱ﾃﾞカ゛e\u0301\u0345각\u1100\u1161\u11a8İ\n_",
        "steam",
    ]
)
TEXTS = some.lists(PIECES, max_size=14).map("".join)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("直播帶貨", " 直播带货"),
        ("臺灣、檯燈", " 台湾 台灯"),
        ("Ｔｅａ　１２", " tea 12"),
        ("直播Tea时间", " 直播 tea 时间"),
        ("STRASSE straße", " strasse strasse"),
        ("snake_case tea-cup", " snake case tea cup"),
        ("①㈱ﾃｨｰ", " 1 株 ティー"),
        ("Cafe\u0301", " café"),
        ("**直**播", " 直 播"),
        ("!? 。\0\ud800 😀", ""),
        ("", ""),
    ],
)
def test_a_text_is_held_as_its_runs_and_words(text: str, form: str) -> None:
    assert folding.form(text) == form


@given(TEXTS | some.text())
@example("\u01f0 İ ΐ")  # in lower case they have marks of their own
def test_a_text_is_held_as_it_would_be_character_by_character(text: str) -> None:
    folded = folding._fold(text)
    assert folding.fold(text) == folded
    tokens = folding._TOKEN.findall(folded)
    assert folding.form(text) == "".join(f" {token}" for token in tokens)


def test_what_a_character_becomes_stays_as_it_is() -> None:
    every = [chr(code) for code in range(0x30000) if not folding._joins(chr(code))]
    for becomes in (folding._FOLDED, folding._HELD):
        made = {each for character in every for each in becomes[character] or ""}
        assert [each for each in made if becomes[each] not in {each, None}] == []


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("直播", ["直播"]),
        ("直播 带货", ["带货", "直播"]),
        ("tea", [" tea"]),
        ("直播tea", [" tea", "直播"]),
        ("te tea TEA", [" tea"]),
        ("ea tea", [" tea", " ea"]),
        ("播 直播", ["直播"]),
        ("…", []),
        ("", []),
    ],
)
def test_a_query_is_taken_apart_without_what_is_implied(query: str, terms: list[str]) -> None:
    assert folding.terms(query) == terms


@pytest.mark.parametrize(
    ("text", "query", "found"),
    [
        ("teas, steam and Tea", "tea", ["tea", "Tea"]),
        ("在直播間開直播", "直播间", ["直播間"]),
        ("在直播間開直播", "直播 直播间", ["直播間"]),
        ("看直播間直播", "直播 播间", ["直播", "直播"]),
        ("ﬁne ﬁx", "fi", ["ﬁ", "ﬁ"]),
        ("㈱株", "株", ["㈱", "株"]),
        ("Ｃａｆe\u0301s", "café", ["Ｃａｆe\u0301"]),
        ("x ﾃﾞｰﾀ y", "データ", ["ﾃﾞｰﾀ"]),
        ("哈哈哈", "哈哈", ["哈哈"]),
        ("nothing", "直播", []),
        ("nothing", "!", []),
    ],
)
def test_a_match_is_the_text_as_it_was_written(text: str, query: str, found: list[str]) -> None:
    ranges = folding.matches(text, folding.terms(query))
    assert [text[begin:end] for begin, end in ranges] == found


@given(TEXTS, TEXTS)
@example("\u1100", "\u1161")
def test_every_term_of_a_form_has_a_match_and_no_other(text: str, query: str) -> None:
    for term in folding.terms(query):
        ranges = folding.matches(text, [term])
        assert bool(ranges) == (term in folding.form(text))
        for begin, end in ranges:
            assert term.strip() in folding.fold(text[begin:end])


@given(some.text() | TEXTS)
def test_pieces_fold_apart_as_they_do_together(text: str) -> None:
    pieces = [text[begin:end] for begin, end in folding._clusters(text)]
    assert "".join(pieces) == text
    assert "".join(map(folding.fold, pieces)) == folding.fold(text)
    assert len(folding._places(text)) == len(folding.fold(text))


@given(some.text() | TEXTS)
def test_what_is_folded_stays_as_it_is(text: str) -> None:
    assert folding.fold(folding.fold(text)) == folding.fold(text)


def test_characters_that_compose_backwards_are_all_known() -> None:
    for code in range(0x110000):
        parts = unicodedata.normalize("NFD", chr(code)) if not 0xD800 <= code < 0xE000 else ""
        if len(parts) > 1 and unicodedata.normalize("NFC", parts) == chr(code):
            assert folding._joins(parts[-1]), hex(code)


def test_the_table_is_the_one_that_stored_texts_were_folded_by() -> None:
    """A newer opencc may fold otherwise: then a migration writes what is stored anew."""
    table = "".join(f"{old}{new}" for old, new in sorted(folding.simplified().items()))
    assert hashlib.sha256(table.encode()).hexdigest()[:16] == "7b2f23e8f0eb13d7"
