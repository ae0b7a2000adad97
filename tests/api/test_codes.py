"""Every code that an error can have is provoked over HTTP, so that none is only promised."""

from collections.abc import Iterator
from typing import Any

import pytest

from api import errors
from api.errors import ErrorCode, Refusal
from api.nodes import to_id
from content.models import ContentStatus
from core import codes
from members.models import Role
from tests import factories
from tests.api.books import on_sqlite_alone
from tests.api.writing import call
from tests.client import Api

# All that a top-level error may say; clients were promised no others.
TOP_LEVEL = {
    *("UNAUTHENTICATED", "FORBIDDEN", "BAD_USER_INPUT"),
    *("GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "QUERY_TOO_COMPLEX"),
    *("RATE_LIMITED", "PERSISTED_DOCUMENT_NOT_FOUND", "PAYLOAD_TOO_LARGE", "TIMEOUT"),
    "INTERNAL_SERVER_ERROR",
}
Sent = tuple[str, str | None]  # a document, and the token of who sends it
E = "{ errors { code field message } }"


def refusals(kind: type[Refusal]) -> Iterator[type[Refusal]]:
    yield kind
    for each in kind.__subclasses__():
        yield from refusals(each)


def test_no_refusal_has_a_code_beyond_those_promised() -> None:
    assert {each.code for each in refusals(Refusal)} <= TOP_LEVEL
    assert "INTERNAL_SERVER_ERROR" in {errors.Unexpected.code}


def mutation(name: str, **arguments: Any) -> str:
    """A mutation with these arguments."""
    return f"mutation {{ {call(name, E, **arguments)} }}"


async def arranged() -> tuple[list[Sent], dict[str, Sent]]:
    """What has to be sent first, and for each code of a payload's errors what provokes it."""
    stage = await factories.stage()
    shop, lin = stage.shop.token, stage.promoter.token
    admin = (await factories.person("ada", Role.ADMIN)).token
    reviewer = (await factories.person("rui", Role.REVIEWER)).token
    await factories.person("taken", email="mei@example.com")
    draft = to_id("Content", await factories.piece("tea", status=ContentStatus.DRAFT))
    link = to_id("ReferralLink", stage.link.id)
    promoter = to_id("Member", stage.promoter.member.id)
    order = {"source": "shop", "externalId": "A-1", "amountMinor": 100}
    back = {"source": "shop", "externalId": "R-1", "orderExternalId": "A-1", "amountMinor": 101}
    adjust = {
        "member": promoter,
        "program": "friends",
        "asset": ("CASH",),
        "amount": -1,
        "memo": "less",
        "key": "k-1",
    }
    ended = {"code": "ended", "name": "E", "openTo": [("EMPLOYEE",)]}
    ended |= {"startsAt": "2020-01-01T00:00:00Z", "endsAt": "2020-02-01T00:00:00Z"}
    alone = {"code": "alone", "name": "A", "openTo": [("EMPLOYEE",)]}
    rule = {"leaf": {"metric": ("SPEND",), "atLeast": 1_000}}
    rules = [{"code": "board", "name": "B", "rank": 9, "rule": rule, "requiresApproval": True}]
    beginnings = [
        (mutation("orderRecord", input=order), shop),
        (mutation("referralLinkArchive", id=link), lin),
        (mutation("programSave", input=ended), admin),
        (mutation("programSave", input=alone), admin),
        (mutation("tierRulesPublish", rules=rules), admin),
    ]
    examples: dict[str, Sent] = {
        "INVALID": (mutation("orderRecord", input=order | {"amountMinor": -1}), shop),
        "REQUIRED": (mutation("memberRegister", input={"displayName": " "}), None),
        "TOO_LONG": (mutation("memberRegister", input={"displayName": "x" * 101}), None),
        "NOT_FOUND": (mutation("contentSubmit", id="nothing"), reviewer),
        "NOT_UNIQUE": (
            mutation("memberRegister", input={"displayName": "M", "email": "MEI@example.com"}),
            None,
        ),
        "FORBIDDEN": (mutation("promoterEnroll", program="friends"), shop),
        "STALE_VERSION": (mutation("contentPublish", id=draft, expectedVersion=7), reviewer),
        "INVALID_TRANSITION": (mutation("contentUnarchive", id=draft), reviewer),
        "IDEMPOTENCY_CONFLICT": (mutation("orderRecord", input=order | {"amountMinor": 99}), shop),
        "EXCEEDS_ORDER": (mutation("refundRecord", input=back), shop),
        "CODE_UNKNOWN": (
            mutation("touchRecord", input={"code": codes.new(), "visitorId": "visitor-1"}),
            None,
        ),
        "LINK_ARCHIVED": (mutation("referralLinkArchive", id=link), lin),
        "PROGRAM_CLOSED": (mutation("promoterEnroll", program="ended"), lin),
        "NOT_ENROLLED": (
            mutation(
                "referralLinkCreate",
                input={"program": "alone", "targetUrl": "https://shop.example/"},
            ),
            lin,
        ),
        "THRESHOLD_NOT_MET": (mutation("tierApply", tier="board"), lin),
        "INSUFFICIENT_BALANCE": (mutation("ledgerAdjust", **adjust), admin),
        "LIMIT_EXCEEDED": (mutation("contentsTag", ids=[draft] * 101), reviewer),
        "CREDENTIALS_REJECTED": (
            mutation("signIn", input={"email": "mei@example.com", "password": "wrong"}),
            None,
        ),
    }
    return beginnings, examples


@on_sqlite_alone
async def test_every_code_of_a_payloads_errors_is_provoked(live: Api) -> None:
    beginnings, examples = await arranged()
    for query, token in beginnings:
        assert (await live.ask(query, token))["errors"] == []
    found = {}
    for code, (query, token) in examples.items():
        payload = await live.ask(query, token)
        found[code] = [each["code"] for each in payload["errors"]]
    assert found == {each.value: [each.value] for each in ErrorCode}


@on_sqlite_alone
@pytest.mark.parametrize(
    ("code", "status", "body", "headers"),
    [
        ("GRAPHQL_PARSE_FAILED", 200, {"query": "{"}, {}),
        ("GRAPHQL_VALIDATION_FAILED", 200, {"query": "{ nobody }"}, {}),
        ("BAD_USER_INPUT", 200, {"query": "{ contents(first: 0) { totalCount } }"}, {}),
        ("QUERY_TOO_COMPLEX", 400, {"query": "{ x" * 101}, {}),
        ("UNAUTHENTICATED", 401, {"query": "{ tierRulesVersion }"}, {"authorization": "Bearer x"}),
        ("UNAUTHENTICATED", 200, {"query": "{ apiKeys { id } }"}, {}),
        ("PAYLOAD_TOO_LARGE", 413, {"query": " " * 1024 * 1024}, {}),
    ],
)
async def test_top_level_errors_have_a_code_and_the_id_of_their_request(
    live: Api, code: str, status: int, body: Any, headers: dict[str, str]
) -> None:
    response = await live.http.post("/graphql", json=body, headers=headers)
    assert response.status_code == status
    [error] = response.json()["errors"]
    assert error["extensions"] == {"code": code, "requestId": response.headers["x-request-id"]}
    assert error["message"]
