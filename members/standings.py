"""Owns where members stand: metrics and tier in one row, kept up with each fact.

Whoever books facts loads the standings of everybody concerned, which locks them, books fact after
fact in memory, and saves.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core import bulk, database, webhooks
from core.webhooks import Event
from members import events, metrics, tiers
from members.metrics import Measured, Measuring
from members.models import (
    ApplicationStatus,
    Invitation,
    MetricFact,
    Standing,
    TierApplication,
    TierChange,
    TierChangeReason,
    TierMetric,
)
from members.tiers import Ladder, State

VERSION = "(SELECT MAX(version) FROM tier_rules) AS rules_version"
COLUMNS = (
    "member_id",
    *metrics.LIFETIME.values(),
    "first_order_at",
    "tier_id",
    "earned_tier_id",
    "expires_at",
    "floor_tier_id",
    "floor_until",
    "review_at",
)
FACT = ("member_id", "metric", "conversion_id", "plan", "at", "amount")


@dataclass(slots=True)
class _Fact:
    """What one conversion counts for in one metric of a member."""

    plan: str | None
    at: datetime
    amount: int


@dataclass(slots=True)
class _Row:
    """One member's standing while facts are booked."""

    measured: Measured
    lifetime: dict[TierMetric, int]
    first_order_at: datetime | None

    @property
    def bought_at(self) -> datetime | None:
        """When they became a buyer, if they are one: their orders are not all refunded."""
        return self.first_order_at if self.lifetime[TierMetric.SPEND] > 0 else None


