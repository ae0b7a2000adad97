"""Units of work that are whole or nothing whatever happens to their caller; locks; migrating."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tortoise.context import require_context
from tortoise.exceptions import IntegrityError, OperationalError
from tortoise.migrations.autodetector import MigrationAutodetector

from core import database
from core.outbox import OutboxMessage
from tests.core import elsewhere
from tests.core.stepping import called

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MANY = database.POOL_SIZE + 2
ALONE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
ALL = "SELECT subject_id FROM outbox ORDER BY id"


async def write(subject: int) -> None:
    await OutboxMessage.create(topic="t", subject_id=subject, lane="a", available_at=NOW)


write_whole = database.unit_of_work(write)


async def seen(url: str) -> list[int]:
    """The subjects that another connection sees."""
    return [subject for (subject,) in await elsewhere.ask(url, ALL)]


async def subjects() -> list[int]:
    """The subjects that this task sees."""
    return [row["subject_id"] for row in await database.rows(ALL)]


class Refused(Exception):
    """What a use case raises in these tests."""


# ---- whole or nothing


async def test_unit_of_work_writes_all_and_returns_its_result(opened: str) -> None:
    @database.unit_of_work
    async def case(first: int, *, second: int) -> str:
        await write(first)
        await write(second)
        assert await subjects() == [1, 2]
        assert await seen(opened) == []
        return "done"

    assert await case(1, second=2) == "done"
    assert await seen(opened) == [1, 2]
    assert case.__name__ == "case"


async def test_unit_of_work_that_raises_writes_nothing_and_passes_the_exception(
    opened: str,
) -> None:
    @database.unit_of_work
    async def case(error: BaseException) -> None:
        await write(1)
        await OutboxMessage.bulk_create(
            [OutboxMessage(topic="t", subject_id=2, lane="a", available_at=NOW)]
        )
        raise error

    for error in (Refused("no"), KeyError("x"), IntegrityError("x"), asyncio.CancelledError()):
        with pytest.raises(type(error)) as caught:
            await case(error)
        assert isinstance(error, asyncio.CancelledError) or caught.value is error
        assert await seen(opened) == []
    await write_whole(3)
    await write(4)
    assert await seen(opened) == [3, 4]


async def test_statement_that_fails_takes_the_unit_of_work_with_it(opened: str) -> None:
    @database.unit_of_work
    async def case() -> None:
        await write(1)
        await database.rows("SELECT nothing FROM nowhere")

    with pytest.raises(OperationalError):
        await case()
    await write_whole(2)
    assert await seen(opened) == [2]


# ---- callers that go away


async def nobody_is_inside(url: str) -> None:
    """Fails while a transaction is open on any other connection."""
    if not elsewhere.is_postgres(url):
        with elsewhere.sqlite(url) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
        return
    open_ones = await elsewhere.ask(
        url,
        "SELECT pid, query FROM pg_stat_activity"
        " WHERE datname = current_database() AND state LIKE 'idle in transaction%'",
    )
    assert open_ones == []


async def all_connections_are_there() -> None:
    """Fails unless as many units of work as the pool has connections are inside together."""
    barrier = asyncio.Barrier(database.POOL_SIZE)

    @database.unit_of_work
    async def meet() -> None:
        async with asyncio.timeout(3):
            await barrier.wait()

    met = await asyncio.gather(*[meet() for _ in range(database.POOL_SIZE)], return_exceptions=True)
    assert met == [None] * database.POOL_SIZE


async def everything_works(url: str) -> None:
    """Fails when a connection is missing or a later write is not seen."""
    if elsewhere.is_postgres(url):
        await all_connections_are_there()
    async with asyncio.timeout(elsewhere.PATIENCE_SECONDS):
        await OutboxMessage.all().delete()
        for subject in range(MANY):
            await write_whole(subject)
        await asyncio.gather(*[write_whole(subject) for subject in range(MANY, 2 * MANY)])
        await asyncio.gather(*[write(subject) for subject in range(2 * MANY, 3 * MANY)])
    assert sorted(await seen(url)) == list(range(3 * MANY))


async def several_writes(first: int) -> None:
    await write(first)
    await OutboxMessage.bulk_create(
        [OutboxMessage(topic="t", subject_id=first + 1, lane="a", available_at=NOW)]
    )
    await database.execute("UPDATE outbox SET attempts = 1 WHERE subject_id = $1", first)


async def cancelled_at_every_step(
    url: str, case: Callable[[int], Coroutine[Any, Any, None]], again_after: Sequence[int]
) -> None:
    """Fails unless every cancelled call left all of its rows or none and nothing open."""
    _, steps = await called(lambda: case(0))
    assert steps > 5
    whole = {(0, 1): True}
    for number, (at, more) in enumerate(itertools.product(range(steps + 1), again_after), start=1):
        subject = 2 * number
        returned, _ = await called(lambda: case(subject), at, at + more)  # noqa: B023 - run at once
        await nobody_is_inside(url)
        left = [each for each in await seen(url) if each in (subject, subject + 1)]
        assert left in ([], [subject, subject + 1]), (at, more)
        assert left or not returned
        assert not left or at > 0
        whole[subject, subject + 1] = bool(left)
    assert set(whole.values()) == {True, False}
    await everything_works(url)


async def test_caller_cancelled_at_any_step_leaves_all_or_nothing(opened: str) -> None:
    await cancelled_at_every_step(opened, database.unit_of_work(several_writes), [0])


async def test_caller_cancelled_twice_leaves_all_or_nothing(opened: str) -> None:
    await cancelled_at_every_step(opened, database.unit_of_work(several_writes), [1, 2, 5])


async def test_caller_cancelled_while_its_work_fails_leaves_nothing(opened: str) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))

    @database.unit_of_work
    async def fail() -> None:
        await several_writes(1)
        raise Refused

    async def refused() -> None:
        with pytest.raises(Refused):
            await fail()

    _, steps = await called(refused)
    for at in range(steps + 1):
        await called(refused, at)
        await nobody_is_inside(opened)
        assert await seen(opened) == []
    await everything_works(opened)
    assert complaints == []


async def test_call_that_runs_out_of_time_says_so_after_its_unit_of_work_ended(
    opened: str,
) -> None:
    released = asyncio.Event()

    @database.unit_of_work
    async def slow() -> None:
        await write(1)
        asyncio.get_running_loop().call_later(0.05, released.set)
        await released.wait()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await slow()
    assert released.is_set()
    assert await seen(opened) == [1]


# ---- after the commit


async def test_callbacks_run_in_order_when_others_see_what_was_written(opened: str) -> None:
    told: list[tuple[str, list[int]]] = []

    def tell(name: str) -> Callable[[], None]:
        return lambda: told.append((name, elsewhere.at_once(lambda: seen(opened))))

    @database.unit_of_work
    async def case() -> None:
        database.after_commit(tell("first"))
        await write(1)
        database.after_commit(tell("second"))
        assert told == []

    await case()
    assert told == [("first", [1]), ("second", [1])]


async def test_callbacks_do_not_run_after_a_rollback(opened: str) -> None:
    told: list[str] = []

    @database.unit_of_work
    async def case(fail: bool) -> None:
        database.after_commit(lambda: told.append("committed"))
        await write(1)
        if fail:
            raise Refused

    with pytest.raises(Refused):
        await case(fail=True)
    assert told == []
    await case(fail=False)
    assert told == ["committed"]


async def test_callbacks_run_though_the_caller_has_been_cancelled(opened: str) -> None:
    told: list[int] = []

    @database.unit_of_work
    async def case(subject: int) -> None:
        await write(subject)
        database.after_commit(lambda: told.append(subject))

    _, steps = await called(lambda: case(-1))
    for at in range(steps + 1):
        await called(lambda: case(at), at)  # noqa: B023 - run at once
    assert told == await seen(opened)


def test_callback_outside_a_unit_of_work_is_refused() -> None:
    with pytest.raises(RuntimeError, match="unit of work"):
        database.after_commit(lambda: None)


async def test_callback_may_start_a_task_with_units_of_work_and_callbacks_of_its_own(
    opened: str,
) -> None:
    told: list[int] = []
    started: list[asyncio.Task[None]] = []

    @database.unit_of_work
    async def case(subject: int) -> None:
        await write(subject)
        database.after_commit(lambda: told.append(subject))
        if subject == 1:
            database.after_commit(lambda: started.append(asyncio.create_task(case(2))))

    await case(1)
    await asyncio.gather(*started)
    assert told == [1, 2]
    assert await seen(opened) == [1, 2]


# ---- a unit of work inside another: a savepoint of the outer one


async def test_inner_unit_of_work_is_written_with_the_outer_one(opened: str) -> None:
    @database.unit_of_work
    async def outer() -> None:
        await write(1)
        await write_whole(2)
        assert await subjects() == [1, 2]
        assert await seen(opened) == []

    await outer()
    assert await seen(opened) == [1, 2]


async def test_inner_unit_of_work_is_lost_with_the_outer_one(opened: str) -> None:
    @database.unit_of_work
    async def outer() -> None:
        await write_whole(1)
        raise Refused

    with pytest.raises(Refused):
        await outer()
    assert await seen(opened) == []


async def test_inner_unit_of_work_that_fails_takes_only_its_own_writes_back(opened: str) -> None:
    @database.unit_of_work
    async def inner() -> None:
        await write(2)
        raise Refused

    @database.unit_of_work
    async def outer() -> None:
        await write(1)
        with pytest.raises(Refused):
            await inner()
        await write(3)

    await outer()
    assert await seen(opened) == [1, 3]


async def test_inner_units_of_work_beside_each_other_take_turns_and_reads_go_between(
    opened: str,
) -> None:
    @database.unit_of_work
    async def inner(number: int) -> None:
        await write(number)
        await asyncio.sleep(0)
        await write(number + 10)
        if number % 2:
            raise Refused

    @database.snapshot
    async def look() -> int:
        return len(await database.rows("SELECT id FROM outbox"))

    @database.unit_of_work
    async def outer() -> list[Any]:
        await write(0)
        inside = [inner(number) for number in range(1, 6)]
        return await asyncio.gather(*inside, *(look() for _ in range(6)), return_exceptions=True)

    found = await outer()
    assert [type(each) for each in found[:5]] == [Refused, type(None)] * 2 + [Refused]
    assert all(isinstance(each, int) for each in found[5:]), found
    assert sorted(await seen(opened)) == [0, 2, 4, 12, 14]


async def test_callback_of_an_inner_unit_of_work_waits_for_the_outer_commit(opened: str) -> None:
    told: list[list[int]] = []

    @database.unit_of_work
    async def inner() -> None:
        await write(1)
        database.after_commit(lambda: told.append(elsewhere.at_once(lambda: seen(opened))))

    @database.unit_of_work
    async def outer(fail: bool) -> None:
        await inner()
        if fail:
            raise Refused

    with pytest.raises(Refused):
        await outer(fail=True)
    await outer(fail=False)
    assert told == [[1]]


# ---- who sees a transaction


async def test_task_spawned_outside_sees_no_transaction(opened: str) -> None:
    asked = asyncio.Event()

    async def look() -> list[int]:
        await asked.wait()
        return await subjects()

    outside = asyncio.create_task(look())

    @database.unit_of_work
    async def case() -> None:
        await write(1)
        asked.set()
        # On SQLite it waits for this unit of work, on PostgreSQL it reads past it.
        done, _ = await asyncio.wait([outside], timeout=0.2)
        assert bool(done) == elsewhere.is_postgres(opened)
        raise Refused

    with pytest.raises(Refused):
        await case()
    assert await outside == []


async def test_task_spawned_inside_writes_into_the_transaction(opened: str) -> None:
    @database.unit_of_work
    async def case() -> None:
        await asyncio.create_task(write(1))
        raise Refused

    with pytest.raises(Refused):
        await case()
    assert await seen(opened) == []


async def test_caller_is_outside_again_when_its_unit_of_work_has_ended(opened: str) -> None:
    before = database.client()
    await write_whole(1)
    assert database.client() is before
    await write(2)
    assert await seen(opened) == [1, 2]


# ---- locks and snapshots


class Turns:
    """Writes down who is inside a unit of work that holds the names, and when it leaves."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.leave = asyncio.Event()

    @database.unit_of_work
    async def hold(self, who: str, *names: str) -> None:
        await database.lock(*names)
        self.order.append(f"{who} in")
        await self.leave.wait()
        self.order.append(f"{who} out")


