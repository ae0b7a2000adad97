"""Coming in and going, over real HTTP: passwords, limits, accounts and roles."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from api.nodes import to_id
from core import codes
from members import attempts, passwords
from members.models import Invitation, Member, Role, Session
from tests import factories
from tests.api.books import nothing_written, on_sqlite_alone
from tests.client import ENSURE, REGISTER, Api
from tests.factories import QUICK

EMAIL = "mei@example.com"
PASSWORD = "correct horse battery"
MEI = {"displayName": "Mei", "email": EMAIL, "password": PASSWORD}
SIGN_IN = """
mutation ($input: SignInInput!) {
  signIn(input: $input) {
    member { id displayName email roles } token expiresAt visitorId
    errors { code message field }
  }
}"""
SIGN_OUT = "mutation { signOut }"
UPDATE = """
mutation ($input: MemberUpdateInput!) {
  memberUpdate(input: $input) {
    member { displayName avatarUrl email } errors { code message field }
  }
}"""
SET_ROLES = """
mutation ($id: ID!, $roles: [Role!]!) {
  memberSetRoles(id: $id, roles: $roles) {
    member { displayName roles } errors { code message field }
  }
}"""
VIEWER = "{ viewer { displayName } }"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_hasher", QUICK)


def refusals(payload: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(error["code"], error["field"]) for error in payload["errors"]]


async def guess(live: Api, email: str = EMAIL, password: str = "wrong password") -> Any:
    return await live.ask(SIGN_IN, input={"email": email, "password": password})


async def test_whoever_registers_with_a_password_signs_in_and_out(live: Api) -> None:
    joined = await live.ask(REGISTER, input=MEI)
    assert joined["errors"] == []

    entered = await live.ask(SIGN_IN, input={"email": EMAIL.upper(), "password": PASSWORD})
    assert entered["errors"] == []
    assert entered["member"] == {
        "id": joined["member"]["id"],
        "displayName": "Mei",
        "email": EMAIL,
        "roles": ["MEMBER"],
    }
    left = datetime.fromisoformat(entered["expiresAt"]) - datetime.now(UTC)
    assert timedelta(days=29, hours=23) < left <= timedelta(days=30)
    assert await live.ask(VIEWER, entered["token"]) == {"displayName": "Mei"}

    assert await live.ask(SIGN_OUT, entered["token"]) is True
    response = await live.post(SIGN_OUT, entered["token"])
    assert response.status_code == 401
    assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    # The other session goes on.
    assert await live.ask(VIEWER, joined["token"]) == {"displayName": "Mei"}


@on_sqlite_alone
async def test_nobody_signs_out_without_a_session(live: Api) -> None:
    assert await live.ask(SIGN_OUT) is False


@on_sqlite_alone
async def test_an_expired_session_is_refused(live: Api) -> None:
    joined = await live.ask(REGISTER, input=MEI)
    await Session.all().update(expires_at=datetime.now(UTC))
    assert await live.refused(VIEWER, joined["token"]) == "UNAUTHENTICATED"


async def test_what_was_wrong_with_a_sign_in_is_not_told(live: Api) -> None:
    await live.ask(REGISTER, input=MEI)
    await live.ask(REGISTER, input={"displayName": "Lan", "email": "lan@example.com"})
    answers = [
        await guess(live),
        await guess(live, "nobody@example.com"),
        await guess(live, "lan@example.com"),
        await guess(live, "", ""),
        await guess(live, "no address", PASSWORD),
        await guess(live, EMAIL, "x" * 10_000),
    ]
    assert refusals(answers[0]) == [("CREDENTIALS_REJECTED", None)]
    assert answers[0]["token"] is None
    assert all(answer == answers[0] for answer in answers)


def assert_limited(response: httpx.Response, wait: range) -> None:
    assert response.status_code == 429
    assert int(response.headers["retry-after"]) in wait
    assert response.headers["content-type"] == "application/json"
    [error] = response.json()["errors"]
    assert error["extensions"] == {
        "code": "RATE_LIMITED",
        "requestId": response.headers["x-request-id"],
    }


@pytest.mark.parametrize("exists", [True, False])
async def test_after_ten_failures_an_account_has_to_wait_whether_or_not_it_exists(
    live: Api, exists: bool
) -> None:
    if exists:
        await live.ask(REGISTER, input=MEI)
    for _ in range(attempts.PER_ACCOUNT):
        assert refusals(await guess(live)) == [("CREDENTIALS_REJECTED", None)]
    response = await live.post(SIGN_IN, input={"email": EMAIL, "password": PASSWORD})
    assert_limited(response, range(880, 901))
    assert "data" not in response.json()


@on_sqlite_alone
async def test_many_guesses_in_one_request_are_many_attempts(live: Api) -> None:
    guesses = " ".join(
        f'g{number}: signIn(input: {{email: "{EMAIL}", password: "{number}"}}) {{ token }}'
        for number in range(attempts.PER_ACCOUNT + 1)
    )
    assert_limited(await live.post(f"mutation {{ {guesses} }}"), range(880, 901))


@on_sqlite_alone
async def test_an_address_has_a_limit_over_all_accounts_and_another_one_its_own(
    live: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "PER_ADDRESS", 3)
    for number in range(3):
        await guess(live, f"{number}@example.com")
    body = {"query": SIGN_IN, "variables": {"input": {"email": EMAIL, "password": PASSWORD}}}
    assert_limited(await live.http.post("/graphql", json=body), range(880, 901))
    # A proxy on this machine says for whom it asks.
    elsewhere = {"x-forwarded-for": "192.0.2.1"}
    response = await live.http.post("/graphql", json=body, headers=elsewhere)
    assert response.status_code == 200


@on_sqlite_alone
async def test_a_sign_in_joins_the_visitor(live: Api) -> None:
    stage = await factories.stage()
    visitor = await live.visit(stage.link.code)
    await live.ask(REGISTER, input=MEI)
    credentials = {"email": EMAIL, "password": PASSWORD, "visitorId": visitor}
    assert (await live.ask(SIGN_IN, input=credentials))["visitorId"] == visitor


@on_sqlite_alone
async def test_registrations_with_bad_passwords_or_codes_write_nothing(live: Api) -> None:
    expected: dict[str, tuple[dict[str, Any], tuple[str, list[str]]]] = {
        "empty": ({"password": ""}, ("REQUIRED", ["password"])),
        "short": ({"password": "x" * 7}, ("INVALID", ["password"])),
        "long": ({"password": "x" * 129}, ("TOO_LONG", ["password"])),
        "no address": ({"email": None}, ("REQUIRED", ["email"])),
        "unknown code": ({"referralCode": codes.new()}, ("CODE_UNKNOWN", ["referralCode"])),
        "empty code": ({"referralCode": ""}, ("CODE_UNKNOWN", ["referralCode"])),
    }
    async with nothing_written():
        found = {
            name: refusals(await live.ask(REGISTER, input=MEI | more))
            for name, (more, _) in expected.items()
        }
    assert found == {name: [refused] for name, (_, refused) in expected.items()}
    for password in ("x" * 8, "x" * 128):
        more = {"email": f"{len(password)}@example.com", "password": password}
        assert (await live.ask(REGISTER, input=MEI | more))["errors"] == []


async def test_a_typed_code_brings_a_registration(live: Api) -> None:
    stage = await factories.stage()
    joined = await live.ask(REGISTER, input=MEI | {"referralCode": stage.link.code.lower()})
    assert joined["errors"] == []
    assert joined["visitorId"]
    assert (await Invitation.get()).inviter_id == stage.promoter.member.id


async def test_only_a_service_brings_accounts_of_earlier_and_none_of_the_future(live: Api) -> None:
    shop = await factories.person("shop", Role.SERVICE)
    admin = await factories.person("admin", Role.ADMIN)
    earlier = {"displayName": "Mei", "occurredAt": "2019-05-01T12:00:00+08:00"}
    ahead = {
        "displayName": "Mei",
        "occurredAt": (datetime.now(UTC) + timedelta(minutes=1)).isoformat(),
    }
    async with nothing_written():
        for token in (None, admin.token):
            refused = await live.ask(REGISTER, token, input=earlier)
            assert refusals(refused) == [("FORBIDDEN", ["occurredAt"])]
        refused = await live.ask(REGISTER, shop.token, input=ahead)
        assert refusals(refused) == [("INVALID", ["occurredAt"])]
    brought = """mutation ($input: MemberRegisterInput!) {
      memberRegister(input: $input) { member { id } token errors { code } } }"""
    answer = await live.ask(brought, shop.token, input=earlier)
    assert answer["errors"] == []
    row = await Member.get(display_name="Mei")
    assert row.created_at == datetime(2019, 5, 1, 4, tzinfo=UTC)


async def test_members_change_what_others_see_of_them(live: Api) -> None:
    mei = await live.ask(REGISTER, input=MEI)
    await factories.person("lan", email="lan@example.com")
    changed = await live.ask(UPDATE, mei["token"], input={"displayName": " Mei Lin "})
    assert changed == {
        "member": {"displayName": "Mei Lin", "avatarUrl": None, "email": EMAIL},
        "errors": [],
    }
    avatar = {"avatarUrl": "https://img.example/mei.png", "email": "MEI@example.com"}
    changed = await live.ask(UPDATE, mei["token"], input=avatar)
    assert changed["member"] == {"displayName": "Mei Lin", **avatar}
    assert (await live.ask(UPDATE, mei["token"], input={}))["member"]["displayName"] == "Mei Lin"
    async with nothing_written():
        for more, refused in (
            ({"email": "LAN@example.com"}, ("NOT_UNIQUE", ["email"])),
            ({"email": None}, ("REQUIRED", ["email"])),
            ({"displayName": None}, ("REQUIRED", ["displayName"])),
            ({"avatarUrl": "javascript:alert(1)"}, ("INVALID", ["avatarUrl"])),
        ):
            answer = await live.ask(UPDATE, mei["token"], input=more)
            assert (answer["member"], refusals(answer)) == (None, [refused])
    cleared = await live.ask(UPDATE, mei["token"], input={"avatarUrl": None})
    assert cleared["member"]["avatarUrl"] is None
    assert await live.refused(UPDATE, input={"displayName": "Nobody"}) == "UNAUTHENTICATED"


async def test_an_admin_gives_and_takes_roles_and_one_admin_stays(live: Api) -> None:
    admin = await factories.person("admin", Role.ADMIN)
    joined = await live.ask(REGISTER, input=MEI)
    mei = joined["member"]["id"]
    given = await live.ask(SET_ROLES, admin.token, id=mei, roles=["KOC", "EDITOR", "MEMBER"])
    assert given["member"] == {"displayName": "Mei", "roles": ["MEMBER", "KOC", "EDITOR"]}
    # A shop may have held the session of before.
    assert await live.refused(VIEWER, joined["token"]) == "UNAUTHENTICATED"
    taken = await live.ask(SET_ROLES, admin.token, id=mei, roles=[])
    assert taken["member"]["roles"] == ["MEMBER"]

    own = to_id("Member", admin.member.id)
    refused = await live.ask(SET_ROLES, admin.token, id=own, roles=["EDITOR"])
    assert refusals(refused) == [("FORBIDDEN", ["roles"])]
    for id in (to_id("Member", 10**9), "x", to_id("Tier", 1)):
        refused = await live.ask(SET_ROLES, admin.token, id=id, roles=["KOC"])
        assert refusals(refused) == [("NOT_FOUND", ["id"])]
    editor = await factories.person("editor", Role.EDITOR)
    assert await live.refused(SET_ROLES, editor.token, id=mei, roles=["ADMIN"]) == "FORBIDDEN"


@on_sqlite_alone
async def test_a_shops_new_customer_comes_with_a_code_and_an_address(live: Api) -> None:
    stage = await factories.stage()
    customer = {"source": "shop", "customerRef": "c-1", "email": EMAIL}
    async with nothing_written():
        refused = await live.ask(
            ENSURE, stage.shop.token, input=customer | {"referralCode": codes.new()}
        )
        assert refusals(refused) == [("CODE_UNKNOWN", ["referralCode"])]
    answer = await live.ask(
        ENSURE, stage.shop.token, input=customer | {"referralCode": stage.link.code}
    )
    assert answer["errors"] == []
    assert answer["token"]
    assert (await Invitation.get()).inviter_id == stage.promoter.member.id
    second = await live.ask(ENSURE, stage.shop.token, input=customer | {"customerRef": "c-2"})
    assert refusals(second) == [("NOT_UNIQUE", ["email"])]
