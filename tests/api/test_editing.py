"""Writing the library over real HTTP: the whole life of an article, and who may do what."""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.nodes import to_id
from content.models import Content, ContentStatus, Media
from members.models import Role
from tests import factories
from tests.api.books import nothing_written, on_sqlite_alone
from tests.client import Api

FIELDS = """content { id slug status version publishedVersion pendingStatus scheduledAt title body
  reviewNote minTier { code } audience media { id } tags { slug } } errors { code field }"""
CREATE = "mutation ($input: ContentCreateInput!) { contentCreate(input: $input) { FIELDS } }"
UPDATE = "mutation ($input: ContentUpdateInput!) { contentUpdate(input: $input) { FIELDS } }"
SUBMIT = "mutation ($id: ID!) { contentSubmit(id: $id) { FIELDS } }"
REJECT = 'mutation ($id: ID!) { contentReject(id: $id, note: "Shorter") { FIELDS } }'
PUBLISH = """mutation ($id: ID!, $version: Int! = 1, $at: DateTime) {
  contentPublish(id: $id, expectedVersion: $version, at: $at) { FIELDS } }"""
UNSCHEDULE = "mutation ($id: ID!) { contentUnschedule(id: $id) { FIELDS } }"
ARCHIVE = "mutation ($id: ID!) { contentArchive(id: $id) { FIELDS } }"
UNARCHIVE = "mutation ($id: ID!) { contentUnarchive(id: $id) { FIELDS } }"
RESTORE = """mutation ($id: ID!, $expected: Int! = 1) {
  contentRestoreVersion(id: $id, version: 1, expectedVersion: $expected) { FIELDS } }"""
TAG_CREATE = """mutation ($input: TagCreateInput!) { tagCreate(input: $input) {
  tag { id slug name parent { slug } children { slug } contentCount } errors { code field } } }"""
TAG_UPDATE = """mutation ($slug: String!, $name: String, $newSlug: String, $parent: String) {
  tagUpdate(slug: $slug, name: $name, newSlug: $newSlug, parent: $parent) {
    tag { slug name parent { slug } } errors { code field } } }"""
TAG_MOVE = """mutation { tagUpdate(slug: "green", parent: null) {
  tag { slug parent { slug } } errors { code } } }"""
TAG_MERGE = """mutation ($from: String! = "a", $into: String! = "b") {
  tagMerge(from: $from, into: $into) { tag { slug contentCount } errors { code field } } }"""
CONTENTS_TAG = """mutation ($ids: [ID!]! = [], $add: [String!]! = []) {
  contentsTag(ids: $ids, add: $add) { contents { slug tags { slug } } errors { code field } } }"""
SEEN = "query ($slug: String!) { content(slug: $slug) { title version body } }"
HISTORY = """query ($id: ID!) { content(id: $id) {
  versions { totalCount nodes { version title tags { slug } savedBy { displayName } } }
  diff(from: 1, to: 2) reviewNote } }"""
TRAIL = """query ($subject: ID) { auditTrail(subject: $subject) {
  totalCount nodes { action subject actor { displayName } detail } } }"""
ARTICLE = {"slug": "Spring Tea", "title": "Spring tea", "body": "# Tea", "tags": ["green"]}

EDITING: Mapping[str, Mapping[str, Any]] = {
    CREATE: {"input": {"slug": "x", "title": "x"}},
    UPDATE: {"input": {"id": "x", "expectedVersion": 1}},
    SUBMIT: {"id": "x"},
    RESTORE: {"id": "x"},
    TAG_CREATE: {"input": {"dimension": "USER", "slug": "x", "name": "x"}},
    TAG_UPDATE: {"slug": "x"},
    TAG_MERGE: {},
    CONTENTS_TAG: {},
}
REVIEWING: Mapping[str, Mapping[str, Any]] = {
    query: {"id": "x"} for query in (REJECT, PUBLISH, UNSCHEDULE, ARCHIVE, UNARCHIVE)
}


async def do(live: Api, query: str, token: str | None, **variables: Any) -> Any:
    """The payload; fails when the call is refused as a whole."""
    return await live.ask(query.replace("FIELDS", FIELDS), token, **variables)


async def errors(live: Api, query: str, token: str, **variables: Any) -> list[Any]:
    """Code and field of each mistake; nothing came of it."""
    payload = await do(live, query, token, **variables)
    assert not payload.get("content")
    assert not payload.get("tag")
    return [(each["code"], each["field"]) for each in payload["errors"]]


