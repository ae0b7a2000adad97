"""Makes databases as they were once, for tests of what migrations make of their rows."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tortoise.migrations.executor import MigrationExecutor, MigrationTarget

from core import database
from tests.conftest import POSTGRES, require
from tests.core import elsewhere

KINDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@asynccontextmanager
async def opened(kind: str, folder: Path, room: str, migration: str) -> AsyncIterator[str]:
    """The URL of a new database, opened, with the migrations of a room up to this one."""
    name = f"wellspring_former_{uuid.uuid4().hex[:12]}"
    url = f"sqlite://{folder / 'former.db'}"
    if kind == "postgres":
        require("postgres")
        url = f"{POSTGRES}/{name}"
        await elsewhere.ask(f"{POSTGRES}/postgres", f"CREATE DATABASE {name}")
    async with database.opened(url):
        await migrate(url, room, migration)
        yield url
    if kind == "postgres":
        await elsewhere.ask(f"{POSTGRES}/postgres", f"DROP DATABASE {name} WITH (FORCE)")


async def migrate(url: str, room: str, migration: str) -> None:
    """Brings the opened database on to this migration of the room."""
    executor = MigrationExecutor(database.client(), database.config(url)["apps"])
    await executor.migrate([MigrationTarget(room, migration)])
