"""Ids are opaque: they come back as what they were given out for, and as nothing else."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as some

from api.nodes import from_id, to_id
from core.errors import NotFound


@given(some.integers(min_value=0, max_value=2**63 - 1))
def test_an_id_leads_back_to_its_row(number: int) -> None:
    assert from_id("Member", to_id("Member", number), "member") == number


def test_an_id_of_another_kind_is_not_found_at_its_field() -> None:
    with pytest.raises(NotFound) as caught:
        from_id("Member", to_id("Program", 1), "input", "member")
    assert caught.value.field == ("input", "member")


@pytest.mark.parametrize("number", ["", "-1", "+1", "1_0", " 1", "1 ", "1.0", "٣", "²", str(2**63)])
def test_a_number_that_we_never_wrote_is_not_found(number: str) -> None:
    forged = base64.b64encode(f"Member:{number}".encode()).decode()
    with pytest.raises(NotFound):
        from_id("Member", forged, "member")


@given(some.text())
def test_any_other_text_is_not_found(text: str) -> None:
    with pytest.raises(NotFound):
        from_id("Member", text, "member")
