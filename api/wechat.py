"""Signing in by WeChat, as the API shows it."""

from datetime import timedelta
from typing import Annotated

import strawberry
import structlog
from strawberry import argument

from api import access
from api.accounts import MemberPayload
from api.context import Info
from api.errors import RateLimited, UpstreamUnavailable, mistakes_to
from api.members import Member
from api.sessions import CODE, VISITOR, SessionPayload, signed_in
from api.settings import Settings
from members import wechat
from members.errors import WechatLimited, WechatUnavailable
from members.wechat import Person
from referral import registrations, touches
from referral.registrations import WECHAT_NAME

log = structlog.get_logger(__name__)

LIMITED = timedelta(minutes=1)  # WeChat takes 100 sign-ins of a person a minute
UNAVAILABLE = timedelta(seconds=5)


@strawberry.input(description="Somebody in a WeChat mini-program.")
class WechatSignInInput:
    code: str = strawberry.field(description="From `wx.login`; it works once.")
    referral_code: str | None = strawberry.field(
        default=None,
        description=f"{CODE} Of a new member; an unknown one is an error beside the session.",
    )
    visitor_id: str | None = strawberry.field(default=None, description=VISITOR)


async def _person(settings: Settings, code: str) -> Person:
    """Who got this code from `wx.login`; raises the mistakes of `wechat.App.person`, and what
    WeChat itself cannot do just now as a refusal of the request."""
    app = wechat.App(settings.wechat_url, settings.wechat_app_id, settings.wechat_app_secret)
    try:
        return await app.person(code)
    except WechatLimited as error:
        raise RateLimited("Too many sign-ins by WeChat; wait a minute.", LIMITED) from error
    except WechatUnavailable as error:
        log.warning("WeChat is unavailable", reason=str(error))
        raise UpstreamUnavailable(
            "WeChat does not answer; try again in a moment, with a fresh code.",
            UNAVAILABLE,
        ) from error


@strawberry.type
class WechatMutation:
    @strawberry.mutation(
        description="Opens a session of somebody in our WeChat mini-program. A new person gets an "
        f"account, named {WECHAT_NAME} until `memberUpdate` names it.",
        extensions=[access.EVERYBODY],
    )
    @mistakes_to(lambda errors: SessionPayload(errors=errors))
    async def sign_in_with_wechat(
        self,
        info: Info,
        input: Annotated[WechatSignInInput, argument(description="Who signs in.")],
    ) -> SessionPayload:
        if input.visitor_id is not None:
            touches.check_visitor(input.visitor_id)
        person = await _person(info.context.settings, input.code)
        entered = await registrations.enter_with_wechat(
            person, input.visitor_id, info.context.now, code=input.referral_code
        )
        return signed_in(info.context, entered)

    @strawberry.mutation(
        description="Links the viewer to a WeChat account, which may be linked already.",
        extensions=[access.SIGNED_IN],
    )
    @mistakes_to(lambda errors: MemberPayload(errors=errors))
    async def wechat_link(
        self,
        info: Info,
        code: Annotated[str, argument(description="From `wx.login`; it works once.")],
    ) -> MemberPayload:
        person = await _person(info.context.settings, code)
        viewer = info.context.signed_in()
        row = await wechat.link(person, viewer.member_id, info.context.now)
        return MemberPayload(member=Member.of(row))
