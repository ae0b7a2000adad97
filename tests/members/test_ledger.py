"""The ledger moves what it posts and nothing else, and the database itself keeps it so."""

import asyncio

import pytest
from tortoise.exceptions import IntegrityError

from core import database
from members import ledger
from members.ledger import AccountRef, Balance, Transfer
from members.models import (
    Account,
    Asset,
    EntryKind,
    LedgerAccount,
    LedgerEntry,
    LedgerTransfer,
    Member,
)
from tests import factories
from tests.factories import NOW

PROGRAM = AccountRef(7, Asset.CASH)


def pending(member: Member, program_id: int = 7, asset: Asset = Asset.CASH) -> AccountRef:
    return AccountRef(program_id, asset, member.id, Account.PENDING)


def accrual(key: str, target: AccountRef, amount: int = 100) -> Transfer:
    source = AccountRef(target.program_id, target.asset)
    return Transfer(key, EntryKind.ACCRUE, source, target, amount, conversion_id=1)


@database.unit_of_work
async def post(*transfers: Transfer) -> None:
    await ledger.post(transfers, NOW)


async def balance(ref: AccountRef) -> int:
    return (await LedgerAccount.get(key=ref.key)).balance


async def entries() -> list[tuple[str, int]]:
    rows = LedgerEntry.all().order_by("id").values_list("account__key", "amount")
    return [(key, amount) for key, amount in await rows]


async def books() -> tuple[list[tuple[str, int]], list[tuple[str, int]], int]:
    """Everything the ledger holds, to see that nothing of it moved."""
    accounts = await LedgerAccount.all().order_by("key").values_list("key", "balance")
    return await entries(), list(accounts), await LedgerTransfer.all().count()


async def two_posted() -> Member:
    member = (await factories.person("lin")).member
    await post(accrual("a", pending(member), 100), accrual("b", pending(member), 50))
    return member


async def test_a_transfer_moves_both_balances_and_has_two_entries(opened: str) -> None:
    lin = pending((await factories.person("lin")).member)

    await post(accrual("first", lin, 250))

    assert (await balance(PROGRAM), await balance(lin)) == (-250, 250)
    assert await entries() == [(PROGRAM.key, -250), (lin.key, 250)]
    row = await LedgerTransfer.get(key="first")
    assert (row.kind, row.amount, row.conversion_id, row.at) == (EntryKind.ACCRUE, 250, 1, NOW)


async def test_transfers_of_one_post_add_up_on_their_accounts(opened: str) -> None:
    lin = pending((await factories.person("lin")).member)
    mei = pending((await factories.person("mei")).member)

    await post(accrual("a", lin, 250), accrual("b", lin, 3), accrual("c", mei, 40))
    await post(Transfer("d", EntryKind.REVERSE, lin, PROGRAM, 200, conversion_id=2))

    assert [await balance(each) for each in (PROGRAM, lin, mei)] == [-93, 53, 40]
    assert await LedgerEntry.all().count() == 8


async def test_posting_nothing_writes_nothing(embedded: str) -> None:
    await post()
    assert await books() == ([], [], 0)


async def test_a_reversal_may_leave_a_negative_balance(embedded: str) -> None:
    lin = pending((await factories.person("lin")).member)
    await post(Transfer("r", EntryKind.REVERSE, lin, PROGRAM, 9, conversion_id=1))
    assert (await balance(PROGRAM), await balance(lin)) == (9, -9)


CHANGES = [
    "UPDATE ledger_transfer SET amount = amount + 1",
    "UPDATE ledger_transfer SET at = at",
    "UPDATE ledger_entry SET amount = 0",
    "DELETE FROM ledger_transfer",
    "DELETE FROM ledger_entry",
    "DELETE FROM ledger_entry WHERE amount < 0",
]


async def test_the_database_refuses_to_change_what_was_posted(opened: str) -> None:
    await two_posted()
    before = await books()
    for sql in CHANGES:
        with pytest.raises(IntegrityError, match="append-only"):
            await database.execute(sql)
        assert await books() == before, sql


