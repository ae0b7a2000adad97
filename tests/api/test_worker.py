"""The worker is rung by the commit; the sweeper is for what got lost."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from api import worker
from api.settings import Settings
from core import database, forgetting, jobs, outbox, retention
from core.jobs import Job, JobStatus
from members import publishing, reevaluating, reviews
from members.models import Standing
from members.publishing import TierRule
from referral import conversions, releasing
from tests import factories
from tests.client import ORDER, Api
from tests.conftest import SECRET, serving
from tests.core import elsewhere
from tests.ports import free_port
from tests.referral import purse


@pytest.fixture
def no_sweeper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "SWEEP_SECONDS", 1e6)


@pytest.mark.usefixtures("no_sweeper")
class TestWithoutSweeper:
    """Whatever is decided here was rung for."""

    async def test_an_order_is_credited_by_its_own_ring(self, live: Api) -> None:
        stage = await factories.stage()
        visitor = await live.visit(stage.link.code)
        for number in range(3):
            order = {
                "source": "shop",
                "externalId": f"A-{number}",
                "customerRef": "c-1",
                "amountMinor": 500,
            }
            await live.ask(ORDER, stage.shop.token, input=order)
            found = await live.decided(stage.shop.token, "shop", f"A-{number}")
            assert found["status"] == "PARKED"
        ensure = """mutation ($visitor: String!) { memberEnsure(input: {
            source: "shop", customerRef: "c-1", visitorId: $visitor }) { errors { code } } }"""
        await live.ask(ensure, stage.shop.token, visitor=visitor)
        for number in range(3):
            found = await live.decided(stage.shop.token, "shop", f"A-{number}")
            assert found["status"] == "CREDITED"

    async def test_all_that_an_earlier_process_left_is_done_after_the_one_ring_of_the_start(
        self, sqlite_url: str
    ) -> None:
        names = [f"A-{number}" for number in range(outbox.BATCH + 1)]
        async with database.opened(sqlite_url):
            stage = await factories.stage()
            for name in names:
                order = conversions.NewOrder("shop", name, 5)
                await conversions.record_order(order, stage.shop.member.id, datetime.now(UTC))
        settings = Settings(database_url=sqlite_url, port=free_port(), secret=SECRET)
        async with serving(settings), Api(settings) as client:
            for name in (names[0], names[-1]):
                found = await client.decided(stage.shop.token, "shop", name)
                assert found["status"] == "PARKED"

    async def test_new_rules_move_everybody_by_the_ring_of_their_publication(
        self, live: Api
    ) -> None:
        await factories.stage()
        everybody = {"leaf": {"metric": "SPEND", "atLeast": 0}}
        published = await publishing.publish(
            [TierRule("all", "All", 1, everybody)], time_zone="UTC", now=datetime.now(UTC)
        )

        async def done() -> bool:
            return (await Job.get(id=published.job.id)).status is JobStatus.DONE

        await elsewhere.until(done)
        assert await Standing.filter(tier__code="all").count() == await Standing.all().count() == 2


async def test_the_sweeper_rings_for_reviews_whose_time_has_come(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[tuple[str, int]] = []

    class Bell:
        def ring(self, topic: str, outbox_id: int) -> None:
            rung.append((topic, outbox_id))

    async with database.opened(sqlite_url):
        mei, now = await factories.person("mei"), datetime.now(UTC)
        await Standing.filter(member_id=mei.member.id).update(review_at=now)
        for moment in (now - timedelta(microseconds=1), now):
            assert rung == []
            await worker._sweep_once(Bell(), moment)  # type: ignore[arg-type]
    assert rung == [(reviews.TOPIC, 0)]


async def test_the_sweeper_rings_for_commissions_whose_hold_time_is_over(sqlite_url: str) -> None:
    rung: list[tuple[str, int]] = []

    class Bell:
        def ring(self, topic: str, outbox_id: int) -> None:
            if topic == releasing.TOPIC:
                rung.append((topic, outbox_id))

    async with database.opened(sqlite_url):
        lin, now = await purse.purse(), datetime.now(UTC)
        await lin.earn(100, due=now)
        for moment in (now - timedelta(microseconds=1), now):
            assert rung == []
            await worker._sweep_once(Bell(), moment)  # type: ignore[arg-type]
    assert rung == [(releasing.TOPIC, 0)]


async def test_what_became_due_meanwhile_is_released_when_a_worker_starts(
    sqlite_url: str,
) -> None:
    async with database.opened(sqlite_url):
        lin = await purse.purse()
        for _ in range(3):
            await lin.earn(100, due=datetime.now(UTC))
        assert await lin.holds() == (300, 0, 0, 0)

    async def released() -> bool:
        return await lin.holds() == (0, 300, 0, 0)

    async with serving(Settings(database_url=sqlite_url, port=free_port(), secret=SECRET)):
        await elsewhere.until(released)


async def test_the_sweeper_rings_for_what_was_kept_for_as_long_as_the_settings_say(
    sqlite_url: str,
) -> None:
    rung: list[str] = []

    class Bell:
        def ring(self, topic: str, outbox_id: int) -> None:
            rung.append(topic)

    async with database.opened(sqlite_url):
        now = datetime.now(UTC)
        await outbox.OutboxMessage.create(
            topic="tea", subject_id=1, lane="a", available_at=now, done_at=now
        )
        for keep_days, moment in (
            (0, now + timedelta(days=3_650)),
            (2, now + timedelta(days=2) - timedelta(microseconds=1)),
            (2, now + timedelta(days=2)),
        ):
            assert rung == []
            worker.make_broker(Settings(secret=SECRET, keep_days=keep_days))
            await worker._sweep_once(Bell(), moment)  # type: ignore[arg-type]
    assert rung == [retention.TOPIC]


async def test_what_was_kept_for_long_enough_goes_batch_after_batch_when_a_worker_starts(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "BATCH", 2)
    now = datetime.now(UTC)
    async with database.opened(sqlite_url):
        for days in (29, 31, 32, 33):
            at = now - timedelta(days=days)
            await outbox.OutboxMessage.create(
                topic="tea", subject_id=1, lane="a", available_at=at, done_at=at
            )

    async def gone() -> bool:
        return await outbox.OutboxMessage.all().count() == 1

    async with serving(Settings(database_url=sqlite_url, port=free_port(), secret=SECRET)):
        await elsewhere.until(gone)


async def test_the_sweeper_rings_for_what_is_overdue(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SWEEP_SECONDS", 0.01)
    rung: asyncio.Queue[tuple[str, int]] = asyncio.Queue()

    class Bell:
        def ring(self, topic: str, outbox_id: int) -> None:
            rung.put_nowait((topic, outbox_id))

    async with database.opened(sqlite_url):
        shop = await factories.person("shop")
        for number, age in enumerate((timedelta(0), timedelta(seconds=3))):
            order = conversions.NewOrder("shop", f"A-{number}", 5)
            at = datetime.now(UTC) - age
            await conversions.record_order(order, shop.member.id, at)
        [_, overdue] = await outbox.OutboxMessage.all().order_by("id")
        sweeping = asyncio.create_task(worker.sweep(Bell()))  # type: ignore[arg-type]
        try:
            found = await asyncio.wait_for(rung.get(), 5)
        finally:
            await worker._cancelled(sweeping)
    assert found == (conversions.TOPIC, overdue.id)


async def test_the_sweeper_fails_a_job_that_killed_its_worker_in_every_attempt(opened: str) -> None:
    class Bell:
        def ring(self, topic: str, outbox_id: int) -> None:
            pass

    now = datetime.now(UTC)
    job = await database.unit_of_work(jobs.start)(reevaluating.TOPIC, now, total=1)
    used_up = now + outbox.OVERDUE_AFTER
    await outbox.OutboxMessage.all().update(attempts=outbox.MAX_ATTEMPTS - 1)
    await worker._sweep_once(Bell(), used_up)  # type: ignore[arg-type]
    assert (await Job.get(id=job.id)).status is JobStatus.QUEUED
    await outbox.OutboxMessage.all().update(attempts=outbox.MAX_ATTEMPTS)
    await worker._sweep_once(Bell(), used_up)  # type: ignore[arg-type]
    assert (await Job.get(id=job.id)).status is JobStatus.FAILED


async def test_a_broker_that_is_down_costs_a_warning_and_no_more() -> None:
    settings = Settings(broker_url=f"redis://127.0.0.1:{free_port()}/0", secret=SECRET)
    with capture_logs() as logged:
        async with worker.doorbell(worker.make_broker(settings)) as bell:
            for number in range(3):
                bell.ring(conversions.TOPIC, number)
                for _ in range(200):
                    if logged:
                        break
                    await asyncio.sleep(0.01)
    assert [each["event"] for each in logged] == ["broker is down; work waits for the sweeper"]


def test_the_brokers_own_retries_are_off() -> None:
    async def middleware() -> list[str]:
        broker = worker.make_broker(Settings(secret=SECRET))
        return [type(each).__name__ for each in broker.middleware]

    assert asyncio.run(middleware()) == ["HostLoop"]


class Work:
    """So many batches of a topic, the last of which may fail."""

    def __init__(self, batches: int, *, failing: bool = False) -> None:
        self.left, self.failing, self.ended = batches, failing, 0

    async def __call__(self) -> bool:
        self.left -= 1
        if self.left == 0 and self.failing:
            raise RuntimeError("a bad row")
        await asyncio.sleep(0)
        self.ended += 1
        return self.left > 0


async def test_a_turn_goes_on_until_there_is_nothing_left(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(batches=20)
    monkeypatch.setattr(worker, "WORK", {"topic": work})
    assert not await worker._turn("topic")
    assert work.ended >= 20


async def test_a_turn_that_took_its_time_says_that_there_may_be_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work = Work(batches=20)
    monkeypatch.setattr(worker, "WORK", {"topic": work})
    monkeypatch.setattr(worker, "TURN_SECONDS", 0)
    assert await worker._turn("topic")
    assert work.ended == 2


async def test_a_batch_that_fails_does_not_cut_off_the_one_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work = Work(batches=2, failing=True)
    monkeypatch.setattr(worker, "WORK", {"topic": work})
    with pytest.raises(RuntimeError, match="a bad row"):
        await worker._turn("topic")
    assert work.ended >= 1
