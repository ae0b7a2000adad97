"""Whatever is killed, stopped or delivered twice, a replay ends in exactly the same books.

The books are compared by business facts (shop's ids, e-mail addresses, account names), never by
row ids: a transaction that was rolled back leaves a gap in those.
"""

import asyncio
import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.broker import Broker

from api import replay, retail, worker
from api.settings import Settings
from core import database
from members.models import DowngradePolicy
from tests.conftest import SECRET, require
from tests.invoices import ask
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
SEED = 20101201
CUSTOMERS = 40
INVOICES = 500
KILLS = 6
DOWN_SECONDS = 60
CATCH_UP_SECONDS = 5
PATIENCE_SECONDS = 150

BOOKS = {
    # When a commission is released, and so from where it is taken back, is a matter of time.
    "transfers": """
        SELECT transfer.kind, transfer.amount, conversion.external_id, member.email
        FROM ledger_transfer AS transfer
        JOIN conversion ON conversion.id = transfer.conversion_id
        JOIN ledger_account AS source ON source.id = transfer.from_account_id
        JOIN ledger_account AS target ON target.id = transfer.to_account_id
        JOIN member ON member.id = COALESCE(source.member_id, target.member_id)
        WHERE transfer.kind IN ('ACCRUE', 'REVERSE')""",
    "balances": """
        SELECT member.email, account.asset, SUM(account.balance) AS balance
        FROM ledger_account AS account LEFT JOIN member ON member.id = account.member_id
        GROUP BY member.email, account.asset""",
    "conversions": """
        SELECT type, status, amount_minor, refunded_minor,
            -- Of the other two it is made of row ids.
            CASE WHEN type NOT IN ('REGISTRATION', 'PROMOTION') THEN external_id END AS external_id
        FROM conversion""",
    "standings": """
        SELECT customer_ref.ref, standing.spend_minor, tier.code
        FROM standing JOIN customer_ref ON customer_ref.member_id = standing.member_id
        LEFT JOIN tier ON tier.id = standing.tier_id""",
    "tier changes": """
        SELECT customer_ref.ref, tier_change.reason, tier.code,
            CAST(tier_change.metrics AS TEXT) AS metrics
        FROM tier_change JOIN customer_ref ON customer_ref.member_id = tier_change.member_id
        LEFT JOIN tier ON tier.id = tier_change.to_tier_id""",
    "verdicts": """
        SELECT conversion.external_id, touch_verdict.verdict, touch_verdict.detail
        FROM touch_verdict JOIN conversion ON conversion.id = touch_verdict.conversion_id
        -- The detail of the other two says how long ago, by the clock.
        WHERE conversion.type NOT IN ('REGISTRATION', 'PROMOTION')""",
}


@pytest.fixture(scope="module")
def invoices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A year of a small shop, dense in refunds and in spends around the tiers."""
    dice = random.Random(SEED)
    path = tmp_path_factory.mktemp("retail") / "invoices.csv"
    at = datetime(2010, 12, 1, 8, 0)  # noqa: DTZ001 - the file has no offsets
    bought: list[tuple[str, int]] = []
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(retail.COLUMNS)
        for number in range(INVOICES):
            at += timedelta(minutes=dice.randrange(1, 1_400))
            customer = str(12_000 + dice.randrange(CUSTOMERS)) if dice.random() < 0.9 else ""
            total = dice.choice([0, dice.randrange(1, 90_000), dice.randrange(90_000, 250_000)])
            if bought and dice.random() < 0.3:
                customer, total = dice.choice(bought)
                total = -total if dice.random() < 0.8 else -(total // 3 + 1)
            elif customer and total:
                bought.append((customer, total))
            rows.writerow(
                [f"I{number}", customer, at, "UK", 1, 1, f"{total / 100:.2f}", int(total < 0)]
            )
    return path


def _plain(value: object) -> str:
    """As text; JSON in the same order on both databases."""
    text = str(value)
    return json.dumps(json.loads(text), sort_keys=True) if text.startswith("{") else text


async def _books(url: str) -> dict[str, list[str]]:
    async with database.opened(url):
        return {
            name: sorted(str(tuple(map(_plain, row.values()))) for row in await database.rows(sql))
            for name, sql in BOOKS.items()
        }


@pytest.fixture(scope="module")
def replayed(invoices: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The database after a replay on SQLite that nothing disturbed."""
    url = f"sqlite://{tmp_path_factory.mktemp('undisturbed') / 'wellspring.db'}"
    _finished(_command("replay", str(invoices), "--downgrade", "NEVER", url=url))
    return url


