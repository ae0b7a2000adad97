"""That lists of a large library are read by indexes, on databases that were never analysed."""

import re
from collections.abc import Iterable
from typing import Any

import pytest

from content import reading, shelving
from content.filters import Order, OrderField, TagFilter, Where
from content.gate import ANYBODY, Reader
from content.models import Audience, ContentStatus, Dimension
from core import database, dialect
from tests.factories import NOW

EVERYBODY = frozenset(Audience)
INSIDER = Reader(True, insider=True, audiences=EVERYBODY)
EDITOR = Reader(True, insider=True, editor=True, audiences=EVERYBODY)
READERS = (ANYBODY, INSIDER, EDITOR)
ORDERS = [
    Order(field, descending)
    for field in (OrderField.TITLE, OrderField.UPDATED_AT, OrderField.PUBLISHED_AT)
    for descending in (True, False)
]
ONE_STATUS = Where(statuses=(ContentStatus.DRAFT,))
EVERY_STATUS = Where(statuses=tuple(ContentStatus))
# Of a small library PostgreSQL expects no more in one status, and would sort a larger page of them.
PAGE = 5
BOTH_TAGS = Where(tags=TagFilter(all_of=["t7", "t14"]))

# Every content carries two of 40 tags of two dimensions; a tenth are drafts, a few for STAFF.
FILL = (
    """INSERT INTO content (id, slug, kind, status, locale, version, published_version,
        published_at, created_at)
    SELECT n, 'c' || n, 'ARTICLE', CASE WHEN n % 10 = 0 THEN 'DRAFT' ELSE 'PUBLISHED' END, 'en', 1,
        CASE WHEN n % 10 > 0 THEN 1 END, CASE WHEN n % 10 > 0 THEN {at} END, {at}
    FROM (WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers
          WHERE n < 20000) SELECT n FROM numbers) AS every""",
    """INSERT INTO content_version (id, content_id, version, title, summary, body, body_html,
        audience, saved_at, updated_at)
    SELECT id, id, 1, 'Piece ' || id, '', '', '', CASE WHEN id % 99 = 0 THEN 'STAFF'
        ELSE 'EVERYONE' END, created_at, created_at FROM content""",
    """INSERT INTO tag (id, dimension, slug, name)
    SELECT id, CASE WHEN id % 2 = 0 THEN 'PRODUCT' ELSE 'USER' END, 't' || id, 'Tag'
    FROM content WHERE id <= 40""",
    "INSERT INTO tag_slug (slug, tag_id) SELECT slug, id FROM tag",
    "INSERT INTO tag_ancestor (tag_id, ancestor_id) SELECT id, id FROM tag",
    """INSERT INTO version_tag (version_id, tag_id)
    SELECT id, id % 40 + 1 FROM content UNION SELECT id, id / 40 % 40 + 1 FROM content""",
)
WHOLE = re.compile(r"Seq Scan on (content|content_version)\b|SCAN (c|v)\b(?! USING)")
SORTED = re.compile(r"Sort Key|TEMP B-TREE FOR (ORDER|LAST)")
OF_CONTENTS = re.compile(r"(Seq|Index[ \w]*|Heap) Scan [\w ]*on content\b|(SCAN|SEARCH) c\b")


@pytest.fixture
async def plans(opened: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The plan of every statement that is run from now on, by its text, in a large library."""
    for statement in FILL:
        values = [NOW] if "{at}" in statement else []
        await database.rows(statement.format(at=dialect.typed(1)), *values)
    for statement in shelving.STATEMENTS:
        await database.execute(statement.format(which="SELECT id FROM content"))
    found: dict[str, str] = {}
    explain = "EXPLAIN" if database.is_postgres() else "EXPLAIN QUERY PLAN"
    rows = database.rows

    async def explained(sql: str, *values: Any) -> list[dict[str, Any]]:
        plan = await rows(f"{explain} {sql}", *values)
        found[sql] = "\n".join(str([*step.values()]) for step in plan)
        return await rows(sql, *values)

    monkeypatch.setattr(database, "rows", explained)
    return found


def none_shows(pattern: re.Pattern[str], plans: dict[str, str]) -> None:
    assert plans
    for sql, plan in plans.items():
        assert pattern.search(plan) is None, (sql, plan)


async def both_ways(reader: Reader, where: Where, orders: Iterable[Order]) -> None:
    """The first page, the one behind it, and the last."""
    for order in orders:
        page = await reading.contents(reader, PAGE, where=where, order=order)
        assert len(page.edges) == PAGE
        after = page.edges[-1].cursor
        assert await reading.contents(reader, PAGE, after, where=where, order=order)
        assert await reading.contents(reader, last=PAGE, where=where, order=order)


async def test_no_page_in_any_order_reads_or_sorts_the_whole_library(plans: dict[str, str]) -> None:
    for reader in READERS:
        await both_ways(reader, Where(), ORDERS)
    for where in (ONE_STATUS, EVERY_STATUS):
        await both_ways(EDITOR, where, ORDERS)
    none_shows(WHOLE, plans)
    none_shows(SORTED, plans)


async def test_no_page_of_a_dimension_reads_or_sorts_the_whole_library(
    plans: dict[str, str],
) -> None:
    for reader in READERS:
        await both_ways(reader, Where(dimension=Dimension.USER), ORDERS)
    none_shows(WHOLE, plans)
    none_shows(SORTED, plans)


async def test_two_tags_and_their_facets_read_no_whole_table(plans: dict[str, str]) -> None:
    for reader in READERS:
        page = await reading.contents(reader, 5, where=BOTH_TAGS)
        assert len(page.edges) == 5
        facets = await reading.facets(reader, BOTH_TAGS, Dimension.USER, 20)
        total = await reading.count(reader, BOTH_TAGS)
        assert {facet.tag.slug: facet.count for facet in facets}["t7"] == total
    none_shows(WHOLE, plans)


async def test_facets_of_everything_look_at_no_content(plans: dict[str, str]) -> None:
    for reader in READERS:
        plans.clear()
        facets = await reading.facets(reader, Where(), Dimension.USER, 20)
        none_shows(OF_CONTENTS, plans)
        narrowed = Where(locale="en")  # all of them, counted one by one
        assert facets == await reading.facets(reader, narrowed, Dimension.USER, 20)
        assert len(facets) == 20
