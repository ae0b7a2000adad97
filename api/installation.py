"""Owns opening an installation: the database of its settings, migrated."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import uvloop

from api.failed import Failed
from api.settings import Settings
from core import database

T = TypeVar("T")


class NotMigrated(Failed):
    """The database lacks migrations: a server on it would fail at the first request."""


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[None]:
    """The database of the settings, migrated; raises `NotMigrated`."""
    async with database.opened(settings.database_url):
        if pending := await database.pending_migrations():
            raise NotMigrated(f"{len(pending)} migrations are missing: run `wellspring migrate`")
        yield


def run(settings: Settings, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What the work gives, done on that database in a loop of its own. Raises `NotMigrated`."""

    async def on_database() -> T:
        async with opened(settings):
            return await work()

    return uvloop.run(on_database())
