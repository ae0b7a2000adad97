"""Owns bringing rows in batch by batch: what the next one says is prepared while one is written."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from datetime import datetime
from itertools import chain, pairwise

from content import drafts
from content.ahead import Ahead
from content.importing import Outcomes
from content.models import ContentSlug
from content.rows import Row
from core.errors import Mistake

Bring = Callable[[Sequence[Row], int | None, datetime, Ahead], Awaitable[Outcomes]]


async def in_turn(
    batches: Iterable[Sequence[Row]],
    bring: Bring,
    clock: Callable[[], datetime],
    executor: Executor | None = None,
) -> AsyncIterator[Outcomes]:
    """What became of the rows of each batch, which no member brings and which is committed by
    itself; `bring` is `importing.bring` or `importing.rehearse`. What the next batch says is
    prepared meanwhile, by the executor."""
    coming = Ahead(executor)
    for batch, after in pairwise(chain(batches, [()])):
        ahead, coming = coming, Ahead(executor)
        await _expect(after, coming)
        yield await bring(batch, None, clock(), ahead)


async def _expect(given: Sequence[Row], ahead: Ahead) -> None:
    """Has what new contents say prepared; what will be refused is left to be."""
    found = ContentSlug.filter(slug__in={row.slug for row in given})
    known = {*await found.values_list("slug", flat=True)}
    for row in given:
        if row.slug not in known:
            with suppress(Mistake):
                ahead.add(drafts.said(row.given))
    ahead.begin()