async def test_common_name_makes_units_of_work_take_turns(opened: str) -> None:
    turns = Turns()
    first = asyncio.create_task(turns.hold("first", "a", "common"))
    await elsewhere.until(lambda: _is(turns.order == ["first in"]))
    second = asyncio.create_task(turns.hold("second", "common", "b"))
    if elsewhere.is_postgres(opened):
        await elsewhere.waiting(opened, 1)
    turns.leave.set()
    await asyncio.gather(first, second)
    assert turns.order == ["first in", "first out", "second in", "second out"]


async def _is(condition: bool) -> bool:
    return condition


@pytest.mark.postgres
async def test_units_of_work_without_a_common_name_do_not_wait(postgres_url: str) -> None:
    async with database.opened(postgres_url):
        turns = Turns()
        held = [asyncio.create_task(turns.hold(who, who, f"{who}2")) for who in ("a", "b")]
        held.append(asyncio.create_task(turns.hold("nothing")))
        await elsewhere.until(lambda: _is(len(turns.order) == 3))
        turns.leave.set()
        await asyncio.gather(*held)


@pytest.mark.postgres
async def test_names_in_crossing_orders_do_not_deadlock(postgres_url: str) -> None:
    async with database.opened(postgres_url):
        turns = Turns()
        # Both wait for the first: then each gets what it asked for first at the same moment.
        first = asyncio.create_task(turns.hold("first", "a", "b"))
        await elsewhere.until(lambda: _is(turns.order == ["first in"]))
        second = asyncio.create_task(turns.hold("second", "a", "b"))
        third = asyncio.create_task(turns.hold("third", "b", "a", "b"))
        await elsewhere.waiting(postgres_url, 2)
        turns.leave.set()
        async with asyncio.timeout(elsewhere.PATIENCE_SECONDS):
            await asyncio.gather(first, second, third)
        assert len(turns.order) == 6


