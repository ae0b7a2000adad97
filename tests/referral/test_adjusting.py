"""Finance corrects what is available, once for each key and never below zero."""

import asyncio

import pytest

from core.audit import AuditEntry
from core.errors import Mistake
from members.models import Asset, EntryKind, LedgerTransfer
from tests.referral import purse
from tests.referral.purse import adjust, run


async def test_an_adjustment_moves_what_is_available_and_says_why(opened: str) -> None:
    lin = await purse.purse()
    await adjust(lin, 50, "k-1")
    assert await lin.holds() == (0, 50, 0, 0)
    [transfer] = await LedgerTransfer.filter(kind=EntryKind.ADJUST)
    assert (transfer.key, transfer.memo) == ("adjust:k-1", "a correction")
    [entry] = await AuditEntry.filter(action="ledgerAdjust")
    assert entry.detail == {
        "program": "friends",
        "asset": "CASH",
        "amount": 50,
        "memo": "a correction",
        "key": "k-1",
    }
    assert await purse.problems() == []


async def test_an_adjustment_goes_down_to_zero_and_no_further(opened: str) -> None:
    lin = await purse.purse()
    await adjust(lin, 50, "k-1")
    with pytest.raises(Mistake) as caught:
        await adjust(lin, -51, "k-2")
    assert (caught.value.code, [*caught.value.field]) == ("INSUFFICIENT_BALANCE", ["amount"])
    assert await lin.holds() == (0, 50, 0, 0)
    await adjust(lin, -50, "k-2")
    assert await lin.holds() == (0, 0, 0, 0)


async def test_a_negative_balance_may_be_adjusted_upwards_alone(opened: str) -> None:
    lin = await purse.purse()
    commission = await lin.available(100)
    await run()
    await lin.refund(commission, 100)
    with pytest.raises(Mistake, match="-100 is available"):
        await adjust(lin, -1, "k-1")
    await adjust(lin, 40, "k-2")
    assert await lin.holds() == (0, -60, 0, 100)


async def test_one_key_adjusts_once(opened: str) -> None:
    lin = await purse.purse()
    await asyncio.gather(*(adjust(lin, 50, "k-1") for _ in range(6)))
    assert await lin.holds() == (0, 50, 0, 0)
    assert await AuditEntry.filter(action="ledgerAdjust").count() == 1


async def test_the_same_key_with_anything_else_is_a_conflict(opened: str) -> None:
    lin, mei = await purse.purse(), await purse.purse("mei")
    await adjust(lin, 50, "k-1")
    for whose, amount, asset in (
        (lin, 51, Asset.CASH),
        (lin, -50, Asset.CASH),
        (lin, 50, Asset.POINTS),
        (mei, 50, Asset.CASH),
    ):
        with pytest.raises(Mistake) as caught:
            await adjust(whose, amount, "k-1", asset)
        assert (caught.value.code, [*caught.value.field]) == ("IDEMPOTENCY_CONFLICT", ["key"])
    assert await lin.holds() == (0, 50, 0, 0)


async def test_withdrawals_at_once_never_take_more_than_there_is(opened: str) -> None:
    lin = await purse.purse()
    await adjust(lin, 100, "k-0")
    results = await asyncio.gather(
        *(adjust(lin, -30, f"k-{n}") for n in range(1, 7)), return_exceptions=True
    )
    assert sum(result is None for result in results) == 3
    assert await lin.holds() == (0, 10, 0, 0)