async def test_an_article_lives_from_draft_to_archive(live: Api) -> None:
    editor = (await factories.person("xia", Role.EDITOR)).token
    reviewer = (await factories.person("rui", Role.REVIEWER)).token
    staff = (await factories.person("an", Role.ADMIN)).token
    await factories.tag("green")

    made = (await do(live, CREATE, editor, input=ARTICLE))["content"]
    assert (made["slug"], made["status"], made["version"]) == ("spring-tea", "DRAFT", 1)
    assert made["tags"] == [{"slug": "green"}]
    one = {"id": made["id"]}
    assert (await do(live, SUBMIT, editor, **one))["content"]["status"] == "IN_REVIEW"
    back = (await do(live, REJECT, reviewer, **one))["content"]
    assert (back["status"], back["reviewNote"]) == ("DRAFT", "Shorter")
    saved = {**one, "expectedVersion": 1, "title": "Tea"}
    assert (await do(live, UPDATE, editor, input=saved))["content"]["version"] == 2
    assert await errors(live, UPDATE, editor, input=saved) == [
        ("STALE_VERSION", ["expectedVersion"])
    ]
    assert await live.ask(SEEN, slug="spring-tea") is None
    await do(live, SUBMIT, editor, **one)
    published = (await do(live, PUBLISH, reviewer, **one, version=2))["content"]
    assert (published["status"], published["publishedVersion"]) == ("PUBLISHED", 2)
    assert await live.ask(SEEN, slug="spring-tea") == {
        "title": "Tea",
        "version": 2,
        "body": "# Tea",
    }

    newer = {**one, "expectedVersion": 2, "body": "# More", "slug": "tea"}
    beside = (await do(live, UPDATE, editor, input=newer))["content"]
    assert (beside["status"], beside["pendingStatus"], beside["body"]) == (
        "PUBLISHED",
        "DRAFT",
        "# More",
    )
    assert (await live.ask(SEEN, slug="tea"))["body"] == "# Tea"
    assert (await live.ask(SEEN, editor, slug="spring-tea"))["body"] == "# More"
    back = (await do(live, RESTORE, editor, **one, expected=3))["content"]
    assert (back["version"], back["title"], back["body"]) == (4, "Spring tea", "# Tea")
    assert (await do(live, ARCHIVE, reviewer, **one))["content"]["status"] == "ARCHIVED"
    assert await live.ask(SEEN, slug="tea") is None
    assert await errors(live, ARCHIVE, reviewer, **one) == [("INVALID_TRANSITION", None)]
    assert (await do(live, UNARCHIVE, reviewer, **one))["content"]["status"] == "DRAFT"

    history = await live.ask(HISTORY, editor, **one)
    assert history["versions"]["totalCount"] == 4
    assert [node["version"] for node in history["versions"]["nodes"]] == [4, 3, 2, 1]
    assert history["versions"]["nodes"][0]["savedBy"] == {"displayName": "xia"}
    assert "-title: Spring tea\n+title: Tea\n" in history["diff"]
    trail = await live.ask(TRAIL, staff, subject=made["id"])
    assert [node["action"] for node in reversed(trail["nodes"])] == [
        *("contentCreate", "contentSubmit", "contentReject", "contentUpdate", "contentSubmit"),
        *("contentPublish", "contentUpdate", "contentRestoreVersion", "contentArchive"),
        "contentUnarchive",
    ]
    assert {node["subject"] for node in trail["nodes"]} == {made["id"]}
    assert trail["nodes"][0]["actor"] == {"displayName": "rui"}


async def test_a_scheduled_article_appears_by_itself(live: Api, monkeypatch: Any) -> None:
    monkeypatch.setattr("api.worker.SWEEP_SECONDS", 0.1)
    reviewer = (await factories.person("rui", Role.REVIEWER)).token
    tea = await factories.piece("tea", status=ContentStatus.DRAFT)
    at = datetime.now(UTC) + timedelta(seconds=1)
    one = {"id": to_id("Content", tea), "at": at.isoformat()}
    assert (await do(live, PUBLISH, reviewer, **one))["content"]["status"] == "SCHEDULED"
    deadline = time.monotonic() + 20
    while await live.ask(SEEN, slug="tea") is None:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    assert datetime.now(UTC) >= at
    assert (await Content.get(id=tea)).published_at == at