@pytest.mark.postgres
async def test_lock_is_given_up_by_a_rollback(postgres_url: str) -> None:
    @database.unit_of_work
    async def case(fail: bool) -> None:
        await database.lock("a")
        if fail:
            raise Refused

    async with database.opened(postgres_url), asyncio.timeout(elsewhere.PATIENCE_SECONDS):
        for _ in range(MANY):
            with pytest.raises(Refused):
                await case(fail=True)
        await asyncio.gather(*[case(fail=False) for _ in range(MANY)])


async def test_snapshot_sees_nothing_of_what_comes_after_it(opened: str) -> None:
    insert = (
        "INSERT INTO outbox (topic, subject_id, lane, available_at, attempts)"
        " VALUES ('t', 2, 'a', '2026-03-01 12:00:00+00:00', 0)"
    )

    @database.snapshot
    async def look() -> None:
        assert await subjects() == [1]
        await elsewhere.ask(opened, insert)
        assert await subjects() == [1]

    await write(1)
    await look()
    assert set(await subjects()) == {1, 2}


async def test_snapshot_on_postgres_refuses_to_write(postgres_url: str) -> None:
    @database.snapshot
    async def sneak() -> None:
        await write(1)

    async with database.opened(postgres_url):
        with pytest.raises(Exception, match="read-only"):
            await sneak()
        assert await seen(postgres_url) == []
        await everything_works(postgres_url)


