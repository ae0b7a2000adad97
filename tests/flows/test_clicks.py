"""Whoever was redirected is counted, though the server is killed in the middle of it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from core import database
from referral.models import Touch
from tests import factories
from tests.client import PERSON
from tests.conftest import SECRET
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
CONNECTIONS = 32
CLICKS_BEFORE_A_KILL = 300
KILLS = 2
PATIENCE_SECONDS = 60


def start(url: str, port: int) -> "subprocess.Popen[bytes]":
    known = {name: value for name, value in os.environ.items() if "WELLSPRING" not in name}
    environment = known | {
        "WELLSPRING_DATABASE_URL": url,
        "WELLSPRING_PORT": str(port),
        "WELLSPRING_SECRET": SECRET,
        "WELLSPRING_TARGET_HOSTS": "shop.example",
    }
    return subprocess.Popen([sys.executable, "-m", "api", "serve"], cwd=ROOT, env=environment)


@asynccontextmanager
async def serving(url: str) -> AsyncIterator[tuple["subprocess.Popen[bytes]", str]]:
    """A server in a process of its own, once it answers, and its address; killed at the end."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    server = start(url, port)
    try:
        async with httpx.AsyncClient(base_url=address) as client:
            for _ in range(PATIENCE_SECONDS * 10):
                try:
                    await client.get("/health/live")
                    break
                except httpx.HTTPError:
                    await asyncio.sleep(0.1)
        yield server, address
    finally:
        server.kill()
        server.wait()


class Crowd:
    """Visitors who click until the server dies, and the ids that arrived with their redirects."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.enough = asyncio.Event()

    async def click(self, client: httpx.AsyncClient, path: str) -> None:
        while True:
            try:
                response = await client.get(path)
            except httpx.HTTPError:
                return
            assert response.status_code == 302, response.text
            self.seen.append(httpx.URL(response.headers["location"]).params["vid"])
            client.cookies.clear()
            if len(self.seen) >= CLICKS_BEFORE_A_KILL:
                self.enough.set()


@pytest.mark.slow
async def test_a_server_that_is_killed_under_load_has_stored_every_click_it_answered(
    url: str,
) -> None:
    async with database.opened(url):
        code = (await factories.stage()).link.code
    for _ in range(KILLS):
        crowd = Crowd()
        async with (
            serving(url) as (server, address),
            httpx.AsyncClient(base_url=address, headers={"user-agent": PERSON}) as client,
        ):
            clicking = [
                asyncio.create_task(crowd.click(client, f"/r/{code}")) for _ in range(CONNECTIONS)
            ]
            async with asyncio.timeout(PATIENCE_SECONDS):
                await crowd.enough.wait()
            server.send_signal(signal.SIGKILL)
            await asyncio.gather(*clicking)

        async with database.opened(url):
            stored = set(await Touch.all().values_list("visitor", flat=True))
        assert len(crowd.seen) >= CLICKS_BEFORE_A_KILL
        assert sorted(set(crowd.seen) - stored) == []
