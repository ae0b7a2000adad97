"""Owns what a click says about its visitor: the signed cookie, and whether it is a person."""

import functools
import hmac
import re

import crawleruseragents
from itsdangerous import BadSignature, Signer
from itsdangerous.signer import SigningAlgorithm
from starlette.requests import Request

from api.settings import Settings

COOKIE = "wellspring_visitor"
COOKIE_LIFE_SECONDS = 365 * 24 * 3600
# What the kept list of crawlers leaves out: HTTP libraries, by how they begin or what they contain,
LIBRARIES = re.compile(
    r"^(apache-httpclient|bun/|dart/|deno/|faraday|guzzlehttp|hyper/|insomnia|jakarta|java/|k6/"
    r"|libcurl|libwww|lwp|node|okhttp|php/|postmanruntime|reqwest|restsharp|ruby|undici|ureq)"
    r"|alamofire/|cfnetwork/|powershell/|unitywebrequest",
    re.IGNORECASE,
)
# and whoever looks at a page for others. Phones are called CUBOT: a bot says it is "compatible".
FETCHERS = re.compile(
    r"compatible;[^)]*(bot|crawler|preview|spider)|(link|page|url)[-_ ]?preview"
    r"|larkurl2image|line-poker|qq-url-manager",
    re.IGNORECASE,
)
AGENT_CHARACTERS = 512
REASON_CHARACTERS = 100


class _Hmac(SigningAlgorithm):
    """What the library signs with by default, in one call: a redirect has little time."""

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return hmac.digest(key, value, "sha1")


class VisitorCookie:
    """The visitor id in a first-party cookie that only this installation can have written."""

    def __init__(self, settings: Settings) -> None:
        key = Signer(settings.signing_key(), salt="visitor").derive_key()
        self._signer = Signer(key, key_derivation="none", algorithm=_Hmac())
        secure = "; Secure" if settings.base_url.startswith("https://") else ""
        self._options = f"Max-Age={COOKIE_LIFE_SECONDS}; Path=/; HttpOnly; SameSite=lax{secure}"

    def read(self, request: Request) -> str | None:
        """The visitor id, or None when there is no cookie of ours."""
        given = request.cookies.get(COOKIE)
        if given is None:
            return None
        try:
            return self._signer.unsign(given).decode()
        except (BadSignature, UnicodeError):
            return None

    def header(self, visitor: str) -> str:
        """What has the browser keep the visitor id for a year, out of reach of scripts."""
        return f"{COOKIE}={self._signer.sign(visitor).decode()}; {self._options}"


def bot_reason(request: Request) -> str | None:
    """Why this is no person, or None for somebody to whom a link may have been sent."""
    if request.method == "HEAD":
        return "a HEAD request"
    agent = request.headers.get("user-agent", "").strip()
    return _agent_reason(agent[:AGENT_CHARACTERS]) if agent else "no user agent"


@functools.lru_cache(maxsize=4096)
def _agent_reason(agent: str) -> str | None:
    if found := LIBRARIES.search(agent):
        return f"an HTTP library: {found.group()}"
    if found := FETCHERS.search(agent):
        return f"a crawler or preview: {found.group()}"[:REASON_CHARACTERS]
    if not crawleruseragents.is_crawler(agent):
        return None
    # Which of them takes longer to say: for bots alone.
    found = crawleruseragents.CRAWLER_PATTERNS.case_sensitive.search(agent)
    return f"a known crawler, preview or library: {found and found.group()}"[:REASON_CHARACTERS]
