"""Reading the library over real HTTP: lists, their counts, nodes, and how many statements."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from api.endpoint import GraphQLApp
from api.nodes import to_id
from api.requests import BodyLimit
from api.settings import Settings
from content.models import ContentStatus, Media
from core import database
from members.models import Role
from tests import factories
from tests.api.books import on_sqlite_alone
from tests.client import Api
from tests.conftest import SECRET
from tests.members.statements import watched

LIST = """query ($where: ContentWhere, $orderBy: ContentOrder, $first: Int, $after: String,
    $last: Int, $before: String) {
  contents(where: $where, orderBy: $orderBy, first: $first, after: $after, last: $last,
      before: $before) {
    nodes { slug } totalCount facets(dimension: PRODUCT) { tag { slug } count }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""
WHOLE = """{ contents { nodes {
  title body bodyHtml access { reason requiredTier { code } } minTier { code } media { url }
  tags { slug parent { slug } } author { displayName } } } }"""
TREE = """{ tags(first: 100) { totalCount nodes {
  slug contentCount parent { slug } children { slug contentCount } } } }"""
NODES = """query ($ids: [ID!]!) { nodes(ids: $ids) {
  id ... on Content { title body } ... on Tag { slug } } }"""
EVERYTHING = {"status": ["DRAFT", "IN_REVIEW", "SCHEDULED", "PUBLISHED", "ARCHIVED"]}


async def shelved(count: int) -> None:
    """A tree of tags and that many contents under it, every other one gated."""
    await factories.tag("tea")
    await factories.tag("green", "tea")
    for number in range(count):
        await factories.piece(
            f"p{number}",
            tags=["green"] if number % 2 else ["tea"],
            min_tier="silver" if number % 2 else None,
        )


async def asked(live: Api, token: str | None = None, **variables: Any) -> list[str]:
    found = await live.ask(LIST, token, **variables)
    return [node["slug"] for node in found["nodes"]]


async def test_a_list_is_narrowed_ordered_paged_and_counted(live: Api) -> None:
    await factories.ladder()
    await shelved(4)
    found = await live.ask(LIST, where={"tags": {"anyOf": ["Green"]}}, first=1)
    assert found == {
        "nodes": [{"slug": "p3"}],
        "totalCount": 2,
        "facets": [
            {"tag": {"slug": "green"}, "count": 2},
            {"tag": {"slug": "tea"}, "count": 2},
        ],
        "pageInfo": {
            "hasNextPage": True,
            "hasPreviousPage": False,
            "startCursor": found["pageInfo"]["endCursor"],
            "endCursor": found["pageInfo"]["endCursor"],
        },
    }
    title = {"field": "TITLE", "direction": "ASC"}
    assert await asked(live, orderBy=title) == ["p0", "p1", "p2", "p3"]
    page = (await live.ask(LIST, orderBy=title, last=2))["pageInfo"]
    assert await asked(live, orderBy=title, last=2) == ["p2", "p3"]
    assert await asked(live, orderBy=title, last=9, before=page["startCursor"]) == ["p0", "p1"]
    assert await asked(live, where={"tags": {"noneOf": ["green"]}}) == ["p2", "p0"]
    both = {"allOf": ["tea"], "and": [{"anyOf": ["green", "x"]}]}
    assert await asked(live, where={"tags": both}) == ["p3", "p1"]
    assert await asked(live, where={"kind": []}) == []


@on_sqlite_alone
async def test_what_no_page_can_be_made_of_is_refused(live: Api) -> None:
    await factories.piece("a")
    await factories.piece("b")
    cursor = (await live.ask(LIST, first=1))["pageInfo"]["endCursor"]
    deep: dict[str, Any] = {}
    for _ in range(5):
        deep = {"and": [deep]}
    for variables in (
        {"first": 0},
        {"first": 101},
        {"last": 101},
        {"first": 1, "last": 1},
        {"first": 1, "after": f"{cursor}x"},
        {"first": 1, "after": ""},
        {"first": 1, "before": "x"},
        {"after": cursor, "where": {"locale": "en"}},
        {"after": cursor, "orderBy": {"field": "TITLE"}},
        {"where": {"tags": deep}},
        {"where": {"tags": {"anyOf": ["x"] * 101}}},
    ):
        assert await live.refused(LIST, **variables) == "BAD_USER_INPUT", variables
    assert await asked(live, after=cursor) == ["a"]
    facets = "{ contents { facets(dimension: USER, first: 101) { count } } }"
    assert await live.refused(facets) == "BAD_USER_INPUT"
    for query in ("{ content { id } }", '{ content(id: "x", slug: "y") { id } }'):
        assert await live.refused(query) == "BAD_USER_INPUT"


@on_sqlite_alone
async def test_an_editor_lists_drafts_only_when_asking_for_them(live: Api) -> None:
    await factories.piece("shown")
    await factories.piece("hidden", status=ContentStatus.DRAFT)
    editor = (await factories.person("xia", Role.EDITOR)).token
    assert await asked(live, editor) == ["shown"]
    assert await asked(live, editor, where=EVERYTHING) == ["hidden", "shown"]
    assert await asked(live, where=EVERYTHING) == ["shown"]


async def test_nodes_are_found_as_far_as_they_may_be_seen(live: Api) -> None:
    tag = await factories.tag("tea")
    shown = await factories.piece("shown", body="b")
    hidden = await factories.piece("hidden", status=ContentStatus.DRAFT)
    ids = [
        to_id("Content", hidden),
        to_id("Tag", tag.id),
        to_id("Content", shown),
        to_id("Content", 98_765),
        to_id("Program", 1),
        "nonsense",
        "",
    ]
    assert await live.ask(NODES, ids=ids) == [
        None,
        {"id": ids[1], "slug": "tea"},
        {"id": ids[2], "title": "Shown", "body": "b"},
        *[None] * 4,
    ]
    assert await live.ask("query ($id: ID!) { node(id: $id) { id } }", id=ids[0]) is None
    assert await live.ask("query ($id: ID!) { node(id: $id) { id } }", id=ids[1]) == {"id": ids[1]}
    assert await live.refused(NODES, ids=["x"] * 101) == "BAD_USER_INPUT"


@pytest.fixture
async def alone(sqlite_url: str) -> AsyncIterator[Api]:
    """The endpoint without a worker, whose statements would be counted too."""
    settings = Settings(database_url=sqlite_url, secret=SECRET)
    transport = httpx.ASGITransport(BodyLimit(GraphQLApp(settings)))
    async with database.opened(sqlite_url), Api(settings) as api:
        api.http = httpx.AsyncClient(transport=transport, base_url="http://x")
        yield api


async def test_a_whole_page_takes_as_many_statements_as_one_content(alone: Api) -> None:
    await factories.ladder()
    await shelved(1)
    medium = await Media.create(url="https://x.example/1", mime="image/png")
    await factories.piece("one", tags=["green"], media=[medium.id], min_tier="silver", body="b")
    employee = (await factories.person("lin", Role.EMPLOYEE)).token
    counts = {}
    for size in (2, 20):
        for number in range(size - 2):
            await factories.piece(f"more{number}", tags=["green"], min_tier="gold", body="b")
        for token in (None, employee):
            for query in (WHOLE, TREE):
                with watched() as statements:
                    await alone.ask(query, token)
                counts.setdefault((token, query), []).append(len(statements))
    assert all(few == many for few, many in counts.values()), counts
    assert max(many for _, many in counts.values()) <= 8


async def test_counts_and_facets_cost_nothing_unless_they_are_asked_for(alone: Api) -> None:
    await factories.piece("tea")
    with watched() as statements:
        await alone.ask("{ contents { nodes { slug title body } pageInfo { hasNextPage } } }")
    assert len(statements) == 2
    assert not any("COUNT" in each for each in statements)


FOUND = """query ($search: String, $first: Int, $after: String) {
  contents(where: {search: $search}, first: $first, after: $after) {
    totalCount pageInfo { endCursor }
    edges { node { slug body } highlights { field text ranges } } } }"""


async def test_a_search_shows_where_it_matched_and_no_body_that_is_gated(live: Api) -> None:
    await factories.ladder()
    tag = await factories.tag("直播")
    await factories.piece("gated", title="Tea", body="看直播", min_tier="silver")
    await factories.piece("open", title="看直播吧", body="開直播 tea", tags=[tag.slug])
    found = await live.ask(FOUND, search="直播")
    assert found["totalCount"] == 1
    assert found["edges"][0]["highlights"] == [
        {"field": "title", "text": "看直播吧", "ranges": [[1, 3]]},
        {"field": "body", "text": "開直播 tea", "ranges": [[1, 3]]},
        {"field": "tags", "text": "直播", "ranges": [[0, 2]]},
    ]
    found = await live.ask(FOUND, search="ＴＥ", first=1)
    assert found["totalCount"] == 2
    assert found["edges"] == [
        {
            "node": {"slug": "gated", "body": None},
            "highlights": [{"field": "title", "text": "Tea", "ranges": [[0, 2]]}],
        }
    ]
    found = await live.ask(FOUND, search="ＴＥ", after=found["pageInfo"]["endCursor"])
    assert [edge["node"]["slug"] for edge in found["edges"]] == ["open"]
    employee = (await factories.person("lin", Role.EMPLOYEE)).token
    found = await live.ask(FOUND, employee, search="看直播")
    assert [edge["node"]["slug"] for edge in found["edges"]] == ["open", "gated"]
    assert found["edges"][1]["highlights"] == [
        {"field": "body", "text": "看直播", "ranges": [[0, 3]]}
    ]
    assert [edge["highlights"] for edge in (await live.ask(FOUND))["edges"]] == [[], []]


@on_sqlite_alone
async def test_a_search_that_cannot_be_made_is_refused(live: Api) -> None:
    assert await live.refused(FOUND, search="x" * 201) == "BAD_USER_INPUT"
    for where in ({}, {"search": " "}):
        asked_for = {"where": where, "orderBy": {"field": "RELEVANCE"}}
        assert await live.refused(LIST, **asked_for) == "BAD_USER_INPUT"
