"""Tiers, and where members stand among them, as the API shows them."""

from datetime import datetime

import strawberry
from strawberry.scalars import JSON

from api.context import Info
from api.nodes import After, Connection, First, Node, connection, to_id
from api.scalars import Long
from core.paging import page
from members import models, tiers
from members.models import DowngradePolicy, TierChangeReason

strawberry.enum(DowngradePolicy, description="What falling below a tier's threshold does.")
strawberry.enum(TierChangeReason, description="Why somebody came into another tier.")


@strawberry.type(description="A level of membership.")
class Tier(Node):
    code: str = strawberry.field(description="Its name for programs; unique.")
    name: str = strawberry.field(description="Its name for people.")
    rank: int = strawberry.field(description="The higher, the better; unique.")
    rule: JSON = strawberry.field(description="The threshold at which it is entered.")
    downgrade: DowngradePolicy = strawberry.field(
        description="What falling below the threshold does."
    )

    @classmethod
    def of(cls, row: models.Tier) -> "Tier":
        return cls(
            id=to_id("Tier", row.id),
            code=row.code,
            name=row.name,
            rank=row.rank,
            rule=JSON(row.rule),
            downgrade=row.downgrade,
        )


@strawberry.type(description="One move of a member from tier to tier.")
class TierChange:
    at: datetime = strawberry.field(description="When it was decided.")
    from_: Tier | None = strawberry.field(name="from", description="The tier before.")
    to: Tier | None = strawberry.field(description="The tier since.")
    reason: TierChangeReason = strawberry.field(description="Why.")
    metrics: JSON = strawberry.field(description="The metrics as they stood.")

    @classmethod
    def of(cls, row: models.TierChange) -> "TierChange":
        return cls(
            at=row.at,
            from_=row.from_tier and Tier.of(row.from_tier),
            to=row.to_tier and Tier.of(row.to_tier),
            reason=row.reason,
            metrics=JSON(row.metrics),
        )


@strawberry.type(description="What tiers are decided by.")
class MemberMetrics:
    spend_minor: Long = strawberry.field(
        description="Paid orders minus refunds over the whole lifetime, in minor units."
    )


@strawberry.type
class MemberTiers:
    """The part of a member that is about tiers."""

    row: strawberry.Private[models.Member]

    @strawberry.field(description="The tier it is in, if any.")
    async def tier(self, info: Info) -> Tier | None:
        info.context.allow_self_or_staff(self.row.id)
        standing = await info.context.load.standing_by_member.load(self.row.id)
        return standing.tier and Tier.of(standing.tier)

    @strawberry.field(description="Its moves from tier to tier, newest first.")
    async def tier_history(
        self, info: Info, first: First = 20, after: After = None
    ) -> Connection[TierChange]:
        info.context.allow_self_or_staff(self.row.id)
        changes = models.TierChange.filter(member_id=self.row.id)
        found = await page(
            changes.select_related("from_tier", "to_tier"),
            order=("-id",),
            name="tierHistory",
            first=first,
            after=after,
        )
        return connection(found, TierChange.of, total=changes.count)

    @strawberry.field(description="What its tier is decided by.")
    async def metrics(self, info: Info) -> MemberMetrics:
        info.context.allow_self_or_staff(self.row.id)
        standing = await info.context.load.standing_by_member.load(self.row.id)
        return MemberMetrics(spend_minor=Long(standing.spend_minor))


@strawberry.type
class TierQuery:
    @strawberry.field(description="All tiers, lowest first.")
    async def tiers(self) -> list[Tier]:
        return [Tier.of(row) for row in await tiers.ladder()]
