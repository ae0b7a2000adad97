"""How many conversions a second one worker process credits, on PostgreSQL and Redis.

    python -m bench.crediting [--touches 10000 10000000] [--orders N] [--second-level]

The yardstick is one process that handles messages which do nothing, over the same kind of broker,
with as many threads as the worker has and with 8, asked in turns with the worker. The processor
time of each process is told too: what else runs on the machine changes it little. For each number
of touches a database is made, never analysed, and dropped: every visitor has four of them, told
over four days, and 2,500 visitors are customers. In three rounds no promoter has so many orders
that the rules of risk look closer, which would be measured too.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import dramatiq
import redis
import uvloop

from api import worker as workers
from api.settings import Settings
from bench.redirect import POSTGRES, REDIS, ROOT, emptied, processor_seconds
from core import database
from referral.lanes import TOPIC
from tests import factories

BROKER = f"{REDIS}/7"  # none of those that tests use
THREADS = (workers.THREADS, 8)  # of the yardstick
TOUCHES_EACH = 4  # of every visitor
CUSTOMERS = 2_500
PROMOTERS = 100
# Where nothing is looked up that is known to be there, filling in takes a third of the time.
FILL = """
SET session_replication_role = replica;
INSERT INTO member (id, display_name, created_at)
    SELECT 1000 + n, 'Promoter ' || n, now() FROM generate_series(1, {promoters}) AS n;
INSERT INTO enrollment (program_id, member_id, parent_id, created_at)
    SELECT {program}, 1000 + n, CASE WHEN n > 10 THEN 1000 + n % 10 + 1 END, now()
    FROM generate_series(1, {promoters}) AS n;
INSERT INTO link (id, code, owner_id, program_id, target_url, created_at)
    SELECT 1000 + n, lpad(n::text, 9, '0'), 1000 + n, {program}, 'https://shop.example/tea', now()
    FROM generate_series(1, {promoters}) AS n;
INSERT INTO member (id, display_name, created_at)
    SELECT 10000 + n, 'Customer ' || n, now() FROM generate_series(1, {customers}) AS n;
INSERT INTO standing (member_id, spend_minor) SELECT id, 0 FROM member WHERE id > 1000;
INSERT INTO visitor (id, member_id, joined_at)
    SELECT md5(n::text), 10000 + n, now() FROM generate_series(1, {customers}) AS n;
INSERT INTO touch (link_id, visitor, touched_at)
    SELECT 1001 + (n + n / {visitors}) % {promoters},
        md5((n * 7919::bigint % {visitors} + 1)::text),
        now() - (n / {visitors} + 1) * interval '1 day' - n % 80000 * interval '1 second'
    FROM generate_series(0, {touches} - 1) AS n;
