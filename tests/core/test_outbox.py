"""Accepted work: handed out once, in the order of its lane, and back when its worker fails."""

import asyncio
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from core import database, outbox
from core.outbox import Claim, LeaseLost, OutboxMessage
from tests.core import elsewhere

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TOPIC = "tea"
MOMENT = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)

put = database.unit_of_work(outbox.put)
settle = database.unit_of_work(outbox.settle)
extend = database.unit_of_work(outbox.extend)


class Failed(Exception):
    """Why the work of these tests fails."""


async def given(lanes: Sequence[str], at: datetime = NOW, first: int = 1) -> None:
    """One fresh row for each lane, with the subjects 1, 2, …"""
    await put(TOPIC, list(enumerate(lanes, first)), at)


async def claimed(at: datetime) -> list[int]:
    """The subjects that a claim hands out now."""
    return subjects(await outbox.claim(TOPIC, at))


def subjects(claims: Sequence[Claim]) -> list[int]:
    return [each.subject_id for each in claims]


async def message(subject: int) -> OutboxMessage:
    return await OutboxMessage.get(subject_id=subject)


@pytest.fixture
def rings() -> Iterator[list[tuple[str, int]]]:
    """What is rung for while the test runs."""
    heard: list[tuple[str, int]] = []
    outbox.ring_with(lambda topic, message_id: heard.append((topic, message_id)))
    yield heard
    outbox.ring_with(None)


# ---- putting


async def test_put_stores_fresh_rows_in_the_order_of_their_subjects(opened: str) -> None:
    await put(TOPIC, [(7, "x"), (5, "y"), (6, "x")], NOW)
    stored = await OutboxMessage.all().order_by("id")
    assert [(each.topic, each.subject_id, each.lane) for each in stored] == [
        (TOPIC, 7, "x"),
        (TOPIC, 5, "y"),
        (TOPIC, 6, "x"),
    ]
    for each in stored:
        assert (each.attempts, each.lease, each.done_at, each.dead_at) == (0, None, None, None)
        assert (each.available_at, each.error) == (NOW, None)


async def test_put_rings_once_after_the_commit(opened: str, rings: list[tuple[str, int]]) -> None:
    @database.unit_of_work
    async def case() -> None:
        await outbox.put(TOPIC, [(1, "a")], NOW)
        await outbox.put("other", [(2, "a"), (3, "b"), (4, "c")], NOW)
        assert rings == []

    await case()
    assert [topic for topic, _ in rings] == [TOPIC, "other"]
    assert rings[0][1] == (await message(1)).id


async def test_put_of_nothing_rings_for_nothing(opened: str, rings: list[tuple[str, int]]) -> None:
    await put(TOPIC, [], NOW)
    assert rings == []
    assert await outbox.open_count(TOPIC) == 0


async def test_put_that_is_rolled_back_neither_rings_nor_stays(
    opened: str, rings: list[tuple[str, int]]
) -> None:
    @database.unit_of_work
    async def case() -> None:
        await outbox.put(TOPIC, [(1, "a")], NOW)
        raise Failed

    with pytest.raises(Failed):
        await case()
    assert rings == []
    assert await OutboxMessage.all().count() == 0


async def test_put_outside_a_unit_of_work_is_refused_and_writes_nothing(opened: str) -> None:
    with pytest.raises(RuntimeError, match="unit of work"):
        await outbox.put(TOPIC, [(1, "a")], NOW)
    assert await OutboxMessage.all().count() == 0


async def test_bell_taken_away_rings_no_more(opened: str, rings: list[tuple[str, int]]) -> None:
    outbox.ring_with(None)
    await given(["a"])
    assert rings == []


# ---- claiming and settling


async def test_claimed_and_settled_row_is_done_and_stays_so(opened: str) -> None:
    await given(["a"])
    claims = await outbox.claim(TOPIC, NOW)
    leased = await message(1)
    assert claims == [Claim(leased.id, TOPIC, 1, 1, str(leased.lease))]
    assert (leased.attempts, leased.available_at) == (1, NOW + outbox.LEASE)
    assert await outbox.open_count(TOPIC) == 1
    await settle(claims, NOW + SECOND)
    done = await message(1)
    assert (done.done_at, done.dead_at, done.attempts) == (NOW + SECOND, None, 1)
    assert await outbox.open_count(TOPIC) == 0
    assert await claimed(NOW + timedelta(days=1)) == []


