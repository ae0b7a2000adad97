"""Spend and tier are kept up fact by fact, with the history of every change."""

import asyncio

import pytest

from core import database
from members.models import DowngradePolicy, Standing, TierChange
from members.standings import Standings
from tests import factories
from tests.factories import NOW
from tests.members.statements import watched

IMMEDIATE, NEVER = DowngradePolicy.IMMEDIATE, DowngradePolicy.NEVER
Change = tuple[str | None, str | None, str, int]


@database.unit_of_work
async def book(member_id: int, *amounts: int) -> None:
    standings = await Standings.load({member_id})
    for amount in amounts:
        standings.add_spend(member_id, amount, NOW)
    await standings.save()


async def stands(member_id: int) -> tuple[int, str | None]:
    row = await Standing.get(member_id=member_id).select_related("tier")
    return row.spend_minor, row.tier and row.tier.code


async def history(member_id: int) -> list[Change]:
    rows = (
        TierChange.filter(member_id=member_id).order_by("id").select_related("from_tier", "to_tier")
    )
    return [
        (
            row.from_tier and row.from_tier.code,
            row.to_tier and row.to_tier.code,
            row.reason.value,
            row.metrics["SPEND"],
        )
        for row in await rows
    ]


async def member(downgrade: DowngradePolicy = IMMEDIATE) -> int:
    await factories.ladder(downgrade)
    return (await factories.person("mei")).member.id


async def test_a_new_member_stands_at_nothing(embedded: str) -> None:
    mei = await member()
    assert await stands(mei) == (0, None)
    assert await history(mei) == []


async def test_one_below_the_threshold_is_no_tier_and_the_threshold_is(opened: str) -> None:
    mei = await member()

    await book(mei, 299_999)
    assert await stands(mei) == (299_999, None)
    assert await history(mei) == []

    await book(mei, 1)
    assert await stands(mei) == (300_000, "silver")
    assert await history(mei) == [(None, "silver", "QUALIFIED", 300_000)]


async def test_one_fact_over_two_thresholds_makes_one_change(opened: str) -> None:
    mei = await member()
    await book(mei, 500_000)
    assert await stands(mei) == (500_000, "gold")
    assert await history(mei) == [(None, "gold", "QUALIFIED", 500_000)]


async def test_every_fact_of_a_batch_has_its_own_change_with_the_spend_as_it_stood(
    opened: str,
) -> None:
    mei = await member()

    await book(mei, 300_000, 200_000, 1, -2, -200_000, -299_999)

    assert await stands(mei) == (0, None)
    assert await history(mei) == [
        (None, "silver", "QUALIFIED", 300_000),
        ("silver", "gold", "QUALIFIED", 500_000),
        ("gold", "silver", "REFUNDED", 499_999),
        ("silver", None, "REFUNDED", 299_999),
    ]
    assert {row.at for row in await TierChange.all()} == {NOW}


async def test_a_fall_through_two_tiers_is_one_change(embedded: str) -> None:
    mei = await member()
    await book(mei, 500_000)
    await book(mei, -200_001)
    assert await stands(mei) == (299_999, None)
    assert (await history(mei))[1:] == [("gold", None, "REFUNDED", 299_999)]


async def test_never_keeps_the_tier_and_writes_no_history(opened: str) -> None:
    mei = await member(NEVER)
    await book(mei, 500_000, -500_000)
    assert await stands(mei) == (0, "gold")
    assert await history(mei) == [(None, "gold", "QUALIFIED", 500_000)]


async def test_spend_may_fall_below_zero(embedded: str) -> None:
    mei = await member()
    await book(mei, -5)
    assert await stands(mei) == (-5, None)


async def test_the_standings_of_others_stay(embedded: str) -> None:
    mei, lin = await member(), (await factories.person("lin")).member.id
    await book(lin, 7)
    await book(mei, 300_000)
    assert await stands(lin) == (7, None)


async def test_members_of_one_batch_keep_their_own_figures(opened: str) -> None:
    await factories.ladder()
    members = [(await factories.person(f"m{number}")).member.id for number in range(5)]

    @database.unit_of_work
    async def all_at_once() -> None:
        standings = await Standings.load(members)
        for number, member_id in enumerate(members):
            standings.add_spend(member_id, number * 125_000, NOW)
        await standings.save()

    await all_at_once()

    assert [await stands(each) for each in members] == [
        (0, None),
        (125_000, None),
        (250_000, None),
        (375_000, "silver"),
        (500_000, "gold"),
    ]


@pytest.mark.parametrize("size", [2, 30])
async def test_a_batch_costs_two_statements_in_and_two_out(opened: str, size: int) -> None:
    await factories.ladder()
    members = [(await factories.person(f"m{number}")).member.id for number in range(size)]

    @database.unit_of_work
    async def lift_all() -> None:
        standings = await Standings.load(members)
        for member_id in members:
            standings.add_spend(member_id, 300_000, NOW)
        await standings.save()

    with watched() as statements:
        await lift_all()

    assert len(statements) == 4, statements
    assert await TierChange.all().count() == size


async def test_loading_without_booking_writes_nothing(embedded: str) -> None:
    mei = await member()
    with watched() as statements:
        await book(mei)
    assert len(statements) == 2, statements


async def test_tasks_that_book_for_one_member_at_once_end_right(opened: str) -> None:
    mei = await member()

    await asyncio.gather(*(book(mei, 100_000) for _ in range(6)))

    assert await stands(mei) == (600_000, "gold")
    assert await history(mei) == [
        (None, "silver", "QUALIFIED", 300_000),
        ("silver", "gold", "QUALIFIED", 500_000),
    ]
