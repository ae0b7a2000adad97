"""Owns how PostgreSQL is driven: a connection goes back to the pool however a transaction begins.

Named as the engine of PostgreSQL connections in `core.database`; the ORM asks for `client_class`.
"""

import asyncio
from typing import Any

import asyncpg
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import (
    NestedTransactionContext,
    TransactionalDBClient,
    TransactionContext,
    TransactionContextPooled,
)
from tortoise.connection import get_connections

from core import deadline
from core.sqlite import reading

IDLE_SECONDS = 30  # in a transaction, between two statements


class _Context(TransactionContextPooled):
    """Gives the connection back when its transaction could not begin: the server may have cut it
    since it was last used, and the ORM would keep it out of the pool for good."""

    async def __aenter__(self) -> TransactionalDBClient:
        pool = self.client._parent._pool
        self.client._connection = await pool.acquire()
        try:
            await self.client.begin()
        except BaseException:
            await pool.release(self.client._connection)
            raise
        self.token = get_connections().set(self.connection_name, self.client)
        return self.client


class _Transaction(TransactionWrapper):
    """A transaction or, in one, a savepoint: that begins and ends while no other statement runs."""

    def __init__(self, connection: AsyncpgDBClient, lock: asyncio.Lock | None = None) -> None:
        super().__init__(connection)
        self._lock = lock or self._lock  # of the connection, which all of them share

    def _in_transaction(self) -> TransactionContext:
        return NestedTransactionContext(_Transaction(self, self._lock))

    async def execute_query(
        self, query: str, values: list[Any] | None = None
    ) -> tuple[int, list[dict[str, Any]]]:
        run = _query if reading.get() else TransactionWrapper.execute_query
        return await run(self, query, values)

    async def execute_query_dict(
        self, query: str, values: list[Any] | None = None
    ) -> list[dict[str, Any]]:
        run = _query_dict if reading.get() else TransactionWrapper.execute_query_dict
        return await run(self, query, values)

    async def savepoint(self) -> None:
        async with self._lock:
            await super().savepoint()

    async def release_savepoint(self) -> None:
        async with self._lock:
            await super().release_savepoint()

    async def savepoint_rollback(self) -> None:
        async with self._lock:
            await super().savepoint_rollback()


_query = deadline.bounded(TransactionWrapper.execute_query)
_query_dict = deadline.bounded(TransactionWrapper.execute_query_dict)


async def _nothing_to_reset(connection: asyncpg.Connection) -> None:
    """Saves a round trip whenever a connection is given back: nothing here sets what outlives a
    transaction, and one that was left open is rolled back before this is asked."""


async def _set_up(connection: asyncpg.Connection) -> None:
    """Compiling a plan takes a tenth of a second and pays for itself in none of these statements;
    without statistics the planner thinks otherwise. And a process that was stopped in the middle of
    a transaction must not keep all others waiting for its locks."""
    await connection.execute(
        f"SET jit = off; SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'"
    )


class Client(AsyncpgDBClient):
    """A pool of connections, each of which runs one transaction at a time."""

    execute_query = deadline.bounded(AsyncpgDBClient.execute_query)
    execute_query_dict = deadline.bounded(AsyncpgDBClient.execute_query_dict)

    async def create_pool(self, **options: Any) -> asyncpg.Pool:
        return await super().create_pool(reset=_nothing_to_reset, init=_set_up, **options)

    def _in_transaction(self) -> TransactionContext:
        return _Context(_Transaction(self), self._pool_init_lock)


client_class = Client
