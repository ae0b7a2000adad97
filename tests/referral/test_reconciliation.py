"""Clean books are ok, and whatever SQL can still make of them is named."""

import asyncio

import pytest

from core import database, jobs
from core.outbox import OutboxMessage
from members import publishing
from members.models import DowngradePolicy, LedgerTransfer
from members.publishing import TierRule
from referral import reconciliation
from referral.models import Commission
from tests import factories
from tests.factories import NOW
from tests.referral import scene


async def books(*, policy: DowngradePolicy = DowngradePolicy.IMMEDIATE) -> scene.Shop:
    """Mei's books: A-1 refunded in part, A-2 in full, A-0 of zero, B-1 of nobody; silver."""
    await factories.ladder(policy)
    lin, teller = await factories.person("lin"), await factories.person("shop")
    link = await factories.link(lin.member, await factories.program(rate_bps=333))
    shop = scene.Shop(teller.member.id)
    mei = await scene.customer(link)
    await shop.order("A-1", 400_001, mei)
    await shop.refund("R-1", 50_000, of="A-1")
    await shop.order("A-2", 100_000, mei)
    await shop.refund("R-2", 100_000, of="A-2")
    await shop.order("A-0", 0, mei)
    await shop.order("B-1", 77, ref="c-1")
    await scene.settle()
    return shop


async def problems() -> list[str]:
    return list((await reconciliation.reconcile(NOW)).problems)


async def test_an_empty_database_reconciles(opened: str) -> None:
    assert (await reconciliation.reconcile(NOW)).ok
    assert (await reconciliation.reconcile(NOW)).transfers == 0


async def test_clean_books_reconcile_and_stay_as_they_are(opened: str) -> None:
    await books()
    before = await Commission.all().order_by("id").values()

    found = await reconciliation.reconcile(NOW)

    assert (found.ok, list(found.problems)) == (True, [])
    assert found.transfers == await LedgerTransfer.all().count() == 4
    assert await Commission.all().order_by("id").values() == before


