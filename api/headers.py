"""Owns what every answer tells browsers, so that they do no more with it than was meant."""

from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Header = tuple[bytes, bytes]

POLICY = b"content-security-policy"
FRAMES = b"frame-ancestors 'none'"
# Where an answer does not say it itself.
ALWAYS: Sequence[Header] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"strict-origin-when-cross-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (POLICY, b"default-src 'none'; " + FRAMES),
)
HTTPS_ONLY: Header = (b"strict-transport-security", b"max-age=31536000")


def standing(base_url: str) -> Sequence[Header]:
    """What every answer of the installation at this address has."""
    return (*ALWAYS, HTTPS_ONLY) if base_url.startswith("https://") else ALWAYS


def completed(given: Sequence[Header], always: Sequence[Header]) -> list[Header]:
    """The headers, and what is missing among them; nobody's frames may hold any answer."""
    names = {name for name, _ in given}
    kept = [_unframed(pair) for pair in given] if POLICY in names else given
    return [*kept, *[pair for pair in always if pair[0] not in names]]


def _unframed(pair: Header) -> Header:
    name, value = pair
    return (name, b"%s; %s" % (value, FRAMES)) if name == POLICY and FRAMES not in value else pair


class Secured:
    """Completes the headers of every answer."""

    def __init__(self, app: ASGIApp, always: Sequence[Header]) -> None:
        self._app = app
        self._always = always

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def completing(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = completed(message["headers"], self._always)
            await send(message)

        await self._app(scope, receive, completing)