@pytest.mark.postgres
async def test_postgresql_refuses_to_truncate_the_ledger(postgres_url: str) -> None:
    async with database.opened(postgres_url):
        await two_posted()
        before = await books()
        for table in ("ledger_transfer", "ledger_entry", "ledger_account"):
            with pytest.raises(IntegrityError, match="append-only"):
                await database.execute(f"TRUNCATE {table} CASCADE")
            assert await books() == before, table


async def raw_transfer(key: str, source: AccountRef, target: AccountRef, amount: int) -> None:
    """What a bug that goes around `ledger.post` would write."""
    await LedgerTransfer.create(
        key=key,
        kind=EntryKind.ACCRUE,
        from_account=await LedgerAccount.get(key=source.key),
        to_account=await LedgerAccount.get(key=target.key),
        amount=amount,
        at=NOW,
    )


async def test_the_database_refuses_an_amount_below_one(opened: str) -> None:
    member = await two_posted()
    before = await books()
    for amount in (0, -1):
        with pytest.raises(IntegrityError, match="a transfer needs an amount"):
            await raw_transfer("c", PROGRAM, pending(member), amount)
        assert await books() == before


async def test_the_smallest_amount_is_one(embedded: str) -> None:
    lin = pending((await factories.person("lin")).member)
    await post(accrual("one", lin, 1))
    assert await balance(lin) == 1


async def test_posting_an_amount_below_one_leaves_nothing(opened: str) -> None:
    lin = pending((await factories.person("lin")).member)
    for amount in (0, -5):
        with pytest.raises(IntegrityError):
            await post(accrual("good", lin, 5), accrual("bad", lin, amount))
        assert await books() == ([], [], 0)


async def test_the_database_refuses_a_transfer_to_the_same_account(opened: str) -> None:
    member = await two_posted()
    before = await books()
    with pytest.raises(IntegrityError, match="a transfer needs an amount and two accounts"):
        await raw_transfer("c", pending(member), pending(member), 5)
    assert await books() == before


async def test_the_database_refuses_accounts_of_two_programs_or_assets(opened: str) -> None:
    member = await two_posted()
    others = [pending(member, 8, Asset.CASH), pending(member, 7, Asset.POINTS)]
    await post(*(accrual(each.key, each) for each in others))
    before = await books()
    for other in others:
        with pytest.raises(IntegrityError, match="two accounts of one kind"):
            await raw_transfer("d", PROGRAM, other, 5)
        with pytest.raises(IntegrityError, match="two accounts of one kind"):
            await raw_transfer("d", other, PROGRAM, 5)
        assert await books() == before


async def test_the_database_refuses_a_transfer_between_accounts_that_are_not_there(
    opened: str,
) -> None:
    await two_posted()
    before = await books()
    with pytest.raises(IntegrityError):
        await LedgerTransfer.create(
            key="c",
            kind=EntryKind.ACCRUE,
            from_account_id=98_765,
            to_account_id=98_766,
            amount=5,
            at=NOW,
        )
    assert await books() == before


async def test_the_database_refuses_a_stray_entry(opened: str) -> None:
    lin = await two_posted()
    mei = (await factories.person("mei")).member
    await post(accrual("c", pending(mei)))
    transfer = await LedgerTransfer.get(key="a")
    before = await books()
    stray = [
        (pending(lin), 100),  # a second time
        (pending(lin), 7),
        (pending(lin), -100),
        (pending(mei), 100),
        (PROGRAM, 100),
    ]
    for ref, amount in stray:
        account = await LedgerAccount.get(key=ref.key)
        with pytest.raises(IntegrityError):
            await LedgerEntry.create(transfer=transfer, account=account, amount=amount)
        assert await books() == before, (ref, amount)


@pytest.mark.parametrize("same", ["id", "key"])
async def test_sqlite_refuses_to_replace_a_transfer(sqlite_url: str, same: str) -> None:
    async with database.opened(sqlite_url):
        await two_posted()
        first = await LedgerTransfer.get(key="a")
        before = await books()
        number, key = (first.id, "new") if same == "id" else (first.id + 100, "a")

        with pytest.raises(IntegrityError, match="posted before"):
            await database.execute(
                "INSERT OR REPLACE INTO ledger_transfer"
                " (id, key, kind, from_account_id, to_account_id, amount, at)"
                " SELECT $1, $2, kind, from_account_id, to_account_id, 999, at"
                " FROM ledger_transfer WHERE key = 'a'",
                number,
                key,
            )

        assert await books() == before