MEI = "(SELECT id FROM member WHERE display_name = 'Mei')"
LIN = "(SELECT id FROM member WHERE display_name = 'lin')"
GOLD = "(SELECT id FROM tier WHERE code = 'gold')"
FIRST = "conversion_id = (SELECT id FROM conversion WHERE external_id = 'A-1')"
# What is done to the books, what undoes it, and what has to be said of it.
CORRUPTIONS = {
    "a balance": (
        "UPDATE ledger_account SET balance = balance + 1 WHERE member_id IS NULL",
        "UPDATE ledger_account SET balance = balance - 1 WHERE member_id IS NULL",
        ["account ", "the balance is -", "its entries sum to -"],
    ),
    "a member's spend": (
        f"UPDATE standing SET spend_minor = spend_minor + 1 WHERE member_id = {MEI}",
        f"UPDATE standing SET spend_minor = spend_minor - 1 WHERE member_id = {MEI}",
        ["has metrics that its facts do not add up to"],
    ),
    "a tier too high": (
        f"UPDATE standing SET tier_id = {GOLD} WHERE member_id = {MEI}",
        "UPDATE standing SET tier_id = (SELECT id FROM tier WHERE code = 'silver')"
        f" WHERE member_id = {MEI}",
        ["is in gold, should be in silver"],
    ),
    "a tier taken away": (
        f"UPDATE standing SET tier_id = NULL WHERE member_id = {MEI}",
        "UPDATE standing SET tier_id = (SELECT id FROM tier WHERE code = 'silver')"
        f" WHERE member_id = {MEI}",
        ["is in no tier, should be in silver"],
    ),
    "a commission's amount": (
        f"UPDATE commission SET amount = amount + 1 WHERE {FIRST}",
        f"UPDATE commission SET amount = amount - 1 WHERE {FIRST}",
        ["13321 is due, 13320 was accrued"],
    ),
    "what is reversed of a commission": (
        f"UPDATE commission SET reversed = reversed - 1 WHERE {FIRST}",
        f"UPDATE commission SET reversed = reversed + 1 WHERE {FIRST}",
        ["1664 is marked as reversed, 1665 was booked", "1664 is reversed, 1665 should be"],
    ),
    "a credited order that is said not to be": (
        "UPDATE conversion SET status = 'NOT_CREDITED' WHERE external_id = 'A-1'",
        "UPDATE conversion SET status = 'CREDITED' WHERE external_id = 'A-1'",
        ["order A-1 of shop: it is NOT_CREDITED and has 1 commissions"],
    ),
    "a credited order that is said to be parked": (
        "UPDATE conversion SET status = 'PARKED' WHERE external_id = 'A-1'",
        "UPDATE conversion SET status = 'CREDITED' WHERE external_id = 'A-1'",
        ["it is PARKED and has 1 commissions", "counts otherwise for SPEND than it was booked"],
    ),
    "an order that is said to be credited": (
        "UPDATE conversion SET status = 'CREDITED' WHERE external_id = 'A-0'",
        "UPDATE conversion SET status = 'NOT_CREDITED' WHERE external_id = 'A-0'",
        ["order A-0 of shop: it is CREDITED and has 0 commissions"],
    ),
    "a refund that is said to be parked": (
        "UPDATE conversion SET status = 'PARKED' WHERE external_id = 'R-1'",
        "UPDATE conversion SET status = 'CREDITED' WHERE external_id = 'R-1'",
        ["counts otherwise for SPEND than it was booked"],
    ),
    "what was refunded of an order": (
        "UPDATE conversion SET refunded_minor = refunded_minor + 1 WHERE external_id = 'A-1'",
        "UPDATE conversion SET refunded_minor = refunded_minor - 1 WHERE external_id = 'A-1'",
        ["order A-1 of shop: 50001 counted as refunded, its refunds sum to 5"],
    ),
    "the amount of an order": (
        "UPDATE conversion SET amount_minor = amount_minor + 7 WHERE external_id = 'A-1'",
        "UPDATE conversion SET amount_minor = amount_minor - 7 WHERE external_id = 'A-1'",
        ["counts otherwise for SPEND than it was booked"],
    ),
    "the amount of a fact": (
        f"UPDATE metric_fact SET amount = amount + 1 WHERE {FIRST}",
        f"UPDATE metric_fact SET amount = amount - 1 WHERE {FIRST}",
        ["counts otherwise for SPEND than it was booked", "its facts do not add up to"],
    ),
    "the plan of a fact": (
        f"UPDATE metric_fact SET plan = 'basic' WHERE {FIRST}",
        f"UPDATE metric_fact SET plan = NULL WHERE {FIRST}",
        ["counts otherwise for SPEND than it was booked"],
    ),
    "whose a fact is": (
        f"UPDATE metric_fact SET member_id = {LIN} WHERE {FIRST}",
        f"UPDATE metric_fact SET member_id = {MEI} WHERE {FIRST}",
        ["counts otherwise for SPEND than it was booked", "its facts do not add up to"],
    ),
    "when an invitee enrolled": (
        "UPDATE invitation SET promoted_at = registered_at",
        "UPDATE invitation SET promoted_at = NULL",
        ["what became of invitee", "has metrics that its facts do not add up to"],
    ),
    "that an invitee bought": (
        "UPDATE standing SET invited_bought = 0 WHERE invited_bought = 1",
        f"UPDATE standing SET invited_bought = 1 WHERE member_id = {LIN}",
        ["has metrics that its facts do not add up to"],
    ),
    "what was earned by the rules": (
        f"UPDATE standing SET earned_tier_id = NULL WHERE member_id = {MEI}",
        "UPDATE standing SET earned_tier_id = tier_id WHERE tier_id IS NOT NULL",
        ["is in silver, should be in silver"],
    ),
    "a dead letter": (
        "UPDATE outbox SET dead_at = done_at, done_at = NULL, error = 'Oh: no'"
        " WHERE id = (SELECT MIN(id) FROM outbox)",
        "UPDATE outbox SET done_at = dead_at, dead_at = NULL WHERE dead_at IS NOT NULL",
        ["given up after 1 attempts: Oh: no"],
    ),
}


async def test_every_corruption_is_named_and_nothing_else(opened: str) -> None:
    await books()
    for name, (spoil, mend, said) in CORRUPTIONS.items():
        assert await database.execute(spoil) == 1, name
        found = await problems()
        for words in said:
            assert any(words in each for each in found), (name, found)
        assert len(found) <= 5, (name, found)
        assert await database.execute(mend) == 1, name
        assert await problems() == [], name


async def test_members_whom_a_job_that_failed_has_left_behind_are_named(opened: str) -> None:
    await books()
    everybody = {"leaf": {"metric": "SPEND", "atLeast": 0}}
    rules = [TierRule("all", "All", 1, everybody)]
    job = (await publishing.publish(rules, time_zone="UTC", now=NOW)).job
    assert await problems() == []  # their turn has yet to come
    await OutboxMessage.filter(topic=job.kind).update(dead_at=NOW, error="Oh: no")
    await jobs.fail_given_up(NOW)

    found = await problems()

    assert len([each for each in found if "should be in all" in each]) == job.total == 3
    assert found[-1].startswith(f"tier_rules {job.id}: given up")
    assert len(found) == 4


