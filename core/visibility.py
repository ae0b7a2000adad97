"""Owns whether rows can still appear behind others that were seen.

Ids are given out before the commit, so a smaller one may become visible later, but only by a unit
of work that is writing to the table now: when those have ended, none is missing.
"""

import asyncio

from core import database

LOOKS = 20  # at who is still writing, before it is left for later
BETWEEN_LOOKS_SECONDS = 0.01


async def complete(*tables: str) -> bool:
    """Whether no row can appear any more in these tables with an id below one that was seen before
    this was asked; waits for it, at most 0.2 seconds."""
    writing = await _writers(tables)
    for _ in range(LOOKS):
        if not writing:
            return True
        await asyncio.sleep(BETWEEN_LOOKS_SECONDS)
        writing &= await _writers(tables)
    return not writing


async def _writers(tables: tuple[str, ...]) -> set[str]:
    found: set[str] = set()
    for table in tables:
        found |= await database.writers(table)
    return found
