"""Where a commission is said to be, and what a refund takes from."""

from datetime import timedelta

import pytest

from members.models import Account, Asset
from referral import whereabouts
from referral.models import Commission
from tests.factories import NOW


def commission(account: Account = Account.PENDING, *, reversed: int = 0) -> Commission:
    return Commission(
        conversion_id=1,
        program_id=2,
        promoter_id=3,
        level=1,
        asset=Asset.CASH,
        amount=10,
        reversed=reversed,
        account=account,
        available_at=NOW,
    )


@pytest.mark.parametrize("account", Account)
def test_it_is_where_its_money_is_until_nothing_is_left(account: Account) -> None:
    assert whereabouts.status(commission(account)).value == account.value
    assert whereabouts.status(commission(account, reversed=9)).value == account.value
    assert whereabouts.status(commission(account, reversed=10)).value == "REVERSED"


def test_one_of_nothing_was_not_reversed() -> None:
    nothing = commission()
    nothing.amount = 0
    assert whereabouts.status(nothing).value == "PENDING"


@pytest.mark.parametrize(
    ("account", "key"),
    [
        (Account.PENDING, "2:CASH:3:PENDING"),
        (Account.AVAILABLE, "2:CASH:3:AVAILABLE"),
        (Account.HELD, "2:CASH:3:HELD"),
        (Account.PAID, "2:CASH:3:AVAILABLE"),
    ],
)
def test_a_refund_takes_from_where_the_money_is_and_never_from_what_went_out(
    account: Account, key: str
) -> None:
    assert whereabouts.taken_from(commission(account)).key == key


def test_no_longer_held_it_is_available_from_its_instant_on() -> None:
    held = commission(Account.HELD)
    tick = timedelta(microseconds=1)
    assert whereabouts.after_hold(held, NOW - tick) is Account.PENDING
    assert whereabouts.after_hold(held, NOW) is Account.AVAILABLE


def test_its_key_is_the_business_fact() -> None:
    assert whereabouts.key(commission()) == "1:2:3:1:CASH"