async def test_claim_with_nothing_due_is_empty(opened: str) -> None:
    assert await claimed(NOW) == []
    await given(["a"])
    assert await claimed(NOW - MOMENT) == []
    assert await claimed(NOW) == [1]


async def test_claim_is_of_one_topic_alone(opened: str) -> None:
    await given(["a"])
    assert await outbox.claim("coffee", NOW) == []
    await put("coffee", [(9, "a")], NOW)
    assert subjects(await outbox.claim("coffee", NOW)) == [9]
    assert await claimed(NOW) == [1]
    assert await outbox.open_count("coffee") == 1


async def test_hundred_rows_are_one_claim(opened: str) -> None:
    await given(["a"] * 60 + ["b"] * 40)
    assert await claimed(NOW) == list(range(1, 101))
    assert await claimed(NOW) == []


async def test_hundred_and_first_row_is_left_for_the_next_claim(opened: str) -> None:
    await given([f"lane {number}" for number in range(101)])
    assert await claimed(NOW) == list(range(1, 101))
    assert await claimed(NOW) == [101]


async def test_hundred_and_first_row_of_a_lane_waits_for_those_before_it(opened: str) -> None:
    await given(["a"] * 101)
    claims = await outbox.claim(TOPIC, NOW)
    assert len(claims) == 100
    assert await claimed(NOW) == []
    await settle(claims, NOW)
    assert await claimed(NOW) == [101]


async def test_claim_takes_no_more_than_it_is_asked_to(opened: str) -> None:
    await given(["x", "y", "x", "z"])
    assert subjects(await outbox.claim(TOPIC, NOW, most=1)) == [1]
    assert subjects(await outbox.claim(TOPIC, NOW, most=2)) == [2, 4]


async def test_lane_waits_behind_a_leased_row_while_others_go_on(opened: str) -> None:
    await given(["a"])
    first = await outbox.claim(TOPIC, NOW)
    await given(["a", "b", "a", "c"], first=2)
    assert await claimed(NOW) == [3, 5]
    await settle(first, NOW)
    assert await claimed(NOW) == [2, 4]


async def test_lane_waits_behind_a_failed_row_while_others_go_on(opened: str) -> None:
    await given(["a"])
    await outbox.give_back(await outbox.claim(TOPIC, NOW), Failed(), NOW)
    await given(["a", "b"], first=2)
    assert await claimed(NOW) == [3]
    again = await outbox.claim(TOPIC, NOW + SECOND)
    assert subjects(again) == [1]
    assert await claimed(NOW + SECOND) == []
    await settle(again, NOW + SECOND)
    assert await claimed(NOW + SECOND) == [2]


async def test_lane_goes_on_behind_a_dead_row(opened: str) -> None:
    await given(["a", "a"])
    await OutboxMessage.filter(subject_id=1).update(attempts=1, dead_at=NOW)
    assert await claimed(NOW) == [2]


async def test_same_lane_of_another_topic_does_not_wait(opened: str) -> None:
    await given(["a"])
    assert await claimed(NOW) == [1]
    await put("coffee", [(2, "a")], NOW)
    assert subjects(await outbox.claim("coffee", NOW)) == [2]


async def test_lane_waits_behind_a_row_of_a_process_whose_clock_is_ahead(opened: str) -> None:
    await given(["a"], at=NOW + SECOND)
    await given(["a", "b"], at=NOW, first=2)
    assert await claimed(NOW) == [3]
    assert await claimed(NOW + SECOND) == [1, 2]


async def test_rows_tried_before_are_claimed_alone_and_first(opened: str) -> None:
    await given(["a", "b", "c"])
    await outbox.give_back(await outbox.claim(TOPIC, NOW), Failed(), NOW)
    await given(["d", "e"], first=4)
    assert await claimed(NOW) == [1]
    assert await claimed(NOW) == [2]
    assert await claimed(NOW) == [3]
    assert await claimed(NOW) == [4, 5]
    assert await claimed(NOW) == []


# ---- leases


async def test_lease_holds_until_just_before_its_end(opened: str) -> None:
    await given(["a"])
    assert await claimed(NOW) == [1]
    assert await claimed(NOW + outbox.LEASE - MOMENT) == []
    assert await claimed(NOW + outbox.LEASE) == [1]
    assert (await message(1)).attempts == 2
    assert await claimed(NOW + 2 * outbox.LEASE - MOMENT) == []
    assert await claimed(NOW + 2 * outbox.LEASE) == [1]


