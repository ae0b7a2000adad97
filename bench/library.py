"""How long readers and editors wait for lists of 100,000 contents, beside hand-written SQL.

    python bench/library.py [--contents 100000] [--keep] [--only sqlite|postgres]

Makes a database of each kind, neither ever analysed, and drops it; with `--keep` it stays for the
next run. Each yardstick is one statement for the same answer, through the same connection, in turns
with ours.
"""

import argparse
import asyncio
import os
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
from tortoise.backends.base.executor import EXECUTOR_CACHE

from content import filters, folding, indexing, reading, rendering, shelving
from content.filters import Order, OrderField, TagFilter, Where
from content.gate import ANYBODY, Reader
from content.models import Audience, ContentStatus, Dimension
from core import bigrams, database, dialect, paging

POSTGRES = os.environ.get("TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432")
NAME = "wellspring_bench_library"
BEGAN = datetime(2024, 1, 1, tzinfo=UTC)
RUNS = 15
TAGS = 500
BATCH_CONTENTS = 2_000
EDITOR = Reader(True, insider=True, editor=True, audiences=frozenset(Audience))
# Characters of common words; two of them make a word, and the first words are the most frequent.
CHARACTERS = (
    "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能"
    "下过子说产种面而方后多定行学法所民得经十三之进着等部度家电力里如水化高自二理起小物现实加量"
    "都两体制机当使点从业本去把性好应开它合还因由其些然前外天政四日那社义事平形相全表间样与关各"
    "重新线内数正心反你明看原又么利比或但质气第向道命此变条只没结解问意建月公无系军很情者最立代"
    "想已通并提直题党程展五果料象员革位入常文总次品式活设及管特件长求老头基资边流路级少图山统接"
    "知较将组见计别她手角期根论运农指几九区强放决西被干做必战先回则任取据处队南给色光门即保治北"
    "造百规热领七海口东导器压志世金增争济阶油思术极交受联什认六共权收证改清己美再采转更单风切打"
    "白教速花带安场身车例真务具万每目至达走积示议声报斗完类八离华名确才科张信马节话米整空元况今"
    "集温传土许步群广石记需段研界拉林律叫且究观越织装影算低持音众书布复容儿须际商非验连断深难近"
    "矿千周委素技备半办青省列习响约支般史感劳便团往酸历市克何除消构府称太准精值号率族维划选标写"
    "存候毛亲快效斯院查江型眼王按格养易置派层片始却专状育厂京识适属圆包火住调满县局照参红细引听"
    "该铁价严首底液官德随病苏失尔死讲配女黄推显谈罪神艺呢席含企望密批营项防举球英氧势告李台落木"
    "帮轮破亚师围注远字材排供河态封另施减树溶怎止案言士均武固叶鱼波视仅费紧爱左章早朝害续轻服试"
)
ENGLISH = [
    "tea",
    "harvest",
    "community",
    "members",
    "service",
    "mesh",
    "release",
    "review",
    "story",
    "growth",
    "brand",
    "trust",
]
WITH_NEWER = 50  # every so manieth has a newer version beside the published one
_RANDOM = random.Random(4)
_PAIRS = [a + b for a, b in zip(CHARACTERS, CHARACTERS[7:] + CHARACTERS[:7], strict=True)]
_WORDS = [*_PAIRS, *(_RANDOM.choice(CHARACTERS) + _RANDOM.choice(CHARACTERS) for _ in range(3000))]
_OFTEN = [1 / (place + 20) for place in range(len(_WORDS))]
_CARRIED = [1 / (place + 8) for place in range(TAGS)]
Case = Callable[[], Awaitable[Any]]


# ---- what there is to read


def sentence(words: int) -> str:
    chosen = _RANDOM.choices(_WORDS, _OFTEN, k=words)
    middle = words // 2
    return f"{_RANDOM.choice(ENGLISH)} {''.join(chosen[:middle])}，{''.join(chosen[middle:])}。"


@dataclass(frozen=True)
class Paragraph:
    """A paragraph as it is written, shown and searched: rendered and folded once for all."""

    text: str
    html: str
    form: str


