"""Carries out `wellspring serve` and `wellspring worker`: the processes that stay."""

import asyncio
import gc
import signal
import sys
from contextlib import AsyncExitStack

import structlog
import uvicorn
import uvloop

from api import app, installation
from api import worker as workers
from api.commands import terminal
from api.failed import Failed
from api.settings import BadSettings, Settings
from core import database

log = structlog.get_logger(__name__)

STOP_SECONDS = 2


def check_address(settings: Settings) -> None:
    """Raises `Failed` where nothing can listen on the address of the settings, so that this is said
    before anything else is done."""
    uvloop.run(_bind(settings.host, settings.port))


async def _bind(host: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    try:
        # As the server will, but without listening: nobody is to take this for the server.
        server = await loop.create_server(asyncio.Protocol, host, port, start_serving=False)
    except OSError as error:
        why = f"{error.strerror}".rpartition(": ")[2]  # behind the loop's own words
        raise Failed(
            f"Cannot listen on {host}, port {port}: {why}. End what listens there, or choose "
            "another address with WELLSPRING_HOST and WELLSPRING_PORT."
        ) from error
    server.close()


def serve(settings: Settings) -> None:
    """Serves until it is told to stop; a database that lacks migrations stops it before."""
    uvloop.run(_checked(settings))
    server = uvicorn.Server(
        uvicorn.Config(
            app.create(settings),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=STOP_SECONDS,
            loop="uvloop",
            http="httptools",
        )
    )
    # Once it has stopped in order, the server passes the signal on that told it to.
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: sys.exit(0))
    gc.freeze()  # what is loaded by now stays: no collection need look at it again
    server.run()
    if not server.started:
        sys.exit(1)


async def _checked(settings: Settings) -> None:
    settings.signing_key()
    async with installation.opened(settings):
        await database.ready()
    if trouble := await workers.trouble(settings):
        # It serves all the same: what is accepted waits for the broker.
        log.warning(trouble)


def work(settings: Settings) -> None:
    """Works until it is told to stop. Raises `BadSettings` without a broker to share, and `Failed`
    where that does not answer: nobody could ring for this worker."""
    if settings.embedded:
        raise BadSettings(
            [
                "WELLSPRING_BROKER_URL is memory://, where the server carries the worker itself. "
                "Accepted for a worker of its own: redis://HOST:PORT/DB."
            ]
        )
    uvloop.run(_work(settings))


async def _work(settings: Settings) -> None:
    stopped = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(installation.opened(settings))
        if trouble := await workers.trouble(settings):
            raise Failed(trouble)
        broker = workers.make_broker(settings)
        bell = await stack.enter_async_context(workers.doorbell(broker))
        await stack.enter_async_context(workers.working(broker, bell))
        gc.freeze()  # as in a server
        terminal.err.print("The worker is ready. Ctrl-C stops it.")
        await stopped.wait()
