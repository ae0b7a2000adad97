"""Answers that are kept: what may be, who gets them, and how soon a change shows everywhere."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import parse

from api import caching, schema
from api.caching import Answer, Kept
from api.endpoint import GraphQLApp
from api.front import Front
from api.requests import BodyLimit
from api.settings import Settings
from content import lifecycle, state, tagging
from content.models import Audience
from content.tagging import TagChanges
from core import audit, database
from members.models import DowngradePolicy, Member, Role, Standing, Tier
from tests import factories
from tests.api.books import on_sqlite_alone
from tests.client import Api
from tests.conftest import SECRET
from tests.factories import NOW
from tests.members.statements import watched
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 30
LIST = """{ contents(first: 50) { totalCount facets(dimension: PRODUCT) { count tag { name } }
  nodes { slug title body bodyHtml access { reason requiredTier { code } }
    tags { slug name } } } tags { nodes { slug name contentCount } } tiers { code } }"""
PUBLISH = """mutation ($id: ID!) { contentPublish(id: $id, expectedVersion: 1) {
  errors { code message } } }"""
ARCHIVE = "mutation ($id: ID!) { contentArchive(id: $id) { errors { code message } } }"


@pytest.fixture
async def embedded(sqlite_url: str) -> AsyncIterator[str]:
    """SQLite alone, opened: for what is the same Python on either database."""
    async with database.opened(sqlite_url):
        yield sqlite_url


@asynccontextmanager
async def plain(
    settings: Settings, *, cached: bool
) -> AsyncIterator[tuple[httpx.AsyncClient, Any]]:
    """A client of the endpoint alone, and what keeps its answers; the database is open already."""
    graphql = GraphQLApp(settings)
    app: Any = Front(graphql, graphql, settings) if cached else graphql
    transport = httpx.ASGITransport(BodyLimit(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        yield client, getattr(app, "kept", None)


async def asked(client: httpx.AsyncClient, query: str, token: str | None = None) -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return await client.post("/graphql", json={"query": query}, headers=headers)


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        (LIST, True),
        ('{ content(slug: "a") { body author { displayName } media { url } } }', True),
        ("{ a: __typename contents { nodes { ...F } } } fragment F on Content { slug }", True),
        ("query A { tiers { code } } query B { contents { totalCount } }", True),
        ("{ viewer { id } }", False),
        ("{ contents { nodes { slug } } viewer { id } }", False),
        ("{ contents { nodes { reviewNote } } }", False),
        ("{ contents { nodes { author { email } } } }", False),
        ("{ tiers { memberCount } }", False),
        ("{ nodes(ids: []) { id } }", False),
        ("{ ...Q } fragment Q on Query { viewer { id } }", False),
        ("mutation { signOut }", False),
        ("query A { tiers { code } } mutation B { signOut }", False),
    ],
)
def test_only_what_the_library_and_the_gate_decide_is_shared(query: str, kept: bool) -> None:
    assert caching.shared(schema.schema._schema, parse(query)) is kept


async def test_who_comes_second_is_given_the_same_without_a_statement(live: Api) -> None:
    await factories.piece("tea")
    await live.post(LIST)
    first = await live.post(LIST)
    with watched() as statements:
        second = await live.post(LIST)
    assert not [each for each in statements if "audit_entry" not in each and "content" in each]
    assert second.content == first.content
    assert second.headers["etag"] == first.headers["etag"]
    assert second.headers["cache-control"] == "public, no-cache"
    assert second.headers["x-request-id"] != first.headers["x-request-id"]


@on_sqlite_alone
async def test_what_the_client_has_already_is_not_sent_again(live: Api) -> None:
    await factories.piece("tea")
    params = {"query": LIST}
    first = await live.http.get("/graphql", params=params)
    same = {"if-none-match": first.headers["etag"]}
    for _ in range(2):
        again = await live.http.get("/graphql", params=params, headers=same)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
    await factories.piece("milk")
    again = await live.http.get("/graphql", params=params, headers=same)
    assert again.status_code == 200
    assert again.headers["etag"] != first.headers["etag"]
    posted = await live.http.post(
        "/graphql", json=params, headers={"if-none-match": again.headers["etag"]}
    )
    assert (posted.status_code, posted.headers["etag"]) == (200, again.headers["etag"])


@on_sqlite_alone
async def test_whoever_is_signed_in_gets_an_etag_and_nothing_of_others(live: Api) -> None:
    await factories.piece("tea")
    lin = (await factories.person("lin")).token
    anybody = await live.post(LIST)
    hers = await live.post(LIST, lin)
    assert hers.headers["cache-control"] == "private, no-cache"
    assert "authorization" in hers.headers["vary"].lower()
    headers = {"authorization": f"Bearer {lin}", "if-none-match": hers.headers["etag"]}
    same = await live.http.get("/graphql", params={"query": LIST}, headers=headers)
    assert same.status_code == 304
    wrong = await live.post(LIST, "nonsense")
    assert wrong.status_code == 401
    assert "etag" not in wrong.headers
    assert anybody.status_code == 200


async def test_answers_kept_are_those_that_would_be_made_for_every_kind_of_viewer(
    opened: str,
) -> None:
    settings = Settings(database_url=opened, secret=SECRET)
    await Tier.create(code="silver", name="S", rank=1, rule={}, downgrade=DowngradePolicy.NEVER)
    await factories.tag("tea")
    for number, audience in enumerate(Audience):
        for tier in (None, "silver"):
            slug = f"p{number}{tier}".lower()
            given: Any = {"audience": audience, "min_tier": tier, "body": f"**{slug}**"}
            await factories.piece(slug, tags=["tea"], **given)
    tokens: list[str | None] = [None]
    roles = {"lin": (), "buyer": (), "staff": (Role.EMPLOYEE,), "ed2": (Role.EDITOR,)}
    for name, held in roles.items():
        tokens.append((await factories.person(name, *held)).token)
    silver = await Tier.get(code="silver")
    buyer = await Member.get(display_name="buyer")
    await Standing.filter(member_id=buyer.id).update(tier_id=silver.id, spend_minor=1)
    async with (
        plain(settings, cached=True) as (on, kept),
        plain(settings, cached=False) as (off, _),
    ):
        for _ in range(3):
            for token in tokens:
                answer = await asked(on, LIST, token)
                assert answer.content == (await asked(off, LIST, token)).content
                assert answer.status_code == 200
    assert len(kept.answers) == 1


@pytest.mark.parametrize(
    "query",
    [
        "{ contents(first: 0) { totalCount } }",
        "{ nonsense }",
        "{ viewer { id } }",
        "mutation { signOut }",
        "{ contents { nodes { slug reviewNote } } }",
    ],
)
async def test_errors_mutations_and_what_is_private_are_never_kept(
    embedded: str, query: str
) -> None:
    settings = Settings(database_url=embedded, secret=SECRET)
    await factories.piece("tea")
    async with plain(settings, cached=True) as (client, kept):
        for _ in range(2):
            answer = await asked(client, query)
            assert "etag" not in answer.headers
        assert not kept.answers


async def test_what_this_process_writes_shows_at_once(embedded: str) -> None:
    settings = Settings(database_url=embedded, secret=SECRET)
    await factories.tag("tea")
    number = await factories.piece("tea", tags=["tea"])
    editor = await Member.get(display_name="ed")
    async with plain(settings, cached=True) as (client, kept):

        async def shown() -> Any:
            answers = [(await asked(client, LIST)).json()["data"] for _ in range(3)]
            assert answers[0] == answers[1] == answers[2]
            assert kept.answers
            return answers[0]

        before = await shown()
        await tagging.update("tea", TagChanges(name="Green"), editor.id, NOW)
        assert (await shown())["tags"]["nodes"][0]["name"] == "Green"
        await factories.piece("new")
        assert (await shown())["contents"]["totalCount"] == 2
        await lifecycle.archive(number, editor.id, NOW)
        assert (await shown())["contents"]["totalCount"] == 1
        assert before["tiers"] == []
        await factories.ladder()
        assert len((await shown())["tiers"]) == 2


async def test_an_entry_that_comes_in_late_is_seen_as_a_change(opened: str) -> None:
    first = await state.current()
    await audit.AuditEntry.create(
        id=1000, at=NOW, action="x", subject_kind="Tag", subject_id=1, detail={}
    )
    second = await state.current()
    await audit.AuditEntry.create(
        id=999, at=NOW, action="x", subject_kind="Tag", subject_id=1, detail={}
    )
    assert len({first, second, await state.current(), await state.current()}) == 3


def test_what_is_kept_has_its_limits() -> None:
    kept = Kept()
    until = time.monotonic() + 60

    def key(number: int) -> tuple[bytes, ...]:
        return (b"POST", str(number).encode())

    def answer(size: int) -> Answer:
        return Answer(b"x" * size, [], b"", until)

    kept.keep(key(0), answer(caching.LARGEST_ANSWER_BYTES + 1))
    kept.keep((b"POST", b"x" * (caching.LARGEST_REQUEST_BYTES + 1)), answer(1))
    assert not kept.answers
    for number in range(caching.MOST_ANSWERS + 1):
        kept.keep(key(number), answer(1))
    assert len(kept.answers) == caching.MOST_ANSWERS
    assert key(0) not in kept.answers
    for number in range(caching.MOST_ANSWERS):
        kept.keep(key(number), answer(caching.LARGEST_ANSWER_BYTES))
    assert kept.size_bytes <= caching.MOST_BYTES
    held = sum(len(each.body) for each in kept.answers.values())
    assert held <= kept.size_bytes
    kept.forget()
    assert (kept.size_bytes, len(kept.answers)) == (0, 0)


async def test_an_answer_made_while_something_changed_is_not_kept(embedded: str) -> None:
    settings = Settings(database_url=embedded, secret=SECRET)
    await factories.piece("tea")
    graphql = GraphQLApp(settings)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                await factories.tag("late")
            await send(message)

        await graphql(scope, receive, sending)

    front = Front(app, graphql, settings)
    transport = httpx.ASGITransport(BodyLimit(front))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        await asked(client, LIST)
        assert not front.kept.answers


@pytest.mark.postgres
async def test_a_change_in_one_process_shows_in_the_other(
    postgres_url: str, record_property: Any
) -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(database.opened(postgres_url))
        token = (await factories.person("rui", Role.REVIEWER)).token
        await factories.tag("tea")
        await factories.piece("shown", tags=["tea"])
        ours, theirs = [await _process(stack, postgres_url) for _ in range(2)]
        published = await ours.ask(
            'mutation { contentCreate(input: {slug: "new", kind: ARTICLE, locale: "en", '
            'title: "New"}) { content { id } errors { code message } } }',
            token,
        )
        made = published["content"]["id"]
        rename = 'mutation { tagUpdate(slug: "tea", name: "Green") { errors { code message } } }'
        for change, variables in ((PUBLISH, {"id": made}), (rename, {}), (ARCHIVE, {"id": made})):
            before = await theirs.post(LIST)
            for _ in range(3):  # kept by now
                assert (await theirs.post(LIST)).content == before.content
            assert (await ours.ask(change, token, **variables))["errors"] == []
            changed_at = time.monotonic()
            expected = (await ours.post(LIST)).content
            assert expected != before.content  # at once where it was written
            while (found := (await theirs.post(LIST)).content) == before.content:
                assert time.monotonic() < changed_at + PATIENCE_SECONDS
                await asyncio.sleep(0.02)
            record_property("seconds", time.monotonic() - changed_at)
            assert found == expected


async def _process(stack: AsyncExitStack, url: str) -> Api:
    """A server in a process of its own, once it is ready."""
    settings = Settings(database_url=url, port=free_port(), secret=SECRET)
    environment = {
        **os.environ,
        "WELLSPRING_PORT": str(settings.port),
        "WELLSPRING_SECRET": SECRET,
        "WELLSPRING_DATABASE_URL": url,
    }
    process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
        [sys.executable, "-m", "api", "serve"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    stack.callback(process.wait)
    stack.callback(process.terminate)
    api = await stack.enter_async_context(Api(settings))
    deadline = time.monotonic() + 60
    while True:
        try:
            (await api.http.get("/health/ready")).raise_for_status()
        except httpx.HTTPError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
        else:
            return api