async def test_row_with_its_lease_run_out_may_be_settled_while_nobody_took_it(opened: str) -> None:
    await given(["a"])
    claims = await outbox.claim(TOPIC, NOW)
    await settle(claims, NOW + 5 * outbox.LEASE)
    assert await outbox.open_count(TOPIC) == 0


async def test_settling_what_was_taken_over_rolls_everything_back(opened: str) -> None:
    @database.unit_of_work
    async def work(claims: Sequence[Claim]) -> None:
        await outbox.put("effect", [(1, "before")], NOW)
        await outbox.settle(claims, NOW)
        await outbox.put("effect", [(1, "after")], NOW)

    await given(["a", "b"])
    slow = await outbox.claim(TOPIC, NOW)
    quick = await outbox.claim(TOPIC, NOW + outbox.LEASE)
    assert (subjects(slow), subjects(quick)) == ([1, 2], [1])
    with pytest.raises(LeaseLost, match="1 of 2"):
        await work(slow)
    assert await outbox.open_count("effect") == 0
    assert await OutboxMessage.filter(done_at__isnull=False).count() == 0
    await settle(quick, NOW)
    assert (await message(1)).done_at == NOW


async def test_settling_twice_is_refused(opened: str) -> None:
    await given(["a"])
    claims = await outbox.claim(TOPIC, NOW)
    await settle(claims, NOW)
    with pytest.raises(LeaseLost):
        await settle(claims, NOW + SECOND)
    assert (await message(1)).done_at == NOW


async def test_settling_a_dead_letter_is_refused(opened: str) -> None:
    await given(["a"])
    claims = await outbox.claim(TOPIC, NOW)
    await OutboxMessage.filter(subject_id=1).update(dead_at=NOW)
    with pytest.raises(LeaseLost):
        await settle(claims, NOW)
    assert (await message(1)).done_at is None


async def test_extended_claim_is_held_for_a_whole_lease_more(opened: str) -> None:
    await given(["x", "y"])
    claims = await outbox.claim(TOPIC, NOW)
    later = NOW + outbox.LEASE - MOMENT
    await extend(claims, later)
    assert await claimed(NOW + outbox.LEASE) == []
    assert await claimed(later + outbox.LEASE - MOMENT) == []
    assert await claimed(later + outbox.LEASE) == [1]


async def test_extending_begins_the_count_of_attempts_anew(opened: str) -> None:
    await given(["x"])
    now = NOW
    for _ in range(3 * outbox.MAX_ATTEMPTS):
        [claim] = await outbox.claim(TOPIC, now)
        await extend([claim], now)
        now += outbox.LEASE
        assert await outbox.bury(now) == 0
    assert (await message(1)).attempts == 1


async def test_extending_what_was_taken_over_rolls_everything_back(opened: str) -> None:
    await given(["x", "y"])
    slow = await outbox.claim(TOPIC, NOW)
    quick = await outbox.claim(TOPIC, NOW + outbox.LEASE)
    assert len(quick) == 1
    before = await OutboxMessage.all().order_by("id").values()

    @database.unit_of_work
    async def go_on() -> None:
        await given(["z"], first=3)
        await outbox.extend(slow, NOW + outbox.LEASE)

    with pytest.raises(LeaseLost, match="1 of 2"):
        await go_on()
    assert await OutboxMessage.all().order_by("id").values() == before


async def test_extending_what_is_done_or_dead_is_refused(opened: str) -> None:
    await given(["x"])
    claims = await outbox.claim(TOPIC, NOW)
    await settle(claims, NOW)
    with pytest.raises(LeaseLost):
        await extend(claims, NOW)
    await OutboxMessage.all().update(done_at=None, dead_at=NOW)
    with pytest.raises(LeaseLost):
        await extend(claims, NOW)


@pytest.mark.postgres
async def test_row_that_is_settled_while_a_claim_waits_for_it_is_not_claimed(
    postgres_url: str,
) -> None:
    settled, go_on = asyncio.Event(), asyncio.Event()

    @database.unit_of_work
    async def settle_slowly(claims: Sequence[Claim]) -> None:
        await outbox.settle(claims, NOW)
        settled.set()
        await go_on.wait()

    async with database.opened(postgres_url):
        await given(["a"])
        settling = asyncio.create_task(settle_slowly(await outbox.claim(TOPIC, NOW)))
        await settled.wait()
        claiming = asyncio.create_task(outbox.claim(TOPIC, NOW + outbox.LEASE))
        if not await _done_or_waiting(claiming, postgres_url):
            assert await claiming == []
        go_on.set()
        await settling
        assert await claiming == []
        assert (await message(1)).attempts == 1


