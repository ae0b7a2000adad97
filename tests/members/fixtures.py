"""Databases for the tests of the rooms, of which there are many: one PostgreSQL for all of a room.

Making a database for each test would take longer than the tests; here it is emptied between them.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from argon2 import PasswordHasher

from core import database
from tests.conftest import POSTGRES

# For tests in which how long a hash takes is beside the point.
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)

EMPTY = """
DO $$
DECLARE name text;
BEGIN
    -- As a replica would: without the triggers, of the ledger and of the foreign keys.
    SET LOCAL session_replication_role = replica;
    FOR name IN SELECT tablename FROM pg_tables
        WHERE schemaname = 'public' AND tablename NOT LIKE '%migration%'
    LOOP
        EXECUTE format('DELETE FROM %I', name);
    END LOOP;
END $$
"""


async def _run(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def shared_postgres(postgres_template: str) -> Iterator[str]:
    """The address of a migrated PostgreSQL database for many tests, one after the other."""
    name = f"wellspring_room_{uuid.uuid4().hex[:12]}"
    server = f"{POSTGRES}/postgres"
    asyncio.run(_run(server, f"CREATE DATABASE {name} TEMPLATE {postgres_template}"))
    yield f"{POSTGRES}/{name}"
    asyncio.run(_run(server, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def postgres_url(shared_postgres: str) -> str:
    """The same, emptied for this test; in place of one of the test's own."""
    asyncio.run(_run(shared_postgres, EMPTY))
    return shared_postgres


@pytest.fixture
async def embedded(sqlite_url: str) -> AsyncIterator[str]:
    """SQLite alone, opened: for what is the same Python on either database."""
    async with database.opened(sqlite_url):
        yield sqlite_url