@on_sqlite_alone
async def test_only_editors_write_and_only_reviewers_publish(live: Api) -> None:
    people = {
        role: (await factories.person(role.lower(), role)).token
        for role in Role
        if role is not Role.MEMBER
    }
    people[Role.MEMBER] = (await factories.person("mei")).token
    editors = {Role.EDITOR, Role.REVIEWER, Role.ADMIN}
    async with nothing_written():
        for queries, allowed in ((EDITING, editors), (REVIEWING, editors - {Role.EDITOR})):
            for query, variables in queries.items():
                text = query.replace("FIELDS", FIELDS)
                assert await live.refused(text, **variables) == "UNAUTHENTICATED"
                for role in set(Role) - allowed:
                    assert await live.refused(text, people[role], **variables) == "FORBIDDEN"


@on_sqlite_alone
async def test_what_is_for_editors_and_staff_is_refused_to_others(live: Api) -> None:
    await factories.piece("tea")
    shop = (await factories.person("shop", Role.SERVICE)).token
    employee = (await factories.person("lin", Role.EMPLOYEE)).token
    for field in ("reviewNote", "versions { totalCount }", "diff(from: 1, to: 1)"):
        query = f'{{ content(slug: "tea") {{ {field} }} }}'
        assert await live.refused(query) == "UNAUTHENTICATED"
        assert await live.refused(query, shop) == "FORBIDDEN"
        assert await live.refused(query, employee) == "FORBIDDEN"
    editor = (await factories.person("xia", Role.EDITOR)).token
    assert await live.refused(TRAIL, editor) == "FORBIDDEN"
    assert await live.refused('{ content(slug: "tea") { diff(from: 1, to: 2) } }', editor) == (
        "BAD_USER_INPUT"
    )


@on_sqlite_alone
async def test_each_mistake_has_its_code_and_field_and_writes_nothing(live: Api) -> None:
    token = (await factories.person("rui", Role.REVIEWER)).token
    await factories.tag("green")
    tea = to_id("Content", await factories.piece("tea"))
    article = {"slug": "x", "title": "x"}
    update = {"id": tea, "expectedVersion": 1}
    wrong: list[tuple[str, dict[str, Any], str, list[str] | None]] = [
        (CREATE, {"input": {**article, "slug": "TEA"}}, "NOT_UNIQUE", ["slug"]),
        (CREATE, {"input": {**article, "title": ""}}, "REQUIRED", ["title"]),
        (CREATE, {"input": {**article, "title": "x" * 301}}, "TOO_LONG", ["title"]),
        (CREATE, {"input": {**article, "tags": ["no"]}}, "NOT_FOUND", ["tags"]),
        (CREATE, {"input": {**article, "minTier": "no"}}, "NOT_FOUND", ["minTier"]),
        (CREATE, {"input": {**article, "media": ["no"]}}, "NOT_FOUND", ["media"]),
        (CREATE, {"input": {**article, "tags": ["a"] * 101}}, "LIMIT_EXCEEDED", ["tags"]),
        (UPDATE, {"input": {**update, "id": "no"}}, "NOT_FOUND", ["id"]),
        (UPDATE, {"input": {**update, "title": None}}, "REQUIRED", ["title"]),
        (UPDATE, {"input": {**update, "slug": None}}, "REQUIRED", ["slug"]),
        (UPDATE, {"input": {**update, "expectedVersion": 2}}, "STALE_VERSION", ["expectedVersion"]),
        (SUBMIT, {"id": tea}, "INVALID_TRANSITION", None),
        (SUBMIT, {"id": to_id("Content", 98_765)}, "NOT_FOUND", ["id"]),
        (RESTORE, {"id": tea, "expected": 9}, "STALE_VERSION", ["expectedVersion"]),
        (TAG_CREATE, {"input": tag("GREEN")}, "NOT_UNIQUE", ["slug"]),
        (TAG_CREATE, {"input": tag("x", parent="no")}, "NOT_FOUND", ["parent"]),
        (TAG_CREATE, {"input": tag("x", parent="green")}, "INVALID", ["parent"]),
        (TAG_UPDATE, {"slug": "no"}, "NOT_FOUND", ["slug"]),
        (TAG_UPDATE, {"slug": "green", "parent": "green"}, "INVALID", ["parent"]),
        (TAG_UPDATE, {"slug": "green", "newSlug": " "}, "REQUIRED", ["newSlug"]),
        (TAG_MERGE, {"from": "green"}, "NOT_FOUND", ["into"]),
        (TAG_MERGE, {"into": "green"}, "NOT_FOUND", ["from"]),
        (CONTENTS_TAG, {"ids": [tea, "no"]}, "NOT_FOUND", ["ids"]),
        (CONTENTS_TAG, {"ids": [tea], "add": ["no"]}, "NOT_FOUND", ["add"]),
        (CONTENTS_TAG, {"ids": [tea] * 101}, "LIMIT_EXCEEDED", ["ids"]),
    ]
    async with nothing_written():
        for query, variables, code, field in wrong:
            assert await errors(live, query, token, **variables) == [(code, field)], variables