async def _done_or_waiting(task: "asyncio.Task[Sequence[Claim]]", url: str) -> bool:
    """Whether the task waits for a lock rather than having ended."""
    waiting = asyncio.create_task(elsewhere.waiting(url, 1))
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    return not task.done()


# ---- failing


async def test_failed_batch_is_due_at_once_each_row_alone_and_rings(
    opened: str, rings: list[tuple[str, int]]
) -> None:
    await given(["a", "b", "a"])
    claims = await outbox.claim(TOPIC, NOW)
    rings.clear()
    await outbox.give_back(claims, Failed(), NOW + SECOND)
    assert rings == [(TOPIC, claims[0].id)]
    assert await claimed(NOW + SECOND - MOMENT) == []
    assert await claimed(NOW + SECOND) == [1]
    assert await claimed(NOW + SECOND) == [2]
    assert await claimed(NOW + SECOND) == []  # the third is in the lane of the first
    assert await outbox.dead() == []


async def test_row_that_failed_alone_waits_longer_each_time_and_dies_after_ten(
    opened: str, rings: list[tuple[str, int]]
) -> None:
    await given(["a"])
    rings.clear()
    at = NOW
    for attempt in range(1, outbox.MAX_ATTEMPTS):
        claims = await outbox.claim(TOPIC, at)
        assert [each.attempts for each in claims] == [attempt]
        await outbox.give_back(claims, Failed(f"no {attempt}"), at)
        failed = await message(1)
        wait = min(2 ** (attempt - 1) * SECOND, outbox.LONGEST_RETRY)
        assert (failed.available_at, failed.dead_at) == (at + wait, None)
        assert failed.error == f"Failed: no {attempt}"
        assert await claimed(at + wait - MOMENT) == []
        at += wait
    assert await outbox.dead() == []
    await outbox.give_back(await outbox.claim(TOPIC, at), Failed("no 10"), at)
    [letter] = await outbox.dead()
    assert (letter.subject_id, letter.attempts, letter.dead_at) == (1, outbox.MAX_ATTEMPTS, at)
    assert letter.error == "Failed: no 10"
    assert await claimed(at + timedelta(days=1)) == []
    assert await outbox.open_count(TOPIC) == 0
    assert rings == []


async def test_wait_is_at_most_the_longest(opened: str) -> None:
    await given(["a"])
    [claim] = await outbox.claim(TOPIC, NOW)
    late = Claim(claim.id, TOPIC, 1, 30, claim.lease)
    await outbox.give_back([late], Failed(), NOW)
    assert (await message(1)).available_at == NOW + outbox.LONGEST_RETRY


async def test_error_is_cut_to_its_limit(opened: str) -> None:
    await given(["a"])
    await outbox.give_back(await outbox.claim(TOPIC, NOW), Failed("茶" * 5_000), NOW)
    error = (await message(1)).error
    assert error == ("Failed: " + "茶" * 5_000)[: outbox.ERROR_CHARACTERS]


async def test_error_with_characters_that_no_column_holds_is_kept_without_them(
    opened: str,
) -> None:
    await given(["a"])
    await outbox.give_back(await outbox.claim(TOPIC, NOW), Failed("no\x00 \ud800tea"), NOW)
    failed = await message(1)
    assert failed.available_at == NOW + SECOND
    assert "tea" in str(failed.error)
    assert "\x00" not in str(failed.error)


async def test_giving_back_what_was_taken_over_changes_nothing(opened: str) -> None:
    await given(["a", "b"])
    batch = await outbox.claim(TOPIC, NOW)
    for at in (NOW + outbox.LEASE, NOW + outbox.LEASE):
        assert len(await outbox.claim(TOPIC, at)) == 1
    before = await OutboxMessage.all().order_by("id").values()
    await outbox.give_back(batch, Failed(), NOW)
    await outbox.give_back(batch[:1], Failed(), NOW)
    assert await OutboxMessage.all().order_by("id").values() == before


async def test_giving_back_what_is_done_changes_nothing(opened: str) -> None:
    await given(["a"])
    claims = await outbox.claim(TOPIC, NOW)
    await settle(claims, NOW)
    before = await OutboxMessage.all().values()
    await outbox.give_back(claims, Failed(), NOW + SECOND)
    assert await OutboxMessage.all().values() == before


