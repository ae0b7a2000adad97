"""What every answer has, whatever was asked: its request id, and CORS for known origins."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest

from api import app, installation
from api.settings import Settings
from core import database
from tests.client import Api
from tests.conftest import SECRET, serving
from tests.ports import free_port

FRONT_END = "https://www.example.com"
QUERY = {"query": "{ viewer { id } }"}


@pytest.fixture
async def server(sqlite_url: str) -> AsyncIterator[Api]:
    """A server that one web front-end may speak to."""
    settings = Settings(
        database_url=sqlite_url, port=free_port(), secret=SECRET, cors_origins=(FRONT_END,)
    )
    async with serving(settings), Api(settings) as client:
        yield client


async def test_a_request_id_is_given_back_and_made_where_there_is_none(server: Api) -> None:
    for given in ("12345678", "a" * 64, "7f9c-AB_cd.ef"):
        response = await server.http.get("/health/live", headers={"x-request-id": given})
        assert response.headers.get_list("x-request-id") == [given]
    made = [(await server.http.get("/nothing")).headers["x-request-id"] for _ in range(2)]
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in made)
    assert made[0] != made[1]


async def test_a_bad_request_id_is_replaced(server: Api) -> None:
    for given in (
        "1234567",
        "a" * 65,
        "12345678 9",
        'quote"quote',
        "<script>",
        "请求编号请求编号",
        "",
    ):
        response = await server.http.post(
            "/graphql", json=QUERY, headers={"x-request-id": given.encode()}
        )
        assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])


async def test_errors_carry_the_callers_request_id(server: Api) -> None:
    response = await server.http.post(
        "/graphql", json={"query": "{ nobody }"}, headers={"x-request-id": "from-the-caller"}
    )
    assert response.json()["errors"][0]["extensions"]["requestId"] == "from-the-caller"


def preflight(origin: str) -> dict[str, str]:
    return {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }


async def test_a_known_origin_may_call_the_api(server: Api) -> None:
    asked = await server.http.options("/graphql", headers=preflight(FRONT_END))
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == FRONT_END
    assert "POST" in asked.headers["access-control-allow-methods"]
    allowed = asked.headers["access-control-allow-headers"].lower()
    assert all(name in allowed for name in ("authorization", "content-type", "x-request-id"))
    assert "access-control-allow-credentials" not in asked.headers
    answer = await server.http.post("/graphql", json=QUERY, headers={"origin": FRONT_END})
    assert answer.headers["access-control-allow-origin"] == FRONT_END
    exposed = answer.headers["access-control-expose-headers"]
    assert exposed == "x-request-id, retry-after, idempotency-replayed"


async def test_a_foreign_origin_may_not_call_the_api(server: Api) -> None:
    for origin in ("https://evil.example", f"{FRONT_END}.evil.example", "http://www.example.com"):
        asked = await server.http.options("/graphql", headers=preflight(origin))
        assert asked.status_code == 400
        assert "access-control-allow-origin" not in asked.headers
        answer = await server.http.post("/graphql", json=QUERY, headers={"origin": origin})
        assert "access-control-allow-origin" not in answer.headers


async def test_a_server_does_not_start_on_a_database_that_lacks_migrations(
    sqlite_url: str,
) -> None:
    settings = Settings(database_url=sqlite_url, port=free_port(), secret=SECRET)
    async with database.opened(sqlite_url):
        [table] = await database.rows(
            "SELECT name FROM sqlite_master WHERE name LIKE '%migration%' AND type = 'table'"
        )
        await database.execute(f"DELETE FROM {table['name']} WHERE app = 'referral'")
    server = app.create(settings)
    with pytest.raises(installation.NotMigrated, match="run `wellspring migrate`"):
        async with server.router.lifespan_context(server):
            pass


async def test_a_task_that_swallows_its_cancellation_ends_all_the_same() -> None:
    async def stubborn() -> None:
        for _ in range(2):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await app.end(task)
    assert task.done()
