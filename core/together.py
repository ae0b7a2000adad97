"""Owns doing together what waits at the same time: one group after the other."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

TURNS = 2  # of the loop, from a request that has arrived to what it wants to have done
# A group that takes longer waits for somebody, and the next need not wait for the same.
PATIENCE_SECONDS = 0.1
MOST_GROUPS = 4  # at once

_Wanted = tuple[T, "asyncio.Future[R]"]


class Together(Generic[T, R]):
    """Does what is asked for in groups: while one is being done, the next gathers.

    A commit takes as long for a hundred rows as for one, and a statement nearly so. `work` is given
    a group of at most so many and returns what became of each, in their order; where it raises,
    each of the group is done as if it had come alone.
    """

    def __init__(self, work: Callable[[Sequence[T]], Awaitable[Sequence[R]]], most: int) -> None:
        self._work = work
        self._most = most
        self._waiting: list[_Wanted[T, R]] = []
        self._sending: asyncio.Task[None] | None = None
        self._groups: set[asyncio.Task[None]] = set()

    async def do(self, wanted: T) -> R:
        """What became of it, once its group is done. Whoever is cancelled while waiting takes
        nobody else along, and it is done all the same. Raises what `work` raises for it alone."""
        done: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, done))
        if self._sending is None:
            # In a context of its own: a transaction of whoever came first is nobody else's.
            self._sending = Context().run(asyncio.create_task, self._send())
        return await done

    async def flush(self) -> None:
        """Returns when everything that was waiting is done, or its `do` has raised."""
        while self._sending is not None or self._groups:
            await asyncio.wait({*self._groups} if self._sending is None else {self._sending})

    async def _send(self) -> None:
        try:
            while self._waiting:
                await self._gather()
                await self._room()
                group = asyncio.create_task(self._do(self._waiting[: self._most]))
                del self._waiting[: self._most]
                self._groups.add(group)
                group.add_done_callback(self._groups.discard)
                await asyncio.wait({group}, timeout=PATIENCE_SECONDS)
        finally:
            self._sending = None

    async def _gather(self) -> None:
        """Waits for as long as more goes on coming: without a timer, so that a lone one is done at
        once, and a crowd makes one group that would else begin with the first of it."""
        seen = 0
        while seen < len(self._waiting) < self._most:
            seen = len(self._waiting)
            for _ in range(TURNS):
                await asyncio.sleep(0)

    async def _room(self) -> None:
        while len(self._groups) >= MOST_GROUPS:
            await asyncio.wait(self._groups, return_when=asyncio.FIRST_COMPLETED)

    async def _do(self, group: "Sequence[_Wanted[T, R]]") -> None:
        try:
            results = await self._work([wanted for wanted, _ in group])
        except Exception as error:  # noqa: BLE001 - whoever waits for it handles it
            if len(group) > 1:
                await asyncio.gather(*(self._do([each]) for each in group))
            elif not group[0][1].done():
                group[0][1].set_exception(error)
            return
        for (_, done), result in zip(group, results, strict=True):
            if not done.done():  # else whoever waited has gone
                done.set_result(result)
