"""Codes that people read aloud, type and scan, and the mistakes they make at it."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import codes

SOME = [codes.with_check(body) for body in ("00000000", "ZZZZZZZZ", "01234567", "W7KXQ2HM")]
BODIES = st.text(codes.ALPHABET, min_size=codes.LENGTH - 1, max_size=codes.LENGTH - 1)


def swapped(code: str, place: int) -> str:
    return code[:place] + code[place + 1] + code[place] + code[place + 2 :]


def misspelt(code: str) -> Iterator[str]:
    """Every code that differs in one character."""
    for place, right in enumerate(code):
        for wrong in codes.ALPHABET:
            if wrong != right:
                yield code[:place] + wrong + code[place + 1 :]


def test_alphabet_is_crockfords_base32() -> None:
    assert len(set(codes.ALPHABET)) == 32
    assert not set("ILOU") & set(codes.ALPHABET)


def test_new_codes_are_whole_and_all_different() -> None:
    made = {codes.new() for _ in range(1_000)}
    assert len(made) == 1_000
    assert all(codes.fold(code) == code and len(code) == codes.LENGTH for code in made)


def test_new_codes_use_every_character_in_every_place() -> None:
    made = [codes.new() for _ in range(2_000)]
    for place in range(codes.LENGTH):
        assert {code[place] for code in made} == set(codes.ALPHABET)


@given(BODIES)
def test_code_with_its_check_character_folds_to_itself(body: str) -> None:
    code = codes.with_check(body)
    assert code[:-1] == body
    assert codes.fold(code) == code


@given(BODIES)
def test_exactly_one_check_character_fits(body: str) -> None:
    assert [c for c in codes.ALPHABET if codes.fold(body + c)] == [codes.with_check(body)[-1]]


@pytest.mark.parametrize("code", SOME)
def test_every_single_wrong_character_is_caught(code: str) -> None:
    wrong = list(misspelt(code))
    assert len(wrong) == codes.LENGTH * 31
    assert [text for text in wrong if codes.fold(text) is not None] == []


@given(BODIES, st.integers(0, codes.LENGTH - 1), st.sampled_from(codes.ALPHABET))
def test_single_wrong_character_is_caught_in_any_code(body: str, place: int, wrong: str) -> None:
    code = codes.with_check(body)
    text = code[:place] + wrong + code[place + 1 :]
    assert codes.fold(text) == (code if text == code else None)


def test_every_swap_of_neighbours_is_caught_but_that_of_0_and_z() -> None:
    missed = set()
    for left in codes.ALPHABET:
        for right in codes.ALPHABET:
            for place in range(codes.LENGTH - 2):
                body = "5" * place + left + right + "5" * (codes.LENGTH - 3 - place)
                text = swapped(codes.with_check(body), place)
                if left != right and codes.fold(text) is not None:
                    missed.add(left + right)
    assert missed == {"0Z", "Z0"}


def test_most_swaps_in_random_codes_are_caught() -> None:
    pick = random.Random(7)
    tried = caught = 0
    for _ in range(2_000):
        code = codes.with_check("".join(pick.choices(codes.ALPHABET, k=codes.LENGTH - 1)))
        place = pick.randrange(codes.LENGTH - 1)
        if swapped(code, place) != code:
            tried += 1
            caught += codes.fold(swapped(code, place)) is None
    assert caught / tried > 0.99


@given(BODIES, st.randoms(use_true_random=False))
def test_case_and_look_alikes_do_not_matter(body: str, pick: random.Random) -> None:
    code = codes.with_check(body)
    alike = {"0": "0Oo", "1": "1IiLl"}
    typed = "".join(pick.choice(alike.get(c, c + c.lower())) for c in code)
    assert codes.fold(typed) == code


@pytest.mark.parametrize("blank", [" ", "  ", "\t", "\n", "\r\n", "\u3000"])
def test_blanks_around_are_cut_off(blank: str) -> None:
    assert codes.fold(f"{blank}{SOME[3]}{blank}") == SOME[3]


@pytest.mark.parametrize("middle", [" ", "-", "\x00", "\u200b"])
def test_nothing_may_stand_between_the_characters(middle: str) -> None:
    assert codes.fold(SOME[3][:4] + middle + SOME[3][4:]) is None
    assert codes.fold(SOME[3][:4] + middle + SOME[3][5:]) is None


@pytest.mark.parametrize("length", [0, 1, 8, 10, 18, 10_000])
def test_other_lengths_spell_no_code(length: int) -> None:
    # Leading zeros keep the check character right: only the length speaks against it.
    assert codes.fold("0" * length) is None


def test_code_short_or_long_by_one_spells_none() -> None:
    for code in SOME:
        assert codes.fold(code[1:]) is None
        assert codes.fold(code[:-1]) is None
        assert codes.fold("0" + code) is None
        assert codes.fold(code + "0") is None


@pytest.mark.parametrize("wrong", [*"UuÜ!*/.+_", "Α", "О", "é", "K", "😀"])
def test_characters_outside_the_alphabet_spell_no_code(wrong: str) -> None:
    assert codes.fold("0000" + wrong + "0000") is None


@pytest.mark.parametrize("zero", ["٠", "०", "０", "〇", "𝟎", "⁰"])
def test_digits_of_other_scripts_spell_no_code(zero: str) -> None:
    assert codes.fold(zero * codes.LENGTH) is None
    assert codes.fold(zero + "0" * (codes.LENGTH - 1)) is None


@pytest.mark.parametrize(
    ("letters", "read_as"), [("ſ", "S"), ("ß", "SS"), ("ﬆ", "ST"), ("ﬀ", "FF"), ("ı", "1")]
)
def test_letters_of_other_scripts_spell_no_code(letters: str, read_as: str) -> None:
    code = codes.with_check(read_as.ljust(codes.LENGTH - 1, "0"))
    assert codes.fold(letters + code[len(read_as) :]) is None


@given(st.text(max_size=12))
def test_any_text_folds_to_a_whole_code_or_none(text: str) -> None:
    code = codes.fold(text)
    assert code is None or (len(code) == codes.LENGTH and codes.fold(code) == code)
