"""Owns the clicks that wait to be written: those that wait together share a commit."""

import asyncio
from collections.abc import Sequence
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime

from core import database

LARGEST_GROUP = 500  # rows of one statement
TURNS = 2  # of the loop, from a request that has arrived to its click


@dataclass(frozen=True, slots=True)
class Click:
    """A click as it is stored; `bot_reason` is None for a person."""

    link_id: int
    visitor: str
    touched_at: datetime
    bot_reason: str | None = None


Waiting = tuple[Click, "asyncio.Future[None]"]


class Clicks:
    """Writes clicks, one group after the other: while one is committed, the next gathers.

    A commit takes as long for a hundred clicks as for one, and would else be most of a redirect.
    """

    def __init__(self) -> None:
        self._waiting: list[Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    async def record(self, click: Click) -> None:
        """Writes the click; committed when this returns. Whoever is cancelled while waiting takes
        nobody else along, and the click is written all the same.

        Raises what the driver raises. A click whose connection broke as it was committed may then
        be there twice, which is one visit still.
        """
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((click, written))
        if self._writing is None:
            # In a context of its own: a transaction of whoever came first is nobody else's.
            self._writing = Context().run(asyncio.create_task, self._write())
        await written

    async def flush(self) -> None:
        """Returns when every click that was waiting is committed, or its `record` has raised."""
        while self._writing is not None:
            await asyncio.wait([self._writing])

    async def _write(self) -> None:
        try:
            while self._waiting:
                await self._gather()
                group = self._waiting[:LARGEST_GROUP]
                del self._waiting[:LARGEST_GROUP]
                await _write(group)
        finally:
            self._writing = None

    async def _gather(self) -> None:
        """Waits for as long as clicks go on coming: without a timer, so that a lone one is written
        at once, and a crowd shares a commit that would else begin with the first of it."""
        seen = 0
        while seen < len(self._waiting) < LARGEST_GROUP:
            seen = len(self._waiting)
            for _ in range(TURNS):
                await asyncio.sleep(0)


async def _write(group: Sequence[Waiting]) -> None:
    """Commits the group; where that fails, each of its clicks as if it had come alone."""
    try:
        await _insert([click for click, _ in group])
    except Exception as error:  # noqa: BLE001 - whoever waits for the click handles it
        if len(group) > 1:
            await asyncio.gather(*(_write([each]) for each in group))
            return
        _settle(group, error)
    else:
        _settle(group, None)


def _settle(group: Sequence[Waiting], error: Exception | None) -> None:
    for _, written in group:
        if written.done():  # whoever waited has gone
            continue
        if error is None:
            written.set_result(None)
        else:
            written.set_exception(error)


async def _insert(clicks: Sequence[Click]) -> None:
    numbers = iter(range(1, 4 * len(clicks) + 1))
    placed = ", ".join(f"({', '.join(f'${next(numbers)}' for _ in range(4))})" for _ in clicks)
    await database.execute(
        f"INSERT INTO touch (link_id, visitor, touched_at, bot_reason) VALUES {placed}",
        *(
            value
            for each in clicks
            for value in (each.link_id, each.visitor, each.touched_at, each.bot_reason)
        ),
    )
