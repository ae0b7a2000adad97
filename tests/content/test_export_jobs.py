"""An export that editors begin makes the rows that the command writes, which are kept for a day."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from content import export_jobs, exporting, library, rows
from content.models import ContentStatus
from core import jobs, outbox
from core.jobs import Job, JobItem, JobStatus
from tests import factories
from tests.factories import NOW

SECOND = timedelta(seconds=1)


@pytest.fixture
async def editor_id(opened: str) -> int:
    """Of a library of five contents, of which one is published with a newer version beside it."""
    editor = await factories.person("xia")
    for number in range(4):
        slug = f"draft-{number}"
        await factories.piece(slug, status=ContentStatus.DRAFT, author_id=editor.member.id)
    tea = await factories.piece("tea", author_id=editor.member.id, body="半句茶🍵 of it")
    await library.update(tea, 1, {"title": "Newer"}, editor.member.id, NOW)
    return editor.member.id


async def written() -> Sequence[Any]:
    """What the command writes."""
    found: list[Any] = []
    await exporting.export(lambda row: found.append(json.loads(json.dumps(rows.write(row)))))
    return found


async def done(job: Job, now: datetime = NOW) -> Job:
    while await export_jobs.work(lambda: now):
        pass
    return await Job.get(id=job.id)


async def made(job: Job) -> Sequence[Any]:
    return [json.loads(line) async for line in export_jobs.lines(job)]


@pytest.mark.parametrize("batch", [1, 2, 5, 6])
async def test_a_job_makes_the_rows_of_the_command_whatever_its_batches(
    editor_id: int, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(export_jobs, "BATCH", batch)
    monkeypatch.setattr(export_jobs, "READ_AT_ONCE", 4)
    job = await done(await export_jobs.start(editor_id, NOW))
    assert (job.status, job.done, job.total) == (JobStatus.DONE, 5, 5)
    assert await made(job) == await written()
    assert len(await made(job)) == 6


async def test_a_worker_that_died_is_followed_by_one_that_goes_on(
    editor_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_jobs, "BATCH", 2)
    job = await export_jobs.start(editor_id, NOW)
    claims = await outbox.claim(export_jobs.TOPIC, NOW, most=1)
    assert await export_jobs.advance(claims, NOW)
    assert await export_jobs.work(lambda: NOW) is False  # somebody has it
    job = await done(job, NOW + 2 * outbox.LEASE)
    assert (job.status, job.done) == (JobStatus.DONE, 5)
    assert await made(job) == await written()


async def test_what_was_made_is_kept_for_a_day_and_no_longer(editor_id: int) -> None:
    job = await done(await export_jobs.start(editor_id, NOW))
    open_still = await export_jobs.start(editor_id, NOW)
    just_before = NOW + export_jobs.KEPT - SECOND
    assert not await export_jobs.due(just_before)
    assert not await export_jobs.forget(just_before)
    assert await export_jobs.is_kept(job)

    assert await export_jobs.due(NOW + export_jobs.KEPT)
    assert await export_jobs.forget(NOW + export_jobs.KEPT)
    assert not await export_jobs.is_kept(job)
    assert not await export_jobs.due(NOW + export_jobs.KEPT)
    assert await JobItem.all().count() == 0
    assert (await Job.get(id=open_still.id)).status is JobStatus.QUEUED


async def test_a_file_that_is_removed_in_portions_is_gone_with_the_first(
    editor_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "ITEMS_AT_ONCE", 4)
    job = await done(await export_jobs.start(editor_id, NOW))
    over = NOW + export_jobs.KEPT
    assert await export_jobs.forget(over)
    assert len(await made(job)) == 2
    assert not await export_jobs.is_kept(job)
    assert await export_jobs.due(over)
    assert await export_jobs.forget(over)
    assert not await export_jobs.forget(over)
    assert await made(job) == []


async def test_a_library_that_grows_meanwhile_is_counted_as_it_is(editor_id: int) -> None:
    job = await export_jobs.start(editor_id, NOW)
    await factories.piece("late", author_id=editor_id)
    job = await done(job)
    assert (job.done, job.total) == (6, 6)


async def test_nothing_is_exported_at_once(opened: str) -> None:
    editor = await factories.person("xia")
    job = await export_jobs.start(editor.member.id, NOW)
    assert job.status is JobStatus.DONE
    assert await export_jobs.is_kept(job)
    assert await made(job) == []
