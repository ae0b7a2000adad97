"""A request that reads for too long is answered with TIMEOUT, and what it writes is written."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from api.settings import Settings
from core import database
from tests import factories
from tests.client import REGISTER, Api
from tests.conftest import serving


@pytest.fixture
async def hasty(settings: Settings) -> AsyncIterator[Api]:
    """A server whose requests may read for a second."""
    hurried = settings.model_copy(update={"deadline_seconds": 1})
    async with serving(hurried), Api(hurried) as client:
        yield client


@asynccontextmanager
async def held(table: str) -> AsyncIterator[None]:
    """Nobody reads the table until the block ends; on SQLite nobody in this process reads."""
    ready, over = asyncio.Event(), asyncio.Event()

    @database.unit_of_work
    async def hold() -> None:
        if database.is_postgres():
            await database.rows(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        ready.set()
        await over.wait()

    task = asyncio.create_task(hold())
    await ready.wait()
    try:
        yield
    finally:
        over.set()
        await task


async def test_what_reads_too_long_is_broken_off(hasty: Api) -> None:
    await factories.ladder()
    body = {"query": "{ programs { code } tags { nodes { slug } } }"}
    assert (await hasty.http.post("/graphql", json=body)).status_code == 200
    async with held("program"):
        response = await hasty.http.post("/graphql", json=body)
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
    [error] = response.json()["errors"]
    assert error["extensions"] == {
        "code": "TIMEOUT",
        "requestId": response.headers["x-request-id"],
    }
    assert (await hasty.http.post("/graphql", json=body)).status_code == 200


async def test_a_page_that_would_be_answered_at_once_is_broken_off_alike(hasty: Api) -> None:
    lin = (await factories.person("lin")).token
    query = "{ contents(first: 1) { nodes { slug } } }"
    for _ in range(2):
        assert (await hasty.post(query, lin)).status_code == 200
    async with held("content"):
        assert (await hasty.post(query, lin)).status_code == 503


async def test_a_write_that_waits_longer_is_written_all_the_same(hasty: Api) -> None:
    async with held("member"):
        sent = asyncio.create_task(hasty.post(REGISTER, input={"displayName": "Mei"}))
        await asyncio.sleep(1.5)
    await sent
    assert len(await database.rows("SELECT id FROM member WHERE display_name = 'Mei'")) == 1
