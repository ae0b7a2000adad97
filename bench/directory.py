"""How long staff wait for a page of a million members, and for pages of their tiers.

    python bench/directory.py [--members 1000000]

Makes and drops a PostgreSQL database of its own, which is never analysed. The yardstick is 20
members by their primary keys, asked through the same ORM.
"""

import argparse
import asyncio
import os
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import asyncpg

from core import bigrams, database, paging
from members import directory
from members.directory import Wanted
from members.models import ApplicationStatus, Member, Role, TierApplication, TierChange

POSTGRES = os.environ.get("TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432")
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RUNS = 21
# Every third name is Chinese; a twentieth, the oldest, has addresses of a domain given up since.
FILL = (
    """INSERT INTO tier (code, name, rank, rule, downgrade)
    VALUES ('basic', 'Basic', 1, '{}', 'NEVER'), ('gold', 'Gold', 2, '{}', 'NEVER'),
        ('board', 'Board', 3, '{}', 'NEVER')""",
    """INSERT INTO member (id, display_name, email, email_key, phone, created_at, search)
    SELECT n, name, email, email, '138 ' || phone, $1,
        lower(name) || ' ' || email || ' 138' || replace(phone, '-', '')
    FROM (
        SELECT n,
            CASE WHEN n % 3 = 0
                THEN substr('王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗', 1 + hash % 20, 1)
                    || chr(19968 + hash / 20 % 3000) || chr(19968 + hash / 60000 % 3000)
                ELSE (ARRAY['Ann', 'Bo', 'Carl', 'Dora', 'Emil', 'Fay'])[1 + hash % 6]
                    || ' ' || (ARRAY['Smith', 'Jones', 'Novak', 'Rossi'])[1 + hash / 6 % 4] || n
            END AS name,
            'user' || n || CASE WHEN n <= $2::bigint / 20 THEN '@old.invalid' ELSE '@example.com'
                END AS email,
            lpad((hash % 10000)::text, 4, '0') || '-' || lpad((hash / 10000 % 10000)::text, 4, '0')
                AS phone
        FROM (SELECT n, hashint8(n) & 2147483647 AS hash FROM generate_series(1, $2::bigint) AS n)
            AS every
    ) AS made""",
    """INSERT INTO standing (member_id, spend_minor, tier_id)
    SELECT id, id, CASE WHEN id % 2000 = 0 THEN 3 WHEN id % 5 = 0 THEN 2 WHEN id % 2 = 0 THEN 1 END
    FROM member""",
    """INSERT INTO member_role (member_id, role)
    SELECT id, CASE WHEN id % 100000 = 1 THEN 'ADMIN' ELSE 'KOC' END FROM member WHERE id % 10 = 1
    """,
    """INSERT INTO tier_change (member_id, at, to_tier_id, reason, metrics)
    SELECT id % ($2::bigint / 2) + 1, $1, 1 + id % 3, 'QUALIFIED', '{}' FROM member""",
    """INSERT INTO tier_application (member_id, tier_id, status, created_at)
    SELECT id, 3, CASE WHEN id % 50 = 0 THEN 'PENDING' WHEN id % 3 = 0 THEN 'REJECTED'
        ELSE 'APPROVED' END, $1 FROM member""",
)
Case = Callable[[], Awaitable[Any]]


async def administer(statement: str) -> None:
    connection = await asyncpg.connect(f"{POSTGRES}/postgres")
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def fill(members: int) -> None:
    """So many members with standings, roles, changes and applications; the index built last."""
    await database.migrate()
    await database.rows("DROP INDEX member_bigrams")
    for statement in FILL:
        values = [NOW, members][: 2 if "$2" in statement else 1 if "$1" in statement else 0]
        await database.rows(statement, *values)
    for statement in bigrams.on_postgres("member"):
        await database.rows(statement)
    for member in await Member.filter(id__lte=1_000):
        made = directory.search_text(member.display_name, member.email, member.phone)
        assert member.search == made, (member.search, made)


