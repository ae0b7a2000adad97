"""What has come to its end is kept for so long and no longer; what is open is kept for good."""

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core import (
    database,
    dialect,
    endpoints,
    forgetting,
    idempotency,
    jobs,
    outbox,
    retention,
    webhooks,
)
from core.delivering import Sender
from core.errors import NotFound
from core.idempotency import KeptAnswer
from core.jobs import Job, JobItem, JobStatus
from core.outbox import LeaseLost, OutboxMessage
from core.webhooks import Event, WebhookDelivery, WebhookEndpoint
from tests.core import elsewhere

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
KEPT = timedelta(days=30)
OVER = NOW + KEPT
TOPIC = "tea"
ADMIN = 7
OPERATIONS = (elsewhere.ROOT / "docs/operations.md").read_text()

put = database.unit_of_work(outbox.put)
settle = database.unit_of_work(outbox.settle)
start = database.unit_of_work(jobs.start)


@pytest.fixture(autouse=True)
async def kept(opened: str) -> AsyncIterator[str]:
    retention.keep(KEPT)
    yield opened
    retention.keep(None)


async def work(now: datetime) -> None:
    """Forgets until nothing is due."""
    while await retention.work(now):
        pass
    assert not await retention.due(now)


async def done(count: int, at: datetime = NOW) -> Sequence[outbox.Claim]:
    """Does so much work."""
    await put(TOPIC, [(number, f"lane {number}") for number in range(count)], at)
    claims = await outbox.claim(TOPIC, at, most=count)
    await settle(claims, at)
    return claims


async def test_without_a_time_everything_is_kept_for_ever() -> None:
    await done(1)
    retention.keep(None)
    forever = NOW + timedelta(days=36_500)
    assert not await retention.due(forever)
    assert not await retention.work(forever)
    assert await OutboxMessage.all().count() == 1


# ------------------------------------------------------------------ work


async def test_done_work_is_kept_until_its_time_is_over_and_not_a_moment_longer() -> None:
    await done(1)
    assert not await retention.due(OVER - MOMENT)
    assert not await retention.work(OVER - MOMENT)
    assert await OutboxMessage.all().count() == 1
    assert await retention.due(OVER)
    assert await retention.work(OVER)
    assert await OutboxMessage.all().count() == 0
    assert not await retention.due(OVER)


async def test_work_that_is_open_leased_or_a_dead_letter_is_kept_however_old() -> None:
    await put(TOPIC, [(1, "open"), (2, "leased"), (3, "dead")], NOW)
    await OutboxMessage.filter(subject_id=2).update(lease="mine", attempts=1)
    await OutboxMessage.filter(subject_id=3).update(dead_at=NOW, attempts=outbox.MAX_ATTEMPTS)
    await work(NOW + 100 * KEPT)
    assert await OutboxMessage.all().count() == 3


async def test_a_worker_that_comes_back_after_its_row_is_gone_leaves_nothing_behind() -> None:
    await put(TOPIC, [(1, "a")], NOW)
    overtaken = await outbox.claim(TOPIC, NOW)
    later = NOW + outbox.LEASE
    await settle(await outbox.claim(TOPIC, later), later)
    await work(later + KEPT)

    @database.unit_of_work
    async def write() -> None:
        await outbox.put("effect", [(1, "a")], OVER)
        await outbox.settle(overtaken, OVER)

    with pytest.raises(LeaseLost):
        await write()
    await outbox.give_back(overtaken, LeaseLost(), OVER)
    assert await OutboxMessage.all().count() == 0


async def test_a_ring_for_a_row_that_is_gone_finds_nothing_and_its_id_is_never_given_again() -> (
    None
):
    [last] = await done(1)
    await work(OVER)
    assert await outbox.claim(TOPIC, OVER) == []
    await put(TOPIC, [(1, "a")], OVER)
    [fresh] = await outbox.claim(TOPIC, OVER)
    assert fresh.id > last.id


