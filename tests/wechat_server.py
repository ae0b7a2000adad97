"""A small WeChat on a real port: speaks `jscode2session` with one-use codes and its errors."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from members.wechat import App
from tests.ports import free_port

APP_ID = "wx0123456789abcdef"
APP_SECRET = "0123456789abcdef-the-app-secret"
SESSION_KEY = "tiihtNczf5v6AKRyjwEUhQ=="
MESSAGES = {
    -1: "system error",
    40029: "invalid code",
    40163: "code been used",
    40226: "code blocked",
    45011: "api minute-quota reach limit, must slower, retry next minute",
    40125: "invalid appsecret",
    41008: "missing code",
}


@dataclass
class Wechat:
    """What it knows of its people, and what it was asked."""

    port: int
    people: dict[str, dict[str, str]] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    busy: dict[str, int] = field(default_factory=dict)  # how often a code is answered with -1
    raw: dict[str, Response] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    asked: list[dict[str, str]] = field(default_factory=list)
    pause_seconds: float = 0

    @property
    def app(self) -> App:
        return App(f"http://127.0.0.1:{self.port}", APP_ID, APP_SECRET)

    def code(self, openid: str, unionid: str | None = None, *, busy: int = 0) -> str:
        """What `wx.login` gives to this person: good once."""
        code = f"0a1b2c3d4e5f-{len(self.people)}"
        person = {"openid": openid, "session_key": SESSION_KEY}
        self.people[code] = person if unionid is None else person | {"unionid": unionid}
        self.busy[code] = busy
        return code

    def failing(self, errcode: int) -> str:
        """A code that is always answered with this error."""
        code = f"failing-{len(self.errors)}"
        self.errors[code] = errcode
        return code

    def answering(self, response: Response) -> str:
        """A code that is answered in a way WeChat never does."""
        code = f"raw-{len(self.raw)}"
        self.raw[code] = response
        return code

    async def answer(self, request: Request) -> Response:
        query = dict(request.query_params)
        self.asked.append(query)
        await asyncio.sleep(self.pause_seconds)
        code = query.get("js_code", "")
        return self.raw.get(code) or _text(self._decide(query, code))

    def _decide(self, query: dict[str, str], code: str) -> dict[str, Any]:
        if (query.get("appid"), query.get("secret")) != (APP_ID, APP_SECRET):
            return _error(40125)
        if not code or query.get("grant_type") != "authorization_code":
            return _error(41008)
        if code in self.errors:
            return _error(self.errors[code])
        if code not in self.people:
            return _error(40029)
        if self.busy[code] > 0:
            self.busy[code] -= 1
            return _error(-1)
        if code in self.used:
            return _error(40163)
        self.used.add(code)
        return self.people[code]


def _error(errcode: int) -> dict[str, Any]:
    message = MESSAGES.get(errcode, "something else")
    return {"errcode": errcode, "errmsg": f"{message}, rid: 65f2-0ab1"}


def _text(answer: dict[str, Any]) -> Response:
    """JSON that calls itself plain text, as the real one does."""
    return Response(json.dumps(answer), media_type="text/plain")


@asynccontextmanager
async def running() -> AsyncIterator[Wechat]:
    """The server, until the block ends."""
    wechat = Wechat(free_port())
    routes = [Route("/sns/jscode2session", wechat.answer, methods=["GET"])]
    config = uvicorn.Config(
        Starlette(routes=routes), port=wechat.port, log_config=None, lifespan="off"
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve(), name="wechat")
    while not server.started:
        if task.done():
            task.result()
            raise RuntimeError("the server did not start")
        await asyncio.sleep(0.01)
    try:
        yield wechat
    finally:
        server.should_exit = True
        await task
