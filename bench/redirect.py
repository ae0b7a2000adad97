"""How many redirects a second one server answers, each with its click committed beforehand.

    python -m bench.redirect             SQLite, the worker in the same process
    python -m bench.redirect --scaled    PostgreSQL and Redis, the server alone

The yardstick is a bare Starlette route that answers 302, on a server with the same options, asked
in turns with ours by the same client over as many connections. The processor time of each server is
told too: what else runs on the machine changes it little.
"""

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route

from core import database
from tests import factories

ROOT = Path(__file__).parent.parent
CONNECTIONS = 64
LINKS = 100
POSTGRES = os.environ.get("TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432")
REDIS = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379")
AGENT = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) Mobile/15E148 MicroMessenger/8.0.49(0x18003137) NetType/WIFI Language/zh_CN"
)


def bare(port: int) -> None:
    """Serves the yardstick, with the options of `wellspring serve`."""

    async def follow(request: Request) -> RedirectResponse:
        return RedirectResponse("https://shop.example/tea", 302)

    app = Starlette(routes=[Route("/r/{code}", follow), Route("/health/ready", follow)])
    options: dict[str, Any] = {"log_config": None, "access_log": False, "server_header": False}
    uvicorn.run(app, port=port, loop="uvloop", http="httptools", **options)


class Visitor(asyncio.Protocol):
    """One connection of a browser that clicks, and clicks again when it was sent on."""

    def __init__(self, paths: Sequence[str], host: str, until: float) -> None:
        self.answered = 0
        self.done = asyncio.get_running_loop().create_future()
        self._requests = [
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {AGENT}\r\nAccept: */*\r\n\r\n"
            for path in paths
        ]
        self._until = until
        self._kept = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self._transport.write(self._requests[self.answered % len(self._requests)].encode())

    def data_received(self, data: bytes) -> None:
        self._kept += data
        if not self._kept.endswith(b"\r\n\r\n"):
            return
        if not self._kept.startswith(b"HTTP/1.1 302"):
            self.done.set_exception(RuntimeError(self._kept.decode()))
            self._transport.close()
            return
        self._kept = b""
        self.answered += 1
        if time.perf_counter() < self._until:
            self._ask()
        elif not self.done.done():
            self.done.set_result(None)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError("the server hung up"))


async def click(port: int, codes: Sequence[str], seconds: float) -> tuple[float, int]:
    """Redirects a second, and how many there were."""
    loop = asyncio.get_running_loop()
    host, until = f"127.0.0.1:{port}", time.perf_counter() + seconds
    began = time.perf_counter()
    visitors = []
    for number in range(CONNECTIONS):
        turned = [f"/r/{code}" for code in [*codes[number:], *codes[:number]]]
        made = await loop.create_connection(
            lambda paths=turned: Visitor(paths, host, until), "127.0.0.1", port
        )
        visitors.append(made[1])
    await asyncio.gather(*(visitor.done for visitor in visitors))
    answered = sum(visitor.answered for visitor in visitors)
    return answered / (time.perf_counter() - began), answered


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def process(port: int, *words: str, **environment: str) -> Iterator[int]:
    """The process id of a server of its own, once it is ready."""
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    known = {name: value for name, value in os.environ.items() if "WELLSPRING" not in name}
    server = subprocess.Popen(
        [sys.executable, *words], cwd=ROOT, env={**known, **environment}, **quiet
    )
    try:
        for _ in range(300):
            try:
                httpx.get(f"http://127.0.0.1:{port}/health/ready")
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield server.pid
    finally:
        server.terminate()
        server.wait()


@contextmanager
def emptied(name: str) -> Iterator[None]:
    """A PostgreSQL database that is dropped afterwards."""
    statement = ["psql", "-q", f"{POSTGRES}/postgres", "-c"]
    subprocess.run([*statement, f"CREATE DATABASE {name}"], check=True)
    try:
        yield
    finally:
        subprocess.run([*statement, f"DROP DATABASE {name} WITH (FORCE)"], check=True)


async def filled(url: str) -> list[str]:
    """The codes of the links of a promoter in a new database."""
    async with database.opened(url):
        await database.migrate()
        stage = await factories.stage()
        made = [await factories.link(stage.promoter.member, stage.program) for _ in range(LINKS)]
    return [link.code for link in made]


async def stored(url: str) -> int:
    async with database.opened(url):
        [row] = await database.rows("SELECT COUNT(*) AS n FROM touch")
        return row["n"]


def processor_seconds(process_id: int) -> float:
    """Of the process so far."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Server:
    """One of the two, with what it has answered in all and in each round."""

    port: int
    process_id: int
    answered: int = 0
    rates: list[float] = field(default_factory=list)
    costs_us: list[float] = field(default_factory=list)  # of processor time for each redirect

    async def run(self, codes: Sequence[str], seconds: float) -> None:
        before = processor_seconds(self.process_id)
        rate, answered = await click(self.port, codes, seconds)
        self.answered += answered
        self.rates.append(rate)
        self.costs_us.append((processor_seconds(self.process_id) - before) / answered * 1e6)


async def rounds(ours: Server, bare: Server, codes: Sequence[str], args: Any) -> None:
    """Prints each round and the medians; the first one of each is to warm up."""
    for number in range(args.rounds + 1):
        for server in (bare, ours):
            await server.run(codes, args.seconds)
        rates = f"{ours.rates[-1]:.0f} redirects/s, bare {bare.rates[-1]:.0f}"
        print(f"{rates}: {ours.rates[-1] / bare.rates[-1]:.2f}" if number else "warm")
    for what, mine, theirs in (
        ("redirects/s", ours.rates, bare.rates),
        ("µs of processor time a redirect", ours.costs_us, bare.costs_us),
    ):
        medians = [statistics.median(column[1:]) for column in (mine, theirs)]
        ratio = medians[0] / medians[1]
        print(f"medians: {medians[0]:.0f} {what}, bare {medians[1]:.0f}, ratio {ratio:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scaled", action="store_true", help="PostgreSQL and Redis")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--bare", type=int, help="serve the yardstick on this port, for ever")
    args = parser.parse_args()
    if args.bare:
        bare(args.bare)
        return
    name = f"wellspring_bench_{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory() as directory:
        url = f"{POSTGRES}/{name}" if args.scaled else f"sqlite://{directory}/bench.db"
        broker = f"{REDIS}/14" if args.scaled else "memory://"
        with emptied(name) if args.scaled else nullcontext():
            codes = uvloop.run(filled(url))
            ours, yardstick = free_port(), free_port()
            server = process(
                ours,
                *("-m", "api", "serve"),
                WELLSPRING_DATABASE_URL=url,
                WELLSPRING_BROKER_URL=broker,
                WELLSPRING_PORT=str(ours),
                WELLSPRING_SECRET=uuid.uuid4().hex,
                WELLSPRING_TARGET_HOSTS="shop.example",
            )
            other = process(yardstick, "-m", "bench.redirect", "--bare", str(yardstick))
            with server as server_id, other as other_id:
                measured = Server(ours, server_id)
                bare_server = Server(yardstick, other_id)
                uvloop.run(rounds(measured, bare_server, codes, args))
            rows = uvloop.run(stored(url))
            print(f"{measured.answered} redirects were answered, {rows} clicks are stored")
            assert rows >= measured.answered


if __name__ == "__main__":
    main()
