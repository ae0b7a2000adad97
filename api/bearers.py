"""Owns who sends a request: the bearer of a session's token or of an API key."""

from datetime import datetime

from starlette.requests import Request

from api.errors import Unauthenticated
from members import identity
from members.keys import PREFIX, Keys


async def viewer(
    request: Request, now: datetime, keys: Keys | None = None
) -> identity.Viewer | None:
    """Who sends it; None for nobody. API keys are looked up with those of others that these `keys`
    recognise at the same time. Raises `Unauthenticated` for a token that is not good."""
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    return await of_token(bearer, now, keys)


async def of_token(token: str, now: datetime, keys: Keys | None = None) -> identity.Viewer:
    """Whose token or API key this is. Raises `Unauthenticated` for one that is not good."""
    known = (keys or Keys()).viewer if token.startswith(PREFIX) else identity.viewer
    found = await known(token, now) if token else None
    if found is None:
        raise Unauthenticated("This token is unknown or has expired; sign in again.")
    return found