async def test_sqlite_refuses_to_replace_an_entry(sqlite_url: str) -> None:
    async with database.opened(sqlite_url):
        await two_posted()
        victim = await LedgerEntry.get(transfer__key="a", amount=-100)
        twin = await LedgerEntry.get(transfer__key="b", amount=-50)
        before = await books()

        with pytest.raises(IntegrityError):
            await database.execute(
                "INSERT OR REPLACE INTO ledger_entry (id, transfer_id, account_id, amount)"
                " SELECT $1, transfer_id, account_id, amount FROM ledger_entry WHERE id = $2",
                victim.id,
                twin.id,
            )

        assert await books() == before


async def test_the_same_key_again_is_refused_and_leaves_nothing(opened: str) -> None:
    member = await two_posted()
    before = await books()

    with pytest.raises(IntegrityError):
        await post(accrual("new", pending(member), 7), accrual("a", pending(member), 100))

    assert await books() == before


async def test_the_same_key_twice_in_one_post_is_refused_and_leaves_nothing(opened: str) -> None:
    lin = pending((await factories.person("lin")).member)
    with pytest.raises(IntegrityError):
        await post(accrual("a", lin), accrual("a", lin))
    assert await books() == ([], [], 0)


async def test_a_unit_of_work_that_fails_after_posting_leaves_nothing(opened: str) -> None:
    lin = pending((await factories.person("lin")).member)

    @database.unit_of_work
    async def failing() -> None:
        await ledger.post([accrual("a", lin)], NOW)
        raise RuntimeError("after the post")

    with pytest.raises(RuntimeError, match="after the post"):
        await failing()

    assert await books() == ([], [], 0)


async def test_balances_add_the_programs_up_per_asset(opened: str) -> None:
    lin = (await factories.person("lin")).member
    mei = (await factories.person("mei")).member
    held = AccountRef(7, Asset.CASH, lin.id, Account.HELD)
    await post(
        accrual("a", pending(lin, 7), 100),
        accrual("b", pending(lin, 8), 20),
        accrual("c", held, 3),
        accrual("d", pending(lin, 7, Asset.POINTS), 5),
        accrual("e", pending(mei, 7), 1_000),
    )

    assert await ledger.balances(lin.id) == [
        Balance(Asset.CASH, pending=120, available=0, held=3, paid=0),
        Balance(Asset.POINTS, pending=5, available=0, held=0, paid=0),
    ]


async def test_somebody_who_never_had_anything_has_no_balances(embedded: str) -> None:
    lin = (await factories.person("lin")).member
    assert await ledger.balances(lin.id) == []


async def test_posts_at_once_on_one_counter_account_add_up(opened: str) -> None:
    members = [(await factories.person(f"m{number}")).member for number in range(4)]

    await asyncio.gather(
        *(
            post(
                accrual(f"{number}-a", pending(members[number % 4]), number + 1),
                accrual(f"{number}-b", pending(members[(number + 1) % 4]), 10),
            )
            for number in range(24)
        )
    )

    total = sum(range(1, 25)) + 24 * 10
    assert await balance(PROGRAM) == -total
    assert sum([await balance(pending(member)) for member in members]) == total
    assert await LedgerAccount.all().count() == 5
    assert await LedgerEntry.all().count() == 96


async def test_of_posts_with_one_key_at_once_one_stays(opened: str) -> None:
    lin = pending((await factories.person("lin")).member)

    results = await asyncio.gather(
        *(post(accrual("once", lin)) for _ in range(8)), return_exceptions=True
    )

    assert sum(result is None for result in results) == 1
    assert sum(isinstance(result, IntegrityError) for result in results) == 7
    assert (await balance(PROGRAM), await balance(lin)) == (-100, 100)
