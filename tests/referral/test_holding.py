"""What is looked into is kept back and comes out where it would be by then."""

from datetime import timedelta

import pytest
from tortoise.exceptions import IntegrityError

from members.models import EntryKind
from referral import payouts
from referral.models import Commission
from tests.factories import NOW
from tests.referral import purse

HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)


async def test_a_pending_one_is_held_and_pending_again_before_its_time(opened: str) -> None:
    lin = await purse.purse()
    commission = await lin.earn(100, due=NOW + HOUR)

    assert await purse.hold(commission) == [commission.id]
    assert await lin.holds() == (0, 0, 100, 0)
    assert await purse.problems() == []

    assert await purse.unhold(commission, now=NOW + HOUR - TICK) == [commission.id]
    assert await lin.holds() == (100, 0, 0, 0)
    await purse.release(NOW + HOUR)
    assert await lin.holds() == (0, 100, 0, 0)
    assert await purse.problems() == []


async def test_at_its_time_it_comes_out_available(opened: str) -> None:
    lin = await purse.purse()
    commission = await lin.earn(100, due=NOW + HOUR)
    await purse.hold(commission)

    await purse.unhold(commission, now=NOW + HOUR)

    assert await lin.holds() == (0, 100, 0, 0)
    assert await purse.booked(EntryKind.RELEASE) == []
    assert await purse.problems() == []


async def test_an_available_one_is_held_and_available_again(opened: str) -> None:
    lin = await purse.purse()
    commission = await lin.available(100)
    await purse.hold(commission)
    assert await lin.holds() == (0, 0, 100, 0)
    await purse.unhold(commission)
    assert await lin.holds() == (0, 100, 0, 0)
    assert await purse.booked(EntryKind.HOLD, EntryKind.UNHOLD) == [100, 100]
    assert await purse.problems() == []


async def test_what_is_held_already_stays_held_by_the_first(opened: str) -> None:
    lin = await purse.purse()
    commission = await lin.earn(100)
    await purse.hold(commission, fact="case-1")
    assert await purse.hold(commission, fact="case-2") == []
    assert await lin.holds() == (0, 0, 100, 0)


async def test_what_is_not_held_is_not_let_go(opened: str) -> None:
    lin = await purse.purse()
    commission = await lin.earn(100)
    assert await purse.unhold(commission) == []
    assert await lin.holds() == (100, 0, 0, 0)


async def test_what_is_paid_out_cannot_be_held(opened: str) -> None:
    lin = await purse.purse()
    commission = await lin.available(100)
    await payouts.run(lin.program.code, lin.promoter.id, NOW)
    assert await purse.hold(commission) == []
    assert await lin.holds() == (0, 0, 0, 100)


async def test_a_refund_takes_from_what_is_held(opened: str) -> None:
    lin = await purse.purse()
    commission, other = await lin.earn(100), await lin.available(10)
    await purse.hold(commission)
    await lin.refund(commission, 30)
    assert await lin.holds() == (0, 10, 70, 0)
    await purse.unhold(commission)
    assert await lin.holds() == (0, 80, 0, 0)
    assert await purse.account(other) == "AVAILABLE"
    assert await purse.problems() == []


async def test_what_was_refunded_in_full_is_held_without_a_transfer(opened: str) -> None:
    lin = await purse.purse()
    commission = await lin.earn(100)
    await lin.refund(commission, 100)
    assert await purse.hold(commission) == [commission.id]
    assert await purse.unhold(commission) == [commission.id]
    assert await purse.booked(EntryKind.HOLD, EntryKind.UNHOLD) == []
    assert await purse.problems() == []


async def test_what_was_released_by_a_clock_ahead_is_not_released_twice(opened: str) -> None:
    lin = await purse.purse()
    commission = await lin.earn(100, due=NOW + HOUR)
    await purse.release(NOW + HOUR)
    await purse.hold(commission)

    await purse.unhold(commission, now=NOW)

    assert await lin.holds() == (0, 100, 0, 0)
    await purse.release(NOW + HOUR)
    assert await purse.booked(EntryKind.RELEASE) == [100]


async def test_one_fact_holds_once(opened: str) -> None:
    lin = await purse.purse()
    commission = await lin.earn(100)
    await purse.hold(commission)
    await purse.unhold(commission)
    with pytest.raises(IntegrityError):
        await purse.hold(commission)
    assert await purse.account(commission) == "AVAILABLE"
    await purse.hold(commission, fact="another case")
    assert await Commission.filter(account="HELD").count() == 1
