"""Owns how SQLite is driven: write transactions that wait for each other instead of failing.

Named as the engine of SQLite connections in `core.database`; the ORM asks for `client_class`.
"""

import sqlite3
from contextvars import ContextVar
from typing import Any

from tortoise.backends.base.client import NestedTransactionContext, TransactionContext
from tortoise.backends.sqlite.client import (
    SqliteClient,
    SqliteTransactionContext,
    SqliteTransactionWrapper,
)
from tortoise.connection import get_connections
from tortoise.exceptions import IntegrityError, OperationalError, TransactionManagementError

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

    async def execute_script(self, query: str) -> None:
        # The driver's executescript() commits whatever is open before it starts.
        for statement in filter(None, map(str.strip, query.split(";"))):
            await self.execute_query(statement)

    def _in_transaction(self) -> TransactionContext:
        return NestedTransactionContext(_Transaction(self))


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


class Client(SqliteClient):
    """One connection, one writer at a time, across processes by SQLite's own lock."""

    def _in_transaction(self) -> TransactionContext:
        return _Context(_Transaction(self), self._lock)


client_class = Client
