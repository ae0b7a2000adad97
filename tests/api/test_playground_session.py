"""Signing in to the playground: by a cookie that counts only beside a header of our own page, and
then for exactly what the token in it is worth."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from api.settings import Settings
from content.models import Audience
from core import database
from members import attempts, keys
from members.models import Role, Session
from tests import factories
from tests.client import REGISTER, Api
from tests.conftest import SECRET, serving
from tests.ports import free_port

OURS = {"x-wellspring-playground": "1"}
WHO = "{ viewer { displayName } }"
LIBRARY = "{ contents { nodes { slug } } }"
ORIGIN = "https://www.example.com"
PASSWORD = "correct horse battery"


@pytest.fixture
async def server(sqlite_url: str) -> AsyncIterator[Api]:
    settings = Settings(
        database_url=sqlite_url,
        port=free_port(),
        secret=SECRET,
        cors_origins=(ORIGIN,),
        target_hosts=("shop.example",),
    )
    async with serving(settings), Api(settings) as client:
        yield client


async def enter(server: Api, **given: Any) -> httpx.Response:
    return await server.http.post("/playground/session", json=given, headers=OURS)


async def leave(server: Api) -> httpx.Response:
    return await server.http.delete("/playground/session", headers=OURS)


async def ask(server: Api, query: str = WHO, **headers: str) -> httpx.Response:
    return await server.http.post("/graphql", json={"query": query}, headers=headers)


async def who(server: Api, **headers: str) -> Any:
    viewer = (await ask(server, **headers)).json()["data"]["viewer"]
    return viewer and viewer["displayName"]


async def lin_with_a_password(server: Api) -> None:
    joined = {"displayName": "lin", "email": "lin@example.com", "password": PASSWORD}
    await server.ask(REGISTER, input=joined)
    await Session.all().delete()


# ---- coming in and going


async def test_a_password_opens_a_session_that_signing_out_ends(server: Api) -> None:
    await lin_with_a_password(server)
    entered = await enter(server, email="LIN@example.com", password=PASSWORD)
    assert entered.status_code == 204
    assert entered.headers["cache-control"] == "no-store"
    assert await who(server, **OURS) == "lin"
    kept = dict(server.http.cookies)
    assert (await leave(server)).status_code == 204
    assert await Session.all().count() == 0
    assert dict(server.http.cookies) == {}
    server.http.cookies.update(kept)
    assert (await ask(server, **OURS)).status_code == 401


async def test_signing_in_as_somebody_else_ends_the_session_before(server: Api) -> None:
    await lin_with_a_password(server)
    for _ in range(2):
        await enter(server, email="lin@example.com", password=PASSWORD)
    assert await Session.all().count() == 1


async def test_a_token_that_was_brought_along_outlives_signing_out(server: Api) -> None:
    lin = await factories.person("lin")
    assert (await enter(server, token=f" {lin.token}\n")).status_code == 204
    assert await who(server, **OURS) == "lin"
    await leave(server)
    assert await who(server, **OURS) is None
    assert await who(server, authorization=f"Bearer {lin.token}") == "lin"


async def test_an_api_key_is_a_token_too(server: Api) -> None:
    admin = (await factories.person("an", Role.ADMIN)).member.id
    made = await keys.create("Shop", ["shop"], admin, datetime.now(UTC))
    assert (await enter(server, token=made.secret)).status_code == 204
    assert await who(server, **OURS) == "Shop"


@pytest.mark.parametrize("public_url", ["", "https://go.example.com"])
async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(
    sqlite_url: str, public_url: str
) -> None:
    settings = Settings(
        database_url=sqlite_url, port=free_port(), secret=SECRET, public_url=public_url
    )
    async with serving(settings), Api(settings) as server:
        lin = await factories.person("lin")
        [cookie] = (await enter(server, token=lin.token)).headers.get_list("set-cookie")
        [gone] = (await leave(server)).headers.get_list("set-cookie")
    for each in (cookie, gone):
        name, *options = each.split("; ")
        assert {"Path=/", "HttpOnly", "SameSite=Strict"} <= {*options}
        assert "Domain" not in each
        assert ("Secure" in options) is bool(public_url)
        assert name.startswith("__Host-") is bool(public_url)
    assert "Max-Age=0" in gone


# ---- what is refused


async def test_what_is_wrong_is_said_and_sets_no_cookie(server: Api) -> None:
    await lin_with_a_password(server)
    for given, status, code in (
        ({"email": "lin@example.com", "password": "wrong"}, 401, "UNAUTHENTICATED"),
        ({"email": "nobody@example.com", "password": PASSWORD}, 401, "UNAUTHENTICATED"),
        ({"email": "lin\x00", "password": "\x00"}, 401, "UNAUTHENTICATED"),
        ({"token": "nonsense"}, 401, "UNAUTHENTICATED"),
        ({"token": ""}, 401, "UNAUTHENTICATED"),
        ({"token": "wsk_nonsense"}, 401, "UNAUTHENTICATED"),
        ({"token": "茶; Path=/"}, 401, "UNAUTHENTICATED"),
        ({"token": 5}, 400, "BAD_USER_INPUT"),
        ({"email": "lin@example.com"}, 400, "BAD_USER_INPUT"),
        ({}, 400, "BAD_USER_INPUT"),
    ):
        answer = await enter(server, **given)
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (
            status,
            code,
        ), given
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b'{"token": "x"}', "text/plain", 415),
        (b" " * (1024 * 1024 + 1), "application/json", 413),
    ],
)
async def test_what_cannot_be_understood_is_refused(
    server: Api, content: bytes, kind: str, status: int
) -> None:
    headers = {**OURS, "content-type": kind}
    answer = await server.http.post("/playground/session", content=content, headers=headers)
    assert answer.status_code == status
    assert answer.json()["errors"][0]["extensions"]["requestId"]


async def test_nothing_is_done_without_the_header(server: Api) -> None:
    lin = await factories.person("lin")
    posted = await server.http.post("/playground/session", json={"token": lin.token})
    assert posted.status_code == 403
    assert "set-cookie" not in posted.headers
    await enter(server, token=lin.token)
    assert (await server.http.delete("/playground/session")).status_code == 403
    assert await who(server, **OURS) == "lin"


async def test_guessing_passwords_is_limited_as_it_is_over_graphql(server: Api) -> None:
    await lin_with_a_password(server)
    for _ in range(attempts.PER_ACCOUNT):
        await enter(server, email="lin@example.com", password="wrong")
    answer = await enter(server, email="lin@example.com", password=PASSWORD)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    over_graphql = (
        f'mutation {{ signIn(input: {{email: "lin@example.com", password: "{PASSWORD}"}}) '
        "{ token } }"
    )
    assert (await ask(server, over_graphql)).status_code == 429


async def test_requests_to_sign_in_count_for_their_address(sqlite_url: str) -> None:
    settings = Settings(database_url=sqlite_url, port=free_port(), secret=SECRET, rate_limit=3)
    async with serving(settings), Api(settings) as server:
        found = [(await enter(server, token="nonsense")).status_code for _ in range(4)]
    assert found == [401, 401, 401, 429]


# ---- what the cookie is worth


async def test_the_cookie_alone_signs_nobody_in(server: Api) -> None:
    lin = await factories.person("lin")
    await enter(server, token=lin.token)
    assert await who(server) is None
    assert await who(server, **OURS) == "lin"


async def test_a_wrong_cookie_beside_the_header_is_a_wrong_token(server: Api) -> None:
    for value in ("nonsense", "own.nonsense", "lent.", ""):
        cookie = {"cookie": f"wellspring_playground={value}"}
        answer = await ask(server, **OURS, **cookie)
        assert answer.status_code == 401, value
        assert answer.headers["www-authenticate"] == "Bearer"
        assert (await ask(server, **cookie)).status_code == 200


async def test_a_bearer_token_goes_before_the_cookie(server: Api) -> None:
    lin, mei = await factories.person("lin"), await factories.person("mei")
    await enter(server, token=lin.token)
    assert await who(server, **OURS, authorization=f"Bearer {mei.token}") == "mei"
    wrong = await ask(server, **OURS, authorization="Bearer nonsense")
    assert wrong.status_code == 401


async def test_a_browser_is_told_not_to_send_the_header_from_elsewhere(server: Api) -> None:
    def preflight(header: str) -> dict[str, str]:
        return {
            "origin": ORIGIN,
            "access-control-request-method": "POST",
            "access-control-request-headers": header,
        }

    for path in ("/graphql", "/playground/session"):
        allowed = await server.http.options(path, headers=preflight("authorization"))
        assert allowed.status_code == 200
        refused = await server.http.options(path, headers=preflight("x-wellspring-playground"))
        assert refused.status_code == 400
        assert "x-wellspring-playground" not in refused.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in allowed.headers


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_kept_answers_are_for_nobody_who_is_signed_in_by_it(server: Api, method: str) -> None:
    await factories.piece("tea")
    await factories.piece("staff", audience=Audience.STAFF)
    lin = await factories.person("lin", Role.EMPLOYEE)

    async def read(**headers: str) -> tuple[Any, str]:
        send: dict[str, Any] = {"headers": headers}
        send |= {"params" if method == "GET" else "json": {"query": LIBRARY}}
        answer = await server.http.request(method, "/graphql", **send)
        nodes = answer.json()["data"]["contents"]["nodes"]
        return {node["slug"] for node in nodes}, answer.headers["cache-control"]

    everybody = ({"tea"}, "public, no-cache")
    for _ in range(2):
        assert await read() == everybody
    await enter(server, token=lin.token)
    kept = dict(server.http.cookies)
    for _ in range(2):
        assert await read(**OURS) == ({"tea", "staff"}, "private, no-cache")
        assert await read() == ({"tea"}, "private, no-cache")
        server.http.cookies.clear()
        assert await read() == everybody
        server.http.cookies.update(kept)


async def test_one_limit_holds_for_the_cookie_and_the_token_in_it(sqlite_url: str) -> None:
    settings = Settings(database_url=sqlite_url, port=free_port(), secret=SECRET, rate_limit=6)
    async with serving(settings), Api(settings) as server:
        lin = await factories.person("lin")
        await enter(server, token=lin.token)
        bearer = {"authorization": f"Bearer {lin.token}"}
        found = [(await ask(server, **each)).status_code for each in [OURS, bearer] * 3]
    assert found == [200] * 5 + [429]


async def test_a_key_to_repeat_is_the_viewers_whichever_way_they_came(server: Api) -> None:
    lin = await factories.person("lin")
    await enter(server, token=lin.token)
    change = 'mutation { memberUpdate(input: {displayName: "Lin"}) { member { displayName } } }'
    key = {"idempotency-key": "a-key-of-this-test"}
    first = await ask(server, change, **OURS, **key)
    again = await ask(server, change, authorization=f"Bearer {lin.token}", **key)
    assert first.status_code == again.status_code == 200
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"


async def test_the_cookie_opens_nothing_but_graphql(server: Api) -> None:
    finance = await factories.person("bo", Role.FINANCE)
    await enter(server, token=finance.token)
    assert (await server.http.get("/payouts.csv", headers=OURS)).status_code == 401
    assert (await server.http.post("/assets", headers=OURS)).status_code == 401


async def test_what_goes_wrong_on_the_way_is_named_in_the_log_and_outside(server: Api) -> None:
    lin = await factories.person("lin")
    await enter(server, token=lin.token)
    await database.execute("DROP TABLE session")
    answer = await ask(server, **OURS)
    assert answer.status_code == 500
    error = answer.json()["errors"][0]["extensions"]
    assert error["code"] == "INTERNAL_SERVER_ERROR"
    assert error["requestId"] == answer.headers["x-request-id"]
