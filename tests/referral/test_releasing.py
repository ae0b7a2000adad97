"""What is due becomes available at its instant, once, whoever looks first."""

import asyncio
from datetime import timedelta

import pytest

from members.models import Account, EntryKind, LedgerTransfer
from referral import releasing
from referral.models import Commission
from tests.factories import NOW
from tests.referral import purse
from tests.referral.purse import Killed

TICK = timedelta(microseconds=1)


async def test_it_is_released_at_its_instant_and_not_a_microsecond_before(opened: str) -> None:
    lin = await purse.purse()
    commission = await lin.earn(100, due=NOW)

    assert not await releasing.due(NOW - TICK)
    assert not await releasing.work(NOW - TICK)
    assert await lin.holds() == (100, 0, 0, 0)

    assert await releasing.due(NOW)
    assert not await releasing.work(NOW)  # there is no more than that
    assert await lin.holds() == (0, 100, 0, 0)
    assert await purse.account(commission) == "AVAILABLE"
    assert await purse.problems() == []


async def test_a_second_round_releases_nothing(opened: str) -> None:
    lin = await purse.purse()
    commission = await lin.available(100)
    await purse.release()
    assert not await releasing.due(NOW)
    [transfer] = await LedgerTransfer.filter(kind=EntryKind.RELEASE)
    assert (transfer.amount, transfer.conversion_id) == (100, commission.conversion_id)
    assert transfer.key.startswith("release:")


async def test_what_was_refunded_before_is_not_released(opened: str) -> None:
    lin = await purse.purse()
    part, whole = await lin.earn(100), await lin.earn(50)
    await lin.refund(part, 30)
    await lin.refund(whole, 50)

    await purse.release()

    assert await lin.holds() == (0, 70, 0, 0)
    assert await purse.booked(EntryKind.RELEASE) == [70]
    assert await purse.account(whole) == "AVAILABLE"  # it does not come up again
    assert not await releasing.due(NOW)
    assert await purse.problems() == []


async def test_what_is_held_is_not_released(opened: str) -> None:
    lin = await purse.purse()
    await purse.hold(await lin.earn(100))
    assert not await releasing.due(NOW)
    await purse.release()
    assert await lin.holds() == (0, 0, 100, 0)


async def test_a_full_batch_may_have_more_behind_it(
    opened: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releasing, "BATCH", 2)
    lin = await purse.purse()
    for _ in range(3):
        await lin.earn(10)
    assert await releasing.work(NOW)
    assert await lin.holds() == (10, 20, 0, 0)
    assert not await releasing.work(NOW)
    assert await lin.holds() == (0, 30, 0, 0)


async def test_workers_at_once_release_each_once(
    opened: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releasing, "BATCH", 3)
    lin, mei = await purse.purse(), await purse.purse("mei")
    for amount in range(1, 9):
        await lin.earn(amount)
        await mei.earn(amount)

    await asyncio.gather(*(purse.release() for _ in range(4)))

    assert await lin.holds() == await mei.holds() == (0, 36, 0, 0)
    assert await LedgerTransfer.filter(kind=EntryKind.RELEASE).count() == 16
    assert await purse.problems() == []


async def test_a_refund_and_a_release_at_once_agree(opened: str) -> None:
    lin = await purse.purse()
    for _ in range(4):
        commission = await lin.earn(100)
        await asyncio.gather(lin.refund(commission, 40), purse.release())
    assert await lin.holds() == (0, 240, 0, 0)
    assert await purse.problems() == []


async def test_killed_before_any_statement_it_leaves_nothing_half_done(opened: str) -> None:
    lin = await purse.purse()
    commissions = [await lin.earn(100), await lin.earn(50)]
    for statements in range(100):
        try:
            with purse.dying(statements):
                await releasing.work(NOW)
        except Killed:
            assert await lin.holds() == (150, 0, 0, 0), statements
            assert await Commission.filter(account=Account.PENDING).count() == 2
        else:
            break
    assert statements >= 5
    assert await lin.holds() == (0, 150, 0, 0)
    assert {await purse.account(each) for each in commissions} == {"AVAILABLE"}
    assert await purse.problems() == []
