"""What callers get wrong, over real HTTP: each mistake has its code, and nothing is written."""

import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from strawberry.relay import to_base64
from structlog.testing import capture_logs

from api import documents
from api.nodes import to_id
from core import codes, database
from members.models import Role
from tests import factories
from tests.api.books import nothing_written, on_sqlite_alone
from tests.client import ENSURE, ORDER, REFUND, REGISTER, TOUCH, Api

MIB = 1024 * 1024
VIEWER = "{ viewer { id } }"
CUSTOMER = """query ($source: String!, $ref: String!) {
  customer(source: $source, customerRef: $ref) { id } }"""
CONVERSION = """query ($source: String!, $id: String!) {
  conversion(source: $source, externalId: $id) { id } }"""
CONTENTS = """query ($first: Int!, $after: String) {
  contents(first: $first, after: $after) { totalCount } }"""
SURROGATE = "\ud800 alone"

Refused = tuple[str, list[str]]


async def send(live: Api, body: bytes, **headers: str) -> httpx.Response:
    return await live.http.post(
        "/graphql", content=body, headers={"content-type": "application/json", **headers}
    )


async def ask_in_ascii(live: Api, query: str, token: str | None = None, **variables: Any) -> Any:
    """As `Api.post`, but able to send what no UTF-8 can: escaped lone surrogates."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    body = json.dumps({"query": query, "variables": variables}).encode()
    return (await send(live, body, **headers)).json()


def top_level(answer: Mapping[str, Any]) -> Any:
    """The code of the first top-level error, or the answer where there is none."""
    return answer["errors"][0]["extensions"]["code"] if answer.get("errors") else answer


async def mistakes(
    live: Api, query: str, token: str | None, inputs: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """What each of the inputs is answered: code and field of the only error, or all of it."""
    found: dict[str, Any] = {}
    for name, fields in inputs.items():
        answer = await ask_in_ascii(live, query, token, input=fields)
        [payload] = (answer.get("data") or {"": None}).values()
        if payload is None or len(payload["errors"]) != 1:
            found[name] = answer
        else:
            [error] = payload["errors"]
            found[name] = (error["code"], error["field"])
    return found


def assert_plain_refusal(response: httpx.Response, status: int, code: str) -> None:
    """The request as a whole was refused, in JSON, naming itself."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    [error] = response.json()["errors"]
    assert error["extensions"] == {
        "code": code,
        "requestId": response.headers["x-request-id"],
    }
    assert error["message"]


# Bodies


@on_sqlite_alone
async def test_a_body_that_is_no_request_is_refused_in_json(live: Api) -> None:
    bodies = {
        "cut short": b'{"query": "{ viewer { id } }"',
        "empty": b"",
        "words": b"hello",
        "Latin-1": '{"query": "{ viewer { id } } # caf\xe9"}'.encode("latin-1"),
        "overlong UTF-8": b'{"query": "\xc0\xaf"}',
        "a batch": b'[{"query": "{ viewer { id } }"}]',
        "an empty batch": b"[]",
        "no query": b'{"variables": {}}',
        "a number for a query": b'{"query": 1}',
        "a list of variables": b'{"query": "{ viewer { id } }", "variables": [1]}',
        "a name that is not there": b'{"query": "query A { viewer { id } }", "operationName": "B"}',
    }
    async with nothing_written():
        for body in bodies.values():
            assert_plain_refusal(await send(live, body), 400, "BAD_USER_INPUT")


@on_sqlite_alone
async def test_json_that_is_no_object_is_refused_in_json(live: Api) -> None:
    digits = b"9" * 5_000
    answers = {
        body[:30]: (await send(live, body)).status_code
        for body in (b"null", b"1", b'"text"', b"true", b'{"query": ' + digits + b"}")
    }
    assert set(answers.values()) == {400}, answers


@on_sqlite_alone
async def test_a_body_of_another_content_type_is_refused(live: Api) -> None:
    response = await send(
        live, json.dumps({"query": VIEWER}).encode(), **{"content-type": "text/plain"}
    )
    assert_plain_refusal(response, 415, "BAD_USER_INPUT")


def padded(size: int) -> bytes:
    body = json.dumps({"query": VIEWER}).encode()
    return body + b" " * (size - len(body))


async def in_chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 50_000):
        yield body[start : start + 50_000]