@pytest.mark.postgres
async def test_postgresql_tells_sums_as_whole_numbers(postgres_url: str) -> None:
    async with database.opened(postgres_url):
        await books()
        await database.execute(CORRUPTIONS["what was refunded of an order"][0])
        assert await problems() == [
            "order A-1 of shop: 50001 counted as refunded, its refunds sum to 50000"
        ]


SILENT = {
    "a credited order that is said to be reversed": (
        "UPDATE conversion SET status = 'REVERSED' WHERE external_id = 'A-1'",
        "UPDATE conversion SET status = 'CREDITED' WHERE external_id = 'A-1'",
    ),
    "a reversed order that is said to be credited": (
        "UPDATE conversion SET status = 'CREDITED' WHERE external_id = 'A-2'",
        "UPDATE conversion SET status = 'REVERSED' WHERE external_id = 'A-2'",
    ),
    "a refund that is said not to have taken anything back": (
        "UPDATE conversion SET status = 'NOT_CREDITED' WHERE external_id = 'R-1'",
        "UPDATE conversion SET status = 'CREDITED' WHERE external_id = 'R-1'",
    ),
}


@pytest.mark.parametrize("name", SILENT)
async def test_a_wrong_status_without_a_wrong_sum_is_named_too(sqlite_url: str, name: str) -> None:
    async with database.opened(sqlite_url):
        await books()
        spoil, _ = SILENT[name]
        assert await database.execute(spoil) == 1
        assert await problems() != []


async def test_a_pending_order_that_no_worker_will_ever_see_is_named(embedded: str) -> None:
    await books()
    await database.execute("UPDATE conversion SET status = 'PENDING' WHERE external_id = 'A-0'")
    assert await problems() != []


async def test_under_never_a_tier_that_nobody_earned_is_named(sqlite_url: str) -> None:
    async with database.opened(sqlite_url):
        await books(policy=DowngradePolicy.NEVER)
        assert await database.execute(
            f"UPDATE standing SET tier_id = {GOLD} WHERE member_id = (SELECT id FROM member"
            " WHERE display_name = 'lin')"
        )
        assert await problems() != []


async def test_a_tier_that_never_takes_away_reconciles(opened: str) -> None:
    shop = await books(policy=DowngradePolicy.NEVER)
    await shop.refund("R-3", 350_001, of="A-1")
    await scene.settle()
    assert await problems() == []


async def test_a_refund_that_exceeds_the_order_that_came_after_it_is_named(opened: str) -> None:
    shop = await books()
    await shop.refund("R-9", 101, of="A-9")
    await scene.settle()
    assert await problems() == []  # it waits for its order, as it should

    await shop.order("A-9", 100, (await shop.find("A-1")).member_id)
    await scene.settle()

    assert await problems() == ["refund R-9 of shop: waits, since it exceeds its order"]


async def test_a_commission_that_was_never_accrued_and_one_that_vanished_are_named(
    sqlite_url: str,
) -> None:
    async with database.opened(sqlite_url):
        await books()
        await database.execute(f"DELETE FROM commission WHERE {FIRST}")
        found = await problems()
        assert any("accrues a commission that is not there" in each for each in found)
        assert "order A-1 of shop: it is CREDITED and has 0 commissions" in found


async def test_of_many_problems_of_a_kind_20_are_shown_and_the_rest_counted(
    sqlite_url: str,
) -> None:
    async with database.opened(sqlite_url):
        shop = await books()
        for number in range(25):
            await shop.order(f"Z-{number}", 0, ref="c-9")
        await scene.settle()
        await database.execute(
            "UPDATE conversion SET refunded_minor = 3 WHERE source = 'shop'"
            " AND external_id LIKE 'Z-%'"
        )
        found = await problems()
        assert len(found) == 21
        assert found[-1] == "… and 5 more of this kind"


async def test_reconciling_while_workers_book_sees_one_instant(opened: str) -> None:
    stage = await factories.stage()
    shop = scene.shop(stage)
    mei = await scene.customer(stage.link)

    async def sell(number: int) -> None:
        await shop.order(f"A-{number}", 1_000, mei)
        await scene.crediting.work(NOW)

    results = await asyncio.gather(
        *(sell(number) for number in range(6)), *(problems() for _ in range(6))
    )
    assert [each for each in results if each] == []
    assert await OutboxMessage.all().count() == 6