def paragraph() -> Paragraph:
    text = "".join(sentence(_RANDOM.randint(8, 24)) for _ in range(2))
    text = text.replace("，", "，**", 1).replace("。", "**。", 1)
    return Paragraph(text, rendering.html(text), folding.form(text))


def tags() -> Iterator[tuple[int, Dimension, str, int | None]]:
    """Every dimension has 125; every fifth tag stands below an earlier one of its dimension."""
    sides = [*Dimension]
    for number in range(1, TAGS + 1):
        below = number > 40 and number % 5 == 0
        yield number, sides[number % 4], f"标签{number}", (number % 36 + 4 if below else None)


async def put(table: str, columns: str, values: Sequence[Sequence[Any]]) -> None:
    marks = ", ".join(f"${place}" for place in range(1, len(columns.split(", ")) + 1))
    await database.execute_many(f"INSERT INTO {table} ({columns}) VALUES ({marks})", values)


@database.unit_of_work
async def put_tags() -> None:
    made = [*tags()]
    sides = {number: side for number, side, _, _ in made}
    assert all(parent is None or sides[parent] == sides[number] for number, _, _, parent in made)
    await put(
        "tag",
        "id, dimension, slug, name, name_key, parent_id",
        [
            [number, side, f"tag-{number}", name, name, parent]
            for number, side, name, parent in made
        ],
    )
    await put("tag_slug", "slug, tag_id", [[f"tag-{number}", number] for number in sides])
    await shelving.regrow()
    await database.rows(
        "INSERT INTO tier (code, name, rank, rule, downgrade) "
        "VALUES ('silver', 'Silver', 1, '{}', 'NEVER'), ('gold', 'Gold', 2, '{}', 'NEVER')"
    )


def status(number: int) -> ContentStatus:
    rest = number % 100
    if rest < 94:
        return ContentStatus.PUBLISHED
    return ContentStatus.ARCHIVED if rest > 97 else ContentStatus.DRAFT


def began(number: int) -> datetime:
    """When the content was published, in another order than they are numbered."""
    return BEGAN + timedelta(minutes=7 * (number * 7_919 % 100_003))


def content(number: int) -> Sequence[Any]:
    at, state = began(number), status(number)
    shown = state is ContentStatus.PUBLISHED
    newer = shown and number % WITH_NEWER == 0
    return (
        *(number, f"piece-{number}", "ARTICLE", state, "zh-CN" if number % 5 else "en"),
        *(2 if newer else 1, 1 if shown else None, "DRAFT" if newer else None),
        *(at if shown else None, at - timedelta(days=1)),
    )


def version(
    number: int, version: int, body: Sequence[Paragraph]
) -> tuple[Sequence[Any], Sequence[indexing.Row], Sequence[int]]:
    """A row of a version, its texts as they are found, and the tags that it carries."""
    id = number + (10_000_000 if version == 2 else 0)
    title, summary = f"{sentence(6)[:-1]} {number}", sentence(12)
    saved = began(number) + timedelta(minutes=number * 31 % 50_021)
    audience = "STAFF" if number % 33 == 0 else "BUYERS" if number % 20 == 0 else "EVERYONE"
    row = (
        *(id, number, version, title, summary),
        *("\n\n".join(each.text for each in body), "".join(each.html for each in body)),
        *(audience, 1 if number % 11 == 0 else None, saved, saved),
    )
    drawn = {*_RANDOM.choices(range(1, TAGS + 1), _CARRIED, k=6)}
    under = sorted(drawn)[-4:] if len(drawn) >= 4 else [1, 2, 3, 4]
    form = "".join(each.form for each in body)
    texts = (
        *indexing.texts(id, title, summary, ""),
        indexing.Row(id, indexing.TextField.BODY, form),
        indexing.names(id, (f"标签{tag}" for tag in under)),
    )
    return row, texts, under


