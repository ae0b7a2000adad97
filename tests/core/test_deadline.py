"""Reads that take too long are ended in the database; writes are not, and no connection is lost."""

import asyncio
import time
from datetime import UTC, datetime

import pytest

from core import database, deadline
from core.deadline import TooLate
from core.outbox import OutboxMessage

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SHORT, PATIENCE_SECONDS = 0.1, 5


def endless() -> str:
    """A statement that takes a minute or longer."""
    if database.is_postgres():
        return "SELECT pg_sleep(60)"
    return (
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000)"
        " SELECT COUNT(*) AS found FROM n"
    )


async def cut_off() -> None:
    with deadline.within(SHORT), pytest.raises(TooLate):
        await database.rows(endless())


async def test_a_read_is_ended_at_its_deadline_and_leaves_the_database_to_others(
    opened: str,
) -> None:
    began = time.monotonic()
    for _ in range(database.POOL_SIZE + 2):
        await cut_off()
        assert await database.rows("SELECT 1 AS one") == [{"one": 1}]
    assert time.monotonic() - began < PATIENCE_SECONDS * 2
    if database.is_postgres():
        left = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND state = 'active'"
        assert len(await database.rows(left)) == 1  # this one


async def test_many_at_once_are_all_ended(opened: str) -> None:
    began = time.monotonic()
    await asyncio.gather(*(cut_off() for _ in range(3 * database.POOL_SIZE)))
    assert await database.rows("SELECT 1 AS one") == [{"one": 1}]
    assert time.monotonic() - began < PATIENCE_SECONDS


async def test_tasks_that_a_request_starts_have_its_deadline(opened: str) -> None:
    with deadline.within(SHORT):
        task = asyncio.create_task(database.rows(endless()))
    with pytest.raises(TooLate):
        await task
    assert await database.rows("SELECT 1 AS one") == [{"one": 1}]


async def test_what_comes_after_the_deadline_is_not_begun(opened: str) -> None:
    with deadline.within(0):
        with pytest.raises(TooLate):
            await database.rows("SELECT 1 AS one")
        with pytest.raises(TooLate):
            await OutboxMessage.all()
    assert await OutboxMessage.all() == []


async def test_a_snapshot_is_ended_too(opened: str) -> None:
    @database.snapshot
    async def look() -> None:
        await database.rows("SELECT 1 AS one")
        await database.rows(endless())

    for _ in range(database.POOL_SIZE + 2):
        with deadline.within(SHORT), pytest.raises(TooLate):
            await look()
    assert await database.rows("SELECT 1 AS one") == [{"one": 1}]


async def test_a_write_finishes_after_the_deadline_and_so_does_what_it_reads(opened: str) -> None:
    @database.unit_of_work
    async def write() -> None:
        await asyncio.sleep(2 * SHORT)
        found = await database.rows("SELECT COUNT(*) AS n FROM outbox")
        assert found == [{"n": 0}]
        await OutboxMessage.create(topic="t", subject_id=1, lane="a", available_at=NOW)

    with deadline.within(SHORT):
        await write()
        with pytest.raises(TooLate):
            await OutboxMessage.all()
    assert len(await OutboxMessage.all()) == 1


async def test_while_one_is_ended_what_others_write_is_left_alone(opened: str) -> None:
    @database.unit_of_work
    async def write(number: int) -> None:
        for each in range(20):
            lane = f"{number}-{each}"
            await OutboxMessage.create(topic="t", subject_id=1, lane=lane, available_at=NOW)

    async def cut_off_again() -> None:
        for _ in range(20):
            with deadline.within(0.01), pytest.raises(TooLate):
                await database.rows(endless())

    await asyncio.gather(*(write(number) for number in range(20)), cut_off_again())
    assert await OutboxMessage.all().count() == 400