def tag(slug: str, **more: str) -> dict[str, str]:
    return {"dimension": "USER", "slug": slug, "name": slug, **more}


@on_sqlite_alone
async def test_what_is_left_out_stays_and_null_empties(live: Api) -> None:
    token = (await factories.person("xia", Role.EDITOR)).token
    await factories.ladder()
    await factories.tag("green")
    medium = await Media.create(url="https://x.example/1", mime="image/png")
    media = [to_id("Media", medium.id)]
    given = {**ARTICLE, "minTier": "silver", "audience": "BUYERS", "media": media}
    made = (await do(live, CREATE, token, input=given))["content"]
    assert (made["minTier"], made["audience"]) == ({"code": "silver"}, "BUYERS")
    update = {"id": made["id"], "expectedVersion": 1, "title": "New"}
    kept = (await do(live, UPDATE, token, input=update))["content"]
    assert kept == {**made, "title": "New", "version": 2}
    update |= {"expectedVersion": 2, "minTier": None, "tags": [], "media": []}
    emptied = (await do(live, UPDATE, token, input=update))["content"]
    empty = {"minTier": None, "tags": [], "media": []}
    assert emptied == {**kept, **empty, "version": 3}


@on_sqlite_alone
async def test_tags_are_made_moved_merged_and_put_on_contents(live: Api) -> None:
    token = (await factories.person("xia", Role.EDITOR)).token
    await do(live, TAG_CREATE, token, input=tag("Tea"))
    made = await do(live, TAG_CREATE, token, input=tag("green", parent="tea"))
    assert made["tag"]["parent"] == {"slug": "tea"}
    tea = to_id("Content", await factories.piece("p", tags=["green"]))
    moved = await live.ask(TAG_MOVE, token)
    assert moved["tag"] == {"slug": "green", "parent": None}
    renamed = await do(live, TAG_UPDATE, token, slug="green", name="Green", newSlug="Grün")
    assert renamed["tag"] == {"slug": "grün", "name": "Green", "parent": None}
    put = await do(live, CONTENTS_TAG, token, ids=[tea], add=["tea"])
    assert put["contents"] == [{"slug": "p", "tags": [{"slug": "grün"}, {"slug": "tea"}]}]
    merged = await do(live, TAG_MERGE, token, **{"from": "green", "into": "tea"})
    assert merged["tag"] == {"slug": "tea", "contentCount": 1}


@on_sqlite_alone
async def test_several_mutations_of_one_request_each_show_what_they_wrote(live: Api) -> None:
    token = (await factories.person("xia", Role.EDITOR)).token
    await factories.tag("a")
    tea = to_id("Content", await factories.piece("tea"))
    query = """mutation ($id: ID!) {
      one: contentsTag(ids: [$id], add: ["a"]) { contents { tags { slug } } }
      two: contentsTag(ids: [$id], remove: ["a"]) { contents { tags { slug } } }
      three: tagUpdate(slug: "a", name: "A") { tag { name contentCount } } }"""
    answer = (await live.post(query, token, id=tea)).json()["data"]
    assert answer["one"]["contents"][0]["tags"] == [{"slug": "a"}]
    assert answer["two"]["contents"][0]["tags"] == []
    assert answer["three"]["tag"] == {"name": "A", "contentCount": 0}


@pytest.mark.parametrize("name", ["contentPublish", "contentUpdate"])
@on_sqlite_alone
async def test_an_editor_of_two_windows_does_not_lose_a_save(live: Api, name: str) -> None:
    token = (await factories.person("rui", Role.REVIEWER)).token
    number = await factories.piece("tea", status=ContentStatus.DRAFT)
    one = {"id": to_id("Content", number)}
    await do(live, UPDATE, token, input={**one, "expectedVersion": 1, "title": "First window"})
    late = {"id": one["id"], "expectedVersion": 1, "title": "Second window"}
    query, variables = (PUBLISH, one) if name == "contentPublish" else (UPDATE, {"input": late})
    assert await errors(live, query, token, **variables) == [("STALE_VERSION", ["expectedVersion"])]
    assert (await live.ask(SEEN, token, slug="tea"))["title"] == "First window"