# ---- plain SQL


INSERT = (
    "INSERT INTO outbox (topic, subject_id, lane, available_at, attempts)"
    " VALUES ('t', $1, 'a', $2, 0) RETURNING id, subject_id, available_at"
)


def instant(value: Any) -> datetime:
    """What a row says: text on SQLite."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value


async def test_rows_of_insert_returning_come_back(opened: str) -> None:
    [row] = await database.rows(INSERT, 5, NOW)
    assert (row["subject_id"], instant(row["available_at"])) == (5, NOW)
    stored = await OutboxMessage.get(id=row["id"])
    assert (stored.subject_id, stored.available_at) == (5, NOW)


async def test_rows_of_update_and_delete_returning_come_back(opened: str) -> None:
    for subject in (1, 2, 3):
        await write(subject)
    updated = await database.rows(
        "UPDATE outbox SET attempts = attempts + 1 WHERE subject_id >= $1"
        " RETURNING subject_id, attempts",
        2,
    )
    assert sorted(updated, key=str) == [
        {"subject_id": 2, "attempts": 1},
        {"subject_id": 3, "attempts": 1},
    ]
    assert await database.rows("DELETE FROM outbox WHERE subject_id = $1 RETURNING lane", 1) == [
        {"lane": "a"}
    ]
    assert await seen(opened) == [2, 3]


async def test_value_may_stand_in_several_places_and_in_any_order(opened: str) -> None:
    values = list(range(1, 13))
    for subject in values:
        await write(subject)
    chosen = await database.rows(
        "SELECT subject_id FROM outbox"
        " WHERE (subject_id = $2 OR subject_id = $12 OR subject_id = $1) AND subject_id <> $1"
        " AND subject_id NOT IN ($3, $4, $5, $6, $7, $8, $9, $10, $11) ORDER BY id",
        *values,
    )
    assert [row["subject_id"] for row in chosen] == [2, 12]


async def test_instants_compare_exactly_in_plain_sql(opened: str) -> None:
    step = timedelta(microseconds=1)
    instants = [NOW - step, NOW, NOW + step, NOW + timedelta(seconds=1)]
    for subject, at in enumerate(instants):
        await database.rows(INSERT, subject, at)
    for place, at in enumerate(instants):
        before = await database.rows(
            "SELECT subject_id FROM outbox WHERE available_at < $1 ORDER BY id", at
        )
        assert [row["subject_id"] for row in before] == list(range(place))
        [same] = await OutboxMessage.filter(available_at=at)
        assert same.subject_id == place


async def test_execute_says_how_many_rows_it_touched(opened: str) -> None:
    for subject in (1, 2, 3):
        await write(subject)
    touch = "UPDATE outbox SET attempts = 1 WHERE subject_id > $1"
    assert await database.execute(touch, 3) == 0
    assert await database.execute(touch, 1) == 2
    assert await database.execute(touch, 1) == 2  # a row that was so already is touched too
    assert await database.execute("DELETE FROM outbox WHERE subject_id = $1", 2) == 1


async def test_execute_counts_inside_a_unit_of_work_too(opened: str) -> None:
    @database.unit_of_work
    async def case() -> int:
        for subject in (1, 2, 3):
            await write(subject)
        return await database.execute("UPDATE outbox SET attempts = 1 WHERE subject_id = $1", 2)

    assert await case() == 1


# ---- opening


def test_address_is_taken_apart() -> None:
    found = database.config("postgres://lin%40x:p%2Fw@db.example:6432/well")
    credentials = found["connections"]["default"]["credentials"]
    assert {key: credentials[key] for key in ("host", "port", "user", "password", "database")} == {
        "host": "db.example",
        "port": 6432,
        "user": "lin@x",
        "password": "p/w",
        "database": "well",
    }
    short = database.config("postgres://db.example/well")["connections"]["default"]["credentials"]
    assert (short["port"], short["user"], short["password"]) == (5432, "postgres", None)


@pytest.mark.parametrize("address", ["postgres@127.0.0.1:1/well", "nobody@127.0.0.1:5432/nowhere"])
async def test_server_that_cannot_be_had_is_unavailable(address: str) -> None:
    for _ in range(2):
        with pytest.raises(database.Unavailable, match="does not answer"):
            async with database.opened(f"postgres://{address}"):
                raise AssertionError


@pytest.mark.postgres
async def test_connections_that_the_server_cuts_are_unreachable_and_given_back(
    postgres_url: str,
) -> None:
    async def reachable() -> bool:
        try:
            await write_whole(0)
        except database.UNREACHABLE:
            return False
        return True

    async with database.opened(postgres_url):
        for _ in range(4 * database.POOL_SIZE):
            # The loop stands still meanwhile: the driver may not have heard of it when it is asked.
            elsewhere.at_once(lambda: elsewhere.ask(postgres_url, ALONE))
            await reachable()
        await elsewhere.until(reachable)
        await everything_works(postgres_url)


async def test_folder_of_an_sqlite_file_is_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "well.db"
    async with database.opened(f"sqlite://{path}"):
        await database.ready()
    assert path.exists()


# ---- migrating


MIGRATING = """
import asyncio, sys
from core import database

