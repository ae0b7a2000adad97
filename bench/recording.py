"""How many orders a second one server accepts by `orderRecord`, on PostgreSQL and Redis.

    python -m bench.recording [--connections N]

The yardstick is a bare Starlette route that inserts one row with asyncpg, on a server with the same
options, asked in turns with ours by the same client over as many connections. Every order is a new
one, told by a shop's API key, of a customer whom the shop names and who is known. The processor
time of each server is told too: what else runs on the machine changes it little.
"""

import argparse
import asyncio
import itertools
import json
import statistics
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bench.redirect import POSTGRES, REDIS, emptied, free_port, process, processor_seconds
from core import database
from members import keys
from members.models import CustomerRef
from tests import factories

BROKER = f"{REDIS}/7"  # none of those that tests use
CUSTOMERS = 100
ORDER = """mutation ($input: OrderRecordInput!) { orderRecord(input: $input) {
    conversion { id status } replayed errors { code field message } } }"""
TABLE = (
    "CREATE TABLE bare_order (id bigserial PRIMARY KEY, source varchar(40) NOT NULL,"
    " external_id varchar(100) NOT NULL, customer varchar(100) NOT NULL, amount_minor bigint"
    " NOT NULL, recorded_at timestamptz NOT NULL DEFAULT now())"
)
INSERT = (
    "INSERT INTO bare_order (source, external_id, customer, amount_minor) VALUES ($1, $2, $3, $4)"
)


def bare(port: int, url: str) -> None:
    """Serves the yardstick, with the options of `wellspring serve`."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with asyncpg.create_pool(url, max_size=database.POOL_SIZE) as pool:
            app.state.pool = pool
            yield

    async def insert(request: Request) -> Response:
        new = (await request.json())["variables"]["input"]
        order = (new["source"], new["externalId"], new["customerRef"], new["amountMinor"])
        await request.app.state.pool.execute(INSERT, *order)
        return JSONResponse({"data": {"orderRecord": {"errors": []}}})

    async def ready(request: Request) -> Response:
        return Response()

    routes = [Route("/graphql", insert, methods=["POST"]), Route("/health/ready", ready)]
    options: dict[str, Any] = {"log_config": None, "access_log": False, "server_header": False}
    app = Starlette(routes=routes, lifespan=lifespan)
    uvicorn.run(app, port=port, loop="uvloop", http="httptools", **options)


class Shop(asyncio.Protocol):
    """One connection of a shop, that tells of an order and of the next when that is accepted."""

    def __init__(self, secret: str, numbers: Iterator[int], until: float) -> None:
        self.answered = 0
        self.done = asyncio.get_running_loop().create_future()
        self._secret, self._numbers, self._until = secret, numbers, until
        self._kept = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._tell()

    def _tell(self) -> None:
        number = next(self._numbers)
        customer = f"c-{number % CUSTOMERS}"
        order = {"source": "bench", "externalId": f"A-{number}", "customerRef": customer}
        order |= {"amountMinor": 1_000 + number % 9_000}  # type: ignore[dict-item]
        body = json.dumps({"query": ORDER, "variables": {"input": order}})
        self._transport.write(
            f"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self._secret}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )

    def data_received(self, data: bytes) -> None:
        self._kept += data
        head, found, body = self._kept.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().split(b"content-length:")[1].split()[0]):
            return
        if not head.startswith(b"HTTP/1.1 200") or b'"errors":[]' not in body:
            self.done.set_exception(RuntimeError(self._kept.decode()))
            self._transport.close()
            return
        self._kept = b""
        self.answered += 1
        if time.perf_counter() < self._until:
            self._tell()
        elif not self.done.done():
            self.done.set_result(None)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError("the server hung up"))


@dataclass
class Server:
    """One of the two, with what it has answered in all and in each round."""

    port: int
    process_id: int
    answered: int = 0
    rates: list[float] = field(default_factory=list)
    costs_us: list[float] = field(default_factory=list)  # of processor time for each order
    numbers: Iterator[int] = field(default_factory=itertools.count)

    async def run(self, secret: str, connections: int, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        used, began = processor_seconds(self.process_id), time.perf_counter()
        shops = []
        for _ in range(connections):
            made = await loop.create_connection(
                lambda: Shop(secret, self.numbers, began + seconds), "127.0.0.1", self.port
            )
            shops.append(made[1])
        await asyncio.gather(*(shop.done for shop in shops))
        answered = sum(shop.answered for shop in shops)
        self.answered += answered
        self.rates.append(answered / (time.perf_counter() - began))
        self.costs_us.append((processor_seconds(self.process_id) - used) / answered * 1e6)


async def filled(url: str) -> str:
    """Makes the shop, its customers and the table of the yardstick; returns the shop's API key."""
    async with database.opened(url):
        await database.migrate()
        stage = await factories.stage()
        made = await keys.create("bench", ["bench"], stage.shop.member.id, factories.NOW)
        for number in range(CUSTOMERS):
            customer = (await factories.person(f"customer-{number}")).member
            await CustomerRef.create(source="bench", ref=f"c-{number}", member=customer)
        await database.client().execute_script(TABLE)
    return made.secret


async def stored(url: str) -> tuple[int, int]:
    """How many orders both have written, ours with their work."""
    connection = await asyncpg.connect(url)
    ours = await connection.fetchval(
        "SELECT COUNT(*) FROM conversion JOIN outbox ON subject_id = conversion.id"
    )
    theirs = await connection.fetchval("SELECT COUNT(*) FROM bare_order")
    await connection.close()
    return ours, theirs


async def rounds(ours: Server, bare: Server, secret: str, args: Any) -> None:
    """Prints each round and the medians; the first one of each is to warm up."""
    for number in range(args.rounds + 1):
        for server in (bare, ours):
            await server.run(secret, args.connections, args.seconds)
        rates = f"{ours.rates[-1]:.0f} orders/s, bare {bare.rates[-1]:.0f}"
        print(f"{rates}: {ours.rates[-1] / bare.rates[-1]:.2f}" if number else "warm")
    for what, mine, theirs in (
        ("orders/s", ours.rates, bare.rates),
        ("µs of processor time an order", ours.costs_us, bare.costs_us),
    ):
        medians = [statistics.median(column[1:]) for column in (mine, theirs)]
        ratio = medians[0] / medians[1]
        print(f"medians: {medians[0]:.0f} {what}, bare {medians[1]:.0f}, ratio {ratio:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--bare", nargs=2, help="serve the yardstick: its port and database")
    args = parser.parse_args()
    if args.bare:
        bare(int(args.bare[0]), args.bare[1])
        return
    name = f"wellspring_bench_{uuid.uuid4().hex[:8]}"
    url = f"{POSTGRES}/{name}"
    with emptied(name):
        secret = uvloop.run(filled(url))
        ports = free_port(), free_port()
        server = process(
            ports[0],
            *("-m", "api", "serve"),
            WELLSPRING_DATABASE_URL=url,
            WELLSPRING_BROKER_URL=BROKER,
            WELLSPRING_PORT=str(ports[0]),
            WELLSPRING_SECRET=uuid.uuid4().hex,
        )
        other = process(ports[1], "-m", "bench.recording", "--bare", str(ports[1]), url)
        with server as server_id, other as other_id:
            measured, yardstick = Server(ports[0], server_id), Server(ports[1], other_id)
            uvloop.run(rounds(measured, yardstick, secret, args))
        ours, theirs = uvloop.run(stored(url))
        print(f"{measured.answered} orders were accepted, {ours} are stored with their work")
        assert (ours, theirs) == (measured.answered, yardstick.answered)


if __name__ == "__main__":
    main()