@database.unit_of_work
async def put_contents(numbers: Sequence[int], paragraphs: Sequence[Paragraph]) -> None:
    """Writes contents with one version each, or two where a newer one stands beside it."""
    contents = [content(number) for number in numbers]
    made = [
        version(row[0], each, _RANDOM.choices(paragraphs, k=_RANDOM.randint(2, 4)))
        for row in contents
        for each in range(1, row[5] + 1)
    ]
    await put(
        "content",
        "id, slug, kind, status, locale, version, published_version, pending_status, "
        "published_at, created_at",
        contents,
    )
    await put("content_slug", "slug, content_id", [[row[1], row[0]] for row in contents])
    await put(
        "content_version",
        "id, content_id, version, title, summary, body, body_html, audience, min_tier_id, "
        "saved_at, updated_at",
        [row for row, _, _ in made],
    )
    carried = [[row[0], tag] for row, _, tags in made for tag in tags]
    await put("version_tag", "version_id, tag_id", carried)
    await indexing.put([text for _, texts, _ in made for text in texts])


async def fill(contents: int) -> None:
    """So many contents with four of 500 tags each; what is derived of them through the product's
    own statements."""
    await database.migrate()
    if database.is_postgres():
        await database.rows("DROP INDEX version_text_bigrams")
    await put_tags()
    paragraphs = [paragraph() for _ in range(500)]
    for start in range(1, contents + 1, BATCH_CONTENTS):
        numbers = range(start, min(start + BATCH_CONTENTS, contents + 1))
        await put_contents(numbers, paragraphs)
    for statement in shelving.STATEMENTS:
        await database.execute(statement.format(which="SELECT id FROM content"))
    if database.is_postgres():
        for statement in bigrams.on_postgres("version_text"):
            await database.rows(statement)
    await check()


async def check() -> None:
    """That the shortcuts of filling wrote what the product writes."""
    for row in await database.rows(
        "SELECT id, title, summary, body, body_html FROM content_version WHERE id IN (1, 777)"
    ):
        html = row.pop("body_html")
        assert rendering.html(row["body"]) == html
        held = await database.rows(
            "SELECT version_id, field, search FROM version_text "
            "WHERE version_id = $1 AND field <> 'TAGS'",
            row["id"],
        )
        assert {tuple(each.values()) for each in held} == {row[:3] for row in indexing.texts(**row)}


# ---- what is asked, and by hand

SHOWN = """
SELECT c.id, c.slug, c.kind, c.status, c.locale, c.published_at, c.created_at, c.author_id,
    v.id AS version_id, v.version, v.title, v.summary, v.cover_url, v.share_text, v.updated_at,
    v.min_tier_id, v.audience
"""
VERSION = "LEFT JOIN content_version v ON v.content_id = c.id AND v.version = c.published_version"
LISTED = "c.listed = TRUE AND c.audience <> 'STAFF'"
# What carries both tags, found first: by an index of what is listed it would take far longer.
BOTH = """
COALESCE(c.listed, FALSE) AND c.audience <> 'STAFF' AND c.id IN (
    SELECT a.content_id FROM content_tag a
    WHERE a.tag_id = (SELECT tag_id FROM tag_slug WHERE slug = $1) AND a.readers AND EXISTS (
        SELECT 1 FROM content_tag b
        WHERE b.tag_id = (SELECT tag_id FROM tag_slug WHERE slug = $2) AND b.readers
        AND b.content_id = a.content_id
    )
)
"""
NEWEST = "ORDER BY c.published_at DESC, c.id DESC LIMIT 21"
AND_PAGE = f"{SHOWN} FROM content c {VERSION} WHERE {BOTH} {NEWEST}"
AND_FACETS = """
SELECT t.id, t.slug, t.name, COUNT(*) AS n FROM content_tag ct JOIN tag t ON t.id = ct.tag_id
WHERE ct.content_id {among} AND ct.readers AND t.dimension = 'USER'
GROUP BY t.id, t.slug, t.name ORDER BY n DESC, t.slug LIMIT 20
"""
FACETS = f"""
SELECT t.id, t.slug, t.name, COUNT(*) AS n FROM content c
JOIN content_tag ct ON ct.content_id = c.id JOIN tag t ON t.id = ct.tag_id
WHERE {LISTED} AND ct.readers AND t.dimension = 'USER'
GROUP BY t.id, t.slug, t.name ORDER BY n DESC, t.slug LIMIT 20
"""
COUNT = f"SELECT COUNT(*) AS n FROM content c WHERE {LISTED}"
# Anonymous: what is gated is found by everything but its body.
SEARCH = """
{shown}, hit.titled FROM (
    SELECT s.version_id, MAX(CASE WHEN s.field = 'TITLE' THEN 1 ELSE 0 END) AS titled
    FROM version_text s CROSS JOIN content_version v
    WHERE {has} AND v.id = s.version_id
        AND (s.field <> 'BODY' OR (v.min_tier_id IS NULL AND v.audience = 'EVERYONE'))
    GROUP BY s.version_id
) hit CROSS JOIN content_version v CROSS JOIN content c
WHERE v.id = hit.version_id AND c.id = v.content_id AND c.published_version = v.version
AND {listed} ORDER BY hit.titled DESC, c.published_at DESC, c.id DESC LIMIT 21
"""
HAS = {
    True: "bigrams(s.search) @> CAST($1 AS text[])",
    False: "s.id IN (SELECT rowid FROM version_text_bigrams WHERE version_text_bigrams MATCH $1)",
}


