"""Owns importing what editors send in: as a job, in batches that any worker goes on with."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from content import importing, rows
from content.errors import LimitExceeded
from content.rows import Row
from content.slugs import SLUG_CHARACTERS
from content.tagging import LOCK
from core import database, jobs, outbox
from core.errors import Mistake, storable
from core.jobs import Job, JobItem, JobStatus

TOPIC = "contents_import"
DRY_RUN = "contents_import_dry_run"
TOPICS = (TOPIC, DRY_RUN)
MOST_ITEMS = 1_000  # in one call
BATCH = 50


@database.unit_of_work
async def start(
    items: Sequence[Mapping[str, Any]], actor_id: int, now: datetime, *, dry_run: bool
) -> Job:
    """Keeps the items, in the form that `rows.read` takes, for the workers; raises
    `LimitExceeded`."""
    if len(items) > MOST_ITEMS:
        raise LimitExceeded(len(items), MOST_ITEMS, "items")
    topic = DRY_RUN if dry_run else TOPIC
    job = await jobs.start(topic, now, subject_id=actor_id, total=len(items))
    await jobs.give(job, items)
    return job


async def work(topic: str, clock: Callable[[], datetime]) -> bool:
    """Does the job that is due, if any, batch by batch; see `jobs.work`."""
    return await jobs.work(topic, advance, clock)


@database.unit_of_work
async def advance(claims: Sequence[outbox.Claim], now: datetime) -> bool:
    """Brings in the next items of the job, or only tries to, and notes how far it is; False when
    it has ended."""
    await database.lock(LOCK)
    job = await Job.get(id=claims[0].subject_id)
    items = await jobs.items(job, job.position, BATCH)
    if items:
        await outbox.extend(claims, now)
        jobs.tell(job, await _bring(items, job, now))
        jobs.advance(job, position=items[-1].place, done=len(items))
    else:
        jobs.end(job, now)
        await JobItem.filter(job_id=job.id).delete()
        await outbox.settle(claims, now)
    await job.save()
    return job.status is JobStatus.RUNNING


async def _bring(items: Sequence[JobItem], job: Job, now: datetime) -> Sequence[str]:
    """A line for each item that is refused, with its index in the call, from 0."""
    said = [json.loads(item.item) for item in items]
    read = [_read(each) for each in said]
    good = [row for row in read if isinstance(row, Row)]
    work = importing.rehearse if job.kind == DRY_RUN else importing.take
    outcomes = iter(await work(good, job.subject_id, now))
    ends = [next(outcomes) if isinstance(row, Row) else row for row in read]
    return [
        _line(item.place - 1, each["slug"], end)
        for item, each, end in zip(items, said, ends, strict=True)
        if isinstance(end, Mistake)
    ]


def _read(said: object) -> Row | Mistake:
    try:
        return rows.read(said)
    except Mistake as mistake:
        return mistake


def _line(index: int, slug: str, mistake: Mistake) -> str:
    named = f" ({slug})" if storable(slug, SLUG_CHARACTERS) else ""
    where = f"{'.'.join(mistake.field)}: " if mistake.field else ""
    return f"items[{index}]{named}: {where}{mistake.message}"