@on_sqlite_alone
async def test_a_body_of_exactly_one_mebibyte_is_taken(live: Api) -> None:
    for content in (padded(MIB), in_chunks(padded(MIB))):
        response = await live.http.post(
            "/graphql", content=content, headers={"content-type": "application/json"}
        )
        assert response.json()["data"] == {"viewer": None}


@on_sqlite_alone
async def test_a_body_above_one_mebibyte_is_refused_with_and_without_its_length(
    live: Api,
) -> None:
    join = {"query": REGISTER, "variables": {"input": {"displayName": "Mei"}}}
    body = json.dumps(join).encode()
    body += b" " * (MIB + 1 - len(body))
    async with nothing_written():
        for content in (body, in_chunks(body), padded(10 * MIB)):
            response = await live.http.post(
                "/graphql", content=content, headers={"content-type": "application/json"}
            )
            assert_plain_refusal(response, 413, "PAYLOAD_TOO_LARGE")
    # The server is as good as before.
    assert (await live.post(VIEWER)).json()["data"] == {"viewer": None}


@on_sqlite_alone
async def test_a_mutation_over_get_is_refused(live: Api) -> None:
    mutation = 'mutation { memberRegister(input: {displayName: "Mei"}) { token } }'
    async with nothing_written():
        response = await live.http.get("/graphql", params={"query": mutation})
    assert_plain_refusal(response, 405, "BAD_USER_INPUT")
    assert response.headers["allow"] == "POST"


# Documents


@on_sqlite_alone
async def test_documents_that_do_not_fit_the_schema_say_so(live: Api) -> None:
    stage = await factories.stage()
    faulty = {
        "{ viewer {": "GRAPHQL_PARSE_FAILED",
        "": "BAD_USER_INPUT",
        "{ viewer { id } ": "GRAPHQL_PARSE_FAILED",
        "{ viewer" * 100: "GRAPHQL_PARSE_FAILED",
        "{ viewer" * 101: "QUERY_TOO_COMPLEX",
        '{ customer(source: "\\ud800", customerRef: "x") { id } }': "GRAPHQL_PARSE_FAILED",
        "{ nobody { id } }": "GRAPHQL_VALIDATION_FAILED",
        "{ viewer { password } }": "GRAPHQL_VALIDATION_FAILED",
        "{ viewer }": "GRAPHQL_VALIDATION_FAILED",
        "mutation { orderRecord(input: {}) { replayed } }": "GRAPHQL_VALIDATION_FAILED",
        "query ($no: Nothing) { viewer { id } }": "GRAPHQL_VALIDATION_FAILED",
    }
    async with nothing_written():
        found = {
            document: top_level((await live.post(document, stage.shop.token)).json())
            for document in faulty
        }
    assert found == faulty


async def test_pages_and_cursors_out_of_range_are_refused(live: Api) -> None:
    async with nothing_written():
        for first in (0, -1, 101, 2**31):
            assert await live.refused(CONTENTS, first=first, after=None) == "BAD_USER_INPUT"
        for after in ("", "x", "bnVsbA", "é", "A" * 100_000, SURROGATE):
            answer = await ask_in_ascii(live, CONTENTS, first=1, after=after)
            assert top_level(answer) == "BAD_USER_INPUT"
    for first in (1, 100):
        assert await live.ask(CONTENTS, first=first, after=None) == {"totalCount": 0}


# Who asks


@on_sqlite_alone
async def test_a_missing_token_is_unauthenticated(live: Api) -> None:
    order = {"source": "shop", "externalId": "A-1", "amountMinor": 1}
    async with nothing_written():
        assert await live.refused(ORDER, input=order) == "UNAUTHENTICATED"
        assert await live.refused(REFUND, input=order) == "UNAUTHENTICATED"
        ensure = {"source": "shop", "customerRef": "c"}
        assert await live.refused(ENSURE, input=ensure) == "UNAUTHENTICATED"
        assert await live.refused(CUSTOMER, source="shop", ref="c") == "UNAUTHENTICATED"
        assert await live.refused(CONVERSION, source="shop", id="A-1") == "UNAUTHENTICATED"


