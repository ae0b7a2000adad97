"""What new rules cost at a million members, on PostgreSQL.

    python bench/tiers.py [--members N]

Re-evaluating everybody is compared with one plain `UPDATE … FROM` that writes as many tiers, the
preview with a bare GROUP BY over the same metrics; once with rules over lifetime metrics, once with
rules over a window, which are summed from the facts. Makes a database of its own and drops it.
"""

import argparse
import asyncio
import os
import resource
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg

from core import database
from members import publishing, reevaluating
from members.models import DowngradePolicy
from members.publishing import TierRule

POSTGRES = os.environ.get("TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432")
ZONE = "Asia/Shanghai"
LEAF = {"metric": "SPEND", "window": "LIFETIME"}
WINDOWED = {"metric": "SPEND", "window": "LAST_DAYS", "days": 365}
# Spends from 0 to 10,000.00, evenly; two facts of each; a twentieth has invited buyers.
FILL = """
INSERT INTO member (id, display_name, created_at)
    SELECT id, 'Member ' || id, now() FROM generate_series(1, {members}) AS id;
INSERT INTO standing (member_id, spend_minor, first_order_at, invited_bought)
    SELECT id, (id * 7919::bigint) % 1000000, now() - interval '30 days',
        CASE WHEN id % 20 = 0 THEN id % 9 ELSE 0 END
    FROM generate_series(1, {members}) AS id;
INSERT INTO metric_fact (member_id, metric, conversion_id, at, amount)
    SELECT member_id, 'SPEND', member_id * 2 + half, now() - half * interval '300 days'
        - (member_id % 200) * interval '1 day', spend_minor / 2
    FROM standing, generate_series(0, 1) AS half;
"""


def tiers(leaf: dict[str, Any], silver_minor: int, gold_minor: int) -> Sequence[TierRule]:
    """Two tiers: so much spend, or five invited buyers."""
    invited = {"leaf": {"metric": "INVITED_BOUGHT", "atLeast": 5}}
    return [
        TierRule(
            code,
            code.title(),
            rank,
            {"any": [{"leaf": {**leaf, "atLeast": at_least}}, invited]},
            downgrade=DowngradePolicy.IMMEDIATE,
        )
        for rank, (code, at_least) in enumerate(
            {"silver": silver_minor, "gold": gold_minor}.items(), start=1
        )
    ]


def clock() -> datetime:
    return datetime.now(UTC)


async def timed(work: Awaitable[Any]) -> float:
    """How long it takes, in seconds."""
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


async def publish(rules: Sequence[TierRule]) -> None:
    await publishing.publish(rules, time_zone=ZONE, now=clock())


async def moved_since(change_id: int) -> int:
    """How many tiers were written; keeps the tiers before in `target`."""
    await database.execute("DROP TABLE IF EXISTS target")
    await database.execute(
        f"CREATE TABLE target AS SELECT member_id, from_tier_id AS tier_id FROM tier_change "
        f"WHERE id > {change_id}"
    )
    [row] = await database.rows("SELECT COUNT(*) AS moved FROM target")
    return row["moved"]


UPDATE = """
UPDATE standing SET tier_id = target.tier_id FROM target
WHERE target.member_id = standing.member_id
"""
GROUPED = """
SELECT tier_id, spend_minor >= 300000, spend_minor >= 500000, invited_bought >= 5, COUNT(*)
FROM standing GROUP BY 1, 2, 3, 4
"""
SUMMED = """
SELECT tier_id, total >= 300000, total >= 500000, invited_bought >= 5, COUNT(*)
FROM standing LEFT JOIN (
    SELECT member_id, SUM(amount) AS total FROM metric_fact
    WHERE metric = 'SPEND' AND at >= now() - interval '365 days' GROUP BY member_id
) AS sums USING (member_id) GROUP BY 1, 2, 3, 4
"""


async def compare(name: str, leaf: dict[str, Any], grouped: str, members: int) -> None:
    await publish(tiers(leaf, 300_000, 500_000))
    while await reevaluating.work(clock):
        pass
    preview = tiers(leaf, 200_000, 700_000)
    previewed = min(
        [await timed(publishing.preview(preview, time_zone=ZONE, now=clock())) for _ in range(3)]
    )
    bare = min([await timed(database.rows(grouped)) for _ in range(3)])
    [latest] = await database.rows("SELECT COALESCE(MAX(id), 0) AS id FROM tier_change")
    await publish(preview)
    before = peak_mib()
    moving = await timed(reevaluating.work(clock))
    grown = peak_mib() - before
    moved = await moved_since(latest["id"])
    updating = await timed(database.execute(UPDATE))
    print(
        f"{name}: {members:,} re-evaluated, {moved:,} moved in {moving:.1f} s, "
        f"{members / moving:,.0f} members/s; UPDATE … FROM of as many tiers {updating:.1f} s; "
        f"ratio {updating / moving:.2f}; memory grew by {grown:.0f} MiB"
    )
    print(
        f"{name}: preview {previewed:.2f} s, bare GROUP BY {bare:.2f} s, "
        f"ratio {previewed / bare:.1f}"
    )


def peak_mib() -> float:
    """The most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@asynccontextmanager
async def filled(members: int) -> AsyncIterator[None]:
    """An open database of its own with so many members."""
    name = f"wellspring_bench_{uuid.uuid4().hex[:8]}"
    server = await asyncpg.connect(f"{POSTGRES}/postgres")
    await server.execute(f"CREATE DATABASE {name}")
    try:
        async with database.opened(f"{POSTGRES}/{name}"):
            await database.migrate()
            for statement in filter(str.strip, FILL.format(members=members).split(";")):
                await database.execute(statement)
            yield
    finally:
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await server.close()


async def main(members: int) -> None:
    async with filled(members):
        await compare("lifetime", LEAF, GROUPED, members)
        await compare("window", WINDOWED, SUMMED, members)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, default=1_000_000, help="how many members")
    asyncio.run(main(parser.parse_args().members))
