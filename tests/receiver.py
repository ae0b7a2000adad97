"""A receiver of webhooks on a real port: takes what comes, or answers as it was told to."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.core import elsewhere
from tests.ports import free_port


@dataclass(frozen=True, slots=True)
class Got:
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def said(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass
class Receiver:
    """What it got, oldest first, and what it answers next; 204 where nothing is said."""

    port: int
    scheme: str = "http"
    got: list[Got] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)
    refusing: dict[str, int] = field(default_factory=dict)  # statuses by path, while it lasts
    open: asyncio.Event = field(default_factory=asyncio.Event)  # until then nobody is answered

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    def answer(self, *statuses: int, body: str = "") -> None:
        """Answers the next requests so."""
        self.answers += [Response(body, status) for status in statuses]

    def at(self, path: str) -> list[Got]:
        return [each for each in self.got if each.path == path]

    async def came(self, count: int) -> None:
        """Returns when it got so many requests."""

        async def here() -> bool:
            return len(self.got) >= count

        await elsewhere.until(here)

    async def take(self, request: Request) -> Response:
        got = Got(request.url.path, dict(request.headers), await request.body())
        self.got.append(got)
        if status := self.refusing.get(got.path):
            return Response(status_code=status)
        answer = self.answers.pop(0) if self.answers else Response(status_code=204)
        if got.path != "/quick":
            await self.open.wait()
        return answer


@asynccontextmanager
async def running(**tls: str) -> AsyncIterator[Receiver]:
    """The server, until the block ends."""
    receiver = Receiver(free_port(), "https" if tls else "http")
    receiver.open.set()
    routes = [Route("/{path:path}", receiver.take, methods=["GET", "POST"])]
    config = uvicorn.Config(
        Starlette(routes=routes), port=receiver.port, log_config=None, lifespan="off", **tls
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve(), name="receiver")
    while not server.started:
        if task.done():
            task.result()
            raise RuntimeError("the server did not start")
        await asyncio.sleep(0.01)
    try:
        yield receiver
    finally:
        receiver.open.set()
        server.should_exit = True
        await task
