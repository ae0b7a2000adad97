"""What WeChat says of a code, and whose identity somebody is, against a server of its protocol."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import pytest
from starlette.responses import Response

from core import database
from core.errors import Invalid, Mistake, Required, TooLong
from members import identity, wechat
from members.errors import (
    WechatCodeRejected,
    WechatDiffers,
    WechatLimited,
    WechatNotSetUp,
    WechatRefused,
    WechatTaken,
    WechatUnavailable,
)
from members.identity import NewMember
from members.models import Member, WechatIdentity
from members.wechat import App, Person
from tests import wechat_server
from tests.factories import NOW
from tests.ports import free_port
from tests.wechat_server import APP_ID, APP_SECRET, SESSION_KEY, Wechat


@pytest.fixture
async def server() -> AsyncIterator[Wechat]:
    async with wechat_server.running() as running:
        yield running


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wechat, "PAUSES_SECONDS", (0, 0))


@database.unit_of_work
async def create(name: str = "Mei") -> Member:
    return await identity.create(NewMember(name), NOW)


# The protocol


async def test_a_code_says_who_somebody_is_with_or_without_a_unionid(server: Wechat) -> None:
    assert await server.app.person(server.code("o-mei")) == Person("o-mei", None)
    assert await server.app.person(server.code("o-lan", "u-lan")) == Person("o-lan", "u-lan")
    assert server.asked[0] == {
        "appid": APP_ID,
        "secret": APP_SECRET,
        "js_code": "0a1b2c3d4e5f-0",
        "grant_type": "authorization_code",
    }


async def test_a_code_works_once(server: Wechat) -> None:
    code = server.code("o-mei")
    await server.app.person(code)
    with pytest.raises(WechatCodeRejected):
        await server.app.person(code)


@pytest.mark.parametrize(
    ("errcode", "mistake", "code"),
    [
        (40029, WechatCodeRejected, "CREDENTIALS_REJECTED"),
        (40163, WechatCodeRejected, "CREDENTIALS_REJECTED"),
        (40226, WechatRefused, "FORBIDDEN"),
    ],
)
async def test_an_error_of_the_person_is_a_mistake_on_the_code_and_not_tried_again(
    server: Wechat, errcode: int, mistake: type[Mistake], code: str
) -> None:
    with pytest.raises(mistake) as refused:
        await server.app.person(server.failing(errcode))
    assert (refused.value.code, refused.value.field) == (code, ("code",))
    assert len(server.asked) == 1


async def test_too_many_sign_ins_are_told_apart(server: Wechat) -> None:
    with pytest.raises(WechatLimited):
        await server.app.person(server.failing(45011))
    assert len(server.asked) == 1


@pytest.mark.parametrize("times", [1, 2])
async def test_a_busy_wechat_is_asked_again_up_to_twice(server: Wechat, times: int) -> None:
    person = await server.app.person(server.code("o-mei", busy=times))
    assert person.openid == "o-mei"
    assert len(server.asked) == times + 1


async def test_a_wechat_that_is_busy_three_times_is_unavailable(server: Wechat) -> None:
    with pytest.raises(WechatUnavailable, match="errcode -1"):
        await server.app.person(server.code("o-mei", busy=3))
    assert len(server.asked) == 3


@pytest.mark.parametrize("errcode", [40013, 40125, 41008, 99999])
async def test_errors_that_only_the_operator_can_mend_name_themselves(
    server: Wechat, errcode: int
) -> None:
    with pytest.raises(WechatUnavailable, match=f"^errcode {errcode}$"):
        await server.app.person(server.failing(errcode))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "<html>",
        "[]",
        "null",
        "5",
        "{}",
        '{"errcode": 0}',
        '{"errcode": [40029]}',
        '{"openid": ""}',
        '{"openid": 5}',
        '{"openid": "a\\u0000"}',
        json.dumps({"openid": "o" * 65}),
        '{"openid": "o-mei", "unionid": ""}',
    ],
)
async def test_an_answer_that_is_no_wechats_is_unavailable(server: Wechat, content: str) -> None:
    with pytest.raises(WechatUnavailable):
        await server.app.person(server.answering(Response(content)))


async def test_a_failing_gateway_is_unavailable(server: Wechat) -> None:
    good = Response('{"openid": "o-mei"}', status_code=502)
    with pytest.raises(WechatUnavailable, match="HTTPStatusError"):
        await server.app.person(server.answering(good))


async def test_the_longest_id_is_taken(server: Wechat) -> None:
    assert (await server.app.person(server.code("o" * 64))).openid == "o" * 64


async def test_a_wechat_that_hangs_is_given_up(
    server: Wechat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wechat, "TIMEOUT_SECONDS", 0.05)
    server.pause_seconds = 0.5
    with pytest.raises(WechatUnavailable, match="TimeoutError"):
        await server.app.person(server.code("o-mei"))


async def test_a_wechat_that_does_not_listen_is_unavailable() -> None:
    app = App(f"http://127.0.0.1:{free_port()}", APP_ID, APP_SECRET)
    with pytest.raises(WechatUnavailable, match="ConnectError"):
        await app.person("code")


async def test_without_an_app_id_nobody_is_asked(server: Wechat) -> None:
    with pytest.raises(WechatNotSetUp):
        await App(server.app.url, "", "").person(server.code("o-mei"))
    assert server.asked == []


async def test_a_code_that_can_be_none_is_refused_without_asking(server: Wechat) -> None:
    for code, kind in (("", Required), ("c" * 201, TooLong), ("a\0", Invalid), ("\ud800", Invalid)):
        with pytest.raises(kind) as refused:
            await server.app.person(code)
        assert refused.value.field == ("code",)
    assert server.asked == []


async def test_the_secrets_are_in_no_error_and_in_no_log(
    server: Wechat, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    told = [repr(server.app), repr(await server.app.person(server.code("o-mei")))]
    for response in (Response("{", status_code=500), Response(f'{{"session_key": "{SESSION_KEY}"')):
        with pytest.raises(WechatUnavailable) as refused:
            await server.app.person(server.answering(response))
        assert refused.value.__suppress_context__
        assert refused.value.__cause__ is None
        told.append(str(refused.value))
    told.append(caplog.text)
    assert not any(secret in "".join(told) for secret in (APP_SECRET, SESSION_KEY))


# Whose identity it is


async def test_an_identity_is_linked_once_and_again_by_the_same_member(opened: str) -> None:
    mei = await create()
    person = Person("o-mei", "u-mei")
    for _ in range(2):
        assert (await wechat.link(person, mei.id, NOW)).id == mei.id
    [row] = await WechatIdentity.all()
    assert (row.member_id, row.openid, row.unionid) == (mei.id, "o-mei", "u-mei")
    found = await wechat.member(person)
    assert found is not None
    assert found.id == mei.id


async def test_an_identity_in_use_elsewhere_is_not_unique(opened: str) -> None:
    mei, lan = await create(), await create("Lan")
    await wechat.link(Person("o-mei"), mei.id, NOW)
    with pytest.raises(WechatTaken) as refused:
        await wechat.link(Person("o-mei"), lan.id, NOW)
    assert (refused.value.code, refused.value.field) == ("NOT_UNIQUE", ("code",))
    assert await WechatIdentity.filter(member_id=lan.id).count() == 0


async def test_a_member_has_one_identity(opened: str) -> None:
    mei = await create()
    await wechat.link(Person("o-mei"), mei.id, NOW)
    with pytest.raises(WechatDiffers) as refused:
        await wechat.link(Person("o-other"), mei.id, NOW)
    assert refused.value.code == "NOT_UNIQUE"
    assert (await WechatIdentity.get()).openid == "o-mei"


async def test_a_unionid_that_comes_later_is_kept_and_never_lost(opened: str) -> None:
    mei = await create()
    await wechat.link(Person("o-mei"), mei.id, NOW)
    for person in (Person("o-mei", "u-mei"), Person("o-mei")):
        assert await wechat.member(person) is not None
        assert (await WechatIdentity.get()).unionid == "u-mei"


async def test_of_two_members_who_link_one_identity_at_once_one_has_it(opened: str) -> None:
    members = [await create(), await create("Lan")]
    results = await asyncio.gather(
        *(wechat.link(Person("o-mei"), each.id, NOW) for each in members * 3),
        return_exceptions=True,
    )
    row = await WechatIdentity.get()
    mine = [result for result in results if isinstance(result, Member)]
    assert [result.id for result in mine] == [row.member_id] * 3
    assert sum(isinstance(result, WechatTaken) for result in results) == 3


async def test_of_two_identities_that_one_member_links_at_once_it_has_one(opened: str) -> None:
    mei = await create()
    results = await asyncio.gather(
        *(wechat.link(Person(openid), mei.id, NOW) for openid in ("o-1", "o-2")),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in results) == ["Member", "WechatDiffers"]
    assert await WechatIdentity.all().count() == 1
