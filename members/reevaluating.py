"""Owns moving everybody to where new rules put them: in batches, by as many workers as there are.

Members are sorted by the database into classes of those about whom the decision is the same, and
each class is decided once, by the same pure function as a single member.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

from core import database, dialect, jobs, outbox, webhooks
from core.jobs import Job, JobStatus
from members import events, metrics, rules, tiers
from members.metrics import LIFETIME, Measuring
from members.models import ApplicationStatus, TierApplication, TierChangeReason, Window
from members.tiers import Ladder, State

TOPIC = "tier_rules"
BATCH = 5_000

STANDING = ("tier_id", "earned_tier_id", "floor_tier_id")
FLAGS = {
    "floor_ended": "floor_until IS NOT NULL AND floor_until <= {now}",
    "expiring": "expires_at IS NOT NULL",
    "expired": "expires_at IS NOT NULL AND expires_at <= {now}",
}


class Classes:
    """The SQL that sorts members into classes, and the decision about each."""

    def __init__(self, ladder: Ladder, now: datetime, scope: str = metrics.EVERYBODY) -> None:
        self._ladder = ladder
        self._now = now
        self._later = now + timedelta(microseconds=1)  # stands for any expiry still ahead
        self._measuring = Measuring(ladder, now, scope)
        self.values = [*self._measuring.values, now]
        flags = {name: flag.format(now=f"${len(self.values)}") for name, flag in FLAGS.items()}
        self._holds = [f"h{place}" for place, _ in enumerate(ladder.rungs)]
        for name, rung in zip(self._holds, ladder.rungs, strict=True):
            flags[name] = rules.sql(rung.rule, self._measuring.column)
        for place, _ in enumerate(ladder.with_approval):
            flags[self._measuring.approved(place)] = self._measuring.approved(place)
        self._columns = ", ".join(
            [
                *STANDING,
                *(f"CASE WHEN {flag} THEN 1 ELSE 0 END AS {name}" for name, flag in flags.items()),
            ]
        )
        self._from = f"FROM ({self._measuring.sql}) AS measured"
        self.counted_values = [*self.values]  # those of `counted`, which plans no reviews
        self._slides = self._slide()
        self._key = itemgetter(*STANDING, *flags)
        self._grouped = ", ".join([*STANDING, *flags])
        self._decided: dict[Any, tuple[State, State]] = {}

    @property
    def each(self) -> str:
        """Selects every member with what decides about them, and about their next review."""
        ends = f"expires_at, floor_until, review_at, {self._slides} AS slides_at"
        return f"SELECT member_id, {ends}, {self._columns} {self._from}"

    def _slide(self) -> str:
        """SQL for when the oldest fact leaves its window."""
        ends = []
        for term in self._measuring.windowed:
            oldest = self._measuring.oldest(term)
            if term.window is Window.LAST_DAYS:
                ends.append(dialect.later(oldest, term.days or 0))
            elif term.window is Window.CALENDAR_YEAR:
                self.values.append(term.until(self._now, self._ladder.zone))
                turn = dialect.typed(len(self.values))
                ends.append(f"CASE WHEN {oldest} IS NOT NULL THEN {turn} END")
        return dialect.earliest(*ends) if ends else "NULL"

    def counted(self, samples: int) -> str:
        """Counts the members of each class, in up to so many parts with one member named each."""
        return (
            f"SELECT {self._grouped}, COUNT(*) AS members, MIN(member_id) AS first_id "
            f"FROM (SELECT member_id, {self._columns} {self._from}) AS classed "
            f"GROUP BY {self._grouped}, member_id % {samples}"
        )

    def decided(self, row: Mapping[str, Any]) -> tuple[State, State]:
        """Where the members of this class stand, and where they come to stand."""
        key = self._key(row)
        if key not in self._decided:
            before = self._state(row)
            holding = {
                rung.id
                for name, rung in zip(self._holds, self._ladder.rungs, strict=True)
                if row[name]
            }
            self._decided[key] = before, tiers.decide(self._ladder, before, holding, self._now)
        return self._decided[key]

    def _state(self, row: Mapping[str, Any]) -> State:
        """A state that stands for all of the class: of an instant, only what it decides."""
        ahead = self._now if row["expired"] else self._later
        return State(
            tier=row["tier_id"],
            earned=row["earned_tier_id"],
            expires_at=ahead if row["expiring"] else None,
            floor=row["floor_tier_id"],
            floor_until=self._now if row["floor_ended"] else None,
            approved=frozenset(
                rung.id
                for place, rung in enumerate(self._ladder.with_approval)
                if row[self._measuring.approved(place)]
            ),
        )


async def work(clock: Callable[[], datetime]) -> bool:
    """Does the job that is due, if any, batch by batch; see `jobs.work`."""
    return await jobs.work(TOPIC, advance, clock)


@database.unit_of_work
async def advance(claims: Sequence[outbox.Claim], now: datetime) -> bool:
    """Re-evaluates the next members of the job and notes how far it is; False when it has ended.

    A job whose rules are no longer the newest ends: the one of those re-evaluates everybody.
    """
    job = await Job.get(id=claims[0].subject_id)
    ids = await _lock_next(job.position)
    ladder = await tiers.current()
    if ladder.version != job.subject_id or not ids:
        superseded = ladder.version != job.subject_id
        why = [f"version {ladder.version} was published meanwhile"] if superseded else []
        jobs.end(job, now, problems=why)
        await outbox.settle(claims, now)
    else:
        await outbox.extend(claims, now)
        await _move(ladder, metrics.between(job.position, ids[-1]), now)
        jobs.advance(job, position=ids[-1], done=len(ids))
    await job.save()
    return job.status is JobStatus.RUNNING


async def _lock_next(position: int) -> Sequence[int]:
    lock = " FOR UPDATE" if database.is_postgres() else ""
    found = await database.rows(
        f"SELECT member_id FROM standing WHERE member_id > $1 "
        f"ORDER BY member_id LIMIT {BATCH}{lock}",
        position,
    )
    return [row["member_id"] for row in found]


Write = tuple[int | None, int | None, datetime | None, bool, bool]


async def _move(ladder: Ladder, scope: str, now: datetime) -> None:
    """Decides and writes everybody in the scope, whose rows are locked."""
    classes = Classes(ladder, now, scope)
    moves: dict[int | None, list[int]] = defaultdict(list)
    writes: dict[Write, list[int]] = defaultdict(list)
    lapsed: dict[frozenset[int], list[int]] = defaultdict(list)
    reviews: list[tuple[datetime | None, int]] = []
    changes: list[tuple[int, int | None, int | None]] = []
    for row in await database.rows(classes.each, *classes.values):
        before, after = classes.decided(row)
        member_id = row["member_id"]
        if after != before:
            writes[_write_of(before, after)].append(member_id)
        if after.tier != before.tier:
            moves[after.tier].append(member_id)
            changes.append((member_id, before.tier, after.tier))
        if after.approved != before.approved:
            lapsed[before.approved - after.approved].append(member_id)
        review_at = _review_at(row, before, after)
        if review_at != database.instant(row["review_at"]):
            reviews.append((review_at, member_id))
    for tier_id, member_ids in moves.items():
        await _record(ladder, tier_id, _scope(scope, member_ids), now)
    for write, member_ids in writes.items():
        await _write(write, _scope(scope, member_ids))
    for tier_ids, member_ids in lapsed.items():
        await _lapse(tier_ids, member_ids, now)
    await database.execute_many("UPDATE standing SET review_at = $1 WHERE member_id = $2", reviews)
    if changes:
        told = (events.tier_moved(*each, TierChangeReason.RULES_CHANGED) for each in changes)
        await webhooks.emit(told, now)


def _scope(scope: str, member_ids: Sequence[int]) -> str:
    """These members of the scope. It is said too, so that no planner that does not know the tables
    reads all of them."""
    return f"{scope} AND {metrics.among(member_ids)}"


def _write_of(before: State, after: State) -> Write:
    keeps_expiry = after.expires_at == before.expires_at
    expiry = None if keeps_expiry else after.expires_at
    return after.tier, after.earned, expiry, keeps_expiry, after.floor is None


def _review_at(row: Mapping[str, Any], before: State, after: State) -> datetime | None:
    """When time alone may next change the member's tier."""
    keeps_expiry = after.expires_at == before.expires_at
    ends = (
        database.instant(row["slides_at"]),
        database.instant(row["expires_at"]) if keeps_expiry else after.expires_at,
        database.instant(row["floor_until"]) if after.floor is not None else None,
    )
    return min((end for end in ends if end is not None), default=None)