async def test_so_many_rows_go_in_one_transaction_those_first_that_were_done_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forgetting, "BATCH", 2)
    for number in (3, 1, 2, 4, 0):
        await done(1, NOW + number * MOMENT)
    left = []
    while await retention.work(OVER + 3 * MOMENT):
        rows = await OutboxMessage.all().order_by("done_at").values_list("done_at", flat=True)
        left.append([(at - NOW) // MOMENT for at in rows])
    assert left == [[2, 3, 4], [4]]


async def test_two_workers_at_once_wait_for_each_other_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forgetting, "BATCH", 7)
    await done(100)
    async with asyncio.timeout(elsewhere.PATIENCE_SECONDS):
        await asyncio.gather(*[work(OVER) for _ in range(4)])
    assert await OutboxMessage.all().count() == 0


FORGETTING = """
import asyncio, sys
from datetime import datetime, timedelta
from core import database, forgetting, retention

async def main(url, now):
    forgetting.BATCH = 10
    retention.keep(timedelta(days=30))
    async with database.opened(url):
        while await retention.work(datetime.fromisoformat(now)):
            print("a batch", flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_killed_between_two_batches_another_worker_goes_on(kept: str) -> None:
    await done(5_000)
    command = [sys.executable, "-c", FORGETTING, kept, OVER.isoformat()]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=elsewhere.ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    process.kill()
    assert await process.wait() == -signal.SIGKILL
    left = await OutboxMessage.all().count()
    assert 0 < left < 5_000
    assert left % 10 == 0
    await work(OVER)
    assert await OutboxMessage.all().count() == 0


# ------------------------------------------------------------------ deliveries


async def endpoint() -> WebhookEndpoint:
    return await endpoints.create("https://hooks.example/in", ["order.paid"], ADMIN, NOW)


async def owed(count: int = 1) -> Sequence[WebhookDelivery]:
    """What an endpoint is owed; it is not sent in these tests."""
    emit = database.unit_of_work(webhooks.emit)
    await emit([Event("order.paid", {"number": number}) for number in range(count)], NOW)
    return await WebhookDelivery.all().order_by("id")


async def test_what_an_endpoint_is_still_owed_is_kept_however_old() -> None:
    await endpoint()
    await owed(2)
    await work(NOW + 100 * KEPT)
    assert await WebhookDelivery.all().count() == 2
    assert await OutboxMessage.all().count() == 2


async def test_what_was_given_up_is_kept_as_long_as_what_was_delivered() -> None:
    made = await endpoint()
    await owed(2)
    off = NOW + timedelta(days=5)
    await endpoints.delete(made.id, ADMIN, off)
    await work(off + KEPT - MOMENT)
    assert await WebhookDelivery.all().count() == 2
    await work(off + KEPT)
    assert await WebhookDelivery.all().count() == 0


async def test_what_is_replayed_is_kept_until_that_has_ended_long_ago() -> None:
    await endpoint()
    [delivery] = await owed()
    await WebhookDelivery.all().update(next_at=None, delivered_at=NOW, ended_at=NOW)
    await endpoints.replay(delivery.id, ADMIN, OVER)
    await work(OVER + KEPT)
    assert await WebhookDelivery.all().count() == 1


async def test_what_is_no_longer_kept_cannot_be_replayed() -> None:
    await endpoint()
    [delivery] = await owed()
    await WebhookDelivery.all().update(next_at=None, delivered_at=NOW, ended_at=NOW)
    await OutboxMessage.all().update(done_at=NOW)
    await work(OVER)
    with pytest.raises(NotFound):
        await endpoints.replay(delivery.id, ADMIN, OVER)


async def test_a_replay_that_comes_a_moment_late_leaves_no_work_on_what_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await endpoint()
    [delivery] = await owed()
    await WebhookDelivery.all().update(next_at=None, delivered_at=NOW, ended_at=NOW)
    await OutboxMessage.all().update(done_at=NOW)
    replay = endpoints._replay

    async def late(*arguments: Any) -> WebhookEndpoint:
        await work(OVER)
        return await replay(*arguments)

    monkeypatch.setattr(endpoints, "_replay", late)
    with pytest.raises(NotFound):
        await endpoints.replay(delivery.id, ADMIN, OVER)
    assert await OutboxMessage.all().count() == 0


@pytest.mark.parametrize(
    "url", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
async def test_what_is_just_being_replayed_is_left_alone_and_waited_for_by_nobody() -> None:
    await endpoint()
    await owed(2)
    await WebhookDelivery.all().update(next_at=None, delivered_at=NOW, ended_at=NOW)
    first = await WebhookDelivery.all().order_by("id").first()
    assert first is not None
    begun, end = asyncio.Event(), asyncio.Event()

    @database.unit_of_work
    async def replaying() -> None:
        await WebhookDelivery.filter(id=first.id).update(next_at=OVER, ended_at=None)
        begun.set()
        await end.wait()

    replay = asyncio.create_task(replaying())
    await begun.wait()
    async with asyncio.timeout(elsewhere.PATIENCE_SECONDS):
        assert await retention.work(OVER)
        assert not await retention.work(OVER)
    end.set()
    await replay
    await work(OVER)
    assert [each.id for each in await WebhookDelivery.all()] == [first.id]


async def test_a_dead_letter_about_what_is_gone_is_done_when_it_is_tried_again() -> None:
    made = await endpoint()
    await owed()
    await OutboxMessage.all().update(dead_at=NOW, attempts=outbox.MAX_ATTEMPTS)
    await endpoints.delete(made.id, ADMIN, NOW)
    await work(OVER)
    assert await WebhookDelivery.all().count() == 0
    await OutboxMessage.all().update(dead_at=None, attempts=0)
    sender = Sender("a key")
    await sender.work(lambda: OVER)
    await sender.finish()
    assert await outbox.open_count(webhooks.TOPIC) == len(await outbox.dead()) == 0


# ------------------------------------------------------------------ jobs


async def ended(*, items: int = 0, at: datetime = NOW) -> Job:
    """A job that is done, and has left so many items."""
    job = await start(TOPIC, at, total=1)
    await database.unit_of_work(jobs.give)(job, [*range(items)])
    await settle(await outbox.claim(TOPIC, at, most=1), at)
    jobs.end(job, at)
    await job.save()
    return job


async def failed(*, items: int = 0) -> Job:
    """A job that has failed, whose work is a dead letter."""
    job = await start(TOPIC, NOW, total=1)
    await database.unit_of_work(jobs.give)(job, [*range(items)])
    await OutboxMessage.filter(subject_id=job.id).update(dead_at=NOW, attempts=outbox.MAX_ATTEMPTS)
    await jobs.fail_given_up(NOW)
    return job


async def test_a_job_is_kept_until_its_time_is_over_and_not_a_moment_longer() -> None:
    await ended()
    assert not await retention.due(OVER - MOMENT)
    assert not await retention.work(OVER - MOMENT)
    assert await Job.all().count() == 1
    await OutboxMessage.all().delete()
    assert await retention.due(OVER)
    await work(OVER)
    assert await Job.all().count() == 0


async def test_a_job_that_runs_is_kept_however_old() -> None:
    await start(TOPIC, NOW, total=1)
    await database.unit_of_work(jobs.begin)("by hand", NOW)
    await work(NOW + 100 * KEPT)
    assert await Job.all().count() == 2


async def test_the_items_of_a_job_go_before_it_so_many_in_one_transaction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs, "ITEMS_AT_ONCE", 2)
    job = await ended(items=5)
    other = await ended(items=1, at=NOW + MOMENT)
    seen = []
    while await jobs.forget(NOW):
        places = JobItem.filter(job_id=job.id).order_by("place").values_list("place", flat=True)
        seen.append([*await places])
    assert seen == [[3, 4, 5], [5], [], []]
    assert [each.id for each in await Job.all()] == [other.id]
    assert await JobItem.all().count() == 1


async def test_a_job_that_failed_is_kept_with_its_items_while_it_can_be_tried_again() -> None:
    job = await failed(items=2)
    await work(NOW + 100 * KEPT)
    assert (await Job.get(id=job.id)).status is JobStatus.FAILED
    [again] = re.findall(r"UPDATE outbox SET dead_at = NULL, attempts[^;]+;", OPERATIONS)
    await database.execute(again)
    await work(NOW + 100 * KEPT)
    assert await Job.all().count() == 1
    assert await JobItem.all().count() == 2


async def test_a_job_that_was_given_up_for_good_goes_like_any_other() -> None:
    job = await failed(items=2)
    [given_up] = re.findall(r"UPDATE outbox SET dead_at = NULL, done_at[^;]+;", OPERATIONS)
    named = given_up.replace("contents_import", TOPIC).replace("= 7", f"= {job.id}")
    await database.execute(named)
    assert await outbox.dead() == []
    await work(OVER - MOMENT)
    assert (await Job.all().count(), await JobItem.all().count()) == (1, 2)
    await work(OVER)
    assert (await Job.all().count(), await JobItem.all().count()) == (0, 0)
    assert await OutboxMessage.all().count() == 1
    await work(datetime.now(UTC) + KEPT)
    assert await OutboxMessage.all().count() == 0


# ------------------------------------------------------------------ how they are found

# Only the index of dead letters is read as a whole.
WHOLE = re.compile(r"Seq Scan|SCAN \w+\b(?! USING INDEX outbox_dead)|Sort|B-TREE")
FILL = (
    """INSERT INTO outbox (topic, subject_id, lane, available_at, attempts, done_at)
    SELECT 'tea', n, 'a', {at}, 1, CASE WHEN n % 100 > 0 THEN {at} END FROM {numbers}""",
    """INSERT INTO webhook_delivery (endpoint_id, event, payload, created_at, attempts, ended_at)
    SELECT (SELECT id FROM webhook_endpoint), 'e', '', {at}, 1, CASE WHEN n % 100 > 0 THEN {at} END
    FROM {numbers}""",
    """INSERT INTO job (kind, status, position, done, problems, created_at, ended_at)
    SELECT 'tea', 'DONE', 0, 0, '[]', {at}, CASE WHEN n % 100 > 0 THEN {at} END FROM {numbers}""",
    """INSERT INTO kept_answer (key_hash, input_hash, answer, expires_at)
    SELECT n, '', '', {at} FROM {numbers}""",
)
NUMBERS = """(WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers
    WHERE n < 3000) SELECT n FROM numbers) AS every"""


@pytest.fixture
async def plans(kept: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The plan of every statement from now on, by its text, in tables never analysed."""
    await endpoint()
    for statement in FILL:
        await database.rows(statement.format(at=dialect.typed(1), numbers=NUMBERS), NOW)
    found: dict[str, str] = {}
    explain = "EXPLAIN" if database.is_postgres() else "EXPLAIN QUERY PLAN"
    rows = database.rows

    def explaining(name: str) -> None:
        run = getattr(database, name)

        async def explained(sql: str, *values: Any) -> Any:
            plan = await rows(f"{explain} {sql}", *values)
            found[sql] = "\n".join(str([*step.values()]) for step in plan)
            return await run(sql, *values)

        monkeypatch.setattr(database, name, explained)

    for name in ("rows", "firsts", "execute"):
        explaining(name)
    return found


@pytest.mark.parametrize("now", [OVER - MOMENT, OVER], ids=["nothing is over", "all is over"])
async def test_no_table_is_read_as_a_whole(plans: dict[str, str], now: datetime) -> None:
    await retention.due(now)
    await retention.work(now)
    await idempotency.due(now - KEPT)
    await idempotency.work(now - KEPT)
    assert sum(" job" in sql for sql in plans) >= 1
    assert sum("kept_answer" in sql for sql in plans) == 2
    for sql, plan in plans.items():
        assert WHOLE.search(plan) is None, (sql, plan)


async def test_keys_whose_24_hours_are_over_go_so_many_in_one_transaction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forgetting, "BATCH", 2)
    for number in range(5):
        await idempotency.take(f"key {number}", "", NOW)
    over = NOW + idempotency.KEPT
    assert not await idempotency.due(over - MOMENT)
    assert not await idempotency.work(over - MOMENT)
    left = []
    while await idempotency.work(over):
        left.append(await KeptAnswer.all().count())
    assert left == [3, 1, 0]
