"""Owns signing in to the playground and out of it: with e-mail address and password, or with a
token that somebody has already."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, request_response

from api import bearers, clients
from api.errors import Forbidden, RateLimited, Refusal, Unauthenticated, refused
from api.playground.cookie import HEADER, PlaygroundCookie
from api.rates import Rates
from api.requests import BodyLimit, request_id
from api.settings import Settings
from core.errors import Mistake
from members import identity
from members.errors import TooManyAttempts
from referral import registrations

PATH = "/playground/session"
JSON = "application/json"


def routes(settings: Settings, rates: Rates, cookie: PlaygroundCookie) -> list[Route]:
    """POST signs in, DELETE out; both answer 204, or an error in the form of `/graphql`."""

    async def enter(request: Request) -> Response:
        entered = await _entered(await _given(request), settings, cookie)
        await _end(request, cookie)  # of whoever was signed in before
        return _answer(entered)

    async def leave(request: Request) -> Response:
        await _end(request, cookie)
        return _answer(cookie.gone())

    return [
        Route(PATH, BodyLimit(request_response(_ours(enter, rates))), methods=["POST"]),
        Route(PATH, _ours(leave, rates), methods=["DELETE"]),
    ]


async def _end(request: Request, cookie: PlaygroundCookie) -> None:
    """Ends the session that was opened here; a token that was brought along goes on."""
    headers = request.scope["headers"]
    token = cookie.token(headers)
    if token is not None and cookie.own(headers):
        viewer = await identity.viewer(token, datetime.now(UTC))
        if viewer is not None and viewer.session_id is not None:
            await identity.close_session(viewer.session_id)


def _answer(cookie: str) -> Response:
    return Response(status_code=204, headers={"set-cookie": cookie, "cache-control": "no-store"})


def _ours(
    endpoint: Callable[[Request], Awaitable[Response]], rates: Rates
) -> Callable[[Request], Awaitable[Response]]:
    """Answers nobody but our own page, within the limit of requests, and says what is wrong."""

    async def answer(request: Request) -> Response:
        clients.note(request)
        try:
            if HEADER.decode() not in request.headers:
                raise Forbidden(f"This is for the playground; send {HEADER.decode()}: 1.")
            rates.take(None, clients.address())
            return await endpoint(request)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        except Refusal as refusal:
            return refused(refusal, request_id())

    return answer


async def _given(request: Request) -> Mapping[str, str]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise Refusal(f"Send the request as {JSON}.", 415)
    try:
        given: Any = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise Refusal("The body is not JSON in UTF-8.") from error
    names = set(given) if isinstance(given, dict) else set()
    if names not in ({"token"}, {"email", "password"}):
        raise Refusal("Send `token`, or `email` and `password`.")
    if not all(isinstance(each, str) for each in given.values()):
        raise Refusal("Send texts.")
    return given


async def _entered(given: Mapping[str, str], settings: Settings, cookie: PlaygroundCookie) -> str:
    now = datetime.now(UTC)
    if "token" in given:
        token = given["token"].strip()
        await bearers.of_token(token, now)
        return cookie.lent(token)
    try:
        entered = await registrations.sign_in(
            given["email"],
            given["password"],
            None,
            now,
            address=clients.address(),
            secret=settings.signing_key(),
        )
    except TooManyAttempts as error:
        raise RateLimited("Too many attempts to sign in; wait.", error.wait) from error
    except Mistake as mistake:
        raise Unauthenticated(mistake.message) from mistake
    if entered.session is None:
        raise Unauthenticated("No session was opened.")
    return cookie.opened(entered.session.token, entered.session.expires_at, now)
