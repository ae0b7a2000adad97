"""What is credited is looked at once, and what comes too fast is held before it can be paid."""

import asyncio

import pytest

from core import database
from members.models import EntryKind
from referral import looking, payouts, releasing
from referral.models import Commission, RiskCase, RiskItem, RiskStatus
from referral.risk_rules import Limits
from tests import factories
from tests.factories import NOW
from tests.referral import purse, scene, suspects
from tests.referral.suspects import TWO, books_are_right, case, cases, held, look, orders


async def test_orders_up_to_the_limit_raise_nothing_and_the_next_one_is_held(opened: str) -> None:
    lin = await purse.purse()
    first, second = await orders(lin, 30, 20)
    await look()
    assert await cases() == []
    assert await held(first, second) == [False, False]

    (third,) = await orders(lin, 10)
    await look()

    found = await case()
    assert (found.rule, found.status) == ("ORDER_VELOCITY", RiskStatus.OPEN)
    assert (found.promoter_id, found.conversion_id) == (lin.promoter.id, third.id)
    assert await held(first, second, third) == [False, False, True]
    assert await lin.holds() == (200, 0, 100, 0)
    assert found.evidence["limit"] == 2
    assert found.evidence["windowMinutes"] == 60
    assert found.evidence["atStake"] == {"CASH": 100}
    [example] = found.evidence["examples"]
    assert (example["externalId"], example["amountMinor"]) == (third.external_id, 1_000)
    assert await books_are_right()


async def test_what_comes_on_joins_the_open_case(opened: str) -> None:
    lin = await purse.purse()
    await orders(lin, 30, 29, 28)
    await look()
    await orders(lin, 20, 19)
    await look()

    found = await case()
    assert found.evidence["conversions"] == 3
    assert await RiskItem.filter(case=found).count() == 3
    assert await lin.holds() == (200, 0, 300, 0)
    assert await books_are_right()


async def test_an_order_that_is_told_late_makes_the_one_behind_it_too_many(opened: str) -> None:
    lin = await purse.purse()
    one, other = await orders(lin, 30, 10)
    await look()
    (late,) = await orders(lin, 40)
    await look()
    assert await held(one, other, late) == [False, True, False]
    assert (await case()).conversion_id == other.id


async def test_a_window_apart_is_not_too_fast(opened: str) -> None:
    lin = await purse.purse()
    await orders(lin, 120, 119, 59, 0)
    await look()
    assert await cases() == []


async def test_promoters_are_counted_by_themselves(opened: str) -> None:
    lin = await purse.purse()
    wei = await purse.purse("wei", program=lin.program)
    await orders(lin, 3, 2)
    await orders(wei, 3, 2)
    await look()
    assert await cases() == []


async def test_limits_of_nothing_are_switched_off(opened: str) -> None:
    lin = await purse.purse()
    await orders(lin, 3, 2, 1, 0)
    await look(Limits(registrations=0, orders=0))
    assert await cases() == []
    assert not await looking.is_due()


async def test_registrations_that_come_too_fast_are_a_case_without_money(opened: str) -> None:
    lin = await purse.purse()
    link = await scene.Link.filter(owner=lin.promoter).get()
    await scene.customer(link, name="Hua")
    await look()
    assert await cases() == []
    await scene.customer(link, name="Yan")
    await look()

    found = await case()
    assert (found.rule, found.promoter_id) == ("REGISTRATION_VELOCITY", lin.promoter.id)
    assert found.evidence["atStake"] == {}
    assert await RiskItem.filter(case=found, commission_id__isnull=True).count() == 1
    await suspects.decide(found, release=False)
    await scene.customer(link, name="Bo")
    await look()
    assert [each.status for each in await cases()] == [RiskStatus.REJECTED, RiskStatus.OPEN]


