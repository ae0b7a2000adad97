"""Puts a server together: routes, middleware, the database and, where embedded, the worker."""

import re
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from dramatiq.broker import Broker
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import bank_file, http, qr, redirect, worker
from api.errors import PayloadTooLarge, Unexpected, refused
from api.schema import GraphQLApp
from api.settings import Settings
from core import database
from referral.clicks import Clicks

log = structlog.get_logger(__name__)

LARGEST_BODY_BYTES = 1024 * 1024
REQUEST_ID_KEY = "wellspring.request_id"
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class NotMigrated(Exception):
    """The database lacks migrations: a server on it would fail at the first request."""


def create(settings: Settings) -> Starlette:
    """The server of one installation. It opens the database when it starts, and refuses to start
    on one that was not migrated (`NotMigrated`)."""
    brokers: list[Broker] = []
    clicks = Clicks()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(opened(settings))
            stack.push_async_callback(clicks.flush)
            broker = worker.make_broker(settings)
            brokers.append(broker)
            bell = await stack.enter_async_context(worker.doorbell(broker))
            if settings.embedded:
                await stack.enter_async_context(worker.working(broker, bell))
            yield

    async def check_broker() -> None:
        for broker in brokers:
            await worker.check(broker)

    return Starlette(
        routes=[
            *redirect.routes(settings, clicks),  # first, since nothing is asked for as often
            Route("/graphql", BodyLimit(GraphQLApp(settings)), methods=["GET", "POST"]),
            Route("/payouts.csv", bank_file.route(settings)),
            *qr.routes(settings),
            *http.routes(settings, check_broker),
        ],
        middleware=[
            Middleware(RequestId),
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=["GET", "POST"],
                allow_headers=["authorization", "content-type", "x-request-id"],
                expose_headers=["x-request-id", "retry-after"],
            ),
        ],
        exception_handlers={Exception: _unexpected},
        lifespan=lifespan,
    )


async def _unexpected(request: Request, error: Exception) -> Response:
    """What is nobody's expected mistake: said without detail here, whole in the log."""
    request_id = request.scope.get(REQUEST_ID_KEY, "")
    log.error("unexpected error", path=request.url.path, request_id=request_id, exc_info=error)
    refusal = Unexpected("Something went wrong on our side; quote the request id to support.")
    response = refused(refusal, request_id)
    response.headers["x-request-id"] = request_id  # this is outside of RequestId
    return response


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[None]:
    """The database of the settings, migrated; raises `NotMigrated`."""
    async with database.opened(settings.database_url):
        if pending := await database.pending_migrations():
            raise NotMigrated(f"{len(pending)} migrations are missing: run `wellspring migrate`")
        yield


class RequestId:
    """Names every request: in its log lines, in its answer, and in the errors it gets."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        request_id = scope[REQUEST_ID_KEY] = (
            given if REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
        )

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id.encode()),
                ]
            await send(message)

        bound = structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self._app(scope, receive, send_named)
        finally:
            structlog.contextvars.reset_contextvars(**bound)


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
                await refused(refusal, scope[REQUEST_ID_KEY])(scope, receive, send)
                return
        read = False

        async def receive_kept() -> Message:
            nonlocal read
            if read:
                return await receive()
            read = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        await self._app(scope, receive_kept, send)
