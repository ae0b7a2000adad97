"""What a text has to be, and what a mistake says of itself."""

import pytest

from core import errors

BLANKS = [" ", "\t", "\n", "\r\n", "\u00a0", "\u3000"]


@pytest.mark.parametrize("value", ["a", "a b", "茶", "é" * 10, "👩‍👩‍👧", "x" * 10])
def test_text_within_its_limit_is_kept_as_it_is(value: str) -> None:
    assert errors.text(value, "name", most=10) == value


@pytest.mark.parametrize("blank", BLANKS)
def test_outer_blanks_are_cut_off(blank: str) -> None:
    assert errors.text(f"{blank}tea cup{blank}{blank}", "name", most=7) == "tea cup"


@pytest.mark.parametrize("value", ["", *BLANKS, " \t\n "])
def test_text_of_nothing_but_blanks_is_required(value: str) -> None:
    with pytest.raises(errors.Required) as caught:
        errors.text(value, "name", most=10)
    assert (caught.value.code, caught.value.field) == ("REQUIRED", ("name",))


def test_limit_counts_characters_not_bytes() -> None:
    assert errors.text("茶" * 10, "name", most=10) == "茶" * 10


def test_text_one_above_its_limit_is_too_long() -> None:
    with pytest.raises(errors.TooLong) as caught:
        errors.text("茶" * 11, "name", most=10)
    assert (caught.value.code, caught.value.field) == ("TOO_LONG", ("name",))
    assert "11" in caught.value.message
    assert "10" in caught.value.message


def test_blanks_do_not_count_against_the_limit() -> None:
    assert errors.text("  " + "x" * 10 + "  ", "name", most=10) == "x" * 10


@pytest.mark.parametrize("code", [*range(32), 127])
def test_control_characters_inside_are_invalid(code: int) -> None:
    with pytest.raises(errors.Invalid) as caught:
        errors.text(f"a{chr(code)}b", "name", most=10)
    assert (caught.value.code, caught.value.field) == ("INVALID", ("name",))


@pytest.mark.parametrize("code", [32, 126])
def test_neighbours_of_the_control_characters_are_kept(code: int) -> None:
    assert errors.text(f"a{chr(code)}b", "name", most=10) == f"a{chr(code)}b"


@pytest.mark.parametrize("value", ["a\ud800b", "\udfff"])
def test_half_of_a_surrogate_pair_is_invalid(value: str) -> None:
    with pytest.raises(errors.Invalid):
        errors.text(value, "name", most=10)


@pytest.mark.parametrize("value", ["\0", "a\0b", "\ud800", "a\udbff", "\udc00b", "\udfff"])
def test_text_that_a_database_refuses_is_not_storable(value: str) -> None:
    assert not errors.storable(value)


@pytest.mark.parametrize("value", ["", "\x01", "\n", "\ud7ff\ue000", "\U00010000\U0010ffff", "茶"])
def test_text_that_both_databases_hold_is_storable(value: str) -> None:
    assert errors.storable(value)


def test_text_above_the_limit_it_is_looked_up_with_is_not_storable() -> None:
    assert errors.storable("茶" * 10, 10)
    assert not errors.storable("茶" * 11, 10)


@pytest.mark.parametrize(
    ("mistake", "code"),
    [
        (errors.Mistake, "INVALID"),
        (errors.Invalid, "INVALID"),
        (errors.Required, "REQUIRED"),
        (errors.TooLong, "TOO_LONG"),
        (errors.NotFound, "NOT_FOUND"),
    ],
)
def test_mistakes_carry_their_code_message_and_path(
    mistake: type[errors.Mistake], code: str
) -> None:
    made = mistake("Say it again.", "order", "amount")
    assert isinstance(made, errors.Mistake)
    assert (made.code, made.message, str(made)) == (code, "Say it again.", "Say it again.")
    assert tuple(made.field) == ("order", "amount")


def test_mistake_about_nothing_in_particular_has_an_empty_path() -> None:
    assert tuple(errors.Mistake("No.").field) == ()
