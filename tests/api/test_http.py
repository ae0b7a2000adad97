"""The plain routes beside the redirect: health, and what they say when something is wrong."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from api.settings import Settings
from core import database
from members.models import Role
from tests import factories
from tests.client import ORDER, Api
from tests.conftest import SECRET, require, serving
from tests.ports import free_port


async def test_a_server_that_has_all_it_needs_is_ready(live: Api) -> None:
    for path, body in (
        ("/health/live", {"status": "ok"}),
        ("/health/ready", {"status": "ok", "wrong": {}}),
    ):
        response = await live.http.get(path)
        assert (response.status_code, response.json()) == (200, body)
        assert response.headers["cache-control"] == "no-store"


@pytest.fixture
async def without_broker(sqlite_url: str) -> AsyncIterator[Api]:
    """A server whose Redis does not listen."""
    settings = Settings(
        database_url=sqlite_url,
        broker_url=f"redis://:hunter2@127.0.0.1:{free_port()}/0",
        port=free_port(),
        secret=SECRET,
    )
    with capture_logs():
        async with serving(settings), Api(settings) as client:
            yield client


async def test_a_broker_that_does_not_listen_is_named_and_costs_no_order(
    without_broker: Api,
) -> None:
    response = await without_broker.http.get("/health/ready")
    assert response.status_code == 503
    assert response.json() == {"status": "unavailable", "wrong": {"broker": "ConnectionError"}}
    assert (await without_broker.http.get("/health/live")).status_code == 200

    shop = await factories.person("shop", Role.SERVICE)
    order = {"source": "shop", "externalId": "A-1", "amountMinor": 5}
    accepted = await without_broker.ask(ORDER, shop.token, input=order)
    assert accepted["conversion"]["status"] == "PENDING"
    [row] = await database.rows("SELECT done_at FROM outbox")
    assert row["done_at"] is None


@pytest.mark.postgres
async def test_a_database_that_went_away_is_named(postgres_url: str) -> None:
    require("postgres")
    settings = Settings(database_url=postgres_url, port=free_port(), secret=SECRET)
    server, _, name = postgres_url.rpartition("/")
    with capture_logs():
        async with serving(settings), Api(settings) as client:
            assert (await client.http.get("/health/ready")).status_code == 200
            await _admin(server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false", name)
            try:
                response = await client.http.get("/health/ready")
                live = await client.http.get("/health/live")
            finally:
                await _admin(server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            assert response.status_code == 503
            assert list(response.json()["wrong"]) == ["database"]
            assert name not in response.text
            assert live.status_code == 200
            await _until_ready(client)


async def _admin(server: str, statement: str, cut_off: str | None = None) -> None:
    import asyncpg

    connection = await asyncpg.connect(f"{server}/postgres")
    try:
        await connection.execute(statement)
        if cut_off is not None:
            await connection.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", cut_off
            )
    finally:
        await connection.close()


async def _until_ready(client: Api) -> None:
    """It comes back by itself."""
    for _ in range(500):
        if (await client.http.get("/health/ready")).status_code == 200:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the server did not find its database again within 10 s")
