"""Owns recomputing: metrics and tiers made anew from what was recorded, whatever stood there.

Nothing should ever need it: crediting keeps both up with every fact, and `reconciliation` says
when they differ. It is for the day after something was mended by hand.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from core import database, jobs
from core.jobs import Job
from members import metrics, tiers
from members.metrics import LIFETIME
from members.models import DowngradePolicy, TierMetric, Window
from members.rules import Term
from members.standings import Standings
from members.tiers import Ladder, State
from referral import facts

KIND = "recompute"
BATCH = 500

# What is booked and should not be, what should be and is not; by the same key.
SURPLUS_FACTS = """
DELETE FROM metric_fact WHERE {scope} AND NOT EXISTS (
    SELECT 1 FROM ({due}) AS due WHERE due.member_id = metric_fact.member_id
    AND due.metric = metric_fact.metric AND due.conversion_id = metric_fact.conversion_id
    AND due.amount = metric_fact.amount AND due.at = metric_fact.at
    AND due.plan IS NOT DISTINCT FROM metric_fact.plan
)
"""
MISSING_FACTS = """
INSERT INTO metric_fact (member_id, metric, conversion_id, plan, at, amount)
SELECT member_id, metric, conversion_id, plan, at, amount FROM ({due}) AS due
WHERE NOT EXISTS (
    SELECT 1 FROM metric_fact AS fact WHERE fact.member_id = due.member_id
    AND fact.metric = due.metric AND fact.conversion_id = due.conversion_id
)
"""
SURPLUS_INVITATIONS = """
DELETE FROM invitation WHERE {scope} AND NOT EXISTS (
    SELECT 1 FROM ({due}) AS due WHERE due.inviter_id = invitation.inviter_id
    AND due.invitee_id = invitation.invitee_id
    AND due.registered_at = invitation.registered_at
    AND due.bought_at IS NOT DISTINCT FROM invitation.bought_at
    AND due.promoted_at IS NOT DISTINCT FROM invitation.promoted_at
)
"""
MISSING_INVITATIONS = """
INSERT INTO invitation (inviter_id, invitee_id, registered_at, bought_at, promoted_at)
SELECT inviter_id, invitee_id, registered_at, bought_at, promoted_at FROM ({due}) AS due
WHERE NOT EXISTS (
    SELECT 1 FROM invitation AS booked WHERE booked.inviter_id = due.inviter_id
    AND booked.invitee_id = due.invitee_id
)
"""


METRICS = """
UPDATE standing SET {changes} FROM ({totals}) AS total
WHERE standing.member_id = total.member_id AND ({differ})
"""
COLUMNS = (*LIFETIME.values(), "first_order_at")


@dataclass(slots=True)
class Summary:
    """How many members this run went through, and what it had to change."""

    members: int = 0
    metrics_mended: int = 0
    tiers_moved: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """A fact with the time at which it came in."""

    recorded_at: datetime
    metric: TierMetric
    plan: str | None
    at: datetime
    amount: int


async def recompute(clock: Callable[[], datetime], progress: Callable[[int, int], None]) -> Summary:
    """Makes the metrics and tiers of everybody anew, in batches; goes on where an earlier run was
    stopped. Safe beside running servers and workers: each batch holds its members' rows.

    Calls `progress(done, total)` after each batch.
    """
    summary = Summary()
    job = await _begin(clock())
    while await _advance(job.id, summary, clock()):
        await job.refresh_from_db()
        progress(job.done, job.total or job.done)
    return summary


@database.unit_of_work
async def _begin(now: datetime) -> Job:
    """The job that is under way, else a new one."""
    await database.lock(KIND)
    job = await Job.filter(kind=KIND, ended_at__isnull=True).first()
    if job is not None:
        return job
    [row] = await database.rows("SELECT COUNT(*) AS members FROM standing")
    return await jobs.begin(KIND, now, total=row["members"])


@database.unit_of_work
async def _advance(job_id: int, summary: Summary, now: datetime) -> bool:
    """The next members, in one transaction with the job's position; False at the end."""
    await database.lock(KIND)
    job = await Job.get(id=job_id)
    found = await database.rows(
        f"SELECT member_id FROM standing WHERE member_id > $1 ORDER BY member_id LIMIT {BATCH}",
        job.position,
    )
    member_ids = [row["member_id"] for row in found]
    if member_ids:
        await _mend(member_ids, summary, now)
        jobs.advance(job, position=member_ids[-1], done=len(member_ids))
    else:
        jobs.end(job, now)
    await job.save()
    return bool(member_ids)


