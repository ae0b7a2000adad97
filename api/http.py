"""Owns the plain HTTP routes: the redirect of a link, the page of a content, health."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from api import pages, visits
from api.media import absolute
from api.nodes import to_id
from api.settings import Settings
from content import reading
from content.gate import ANYBODY, AccessReason
from content.reading import Piece
from core import database
from referral import links, touches
from referral.models import Link

HEALTH_TIMEOUT_SECONDS = 3
INDEX_PIECES = 50
NO_STORE = {"cache-control": "no-store"}


def routes(settings: Settings, check_broker: Callable[[], Awaitable[None]]) -> list[Route]:
    """The routes of one installation; `check_broker` returns when the broker answers."""
    cookie = visits.VisitorCookie(settings)

    async def follow(request: Request) -> Response:
        """Records the click, then redirects: what counts is committed before the answer goes."""
        link = await links.find(request.path_params["code"])
        if link is None:
            return pages.not_found("There is no such link.")
        bot = visits.bot_reason(request)
        visitor = cookie.read(request) or touches.new_visitor()
        await touches.record(link, visitor, datetime.now(UTC), bot_reason=bot)
        target = _with_query(await _target(link, settings), r=link.code, vid=visitor)
        response = RedirectResponse(target, status_code=302, headers=NO_STORE)
        if bot is None:
            cookie.write(response, visitor)
        return response

    async def read(request: Request) -> Response:
        piece = await reading.by_slug(ANYBODY, request.path_params["slug"])
        if piece is None:
            return pages.not_found("There is no such page.")
        return pages.content(
            piece,
            await _html(piece),
            _address(piece, settings),
            absolute(settings, piece.cover_url),
        )

    async def newest(request: Request) -> Response:
        page = await reading.contents(ANYBODY, INDEX_PIECES)
        return pages.index([edge.node for edge in page.edges])

    async def live(request: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers=NO_STORE)

    async def ready(request: Request) -> Response:
        checks = {"database": database.ready(), "broker": check_broker()}
        found = await asyncio.gather(*map(_wrong, checks.values()))
        wrong = {name: reason for name, reason in zip(checks, found, strict=True) if reason}
        body = {"status": "unavailable" if wrong else "ok", "wrong": wrong}
        return JSONResponse(body, status_code=503 if wrong else 200, headers=NO_STORE)

    return [
        Route("/", newest),
        Route("/r/{code}", follow),
        Route("/c/{slug}", read),
        Route("/health/live", live),
        Route("/health/ready", ready),
    ]


async def _target(link: Link, settings: Settings) -> str:
    if link.target_url is not None:
        return link.target_url
    found = await reading.by_ids(ANYBODY, [link.content_id or 0])
    for piece in found.values():
        return _address(piece, settings)
    # A customer never meets a dead end, even when the content was taken away.
    return f"{settings.base_url}/"


def _address(piece: Piece, settings: Settings) -> str:
    """Where people read it."""
    return settings.content_address.format(
        slug=quote(piece.slug, safe=""),
        id=quote(to_id("Content", piece.id)),
        locale=quote(piece.locale),
    )


async def _html(piece: Piece) -> str | None:
    """The body, where anybody may read it."""
    if piece.access is not AccessReason.GRANTED:
        return None
    return (await reading.texts([piece.version_id]))[piece.version_id].html


def _with_query(url: str, **more: str) -> str:
    """The address with these parameters, and with its own query as it was written: a shop may
    have signed it."""
    parts = urlsplit(url)
    own = [pair for pair in parts.query.split("&") if pair and pair.partition("=")[0] not in more]
    return urlunsplit(parts._replace(query="&".join([*own, urlencode(more)])))


async def _wrong(check: Awaitable[None]) -> str | None:
    """What is wrong, in the words of the driver's exception class: addresses stay inside."""
    try:
        await asyncio.wait_for(check, HEALTH_TIMEOUT_SECONDS)
    except Exception as error:  # noqa: BLE001 - whatever keeps it from answering is the answer
        return type(error).__name__
    return None