async def test_work_that_kills_its_worker_is_claimed_ten_times_and_buried(opened: str) -> None:
    await given(["a", "a"])
    at = NOW
    assert await claimed(at) == [1, 2]
    for _ in range(outbox.MAX_ATTEMPTS - 1):
        at += outbox.LEASE
        assert await claimed(at) == [1]
    assert await outbox.bury(at + outbox.LEASE - MOMENT) == 0
    at += outbox.LEASE
    assert await claimed(at) == []  # both wait: the second is behind the first
    assert await outbox.bury(at) == 1
    [letter] = await outbox.dead()
    assert (letter.subject_id, letter.dead_at, letter.attempts) == (1, at, outbox.MAX_ATTEMPTS)
    assert letter.error == "the worker died in every attempt"
    assert await outbox.bury(at) == 0
    assert await claimed(at) == [2]


async def test_row_with_attempts_left_is_not_buried(opened: str) -> None:
    await given(["a", "b"])
    await OutboxMessage.filter(subject_id=1).update(attempts=outbox.MAX_ATTEMPTS - 1)
    await OutboxMessage.filter(subject_id=2).update(attempts=outbox.MAX_ATTEMPTS, done_at=NOW)
    assert await outbox.bury(NOW + timedelta(days=1)) == 0
    assert await claimed(NOW) == [1]


async def test_dead_letters_are_the_oldest_hundred(opened: str) -> None:
    await given(["a"] * 101)
    await OutboxMessage.all().update(dead_at=NOW)
    assert [each.subject_id for each in await outbox.dead()] == list(range(1, 101))


async def test_row_is_overdue_from_two_seconds_on(opened: str) -> None:
    await given(["a", "b"])
    first = (await message(1)).id
    assert await outbox.overdue(TOPIC, NOW + outbox.OVERDUE_AFTER - MOMENT) is None
    assert await outbox.overdue(TOPIC, NOW + outbox.OVERDUE_AFTER) == first
    assert await outbox.overdue("coffee", NOW + outbox.OVERDUE_AFTER) is None


async def test_leased_row_is_overdue_two_seconds_after_its_lease(opened: str) -> None:
    await given(["a"])
    await outbox.claim(TOPIC, NOW)
    end = NOW + outbox.LEASE + outbox.OVERDUE_AFTER
    assert await outbox.overdue(TOPIC, end - MOMENT) is None
    assert await outbox.overdue(TOPIC, end) == (await message(1)).id


async def test_done_and_dead_rows_are_never_overdue(opened: str) -> None:
    await given(["a", "b"])
    await OutboxMessage.filter(subject_id=1).update(done_at=NOW)
    await OutboxMessage.filter(subject_id=2).update(dead_at=NOW)
    assert await outbox.overdue(TOPIC, NOW + timedelta(days=1)) is None


# ---- against a plain model


@dataclass
class Row:
    """What the model knows of a row."""

    subject: int
    lane: str
    due: datetime
    attempts: int = 0
    lease: str | None = None
    closed: bool = False


