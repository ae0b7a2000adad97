"""Cancels a caller at every step that the event loop takes for it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

PATIENCE_SECONDS = 20


class Counted(Coroutine[Any, Any, Any]):
    """A coroutine that says so before each of its steps."""

    def __init__(self, inner: Coroutine[Any, Any, Any], tell: Callable[[], None]) -> None:
        self._inner = inner
        self._tell = tell

    def __await__(self) -> Any:
        raise NotImplementedError

    def send(self, value: Any) -> Any:
        self._tell()
        return self._inner.send(value)

    def throw(self, *error: Any) -> Any:
        self._tell()
        return self._inner.throw(*error)

    def close(self) -> None:
        self._inner.close()


async def called(case: Callable[[], Coroutine[Any, Any, Any]], *cancel_at: int) -> tuple[bool, int]:
    """Calls the case and cancels its caller before these steps of any task that runs meanwhile.

    Step 0 is before the caller ran at all. Whether the call returned, and the steps it took.
    """
    steps = 0
    caller: asyncio.Task[None]

    def tell() -> None:
        nonlocal steps
        steps += 1
        if steps in cancel_at:
            caller.cancel()

    def counted(loop: Any, work: Coroutine[Any, Any, Any], **context: Any) -> asyncio.Task[Any]:
        return asyncio.Task(Counted(work, tell), loop=loop, **context)

    loop = asyncio.get_running_loop()
    others = asyncio.all_tasks()
    loop.set_task_factory(counted)
    try:
        caller = loop.create_task(case())
        if 0 in cancel_at:
            caller.cancel()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.wait([caller])
    finally:
        loop.set_task_factory(None)
    assert asyncio.all_tasks() - others == set(), "the caller left before its unit of work ended"
    return not caller.cancelled(), steps