async def test_a_wrong_or_expired_token_is_refused_as_a_whole(live: Api) -> None:
    expired = await factories.person("gone", Role.SERVICE)
    now = datetime.now(UTC)
    await database.execute(
        f"UPDATE session SET expires_at = '{(now - timedelta(seconds=1)).isoformat(sep=' ')}'"
    )
    shop = await factories.person("shop", Role.SERVICE)
    order = {"source": "shop", "externalId": "A-1", "amountMinor": 1}
    body = json.dumps({"query": ORDER, "variables": {"input": order}}).encode()
    wrong = (
        "",
        "Bearer",
        "Bearer nonsense",
        f"Bearer {expired.token}",
        f"Bearer {shop.token}x",
        f"Basic {shop.token}",
        shop.token,
    )
    async with nothing_written():
        for header in wrong:
            response = await send(live, body, authorization=header)
            assert_plain_refusal(response, 401, "UNAUTHENTICATED")
            assert response.headers["www-authenticate"] == "Bearer"
    # The same request with the good token is taken, so that it was the token that was refused.
    assert top_level((await send(live, body, authorization=f"bearer {shop.token}")).json())["data"]


@on_sqlite_alone
async def test_a_wrong_role_is_forbidden_and_an_admin_is_no_service(live: Api) -> None:
    order = {"source": "shop", "externalId": "A-1", "amountMinor": 1}
    ensure = {"source": "shop", "customerRef": "c"}
    members = [
        await factories.person(role.lower(), role) for role in Role if role is not Role.SERVICE
    ]
    async with nothing_written():
        for token in (member.token for member in members):
            assert await live.refused(ORDER, token, input=order) == "FORBIDDEN"
            assert await live.refused(REFUND, token, input=order) == "FORBIDDEN"
            assert await live.refused(ENSURE, token, input=ensure) == "FORBIDDEN"
            assert await live.refused(CUSTOMER, token, source="shop", ref="c") == "FORBIDDEN"


# Orders and refunds


async def test_orders_with_bad_figures_are_refused_with_their_field(live: Api) -> None:
    stage = await factories.stage()
    good = {"source": "shop", "externalId": "A-1", "amountMinor": 1}
    ahead = datetime.now(UTC) + timedelta(minutes=5, seconds=30)
    expected: dict[str, tuple[dict[str, Any], Refused]] = {
        "negative": ({"amountMinor": -1}, ("INVALID", ["amountMinor"])),
        "beyond the limit": ({"amountMinor": 10**15 + 1}, ("INVALID", ["amountMinor"])),
        "the largest Long": ({"amountMinor": 2**63 - 1}, ("INVALID", ["amountMinor"])),
        "the smallest Long": ({"amountMinor": -(2**63)}, ("INVALID", ["amountMinor"])),
        "too far ahead": ({"occurredAt": ahead.isoformat()}, ("INVALID", ["occurredAt"])),
        "empty source": ({"source": ""}, ("REQUIRED", ["source"])),
        "blank source": ({"source": " \t"}, ("REQUIRED", ["source"])),
        "long source": ({"source": "s" * 41}, ("TOO_LONG", ["source"])),
        "NUL in source": ({"source": "sh\0op"}, ("INVALID", ["source"])),
        "empty id": ({"externalId": ""}, ("REQUIRED", ["externalId"])),
        "long id": ({"externalId": "x" * 101}, ("TOO_LONG", ["externalId"])),
        "NUL in id": ({"externalId": "A\0"}, ("INVALID", ["externalId"])),
        "long customer": ({"customerRef": "x" * 101}, ("TOO_LONG", ["customerRef"])),
        "blank customer": ({"customerRef": " "}, ("REQUIRED", ["customerRef"])),
        "NUL in customer": ({"customerRef": "a\0b"}, ("INVALID", ["customerRef"])),
        "nobody": ({"member": to_id("Member", 10**9)}, ("NOT_FOUND", ["member"])),
        "no such row ever": ({"member": to_id("Member", 2**63)}, ("NOT_FOUND", ["member"])),
        "another type": ({"member": to_id("Program", 1)}, ("NOT_FOUND", ["member"])),
        "garbage": ({"member": "garbage"}, ("NOT_FOUND", ["member"])),
        "a bare number": ({"member": "1"}, ("NOT_FOUND", ["member"])),
        "a signed number": ({"member": "TWVtYmVyOisx"}, ("NOT_FOUND", ["member"])),
        "a surrogate id": ({"member": SURROGATE}, ("NOT_FOUND", ["member"])),
    }
    async with nothing_written():
        found = await mistakes(
            live, ORDER, stage.shop.token, {n: good | more for n, (more, _) in expected.items()}
        )
    assert found == {name: refused for name, (_, refused) in expected.items()}


