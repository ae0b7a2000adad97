"""Owns how long is kept what has come to its end: done work, deliveries of webhooks, and jobs.

None of it is needed any more for anything to be right: it is there to be looked at. What is open,
and what was given up and may be tried again, is kept however old it is.
"""

from datetime import datetime, timedelta

from core import forgetting, jobs
from core.outbox import OutboxMessage
from core.webhooks import WebhookDelivery

TOPIC = "retention"

_ENDED = {OutboxMessage: "done_at", WebhookDelivery: "ended_at"}
_kept: timedelta | None = None


def keep(time: timedelta | None) -> None:
    """From now on this process forgets what came to its end so long ago, or nothing for None."""
    global _kept  # noqa: PLW0603 - the one wire between the settings and the workers
    _kept = time


async def due(now: datetime) -> bool:
    """Whether anything was kept for long enough."""
    if _kept is None:
        return False
    until = now - _kept
    for table, column in _ENDED.items():
        if await forgetting.due(table, column, until):
            return True
    return await jobs.outlived(until) is not None


async def work(now: datetime) -> bool:
    """Forgets the next of what was kept for long enough, in a small transaction for each table;
    False where there was none."""
    if _kept is None:
        return False
    until = now - _kept
    some = [await forgetting.forget(table, column, until) for table, column in _ENDED.items()]
    return await jobs.forget(until) or any(some)
