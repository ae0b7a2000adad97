"""Owns files that are fetched with a token: who may have them, and how others are refused."""

from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from api import bearers
from api.context import Context
from api.errors import Refusal, refused
from api.requests import request_id
from api.settings import Settings
from members.identity import Viewer
from members.models import Role

Download = Callable[[Request, Viewer, datetime], Awaitable[Response]]


def route(
    settings: Settings, roles: Collection[Role], download: Download
) -> Callable[[Request], Awaitable[Response]]:
    """Answers whoever has one of the roles; a `Refusal` in the form of `/graphql`."""

    async def answer(request: Request) -> Response:
        now = datetime.now(UTC)
        try:
            context = Context(settings, now, await bearers.viewer(request, now))
            return await download(request, context.allow(roles), now)
        except Refusal as refusal:
            return refused(refusal, request_id())

    return answer