@on_sqlite_alone
async def test_orders_at_the_limits_are_taken(live: Api) -> None:
    stage = await factories.stage()
    ahead = datetime.now(UTC) + timedelta(minutes=4, seconds=30)
    limits: list[dict[str, Any]] = [
        {"amountMinor": 0},
        {"amountMinor": 10**15},
        {"amountMinor": 1, "occurredAt": ahead.isoformat()},
        {"amountMinor": 1, "source": "s" * 40},
        {"amountMinor": 1, "externalId": "x" * 100, "customerRef": "茶" * 100},
    ]
    for number, fields in enumerate(limits):
        order = {"source": "shop", "externalId": f"A-{number}", **fields}
        answer = await live.ask(ORDER, stage.shop.token, input=order)
        assert answer["errors"] == [], fields
        assert answer["conversion"]["amountMinor"] == fields["amountMinor"]


@on_sqlite_alone
async def test_an_empty_member_id_is_not_found(live: Api) -> None:
    stage = await factories.stage()
    order = {"source": "shop", "externalId": "A-1", "amountMinor": 1, "member": ""}
    async with nothing_written():
        found = await mistakes(live, ORDER, stage.shop.token, {"order": order})
    assert found == {"order": ("NOT_FOUND", ["member"])}


@on_sqlite_alone
async def test_an_empty_customer_is_refused_like_a_blank_one(live: Api) -> None:
    stage = await factories.stage()
    order = {"source": "shop", "externalId": "A-1", "amountMinor": 1, "customerRef": ""}
    async with nothing_written():
        found = await mistakes(live, ORDER, stage.shop.token, {"order": order})
    assert found == {"order": ("REQUIRED", ["customerRef"])}


@on_sqlite_alone
async def test_amounts_that_are_no_long_are_refused_before_anything_runs(live: Api) -> None:
    stage = await factories.stage()
    literal = """mutation {{ orderRecord(input: {{
      source: "shop", externalId: "A-1", amountMinor: {} }}) {{ replayed }} }}"""
    amounts = ("1.5", "1.0", "1e3", "true", '"5"', "null", "[1]", str(2**63), str(-(2**63) - 1))
    async with nothing_written():
        for amount in amounts:
            order = {"source": "shop", "externalId": "A-1", "amountMinor": json.loads(amount)}
            code = await live.refused(ORDER, stage.shop.token, input=order)
            assert (amount, code) == (amount, "BAD_USER_INPUT")
            code = await live.refused(literal.format(amount), stage.shop.token)
            assert (amount, code) == (amount, "GRAPHQL_VALIDATION_FAILED")


@on_sqlite_alone
async def test_a_time_without_offset_is_refused_before_anything_runs(live: Api) -> None:
    stage = await factories.stage()
    literal = """mutation {{ orderRecord(input: {{
      source: "shop", externalId: "A-1", amountMinor: 1, occurredAt: {} }}) {{ replayed }} }}"""
    times = ("2026-01-01T00:00:00", "2026-01-01", "", "yesterday", "0001-01-01T00:00:00+01:00", 5)
    async with nothing_written():
        for at in times:
            order = {"source": "shop", "externalId": "A-1", "amountMinor": 1, "occurredAt": at}
            code = await live.refused(ORDER, stage.shop.token, input=order)
            assert (at, code) == (at, "BAD_USER_INPUT")
            code = await live.refused(literal.format(json.dumps(at)), stage.shop.token)
            assert (at, code) == (at, "GRAPHQL_VALIDATION_FAILED")


async def test_the_same_order_with_other_figures_is_a_conflict(live: Api) -> None:
    stage = await factories.stage()
    first = {"source": "shop", "externalId": "A-1", "amountMinor": 500}
    first["occurredAt"] = "2026-01-01T08:00:00+08:00"
    await live.ask(ORDER, stage.shop.token, input=first)
    await live.decided(stage.shop.token, "shop", "A-1")
    changes = {"amountMinor": 501}, {"occurredAt": "2026-01-01T00:00:01Z"}
    async with nothing_written():
        found = await mistakes(
            live, ORDER, stage.shop.token, {str(each): first | each for each in changes}
        )
        # The same instant in another offset is the same order.
        again = first | {"occurredAt": "2026-01-01T00:00:00Z"}
        assert (await live.ask(ORDER, stage.shop.token, input=again))["replayed"] is True
    assert list(found.values()) == [("IDEMPOTENCY_CONFLICT", ["externalId"])] * 2


