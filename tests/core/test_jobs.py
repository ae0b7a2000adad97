"""Long work says how far it is, and its row is there exactly with the work itself."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from core import database, jobs, outbox
from core.jobs import SHOWN_PROBLEMS, Job, JobStatus
from core.outbox import OutboxMessage

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KIND = "brewing"

start = database.unit_of_work(jobs.start)


@pytest.fixture(autouse=True)
async def no_jobs(opened: str) -> None:
    await Job.all().delete()


class Oh(Exception):
    """Rolls a unit of work back."""


async def test_a_job_is_queued_with_one_row_of_work_of_its_own_lane() -> None:
    first = await start(KIND, NOW, subject_id=7, total=3)
    second = await start(KIND, NOW)

    row = await Job.get(id=first.id)
    assert (row.kind, row.subject_id, row.status, row.total) == (KIND, 7, JobStatus.QUEUED, 3)
    assert (row.position, row.done, row.problems, row.ended_at) == (0, 0, [], None)
    assert row.created_at == NOW
    messages = await OutboxMessage.all().order_by("id")
    assert [(each.topic, each.subject_id, each.lane) for each in messages] == [
        (KIND, first.id, KIND),
        (KIND, second.id, KIND),
    ]
    [claim] = await outbox.claim(KIND, NOW, most=1)
    assert claim.subject_id == first.id
    assert await outbox.claim(KIND, NOW) == []  # jobs of one kind follow each other


async def test_a_job_of_nothing_is_done_and_rings_for_nobody() -> None:
    job = await start(KIND, NOW, total=0)
    row = await Job.get(id=job.id)
    assert (row.status, row.ended_at) == (JobStatus.DONE, NOW)
    assert await OutboxMessage.all().count() == 0


async def test_a_job_whose_reason_is_rolled_back_was_never_there() -> None:
    @database.unit_of_work
    async def fail() -> None:
        await jobs.start(KIND, NOW, total=1)
        raise Oh

    with pytest.raises(Oh):
        await fail()
    assert await Job.all().count() == await OutboxMessage.all().count() == 0


async def test_a_job_without_a_worker_runs_from_the_start() -> None:
    begin = database.unit_of_work(jobs.begin)
    row = await Job.get(id=(await begin(KIND, NOW, total=2)).id)
    assert (row.status, row.total, row.ended_at) == (JobStatus.RUNNING, 2, None)
    assert await OutboxMessage.all().count() == 0


async def test_a_job_gets_on_and_ends() -> None:
    job = await start(KIND, NOW, total=5)
    jobs.advance(job, position=30, done=3)
    assert (job.status, job.position, job.done) == (JobStatus.RUNNING, 30, 3)
    assert (await Job.get(id=job.id)).status is JobStatus.QUEUED  # in memory alone
    jobs.advance(job, position=50, done=2)
    jobs.end(job, NOW + timedelta(seconds=1), problems=["one"])
    await job.save()
    row = await Job.get(id=job.id)
    assert (row.status, row.position, row.done) == (JobStatus.DONE, 50, 5)
    assert (row.problems, row.ended_at) == (["one"], NOW + timedelta(seconds=1))


def test_of_many_problems_the_first_hundred_are_kept() -> None:
    job = Job(kind=KIND, status=JobStatus.RUNNING, problems=["first"])
    jobs.end(job, NOW, problems=[f"problem {number}" for number in range(SHOWN_PROBLEMS)])
    assert (len(job.problems), job.problems[0]) == (SHOWN_PROBLEMS, "first")
    assert job.problems[-1] == f"problem {SHOWN_PROBLEMS - 2}"


# ---- given up


GIVEN_UP = "given up, since 10 attempts got it no further"


async def fail_ten_times(job: Job) -> datetime:
    """Works on the job until its work is a dead letter; when that was."""
    times = [job.created_at + each * outbox.LONGEST_RETRY for each in range(outbox.MAX_ATTEMPTS)]
    for now in times:
        await fail_once(now)
    return times[-1]


async def fail_once(now: datetime) -> None:
    with pytest.raises(Oh):
        await jobs.work(KIND, fail, lambda: now)


async def fail(claims: Sequence[outbox.Claim], now: datetime) -> bool:
    raise Oh("what only the log may know")


async def test_a_job_whose_last_attempt_fails_has_failed_and_says_so_first(opened: str) -> None:
    job = await start(KIND, NOW, total=3)
    await Job.filter(id=job.id).update(problems=[str(each) for each in range(SHOWN_PROBLEMS)])
    at = await fail_ten_times(job)
    row = await Job.get(id=job.id)
    assert (row.status, row.ended_at, row.done) == (JobStatus.FAILED, at, 0)
    assert row.problems[0] == f"2026-03-01T12:36:00+00:00: {GIVEN_UP}"
    assert (row.problems[1], len(row.problems)) == ("0", SHOWN_PROBLEMS)


async def test_a_job_with_attempts_left_has_not_failed(opened: str) -> None:
    job = await start(KIND, NOW)
    await fail_once(NOW)
    await jobs.fail_given_up(NOW)
    row = await Job.get(id=job.id)
    assert (row.status, row.ended_at, row.problems) == (JobStatus.QUEUED, None, [])


async def test_a_job_that_killed_its_workers_has_failed_once_it_is_buried(opened: str) -> None:
    job, other = await start(KIND, NOW), await start(KIND, NOW)
    at = NOW
    for _ in range(outbox.MAX_ATTEMPTS):
        assert [each.subject_id for each in await outbox.claim(KIND, at, most=1)] == [job.id]
        at += outbox.LEASE
    await jobs.fail_given_up(at)
    assert (await Job.get(id=job.id)).status is JobStatus.QUEUED
    assert await outbox.bury(at) == 1
    await jobs.fail_given_up(at)
    row = await Job.get(id=job.id)
    assert (row.status, row.ended_at) == (JobStatus.FAILED, at)
    assert (await Job.get(id=other.id)).status is JobStatus.QUEUED
    await jobs.fail_given_up(at + outbox.LEASE)
    assert (await Job.get(id=job.id)).problems == row.problems  # it is said once


async def test_a_dead_letter_about_something_else_fails_no_job(opened: str) -> None:
    job = await start(KIND, NOW)
    await database.unit_of_work(outbox.put)("other", [(job.id, "a")], NOW)
    await OutboxMessage.filter(topic="other").update(dead_at=NOW)
    await jobs.fail_given_up(NOW)
    assert (await Job.get(id=job.id)).status is JobStatus.QUEUED


async def test_a_job_that_is_tried_again_runs_and_is_done(opened: str) -> None:
    async def step(claims: Sequence[outbox.Claim], now: datetime) -> bool:
        row = await Job.get(id=claims[0].subject_id)
        if row.done:
            jobs.end(row, now)
            await database.unit_of_work(outbox.settle)(claims, now)
        else:
            jobs.advance(row, position=1, done=1)
            assert (row.status, row.ended_at) == (JobStatus.RUNNING, None)
        await row.save()
        return row.status is JobStatus.RUNNING

    job = await start(KIND, NOW, total=1)
    at = await fail_ten_times(job)
    await OutboxMessage.all().update(dead_at=None, attempts=0, available_at=at)
    assert await jobs.work(KIND, step, lambda: at)
    row = await Job.get(id=job.id)
    assert (row.status, row.done) == (JobStatus.DONE, 1)
    assert len(row.problems) == 1  # what happened stays, with its time
