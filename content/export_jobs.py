"""Owns exporting the library for editors, who have no shell: as a job, whose rows are kept."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta

from content import exporting, rows
from content.models import Content
from core import database, jobs, outbox
from core.jobs import Job, JobItem, JobStatus

TOPIC = "contents_export"
FORGETTING = "contents_export_forgetting"  # what was kept for long enough
KEPT = timedelta(days=1)
BATCH = 50
READ_AT_ONCE = 100
_OUTLIVED = """
SELECT id FROM job WHERE kind = $1 AND status = $2 AND ended_at <= $3
AND EXISTS (SELECT 1 FROM job_item WHERE job_item.job_id = job.id) ORDER BY id LIMIT 1
"""


@database.unit_of_work
async def start(actor_id: int, now: datetime) -> Job:
    """Queues the export of what is there when the workers come to it."""
    return await jobs.start(TOPIC, now, subject_id=actor_id, total=await Content.all().count())


async def work(clock: Callable[[], datetime]) -> bool:
    """Does the job that is due, if any, batch by batch; see `jobs.work`."""
    return await jobs.work(TOPIC, advance, clock)


@database.unit_of_work
async def advance(claims: Sequence[outbox.Claim], now: datetime) -> bool:
    """Leaves the rows of the next contents with the job, each as it stands now; False when it has
    ended."""
    job = await Job.get(id=claims[0].subject_id)
    some = await exporting.behind(job.position, BATCH)
    if some is not None:
        await outbox.extend(claims, now)
        made = [rows.write(row) for row in some.rows]
        await jobs.give(job, made, behind=await jobs.last_place(job))
        jobs.advance(job, position=some.last, done=some.count)
        job.total = max(job.total or 0, job.done)  # some may have come meanwhile
    else:
        jobs.end(job, now)
        await outbox.settle(claims, now)
    await job.save()
    return job.status is JobStatus.RUNNING


async def lines(job: Job) -> AsyncIterator[str]:
    """What the job has made, as lines of JSON in the order of `wellspring export`."""
    place = 0
    while found := await jobs.items(job, place, READ_AT_ONCE):
        for each in found:
            yield f"{each.item}\n"
        place = found[-1].place


async def is_kept(job: Job) -> bool:
    """Whether the rows of a job that is done are still there; those of an empty library are."""
    return job.done == 0 or await JobItem.exists(job_id=job.id, place=1)  # the first that goes


async def due(now: datetime) -> bool:
    """Whether the rows of any job were kept for long enough."""
    return await _outlived(now) is not None


@database.unit_of_work
async def forget(now: datetime) -> bool:
    """Removes rows of a job that were kept for long enough, up to 500; False where there were
    none."""
    outlived = await _outlived(now)
    return outlived is not None and await jobs.forget_items(outlived)


async def _outlived(now: datetime) -> int | None:
    found = await database.rows(_OUTLIVED, TOPIC, JobStatus.DONE.value, now - KEPT)
    return found[0]["id"] if found else None