async def test_refunds_that_make_no_sense_are_refused_with_their_field(live: Api) -> None:
    stage = await factories.stage()
    shop = stage.shop.token
    await live.ask(ORDER, shop, input={"source": "shop", "externalId": "A-1", "amountMinor": 500})
    good = {"source": "shop", "externalId": "R-1", "orderExternalId": "A-1", "amountMinor": 200}
    await live.ask(REFUND, shop, input=good)
    for kind, number in (("ORDER", "A-1"), ("REFUND", "R-1")):
        await live.decided(shop, "shop", number, kind)
    other = good | {"externalId": "R-2"}
    expected: dict[str, tuple[dict[str, Any], Refused]] = {
        "one too many": (other | {"amountMinor": 301}, ("EXCEEDS_ORDER", ["amountMinor"])),
        "far too many": (other | {"amountMinor": 10**15}, ("EXCEEDS_ORDER", ["amountMinor"])),
        "nothing": (other | {"amountMinor": 0}, ("INVALID", ["amountMinor"])),
        "negative": (other | {"amountMinor": -1}, ("INVALID", ["amountMinor"])),
        "beyond the limit": (other | {"amountMinor": 10**15 + 1}, ("INVALID", ["amountMinor"])),
        "of nobody": (other | {"orderExternalId": None}, ("REQUIRED", ["orderExternalId"])),
        "empty order": (other | {"orderExternalId": ""}, ("REQUIRED", ["orderExternalId"])),
        "long order": (other | {"orderExternalId": "x" * 101}, ("TOO_LONG", ["orderExternalId"])),
        "NUL in order": (other | {"orderExternalId": "A\0"}, ("INVALID", ["orderExternalId"])),
        "unknown member": (
            other | {"orderExternalId": None, "member": to_id("Member", 10**9)},
            ("NOT_FOUND", ["member"]),
        ),
        "other amount": (good | {"amountMinor": 201}, ("IDEMPOTENCY_CONFLICT", ["externalId"])),
        "other order": (
            good | {"orderExternalId": "A-2"},
            ("IDEMPOTENCY_CONFLICT", ["externalId"]),
        ),
    }
    async with nothing_written():
        found = await mistakes(
            live, REFUND, shop, {n: fields for n, (fields, _) in expected.items()}
        )
    assert found == {name: refused for name, (_, refused) in expected.items()}
    # Exactly what is left may go back.
    last = await live.ask(REFUND, shop, input=other | {"amountMinor": 300})
    assert last["errors"] == []


# People and visitors


async def test_registrations_with_bad_texts_are_refused_with_their_field(live: Api) -> None:
    await factories.person("taken", email="Mei@Example.com")
    good = {"displayName": "Mei"}
    expected: dict[str, tuple[dict[str, Any], Refused]] = {
        "no name": ({"displayName": ""}, ("REQUIRED", ["displayName"])),
        "blank name": ({"displayName": "\u3000 "}, ("REQUIRED", ["displayName"])),
        "long name": ({"displayName": "梅" * 101}, ("TOO_LONG", ["displayName"])),
        "NUL in name": ({"displayName": "M\0i"}, ("INVALID", ["displayName"])),
        "line end in name": ({"displayName": "M\ni"}, ("INVALID", ["displayName"])),
        "no e-mail": ({"email": "mei"}, ("INVALID", ["email"])),
        "two at signs": ({"email": "a@b@c.de"}, ("INVALID", ["email"])),
        "blank e-mail": ({"email": " "}, ("REQUIRED", ["email"])),
        "long e-mail": ({"email": "m" * 250 + "@a.bc"}, ("TOO_LONG", ["email"])),
        "NUL in e-mail": ({"email": "m\0@a.bc"}, ("INVALID", ["email"])),
        "taken e-mail": ({"email": "mEI@eXample.COM"}, ("NOT_UNIQUE", ["email"])),
        "phone of words": ({"phone": "call me"}, ("INVALID", ["phone"])),
        "long phone": ({"phone": "1" * 33}, ("INVALID", ["phone"])),
        "short visitor": ({"visitorId": "v" * 7}, ("INVALID", ["visitorId"])),
        "long visitor": ({"visitorId": "v" * 65}, ("INVALID", ["visitorId"])),
        "blank in visitor": ({"visitorId": "vis itor"}, ("INVALID", ["visitorId"])),
        "Chinese visitor": ({"visitorId": "访客访客访客访客"}, ("INVALID", ["visitorId"])),
        "NUL in visitor": ({"visitorId": "visitor\0"}, ("INVALID", ["visitorId"])),
        "empty visitor": ({"visitorId": ""}, ("INVALID", ["visitorId"])),
    }
    async with nothing_written():
        found = await mistakes(
            live, REGISTER, None, {n: good | more for n, (more, _) in expected.items()}
        )
    assert found == {name: refused for name, (_, refused) in expected.items()}