def page(wanted: Wanted, after: int | None = None) -> Case:
    cursor = None if after is None else paging.encode(directory.LIST, [after])
    return lambda: directory.page(wanted, 20, cursor)


async def cases(members: int) -> dict[str, Case]:
    middle = members // 2
    someone = await Member.get(id=middle // 3 * 3)
    ids = [middle + 37 * number for number in range(20)]
    rare, frequent, old = someone.display_name, "example.com", "@old.invalid"
    crossed = "plex"  # every address has its pairs, and none has them together
    phone = (someone.phone or "").replace(" ", "")
    history = TierChange.filter(member_id=7).select_related("from_tier", "to_tier")
    queue = TierApplication.filter(status=ApplicationStatus.PENDING)
    some: dict[str, Any] = {"first": 20, "after": None, "name": "bench"}
    return {
        "20 members by primary key": lambda: Member.filter(id__in=ids).order_by("-id"),
        "members": page(Wanted()),
        "members, from the middle": page(Wanted(), middle),
        "tier of 20 %": page(Wanted(tier="gold")),
        "tier of 0.05 %": page(Wanted(tier="board")),
        "role of 10 %": page(Wanted(role=Role.KOC)),
        "role of ten": page(Wanted(role=Role.ADMIN)),
        "tier and role, both large, nobody in both": page(Wanted(tier="gold", role=Role.KOC)),
        f"search, a name ({rare})": page(Wanted(rare)),
        f"search, a given name ({rare[1:]})": page(Wanted(rare[1:])),
        "search, a surname of 2 % (王)": page(Wanted("王")),
        f"search, a phone ({phone})": page(Wanted(phone)),
        f"search, the end of a phone ({phone[-4:]})": page(Wanted(phone[-4:])),
        "search, one address (user777777@)": page(Wanted("user777777@")),
        f"search, 95 % ({frequent})": page(Wanted(frequent)),
        "search, nobody (zzqq)": page(Wanted("zzqq")),
        f"search, nobody, with pairs that all have ({crossed})": page(Wanted(crossed)),
        f"search, the oldest 5 % ({old})": page(Wanted(old)),
        "rare search, tier": page(Wanted(rare[1:], tier="gold")),
        "frequent search, tier of 20 %": page(Wanted(frequent, tier="gold")),
        "frequent search, tier of 0.05 %, role of 10 %": page(
            Wanted(frequent, tier="board", role=Role.KOC)
        ),
        "frequent search, role of ten": page(Wanted(frequent, role=Role.ADMIN)),
        "totalCount, rare search": lambda: directory.count(Wanted(rare)),
        "totalCount, frequent search": lambda: directory.count(Wanted(frequent)),
        "totalCount, everybody": lambda: directory.count(Wanted()),
        "tierHistory": lambda: paging.page(history, order=("-id",), **some),
        "tierApplications, PENDING": lambda: paging.page(queue, order=("id",), **some),
        "tierApplications": lambda: paging.page(TierApplication.all(), order=("id",), **some),
    }


async def median_ms(case: Case) -> float:
    await case()
    taken = []
    for _ in range(RUNS):
        started = time.perf_counter()
        await case()
        taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken)


async def measure(members: int) -> None:
    yardstick = 0.0
    for name, case in (await cases(members)).items():
        median = await median_ms(case)
        yardstick = yardstick or median
        print(f"{name}: median {median:.1f} ms, {median / yardstick:.1f} times the yardstick")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=1_000_000)
    members = parser.parse_args().members
    name = f"wellspring_bench_{uuid.uuid4().hex[:8]}"
    await administer(f"CREATE DATABASE {name}")
    try:
        async with database.opened(f"{POSTGRES}/{name}"):
            started = time.perf_counter()
            await fill(members)
            print(f"{members} members after {time.perf_counter() - started:.0f} s")
            await measure(members)
    finally:
        await administer(f"DROP DATABASE {name} WITH (FORCE)")


if __name__ == "__main__":
    asyncio.run(main())
