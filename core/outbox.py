"""Owns the work that was accepted and is still to be done: rows written with the fact itself.

A row is the truth and the message broker only a doorbell: whoever is rung claims what is due. A
claim is a lease, so that the rows of a worker that died come back by themselves; every claim
counts as an attempt, so that work that kills its worker ends as a dead letter instead of coming
back for ever.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tortoise import fields
from tortoise.models import Model

from core import bulk, database, dialect

BATCH = 100
LEASE = timedelta(seconds=30)
MAX_ATTEMPTS = 10
FIRST_RETRY = timedelta(seconds=1)
LONGEST_RETRY = timedelta(minutes=4)
OVERDUE_AFTER = timedelta(seconds=2)
ERROR_CHARACTERS = 2_000


class OutboxMessage(Model):
    """One piece of work. Open while `done_at` and `dead_at` are both null."""

    id = fields.BigIntField(primary_key=True)
    topic = fields.CharField(max_length=40)
    subject_id = fields.BigIntField()
    lane = fields.CharField(max_length=200)  # rows of one lane are done in the order they came
    available_at = fields.DatetimeField()  # due, end of the lease, or time of the next attempt
    attempts = fields.SmallIntField(default=0)
    lease = fields.CharField(max_length=32, null=True)
    done_at = fields.DatetimeField(null=True)
    dead_at = fields.DatetimeField(null=True)
    error = fields.TextField(null=True)

    class Meta:
        table = "outbox"


_NEW = ("topic", "subject_id", "lane", "available_at", "attempts")


@dataclass(frozen=True, slots=True)
class Claim:
    """A row that this worker may do until its lease ends."""

    id: int
    topic: str
    subject_id: int
    attempts: int
    lease: str


class LeaseLost(Exception):
    """Another worker has taken over since: what was done here must be rolled back."""


def _silent(topic: str, message_id: int) -> None:
    """Nobody listens in this process; the sweeper of a worker will find the row."""


_ring: Callable[[str, int], None] = _silent


def ring_with(ring: Callable[[str, int], None] | None) -> None:
    """From now on every committed message of this process calls `ring(topic, id)`."""
    global _ring  # noqa: PLW0603 - the one wire between a commit and the broker of this process
    _ring = ring or _silent


async def put(topic: str, subjects: Sequence[tuple[int, str]], now: datetime) -> None:
    """Adds work on each (subject, lane) to the running unit of work; rings after its commit."""
    if not subjects:
        return
    written: list[int] = []
    # First, since it refuses whoever is in no unit of work.
    database.after_commit(lambda: _ring(topic, next(iter(written), 0)))
    rows = [(topic, subject, lane, now, 0) for subject, lane in subjects]
    if len(rows) == 1:
        written.append(await bulk.insert_one(OutboxMessage, _NEW, rows[0]))
    else:
        await bulk.insert(OutboxMessage, _NEW, rows)


def ring(topic: str, message_id: int) -> None:
    """Rings once the running unit of work is committed: it let something be done that waited."""
    database.after_commit(lambda: _ring(topic, message_id))


# What holds up its lane is looked up once, apart, and is little: however long the queue, and even
# where the planner does not know how long, a claim reads the queue once and not once for each row.
_DUE = """
WITH blocking AS MATERIALIZED (
    SELECT id, lane FROM outbox
    WHERE topic = $1 AND done_at IS NULL AND dead_at IS NULL AND attempts > 0
    UNION ALL
    SELECT id, lane FROM outbox
    WHERE topic = $1 AND done_at IS NULL AND dead_at IS NULL AND attempts = 0
    AND available_at > $2
)
SELECT id FROM outbox AS candidate
WHERE topic = $1 AND done_at IS NULL AND dead_at IS NULL AND available_at <= $2
AND {which}
AND NOT EXISTS (
    SELECT 1 FROM blocking WHERE blocking.lane = candidate.lane AND blocking.id < candidate.id
)
ORDER BY id LIMIT {limit}
"""
# What was tried before is tried alone: one bad row must not take its neighbours along.
_DUE_RETRY = _DUE.format(which=f"attempts BETWEEN 1 AND {MAX_ATTEMPTS - 1}", limit=1)
_DUE_FRESH = _DUE.format(which="attempts = 0", limit="{most}")
# Repeats the conditions: a row may have been settled since it was looked up.
_LEASE = """
UPDATE outbox SET lease = $1, attempts = attempts + 1, available_at = $2
WHERE id {listed} AND done_at IS NULL AND dead_at IS NULL AND available_at <= $3
RETURNING id, subject_id, attempts
"""
_DONE = """
UPDATE outbox SET done_at = $1
WHERE id {listed} AND lease = $3 AND done_at IS NULL AND dead_at IS NULL
"""


@database.unit_of_work
async def claim(topic: str, now: datetime, *, most: int = BATCH) -> Sequence[Claim]:
    """Leases what is due, oldest first: one row that was tried before, else up to `most` fresh.

    A row waits while an earlier one of its lane is being done elsewhere, has failed or is not due
    yet, so that a lane keeps its order whatever the number of workers.
    """
    await database.lock(f"outbox:{topic}")
    fresh = _DUE_FRESH.format(most=most)
    due = await database.rows(_DUE_RETRY, topic, now) or await database.rows(fresh, topic, now)
    if not due:
        return []
    lease = secrets.token_hex(16)
    ids = dialect.as_list([row["id"] for row in due])
    take = _LEASE.format(listed=dialect.listed(4))
    leased = await database.rows(take, lease, now + LEASE, now, ids)
    claims = [Claim(row["id"], topic, row["subject_id"], row["attempts"], lease) for row in leased]
    return sorted(claims, key=lambda each: each.id)


async def move(topic: str, lane: str, to: str) -> None:
    """Puts the open work of a lane into another one, in the order in which it all came; belongs
    into a unit of work."""
    await OutboxMessage.filter(
        topic=topic, lane=lane, done_at__isnull=True, dead_at__isnull=True
    ).update(lane=to)


async def settle(claims: Sequence[Claim], now: datetime) -> None:
    """Marks the claims done in the running unit of work: after its locks, before its writes.

    Raises `LeaseLost` when one of them is no longer this worker's.
    """
    ids = dialect.as_list([each.id for each in claims])
    done = _DONE.format(listed=dialect.listed(2))
    settled = await database.execute(done, now, ids, claims[0].lease)
    if settled != len(claims):
        raise LeaseLost(f"{len(claims) - settled} of {len(claims)} messages were taken over")


async def extend(claims: Sequence[Claim], now: datetime) -> None:
    """Begins the leases anew in the running unit of work, which has moved the work a step on: what
    gets anywhere never uses up its attempts. Raises `LeaseLost` as `settle` does."""
    await postpone(claims, now + LEASE)


async def postpone(claims: Sequence[Claim], until: datetime) -> None:
    """Has the work done again then, with its attempts anew, and its lanes wait for it; raises
    `LeaseLost` as `settle` does."""
    extended = await OutboxMessage.filter(
        id__in=[each.id for each in claims],
        lease=claims[0].lease,
        done_at__isnull=True,
        dead_at__isnull=True,
    ).update(available_at=until, attempts=1)
    if extended != len(claims):
        raise LeaseLost(f"{len(claims) - extended} of {len(claims)} messages were taken over")


async def drop(topic: str, lane: str, now: datetime, *, subject_id: int | None = None) -> None:
    """Ends the open work of a lane undone, or what of it is about one subject; belongs into a unit
    of work. Whoever is doing it finds the lease lost."""
    which = {} if subject_id is None else {"subject_id": subject_id}
    await OutboxMessage.filter(
        topic=topic, lane=lane, done_at__isnull=True, dead_at__isnull=True, **which
    ).update(done_at=now)


@database.unit_of_work
async def give_back(claims: Sequence[Claim], error: BaseException, now: datetime) -> None:
    """Ends the leases after a failure, unless another worker has taken over.

    A batch is due again at once, each row alone, so that the bad one is found and the others go
    through; a row that was alone waits longer each time, and is dead after ten attempts.
    """
    mine = OutboxMessage.filter(
        id__in=[each.id for each in claims], lease=claims[0].lease, done_at__isnull=True
    )
    if len(claims) > 1:
        await mine.update(available_at=now)
        ring(claims[0].topic, claims[0].id)
        return
    attempts = claims[0].attempts
    await mine.update(
        available_at=now + min(FIRST_RETRY * 2 ** (attempts - 1), LONGEST_RETRY),
        dead_at=now if attempts >= MAX_ATTEMPTS else None,
        error=_storable(f"{type(error).__name__}: {error}")[:ERROR_CHARACTERS],
    )


def _storable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\0")


@database.unit_of_work
async def bury(now: datetime) -> int:
    """Marks dead what has used up its attempts without ever coming back; says how many."""
    return await OutboxMessage.filter(
        attempts__gte=MAX_ATTEMPTS,
        available_at__lte=now,
        done_at__isnull=True,
        dead_at__isnull=True,
    ).update(dead_at=now, error="the worker died in every attempt")


async def waiting(topic: str, now: datetime) -> int | None:
    """The id of an open row of the topic that is due and that nobody holds, if any."""
    row = await (
        OutboxMessage.filter(
            topic=topic, done_at__isnull=True, dead_at__isnull=True, available_at__lte=now
        )
        .order_by("id")
        .first()
    )
    return row and row.id


async def overdue(topic: str, now: datetime) -> int | None:
    """The id of one that has been due for two seconds, if any."""
    return await waiting(topic, now - OVERDUE_AFTER)


async def open_count(topic: str) -> int:
    """How many rows of the topic are neither done nor dead."""
    return await OutboxMessage.filter(
        topic=topic, done_at__isnull=True, dead_at__isnull=True
    ).count()


async def dead() -> Sequence[OutboxMessage]:
    """The dead letters, oldest first, at most 100."""
    return await OutboxMessage.filter(dead_at__isnull=False).order_by("id").limit(100)
