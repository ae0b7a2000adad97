"""Owns WeChat: what its mini-program codes say of a person, and whose identity it is here."""

import asyncio
import functools
import ssl
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from core import database
from core.errors import storable, text
from members.errors import (
    WechatCodeRejected,
    WechatDiffers,
    WechatLimited,
    WechatNotSetUp,
    WechatRefused,
    WechatTaken,
    WechatUnavailable,
)
from members.models import Member, WechatIdentity

CODE_CHARACTERS = 200
ID_CHARACTERS = 64
# For all calls together: a mini-program is cut off 5 s after it went to the background.
TIMEOUT_SECONDS = 4
PAUSES_SECONDS = (0.1, 0.3)  # before it is asked again when it was busy

# https://developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/user-login/code2Session.html
BUSY = -1
LIMIT = 45011
MISTAKES = {40029: WechatCodeRejected, 40163: WechatCodeRejected, 40226: WechatRefused}


@dataclass(frozen=True, slots=True)
class Person:
    """Who somebody is to WeChat: in our mini-program, and in all apps of one company if known."""

    openid: str
    unionid: str | None = None


@dataclass(frozen=True, slots=True)
class App:
    """Our mini-program and the address of WeChat's server, without a slash at the end."""

    url: str
    app_id: str
    secret: str = field(repr=False)

    async def person(self, code: str) -> Person:
        """Who got this code from `wx.login`; a code works once, within 5 minutes.

        Raises `WechatNotSetUp` without an app id, `WechatCodeRejected`, `WechatRefused`,
        `WechatLimited`, and `WechatUnavailable` when there is no answer within 4 s or when it was
        busy three times. The session key in the answer is dropped here.
        """
        if not self.app_id:
            raise WechatNotSetUp
        code = text(code, "code", most=CODE_CHARACTERS)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                answer = await self._answer(code)
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            # Its text may hold the address with the secret in it.
            raise WechatUnavailable(type(error).__name__) from None
        return _person(answer)

    async def _answer(self, code: str) -> Any:
        """What WeChat says of the code, asked again while it is busy."""
        query = {
            "appid": self.app_id,
            "secret": self.secret,
            "js_code": code,
            "grant_type": "authorization_code",
        }
        async with httpx.AsyncClient(
            base_url=self.url, params=query, verify=_trusted(), trust_env=False
        ) as http:
            for seconds in PAUSES_SECONDS:
                answer = await _ask(http)
                if not _is_busy(answer):
                    return answer
                await asyncio.sleep(seconds)
            return await _ask(http)


async def _ask(http: httpx.AsyncClient) -> Any:
    response = await http.get("/sns/jscode2session")
    return response.raise_for_status().json()


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Whose certificates are believed; reading them takes too long for every sign-in."""
    return httpx.create_ssl_context()


def _is_busy(answer: Any) -> bool:
    return isinstance(answer, dict) and answer.get("errcode") == BUSY


def _person(answer: Any) -> Person:
    if not isinstance(answer, dict):
        raise WechatUnavailable("an answer that is no object")
    error = answer.get("errcode", 0)
    if error == LIMIT:
        raise WechatLimited
    for code, mistake in MISTAKES.items():
        if error == code:
            raise mistake
    if error != 0:
        raise WechatUnavailable(f"errcode {str(error)[:20]}")
    openid, unionid = answer.get("openid"), answer.get("unionid")
    if openid is None:
        raise WechatUnavailable("an answer without an openid")
    return Person(_id(openid), None if unionid is None else _id(unionid))


def _id(value: object) -> str:
    if not isinstance(value, str) or not value or not storable(value, ID_CHARACTERS):
        raise WechatUnavailable("an id that is none")
    return value


async def lock(person: Person, *members: int) -> None:
    """Waits for whoever else gives this identity to a member, or one to any of these members."""
    names = [f"wechat-member:{each}" for each in members]
    await database.lock(f"wechat:{person.openid}", *names)


async def member(person: Person) -> Member | None:
    """Whose identity it is; the unionid is kept once it is known."""
    found = await WechatIdentity.get_or_none(openid=person.openid).select_related("member")
    if found is None:
        return None
    if person.unionid is not None and found.unionid is None:
        await WechatIdentity.filter(id=found.id).update(unionid=person.unionid)
    return found.member


async def give(person: Person, member_id: int, now: datetime) -> None:
    """Makes it the member's identity; belongs into a unit of work that holds `lock`."""
    await WechatIdentity.create(
        member_id=member_id, openid=person.openid, unionid=person.unionid, created_at=now
    )


@database.unit_of_work
async def link(person: Person, member_id: int, now: datetime) -> Member:
    """Makes it the member's identity, which it may be already.

    Raises `WechatTaken` when it is another member's, `WechatDiffers` when the member has another.
    """
    await lock(person, member_id)
    owner = await member(person)
    if owner is not None and owner.id != member_id:
        raise WechatTaken
    if owner is None:
        if await WechatIdentity.exists(member_id=member_id):
            raise WechatDiffers
        await give(person, member_id, now)
    return await Member.get(id=member_id)