class Model:
    """The outbox in plain Python: a list that is read from its beginning."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def claim(self, now: datetime) -> list[Row]:
        due = [
            row
            for row in self.rows
            if not row.closed and row.due <= now and not self._behind_a_tried_one(row)
        ]
        tried = [row for row in due if 0 < row.attempts < outbox.MAX_ATTEMPTS]
        chosen = tried[:1] or [row for row in due if not row.attempts][: outbox.BATCH]
        for row in chosen:
            row.attempts += 1
            row.due = now + outbox.LEASE
        return chosen

    def _behind_a_tried_one(self, row: Row) -> bool:
        earlier = self.rows[: self.rows.index(row)]
        return any(e.lane == row.lane and e.attempts and not e.closed for e in earlier)

    def give_back(self, rows: list[Row], lease: str, now: datetime) -> None:
        mine = [row for row in rows if row.lease == lease and not row.closed]
        for row in mine:
            wait = min(SECOND * 2 ** (row.attempts - 1), outbox.LONGEST_RETRY)
            row.due = now if len(rows) > 1 else now + wait
            row.closed = len(rows) == 1 and row.attempts >= outbox.MAX_ATTEMPTS

    def bury(self, now: datetime) -> int:
        lost = [
            row
            for row in self.rows
            if not row.closed and row.attempts >= outbox.MAX_ATTEMPTS and row.due <= now
        ]
        for row in lost:
            row.closed = True
        return len(lost)


async def settled_as_in_the_model(
    claims: Sequence[Claim], rows: Sequence[Row], now: datetime
) -> None:
    """Settles all of them, or is refused where the model says that one was taken over."""
    if any(row.closed or row.lease != claims[0].lease for row in rows):
        with pytest.raises(LeaseLost):
            await settle(claims, now)
        return
    await settle(claims, now)
    for row in rows:
        row.closed = True


@pytest.mark.parametrize("seed", [1, 2])
async def test_random_histories_go_as_in_the_plain_model(opened: str, seed: int) -> None:
    pick = random.Random(seed)
    model = Model()
    now = NOW
    held: list[tuple[Sequence[Claim], list[Row]]] = []
    for _ in range(150):
        match pick.choice(["put", "claim", "claim", "settle", "fail", "die", "wait", "bury"]):
            case "put":
                fresh = [
                    Row(len(model.rows) + more, pick.choice("abc"), now)
                    for more in range(pick.randrange(1, 5))
                ]
                model.rows += fresh
                await put(TOPIC, [(row.subject, row.lane) for row in fresh], now)
            case "claim":
                claims, rows = await outbox.claim(TOPIC, now), model.claim(now)
                assert subjects(claims) == [row.subject for row in rows]
                assert [each.attempts for each in claims] == [row.attempts for row in rows]
                for each, row in zip(claims, rows, strict=True):
                    row.lease = each.lease
                held += [(claims, rows)] if claims else []
            case "settle" if held:
                claims, rows = held.pop(pick.randrange(len(held)))
                await settled_as_in_the_model(claims, rows, now)
            case "fail" if held:
                claims, rows = held.pop(pick.randrange(len(held)))
                await outbox.give_back(claims, Failed(), now)
                model.give_back(rows, claims[0].lease, now)
            case "die" if held:
                now += outbox.LEASE
            case "wait":
                now += pick.choice([MOMENT, SECOND, 10 * SECOND, timedelta(minutes=9)])
            case "bury":
                assert await outbox.bury(now) == model.bury(now)
        assert await outbox.open_count(TOPIC) == sum(not row.closed for row in model.rows)
    assert any(row.closed for row in model.rows)
    assert any(row.attempts > 1 for row in model.rows)


async def test_eight_workers_at_once_never_share_a_row_or_break_a_lane(opened: str) -> None:
    pick = random.Random(11)
    lanes = [pick.choice("abcdefgh") for _ in range(160)]
    await given(lanes[:80])
    held: set[int] = set()
    done: list[int] = []

    @database.unit_of_work
    async def work(claims: Sequence[Claim]) -> None:
        await outbox.settle(claims, NOW)
        if pick.random() < 0.3:
            raise Failed

    async def worker() -> None:
        while len(done) < len(lanes):
            claims = await outbox.claim(TOPIC, NOW)
            mine = subjects(claims)
            assert not held & set(mine)
            assert mine == sorted(mine)
            for subject in mine:
                earlier = range(1, subject)
                assert all(
                    lanes[each - 1] != lanes[subject - 1] or each in done or each in mine
                    for each in earlier
                )
            if not claims:
                await asyncio.sleep(0.001)
                continue
            held.update(mine)
            try:
                await work(claims)
            except Failed as error:
                held.difference_update(mine)
                # So long ago that it is due again at once.
                await outbox.give_back(claims, error, NOW - outbox.LONGEST_RETRY)
            else:
                done.extend(mine)
                held.difference_update(mine)

    async def more() -> None:
        for start in range(81, 161, 8):
            await given(lanes[start - 1 : start + 7], first=start)

    async with asyncio.timeout(elsewhere.PATIENCE_SECONDS):
        await asyncio.gather(more(), *[worker() for _ in range(8)])
    assert sorted(done) == list(range(1, 161))
    assert await outbox.open_count(TOPIC) == 0


@pytest.mark.postgres
async def test_claim_from_a_long_queue_does_not_read_it_for_every_row(postgres_url: str) -> None:
    long = 5_000
    async with database.opened(postgres_url):
        await database.rows(
            "INSERT INTO outbox (topic, subject_id, lane, available_at, attempts)"
            " SELECT $1, number, 'lane ' || number, $2, 0 FROM generate_series(1, $3) AS number",
            TOPIC,
            NOW,
            long,
        )
        fresh = outbox._DUE_FRESH.format(most=outbox.BATCH)
        [found] = await database.rows(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {fresh}", TOPIC, NOW
        )
        [explained] = json.loads(found["QUERY PLAN"])
        pages = explained["Plan"]["Shared Hit Blocks"] + explained["Plan"]["Shared Read Blocks"]
        assert pages < long
        assert len(await outbox.claim(TOPIC, NOW)) == outbox.BATCH
