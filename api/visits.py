"""Owns what a click says about its visitor: the signed cookie, and whether it is a person."""

import functools
from typing import Any

import crawleruseragents
from itsdangerous import BadSignature, Signer
from starlette.requests import Request
from starlette.responses import Response

from api.settings import Settings

COOKIE = "wellspring_visitor"
COOKIE_LIFE_SECONDS = 365 * 24 * 3600
# HTTP libraries that the kept list of crawlers leaves out.
LIBRARIES = (
    "apache-httpclient",
    "bun/",
    "dart/",
    "deno/",
    "faraday",
    "guzzlehttp",
    "java/",
    "libcurl",
    "libwww",
    "node",
    "okhttp",
    "php/",
    "postmanruntime",
    "reqwest",
    "restsharp",
    "ruby",
    "undici",
)
AGENT_CHARACTERS = 512


class VisitorCookie:
    """The visitor id in a first-party cookie that only this installation can have written."""

    def __init__(self, settings: Settings) -> None:
        self._signer = Signer(settings.signing_key(), salt="visitor")
        self._secure = settings.base_url.startswith("https://")

    def read(self, request: Request) -> str | None:
        """The visitor id, or None when there is no cookie of ours."""
        try:
            return self._signer.unsign(request.cookies.get(COOKIE, "")).decode()
        except (BadSignature, UnicodeError):
            return None

    def write(self, response: Response, visitor: str) -> None:
        """Has the browser keep the visitor id for a year."""
        options: dict[str, Any] = {"httponly": True, "samesite": "lax", "secure": self._secure}
        value = self._signer.sign(visitor).decode()
        response.set_cookie(COOKIE, value, max_age=COOKIE_LIFE_SECONDS, **options)


def bot_reason(request: Request) -> str | None:
    """Why this is no person, or None for somebody to whom a link may have been sent."""
    if request.method == "HEAD":
        return "a HEAD request"
    agent = request.headers.get("user-agent", "").strip()
    return _agent_reason(agent[:AGENT_CHARACTERS]) if agent else "no user agent"


@functools.lru_cache(maxsize=4096)
def _agent_reason(agent: str) -> str | None:
    if agent.lower().startswith(LIBRARIES):
        return "an HTTP library"
    return "a known crawler or library" if crawleruseragents.is_crawler(agent) else None
