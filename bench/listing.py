"""Pages of 20 contents with author and tags per second, beside a bare route that runs one
hand-written statement building the same JSON; and one page that is kept, beside a bare route that
answers with the same bytes.

    python bench/listing.py [--contents 100000] [--rounds 7] [--seconds 3]

Makes and drops a database of each kind. Each side is one process on its own port; eight connections
ask it for pages that nobody asked for before (or for the same one again), the sides in turns. The
ids of the yardstick are plain numbers, which is less work.
"""

import argparse
import asyncio
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiosqlite
import asyncpg
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tortoise.backends.base.executor import EXECUTOR_CACHE

from content import filters
from content.gate import ANYBODY
from core import database, paging

ROOT = Path(__file__).parent.parent
POSTGRES = os.environ.get("TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432")
CONNECTIONS = 8
Side = tuple[int, Callable[[datetime], bytes]]
BEGAN = datetime(2025, 1, 1, tzinfo=UTC)
APART = timedelta(minutes=5)  # between two pieces
LIST = filters.keyset(ANYBODY, filters.EVERYTHING_PUBLISHED, filters.NEWEST_FIRST).name

QUERY = """query ($after: String) {
  contents(first: 20, after: $after) {
    pageInfo { hasNextPage }
    nodes {
      id slug kind title summary coverUrl publishedAt access { reason }
      author { id displayName avatarUrl }
      tags { dimension slug name }
    }
  }
}"""

# The same on both but for the names of functions, and how arrays, truths and instants are written.
YARDSTICK = """
WITH page AS (
    SELECT c.id, c.slug, c.kind, c.published_at, c.author_id, v.id AS version_id, v.title,
        v.summary, v.cover_url, v.min_tier_id, v.audience
    FROM content c JOIN content_version v ON v.content_id = c.id AND v.version = c.published_version
    WHERE c.listed = TRUE AND c.audience <> 'STAFF' AND c.published_at < $1
    ORDER BY c.published_at DESC, c.id DESC LIMIT 21
), shown AS (SELECT * FROM page ORDER BY published_at DESC, id DESC LIMIT 20)
SELECT {object}('data', {object}('contents', {object}(
    'pageInfo', {object}('hasNextPage', {more}),
    'nodes', (SELECT {array}({object}(
        'id', shown.id, 'slug', shown.slug, 'kind', shown.kind, 'title', title,
        'summary', summary, 'coverUrl', cover_url, 'publishedAt', {instant},
        'access', {object}('reason', CASE WHEN min_tier_id IS NULL AND audience = 'EVERYONE'
            THEN 'GRANTED' ELSE 'SIGN_IN_REQUIRED' END),
        'author', CASE WHEN m.id IS NOT NULL THEN {object}(
            'id', m.id, 'displayName', m.display_name, 'avatarUrl', m.avatar_url) END,
        'tags', (SELECT {tags})
    ){order}) FROM shown LEFT JOIN member m ON m.id = shown.author_id)
))) AS answer
"""
ON_POSTGRES = YARDSTICK.format(
    object="json_build_object",
    array="json_agg",
    order=" ORDER BY published_at DESC, shown.id DESC",
    tags="""json_agg(json_build_object('dimension', t.dimension, 'slug', t.slug, 'name', t.name)
        ORDER BY t.slug) FROM version_tag vt JOIN tag t ON t.id = vt.tag_id
        WHERE vt.version_id = shown.version_id""",
    more="(SELECT COUNT(*) > 20 FROM page)",
    instant="to_char(published_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')",
)
ON_SQLITE = YARDSTICK.format(
    object="json_object",
    array="json_group_array",
    order="",  # its joins keep to the order of what comes first
    tags="""json_group_array(json_object('dimension', dimension, 'slug', slug, 'name', name))
        FROM (SELECT t.dimension, t.slug, t.name FROM version_tag vt JOIN tag t ON t.id = vt.tag_id
            WHERE vt.version_id = shown.version_id ORDER BY t.slug)""",
    more="json(CASE WHEN (SELECT COUNT(*) FROM page) > 20 THEN 'true' ELSE 'false' END)",
    instant="replace(replace(published_at, ' ', 'T'), '+00:00', 'Z')",
).replace("$1", "?1")


# ---- what there is to read


