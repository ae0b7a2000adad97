"""Runs the small WeChat of the tests until it is killed; says in a line where, and codes to use."""

import asyncio
import sys

from tests import wechat_server

CODES = 20


async def _run() -> None:
    async with wechat_server.running() as wechat:
        codes = [wechat.code("openid-of-mei") for _ in range(CODES)]
        sys.stdout.write(" ".join([wechat.app.url, *codes]) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


asyncio.run(_run())