@pytest.fixture(scope="module")
def undisturbed(replayed: str) -> dict[str, list[str]]:
    """Its books."""
    books = asyncio.run(_books(replayed))
    assert all(books.values()), "a comparison of nothing with nothing proves nothing"
    return books


def _command(
    *words: str, url: str, broker: str = "memory://", log: Path | None = None
) -> "subprocess.Popen[str]":
    environment = {name: value for name, value in os.environ.items() if "WELLSPRING" not in name}
    environment |= {
        "WELLSPRING_DATABASE_URL": url,
        "WELLSPRING_BROKER_URL": broker,
        "WELLSPRING_SECRET": SECRET,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "api", *words],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=log.open("a") if log else subprocess.DEVNULL,
        text=True,
    )


def _finished(process: "subprocess.Popen[str]") -> None:
    assert process.wait(PATIENCE_SECONDS) == 0


def _same(url: str, undisturbed: dict[str, list[str]]) -> None:
    """The books at `url` reconcile and are the undisturbed ones."""
    _finished(_command("reconcile", url=url))
    books = asyncio.run(_books(url))
    for name, rows in undisturbed.items():
        assert books[name] == rows, name


@contextmanager
def _running(start: Callable[[], "subprocess.Popen[str]"]) -> Iterator["subprocess.Popen[str]"]:
    process = start()
    try:
        yield process
    finally:
        process.kill()
        process.wait()


EARNED = """
    SELECT CAST(substr(member.display_name, 10) AS INTEGER) AS employee, commission.level,
        SUM(commission.amount) AS accrued_minor, SUM(commission.reversed) AS reversed_minor
    FROM commission JOIN member ON member.id = commission.promoter_id
    GROUP BY member.display_name, commission.level ORDER BY commission.level, employee"""


def test_both_levels_of_a_replay_agree_with_plain_sql_over_the_file(
    invoices: Path, replayed: str
) -> None:
    async def earned() -> list[tuple[int, ...]]:
        async with database.opened(replayed):
            return [tuple(row.values()) for row in await database.rows(EARNED)]

    found = asyncio.run(earned())
    assert found == ask(invoices, "retail_commissions.sql")
    assert {level for _, level, accrued, taken_back in found if accrued > taken_back > 0} == {1, 2}


def test_a_replay_killed_again_and_again_on_sqlite_ends_in_the_same_books(
    invoices: Path, undisturbed: dict[str, list[str]], tmp_path: Path
) -> None:
    url = f"sqlite://{tmp_path / 'wellspring.db'}"
    dice = random.Random(SEED)
    killed = 0
    for _ in range(KILLS):
        with _running(
            lambda: _command("replay", str(invoices), "--downgrade", "NEVER", url=url)
        ) as process:
            try:
                process.wait(dice.uniform(1.5, 3.0))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                killed += 1

    _finished(_command("replay", str(invoices), "--downgrade", "NEVER", url=url))

    assert killed >= 2, "the replay was over before it could be killed"
    _same(url, undisturbed)


@pytest.mark.parametrize("victim", ["worker", "replay"])
def test_killing_a_process_again_and_again_on_postgres_ends_in_the_same_books(
    victim: str,
    invoices: Path,
    undisturbed: dict[str, list[str]],
    postgres_url: str,
    redis_url: str,
) -> None:
    commands = {
        "worker": lambda: _command("worker", url=postgres_url, broker=redis_url),
        "replay": lambda: _command(
            "replay", str(invoices), "--downgrade", "NEVER", url=postgres_url, broker=redis_url
        ),
    }
    [survivor] = set(commands) - {victim}
    dice = random.Random(SEED)
    with _running(commands[survivor]) as surviving:
        for _ in range(KILLS):
            with _running(commands[victim]) as process:
                try:
                    process.wait(dice.uniform(1.8, 3.0))
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
        with _running(commands[victim]) as process:
            _finished(surviving if survivor == "replay" else process)

    _same(postgres_url, undisturbed)


@contextmanager
def _private_redis(directory: Path) -> Iterator[tuple[str, Callable[[], Any], Callable[[], Any]]]:
    """A Redis of this test's own, kept in a file: its address, and how to stop and start it."""
    port = free_port()
    servers: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        words = ["--port", str(port), "--dir", str(directory), "--appendonly", "yes"]
        servers.append(
            subprocess.Popen(
                ["redis-server", *words, "--save", "", "--bind", "127.0.0.1"],
                stdout=subprocess.DEVNULL,
            )
        )
        with redis.Redis(port=port) as client:
            _until(lambda: _pings(client))

    def stop() -> None:
        server = servers.pop()
        server.send_signal(signal.SIGTERM)
        server.wait(30)

    start()
    try:
        yield f"redis://127.0.0.1:{port}/0", stop, start
    finally:
        for server in servers:
            server.kill()
            server.wait()