class Standings:
    """The standings of some members while a batch of facts is booked for them.

    Loading takes three statements, one more after other rules were published; saving takes one,
    and one each for facts, invitations, lapsed approvals and changes of tier, where there are any.
    """

    def __init__(self, ladder: Ladder, now: datetime, rows: Iterable[_Row] = ()) -> None:
        self._ladder = ladder
        self._now = now
        self._rows = {row.measured.member_id: row for row in rows}
        self._invitations: dict[int, list[Invitation]] = defaultdict(list)
        self._facts: dict[tuple[int, TierMetric, int], _Fact] = {}
        self._touched: set[int] = set()
        self._invited: dict[int, Invitation] = {}
        self._new_invitations: list[Invitation] = []
        self._lapsed: list[tuple[int, int]] = []
        self._changes: list[TierChange] = []

    @classmethod
    def of_nobody(cls, now: datetime) -> "Standings":
        """For a batch in which nobody is known yet."""
        return cls(tiers.EMPTY, now)

    @classmethod
    async def load(cls, member_ids: Collection[int], now: datetime) -> "Standings":
        """Locks the rows of the members and of their inviters until the unit of work ends, in one
        order, so that writers queue up; belongs into a unit of work."""
        ids = sorted(set(member_ids))
        if database.is_postgres():
            await _lock_with_inviters(ids)
        # Read only now, like the standings: an invitation is written under its invitee's lock.
        invitations = await Invitation.filter(invitee_id__in=ids)
        everybody = sorted({*ids, *(each.inviter_id for each in invitations)})
        ladder, rows = await _measure(everybody, now)
        standings = cls(ladder, now, rows)
        for each in invitations:
            standings._invitations[each.invitee_id].append(each)
        return standings

    @classmethod
    async def lock(cls, member_ids: Collection[int], now: datetime) -> "Standings":
        """The same for the members alone: for what does not change their spend."""
        ids = sorted(set(member_ids))
        if database.is_postgres():
            where = metrics.among(ids).format(column="member_id")
            await database.rows(
                f"SELECT member_id FROM standing WHERE {where} ORDER BY member_id FOR UPDATE"
            )
        # Measured only now: what was booked while this waited for the locks has to be seen.
        ladder, rows = await _measure(ids, now)
        return cls(ladder, now, rows)

    @property
    def ladder(self) -> Ladder:
        """The rules that everything here is decided by."""
        return self._ladder

    def measured(self, member_id: int) -> Measured:
        """What the member has reached, with what was booked."""
        return self._rows[member_id].measured

    def add_spend(
        self, member_id: int, amount_minor: int, conversion_id: int, at: datetime
    ) -> None:
        """Books one paid order, or with a negative amount one refund, and decides the tiers of the
        member and of whoever invited them."""
        row = self._rows[member_id]
        before = row.bought_at
        if amount_minor > 0 and (row.first_order_at is None or at < row.first_order_at):
            row.first_order_at = at
        self._add(TierMetric.SPEND, member_id, amount_minor, conversion_id, at)
        cause = _cause(amount_minor)
        self._decide(member_id, cause)
        if row.bought_at != before:
            self._bought(member_id, before, row.bought_at, cause)

    def add_fee(
        self, member_id: int, amount_minor: int, conversion_id: int, at: datetime, plan: str | None
    ) -> None:
        """Books one paid fee and decides the member's tier."""
        self._add(TierMetric.FEE, member_id, amount_minor, conversion_id, at, plan=plan)
        self._decide(member_id, TierChangeReason.QUALIFIED)

    def add_points(self, member_id: int, points: int, conversion_id: int, at: datetime) -> None:
        """Books points that were earned, or with a negative number taken back, and decides the
        member's tier."""
        self._add(TierMetric.POINTS_EARNED, member_id, points, conversion_id, at)
        self._decide(member_id, _cause(points))

    def _bought(
        self,
        invitee_id: int,
        before: datetime | None,
        after: datetime | None,
        cause: TierChangeReason,
    ) -> None:
        """The invitee became a buyer, is none any more, or since another day."""
        for invitation in self._invitations[invitee_id]:
            invitation.bought_at = after
            self._changed(invitation)
            if before is not None:
                self._count(TierMetric.INVITED_BOUGHT, invitation.inviter_id, -1, before)
            if after is not None:
                self._count(TierMetric.INVITED_BOUGHT, invitation.inviter_id, 1, after)
            self._decide(invitation.inviter_id, cause)

    def first_order_at(self, member_id: int) -> datetime | None:
        """When the member's first paid order was, with what was booked."""
        return self._rows[member_id].first_order_at

    def invite(
        self,
        inviter_id: int,
        invitee_id: int,
        registered_at: datetime,
        *,
        promoted_at: datetime | None = None,
    ) -> None:
        """Counts a registration for the inviter, with what the invitee has done since, and decides
        their tier."""
        row = self._rows[invitee_id]
        invitation = Invitation(
            inviter_id=inviter_id,
            invitee_id=invitee_id,
            registered_at=registered_at,
            bought_at=row.bought_at,
            promoted_at=promoted_at,
        )
        self._invitations[invitee_id].append(invitation)
        self._new_invitations.append(invitation)
        for metric, column in metrics.INVITED_AT.items():
            if (at := getattr(invitation, column)) is not None:
                self._count(metric, inviter_id, 1, at)
        self._decide(inviter_id, TierChangeReason.QUALIFIED)

    def _changed(self, invitation: Invitation) -> None:
        if invitation.id is not None:  # a new one is inserted as it stands then
            self._invited[invitation.id] = invitation

    def promote(self, invitee_id: int, at: datetime) -> None:
        """Counts for the inviters that the member enrolled as a promoter, once."""
        for invitation in self._invitations[invitee_id]:
            if invitation.promoted_at is None:
                invitation.promoted_at = at
                self._changed(invitation)
                self._count(TierMetric.INVITED_PROMOTED, invitation.inviter_id, 1, at)
                self._decide(invitation.inviter_id, TierChangeReason.QUALIFIED)

    def grant(
        self, member_id: int, floor: int | None, until: datetime | None, actor_id: int | None
    ) -> None:
        """Gives the member a floor, or with None takes it away, and decides the tier."""
        state = self._rows[member_id].measured.state
        self._rows[member_id].measured.state = State(
            state.tier, state.earned, state.expires_at, floor, until, state.approved
        )
        cause = TierChangeReason.REVOKED if floor is None else TierChangeReason.GRANTED
        self._decide(member_id, cause, actor_id)

    def approve(self, member_id: int, tier_id: int, actor_id: int) -> None:
        """Opens a tier with approval to the member, and decides the tier."""
        state = self._rows[member_id].measured.state
        approved = state.approved | {tier_id}
        self._rows[member_id].measured.state = State(
            state.tier, state.earned, state.expires_at, state.floor, state.floor_until, approved
        )
        self._decide(member_id, TierChangeReason.APPROVED, actor_id)

    def restore(self, member_id: int, reached: State) -> bool:
        """Decides the tier of somebody who, by the facts, had once come to stand as in `reached`:
        a tier that its policy keeps is kept from there too. Says whether the tier changed."""
        state = self._rows[member_id].measured.state
        earned = self._ladder.higher(state.earned, reached.earned)
        kept = state if earned == state.earned else reached
        self._rows[member_id].measured.state = State(
            state.tier, earned, kept.expires_at, state.floor, state.floor_until, state.approved
        )
        self._decide(member_id, TierChangeReason.REFUNDED)
        return self._rows[member_id].measured.state.tier != state.tier

    def review(self, member_id: int) -> None:
        """Decides the member's tier by the time alone."""
        self._decide(member_id, TierChangeReason.EXPIRED)

    def enter(self, member_id: int) -> None:
        """Decides the tier of somebody new: a threshold of nothing is reached at once."""
        self._decide(member_id, TierChangeReason.QUALIFIED)

    def _add(
        self,
        metric: TierMetric,
        member_id: int,
        amount: int,
        conversion_id: int,
        at: datetime,
        *,
        plan: str | None = None,
    ) -> None:
        key = (member_id, metric, conversion_id)
        fact = self._facts.get(key)
        if fact is None:
            self._facts[key] = _Fact(plan, at, amount)
        else:  # several programs may give points for one conversion
            fact.amount += amount
        self._count(metric, member_id, amount, at, plan=plan)

    def _count(
        self,
        metric: TierMetric,
        member_id: int,
        amount: int,
        at: datetime,
        *,
        plan: str | None = None,
    ) -> None:
        row = self._rows[member_id]
        row.lifetime[metric] += amount
        measured = row.measured
        for term in measured.values:
            if term.metric is not metric or (term.plan is not None and term.plan != plan):
                continue
            if term.covers(at, self._now, self._ladder.zone):
                measured.values[term] += amount
            since = term.since(self._now, self._ladder.zone)
            if since is not None and at >= since:
                measured.oldest[term] = min(at, measured.oldest.get(term, at))

    def _decide(self, member_id: int, cause: TierChangeReason, actor_id: int | None = None) -> None:
        """One decision, at most one change of tier."""
        self._touched.add(member_id)
        row = self._rows[member_id]
        before = row.measured.state
        holding = self._ladder.holding(row.measured.values)
        after = row.measured.state = tiers.decide(self._ladder, before, holding, self._now)
        self._lapsed += [(member_id, tier_id) for tier_id in before.approved - after.approved]
        if after.tier == before.tier:
            return
        self._changes.append(
            TierChange(
                member_id=member_id,
                at=self._now,
                from_tier_id=before.tier,
                to_tier_id=after.tier,
                reason=tiers.reason(self._ladder, before, after, cause),
                metrics=_snapshot(row),
                rules_version=self._ladder.version,
                actor_id=actor_id,
            )
        )

    async def save(self, also: Sequence[Event] = ()) -> None:
        """Writes what was booked, and has webhooks tell of it, after what happened else."""
        facts = [(*key, each.plan, each.at, each.amount) for key, each in self._facts.items()]
        await bulk.insert(MetricFact, FACT, facts)
        if self._touched:
            changed = [self._values(self._rows[each]) for each in sorted(self._touched)]
            await database.put_rows("standing", "member_id", COLUMNS, changed)
        if self._new_invitations:
            await Invitation.bulk_create(self._new_invitations)
        if self._invited:
            await Invitation.bulk_update(self._invited.values(), ["bought_at", "promoted_at"])
        for member_id, tier_id in self._lapsed:
            await TierApplication.filter(
                member_id=member_id,
                tier_id=tier_id,
                status=ApplicationStatus.APPROVED,
                lapsed_at__isnull=True,
            ).update(lapsed_at=self._now, standing_key=None)
        if self._changes:
            await TierChange.bulk_create(self._changes)
        await webhooks.emit([*also, *map(events.tier_changed, self._changes)], self._now)

    def _values(self, row: _Row) -> Sequence[Any]:
        state = row.measured.state
        return (
            row.measured.member_id,
            *(row.lifetime[metric] for metric in metrics.LIFETIME),
            row.first_order_at,
            state.tier,
            state.earned,
            state.expires_at,
            state.floor,
            state.floor_until,
            metrics.review_at(self._ladder, row.measured, self._now),
        )