def page(where: Where, order: Order | None = None, reader: Reader = ANYBODY, **place: Any) -> Case:
    return lambda: reading.contents(reader, where=where, order=order, **place)


def plain(sql: str, *values: Any) -> Case:
    return lambda: database.rows(sql, *values)


def together(*some: Case) -> Case:
    async def run() -> None:
        for each in some:
            await each()

    return run


def by_hand(column: str, *, descending: bool) -> str:
    way = "DESC" if descending else "ASC"
    return (
        f"{SHOWN} FROM content c {VERSION} WHERE {LISTED} "
        f"ORDER BY {column} {way}, c.id {way} LIMIT 21"
    )


async def deep(order: Order) -> str:
    """A cursor from the middle of the list of everything published."""
    total = await reading.count(ANYBODY, Where())
    keyset = filters.keyset(ANYBODY, Where(), order)
    [row] = await database.rows(
        f"SELECT {keyset.columns[0]} AS place, c.id FROM content c WHERE {LISTED} "
        f"ORDER BY {keyset.columns[0]}, c.id LIMIT 1 OFFSET {total // 2}"
    )
    place = row["place"]
    if keyset.kinds[0] is datetime:
        place = reading.instant(place)
    return paging.encode(keyset.name, [place, row["id"]])


async def cases() -> dict[str, tuple[Case, Case | None]]:
    """By name, ours and the yardstick."""
    found: dict[str, tuple[Case, Case | None]] = {}
    facets_by_hand = AND_FACETS.format(
        among=dialect.among(f"SELECT c.id FROM content c WHERE {BOTH}")
    )
    found["newest"] = page(Where()), plain(by_hand("c.published_at", descending=True))
    for name, one, other in (("frequent", "tag-4", "tag-8"), ("rare", "tag-300", "tag-5")):
        both = Where(tags=TagFilter(all_of=[one, other]))
        facets = lambda both=both: reading.facets(ANYBODY, both, Dimension.USER, 20)  # noqa: E731
        found[f"two tags, {name}: page"] = page(both), plain(AND_PAGE, one, other)
        found[f"two tags, {name}: page and facets"] = (
            together(page(both), facets),
            together(plain(AND_PAGE, one, other), plain(facets_by_hand, one, other)),
        )
    postgres = database.is_postgres()
    for name, word in (("frequent", _WORDS[2]), ("rare", _WORDS[-1]), ("middling", _WORDS[300])):
        sql = SEARCH.format(shown=SHOWN, listed=LISTED, has=HAS[postgres])
        total = await reading.count(ANYBODY, Where(search=word))
        found[f"search, {name} ({word}, {total})"] = (
            page(Where(search=word)),
            plain(sql, bigrams.wanted(word)),
        )
        found[f"search, {name}: count"] = (
            lambda word=word: reading.count(ANYBODY, Where(search=word)),
            None,
        )
        found[f"search, {name}: facets"] = (
            lambda word=word: reading.facets(ANYBODY, Where(search=word), Dimension.USER, 20),
            None,
        )
    for name, reader in (("anybody", ANYBODY), ("editor", EDITOR)):
        found[f"facets of everything, {name}"] = (
            lambda reader=reader: reading.facets(reader, Where(), Dimension.USER, 20),
            plain(FACETS),
        )
        found[f"count of everything, {name}"] = (
            lambda reader=reader: reading.count(reader, Where()),
            plain(COUNT),
        )
    found["facets of one language"] = (
        lambda: reading.facets(ANYBODY, Where(locale="en"), Dimension.USER, 20),
        None,
    )
    everything = Where(statuses=tuple(ContentStatus))
    review = Where(statuses=(ContentStatus.DRAFT,))
    side = Where(dimension=Dimension.USER)
    for field in (OrderField.TITLE, OrderField.UPDATED_AT, OrderField.PUBLISHED_AT):
        for descending in (True, False):
            order = Order(field, descending)
            after = await deep(order)
            way = "down" if descending else "up"
            found[f"{field} {way}"] = page(Where(), order), None
            found[f"{field} {way}, from the middle"] = page(Where(), order, after=after), None
            found[f"{field} {way}, editor"] = page(Where(), order, EDITOR), None
            found[f"{field} {way}, editor, any status"] = page(everything, order, EDITOR), None
            found[f"{field} {way}, editor, drafts"] = page(review, order, EDITOR), None
            found[f"{field} {way}, a dimension"] = page(side, order), None
    found["count of a dimension"] = lambda: reading.count(ANYBODY, side), None
    return found


