"""Tiers, and where members stand among them, as the API shows them."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry
from strawberry.scalars import JSON

from api import access
from api.context import STAFF, Info
from api.nodes import After, Connection, First, Node, connection, to_id
from api.scalars import Long
from core.paging import page
from members import models, publishing, rules, tiers
from members.metrics import Measured
from members.models import (
    ApplicationStatus,
    DowngradePolicy,
    TierChangeReason,
    TierMetric,
    Window,
)
from members.rules import Leaf
from members.tiers import Ladder

if TYPE_CHECKING:
    from api.members import Member

AnyMember = Annotated["Member", strawberry.lazy("api.members")]

strawberry.enum(DowngradePolicy, description="What falling below a tier's threshold does.")
strawberry.enum(TierChangeReason, description="Why somebody came into another tier.")
strawberry.enum(TierMetric, description="What tiers are decided by.")
strawberry.enum(Window, description="Over which time a metric is taken.")
strawberry.enum(ApplicationStatus, description="What became of an application for a tier.")


@strawberry.type(description="A level of membership.", directives=[access.as_parent()])
class Tier(Node):
    row: strawberry.Private[models.Tier]
    code: str = strawberry.field(description="Its name for programs; unique.")
    name: str = strawberry.field(description="Its name for people.")
    rank: int = strawberry.field(
        description="The higher, the better; unique. Below zero for one that the rules left out."
    )
    rule: JSON = strawberry.field(
        description="The threshold at which it is entered, in the shape of RuleInput."
    )
    requires_approval: bool = strawberry.field(
        description="Whether it is entered only by an application that staff approve."
    )
    validity_days: int | None = strawberry.field(
        description="Of AT_EXPIRY: how many times 24 hours it is kept once the rule has held."
    )
    grace_days: int = strawberry.field(description="How many days more after that.")
    downgrade: DowngradePolicy = strawberry.field(
        description="What falling below the threshold does."
    )
    benefits: list[str] = strawberry.field(description="What it brings, in words.")

    @classmethod
    def of(cls, row: models.Tier) -> "Tier":
        return cls(
            id=to_id("Tier", row.id or 0),
            row=row,
            code=row.code,
            name=row.name,
            rank=row.rank,
            rule=JSON(row.rule),
            requires_approval=row.requires_approval,
            validity_days=row.validity_days,
            grace_days=row.grace_days,
            downgrade=row.downgrade,
            benefits=list(row.benefits),
        )

    @strawberry.field(description="How many members are in it.")
    async def member_count(self, info: Info) -> int:
        return await info.context.load.member_count_by_tier.load(self.row.id or 0)


@strawberry.type(
    description="One move of a member from tier to tier.", directives=[access.as_parent()]
)
class TierChange:
    row: strawberry.Private[models.TierChange]
    at: datetime = strawberry.field(description="When it was decided.")
    from_: Tier | None = strawberry.field(name="from", description="The tier before.")
    to: Tier | None = strawberry.field(description="The tier since.")
    reason: TierChangeReason = strawberry.field(description="Why.")
    metrics: JSON = strawberry.field(
        description="The metrics as they stood: over the whole lifetime under their names, and "
        "as the rules measured them, such as `SPEND CALENDAR_YEAR`."
    )
    rules_version: int = strawberry.field(description="The version of the rules in force.")

    @classmethod
    def of(cls, row: models.TierChange) -> "TierChange":
        return cls(
            row=row,
            at=row.at,
            from_=row.from_tier and Tier.of(row.from_tier),
            to=row.to_tier and Tier.of(row.to_tier),
            reason=row.reason,
            metrics=JSON(row.metrics),
            rules_version=row.rules_version,
        )

    @strawberry.field(description="Who granted, revoked, approved or published; else null.")
    async def actor(self, info: Info) -> AnyMember | None:
        return await _member(info, self.row.actor_id)


async def _member(info: Info, member_id: int | None) -> "Member | None":
    from api.members import Member  # noqa: PLC0415 - a member has tiers, a change has an actor

    row = member_id and await info.context.load.member_by_id.load(member_id)
    return Member.of(row) if row else None


@strawberry.type(description="What tiers are decided by.", directives=[access.as_parent()])
class MemberMetrics:
    spend_minor: Long = strawberry.field(
        description="Paid orders minus refunds over the whole lifetime, in minor units."
    )
    fees_paid_minor: Long = strawberry.field(description="Membership fees, in minor units.")
    invited_registered: int = strawberry.field(
        description="Members whose registration is attributed to this one."
    )
    invited_bought: int = strawberry.field(description="Of those, with positive net spend.")
    invited_promoted: int = strawberry.field(description="Of those, enrolled as promoters.")
    points_earned: Long = strawberry.field(description="Earned, whether or not they were spent.")

    @classmethod
    def of(cls, row: models.Standing) -> "MemberMetrics":
        return cls(
            spend_minor=Long(row.spend_minor),
            fees_paid_minor=Long(row.fees_minor),
            invited_registered=row.invited_registered,
            invited_bought=row.invited_bought,
            invited_promoted=row.invited_promoted,
            points_earned=Long(row.points_earned),
        )


@strawberry.type(description="One demand of a tier.", directives=[access.as_parent()])
class TierRequirement:
    metric: TierMetric = strawberry.field(description="What is measured.")
    plan: str | None = strawberry.field(description="Of FEE: the plan that counts alone.")
    window: Window = strawberry.field(description="Over which time.")
    days: int | None = strawberry.field(description="Of LAST_DAYS: how many times 24 hours.")
    required: Long = strawberry.field(description="Reaching exactly this is enough.")
    actual: Long = strawberry.field(description="What there is now.")
    missing: Long = strawberry.field(description="What lacks; 0 where it is met.")

    @classmethod
    def of(cls, leaf: Leaf, actual: int) -> "TierRequirement":
        return cls(
            metric=leaf.term.metric,
            plan=leaf.term.plan,
            window=leaf.term.window,
            days=leaf.term.days,
            required=Long(leaf.at_least),
            actual=Long(actual),
            missing=Long(max(0, leaf.at_least - actual)),
        )


@strawberry.type(description="One way into a tier.", directives=[access.as_parent()])
class TierAlternative:
    requirements: list[TierRequirement] = strawberry.field(description="All of them have to hold.")


@strawberry.type(
    description="What is missing to a tier. Any one alternative qualifies.",
    directives=[access.as_parent()],
)
class TierProgress:
    tier: Tier = strawberry.field(description="A tier above the current one.")
    qualified: bool = strawberry.field(
        description="Whether its rule holds: one that requires approval may be applied for."
    )
    alternatives: list[TierAlternative] = strawberry.field(description="The ways into it.")


def progress(row: models.Tier, ladder: Ladder, measured: Measured) -> TierProgress:
    """What lacks to the tier, by alternative."""
    rung = ladder.by_id[row.id]
    return TierProgress(
        tier=Tier.of(row),
        qualified=rules.holds(rung.rule, measured.values),
        alternatives=[
            TierAlternative(
                requirements=[TierRequirement.of(leaf, measured.values[leaf.term]) for leaf in way]
            )
            for way in rules.alternatives(rung.rule)
        ],
    )


@strawberry.type(description="A member's wish to enter a tier.", directives=[access.as_parent()])
class TierApplication(Node):
    row: strawberry.Private[models.TierApplication]
    status: ApplicationStatus = strawberry.field(description="What became of it.")
    message: str | None = strawberry.field(description="What the member says.")
    note: str | None = strawberry.field(description="What staff say to the decision.")
    created_at: datetime = strawberry.field(description="When it was made.")
    decided_at: datetime | None = strawberry.field(description="When it was decided.")

    @classmethod
    def of(cls, row: models.TierApplication) -> "TierApplication":
        return cls(
            id=to_id("TierApplication", row.id),
            row=row,
            status=row.status,
            message=row.message,
            note=row.note,
            created_at=row.created_at,
            decided_at=row.decided_at,
        )

    @strawberry.field(description="Who asks.")
    async def member(self, info: Info) -> AnyMember:
        found = await _member(info, self.row.member_id)
        if found is None:
            raise LookupError(f"member {self.row.member_id} is referred to and missing")
        return found

    @strawberry.field(description="For which tier.")
    async def tier(self, info: Info) -> Tier:
        return Tier.of(await info.context.load.tier_by_id.load(self.row.tier_id))


@strawberry.type
class MemberTiers:
    """The part of a member that is about tiers."""

    row: strawberry.Private[models.Member]

    @strawberry.field(
        description="The tier it is in, if any.", extensions=[access.SELF_INVITER_OR_STAFF]
    )
    async def tier(self, info: Info) -> Tier | None:
        standing = await info.context.load.standing_by_member.load(self.row.id)
        return standing.tier and Tier.of(standing.tier)

    @strawberry.field(
        description="When the tier ends unless something else happens before; null for never.",
        extensions=[access.SELF_OR_STAFF],
    )
    async def tier_until(self, info: Info) -> datetime | None:
        _, measured = await info.context.load.measured_by_member.load(self.row.id)
        return tiers.until(measured.state)

    @strawberry.field(
        description="What is missing to each tier above the current one, lowest first.",
        extensions=[access.SELF_OR_STAFF],
    )
    async def tier_progress(self, info: Info) -> list[TierProgress]:
        ladder, measured = await info.context.load.measured_by_member.load(self.row.id)
        current = ladder.by_id.get(measured.state.tier)
        above = [rung.id for rung in ladder.rungs if current is None or rung.rank > current.rank]
        rows = await info.context.load.tier_by_id.load_many(above)
        return [progress(row, ladder, measured) for row in rows]

    @strawberry.field(
        description="Its moves from tier to tier, newest first.", extensions=[access.SELF_OR_STAFF]
    )
    async def tier_history(
        self, info: Info, first: First = 20, after: After = None
    ) -> Connection[TierChange]:
        changes = models.TierChange.filter(member_id=self.row.id)
        found = await page(
            changes.select_related("from_tier", "to_tier"),
            order=("-id",),
            name="tierHistory",
            first=first,
            after=after,
        )
        return connection(found, TierChange.of, total=changes.count)

    @strawberry.field(
        description="Its applications for tiers, newest first.", extensions=[access.SELF_OR_STAFF]
    )
    async def tier_applications(self) -> list[TierApplication]:
        found = models.TierApplication.filter(member_id=self.row.id).order_by("-id").limit(100)
        return [TierApplication.of(row) for row in await found]

    @strawberry.field(description="What its tier is decided by.", extensions=[access.SELF_OR_STAFF])
    async def metrics(self, info: Info) -> MemberMetrics:
        return MemberMetrics.of(await info.context.load.standing_by_member.load(self.row.id))


async def shown() -> Sequence[Tier]:
    """The tiers of the current rules, lowest first."""
    return [Tier.of(row) for row in await tiers.ladder()]


@strawberry.type
class TierQuery:
    @strawberry.field(description="All tiers, lowest first.", extensions=[access.EVERYBODY])
    async def tiers(self) -> list[Tier]:
        return [*await shown()]

    @strawberry.field(
        description="The version of the rules; 0 before there are any.",
        extensions=[access.EVERYBODY],
    )
    async def tier_rules_version(self) -> int:
        return await publishing.current_version()

    @strawberry.field(
        description="Applications for tiers, oldest first.", extensions=[access.allow(*STAFF)]
    )
    async def tier_applications(
        self,
        status: Annotated[
            ApplicationStatus | None, strawberry.argument(description="Of this status alone.")
        ] = None,
        first: First = 20,
        after: After = None,
    ) -> Connection[TierApplication]:
        found = models.TierApplication.all()
        if status is not None:
            found = found.filter(status=status)
        name = f"tierApplications:{status}"
        rows = await page(found, order=("id",), name=name, first=first, after=after)
        return connection(rows, TierApplication.of, total=found.count)
