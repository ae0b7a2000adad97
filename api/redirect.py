"""Owns the redirect of a link: the click is committed, then the visitor is sent on."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit, urlunsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api import pages, targets, visits
from api.settings import Settings
from content import reading
from content.gate import ANYBODY
from referral import links, touches
from referral.clicks import Click, Clicks
from referral.models import Link

MOST_KEPT = 10_000
CONTENT_KEPT_SECONDS = 1.0
OURS = {"r", "vid"}  # the parameters that a redirect adds
URL_CHARACTERS = ":/%#?=@[]!$&'()*+,;~"  # what stands in an address as it is


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a link leads, around the visitor's id, and how long that holds."""

    link_id: int
    head: str
    tail: str
    good_until: float  # on the clock of `time.monotonic`


class Destinations:
    """Where codes lead, kept in this process: what is asked here of a link never changes, and
    where its content is read holds for a second."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept: dict[str, Destination] = {}

    async def find(self, text: str) -> Destination | None:
        """Where the code leads, in any spelling; None where there is no such link."""
        kept = self._kept.get(text.upper())  # spelling it out takes longer: on a miss alone
        if kept is not None and time.monotonic() < kept.good_until:
            return kept
        link = await links.find(text)
        return None if link is None else self._keep(link.code, await self._look(link))

    def _keep(self, code: str, found: Destination) -> Destination:
        self._kept.pop(code, None)
        if len(self._kept) >= MOST_KEPT:
            del self._kept[next(iter(self._kept))]  # the one that was looked up longest ago
        self._kept[code] = found
        return found

    async def _look(self, link: Link) -> Destination:
        good_until, piece = float("inf"), None
        if link.content_id is not None:
            good_until = time.monotonic() + CONTENT_KEPT_SECONDS
            piece = (await reading.by_ids(ANYBODY, [link.content_id])).get(link.content_id)
        target = targets.target(link, piece, self._settings)
        return Destination(link.id, *_around_visitor(target, link.code), good_until)


def _around_visitor(url: str, code: str) -> tuple[str, str]:
    """The address before and behind the visitor's id: `r` and `vid` come last in its query, which
    else stays as it was written, since a shop may have signed it."""
    parts = urlsplit(quote(url, safe=URL_CHARACTERS))
    own = [pair for pair in parts.query.split("&") if pair and pair.partition("=")[0] not in OURS]
    query = "&".join([*own, f"r={code}", "vid="])
    head = urlunsplit(parts._replace(query=query, fragment=""))
    return head, f"#{parts.fragment}" if parts.fragment else ""


def routes(settings: Settings, clicks: Clicks) -> list[Route]:
    """The redirect of one installation."""
    cookie = visits.VisitorCookie(settings)
    destinations = Destinations(settings)

    async def follow(request: Request) -> Response:
        """Records the click, then redirects: what counts is committed before the answer goes."""
        found = await destinations.find(request.path_params["code"])
        if found is None:
            return pages.not_found("There is no such link.")
        bot = visits.bot_reason(request)
        visitor = cookie.read(request) or touches.new_visitor()
        await clicks.record(Click(found.link_id, visitor, datetime.now(UTC), bot))
        headers = {
            "location": f"{found.head}{visitor}{found.tail}",  # as it was made: URL-safe
            "cache-control": "no-store",
        }
        if bot is None:
            headers["set-cookie"] = cookie.header(visitor)
        return Response(status_code=302, headers=headers)

    return [Route("/r/{code}", follow)]
