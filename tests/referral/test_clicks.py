"""Clicks that wait together share a commit, and none of them suffers for another."""

import asyncio
from datetime import timedelta

import pytest
from tortoise.exceptions import IntegrityError

from core import database
from referral.clicks import LARGEST_GROUP, Click, Clicks
from referral.models import Touch
from tests import factories
from tests.factories import NOW
from tests.members.statements import watched

NOWHERE = 10**9  # no link has this id


def click(link_id: int, number: int = 0, bot_reason: str | None = None) -> Click:
    return Click(link_id, f"visitor-{number}", NOW + timedelta(seconds=number), bot_reason)


async def stored() -> list[str]:
    return [row.visitor for row in await Touch.all().order_by("touched_at", "id")]


async def test_a_click_is_stored_as_it_was_when_its_record_returns(opened: str) -> None:
    link = (await factories.stage()).link
    await Clicks().record(click(link.id, 1, "a crawler"))
    [row] = await Touch.all()
    assert (row.link_id, row.visitor, row.touched_at, row.bot_reason, row.channel) == (
        link.id,
        "visitor-1",
        NOW + timedelta(seconds=1),
        "a crawler",
        None,
    )


async def test_clicks_that_come_together_are_one_statement(opened: str) -> None:
    link = (await factories.stage()).link
    clicks = Clicks()
    with watched() as statements:
        await asyncio.gather(*(clicks.record(click(link.id, each)) for each in range(64)))
    assert len(statements) == 1
    assert await stored() == [f"visitor-{each}" for each in range(64)]


async def test_a_group_has_a_limit_and_what_is_above_it_comes_next(opened: str) -> None:
    link = (await factories.stage()).link
    clicks = Clicks()
    many = range(LARGEST_GROUP + 1)
    with watched() as statements:
        await asyncio.gather(*(clicks.record(click(link.id, each)) for each in many))
    assert len(statements) == 2
    assert len(set(await stored())) == len(many)


async def test_what_comes_while_a_group_is_written_is_written_next(embedded: str) -> None:
    link = (await factories.stage()).link
    clicks = Clicks()
    first = asyncio.create_task(clicks.record(click(link.id, 1)))
    for _ in range(3):
        await asyncio.sleep(0)
    others = [asyncio.create_task(clicks.record(click(link.id, each))) for each in (2, 3)]
    await asyncio.gather(first, *others)
    assert await stored() == ["visitor-1", "visitor-2", "visitor-3"]


async def test_one_that_cannot_be_written_takes_no_other_along(opened: str) -> None:
    link = (await factories.stage()).link
    clicks = Clicks()
    made = [click(NOWHERE if each == 3 else link.id, each) for each in range(6)]

    ended = await asyncio.gather(*map(clicks.record, made), return_exceptions=True)

    assert [type(each) for each in ended] == [
        IntegrityError if number == 3 else type(None) for number in range(6)
    ]
    assert await stored() == [f"visitor-{each}" for each in (0, 1, 2, 4, 5)]
    await clicks.record(click(link.id, 6))
    assert len(await stored()) == 6


async def test_who_hangs_up_takes_no_other_along_and_is_written_all_the_same(
    opened: str,
) -> None:
    link = (await factories.stage()).link
    clicks = Clicks()
    waiting = [asyncio.create_task(clicks.record(click(link.id, each))) for each in range(4)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # the one that began the writing
    waiting[2].cancel()

    ended = await asyncio.gather(*waiting, return_exceptions=True)
    await clicks.flush()

    assert [type(each) for each in ended] == [
        asyncio.CancelledError,
        type(None),
        asyncio.CancelledError,
        type(None),
    ]
    assert await stored() == [f"visitor-{each}" for each in range(4)]


async def test_a_flush_waits_for_what_nobody_waits_for_any_more(opened: str) -> None:
    link = (await factories.stage()).link
    clicks = Clicks()
    await clicks.flush()  # nothing to wait for
    waiting = asyncio.create_task(clicks.record(click(link.id)))
    await asyncio.sleep(0)
    waiting.cancel()
    await clicks.flush()
    assert await stored() == ["visitor-0"]


async def test_a_transaction_of_whoever_came_first_is_nobody_else_s(embedded: str) -> None:
    """The writer would else write into a transaction that is rolled back."""
    link = (await factories.stage()).link
    clicks = Clicks()
    waiting: list[asyncio.Task[None]] = []

    @database.unit_of_work
    async def failing() -> None:
        waiting.append(asyncio.create_task(clicks.record(click(link.id))))
        await asyncio.sleep(0.1)  # long enough to write into this transaction
        raise LookupError

    with pytest.raises(LookupError):
        await failing()
    await asyncio.gather(*waiting)
    assert await stored() == ["visitor-0"]