@on_sqlite_alone
async def test_texts_at_their_limits_are_taken(live: Api) -> None:
    answer = await live.ask(
        REGISTER,
        input={
            "displayName": "梅" * 100,
            "email": "m" * 248 + "@a.bcd",
            "phone": "+86 138-0000-0000",
            "visitorId": "v" * 64,
        },
    )
    assert answer["errors"] == []
    assert answer["member"]["displayName"] == "梅" * 100
    assert answer["visitorId"] == "v" * 64
    answer = await live.ask(REGISTER, input={"displayName": "M", "visitorId": "w" * 8})
    assert (answer["errors"], answer["visitorId"]) == ([], "w" * 8)


@on_sqlite_alone
async def test_an_empty_email_is_refused_like_a_blank_one(live: Api) -> None:
    async with nothing_written():
        found = await mistakes(live, REGISTER, None, {"": {"displayName": "Mei", "email": ""}})
    assert found == {"": ("REQUIRED", ["email"])}


@on_sqlite_alone
async def test_a_shops_customer_with_bad_texts_is_refused_with_its_field(live: Api) -> None:
    stage = await factories.stage()
    good = {"source": "shop", "customerRef": "c-1", "displayName": "Mei"}
    expected: dict[str, tuple[dict[str, Any], Refused]] = {
        "no source": ({"source": ""}, ("REQUIRED", ["source"])),
        "long source": ({"source": "s" * 41}, ("TOO_LONG", ["source"])),
        "NUL in source": ({"source": "s\0"}, ("INVALID", ["source"])),
        "no customer": ({"customerRef": " "}, ("REQUIRED", ["customerRef"])),
        "long customer": ({"customerRef": "c" * 101}, ("TOO_LONG", ["customerRef"])),
        "NUL in customer": ({"customerRef": "c\0"}, ("INVALID", ["customerRef"])),
        "long name": ({"displayName": "M" * 101}, ("TOO_LONG", ["displayName"])),
        "bad visitor": ({"visitorId": "short"}, ("INVALID", ["visitorId"])),
    }
    async with nothing_written():
        found = await mistakes(
            live,
            ENSURE,
            stage.shop.token,
            {n: good | more for n, (more, _) in expected.items()},
        )
    assert found == {name: refused for name, (_, refused) in expected.items()}


def other_check_character(code: str) -> str:
    return code[:-1] + codes.ALPHABET[(codes.ALPHABET.index(code[-1]) + 1) % 32]


@on_sqlite_alone
async def test_touches_with_bad_codes_visitors_or_times_are_refused(live: Api) -> None:
    stage = await factories.stage()
    code = stage.link.code
    now = datetime.now(UTC)
    good = {"code": code, "visitorId": "visitor-1"}
    too_old = {"occurredAt": (now - timedelta(hours=24, minutes=1)).isoformat()}
    ahead = {"occurredAt": (now + timedelta(minutes=1)).isoformat()}
    expected: dict[str, tuple[dict[str, Any], Refused]] = {
        "unknown code": ({"code": codes.new()}, ("CODE_UNKNOWN", ["code"])),
        "wrong check": ({"code": other_check_character(code)}, ("CODE_UNKNOWN", ["code"])),
        "empty code": ({"code": ""}, ("CODE_UNKNOWN", ["code"])),
        "long code": ({"code": code * 1_000}, ("CODE_UNKNOWN", ["code"])),
        "NUL in code": ({"code": f"{code[:-1]}\0"}, ("CODE_UNKNOWN", ["code"])),
        "surrogate code": ({"code": SURROGATE}, ("CODE_UNKNOWN", ["code"])),
        "short visitor": ({"visitorId": "v" * 7}, ("INVALID", ["visitorId"])),
        "long visitor": ({"visitorId": "v" * 65}, ("INVALID", ["visitorId"])),
        "surrogate visitor": ({"visitorId": "v" * 7 + "\ud800"}, ("INVALID", ["visitorId"])),
        "ahead": (ahead, ("INVALID", ["occurredAt"])),
        "too old": (too_old, ("INVALID", ["occurredAt"])),
    }
    inputs = {name: good | more for name, (more, _) in expected.items()}
    async with nothing_written():
        found = await mistakes(live, TOUCH, None, inputs)
        # A promoter is no service either, and not even a service may tell of the future.
        member = stage.promoter.token
        late = await mistakes(live, TOUCH, member, {"late": good | too_old})
        early = await mistakes(live, TOUCH, stage.shop.token, {"early": good | ahead})
    assert found == {name: refused for name, (_, refused) in expected.items()}
    assert late | early == dict.fromkeys(("late", "early"), ("INVALID", ["occurredAt"]))


