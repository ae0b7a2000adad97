"""How SQLite is driven: writers of several processes, locks that cannot be had, durability."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tortoise.exceptions import IntegrityError, OperationalError, TransactionManagementError

from core import database
from core.outbox import OutboxMessage
from tests.core import elsewhere
from tests.core.stepping import called

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

COUNTING = """
import asyncio, sys
from core import database

@database.unit_of_work
async def count():
    [row] = await database.rows("SELECT attempts FROM outbox WHERE subject_id = 1")
    await database.execute(
        "UPDATE outbox SET attempts = $1 WHERE subject_id = 1", row["attempts"] + 1
    )

async def main():
    async with database.opened(sys.argv[1]):
        await database.ready()
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(int(sys.argv[2])):
            await count()

asyncio.run(main())
"""


@pytest.fixture
async def alone(sqlite_url: str) -> AsyncIterator[str]:
    """An SQLite database, opened for this process."""
    async with database.opened(sqlite_url):
        yield sqlite_url


async def write(subject: int) -> None:
    await OutboxMessage.create(topic="t", subject_id=subject, lane="a", available_at=NOW)


write_whole = database.unit_of_work(write)


async def seen(url: str) -> list[int]:
    """The subjects that another connection sees."""
    found = await elsewhere.ask(url, "SELECT subject_id FROM outbox ORDER BY id")
    return [subject for (subject,) in found]


async def pragma(name: str) -> object:
    """What the process's own connection says of itself."""
    [row] = await database.rows(f"PRAGMA {name}")
    [value] = row.values()
    return value


async def impatient() -> None:
    """Has the process wait for nobody's lock."""
    await database.rows("PRAGMA busy_timeout = 1")


async def test_read_then_write_from_three_processes_never_fails(alone: str) -> None:
    await write(1)
    ended = await asyncio.to_thread(elsewhere.together, COUNTING, 3, alone, "50")
    assert ended == [(0, "", "")] * 3
    assert await elsewhere.ask(alone, "SELECT attempts FROM outbox") == [(150,)]


async def test_connection_writes_ahead_syncs_fully_and_checks_references(alone: str) -> None:
    assert await pragma("journal_mode") == "wal"
    assert await pragma("synchronous") == 2  # FULL
    assert await pragma("foreign_keys") == 1
    assert await pragma("busy_timeout") == database.BUSY_TIMEOUT_MS
    with pytest.raises(IntegrityError):
        await database.rows(
            "INSERT INTO session (member_id, token_hash, created_at, expires_at)"
            " VALUES (77, 'hash', $1, $1)",
            NOW,
        )


async def test_unit_of_work_without_the_lock_fails_and_gives_the_connection_back(
    alone: str,
) -> None:
    await impatient()
    with elsewhere.sqlite(alone) as other:
        other.execute("BEGIN IMMEDIATE")
        for _ in range(3):
            with pytest.raises(TransactionManagementError, match="locked"):
                await write_whole(1)
        assert await database.rows("SELECT subject_id FROM outbox") == []
        other.execute("ROLLBACK")
    async with asyncio.timeout(5):
        await write_whole(2)
        await write(3)
    assert await seen(alone) == [2, 3]


async def test_single_statement_without_the_lock_fails_and_gives_the_connection_back(
    alone: str,
) -> None:
    await impatient()
    with elsewhere.sqlite(alone) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="locked"):
            await write(1)
        other.execute("ROLLBACK")
    async with asyncio.timeout(5):
        await write_whole(2)
    assert await seen(alone) == [2]


async def test_unit_of_work_waits_for_another_process_to_end_its_own(alone: str) -> None:
    with elsewhere.sqlite(alone) as other:
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(write_whole(1))
        done, _ = await asyncio.wait([writing], timeout=0.05)
        assert not done
        other.execute("COMMIT")
    await writing
    assert await seen(alone) == [1]


async def test_reading_unit_of_work_holds_other_writers_off_from_its_first_moment(
    alone: str,
) -> None:
    @database.unit_of_work
    async def look() -> None:
        with (
            elsewhere.sqlite(alone) as other,
            pytest.raises(elsewhere.sqlite3.OperationalError, match="locked"),
        ):
            other.execute("BEGIN IMMEDIATE")

    await look()


async def test_reader_elsewhere_is_not_held_off_by_a_writer(alone: str) -> None:
    @database.unit_of_work
    async def write_and_look() -> list[int]:
        await write(1)
        return await seen(alone)

    assert await write_and_look() == []
    assert await seen(alone) == [1]


async def test_script_stays_inside_its_transaction(alone: str) -> None:
    @database.unit_of_work
    async def script() -> None:
        await write(1)
        await database.client().execute_script(
            "UPDATE outbox SET attempts = 1; UPDATE outbox SET attempts = 2;"
        )
        assert await seen(alone) == []
        raise LookupError

    with pytest.raises(LookupError):
        await script()
    assert await seen(alone) == []


@database.unit_of_work
async def _break_a_reference_at_the_commit() -> None:
    await database.rows("PRAGMA defer_foreign_keys = ON")
    await database.rows(
        "INSERT INTO session (member_id, token_hash, created_at, expires_at)"
        " VALUES (77, 'hash', $1, $1)",
        NOW,
    )


async def test_commit_that_fails_leaves_no_transaction_open(alone: str) -> None:
    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        await _break_a_reference_at_the_commit()
    await write_whole(1)
    await write(2)
    assert await seen(alone) == [1, 2]


async def test_unit_of_work_that_raises_transaction_management_error_is_rolled_back(
    alone: str,
) -> None:
    @database.unit_of_work
    async def fail() -> None:
        await write(1)
        raise TransactionManagementError("no")

    with pytest.raises(TransactionManagementError):
        await fail()
    await write_whole(2)
    await write(3)
    assert await seen(alone) == [2, 3]


async def test_file_that_could_not_be_opened_can_be_opened_later(tmp_path: Path) -> None:
    path = tmp_path / "well.db"
    path.mkdir()
    with pytest.raises(database.Unavailable, match="unable to open"):
        async with database.opened(f"sqlite://{path}"):
            raise AssertionError
    path.rmdir()
    async with asyncio.timeout(5), database.opened(f"sqlite://{path}"):
        await database.ready()


async def test_first_query_that_is_cancelled_leaves_a_connection_with_all_pragmas(
    sqlite_url: str,
) -> None:
    async with database.opened(sqlite_url):
        _, steps = await called(database.ready)
    for at in range(steps + 1):
        async with database.opened(sqlite_url):
            await called(database.ready, at)
            async with asyncio.timeout(1):
                assert await pragma("busy_timeout") == database.BUSY_TIMEOUT_MS
                assert await pragma("synchronous") == 2
                assert await pragma("foreign_keys") == 1
