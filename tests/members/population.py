"""Settles a crowd in the database: members with any facts, tiers, grants and approvals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from random import Random
from typing import Any

from core import database
from members import metrics, reevaluating, rules, tiers
from members.models import (
    ApplicationStatus,
    Invitation,
    Member,
    MetricFact,
    Standing,
    Tier,
    TierApplication,
    TierChange,
    TierMetric,
)
from members.rules import Term
from members.tiers import Ladder, State
from tests.factories import NOW
from tests.members import plans
from tests.members.plans import Fact

DAY = timedelta(days=1)
_names = count(1)
_conversions = count(1)


@dataclass(frozen=True, slots=True)
class Invite:
    """Somebody whom a member brought, and what became of them."""

    registered_at: datetime
    bought_at: datetime | None = None
    promoted_at: datetime | None = None

    @property
    def facts(self) -> Sequence[Fact]:
        dates = {
            TierMetric.INVITED_REGISTERED: self.registered_at,
            TierMetric.INVITED_BOUGHT: self.bought_at,
            TierMetric.INVITED_PROMOTED: self.promoted_at,
        }
        return [Fact(metric, at) for metric, at in dates.items() if at is not None]


@dataclass(frozen=True, slots=True)
class Settler:
    """A member to be: tiers are named by their codes."""

    booked: Sequence[Fact] = ()
    invites: Sequence[Invite] = ()
    earned: str | None = None
    expires_at: datetime | None = None
    floor: str | None = None
    floor_until: datetime | None = None
    approved: frozenset[str] = frozenset()

    @property
    def facts(self) -> Sequence[Fact]:
        return [*self.booked, *(fact for each in self.invites for fact in each.facts)]

    def total(self, metric: TierMetric) -> int:
        return sum(fact.amount for fact in self.facts if fact.metric is metric)


@dataclass(slots=True)
class Crowd:
    """The settlers by the ids of the members that they became."""

    settlers: dict[int, Settler] = field(default_factory=dict)

    def values(self, member_id: int, ladder: Ladder, now: datetime) -> dict[Term, int]:
        """What the rules measure of a member, summed here."""
        facts = self.settlers[member_id].facts
        return {term: plans.measured(term, facts, now, ladder.zone) for term in ladder.terms}

    def holding(self, member_id: int, ladder: Ladder, now: datetime) -> set[int]:
        values = self.values(member_id, ladder, now)
        return {rung.id for rung in ladder.rungs if plans.met(rung.rule, values)}

    def state(self, member_id: int, codes: Mapping[str | None, int], of: Ladder) -> State:
        """Where the settler stood at first; `of` says which tiers require approval."""
        settler = self.settlers[member_id]
        earned, floor = codes.get(settler.earned), codes.get(settler.floor)
        needing = {rung.id for rung in of.with_approval}
        return State(
            tier=higher(settler, codes),
            earned=earned,
            expires_at=settler.expires_at,
            floor=floor,
            floor_until=settler.floor_until,
            approved=frozenset({codes[each] for each in settler.approved} & needing),
        )


def higher(settler: Settler, codes: Mapping[str | None, int]) -> int | None:
    """The higher one of the two tiers: codes come lowest first."""
    inside = [codes[code] for code in codes if code in {settler.earned, settler.floor} and code]
    return inside[-1] if inside else None


def drawn(random: Random, codes: Sequence[str], size: int, now: datetime = NOW) -> list[Settler]:
    """A varied crowd, with facts around every edge of the windows."""
    edges = plans.edges(now)
    soon = [now - DAY, now, now + timedelta(microseconds=1), now + 400 * DAY]

    def some(choices: Sequence[Any]) -> Any:
        return random.choice([None, *choices])

    def booked() -> Fact:
        metric = random.choice([TierMetric.SPEND, TierMetric.FEE, TierMetric.POINTS_EARNED])
        plan = some(plans.PLANS) if metric is TierMetric.FEE else None
        return Fact(metric, random.choice(edges), random.randint(-2, 4), plan)

    def settler() -> Settler:
        floor = some(codes) if random.random() < 0.3 else None
        return Settler(
            booked=[booked() for _ in range(random.randrange(5))],
            invites=[
                Invite(random.choice(edges), some(edges), some(edges))
                for _ in range(random.randrange(4))
            ],
            earned=(earned := some(codes)),
            expires_at=some(soon) if earned else None,
            floor=floor,
            floor_until=some(soon) if floor else None,
            approved=frozenset(code for code in codes if random.random() < 0.2),
        )

    return [settler() for _ in range(size)]


@database.unit_of_work
async def settle(settlers: Sequence[Settler], now: datetime = NOW) -> Crowd:
    """Writes them down as they are."""
    codes: dict[str | None, int] = dict(await Tier.all().order_by("rank").values_list("code", "id"))
    most = max((len(each.invites) for each in settlers), default=0)
    names = [f"settler {next(_names)}" for _ in range(len(settlers) + most)]
    await Member.bulk_create(Member(display_name=name, created_at=now) for name in names)
    ids = dict(await Member.filter(display_name__in=names).values_list("display_name", "id"))
    ordered = [ids[name] for name in names]
    crowd = Crowd(dict(zip(ordered, settlers, strict=False)))
    guests = ordered[len(settlers) :]
    for write, rows in (
        (Standing, [_standing(*each, codes) for each in crowd.settlers.items()]),
        (MetricFact, [row for each in crowd.settlers.items() for row in _facts(*each)]),
        (Invitation, [row for each in crowd.settlers.items() for row in _guests(*each, guests)]),
        (
            TierApplication,
            [row for each in crowd.settlers.items() for row in _papers(*each, codes)],
        ),
        (TierChange, [row for each in crowd.settlers.items() for row in _past(*each, codes)]),
    ):
        if rows:
            await write.bulk_create(rows)
    return crowd


def _standing(member_id: int, settler: Settler, codes: Mapping[str | None, int]) -> Standing:
    orders = [
        fact.at for fact in settler.booked if fact.metric is TierMetric.SPEND and fact.amount > 0
    ]
    return Standing(
        member_id=member_id,
        **{column: settler.total(metric) for metric, column in metrics.LIFETIME.items()},
        first_order_at=min(orders, default=None),
        tier_id=higher(settler, codes),
        earned_tier_id=codes.get(settler.earned),
        expires_at=settler.expires_at,
        floor_tier_id=codes.get(settler.floor),
        floor_until=settler.floor_until,
    )


def _facts(member_id: int, settler: Settler) -> Sequence[MetricFact]:
    return [
        MetricFact(
            member_id=member_id,
            metric=fact.metric,
            conversion_id=next(_conversions),
            plan=fact.plan,
            at=fact.at,
            amount=fact.amount,
        )
        for fact in settler.booked
    ]


def _guests(member_id: int, settler: Settler, guests: Sequence[int]) -> Sequence[Invitation]:
    return [
        Invitation(
            inviter_id=member_id,
            invitee_id=guest,
            registered_at=each.registered_at,
            bought_at=each.bought_at,
            promoted_at=each.promoted_at,
        )
        for each, guest in zip(settler.invites, guests, strict=False)
    ]


def _papers(
    member_id: int, settler: Settler, codes: Mapping[str | None, int]
) -> Sequence[TierApplication]:
    return [
        TierApplication(
            member_id=member_id,
            tier_id=codes[code],
            status=ApplicationStatus.APPROVED,
            created_at=NOW,
            standing_key=f"{member_id}:{codes[code]}",
        )
        for code in settler.approved
    ]


def _past(
    member_id: int, settler: Settler, codes: Mapping[str | None, int]
) -> Sequence[TierChange]:
    tier_id = higher(settler, codes)
    if tier_id is None:
        return []
    return [
        TierChange(member_id=member_id, at=NOW, to_tier_id=tier_id, reason="QUALIFIED", metrics={})
    ]


async def state(member_id: int, of: Ladder) -> State:
    """Where the member stands by the database."""
    row = await Standing.get(member_id=member_id)
    approved = TierApplication.filter(
        member_id=member_id,
        status=ApplicationStatus.APPROVED,
        lapsed_at__isnull=True,
        tier_id__in=[rung.id for rung in of.with_approval] or [0],
    )
    return State(
        tier=row.tier_id,
        earned=row.earned_tier_id,
        expires_at=row.expires_at,
        floor=row.floor_tier_id,
        floor_until=row.floor_until,
        approved=frozenset(await approved.values_list("tier_id", flat=True)),
    )


async def everything() -> list[list[dict[str, Any]]]:
    """Every row that deciding about tiers may write."""
    tables = (Standing, TierChange, TierApplication, Tier, Invitation, MetricFact)
    return [await table.all().order_by("id").values() for table in tables]


async def clear() -> None:
    """Takes away everybody's standing, with what led there."""
    for table in (TierChange, TierApplication, Invitation, MetricFact, Standing):
        await table.all().delete()


async def reevaluate(now: datetime = NOW) -> None:
    """Does the jobs that are due, to their ends."""
    while await reevaluating.work(lambda: now):
        pass


def ladder_of(*raw: Any, **more: Any) -> Ladder:
    """Tiers with these rules, 1, 2, … from the lowest."""
    rungs = [
        tiers.Rung(id=place, code=f"t{place}", rank=place, rule=rules.parse(each), **more)
        for place, each in enumerate(raw, start=1)
    ]
    return Ladder(1, plans.SHANGHAI, rungs)
