"""Runs a server in a process of its own, as an installation does."""

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.conftest import SECRET
from tests.ports import free_port

ROOT = Path(__file__).parents[1]


class Server:
    """A server in a process of its own."""

    def __init__(self, process: "subprocess.Popen[bytes]", address: str) -> None:
        self.process = process
        self.address = address

    def largest_mib(self) -> float:
        """The most memory that it has ever had."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", text)
        assert found
        return int(found[1]) / 1024


@asynccontextmanager
async def served(url: str, **more: str) -> AsyncIterator[Server]:
    """A server of this database, with any number of requests a minute; `more` are settings."""
    port = free_port()
    environment = {
        **os.environ,
        "WELLSPRING_PORT": str(port),
        "WELLSPRING_SECRET": SECRET,
        "WELLSPRING_DATABASE_URL": url,
        "WELLSPRING_RATE_LIMIT": "0",  # which would stop all of this
        **more,
    }
    process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
        [sys.executable, "-m", "api", "serve"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            await _until_ready(http)
        yield Server(process, f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait()


async def _until_ready(http: httpx.AsyncClient) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if (await http.get("/health/ready")).status_code == 200:
                return
        except httpx.TransportError:
            pass
        await asyncio.sleep(0.1)
    raise AssertionError("the server is not ready after a minute")
