"""Owns the database: opening it, units of work, locks, plain SQL, migrating.

SQLite and PostgreSQL go through the same calls; what differs between them is in this file, in
`core.dialect`, `core.sqlite` and `core.postgres`, nowhere else.
"""

import asyncio
import functools
import hashlib
import re
import sqlite3
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Sequence,
)
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import unquote, urlsplit

import asyncpg
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.connection import get_connection
from tortoise.context import TortoiseContext
from tortoise.exceptions import (
    DBConnectionError,
    OperationalError,
    TransactionManagementError,
)
from tortoise.migrations.executor import MigrationExecutor
from tortoise.migrations.schema_editor import AsyncpgSchemaEditor, SqliteSchemaEditor
from tortoise.transactions import in_transaction

from core import sqlite

P = ParamSpec("P")
R = TypeVar("R")

POOL_SIZE = 10
POSTGRES_PORT = 5432
BUSY_TIMEOUT_MS = 30_000
ROOMS = ("core", "members", "content", "referral")

# What the drivers raise when the database cannot be reached; whoever ticks tries again later.
UNREACHABLE = (
    OSError,
    DBConnectionError,
    OperationalError,
    TransactionManagementError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # it is starting up or shutting down
    asyncpg.InsufficientResourcesError,  # too many connections
    asyncpg.TransactionRollbackError,  # a deadlock, which it has ended
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)

# What never changes once it was written, by name: read once for as long as a database is open.
kept: dict[str, Any] = {}

_after_commit: ContextVar[list[Callable[[], None]] | None] = ContextVar(
    "after_commit", default=None
)
# Of the units of work within one, which are savepoints: one at a time.
_savepoint: ContextVar[asyncio.Lock | None] = ContextVar("savepoint", default=None)


def config(url: str) -> dict[str, Any]:
    """The ORM's configuration for `sqlite://PATH` or `postgres://USER@HOST:PORT/NAME`."""
    return {"connections": {"default": _connection(url)}, "apps": _apps()}


def _apps() -> dict[str, dict[str, Any]]:
    models = {
        "core": ["core.outbox", "core.jobs", "core.audit", "core.webhooks", "core.idempotency"]
    }
    return {
        room: {
            "models": models.get(room, [f"{room}.models"]),
            "migrations": f"{room}.migrations",
            "default_connection": "default",
        }
        for room in ROOMS
    }


