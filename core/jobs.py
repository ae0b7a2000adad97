"""Owns the long work that somebody waits for: how far it is, where it goes on, how it ended."""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.models import Model

from core import database, outbox

SHOWN_PROBLEMS = 100
ITEMS_AT_ONCE = 500  # forgotten in one transaction
_GIVEN_UP = """
SELECT job.id FROM outbox JOIN job ON job.kind = outbox.topic AND job.id = outbox.subject_id
WHERE outbox.dead_at IS NOT NULL AND job.ended_at IS NULL ORDER BY job.id
"""
# Not one whose work is open or a dead letter: it may go on still.
_OUTLIVED = """
SELECT id FROM job WHERE ended_at <= $1
AND NOT EXISTS (
    SELECT 1 FROM outbox WHERE topic = job.kind AND subject_id = job.id
    AND done_at IS NULL AND dead_at IS NULL
)
AND NOT EXISTS (
    SELECT 1 FROM outbox WHERE topic = job.kind AND subject_id = job.id AND dead_at IS NOT NULL
)
ORDER BY ended_at LIMIT 1
"""


class JobStatus(StrEnum):
    """How far a job is."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"


class Job(Model):
    """One piece of long work. A worker does it in batches, each in a transaction of its own that
    moves `position`: killed between two of them, it goes on with the next."""

    id = fields.BigIntField(primary_key=True)
    kind = fields.CharField(max_length=40)  # also the topic of its outbox row
    subject_id = fields.BigIntField(null=True)  # what it is about, by the kind
    status = fields.CharEnumField(JobStatus, max_length=7)
    position = fields.BigIntField(default=0)  # the last row that is done
    done = fields.BigIntField(default=0)
    total = fields.BigIntField(null=True)
    problems: Any = fields.JSONField(default=list)
    created_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "job"


class JobItem(Model):
    """One row that a job was given to work through, until the job has ended."""

    # Or one that an export has made, until it was kept for long enough.

    id = fields.BigIntField(primary_key=True)
    job_id = fields.BigIntField()
    place = fields.IntField()  # 1, 2, 3 …
    item = fields.TextField()  # JSON in ASCII, in which any text can be kept

    class Meta:
        table = "job_item"
        unique_together = (("job_id", "place"),)


async def start(
    kind: str, now: datetime, *, subject_id: int | None = None, total: int | None = None
) -> Job:
    """Queues a job with its outbox row; belongs into a unit of work. One of nothing is done."""
    job = Job(kind=kind, subject_id=subject_id, status=JobStatus.QUEUED, total=total)
    job.created_at = now
    if total == 0:
        end(job, now)
    await job.save()
    if total != 0:
        await outbox.put(kind, [(job.id, kind)], now)
    return job


async def give(job: Job, items: Sequence[Any], *, behind: int = 0) -> None:
    """Leaves the items with the job, at the places from 1 on, or behind that one; belongs into the
    unit of work that starts the job, or goes on with it."""
    await JobItem.bulk_create(
        JobItem(job_id=job.id, place=place, item=json.dumps(item))
        for place, item in enumerate(items, start=behind + 1)
    )


async def last_place(job: Job) -> int:
    """The place of its last item; 0 where it has none."""
    last = await JobItem.filter(job_id=job.id).order_by("-place").first()
    return last.place if last else 0


async def items(job: Job, behind: int, most: int) -> Sequence[JobItem]:
    """Its items behind a place, in their order."""
    found = JobItem.filter(job_id=job.id, place__gt=behind)
    return await found.order_by("place").limit(most)


async def begin(kind: str, now: datetime, *, total: int | None = None) -> Job:
    """A job that its caller does, without a worker; belongs into a unit of work."""
    return await Job.create(kind=kind, status=JobStatus.RUNNING, total=total, created_at=now)


def advance(job: Job, *, position: int, done: int) -> None:
    """Notes in memory that the rows up to `position`, `done` more of them, are done. One that had
    failed and is tried again runs from then on."""
    job.status = JobStatus.RUNNING
    job.ended_at = None
    job.position = position
    job.done += done


def tell(job: Job, problems: Sequence[str]) -> None:
    """Adds problems in memory, of which a job keeps the first 100."""
    job.problems = [*job.problems, *problems][:SHOWN_PROBLEMS]


def end(job: Job, now: datetime, *, problems: Sequence[str] = ()) -> None:
    """Notes in memory that there is nothing left to do."""
    job.status = JobStatus.DONE
    tell(job, problems)
    job.ended_at = now


async def work(
    topic: str,
    advance: Callable[[Sequence[outbox.Claim], datetime], Awaitable[bool]],
    clock: Callable[[], datetime],
) -> bool:
    """Claims a job that is due and does all of it, batch by batch; False where there was none.

    Each `advance` is a transaction that keeps the claim, and says whether there is more: killed
    between two of them, another worker goes on with the next one when the lease has ended.
    """
    claims = await outbox.claim(topic, clock(), most=1)
    if not claims:
        return False
    try:
        while await advance(claims, clock()):
            claims = [replace(each, attempts=1) for each in claims]  # as it stands in the row now
    except Exception as error:
        await outbox.give_back(claims, error, clock())
        await fail_given_up(clock())
        raise
    return True


async def fail_given_up(now: datetime) -> None:
    """Has every open job FAILED whose work is a dead letter; writes nothing where there is none.

    The first of its problems says so. What caused it is in the letter, and not for everybody who
    may ask how far the job is.
    """
    if await Job.filter(ended_at__isnull=True).exists() and await database.snapshot(_given_up)():
        await _fail_given_up(now)


async def _given_up() -> Sequence[int]:
    """The open jobs whose work is dead; among any amount of work that is done, by the index."""
    await database.trust_indexes()
    return [row["id"] for row in await database.rows(_GIVEN_UP)]


@database.unit_of_work
async def _fail_given_up(now: datetime) -> None:
    await database.lock("jobs")
    why = f"{now.isoformat()}: given up, since {outbox.MAX_ATTEMPTS} attempts got it no further"
    for job_id in await _given_up():
        job = await Job.get(id=job_id)
        job.status = JobStatus.FAILED
        job.problems = [why, *job.problems][:SHOWN_PROBLEMS]
        job.ended_at = now
        await job.save()


@database.snapshot
async def outlived(until: datetime) -> int | None:
    """The id of a job that ended by then and cannot go on any more, if any."""
    return await _outlived(until)


async def _outlived(until: datetime) -> int | None:
    await database.trust_indexes()
    found = await database.rows(_OUTLIVED, until)
    return found[0]["id"] if found else None


@database.unit_of_work
async def forget(until: datetime) -> bool:
    """Removes such a job, or up to 500 of the items that it has left; False where there was
    none."""
    await database.lock("jobs")
    job_id = await _outlived(until)
    if job_id is None:
        return False
    if not await forget_items(job_id):
        await Job.filter(id=job_id).delete()
    return True


async def forget_items(job_id: int) -> bool:
    """Removes the first 500 of a job's items, in their order; False where there were none. Belongs
    into a unit of work."""
    first = JobItem.filter(job_id=job_id).order_by("place").limit(ITEMS_AT_ONCE)
    ids = await first.values_list("id", flat=True)
    return bool(ids) and await JobItem.filter(id__in=ids).delete() > 0