async def main():
    async with database.opened(sys.argv[1]):
        print("ready", flush=True)
        sys.stdin.readline()
        print(",".join(await database.migrate()))

asyncio.run(main())
"""


async def schema(url: str) -> list[tuple[Any, ...]]:
    """Tables, columns, indexes and constraints."""
    if not elsewhere.is_postgres(url):
        return await elsewhere.ask(
            url, "SELECT type, name, sql FROM sqlite_master ORDER BY type, name"
        )
    return [
        *await elsewhere.ask(
            url,
            "SELECT table_name::text, column_name::text, data_type::text, is_nullable::text"
            " FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2",
        ),
        *await elsewhere.ask(
            url, "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
        ),
        *await elsewhere.ask(
            url,
            "SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE connamespace = 'public'::regnamespace ORDER BY 1",
        ),
    ]


@pytest.fixture
async def empty(url: str, tmp_path: Path) -> AsyncIterator[str]:
    """The address of a database without any table, once on each kind."""
    if not elsewhere.is_postgres(url):
        yield f"sqlite://{tmp_path / 'empty.db'}"
        return
    name = f"wellspring_empty_{uuid.uuid4().hex[:12]}"
    await elsewhere.ask(url, f"CREATE DATABASE {name}")
    yield f"{url.rpartition('/')[0]}/{name}"
    await elsewhere.ask(url, f"DROP DATABASE {name} WITH (FORCE)")


async def test_three_processes_that_migrate_at_once_migrate_once(url: str, empty: str) -> None:
    right = await schema(url)
    async with database.opened(empty):
        lacking = list(await database.pending_migrations())
    ended = await asyncio.to_thread(elsewhere.together, MIGRATING, 3, empty)
    assert [(code, errors) for code, _, errors in ended] == [(0, "")] * 3
    assert sorted(output for _, output, _ in ended) == ["", "", ",".join(lacking)]
    assert await schema(empty) == right
    applied = await elsewhere.ask(empty, "SELECT app, name FROM tortoise_migrations")
    assert sorted(f"{app}.{name}" for app, name in applied) == sorted(lacking)


async def test_second_migration_finds_nothing_to_do(opened: str) -> None:
    before = await schema(opened)
    assert list(await database.pending_migrations()) == []
    assert list(await database.migrate()) == []
    assert await schema(opened) == before


async def test_looking_for_pending_migrations_writes_nothing(empty: str) -> None:
    async with database.opened(empty):
        lacking = list(await database.pending_migrations())
        assert await schema(empty) == []
        told: list[str] = []
        assert list(await database.migrate(told.append)) == lacking
        assert told == lacking
    assert {name.partition(".")[0] for name in lacking} == set(database.ROOMS)


async def test_migration_that_breaks_off_leaves_the_schema_as_it_was(empty: str) -> None:
    def break_off(name: str) -> None:
        if not name.startswith("core."):
            raise Refused(name)

    async with database.opened(empty):
        with pytest.raises(Refused):
            await database.migrate(break_off)
        assert await schema(empty) == []
        assert len(await database.migrate()) > 0
        await write_whole(1)
    assert await seen(empty) == [1]


async def test_models_and_migrations_say_the_same(opened: str) -> None:
    apps = require_context().apps
    assert apps is not None
    changes = await MigrationAutodetector(apps, database.config(opened)["apps"]).changes()
    lacking = [(each.app_label, [repr(step) for step in each.operations]) for each in changes]
    assert lacking == []