def _pings(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


async def _count(url: str, sql: str) -> int:
    async with database.opened(url):
        [row] = await database.rows(sql)
        return next(iter(row.values()))


def _recorded(url: str) -> int:
    return asyncio.run(
        _count(url, "SELECT COUNT(*) FROM conversion WHERE type IN ('ORDER', 'REFUND')")
    )


def test_a_redis_stopped_for_a_minute_costs_time_and_nothing_else(
    invoices: Path, undisturbed: dict[str, list[str]], postgres_url: str, tmp_path: Path
) -> None:
    require("redis-server")
    steps = len(retail.plan(retail.read(invoices)).steps)

    def command(*words: str) -> "subprocess.Popen[str]":
        return _command(*words, url=postgres_url, broker=broker)

    with (
        _private_redis(tmp_path) as (broker, stop, start),
        _running(lambda: command("worker")),
        _running(lambda: command("replay", str(invoices), "--downgrade", "NEVER")) as process,
    ):
        _until(lambda: _recorded(postgres_url) > steps // 10)
        stop()
        stopped_at = time.monotonic()
        recorded = _recorded(postgres_url)
        _until(lambda: _recorded(postgres_url) == steps)
        accepted_meanwhile = steps - recorded
        time.sleep(max(0, DOWN_SECONDS - (time.monotonic() - stopped_at)))
        assert process.poll() is None, "without its broker the rest cannot be decided"
        start()
        _finished(process)

    assert accepted_meanwhile > 0, "Redis was stopped too late to prove anything"
    _same(postgres_url, undisturbed)


DECIDED = "SELECT COUNT(*) FROM conversion WHERE status = 'CREDITED'"
CLAIMED = """
    SELECT COUNT(*) FROM outbox WHERE topic = 'conversion' AND lease IS NOT NULL
    AND done_at IS NULL AND dead_at IS NULL"""


def test_a_worker_stopped_beyond_its_lease_and_continued_credits_nothing_twice(
    invoices: Path, undisturbed: dict[str, list[str]], postgres_url: str, redis_url: str
) -> None:
    def worker() -> "subprocess.Popen[str]":
        return _command("worker", url=postgres_url, broker=redis_url)

    def stopped_with_claims(process: "subprocess.Popen[str]") -> bool:
        process.send_signal(signal.SIGSTOP)
        if asyncio.run(_count(postgres_url, CLAIMED)):
            return True
        process.send_signal(signal.SIGCONT)
        return False

    def replaying() -> "subprocess.Popen[str]":
        words = ("replay", str(invoices), "--downgrade", "NEVER")
        return _command(*words, url=postgres_url, broker=redis_url)

    with _running(replaying) as process, _running(worker) as stopped:
        _until(lambda: asyncio.run(_count(postgres_url, DECIDED)) > 20)
        _until(lambda: stopped_with_claims(stopped))
        with _running(worker):
            _finished(process)
            stopped.send_signal(signal.SIGCONT)
            time.sleep(CATCH_UP_SECONDS)
        assert stopped.poll() is None, "it goes on as if nothing had happened"
        lost = "SELECT COUNT(*) FROM outbox WHERE attempts > 1"
        assert asyncio.run(_count(postgres_url, lost)) > 0, "nobody took over what it had claimed"

    _same(postgres_url, undisturbed)


class Twice(dramatiq.Middleware):
    """Delivers every message a second time."""

    def after_enqueue(self, broker: Broker, message: Any, delay: int | None) -> None:
        if not message.options.get("second"):
            broker.enqueue(message.copy(options={"second": True}))


async def test_every_message_delivered_twice_ends_in_the_same_books(
    settings: Settings,
    invoices: Path,
    undisturbed: dict[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_broker = worker.make_broker
    deliveries = 0

    def twice(settings: Settings) -> Broker:
        broker = make_broker(settings)
        broker.add_middleware(Twice())
        return broker

    async def counted(work: Callable[..., Awaitable[bool]], *args: Any) -> bool:
        nonlocal deliveries
        deliveries += 1
        return await work(*args)

    work = worker.crediting.work
    monkeypatch.setattr(worker, "make_broker", twice)
    monkeypatch.setattr(worker.crediting, "work", lambda now: counted(work, now))
    # Has the replay's server carry the worker on Redis too, so that both are in this process.
    monkeypatch.setattr(Settings, "embedded", True)
    plan = retail.plan(retail.read(invoices))
    await replay.run(settings, plan, DowngradePolicy.NEVER, lambda *_: None)

    assert deliveries > 2
    books = await _books(settings.database_url)
    for name, rows in undisturbed.items():
        assert books[name] == rows, name
