"""Owns who sends a request: the bearer of a session's token or of an API key."""

from datetime import datetime

from starlette.requests import Request

from api.errors import Unauthenticated
from members import identity, keys


async def viewer(request: Request, now: datetime) -> identity.Viewer | None:
    """Who sends it; None for nobody. Raises `Unauthenticated` for a token that is not good."""
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    known = await _bearer(token.strip(), now) if scheme.lower() == "bearer" else None
    if known is None:
        raise Unauthenticated("This token is unknown or has expired; sign in again.")
    return known


async def _bearer(token: str, now: datetime) -> identity.Viewer | None:
    known = keys.viewer if token.startswith(keys.PREFIX) else identity.viewer
    return await known(token, now)