def _connection(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {
            "engine": "core.sqlite",
            # The busy timeout comes first: switching to WAL already needs the lock.
            "credentials": {
                "file_path": str(_path(url)),
                "busy_timeout": BUSY_TIMEOUT_MS,
                "journal_mode": "WAL",
                "synchronous": "FULL",
                "journal_size_limit": 64 * 1024 * 1024,
            },
        }
    return {
        "engine": "core.postgres",
        "credentials": {
            "host": parts.hostname,
            "port": parts.port or POSTGRES_PORT,
            "user": unquote(parts.username or "postgres"),
            "password": unquote(parts.password) if parts.password else None,
            "database": _name(url),
            "maxsize": POOL_SIZE,
        },
    }


class Unavailable(Exception):
    """The database cannot be opened; the text says why, in the words of its driver."""


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[None]:
    """Opens the database for everything in this process until the block ends.

    One at a time in a process: tasks and threads that did not inherit this context find it too.
    Connects at once, since a driver that is cancelled while it connects does not recover; raises
    `Unavailable`.
    """
    async with TortoiseContext() as context:
        await context.init(config(url), _enable_global_fallback=True)
        try:
            if url.startswith("sqlite://"):
                _try_file(_path(url))
            await client().create_connection(with_db=True)
        except (*UNREACHABLE, asyncpg.PostgresError, sqlite3.Error) as error:
            raise Unavailable(f"{_refusing(url)}: {_reason(error, url)}.") from error
        kept.clear()
        yield


def _name(url: str) -> str:
    return urlsplit(url).path.lstrip("/")


def _path(url: str) -> Path:
    return Path(url.removeprefix("sqlite://"))


def _try_file(path: Path) -> None:
    """Raises what is wrong with the place of a database: the driver, whose thread outlives such a
    failure, would complain of the closed loop besides."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sqlite3.connect(path).close()


def _refusing(url: str) -> str:
    if url.startswith("sqlite://"):
        return f"The database file {_path(url)} cannot be opened"
    parts = urlsplit(url)
    return f"The database at {parts.hostname}:{parts.port or POSTGRES_PORT} does not answer"


def _reason(error: Exception, url: str) -> str:
    """In the words of the driver, without the full stop; it may have none."""
    if isinstance(error.__cause__, asyncpg.InvalidCatalogNameError):
        return f"{error.__cause__}; `createdb {_name(url)}` makes it"
    return f"{error}".rstrip(".") or type(error).__name__


def client() -> BaseDBAsyncClient:
    """The connection of this task: inside a unit of work, that of its transaction."""
    return get_connection("default")


def is_postgres() -> bool:
    return client().capabilities.dialect == "postgres"


def unit_of_work(
    case: Callable[P, Coroutine[Any, Any, R]],
) -> Callable[P, Coroutine[Any, Any, R]]:
    """Runs the whole use case in one transaction: all of it is written or nothing.

    It runs in a task of its own. A caller that is cancelled (a client that hung up) waits until
    the transaction has ended and only then goes: cancelled half-way through opening or closing a
    transaction, both drivers would leave it open for good.
    """

    @functools.wraps(case)
    async def run(*args: P.args, **kwargs: P.kwargs) -> R:
        task = asyncio.create_task(_transaction(functools.partial(case, *args, **kwargs)))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await _ended(task)
            raise

    return run


def snapshot(
    case: Callable[P, Coroutine[Any, Any, R]],
) -> Callable[P, Coroutine[Any, Any, R]]:
    """Runs the whole case on the database as of one instant. It must not write; writers go on.
    Within a unit of work that has begun already, it sees what that one sees."""

    async def first_of_all(*args: P.args, **kwargs: P.kwargs) -> R:
        if is_postgres():
            level = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
            await client().execute_query(level)
        return await case(*args, **kwargs)

    @functools.wraps(case)
    async def run(*args: P.args, **kwargs: P.kwargs) -> R:
        if _after_commit.get() is not None:
            return await case(*args, **kwargs)
        token = sqlite.reading.set(True)
        try:
            return await unit_of_work(first_of_all)(*args, **kwargs)
        finally:
            sqlite.reading.reset(token)

    return run


async def trust_indexes(*, sort: bool = False, in_order: bool = False) -> None:
    """Until the unit of work ends, what an index can find or order is found and ordered by it; with
    `sort`, what is found may well be sorted instead; `in_order`, tables are joined in the order of
    the statement, row by row, as SQLite joins them.

    PostgreSQL's planner guesses what that costs, badly where nothing was ever analysed, and reads
    and sorts whole tables when it guesses wrong. SQLite takes the index anyway.
    """
    if is_postgres():
        # Plans then look so dear that compiling them seems worth it: it never is.
        settings = {"enable_seqscan": "off", "jit": "off"}
        if not sort:
            settings["enable_sort"] = "off"
        if in_order:
            joins = ("enable_hashjoin", "enable_mergejoin")
            settings |= {"join_collapse_limit": "1", **dict.fromkeys(joins, "off")}
        calls = (f"set_config('{name}', '{value}', true)" for name, value in settings.items())
        await rows(f"SELECT {', '.join(calls)}")


async def _transaction(work: Callable[[], Awaitable[R]]) -> R:
    before = _savepoint.get()
    _savepoint.set(asyncio.Lock())
    if before is None:
        return await _committed(work)
    async with before:  # of two savepoints at once, the end of one would be the end of both
        return await _committed(work)


async def _committed(work: Callable[[], Awaitable[R]]) -> R:
    outer = _after_commit.get()
    callbacks: list[Callable[[], None]] = []
    _after_commit.set(callbacks)
    async with in_transaction():
        result = await work()
    if outer is not None:
        # This was a savepoint: nothing is committed before the outermost unit of work is.
        outer.extend(callbacks)
        return result
    _after_commit.set(None)  # what a callback starts begins anew
    _savepoint.set(None)
    for callback in callbacks:
        callback()
    return result


async def _ended(task: "asyncio.Task[Any]") -> None:
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            continue
    if not task.cancelled():
        task.exception()


def after_commit(callback: Callable[[], None]) -> None:
    """Calls back, without waiting, once the running unit of work is committed; never if not."""
    callbacks = _after_commit.get()
    if callbacks is None:
        raise RuntimeError("after_commit belongs inside a unit of work")
    callbacks.append(callback)


async def lock(*names: str) -> None:
    """Waits until no other unit of work holds any of the names, and holds them until this one ends.

    Call it once in a unit of work and before its first write: the names are taken in one order,
    so that two callers cannot wait for each other. On SQLite a unit of work is alone anyway.
    """
    if names and is_postgres():
        await rows(
            "SELECT pg_advisory_xact_lock(name) FROM unnest($1::bigint[]) AS name",
            sorted({_number(name) for name in names}),
        )


async def writers(table: str) -> set[str]:
    """The units of work that are writing to the table now, by names that no later one has. None on
    SQLite, where a unit of work that asks is alone."""
    if not is_postgres():
        return set()
    found = await rows(
        "SELECT virtualtransaction AS name FROM pg_locks WHERE locktype = 'relation' AND granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND relation = $1::text::regclass AND mode = 'RowExclusiveLock'",
        table,
    )
    return {row["name"] for row in found}


def _number(name: str) -> int:
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


async def rows(sql: str, *values: Any) -> list[dict[str, Any]]:
    """The rows of one statement, also of INSERT and UPDATE with RETURNING.

    `$1`, `$2` … stand for the values on both databases. On SQLite instants come back as text.
    """
    return await client().execute_query_dict(_dialect(sql), list(values))


async def firsts(sql: str, *values: Any) -> list[Any]:
    """The first column of each row of one SELECT.

    Outside of a unit of work it waits for no writer, on SQLite either."""
    connection = client()
    if isinstance(connection, sqlite.Client):
        found = await connection.read(_in_sqlite(sql), values)
    else:
        _, found = await connection.execute_query(_dialect(sql), [*values])
    return [row[0] for row in found]


async def execute(sql: str, *values: Any) -> int:
    """Runs one UPDATE or DELETE and says how many rows it touched."""
    count, _ = await client().execute_query(_dialect(sql), list(values))
    return count


def _dialect(sql: str) -> str:
    return sql if is_postgres() else _in_sqlite(sql)


@functools.lru_cache(maxsize=256)
def _in_sqlite(sql: str) -> str:
    return re.sub(r"\$(\d+)", r"?\1", sql)


async def execute_many(sql: str, values: Sequence[Sequence[Any]]) -> None:
    """Runs one statement with each of many lists of values."""
    if values:
        await client().execute_many(_dialect(sql), [list(each) for each in values])


async def put_rows(
    table: str, key: str, columns: Sequence[str], values: Sequence[Sequence[Any]]
) -> None:
    """Writes rows whole, in one statement: those whose `key` is there already are replaced, column
    by column. At most some 2,000 rows of 16 columns fit."""
    numbers = iter(range(1, len(values) * len(columns) + 1))
    placed = ", ".join(f"({', '.join(f'${next(numbers)}' for _ in columns)})" for _ in values)
    changed = ", ".join(f"{column} = excluded.{column}" for column in columns if column != key)
    await client().execute_query(
        _dialect(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES {placed} "
            f"ON CONFLICT ({key}) DO UPDATE SET {changed}"
        ),
        [value for row in values for value in row],
    )


def instant(value: datetime | str | None) -> datetime | None:
    """An instant as `rows` returns it, aware; on SQLite it is made from text."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value


async def ready() -> None:
    """Returns when the database answers; raises whatever its driver says when it does not."""
    await rows("SELECT 1 AS one")


async def migrate(applied: Callable[[str], None] = lambda name: None) -> Sequence[str]:
    """Brings the opened database to the newest schema and names the migrations it ran.

    Everything happens in one transaction, bookkeeping included, and under a lock: processes that
    start together migrate once, and one that is killed leaves the schema as it was.
    """
    done: list[str] = []

    def progress(event: str, room: str, name: str) -> None:
        if event == "apply_done":
            done.append(f"{room}.{name}")
            applied(done[-1])

    async with in_transaction() as transaction:
        await lock("migrations")
        executor = MigrationExecutor(transaction, _apps())
        # The executor looks for its table first: in PostgreSQL a failed look ends a transaction.
        editor = AsyncpgSchemaEditor if is_postgres() else SqliteSchemaEditor
        await executor.recorder.ensure_schema(editor(transaction, atomic=False))
        await executor.migrate(progress=progress)
    return done


async def pending_migrations() -> Sequence[str]:
    """The migrations that the opened database still lacks; reads only."""
    executor = MigrationExecutor(client(), _apps())
    return [f"{step.migration.app_label}.{step.migration.name}" for step in await executor.plan()]
