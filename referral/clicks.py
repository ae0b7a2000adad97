"""Owns the clicks that wait to be written: those that wait together share a commit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from core import database
from core.together import Together

LARGEST_GROUP = 500  # rows of one statement


@dataclass(frozen=True, slots=True)
class Click:
    """A click as it is stored; `bot_reason` is None for a person."""

    link_id: int
    visitor: str
    touched_at: datetime
    bot_reason: str | None = None


class Clicks:
    """Writes clicks, one group after the other: a commit would else be most of a redirect."""

    def __init__(self) -> None:
        self._together = Together(_insert, LARGEST_GROUP)

    async def record(self, click: Click) -> None:
        """Writes the click; committed when this returns. Whoever is cancelled while waiting takes
        nobody else along, and the click is written all the same.

        Raises what the driver raises. A click whose connection broke as it was committed may then
        be there twice, which is one visit still.
        """
        await self._together.do(click)

    async def flush(self) -> None:
        """Returns when every click that was waiting is committed, or its `record` has raised."""
        await self._together.flush()


async def _insert(clicks: Sequence[Click]) -> Sequence[None]:
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
    return [None] * len(clicks)
