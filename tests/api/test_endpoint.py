"""GraphQL over HTTP as its specification has it: methods, forms of the answer, and statuses."""

import json
from typing import Any

import httpx
import pytest

from tests.api.books import on_sqlite_alone
from tests.client import REGISTER, Api

GRAPHQL = "application/graphql-response+json"
JSON = "application/json"
QUERY = "query One { tierRulesVersion } query Two { viewer { id } }"

pytestmark = on_sqlite_alone


async def post(live: Api, body: Any, **headers: str) -> httpx.Response:
    return await live.http.post("/graphql", json=body, headers=headers)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/json", JSON),
        (GRAPHQL, GRAPHQL),
        (f"{GRAPHQL}, {JSON};q=0.9", GRAPHQL),
        (f"{JSON}, {GRAPHQL};q=0.9", JSON),
        (f"{GRAPHQL}; charset=utf-8, {JSON}; charset=utf-8; q=0.5", GRAPHQL),
        ("text/html, */*;q=0.8", JSON),
        (f"text/event-stream, {GRAPHQL}", GRAPHQL),
    ],
)
async def test_the_answer_comes_in_the_form_that_the_client_likes_best(
    live: Api, accept: str, form: str
) -> None:
    for _ in range(2):  # a kept one too
        response = await post(live, {"query": "{ tiers { code } }"}, accept=accept)
        assert (response.status_code, response.headers["content-type"]) == (200, form)


async def test_a_client_that_takes_neither_form_is_told_so(live: Api) -> None:
    for accept in ("text/html", f"{JSON};q=0, {GRAPHQL};q=0"):
        response = await post(live, {"query": "{ tiers { code } }"}, accept=accept)
        assert response.status_code == 406
        assert response.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
        ({"query": "{ nobody }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": REGISTER, "variables": {"input": None}}, "BAD_USER_INPUT"),
    ],
)
async def test_what_cannot_be_executed_has_no_data_and_a_status_by_the_form(
    live: Api, body: Any, code: str
) -> None:
    for accept, status in ((GRAPHQL, 400), (JSON, 200)):
        response = await post(live, body, accept=accept)
        assert response.status_code == status
        answer = response.json()
        assert "data" not in answer
        assert answer["errors"][0]["extensions"] == {
            "code": code,
            "requestId": response.headers["x-request-id"],
        }


async def test_a_refusal_has_its_status_in_either_form(live: Api) -> None:
    for accept in (GRAPHQL, JSON):
        response = await post(live, {"query": QUERY}, accept=accept, authorization="Bearer no")
        assert (response.status_code, response.headers["content-type"]) == (401, accept)


async def test_a_query_comes_by_get_with_its_variables_and_its_operation(live: Api) -> None:
    for name, key in (("One", "tierRulesVersion"), ("Two", "viewer")):
        params = {"query": QUERY, "operationName": name, "variables": "{}", "extensions": ""}
        response = await live.http.get("/graphql", params=params)
        assert [*response.json()["data"]] == [key]
    query = "query ($slug: String!) { content(slug: $slug) { id } }"
    params = {"query": query, "variables": json.dumps({"slug": "tea"})}
    assert (await live.http.get("/graphql", params=params)).json()["data"] == {"content": None}


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"query": ""},
        {"query": QUERY},
        {"query": QUERY, "operationName": "Three"},
        {"query": QUERY, "operationName": "One", "variables": "[]"},
        {"query": QUERY, "operationName": "One", "variables": "{"},
        {"query": QUERY, "operationName": "One", "extensions": "1"},
    ],
)
async def test_a_get_that_says_too_little_or_nonsense_is_refused(
    live: Api, params: dict[str, str]
) -> None:
    response = await live.http.get("/graphql", params=params)
    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_other_methods_are_not_allowed(live: Api, method: str) -> None:
    response = await live.http.request(method, "/graphql", json={"query": QUERY})
    assert response.status_code == 405
    assert "POST" in response.headers["allow"]


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", 'application/json;charset="UTF-8"', JSON.upper()]
)
async def test_json_may_say_that_it_is_utf_8(live: Api, kind: str) -> None:
    body = json.dumps({"query": "{ tierRulesVersion }"}).encode()
    response = await live.http.post("/graphql", content=body, headers={"content-type": kind})
    assert response.status_code == 200


@pytest.mark.parametrize(
    "kind",
    [
        "application/json; charset=latin-1",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "",
    ],
)
async def test_what_a_form_of_another_site_could_send_is_refused(live: Api, kind: str) -> None:
    body = json.dumps({"query": "{ tierRulesVersion }"}).encode()
    response = await live.http.post("/graphql", content=body, headers={"content-type": kind})
    assert response.status_code == 415


async def test_a_choice_of_one_takes_exactly_one_that_is_not_null(live: Api) -> None:
    query = """mutation { tierRulesPublish(rules: [{code: "a", name: "A", rank: 1, rule: %s}]) {
      errors { code } } }"""
    for rule in ("{leaf: null}", "{}", "{any: [], all: []}", "{any: [], leaf: null}"):
        assert await live.refused(query % rule) == "GRAPHQL_VALIDATION_FAILED"
    assert await live.refused(query % "{any: []}") == "UNAUTHENTICATED"