async def fill(contents: int) -> None:
    """So many published contents by 100 authors, each with four of 500 tags; a tenth is gated."""
    await database.migrate()
    await _put(
        "member",
        ["id", "display_name", "avatar_url", "search", "created_at"],
        [
            [number, f"Author {number}", f"https://pictures.example/{number}.jpg", "", BEGAN]
            for number in range(1, 101)
        ],
    )
    dimensions = ("PRODUCT", "COMPANY", "INDUSTRY", "USER")
    tags = range(1, 501)
    await _put(
        "tag",
        ["id", "dimension", "slug", "name"],
        [[number, dimensions[number % 4], f"tag-{number}", f"标签 {number}"] for number in tags],
    )
    await _put("tag_slug", ["slug", "tag_id"], [[f"tag-{number}", number] for number in tags])
    await _put("tag_ancestor", ["tag_id", "ancestor_id"], [[number, number] for number in tags])
    for start in range(1, contents + 1, 5_000):
        await _write([*range(start, min(start + 5_000, contents + 1))])
    if database.is_postgres():
        await database.rows("ANALYZE")  # as autovacuum does, where it is on


def _title(number: int) -> str:
    return f"春天的茶 {number}: picked before the rain"


def _audience(number: int) -> str:
    return "BUYERS" if number % 10 == 0 else "EVERYONE"


async def _write(ids: Sequence[int]) -> None:
    at = {each: BEGAN + each * APART for each in ids}
    await _put(
        "content",
        [
            *("id", "slug", "kind", "status", "locale", "version", "published_version"),
            *("author_id", "published_at", "created_at", "title", "updated_at"),
            *("published_title", "published_updated_at", "audience", "listed"),
        ],
        [
            [
                *(each, f"piece-{each}", "ARTICLE", "PUBLISHED", "zh-CN", 1, 1),
                *(each % 100 + 1, at[each], at[each], _title(each), at[each]),
                *(_title(each), at[each], _audience(each), True),
            ]
            for each in ids
        ],
    )
    await _put("content_slug", ["slug", "content_id"], [[f"piece-{each}", each] for each in ids])
    await _put(
        "content_version",
        [
            *("id", "content_id", "version", "title", "summary", "body", "body_html", "cover_url"),
            *("audience", "saved_at", "updated_at"),
        ],
        [
            [
                *(each, each, 1, _title(each), "雨前采摘的茶，" * 8),
                *("x" * 500, "x" * 600, f"https://pictures.example/covers/{each}.jpg"),
                *(_audience(each), at[each], at[each]),
            ]
            for each in ids
        ],
    )
    tagged = [[each, (each * 7 + nth * 131) % 500 + 1] for each in ids for nth in range(4)]
    await _put("version_tag", ["version_id", "tag_id"], tagged)
    await _put(
        "content_tag",
        ["content_id", "tag_id", "readers", "editors"],
        [[*each, True, True] for each in tagged],
    )


@database.unit_of_work
async def _put(table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    marks = ", ".join(f"${place}" for place in range(1, len(columns) + 1))
    sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"
    await database.execute_many(sql, rows)


# ---- the two sides


@asynccontextmanager
async def asking(url: str) -> AsyncIterator[Any]:
    """Runs the hand-written statement straight on the driver; gives its text."""
    if url.startswith("sqlite"):
        async with aiosqlite.connect(url.removeprefix("sqlite://")) as connection:
            await connection.execute("PRAGMA journal_mode = WAL")

            async def ask(before: datetime) -> str:
                [row] = await connection.execute_fetchall(ON_SQLITE, [before.isoformat(" ")])
                return row[0]

            yield ask
        return
    options: dict[str, Any] = {"min_size": 10, "max_size": 10}
    async with asyncpg.create_pool(url, init=_without_jit, reset=_as_it_is, **options) as pool:

        async def fetch(before: datetime) -> str:
            return await pool.fetchval(ON_POSTGRES, before)

        yield fetch


async def _without_jit(connection: asyncpg.Connection) -> None:
    await connection.execute("SET jit = off")


async def _as_it_is(connection: asyncpg.Connection) -> None:
    """As in `core.postgres`: giving a connection back costs no round trip."""


def bare(url: str, port: int) -> None:
    """Serves the yardstick, with the settings of `wellspring serve`."""
    ask: Any = None
    kept = b""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        nonlocal ask
        async with asking(url) as ask:
            yield

    async def page(request: Request) -> Response:
        before = datetime.fromisoformat(request.query_params["before"])
        return Response(await ask(before), media_type="application/json")

    async def same(request: Request) -> Response:
        nonlocal kept
        if not kept:
            kept = (await ask(BEGAN + 30 * APART)).encode()
        return Response(kept, media_type="application/json")

    app = Starlette(routes=[Route("/page", page), Route("/same", same)], lifespan=lifespan)
    options: dict[str, Any] = {"log_config": None, "access_log": False, "server_header": False}
    uvicorn.run(app, port=port, loop="uvloop", http="httptools", **options)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(words: Sequence[str], port: int, environment: dict[str, str]) -> Iterator[None]:
    """A server as a process of its own, once it listens."""
    command = [sys.executable, *words]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment})
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()