async def test_a_service_may_tell_of_older_touches_and_everybody_of_a_days(live: Api) -> None:
    stage = await factories.stage()
    now = datetime.now(UTC)
    for token, at in (
        (stage.shop.token, now - timedelta(days=365)),
        (None, now - timedelta(hours=23, minutes=59)),
    ):
        touch = {"code": stage.link.code, "visitorId": "visitor-1", "occurredAt": at.isoformat()}
        assert await live.ask(TOUCH, token, input=touch) == {
            "visitorId": "visitor-1",
            "errors": [],
        }
    [row, _] = await database.rows("SELECT * FROM touch ORDER BY touched_at")
    assert str(row["touched_at"])[:10] == str(now - timedelta(days=365))[:10]


async def test_lone_surrogates_in_texts_are_invalid(live: Api) -> None:
    stage = await factories.stage()
    shop = stage.shop.token
    order = {"source": "shop", "externalId": "A-1", "amountMinor": 1}
    refund = order | {"orderExternalId": SURROGATE}
    async with nothing_written():
        found = await mistakes(live, REGISTER, None, {"displayName": {"displayName": SURROGATE}})
        for field in ("source", "externalId", "customerRef"):
            found |= await mistakes(live, ORDER, shop, {field: order | {field: SURROGATE}})
        found |= await mistakes(live, REFUND, shop, {"orderExternalId": refund})
    assert found == {field: ("INVALID", [field]) for field in found}


async def test_looking_for_what_no_database_can_hold_finds_nothing(live: Api) -> None:
    stage = await factories.stage()
    found = []
    with capture_logs():
        for text in ("a\0b", "x" * 101, SURROGATE):
            for query in (CUSTOMER, CONVERSION):
                names = ("source", "ref" if query is CUSTOMER else "id")
                variables = dict.fromkeys(names, text)
                found.append(await ask_in_ascii(live, query, stage.shop.token, **variables))
    assert [list(answer["data"].values()) for answer in found] == [[None]] * 6
    assert not any(answer.get("errors") for answer in found)


async def test_a_name_that_is_half_a_character_is_answered_and_not_choked_on(live: Api) -> None:
    body = b'{"query": "{ viewer { id } }", "operationName": "\\ud800"}'
    response = await send(live, body)
    assert response.status_code < 500
    assert response.json()["errors"][0]["extensions"]["code"] != "INTERNAL_SERVER_ERROR"


async def test_a_member_id_of_five_thousand_digits_is_nobodys(live: Api) -> None:
    stage = await factories.stage()
    member = to_base64("Member", "9" * 5_000)
    order = {"source": "shop", "externalId": "A-1", "member": member, "amountMinor": 1}
    answer = await live.ask(ORDER, stage.shop.token, input=order)
    assert [(each["code"], each["field"]) for each in answer["errors"]] == [
        ("NOT_FOUND", ["member"])
    ]


async def test_a_document_above_its_limit_is_refused_before_it_is_kept(live: Api) -> None:
    spaces = " " * (documents.LARGEST_DOCUMENT_CHARACTERS - len(VIEWER))
    assert (await live.post(VIEWER + spaces)).status_code == 200
    response = await live.post(VIEWER + spaces + " ")
    assert_plain_refusal(response, 400, "QUERY_TOO_COMPLEX")
