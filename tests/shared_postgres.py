"""Owns the one PostgreSQL database that the tests of a process use in turn.

Copying one for each test takes half a second, and dropping it a checkpoint of the whole server:
longer than most tests. It is emptied between them instead, and made anew where one bent its shape
or filled it: what is deleted stays in the files.
"""

import uuid
from collections.abc import Sequence

import asyncpg

ALONE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
LARGEST_BYTES = 64 * 1024 * 1024
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
    PERFORM setval(format('%I', sequencename)::regclass, 1, false) FROM pg_sequences
        WHERE schemaname = 'public' AND last_value IS NOT NULL;
END $$
"""
# Every column of every table, index and sequence, every trigger, and what ANALYZE has found.
SHAPE = """
SELECT md5(string_agg(part, ' ' ORDER BY part)) FROM (
    SELECT format('%s.%s %s', relname, attname, atttypid) AS part
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
        WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT format('%s on %s %s', tgname, relname, tgenabled)
        FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid WHERE NOT tgisinternal
    UNION ALL SELECT format('statistics of %s', relname)
        FROM pg_statistic JOIN pg_class ON pg_class.oid = starelid
        WHERE relnamespace = 'public'::regnamespace
) AS parts
"""


async def run(url: str, *statements: str) -> None:
    """Runs the statements one by one, each committed at once."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def empty(url: str) -> None:
    """Sends everybody away, empties every table and has every id begin at 1 again."""
    await run(url, ALONE, EMPTY)


async def _shape(url: str) -> tuple[str, bool]:
    """What it looks like, and whether it has grown large."""
    connection = await asyncpg.connect(url)
    try:
        size = await connection.fetchval("SELECT pg_database_size(current_database())")
        return await connection.fetchval(SHAPE), size > LARGEST_BYTES
    finally:
        await connection.close()


class SharedPostgres:
    """A copy of the template on the server, empty whenever it is taken."""

    def __init__(self, server: str, template: str) -> None:
        self._server = server
        self._template = template
        self._shape = ("", False)
        self._names: Sequence[str] = ()

    async def taken(self) -> str:
        """Its address."""
        if self._names:
            await empty(self._url)
        if not self._names or await _shape(self._url) != self._shape:
            await self.drop()
            await self._make()
        return self._url

    async def drop(self) -> None:
        """Takes it off the server, where there is one."""
        drops = [f"DROP DATABASE {name} WITH (FORCE)" for name in self._names]
        await run(f"{self._server}/postgres", *drops)
        self._names = ()

    async def _make(self) -> None:
        name = f"wellspring_test_{uuid.uuid4().hex[:12]}"
        await run(f"{self._server}/postgres", f"CREATE DATABASE {name} TEMPLATE {self._template}")
        self._names = (name,)
        self._shape = await _shape(self._url)

    @property
    def _url(self) -> str:
        [name] = self._names
        return f"{self._server}/{name}"
