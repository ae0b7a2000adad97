"""Puts a server together: routes, middleware, the database and, where embedded, the worker."""

import asyncio
import functools
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from dramatiq.broker import Broker
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api import (
    assets,
    bank_file,
    export_file,
    front,
    headers,
    http,
    installation,
    qr,
    redirect,
    requests,
    worker,
)
from api.endpoint import GraphQLApp
from api.errors import Unexpected, refused
from api.front import Front
from api.headers import Header, Secured
from api.playground import serving, session
from api.playground.cookie import CookieBearer, PlaygroundCookie
from api.rates import Rates
from api.requests import BodyLimit, RequestId
from api.settings import Settings
from referral.clicks import Clicks
from referral.orders import Orders

log = structlog.get_logger(__name__)

CANCEL_AGAIN_SECONDS = 1.0


def create(settings: Settings) -> Starlette:
    """The server of one installation. It opens the database when it starts, and refuses to start
    on one that was not migrated (`NotMigrated`)."""
    brokers: list[Broker] = []
    clicks, orders = Clicks(), Orders()
    rates = Rates(settings.rate_limit)
    always = headers.standing(settings.base_url)
    graphql = GraphQLApp(settings, rates, orders)
    cookie = PlaygroundCookie(settings) if settings.playground else None

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(installation.opened(settings))
            stack.push_async_callback(clicks.flush)
            stack.push_async_callback(orders.flush)
            broker = worker.make_broker(settings)
            brokers.append(broker)
            bell = await stack.enter_async_context(worker.doorbell(broker))
            if not settings.embedded:
                sharing = asyncio.create_task(rates.share(settings.broker_url))
                stack.push_async_callback(end, sharing)
            else:
                await stack.enter_async_context(worker.working(broker, bell))
            yield

    async def check_broker() -> None:
        for broker in brokers:
            await worker.check(broker)

    return Starlette(
        routes=[
            *redirect.routes(settings, clicks),  # first, since nothing is asked for as often
            Route(front.PATH, BodyLimit(graphql), methods=["GET", "POST"]),
            Route("/payouts.csv", bank_file.route(settings)),
            Route(export_file.PATH, export_file.route(settings)),
            *qr.routes(settings),
            *assets.routes(settings),
            *(serving.routes(settings) if cookie else ()),
            *(session.routes(settings, rates, cookie) if cookie else ()),
            *http.routes(settings, check_broker),
        ],
        middleware=[
            # Whoever comes by the cookie has the token's own way through everything below.
            *([Middleware(CookieBearer, cookie=cookie)] if cookie else ()),
            Middleware(Front, graphql=graphql, settings=settings, rates=rates),
            Middleware(RequestId),
            Middleware(Secured, always=always),
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=["GET", "POST"],
                allow_headers=["authorization", "content-type", "idempotency-key", "x-request-id"],
                expose_headers=["x-request-id", "retry-after", "idempotency-replayed"],
            ),
        ],
        exception_handlers={Exception: functools.partial(_unexpected, always)},
        lifespan=lifespan,
    )


async def end(task: "asyncio.Task[None]") -> None:
    """Ends the task, though what it waits for may swallow a cancellation, as the client of Redis
    does when an answer comes at the same moment."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=CANCEL_AGAIN_SECONDS)


async def _unexpected(always: Sequence[Header], request: Request, error: Exception) -> Response:
    """What is nobody's expected mistake: said without detail here, whole in the log."""
    request_id = request.scope.get(requests.ID_KEY, "")
    log.error("unexpected error", path=request.url.path, request_id=request_id, exc_info=error)
    refusal = Unexpected("Something went wrong on our side; quote the request id to support.")
    response = refused(refusal, request_id)
    response.headers["x-request-id"] = request_id  # this is outside of all middleware
    response.raw_headers = headers.completed(response.raw_headers, always)
    return response
