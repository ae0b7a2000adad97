"""Owns how SQLite is driven: write transactions that wait for each other instead of failing.

Named as the engine of SQLite connections in `core.database`; the ORM asks for `client_class`.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import aiosqlite
from tortoise.backends.base.client import NestedTransactionContext, TransactionContext
from tortoise.backends.sqlite.client import (
    SqliteClient,
    SqliteTransactionContext,
    SqliteTransactionWrapper,
    translate_exceptions,
)
from tortoise.connection import get_connections
from tortoise.exceptions import IntegrityError, OperationalError, TransactionManagementError

from core import deadline

reading: ContextVar[bool] = ContextVar("reading", default=False)


class _Transaction(SqliteTransactionWrapper):
    """A transaction that takes the write lock at once, unless it is only `reading`.

    A deferred one that reads and then writes cannot wait for another writer: SQLite answers
    "database is locked" without asking the busy timeout, since its snapshot is stale.
    """

    async def begin(self) -> None:
        try:
            await self._connection.execute("BEGIN" if reading.get() else "BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise TransactionManagementError(error) from error

    async def execute_query(
        self, query: str, values: list[Any] | None = None
    ) -> tuple[int, Sequence[dict[str, Any]]]:
        run = _query if reading.get() else SqliteTransactionWrapper.execute_query
        return await run(self, query, values)

    async def execute_query_dict(
        self, query: str, values: list[Any] | None = None
    ) -> list[dict[str, Any]]:
        run = _query_dict if reading.get() else SqliteTransactionWrapper.execute_query_dict
        return await run(self, query, values)

    async def execute_script(self, query: str) -> None:
        # The driver's executescript() commits whatever is open before it starts.
        for statement in filter(None, map(str.strip, query.split(";"))):
            await self.execute_query(statement)

    def _in_transaction(self) -> TransactionContext:
        return NestedTransactionContext(_Transaction(self))


_query = deadline.bounded(SqliteTransactionWrapper.execute_query)
_query_dict = deadline.bounded(SqliteTransactionWrapper.execute_query_dict)


class _Context(SqliteTransactionContext):
    """Gives the connection back however the transaction begins or ends, and leaves none open."""

    async def __aenter__(self) -> SqliteTransactionWrapper:
        await self._trxlock.acquire()
        try:
            await self.connection.begin()
        except BaseException:
            self._trxlock.release()
            raise
        self.token = get_connections().set(self.connection_name, self.connection)
        return self.connection

    async def __aexit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        try:
            if exc_type is None:
                await self._commit()
            else:
                await self.connection.rollback()
        finally:
            get_connections().reset(self.token)
            self._trxlock.release()

    async def _commit(self) -> None:
        try:
            await self.connection.commit()
        except sqlite3.Error as error:
            await self.connection.rollback()
            broken = isinstance(error, sqlite3.IntegrityError)  # a deferred constraint
            raise (IntegrityError if broken else OperationalError)(error) from error


class _Interrupting:
    """Runs what is asked of a connection in its thread, and ends it there when whoever waits for it
    has a deadline and is cancelled."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self._execute = connection._execute
        self._lock = threading.Lock()
        self._running: object = None

    async def execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if not deadline.is_set():
            return await self._execute(fn, *args, **kwargs)
        call: list[bool] = []  # holds True when nobody waits for it any more

        def run() -> Any:
            with self._lock:
                if call:
                    return None
                self._running = call
            try:
                return fn(*args, **kwargs)
            finally:
                with self._lock:
                    self._running = None

        try:
            return await self._execute(run)
        except asyncio.CancelledError:
            with self._lock:  # so that it is this one that is interrupted, and none behind it
                call.append(True)
                if self._running is call:
                    self._connection._conn.interrupt()
            raise


def interruptible(connection: aiosqlite.Connection) -> None:
    """Has what is asked of the connection end where nobody waits for it any more."""
    connection._execute = _Interrupting(connection).execute


class Client(SqliteClient):
    """One connection, one writer at a time, across processes by SQLite's own lock; and beside it
    one that only reads and waits for nobody."""

    def __init__(self, file_path: str, **options: Any) -> None:
        super().__init__(file_path, **options)
        self._reader: aiosqlite.Connection | None = None

    async def create_connection(self, with_db: bool) -> None:
        if self._connection is None:
            await super().create_connection(with_db)
            assert self._connection is not None  # noqa: S101 - it was made above
            interruptible(self._connection)
        if self._reader is None:
            self._reader = await aiosqlite.connect(self.filename, isolation_level=None)
            await self._reader.execute(f"PRAGMA busy_timeout = {self.pragmas['busy_timeout']}")
            await self._reader.execute("PRAGMA query_only = ON")
            interruptible(self._reader)

    async def close(self) -> None:
        if self._reader is not None:
            await self._reader.close()
            self._reader = None
        await super().close()

    @deadline.bounded
    @translate_exceptions
    async def read(self, query: str, values: Sequence[Any]) -> Sequence[sqlite3.Row]:
        """The rows of one SELECT, as of the last commit."""
        if self._reader is None:
            raise OperationalError("the database is closed")
        self.log.debug("%s: %s", query, values)
        return [*await self._reader.execute_fetchall(query, values)]

    execute_query = deadline.bounded(SqliteClient.execute_query)
    execute_query_dict = deadline.bounded(SqliteClient.execute_query_dict)

    def _in_transaction(self) -> TransactionContext:
        return _Context(_Transaction(self), self._lock)


client_class = Client
