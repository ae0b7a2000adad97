"""Mutations that are sent again with their Idempotency-Key: one effect, and the same answer."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from api import schema
from api.repeating import WITHOUT
from core import database, idempotency
from members.models import Role
from tests import factories
from tests.api.books import counts, nothing_written, on_sqlite_alone
from tests.client import ORDER, REGISTER, Api

MEI = {"displayName": "Mei", "visitorId": "visitor-of-mei"}
CREATE = """mutation ($input: ContentCreateInput!) { contentCreate(input: $input) {
  content { id slug author { id displayName tier { code } } tags { slug contentCount }
    versions { totalCount nodes { version } } }
  errors { code field } } }"""


def key() -> str:
    return str(uuid.uuid4())


async def send(
    live: Api, query: str, key: str, token: str | None = None, **variables: Any
) -> httpx.Response:
    headers = {"idempotency-key": key} | ({"authorization": f"Bearer {token}"} if token else {})
    body = {"query": query, "variables": variables}
    return await live.http.post("/graphql", json=body, headers=headers)


def mistakes(response: httpx.Response) -> list[str]:
    [payload] = response.json()["data"].values()
    return [each["code"] for each in payload["errors"]]


async def test_the_same_again_is_answered_the_same_and_done_once(live: Api) -> None:
    mine = key()
    first = await send(live, REGISTER, mine, input=MEI)
    before = await counts()
    again = [await send(live, REGISTER, each, input=MEI) for each in (mine, f'"{mine}"')]
    assert [each.content for each in again] == [first.content] * 2
    assert first.json()["data"]["memberRegister"]["token"]
    assert "idempotency-replayed" not in first.headers
    assert again[0].headers["idempotency-replayed"] == "true"
    assert await counts() == before
    other = await send(live, REGISTER, key(), input=MEI)
    assert other.json()["data"] != first.json()["data"]


async def test_another_input_under_the_same_key_is_a_conflict_and_does_nothing(live: Api) -> None:
    mine = key()
    await send(live, REGISTER, mine, input=MEI)
    async with nothing_written():
        for query, given in (
            (REGISTER, MEI | {"displayName": "Xia"}),
            (REGISTER.replace("token", "t: token"), MEI),
        ):
            assert mistakes(await send(live, query, mine, input=given)) == ["IDEMPOTENCY_CONFLICT"]
    # White space and comments are no other request.
    assert mistakes(await send(live, REGISTER + " # again", mine, input=MEI)) == []


async def test_a_key_belongs_to_whoever_sends_it(live: Api) -> None:
    mine, ann, bo = key(), await factories.person("ann"), await factories.person("bo")
    update = "mutation { memberUpdate(input: {displayName: %s}) { member { id } errors { code } } }"
    answers = [await send(live, update % '"N"', mine, who.token) for who in (ann, bo, ann)]
    assert ["idempotency-replayed" in each.headers for each in answers] == [False, False, True]
    assert answers[0].content == answers[2].content != answers[1].content
    assert mistakes(await send(live, update % '"M"', mine, bo.token)) == ["IDEMPOTENCY_CONFLICT"]


async def test_many_at_the_same_time_take_effect_once(live: Api) -> None:
    editor = (await factories.person("rui", Role.REVIEWER)).token
    await factories.tag("tea")
    piece = {"slug": "new", "title": "New", "tags": ["tea"], "kind": "ARTICLE", "locale": "en"}
    mine = key()
    sent = [send(live, CREATE, mine, editor, input=piece) for _ in range(8)]
    answers = await asyncio.gather(*sent)
    assert {each.status_code for each in answers} == {200}
    assert len({each.content for each in answers}) == 1, answers[0].text
    assert mistakes(answers[0]) == []
    assert sum("idempotency-replayed" in each.headers for each in answers) == 7
    assert len(await database.rows("SELECT id FROM content")) == 1


async def test_a_mistake_is_not_kept_so_that_it_can_be_mended_under_the_same_key(
    live: Api,
) -> None:
    mine = key()
    async with nothing_written():
        assert mistakes(await send(live, REGISTER, mine, input={"displayName": ""})) == ["REQUIRED"]
    assert mistakes(await send(live, REGISTER, mine, input=MEI)) == []
    assert mistakes(await send(live, REGISTER, mine, input=MEI | {"displayName": "X"})) == [
        "IDEMPOTENCY_CONFLICT"
    ]


async def test_what_fails_leaves_nothing_of_all_its_mutations_and_can_be_sent_again(
    live: Api,
) -> None:
    two = """mutation { a: memberRegister(input: {displayName: "A"}) { errors { code } }
      b: memberUpdate(input: {displayName: "B"}) { errors { code } } }"""
    mine = key()
    async with nothing_written():  # the second one needs somebody who is signed in
        await database.execute("ALTER TABLE session RENAME TO gone")
        try:
            with capture_logs():
                failed = await send(live, two, mine)
        finally:
            await database.execute("ALTER TABLE gone RENAME TO session")
    assert failed.json()["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    again = await send(live, two, mine)
    assert "errors" not in again.json()
    assert (await send(live, two, mine)).content == again.content


@on_sqlite_alone
async def test_after_24_hours_a_key_is_new_again_and_workers_forget_it(live: Api) -> None:
    mine = key()
    first = await send(live, REGISTER, mine, input=MEI)
    now = datetime.now(UTC)
    assert not await idempotency.due(now + timedelta(hours=23, minutes=59))
    old = (now - timedelta(seconds=1)).isoformat(sep=" ")
    await database.execute(f"UPDATE kept_answer SET expires_at = '{old}'")
    again = await send(live, REGISTER, mine, input=MEI)
    assert "idempotency-replayed" not in again.headers
    assert again.content != first.content
    assert await idempotency.due(now + timedelta(hours=24, minutes=1))
    assert await idempotency.work(now + timedelta(hours=24, minutes=1))
    assert not await idempotency.work(now + timedelta(hours=24, minutes=1))
    assert await database.rows("SELECT id FROM kept_answer") == []


async def test_neither_the_key_nor_the_token_of_an_answer_is_stored(live: Api) -> None:
    mine = key()
    answer = (await send(live, REGISTER, mine, input=MEI)).json()
    [row] = await database.rows("SELECT * FROM kept_answer")
    assert mine not in str(row)
    assert answer["data"]["memberRegister"]["token"] not in str(row)
    assert "Mei" not in str(row)


@on_sqlite_alone
async def test_what_has_a_key_of_its_own_goes_by_that_one(live: Api) -> None:
    shop = (await factories.person("shop", Role.SERVICE)).token
    mine = key()
    for number, replayed in (("A-1", False), ("A-1", True), ("A-2", False)):
        order = {"source": "shop", "externalId": number, "amountMinor": 5}
        response = await send(live, ORDER, mine, shop, input=order)
        assert response.json()["data"]["orderRecord"]["replayed"] is replayed
    assert await database.rows("SELECT id FROM kept_answer") == []


@on_sqlite_alone
@pytest.mark.parametrize("bad", ["short", "x" * 201, "a key with blanks in it", ""])
async def test_a_key_that_could_be_guessed_or_is_none_is_refused(live: Api, bad: str) -> None:
    async with nothing_written():
        response = await send(live, REGISTER, bad, input=MEI)
    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


@on_sqlite_alone
async def test_a_key_for_half_of_a_document_is_refused(live: Api) -> None:
    both = """mutation { signOut ...R }
      fragment R on Mutation { memberRegister(input: {displayName: "A"}) { errors { code } } }"""
    async with nothing_written():
        assert (await send(live, both, key())).status_code == 400


def test_every_other_mutation_can_say_that_its_key_was_used() -> None:
    mutations = schema.schema._schema.mutation_type
    assert mutations is not None
    assert set(mutations.fields) >= WITHOUT
    for name, field in mutations.fields.items():
        if name not in WITHOUT:
            payload: Any = getattr(field.type, "of_type", field.type)
            assert "errors" in payload.fields, name
