"""Owns what every HTTP request gets: an id, and a limit for its body."""

import random
import re

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import PayloadTooLarge, refused

LARGEST_BODY_BYTES = 1024 * 1024
ID_KEY = "wellspring.request_id"  # in the scope
ID_HEADER = b"x-request-id"
ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")


def name(given: bytes) -> bytes:
    """The id of a request: the one that the client has given it, if that is fit for one."""
    return given if given and ID.fullmatch(given) else _new()


def request_id() -> str:
    """The id of the request that this task answers."""
    return structlog.contextvars.get_contextvars().get("request_id", "")


def _new() -> bytes:
    """Another one for each request. They keep no secret, so that the system need not be asked."""
    return random.randbytes(16).hex().encode()  # noqa: S311


class RequestId:
    """Names every request: in its log lines, in its answer, and in the errors it gets."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        named = name(dict(scope["headers"]).get(ID_HEADER, b""))
        request_id = scope[ID_KEY] = named.decode()

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (ID_HEADER, named)]
            await send(message)

        # Each request is a task of its own: what is bound in it ends with it.
        structlog.contextvars.bind_contextvars(request_id=request_id)
        await self._app(scope, receive, send_named)


class BodyLimit:
    """Refuses a body above 1 MiB, whether or not it says so beforehand, and never keeps more."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > LARGEST_BODY_BYTES:
                refusal = PayloadTooLarge("A request has at most 1 MiB.")
                await refused(refusal, scope[ID_KEY])(scope, receive, send)
                return
        whole = {"type": "http.request", "body": bytes(body), "more_body": False}
        await self._app(scope, again(whole, receive), send)


def again(first: Message, receive: Receive) -> Receive:
    """Receives what was received already, and then the rest."""
    given: list[Message] = [first]

    async def received() -> Message:
        return given.pop() if given else await receive()

    return received
