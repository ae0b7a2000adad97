"""Signing in by WeChat, over real HTTP on both sides."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from api.settings import Settings
from core import codes, database
from members import passwords, wechat
from members.models import Invitation, Member, WechatIdentity
from tests import factories, wechat_server
from tests.api.books import nothing_written, on_sqlite_alone
from tests.client import REGISTER, Api
from tests.factories import QUICK
from tests.wechat_server import APP_ID, APP_SECRET, SESSION_KEY, Wechat

SIGN_IN = """
mutation ($input: WechatSignInInput!) {
  signInWithWechat(input: $input) {
    member { id displayName } token visitorId errors { code message field }
  }
}"""
LINK = """
mutation ($code: String!) {
  wechatLink(code: $code) { member { id } errors { code message field } }
}"""
VIEWER = "{ viewer { id displayName } }"


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Wechat]:
    monkeypatch.setattr(wechat, "PAUSES_SECONDS", (0, 0))
    monkeypatch.setattr(passwords, "_hasher", QUICK)
    async with wechat_server.running() as running:
        yield running


@pytest.fixture
def settings(settings: Settings, server: Wechat) -> Settings:
    """Those of the installation, which belongs to a mini-program."""
    theirs = {
        "wechat_url": server.app.url,
        "wechat_app_id": APP_ID,
        "wechat_app_secret": APP_SECRET,
    }
    return settings.model_copy(update=theirs)


def refusals(payload: Any) -> list[tuple[str, Any]]:
    return [(error["code"], error["field"]) for error in payload["errors"]]


async def enter(live: Api, code: str, **more: str) -> Any:
    return await live.ask(SIGN_IN, input={"code": code, **more})


async def test_a_new_person_gets_an_account_and_the_same_one_afterwards(
    live: Api, server: Wechat
) -> None:
    stage = await factories.stage()
    entered = await enter(live, server.code("o-mei"), referralCode=stage.link.code)
    assert entered["errors"] == []
    assert entered["visitorId"]
    assert entered["member"]["displayName"] == "微信用户"
    assert await live.ask(VIEWER, entered["token"]) == entered["member"]
    assert (await Invitation.get()).inviter_id == stage.promoter.member.id

    again = await enter(live, server.code("o-mei"))
    assert again["member"] == entered["member"]
    assert again["token"] != entered["token"]
    other = await enter(live, server.code("o-lan"))
    assert other["member"]["id"] != entered["member"]["id"]


async def test_a_visitor_comes_along(live: Api, server: Wechat) -> None:
    stage = await factories.stage()
    visitor = await live.visit(stage.link.code)
    entered = await enter(live, server.code("o-mei"), visitorId=visitor)
    assert entered["visitorId"] == visitor
    assert (await Invitation.get()).inviter_id == stage.promoter.member.id


async def test_an_unknown_referral_code_is_an_error_beside_the_session(
    live: Api, server: Wechat
) -> None:
    entered = await enter(live, server.code("o-mei"), referralCode=codes.new())
    assert refusals(entered) == [("CODE_UNKNOWN", ["referralCode"])]
    assert await live.ask(VIEWER, entered["token"]) == entered["member"]


@on_sqlite_alone
async def test_mistakes_are_told_on_the_code_and_write_nothing(live: Api, server: Wechat) -> None:
    used = server.code("o-mei")
    await enter(live, used)
    async with nothing_written():
        for code, refused in (
            (used, "CREDENTIALS_REJECTED"),
            ("unknown", "CREDENTIALS_REJECTED"),
            (server.failing(40226), "FORBIDDEN"),
            ("", "REQUIRED"),
        ):
            answer = await enter(live, code)
            assert (answer["token"], refusals(answer)) == (None, [(refused, ["code"])])
        # A code that works once is not used up by a mistake beside it.
        fresh = server.code("o-lan")
        assert refusals(await enter(live, fresh, visitorId="short")) == [("INVALID", ["visitorId"])]
    assert (await enter(live, fresh))["errors"] == []


@on_sqlite_alone
async def test_what_wechat_cannot_do_now_is_a_clear_refusal_without_anything_internal(
    live: Api, server: Wechat
) -> None:
    for code, status, said, wait in (
        (server.failing(45011), 429, "RATE_LIMITED", "60"),
        (server.code("o-mei", busy=3), 503, "TIMEOUT", "5"),
        (server.failing(40125), 503, "TIMEOUT", "5"),
    ):
        with capture_logs() as logged:
            response = await live.post(SIGN_IN, input={"code": code})
        assert (response.status_code, response.headers["retry-after"]) == (status, wait)
        [error] = response.json()["errors"]
        assert error["extensions"]["code"] == said
        leaks = (
            APP_SECRET,
            SESSION_KEY,
            APP_ID,
            "errcode",
            "jscode2session",
            "rid:",
            server.app.url,
        )
        assert not any(leak in response.text for leak in leaks)
        assert not any(secret in str(logged) for secret in (APP_SECRET, SESSION_KEY, code))
        reasons = [event["reason"] for event in logged if "WeChat" in event["event"]]
        assert bool(reasons) == (status == 503)
    assert await Member.all().count() == 0


async def test_a_busy_wechat_is_asked_again(live: Api, server: Wechat) -> None:
    assert (await enter(live, server.code("o-mei", busy=2)))["errors"] == []


async def test_the_session_key_is_kept_and_sent_nowhere(live: Api, server: Wechat) -> None:
    response = await live.post(SIGN_IN, input={"code": server.code("o-mei", "u-mei")})
    stored = [
        str(await database.rows(f"SELECT * FROM {table}"))
        for table in ("wechat_identity", "member", "session", "outbox", "conversion")
    ]
    assert SESSION_KEY not in response.text + "".join(stored)
    assert "o-mei" not in response.text
    assert "u-mei" in stored[0]


async def test_a_member_links_its_wechat_account_once_and_again(live: Api, server: Wechat) -> None:
    mei = await live.ask(REGISTER, input={"displayName": "Mei"})
    for _ in range(2):
        linked = await live.ask(LINK, mei["token"], code=server.code("o-mei"))
        assert linked == {"member": {"id": mei["member"]["id"]}, "errors": []}
    entered = await enter(live, server.code("o-mei"))
    assert entered["member"] == {"id": mei["member"]["id"], "displayName": "Mei"}

    lan = await live.ask(REGISTER, input={"displayName": "Lan"})
    for token, openid in ((lan["token"], "o-mei"), (mei["token"], "o-other")):
        refused = await live.ask(LINK, token, code=server.code(openid))
        assert (refused["member"], refusals(refused)) == (None, [("NOT_UNIQUE", ["code"])])
    assert await WechatIdentity.all().count() == 1
    assert await live.refused(LINK, code=server.code("o-lan")) == "UNAUTHENTICATED"


class TestWithoutAMiniProgram:
    """An installation that belongs to none."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"wechat_app_id": "", "wechat_app_secret": ""})

    @on_sqlite_alone
    async def test_both_mutations_say_so(self, live: Api, server: Wechat) -> None:
        mei = await live.ask(REGISTER, input={"displayName": "Mei"})
        answers = [
            await enter(live, server.code("o-mei")),
            await live.ask(LINK, mei["token"], code=server.code("o-mei")),
        ]
        for answer in answers:
            assert refusals(answer) == [("FORBIDDEN", None)]
            assert "no WeChat mini-program" in answer["errors"][0]["message"]
        assert server.asked == []