# ---- asking


def instants(contents: int) -> Iterator[datetime]:
    """Where pages begin; never twice the same."""
    chance = random.Random(1)
    while True:
        seconds = chance.uniform(0, contents * APART.total_seconds())
        yield BEGAN + timedelta(seconds=seconds)


def ours(before: datetime) -> bytes:
    variables = {"after": paging.encode(LIST, [before, 0])}
    body = json.dumps({"query": QUERY, "variables": variables}).encode()
    head = (
        "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def yardstick(before: datetime) -> bytes:
    return f"GET /page?before={quote(before.isoformat())} HTTP/1.1\r\nhost: x\r\n\r\n".encode()


def same(before: datetime) -> bytes:
    return b"GET /same HTTP/1.1\r\nhost: x\r\n\r\n"


def ours_again(before: datetime) -> bytes:
    return ours(BEGAN + 30 * APART)


async def answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return await reader.readexactly(int(length))


async def rate(port: int, requests: Iterator[bytes], seconds: float) -> float:
    """Answers per second over so many connections that stay open."""
    until = time.perf_counter() + seconds

    async def one() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answered = 0
        while time.perf_counter() < until:
            writer.write(next(requests))
            await answer(reader)
            answered += 1
        writer.close()
        return answered

    started = time.perf_counter()
    counts = await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    return sum(counts) / (time.perf_counter() - started)


async def once(port: int, request: bytes) -> Any:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    found = json.loads(await answer(reader))
    writer.close()
    return found


def plain(found: Any) -> Any:
    """An answer without ids, which the yardstick writes in another way."""
    if isinstance(found, dict):
        return {name: plain(value) for name, value in found.items() if name != "id"}
    return [plain(each) for each in found] if isinstance(found, list) else found


async def compare(url: str, contents: int, rounds: int, seconds: float) -> None:
    before = instants(contents)
    mine, theirs = free_port(), free_port()
    environment = {
        "WELLSPRING_PORT": str(mine),
        "WELLSPRING_SECRET": uuid.uuid4().hex,
        "WELLSPRING_RATE_LIMIT": "0",
        "WELLSPRING_DATABASE_URL": url,
    }
    words = ["bench/listing.py", "--bare", url, str(theirs)]
    sides: dict[str, Side] = {
        "a page": (mine, ours),
        "its yardstick": (theirs, yardstick),
        "a kept page": (mine, ours_again),
        "its bare response": (theirs, same),
    }
    with (
        running(["-m", "api", "serve"], mine, environment),
        running(words, theirs, {"PYTHONPATH": str(ROOT)}),
    ):
        at = next(before)
        answers = [await once(port, write(at)) for port, write in [*sides.values()][:2]]
        pages = [plain(each["data"]) for each in answers]
        assert pages[0] == pages[1], "the two sides answer differently"
        rates: dict[str, list[float]] = {name: [] for name in sides}
        for number in range(rounds + 1):
            for name, (port, write) in sides.items():
                found = await rate(port, map(write, before), seconds)
                if number:  # the first warms up
                    rates[name].append(found)
    tell(url.partition(":")[0], rates)


def tell(kind: str, rates: dict[str, list[float]]) -> None:
    medians = {name: statistics.median(found) for name, found in rates.items()}
    for name, found in rates.items():
        spread = f"{min(found):.0f}-{max(found):.0f}"
        print(f"{kind}: {name}: {medians[name]:.0f} a second ({spread})")
    print(f"{kind}: a page: {medians['a page'] / medians['its yardstick']:.2f} of its yardstick")
    costs = medians["its bare response"] / medians["a kept page"]
    print(f"{kind}: a kept page costs {costs:.2f} bare responses")


async def prepare(url: str, contents: int) -> None:
    EXECUTOR_CACHE.clear()  # Tortoise keeps its INSERTs by table, whatever the kind of database
    async with database.opened(url):
        await fill(contents)


async def administer(statement: str) -> None:
    connection = await asyncpg.connect(f"{POSTGRES}/postgres")
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def measure(contents: int, rounds: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite://{folder}/bench.db"
        await prepare(url, contents)
        await compare(url, contents, rounds, seconds)
    name = f"wellspring_bench_{uuid.uuid4().hex[:8]}"
    await administer(f"CREATE DATABASE {name}")
    try:
        await prepare(f"{POSTGRES}/{name}", contents)
        await compare(f"{POSTGRES}/{name}", contents, rounds, seconds)
    finally:
        await administer(f"DROP DATABASE {name} WITH (FORCE)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contents", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--bare", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.bare:
        bare(given.bare[0], int(given.bare[1]))
    else:
        asyncio.run(measure(given.contents, given.rounds, given.seconds))


if __name__ == "__main__":
    main()
