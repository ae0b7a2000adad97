"""Owns how PostgreSQL is driven: a connection goes back to the pool however a transaction begins.

Named as the engine of PostgreSQL connections in `core.database`; the ORM asks for `client_class`.
"""

from typing import Any

import asyncpg
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import (
    TransactionalDBClient,
    TransactionContext,
    TransactionContextPooled,
)
from tortoise.connection import get_connections


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


async def _nothing_to_reset(connection: asyncpg.Connection) -> None:
    """Saves a round trip whenever a connection is given back: nothing here sets what outlives a
    transaction, and one that was left open is rolled back before this is asked."""


async def _never_compiles(connection: asyncpg.Connection) -> None:
    """Compiling a plan takes a tenth of a second and pays for itself in none of these statements;
    without statistics the planner thinks otherwise."""
    await connection.execute("SET jit = off")


class Client(AsyncpgDBClient):
    """A pool of connections, each of which runs one transaction at a time."""

    async def create_pool(self, **options: Any) -> asyncpg.Pool:
        return await super().create_pool(reset=_nothing_to_reset, init=_never_compiles, **options)

    def _in_transaction(self) -> TransactionContext:
        return _Context(TransactionWrapper(self), self._pool_init_lock)


client_class = Client