async def median_ms(*some: Case) -> list[float]:
    """The median of each, in turns."""
    taken: list[list[float]] = [[] for _ in some]
    for run in range(RUNS + 1):
        for case, times in zip(some, taken, strict=True):
            started = time.perf_counter()
            await case()
            if run:
                times.append((time.perf_counter() - started) * 1000)
    return [statistics.median(times) for times in taken]


async def measure() -> None:
    for name, (ours, by_hand) in (await cases()).items():
        if by_hand is None:
            [took] = await median_ms(ours)
            print(f"  {name}: {took:.1f} ms", flush=True)
            continue
        took, yardstick = await median_ms(ours, by_hand)
        ratio = took / yardstick
        print(f"  {name}: {took:.1f} ms, by hand {yardstick:.1f} ms, {ratio:.2f}", flush=True)


async def run(url: str, contents: int, *, filled: bool) -> None:
    EXECUTOR_CACHE.clear()  # Tortoise keeps its INSERTs by table, whatever the kind of database
    async with database.opened(url):
        if not filled:
            started = time.perf_counter()
            await fill(contents)
            print(f"{contents} contents after {time.perf_counter() - started:.0f} s", flush=True)
        print(url.partition(":")[0])
        await measure()


async def administer(statement: str) -> Any:
    connection = await asyncpg.connect(f"{POSTGRES}/postgres")
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def on_postgres(contents: int, *, keep: bool) -> None:
    there = await administer(f"SELECT COUNT(*) FROM pg_database WHERE datname = '{NAME}'")
    if not there:
        await administer(f"CREATE DATABASE {NAME}")
    try:
        await run(f"{POSTGRES}/{NAME}", contents, filled=bool(there))
    finally:
        if not keep:
            await administer(f"DROP DATABASE {NAME} WITH (FORCE)")


async def on_sqlite(contents: int, *, keep: bool) -> None:
    path = Path(tempfile.gettempdir()) / f"{NAME}.db"
    there = path.exists()
    try:
        await run(f"sqlite://{path}", contents, filled=there)
    finally:
        if not keep:
            for each in path.parent.glob(f"{path.name}*"):
                each.unlink()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contents", type=int, default=100_000)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--only", choices=["sqlite", "postgres"])
    given = parser.parse_args()
    if given.only != "postgres":
        await on_sqlite(given.contents, keep=given.keep)
    if given.only != "sqlite":
        await on_postgres(given.contents, keep=given.keep)


if __name__ == "__main__":
    asyncio.run(main())