async def test_looked_at_again_nothing_changes(opened: str) -> None:
    lin = await purse.purse()
    await orders(lin, 3, 2, 1)
    await look()
    evidence = (await case()).evidence
    await looking.Looked.all().update(attribution_id=0, verdict_id=0)
    assert await looking.is_due()
    await look()
    assert (await case()).evidence == evidence
    assert await purse.booked(EntryKind.HOLD) == [100]


async def test_after_a_decision_a_new_burst_is_a_new_case(opened: str) -> None:
    lin = await purse.purse()
    await orders(lin, 50, 49, 48)
    await look()
    await suspects.decide(await case(), release=True)
    await orders(lin, 5)
    await look()
    first, second = await cases()
    assert (first.status, second.status) == (RiskStatus.RELEASED, RiskStatus.OPEN)
    assert second.evidence["conversions"] == 1
    assert await lin.holds() == (300, 0, 100, 0)


async def test_nothing_is_released_before_it_was_looked_at(opened: str) -> None:
    lin = await purse.purse()
    (sale,) = await orders(lin, 1)
    await Commission.all().update(available_at=NOW)

    assert not await releasing.due(NOW)
    await purse.release()
    assert await payouts.run(lin.program.code, lin.promoter.id, NOW) == []
    assert await lin.holds() == (100, 0, 0, 0)

    await look()
    assert await releasing.due(NOW)
    await purse.release()
    assert await lin.holds() == (0, 100, 0, 0)
    assert await held(sale) == [False]


async def test_what_is_available_already_is_held_all_the_same(opened: str) -> None:
    lin = await purse.purse()
    one, other = await orders(lin, 2, 1)
    await look()
    await Commission.all().update(available_at=NOW)
    await purse.release()
    (late,) = await orders(lin, 5)
    await look()
    assert await held(one, other, late) == [False, True, False]
    assert await lin.holds() == (100, 100, 100, 0)
    assert await books_are_right()


async def test_what_was_paid_out_cannot_be_held(opened: str) -> None:
    lin = await purse.purse()
    await orders(lin, 2, 1)
    await look()
    await Commission.all().update(available_at=NOW)
    await purse.release()
    await purse.run()
    await orders(lin, 5)
    await look()
    assert (await case()).status is RiskStatus.OPEN
    assert await lin.holds() == (100, 0, 0, 200)
    assert await books_are_right()


async def test_a_conversion_of_two_programs_counts_once(opened: str) -> None:
    lin = await purse.purse()
    await orders(lin, 2, 1)
    await look()
    rows = "SELECT conversion_id, promoter_id FROM attribution ORDER BY id DESC LIMIT 1"
    [row] = await database.rows(rows)
    second = await factories.program("second")
    await database.execute(
        "INSERT INTO attribution (conversion_id, program_id, promoter_id, level, weight_ppm)"
        " VALUES ($1, $2, $3, 1, 1000000)",
        row["conversion_id"],
        second.id,
        row["promoter_id"],
    )
    await look()
    assert await cases() == []


async def test_killed_before_any_statement_a_look_is_whole_or_not_there(opened: str) -> None:
    lin = await purse.purse()
    await orders(lin, 3, 2, 1)
    for after in range(2, 60, 7):
        try:
            with purse.dying(after):
                await looking.look(TWO, NOW)
            break
        except purse.Killed:
            assert await lin.holds() == (300, 0, 0, 0)
            assert await RiskCase.all().count() == 0
    else:
        pytest.fail("it never came to its end")
    assert await lin.holds() == (200, 0, 100, 0)
    assert (await case()).evidence["conversions"] == 1
    assert await books_are_right()


async def test_looks_at_once_raise_one_case(opened: str) -> None:
    lin = await purse.purse()
    await orders(lin, 3, 2, 1)
    await asyncio.gather(*(looking.look(TWO, NOW) for _ in range(4)))
    assert (await case()).evidence["conversions"] == 1
    assert await purse.booked(EntryKind.HOLD) == [100]
