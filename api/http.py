"""Owns the plain HTTP routes: the page of a content, the front page, health.

Pages are what anybody may read, whoever asks, so that others may keep them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api import conditional, pages, targets
from api.media import Media, absolute
from api.settings import Settings
from content import models, reading
from content.gate import ANYBODY, AccessReason
from content.reading import Piece
from core import database

HEALTH_TIMEOUT_SECONDS = 3
INDEX_PIECES = 50
NO_STORE = {"cache-control": "no-store"}


def routes(settings: Settings, check_broker: Callable[[], Awaitable[None]]) -> list[Route]:
    """The routes of one installation; `check_broker` returns when the broker answers."""

    async def read(request: Request) -> Response:
        piece = await reading.by_slug(ANYBODY, request.path_params["slug"])
        if piece is None:
            return pages.not_found("There is no such page.")
        html, media = await _html_and_media(piece)
        page = pages.content(
            piece,
            html,
            [Media.of(row, settings) for row in media],
            targets.address(piece, settings),
            absolute(settings, piece.cover_url),
        )
        return conditional.shared(request, page)

    async def newest(request: Request) -> Response:
        page = await reading.contents(ANYBODY, INDEX_PIECES)
        return conditional.shared(request, pages.index([edge.node for edge in page.edges]))

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
        Route("/c/{slug}", read),
        Route("/health/live", live),
        Route("/health/ready", ready),
    ]


async def _html_and_media(piece: Piece) -> tuple[str | None, Sequence[models.Media]]:
    """The body and what goes with it, where anybody may read it."""
    if piece.access is not AccessReason.GRANTED:
        return None, ()
    id = piece.version_id
    text, media = await asyncio.gather(reading.texts([id]), reading.media_by_version([id]))
    return text[id].html, media[id]


async def _wrong(check: Awaitable[None]) -> str | None:
    """What is wrong, in the words of the driver's exception class: addresses stay inside."""
    try:
        await asyncio.wait_for(check, HEALTH_TIMEOUT_SECONDS)
    except Exception as error:  # noqa: BLE001 - whatever keeps it from answering is the answer
        return type(error).__name__
    return None