async def _mend(member_ids: Sequence[int], summary: Summary, now: datetime) -> None:
    await Standings.lock(member_ids, now)
    among = metrics.among(member_ids)
    for surplus, missing, due, owner in (
        (SURPLUS_FACTS, MISSING_FACTS, facts.of_members(among), "member_id"),
        (SURPLUS_INVITATIONS, MISSING_INVITATIONS, facts.invitations_of(among), "inviter_id"),
    ):
        await database.execute(surplus.format(due=due, scope=among.format(column=owner)))
        await database.execute(missing.format(due=due))
    summary.members += len(member_ids)
    summary.metrics_mended += await database.execute(
        METRICS.format(
            changes=", ".join(f"{column} = total.{column}" for column in COLUMNS),
            totals=facts.totals(among),
            differ=" OR ".join(
                f"standing.{column} IS DISTINCT FROM total.{column}" for column in COLUMNS
            ),
        )
    )
    await _decide(member_ids, summary, now)


async def _decide(member_ids: Sequence[int], summary: Summary, now: datetime) -> None:
    standings = await Standings.lock(member_ids, now)  # measured anew
    ladder = standings.ladder
    keeping = any(rung.downgrade is not DowngradePolicy.IMMEDIATE for rung in ladder.rungs)
    events = await _events(member_ids) if keeping else {}
    for member_id in member_ids:
        approved = standings.measured(member_id).state.approved
        reached = replay(ladder, events.get(member_id, ()), approved)
        summary.tiers_moved += standings.restore(member_id, reached)
    await standings.save()


async def _events(member_ids: Sequence[int]) -> Mapping[int, Sequence[Event]]:
    """The facts of the members in the order in which they came in."""
    among = metrics.among(member_ids)
    found: dict[int, list[Event]] = defaultdict(list)
    due = f"{facts.of_members(among)} ORDER BY recorded_at, conversion_id"
    for row in await database.rows(due):
        found[row["member_id"]].append(_event(row["recorded_at"], row))
    for row in await database.rows(facts.invitations_of(among)):
        for metric, column in metrics.INVITED_AT.items():
            if row[column] is not None:
                fact = {"metric": metric, "plan": None, "at": row[column], "amount": 1}
                found[row["inviter_id"]].append(_event(row[column], fact))
    return {member_id: sorted(each, key=_recorded_at) for member_id, each in found.items()}


def _event(recorded_at: Any, row: Mapping[str, Any]) -> Event:
    recorded, at = database.instant(recorded_at), database.instant(row["at"])
    if recorded is None or at is None:
        raise LookupError("a fact without a date")
    return Event(recorded, TierMetric(row["metric"]), row["plan"], at, row["amount"])


def _recorded_at(event: Event) -> datetime:
    return event.recorded_at


def replay(ladder: Ladder, events: Sequence[Event], approved: frozenset[int]) -> State:
    """Where the events lead, one after the other, each decided at the time it came in. Pure."""
    state = State(approved=approved)
    values = dict.fromkeys(ladder.terms, 0)
    sliding = [term for term in ladder.terms if term.window is not Window.LIFETIME]
    for place, event in enumerate(events, start=1):
        now = event.recorded_at
        for term in ladder.terms:
            if _counts(event, term):
                values[term] += event.amount
        for term in sliding:
            values[term] = _sum(term, events[:place], now, ladder.zone)
        decided = tiers.decide(ladder, state, ladder.holding(values), now)
        state = replace(decided, approved=approved)
    return state


def _counts(event: Event, term: Term) -> bool:
    return event.metric is term.metric and term.plan in {None, event.plan}


def _sum(term: Term, past: Sequence[Event], now: datetime, zone: ZoneInfo) -> int:
    return sum(
        event.amount for event in past if _counts(event, term) and term.covers(event.at, now, zone)
    )
