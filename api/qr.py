"""Owns the QR codes of links: pictures that lead to the redirect, for posters and screens."""

import asyncio
import functools
import hashlib
import io

import segno
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from api import conditional, pages, targets
from api.settings import Settings
from referral import links

# A picture of the same link is the same for as long as its address is.
HEADERS = {
    "cache-control": "public, max-age=86400",
    "cross-origin-resource-policy": "cross-origin",  # for pages and screens elsewhere
}
TYPES = {"svg": "image/svg+xml", "png": "image/png"}
USUAL_SCALE = 8  # pixels of a module: about 300 in all
LARGEST_SCALE = 40
QUIET_ZONE = 4  # modules, as ISO/IEC 18004 asks
CORRECTION = "m"  # 15 % of it may be hidden, more where the size stays


def routes(settings: Settings) -> list[Route]:
    """The pictures of one installation's links, archived ones too."""

    async def picture(request: Request) -> Response:
        kind = request.path_params["kind"]
        link = await links.find(request.path_params["code"]) if kind in TYPES else None
        if link is None:
            return pages.not_found("There is no such link.")
        scale = _scale(request.query_params.get("scale", str(USUAL_SCALE)))
        if scale is None:
            return PlainTextResponse(f"scale is a number from 1 to {LARGEST_SCALE}.", 400)
        # Drawing takes some 10 ms, in which others are answered.
        body = await asyncio.to_thread(_draw, targets.link_url(link, settings), kind, scale)
        headers = {**HEADERS, "etag": f'"{hashlib.sha256(body).hexdigest()[:32]}"'}
        if conditional.known(request, headers["etag"]):
            return Response(status_code=304, headers=headers)
        return Response(body, media_type=TYPES[kind], headers=headers)

    return [Route("/r/{code}/qr.{kind}", picture)]


def _scale(text: str) -> int | None:
    """How many pixels a module has on each side; None for what is out of bounds."""
    plain = text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST_SCALE))
    return int(text) if plain and 1 <= int(text) <= LARGEST_SCALE else None


@functools.lru_cache(maxsize=256)
def _draw(url: str, kind: str, scale: int) -> bytes:
    picture = io.BytesIO()
    code = segno.make_qr(url, error=CORRECTION)
    code.save(picture, kind=kind, scale=scale, border=QUIET_ZONE)
    return picture.getvalue()