def _cause(amount: int) -> TierChangeReason:
    return TierChangeReason.QUALIFIED if amount > 0 else TierChangeReason.REFUNDED


def _snapshot(row: _Row) -> dict[str, int]:
    """The metrics as they stand: over the whole lifetime, and as the rules measure them."""
    lifetime = {metric.value: amount for metric, amount in row.lifetime.items()}
    return lifetime | {term.label: value for term, value in row.measured.values.items()}


async def _lock_with_inviters(member_ids: Sequence[int]) -> None:
    invited = metrics.among(member_ids).format(column="invitee_id")
    members = ", ".join(f"({each})" for each in member_ids)
    await database.rows(
        "SELECT member_id FROM standing WHERE member_id = ANY(ARRAY("
        f"SELECT inviter_id FROM invitation WHERE {invited} UNION VALUES {members}"
        ")) ORDER BY member_id FOR UPDATE"
    )


async def _measure(member_ids: Sequence[int], now: datetime) -> tuple[Ladder, Sequence[_Row]]:
    """The current rules and what they measure of these members, as of one statement.

    Rules never change, so the ones read last are asked about first; the answer says whether there
    are newer ones.
    """
    ladder = database.kept.get("ladder") or await tiers.current()
    while True:
        measuring = Measuring(ladder, now, metrics.among(member_ids))
        sql = measuring.sql.replace("SELECT ", f"SELECT {VERSION}, ", 1)
        found = await database.rows(sql, *measuring.values)
        if not found or (found[0]["rules_version"] or 0) == ladder.version:
            return ladder, [_row(measuring, each) for each in found]
        ladder = await tiers.current()


def _row(measuring: Measuring, found: Any) -> _Row:
    return _Row(
        measured=measuring.measured(found),
        lifetime={metric: found[column] for metric, column in metrics.LIFETIME.items()},
        first_order_at=database.instant(found["first_order_at"]),
    )


async def open_for(member_id: int, now: datetime) -> None:
    """Gives a new member their standing; belongs into the unit of work that makes the account."""
    await Standing.create(member_id=member_id)
    standings = await Standings.lock([member_id], now)
    standings.enter(member_id)
    await standings.save()


async def of(member_ids: Sequence[int], now: datetime) -> tuple[Ladder, Mapping[int, Measured]]:
    """The current rules, and what the members have reached as of now; reads only."""
    ladder, rows = await _measure(member_ids, now)
    return ladder, {row.measured.member_id: row.measured for row in rows}
