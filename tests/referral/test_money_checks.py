"""Whatever contradicts commissions, pay-outs and the ledger is named."""

import pytest

from core import database
from referral import payouts
from tests.factories import NOW
from tests.referral import purse, suspects

# What is done to the books, what undoes it, and what has to be said of it.
CORRUPTIONS = {
    "where a commission lies": (
        "UPDATE commission SET account = 'AVAILABLE' WHERE account = 'PENDING'",
        "UPDATE commission SET account = 'PENDING' WHERE amount = 4",
        ["4 of it lies in AVAILABLE, and 4 was booked on PENDING", "what stands elsewhere makes"],
    ),
    "that a commission is held": (
        "UPDATE commission SET account = 'AVAILABLE' WHERE account = 'HELD'",
        "UPDATE commission SET account = 'HELD' WHERE amount = 3",
        ["3 of it lies in AVAILABLE, and 3 was booked on HELD"],
    ),
    "that a commission is paid out": (
        "UPDATE commission SET account = 'AVAILABLE' WHERE amount = 100",
        "UPDATE commission SET account = 'PAID' WHERE amount = 100",
        ["lies in AVAILABLE, and its pay-out is PROCESSING"],
    ),
    "by what it is paid out": (
        "UPDATE commission SET payout_id = NULL WHERE amount = 100",
        "UPDATE commission SET payout_id = (SELECT MIN(id) FROM payout) WHERE amount = 100",
        ["lies in PAID, and its pay-out is none"],
    ),
    "the amount of a pay-out": (
        "UPDATE payout SET amount_minor = amount_minor + 1",
        "UPDATE payout SET amount_minor = amount_minor - 1",
        ["is PROCESSING over 101, and 100 was booked out, 0 back", "what stands elsewhere makes"],
    ),
    "that a pay-out failed": (
        "UPDATE payout SET status = 'FAILED'",
        "UPDATE payout SET status = 'PROCESSING'",
        ["is FAILED over 100, and 100 was booked out, 0 back", "its pay-out is FAILED"],
    ),
    "whose a pay-out is": (
        "UPDATE payout SET member_id = (SELECT MAX(id) FROM member)",
        "UPDATE payout SET member_id = (SELECT promoter_id FROM commission WHERE amount = 100)",
        [
            "lies in PAID, and its pay-out is PROCESSING",
            "its entries sum to 0, what stands elsewhere",
        ],
    ),
}


async def test_every_corruption_is_named(opened: str) -> None:
    lin = await purse.purse()
    await lin.available(100)
    await payouts.run("friends", 1, NOW)
    await purse.hold(await lin.earn(3))
    await lin.earn(4)
    assert await purse.problems() == []
    for name, (spoil, mend, said) in CORRUPTIONS.items():
        assert await database.execute(spoil) == 1, name
        found = await purse.problems()
        for words in said:
            assert any(words in each for each in found), (name, found)
        assert await database.execute(mend) == 1, name
        assert await purse.problems() == [], name


async def test_money_that_is_held_for_nobody_and_a_case_that_holds_nothing_are_named(
    opened: str,
) -> None:
    lin = await purse.purse()
    held, free = await lin.earn(3), await lin.earn(4)
    await purse.hold(held)
    await database.execute("UPDATE risk_case SET status = 'RELEASED'")
    assert await purse.problems() == [
        f"commission {held.id}: 3 of it are held, and no case is open about it"
    ]
    await database.execute("UPDATE risk_case SET status = 'OPEN'")
    assert await purse.problems() == []
    await database.execute("UPDATE risk_item SET commission_id = $1", free.id)
    found = await purse.problems()
    assert f"commission {held.id}: 3 of it are held, and no case is open about it" in found
    [case_id] = await database.firsts("SELECT id FROM risk_case")
    assert f"commission {free.id}: lies in PENDING, and case {case_id} is open about it" in found


async def test_what_was_taken_back_without_a_rejection_is_named(opened: str) -> None:
    lin = await purse.purse()
    await purse.hold(await lin.earn(3))
    await suspects.decide(await suspects.case(), release=False)
    assert await purse.problems() == []
    await database.execute("UPDATE risk_case SET status = 'RELEASED'")
    [problem] = await purse.problems()
    assert "takes back for a case that was not rejected" in problem
    await database.execute("UPDATE risk_case SET status = 'REJECTED'")
    await database.execute("UPDATE commission SET reversed = 2")
    assert any("2 is marked as reversed, 3 was booked" in each for each in await purse.problems())


@pytest.mark.parametrize("kind", ["RELEASE", "HOLD", "PAYOUT", "REVERSE"])
async def test_a_transfer_that_nothing_accounts_for_is_named(opened: str, kind: str) -> None:
    lin = await purse.purse()
    await lin.available(100)
    await purse.hold(await lin.earn(3))
    accounts = {
        row["account"]: row["id"]
        for row in await database.rows("SELECT id, account FROM ledger_account")
    }
    source, target = accounts["PENDING"], accounts["AVAILABLE"]
    await database.execute(
        "INSERT INTO ledger_transfer (key, kind, from_account_id, to_account_id, amount, at)"
        f" VALUES ('stray', '{kind}', {source}, {target}, 5, CURRENT_TIMESTAMP)"
    )
    for id, change in ((source, -5), (target, 5)):
        await database.execute(
            f"UPDATE ledger_account SET balance = balance + ({change}) WHERE id = {id}"
        )
    found = await purse.problems()
    assert len([each for each in found if "what stands elsewhere makes" in each]) == 2, found
