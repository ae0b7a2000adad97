"""What is answered before anything else of the server, and that nobody can tell by the answer."""

from typing import Any

import httpx
import pytest

from api.endpoint import GraphQLApp
from api.front import Front
from api.rates import Rates
from api.requests import BodyLimit
from api.settings import Settings
from core import database
from tests import factories
from tests.api.books import on_sqlite_alone
from tests.client import Api
from tests.conftest import SECRET

PAGE = """query ($after: String, $first: Int = 1) {
  contents(first: $first, after: $after) { nodes { slug } pageInfo { endCursor } } }"""
OF_ONE = {"etag", "content-length", "x-request-id", "date"}
ASKED = [
    {},
    {"origin": "https://shop.example"},
    {"origin": "https://elsewhere.example"},
    {"accept": "application/graphql-response+json"},
    {"accept": "*/*", "origin": "https://shop.example"},
]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Scripts of one other origin may ask."""
    return settings.model_copy(update={"cors_origins": ("https://shop.example",)})


async def page(live: Api, headers: dict[str, str], after: str | None) -> httpx.Response:
    body = {"query": PAGE, "variables": {"after": after}}
    return await live.http.post("/graphql", json=body, headers=headers)


@on_sqlite_alone
async def test_answers_have_the_headers_that_the_server_as_a_whole_gives(live: Api) -> None:
    for number in range(4):
        await factories.piece(f"p{number}")
    for asked in ASKED:
        given: list[httpx.Response] = []
        after = None
        for _ in range(4):
            given.append(await page(live, asked, after))
            after = given[-1].json()["data"]["contents"]["pageInfo"]["endCursor"]
        named = [
            sorted(pair for pair in each.headers.multi_items() if pair[0] not in OF_ONE)
            for each in given
        ]
        assert all(each == named[0] for each in named), asked
        found = [each.json()["data"]["contents"]["nodes"][0]["slug"] for each in given]
        assert found == ["p3", "p2", "p1", "p0"]
        assert len({each.headers["etag"] for each in given}) == 4
        assert len({each.headers["x-request-id"] for each in given}) == 4
        assert all(int(each.headers["content-length"]) == len(each.content) for each in given)


@on_sqlite_alone
async def test_what_is_wrong_with_a_request_is_said_however_often_it_was_right(live: Api) -> None:
    await factories.piece("tea")
    for _ in range(2):
        first = await page(live, {}, None)
        end = first.json()["data"]["contents"]["pageInfo"]["endCursor"]
        assert (await page(live, {}, end)).status_code == 200
        named = await page(live, {"x-request-id": "mine-12345"}, end)
        assert named.headers["x-request-id"] == "mine-12345"
        assert (await page(live, {"accept": "text/html"}, end)).status_code == 406
        plain = {"content-type": "text/plain"}
        body = b'{"query": "{ contents { nodes { slug } } }"}'
        assert (await live.http.post("/graphql", content=body, headers=plain)).status_code == 415
        assert (await live.http.post("/graphql", json=[PAGE])).status_code == 400
        refused = (await page(live, {}, "x")).json()["errors"]
        assert refused[0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_page_that_was_asked_for_from_elsewhere_goes_no_further(sqlite_url: str) -> None:
    settings = Settings(database_url=sqlite_url, secret=SECRET)
    graphql = GraphQLApp(settings)
    passed_on: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        passed_on.append(scope["method"])
        await graphql(scope, receive, send)

    transport = httpx.ASGITransport(BodyLimit(Front(app, graphql, settings)))
    async with (
        database.opened(sqlite_url),
        httpx.AsyncClient(transport=transport, base_url="http://x") as client,
    ):
        for number in range(3):
            await factories.piece(f"p{number}")
        after: str | None = ""
        for expected in (1, 2, 2, 2):  # without a cursor, then with one, then with others
            variables = {"after": after} if after else {}
            found = await client.post("/graphql", json={"query": PAGE, "variables": variables})
            contents = found.json()["data"]["contents"]
            after = contents["pageInfo"]["endCursor"] or after
            assert len(passed_on) == expected
        assert contents["nodes"] == []
        for first in (2, 2):
            await client.post("/graphql", json={"query": PAGE, "variables": {"first": first}})
        assert len(passed_on) == 3  # another page, which is kept then


async def test_a_page_that_the_short_way_gives_up_counts_once_against_the_limit(
    sqlite_url: str,
) -> None:
    settings = Settings(database_url=sqlite_url, secret=SECRET)
    rates = Rates(6, lambda: 0.0)
    graphql = GraphQLApp(settings, rates)
    transport = httpx.ASGITransport(BodyLimit(Front(graphql, graphql, settings, rates)))
    async with (
        database.opened(sqlite_url),
        httpx.AsyncClient(transport=transport, base_url="http://x") as client,
    ):
        await factories.piece("tea")

        async def asked(after: str | None) -> httpx.Response:
            body = {"query": PAGE, "variables": {"after": after}}
            return await client.post("/graphql", json=body)

        first = await asked(None)
        end = first.json()["data"]["contents"]["pageInfo"]["endCursor"]
        answers = [await asked(after) for after in (end, "x", "y", end, "z", "x", end)]
    assert [each.status_code for each in answers] == [200] * 5 + [429] * 2
    errors = [error for each in answers for error in each.json().get("errors", [])]
    codes = [error["extensions"]["code"] for error in errors]
    assert codes == ["BAD_USER_INPUT"] * 3 + ["RATE_LIMITED"] * 2