async def _record(ladder: Ladder, tier_id: int | None, scope: str, now: datetime) -> None:
    """Writes into the history that the members in the scope came into the tier."""
    measuring = Measuring(ladder, now, scope)
    columns = {metric.value: column for metric, column in LIFETIME.items()}
    columns |= {term.label: measuring.column(term) for term in ladder.terms}
    values = [*measuring.values, now, *columns]  # a label may hold what an operator typed
    named = {
        f"CAST(${len(measuring.values) + place} AS TEXT)": column
        for place, column in enumerate(columns.values(), start=2)
    }
    at = dialect.typed(len(measuring.values) + 1)
    actor = f"(SELECT published_by_id FROM tier_rules WHERE version = {ladder.version})"
    await database.execute(
        "INSERT INTO tier_change "
        "(member_id, at, from_tier_id, to_tier_id, reason, metrics, rules_version, actor_id) "
        f"SELECT member_id, {at}, tier_id, {_literal(tier_id)}, "
        f"'{TierChangeReason.RULES_CHANGED}', {dialect.json_object(named)}, {ladder.version}, "
        f"{actor} FROM ({measuring.sql}) AS measured",
        *values,
    )


async def _write(write: Write, scope: str) -> None:
    tier_id, earned_id, expires_at, keeps_expiry, clears_floor = write
    changes = [f"tier_id = {_literal(tier_id)}", f"earned_tier_id = {_literal(earned_id)}"]
    if not keeps_expiry:
        changes.append("expires_at = $1" if expires_at else "expires_at = NULL")
    if clears_floor:
        changes += ["floor_tier_id = NULL", "floor_until = NULL"]
    await database.execute(
        f"UPDATE standing SET {', '.join(changes)} WHERE {scope.format(column='member_id')}",
        *([expires_at] if expires_at else []),
    )


async def _lapse(tier_ids: Collection[int], member_ids: Sequence[int], now: datetime) -> None:
    await TierApplication.filter(
        member_id__in=member_ids,
        tier_id__in=tier_ids,
        status=ApplicationStatus.APPROVED,
        lapsed_at__isnull=True,
    ).update(lapsed_at=now, standing_key=None)


def _literal(tier_id: int | None) -> str:
    return "NULL" if tier_id is None else str(tier_id)
