"""Gives tests real databases, a real server on a real port, and both deployments.

A test that asks for `url` or `opened` runs on SQLite and on PostgreSQL; one that asks for `live`
runs on SQLite with the embedded worker and on PostgreSQL with Redis.
"""

import asyncio
import os
import shutil
import socket
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import redis
import uvicorn
from tortoise.backends.base.executor import EXECUTOR_CACHE

from api import app, worker
from api.settings import Settings
from core import database
from tests import shared_postgres
from tests.client import Api
from tests.ports import free_port
from tests.shared_postgres import SharedPostgres

POSTGRES = os.environ.get("TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432")
REDIS = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379")
REDIS_DATABASES = 8  # of the server's 16, from the back: one for each parallel test process
SECRET = "a secret of the tests, long enough for the rule"
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")  # as systems name it
MUST_RUN = os.environ.get("CI", "").lower() == "true"


@pytest.fixture(autouse=True)
def _fresh_statements() -> None:
    """Tortoise keeps the text of its INSERTs by table, whatever the kind of database."""
    EXECUTOR_CACHE.clear()


def _listening(url: str) -> bool:
    host, _, port = url.rpartition("/")[2].rpartition("@")[2].rpartition(":")
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, int(port))) == 0


HAS_POSTGRES = _listening(POSTGRES)
HAS_REDIS = _listening(REDIS)


def require(*services: str) -> None:
    """Skips the test where a service does not listen, saying how to have it; fails in CI."""
    missing = {
        "postgres": None
        if HAS_POSTGRES
        else f"start PostgreSQL, or name one in TEST_POSTGRES_URL: no {POSTGRES}",
        "redis": None if HAS_REDIS else f"start Redis, or name one in TEST_REDIS_URL: no {REDIS}",
        "redis-server": None if shutil.which("redis-server") else "install redis-server",
        "chromium": None if any(map(shutil.which, CHROMIUMS)) else "install chromium",
    }
    for service in services:
        if missing[service] and MUST_RUN:
            pytest.fail(f"{missing[service]}; with CI=true nothing is skipped")
        if missing[service]:
            pytest.skip(missing[service])


async def _migrated(url: str) -> None:
    async with database.opened(url):
        await database.migrate()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    asyncio.run(_migrated(f"sqlite://{path}"))
    return path


@pytest.fixture(scope="session")
def postgres_template() -> Iterator[str]:
    """The name of a migrated PostgreSQL database, to be copied."""
    require("postgres")
    name = f"wellspring_template_{uuid.uuid4().hex[:12]}"
    asyncio.run(shared_postgres.run(f"{POSTGRES}/postgres", f"CREATE DATABASE {name}"))
    asyncio.run(_migrated(f"{POSTGRES}/{name}"))
    yield name
    drop = f"DROP DATABASE {name} WITH (FORCE)"
    asyncio.run(shared_postgres.run(f"{POSTGRES}/postgres", drop))


@pytest.fixture(scope="session")
def _shared_postgres(postgres_template: str) -> Iterator[SharedPostgres]:
    shared = SharedPostgres(POSTGRES, postgres_template)
    yield shared
    asyncio.run(shared.drop())


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated SQLite database of this test's own."""
    path = tmp_path / "wellspring.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite://{path}"


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest) -> str:
    """A migrated PostgreSQL database with nothing in it but what this test writes."""
    return asyncio.run(request.getfixturevalue("_shared_postgres").taken())


@pytest.fixture
def redis_url() -> str:
    """An empty database of the Redis server."""
    require("redis")
    worker_number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    url = f"{REDIS}/{15 - worker_number % REDIS_DATABASES}"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest) -> str:
    """The address of a migrated database, once on each kind."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
async def opened(url: str) -> AsyncIterator[str]:
    """The same, opened for this process."""
    async with database.opened(url):
        yield url


@pytest.fixture(
    params=[
        "embedded",
        pytest.param("scaled", marks=[pytest.mark.postgres, pytest.mark.redis]),
    ]
)
def settings(request: pytest.FixtureRequest) -> Settings:
    """The settings of each deployment: SQLite alone, and PostgreSQL with Redis."""
    assets = request.getfixturevalue("tmp_path") / "assets"
    common = {
        "port": free_port(),
        "secret": SECRET,
        "target_hosts": ("shop.example",),
        "assets": str(assets),
        "webhook_hosts": ("127.0.0.1",),
    }
    if request.param == "embedded":
        return Settings(database_url=request.getfixturevalue("sqlite_url"), **common)
    return Settings(
        database_url=request.getfixturevalue("postgres_url"),
        broker_url=request.getfixturevalue("redis_url"),
        **common,
    )


@pytest.fixture
async def embedded(sqlite_url: str) -> AsyncIterator[str]:
    """SQLite alone, opened: for what is the same Python on either database."""
    async with database.opened(sqlite_url):
        yield sqlite_url


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[None]:
    """A real server on the settings' port, in this loop."""
    config = uvicorn.Config(
        app.create(settings), port=settings.port, log_config=None, lifespan="on"
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve(), name="server")
    while not server.started:
        if task.done():
            task.result()
            raise RuntimeError("the server did not start")
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        await task


@pytest.fixture
async def live(settings: Settings) -> AsyncIterator[Api]:
    """A running installation with its worker, as a client of it."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(settings))
        if not settings.embedded:
            broker = worker.make_broker(settings)
            bell = worker.Doorbell(broker)
            ringing = asyncio.create_task(bell.run())
            stack.callback(ringing.cancel)
            await stack.enter_async_context(worker.working(broker, bell))
        yield await stack.enter_async_context(Api(settings))
