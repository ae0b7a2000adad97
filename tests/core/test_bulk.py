"""Many rows are written at once, and are what they would be one by one."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from tortoise.exceptions import IntegrityError, OperationalError

from core import bulk, database
from core.outbox import OutboxMessage
from tests.members.statements import watched

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
COLUMNS = ("topic", "subject_id", "lane", "available_at", "attempts", "error")
ROWS = [("t", 1, "林,'{}\"", NOW, 2, None), ("t", 2**60, "b", NOW, 0, "NULL")]


async def found() -> Sequence[tuple[Any, ...]]:
    rows = await OutboxMessage.all().order_by("id")
    return [tuple(getattr(row, column) for column in COLUMNS) for row in rows]


async def ids() -> list[int]:
    return [row.id for row in await OutboxMessage.all().order_by("id")]


async def test_rows_are_inserted_as_they_were_given_and_in_their_order(opened: str) -> None:
    await bulk.insert(OutboxMessage, COLUMNS, ROWS)
    assert await found() == ROWS


async def test_no_rows_are_no_statement(opened: str) -> None:
    with watched() as statements:
        await bulk.insert(OutboxMessage, COLUMNS, [])
        await bulk.update(OutboxMessage, ("id", "lane"), [])
        await bulk.add(OutboxMessage, ("id", "attempts"), [])
        await bulk.lock(OutboxMessage, [])
    assert statements == []


async def test_any_number_of_rows_is_one_statement_with_the_same_text(opened: str) -> None:
    with watched() as statements:
        for many in (1, 3_000):
            await bulk.insert(OutboxMessage, COLUMNS, ROWS[:1] * many)
    assert len(statements) == 2
    assert len(set(statements)) == 1
    assert len(await ids()) == 3_001


async def test_one_row_is_inserted_with_its_id_told(opened: str) -> None:
    told = [await bulk.insert_one(OutboxMessage, COLUMNS, row) for row in ROWS]
    assert (await found(), await ids()) == (ROWS, told)


async def test_only_the_named_rows_and_columns_are_updated(opened: str) -> None:
    await bulk.insert(OutboxMessage, COLUMNS, [*ROWS, ROWS[0]])
    first, second, third = await ids()
    await bulk.update(
        OutboxMessage, ("id", "lane", "error"), [(third, "c", "x"), (first, "d", None)]
    )
    rows = {row.id: (row.lane, row.error, row.attempts) for row in await OutboxMessage.all()}
    assert rows == {first: ("d", None, 2), second: ("b", "NULL", 0), third: ("c", "x", 2)}


async def test_numbers_are_added_to_what_is_there(opened: str) -> None:
    await bulk.insert(OutboxMessage, COLUMNS, ROWS)
    first, second = await ids()
    await bulk.add(OutboxMessage, ("id", "attempts"), [(second, 5), (first, -2)])
    assert [attempts for *_, attempts, _ in await found()] == [0, 5]


async def test_rows_that_break_a_constraint_leave_none_behind(opened: str) -> None:
    await bulk.insert(OutboxMessage, ("id", *COLUMNS), [(7, *ROWS[0])])

    @database.unit_of_work
    async def again() -> None:
        await bulk.insert(OutboxMessage, ("id", *COLUMNS), [(8, *ROWS[0]), (7, *ROWS[1])])

    with pytest.raises(IntegrityError):
        await again()
    assert await ids() == [7]


@pytest.mark.postgres
async def test_text_that_is_too_long_is_refused_and_not_cut(postgres_url: str) -> None:
    async with database.opened(postgres_url):
        with pytest.raises(OperationalError):
            await bulk.insert(OutboxMessage, COLUMNS, [("t" * 41, 1, "a", NOW, 0, None)])
        assert await found() == []


async def test_whoever_locks_one_of_the_same_rows_waits(opened: str) -> None:
    await bulk.insert(OutboxMessage, COLUMNS, [*ROWS, ROWS[0]])
    first, second, third = await ids()
    order: list[str] = []
    locked = asyncio.Event()

    @database.unit_of_work
    async def one() -> None:
        await bulk.lock(OutboxMessage, [second, first])
        locked.set()
        await asyncio.sleep(0.1)
        order.append("one")

    @database.unit_of_work
    async def other() -> None:
        await bulk.lock(OutboxMessage, [third, second])
        order.append("other")

    running = asyncio.create_task(one())
    await locked.wait()
    await asyncio.gather(running, other())
    assert order == ["one", "other"]
