"""Looks at a database from outside the process's own connections, and starts other processes."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import asyncpg

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 20


def is_postgres(url: str) -> bool:
    return url.startswith("postgres://")


@contextmanager
def sqlite(url: str) -> Iterator[sqlite3.Connection]:
    """A connection that never waits for a lock and opens no transaction of its own."""
    path = url.removeprefix("sqlite://")
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        yield connection


async def ask(url: str, sql: str) -> list[tuple[Any, ...]]:
    """The rows of one statement on a connection of its own, which is committed at once."""
    if not is_postgres(url):
        with sqlite(url) as connection:
            return connection.execute(sql).fetchall()
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


def at_once(question: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """The answer while the running event loop stands still, by a loop in another thread."""
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(asyncio.run(question())))
    thread.start()
    thread.join(PATIENCE_SECONDS)
    return answers[0]


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Returns when the condition holds; fails when it does not come to hold."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await condition():
        assert time.monotonic() < deadline, "it never came to hold"
        await asyncio.sleep(0.005)


async def waiting(url: str, count: int) -> None:
    """Returns when so many connections of the PostgreSQL database wait for a lock."""

    async def blocked() -> bool:
        [(found,)] = await ask(
            url,
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        return found == count

    await until(blocked)


def together(script: str, count: int, *arguments: str) -> Sequence[tuple[int, str, str]]:
    """Runs the script in so many processes and has them go at the same moment.

    The script says when it is ready with a line and then waits for one. The exit code, the
    output behind that line and the errors of each.
    """
    command = [sys.executable, "-c", script, *arguments]
    processes = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(count)
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ended = []
    for process in processes:
        output, errors = process.communicate(timeout=60)
        ended.append((process.returncode, output.strip(), errors))
    return ended
