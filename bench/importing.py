"""Rows per second of an import, beside a bare batched insert of the same rows.

    python bench/importing.py [--rows 10000]

Makes and drops a database of each kind. Texts are prepared in a process of their own, which has
started before, as `wellspring import` starts it before it opens the database. The yardstick writes
every row that the import wrote into any table of the library, as it was read back: nothing is
checked, rendered, folded or looked up. Both databases keep their indexes meanwhile; on SQLite that
by text is a table, and written too.
"""

import argparse
import asyncio
import os
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
from tortoise.backends.base.executor import EXECUTOR_CACHE

from content import ahead, batches, importing, rows
from content.rows import Row
from core import database, pairs

POSTGRES = os.environ.get("TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432")
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TABLES = (
    *("tag", "tag_slug", "tag_ancestor", "content", "content_slug", "content_version"),
    *("version_tag", "content_tag", "version_text", "audit_entry"),
)
INDEX = "version_text_bigrams"
PARAGRAPH = (
    "Picked **before the rain**, dried over [charcoal](https://tea.example). 春天的茶，雨前采摘。"
)


def made(number: int) -> Row:
    """A row with four of 500 tags and a body of some 2,000 characters."""
    tags = [
        {"dimension": "PRODUCT", "slug": f"tag-{each % 500}", "name": f"Tag {each % 500}"}
        for each in range(number * 7, number * 7 + 4)
    ]
    return rows.read(
        {
            "slug": f"piece-{number}",
            "title": f"Piece {number}",
            "summary": "What it is about",
            "body": f"# Piece {number}\n\n" + "\n\n".join([PARAGRAPH] * 25),
            "tags": tags,
            "status": "PUBLISHED",
        }
    )


@contextmanager
def timed(taken: list[float]) -> Iterator[None]:
    """Adds the seconds that the block takes, and those of the processor in this process."""
    started, worked = time.perf_counter(), time.process_time()
    yield
    taken += [time.perf_counter() - started, time.process_time() - worked]


async def bring(given: Sequence[Row], executor: Executor) -> None:
    size = importing.MOST_ROWS
    parts = [given[start : start + size] for start in range(0, len(given), size)]
    async for _ in batches.in_turn(parts, importing.bring, lambda: NOW, executor):
        pass


@database.unit_of_work
async def insert(tables: dict[str, list[dict[str, Any]]]) -> None:
    """All of it in one transaction, one statement a table with many lists of values."""
    for name, held in tables.items():
        if held:
            marks = ", ".join(f"${place}" for place in range(1, len(held[0]) + 1))
            columns = ", ".join(f'"{column}"' for column in held[0])
            sql = f"INSERT INTO {name} ({columns}) VALUES ({marks})"
            await database.execute_many(sql, [[*row.values()] for row in held])


async def emptied(texts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Empties SQLite's index by text; what it held of these."""
    await database.execute(f"INSERT INTO {INDEX} ({INDEX}) VALUES ('delete-all')")
    return [{"rowid": row["id"], "grams": pairs.held(row["search"])} for row in texts]


async def measure(url: str, count: int) -> None:
    given = [made(number) for number in range(count)]
    taken: list[float] = []
    bare: list[float] = []
    EXECUTOR_CACHE.clear()  # Tortoise keeps its INSERTs by table, whatever the kind of database
    with ahead.process() as executor:
        async with database.opened(url):
            await database.migrate()
            with timed(taken):
                await bring(given, executor)
            tables = {
                name: await database.rows(f"SELECT * FROM {name} ORDER BY id") for name in TABLES
            }
            for name in reversed(TABLES):
                await database.execute(f"DELETE FROM {name}")
            if not database.is_postgres():
                tables[INDEX] = await emptied(tables["version_text"])
            with timed(bare):
                await insert(tables)
    print(
        f"{url.partition(':')[0]}: {count / taken[0]:.0f} rows a second, "
        f"{count / bare[0]:.0f} inserted bare: {bare[0] / taken[0]:.2f} of the yardstick; "
        f"processor {taken[1] / count * 1_000:.2f} ms a row beside {bare[1] / count * 1_000:.2f} ms"
    )


async def administer(statement: str) -> None:
    connection = await asyncpg.connect(f"{POSTGRES}/postgres")
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    count = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        await measure(f"sqlite://{folder}/bench.db", count)
    name = f"wellspring_bench_{uuid.uuid4().hex[:8]}"
    await administer(f"CREATE DATABASE {name}")
    try:
        await measure(f"{POSTGRES}/{name}", count)
    finally:
        await administer(f"DROP DATABASE {name} WITH (FORCE)")


if __name__ == "__main__":
    asyncio.run(main())