INSERT INTO counted (touch_id) SELECT MAX(id) FROM touch;
"""
ACCEPT = """
WITH accepted AS (
    INSERT INTO conversion (type, source, external_id, figures, member_id, amount_minor,
        refunded_minor, occurred_at, recorded_at, recorded_by_id, status)
    SELECT 'ORDER', 'bench', '{round}-' || n, '', 10001 + n % {customers}, 100 + n * 7919 % 50000,
        0, now(), now(), {shop}, 'PENDING' FROM generate_series(1, {orders}) AS n
    RETURNING id, member_id
)
INSERT INTO outbox (topic, subject_id, lane, available_at, attempts)
SELECT '{topic}', id, 'member:' || member_id, now(), 0 FROM accepted ORDER BY id
"""
OPEN = f"SELECT EXISTS (SELECT 1 FROM outbox WHERE topic = '{TOPIC}' AND done_at IS NULL)"


def settings(url: str) -> Settings:
    return Settings(database_url=url, broker_url=BROKER, secret=uuid.uuid4().hex)


async def no_op(messages: int, threads: int) -> None:
    """Handles so many messages that do nothing, and prints what each took in seconds: of time, and
    of this process."""
    broker = workers.make_broker(settings("postgres://nobody@127.0.0.1/nothing"))
    left, done = messages, threading.Event()
    counting = threading.Lock()

    @dramatiq.actor(broker=broker, queue_name="no-op")
    def nothing() -> None:
        nonlocal left
        with counting:
            left -= 1
            if left == 0:
                done.set()

    for _ in range(messages):
        nothing.send()
    worker = dramatiq.Worker(broker, worker_timeout=100, worker_threads=threads)
    began, used = time.perf_counter(), time.process_time()
    await asyncio.to_thread(worker.start)
    await asyncio.to_thread(done.wait)
    took, used = time.perf_counter() - began, time.process_time() - used
    await asyncio.to_thread(worker.stop)
    sys.stdout.write(json.dumps([took / messages, used / messages]))


@dataclass
class Costs:
    """What one of something took in each round, in seconds: of time, and of the process."""

    took: list[float] = field(default_factory=list)
    used: list[float] = field(default_factory=list)

    def add(self, took: float, used: float) -> None:
        self.took.append(took)
        self.used.append(used)

    def __str__(self) -> str:
        rate, used_us = 1 / statistics.median(self.took), statistics.median(self.used) * 1e6
        return f"{rate:.0f} a second, {used_us:.0f} µs of the process for each"


@contextmanager
def working(url: str) -> Iterator[int]:
    """The process id of a `wellspring worker`."""
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {name: value for name, value in os.environ.items() if "WELLSPRING" not in name}
    environment["WELLSPRING_DATABASE_URL"] = url
    environment["WELLSPRING_BROKER_URL"] = BROKER
    environment["WELLSPRING_SECRET"] = uuid.uuid4().hex
    process = subprocess.Popen(
        [sys.executable, "-m", "api", "worker"], cwd=ROOT, env=environment, **quiet
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


async def filled(url: str, touches: int, *, second_level: bool) -> int:
    """Fills a new database; returns the id of the shop."""
    async with database.opened(url):
        await database.migrate()
        stage = await factories.stage()
        if second_level:
            await database.rows(
                'INSERT INTO reward_rule (program_id, version, "on", asset, rate_bps, level)'
                " VALUES ($1, 1, 'ORDER', 'CASH', 200, 2) RETURNING id",
                stage.program.id,
            )
    connection = await asyncpg.connect(url)
    visitors = max(touches // TOUCHES_EACH, 1)
    sizes = {"promoters": PROMOTERS, "customers": CUSTOMERS, "visitors": visitors}
    await connection.execute(FILL.format(program=stage.program.id, touches=touches, **sizes))
    # What is written behind belongs to the filling: marking rows as committed, as autovacuum does
    # within minutes of so many clicks, and writing pages. Statistics there are none.
    await connection.execute("VACUUM touch")
    await connection.execute("CHECKPOINT")
    await connection.close()
    return stage.shop.member.id


async def credit(connection: Any, bell: workers.Doorbell, orders: int, shop: int) -> float:
    """Accepts so many orders; how long it took until all of them were decided, in seconds."""
    values = {"round": uuid.uuid4().hex, "customers": CUSTOMERS, "topic": TOPIC}
    await connection.execute(ACCEPT.format(orders=orders, shop=shop, **values))
    began = time.perf_counter()
    bell.ring(TOPIC, 0)
    while await connection.fetchval(OPEN):  # noqa: ASYNC110 - another process is watched
        await asyncio.sleep(0.02)
    return time.perf_counter() - began


async def rounds(url: str, worker_id: int, shop: int, args: Any) -> tuple[Costs, dict[int, Costs]]:
    """What a conversion costs, and what a message does with so many threads; a first round is to
    warm up, with an order of every customer."""
    ours, theirs = Costs(), {threads: Costs() for threads in THREADS}
    connection = await asyncpg.connect(url)
    async with workers.doorbell(workers.make_broker(settings(url))) as bell:
        await credit(connection, bell, CUSTOMERS, shop)  # each once
        for _ in range(args.rounds):
            for threads, costs in theirs.items():
                words = ("-m", "bench.crediting", "--no-op", str(args.messages), str(threads))
                done = await asyncio.create_subprocess_exec(
                    sys.executable, *words, cwd=ROOT, stdout=asyncio.subprocess.PIPE
                )
                costs.add(*json.loads((await done.communicate())[0]))
            before = processor_seconds(worker_id)
            took = await credit(connection, bell, args.orders, shop)
            ours.add(took / args.orders, (processor_seconds(worker_id) - before) / args.orders)
    credited = await connection.fetchval("SELECT COUNT(*) FROM conversion WHERE status='CREDITED'")
    assert credited == CUSTOMERS + args.rounds * args.orders, credited
    await connection.close()
    return ours, theirs


def measure(touches: int, args: Any) -> Costs:
    """Prints what a conversion costs with so many touches in the database, beside a message."""
    name = f"wellspring_bench_{uuid.uuid4().hex[:8]}"
    url = f"{POSTGRES}/{name}"
    with emptied(name):
        began = time.perf_counter()
        shop = uvloop.run(filled(url, touches, second_level=args.second_level))
        print(f"{touches} touches, filled in {time.perf_counter() - began:.0f} s")
        with working(url) as worker_id:
            ours, theirs = uvloop.run(rounds(url, worker_id, shop, args))
    print(f"conversions: {ours}")
    for threads, messages in theirs.items():
        rates = statistics.median(messages.took) / statistics.median(ours.took)
        costs = statistics.median(ours.used) / statistics.median(messages.used)
        print(f"no-op messages, {threads} threads: {messages}")
        print(
            f"conversions for each message: {rates:.2f}; processor time of each: {costs:.2f} times"
        )
    return ours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--touches", type=int, nargs="+", default=[10_000])
    parser.add_argument("--orders", type=int, default=2_000, help="in a round")
    parser.add_argument("--messages", type=int, default=2_000, help="in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--second-level", action="store_true", help="parents get a part too")
    parser.add_argument("--no-op", type=int, nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.no_op:
        uvloop.run(no_op(*args.no_op))
        return
    with redis.Redis.from_url(BROKER) as client:
        client.flushdb()
    measured = [measure(touches, args) for touches in args.touches]
    if len(measured) > 1:
        few, many = (statistics.median(each.took) for each in (measured[0], measured[-1]))
        print(f"a conversion with most touches takes {many / few:.2f} times what one with few does")


if __name__ == "__main__":
    main()
