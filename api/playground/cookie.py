"""Owns the cookie of the playground, which signs nobody in by itself: only beside a header that no
other site can have a browser send.

A page of another origin may have a browser send cookies, but not headers of its own choice: for
those the browser asks first (a preflight), and we allow this one to nobody else.
"""

from collections.abc import Sequence
from datetime import datetime

from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from api import front
from api.headers import Header
from api.settings import Settings

HEADER = b"x-wellspring-playground"
_OWN, _LENT = "own.", "lent."  # a session that was opened here, and a token that was brought along


class PlaygroundCookie:
    """The token of whoever is signed in to the playground, out of reach of scripts."""

    def __init__(self, settings: Settings) -> None:
        secure = settings.base_url.startswith("https://")
        # With this prefix browsers take the cookie from this very host by https alone: no
        # neighbour of the domain can plant one. RFC 6265bis, section 4.1.3.2.
        self._name = "__Host-wellspring_playground" if secure else "wellspring_playground"
        self._options = f"Path=/; HttpOnly; SameSite=Strict{'; Secure' if secure else ''}"

    def token(self, headers: Sequence[Header]) -> str | None:
        """The token; None where there is no cookie, or not the header that makes it count."""
        value = self._value(headers)
        return None if value is None else value.removeprefix(_OWN).removeprefix(_LENT)

    def own(self, headers: Sequence[Header]) -> bool:
        """Whether the session was opened here, so that signing out here has to end it."""
        return (self._value(headers) or "").startswith(_OWN)

    def opened(self, token: str, expires_at: datetime, now: datetime) -> str:
        """What has the browser keep the token of a session for as long as that lasts."""
        seconds = int((expires_at - now).total_seconds())
        return f"{self._name}={_OWN}{token}; Max-Age={seconds}; {self._options}"

    def lent(self, token: str) -> str:
        """What has the browser keep somebody's own token until it is closed."""
        return f"{self._name}={_LENT}{token}; {self._options}"

    def gone(self) -> str:
        """What has the browser forget it."""
        return f"{self._name}=; Max-Age=0; {self._options}"

    def _value(self, headers: Sequence[Header]) -> str | None:
        if not any(name == HEADER for name, _ in headers):
            return None
        for name, value in headers:
            if name == b"cookie":
                found = cookie_parser(value.decode("latin-1")).get(self._name)
                if found is not None:
                    return found
        return None


class CookieBearer:
    """Makes a bearer token of the cookie before anything else looks at a GraphQL request, so that
    whoever came by it is treated in every way as by the token itself."""

    def __init__(self, app: ASGIApp, cookie: PlaygroundCookie) -> None:
        self._app = app
        self._cookie = cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == front.PATH:
            scope["headers"] = self._with_bearer(scope["headers"])
        await self._app(scope, receive, send)

    def _with_bearer(self, headers: Sequence[Header]) -> Sequence[Header]:
        token = self._cookie.token(headers)
        if token is None or any(name == b"authorization" for name, _ in headers):
            return headers
        kept = [pair for pair in headers if pair[0] != b"cookie"]
        return [*kept, (b"authorization", b"Bearer " + token.encode("latin-1"))]
