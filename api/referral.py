"""Links, orders and who is credited for them, as the API shows it."""

from datetime import datetime, timedelta
from typing import Annotated

import strawberry
from strawberry import argument

from api import access
from api.context import STAFF, Context, Info
from api.errors import UserError, mistakes_to
from api.links import ReferralLink
from api.members import Member
from api.nodes import Node, to_id
from api.scalars import Long
from core.errors import Invalid
from members.identity import Viewer
from members.models import Asset, Role
from referral import conversions, links, models, touches
from referral.errors import CodeUnknown
from referral.models import ConversionStatus, ConversionType, Verdict

LATE = timedelta(hours=24)  # how far back a client may place a touch

strawberry.enum(ConversionType, description="What happened.")
strawberry.enum(ConversionStatus, description="What became of it.")
strawberry.enum(Verdict, description="Why a touch did or did not count; the first that applies.")


@strawberry.type(description="Terms under which links earn.", directives=[access.as_parent()])
class Program(Node):
    code: str = strawberry.field(description="Its name for programs; unique.")
    name: str = strawberry.field(description="Its name for people.")
    window_days: int = strawberry.field(
        description="How many times 24 hours a touch counts, both ends included."
    )
    currency: str = strawberry.field(description="ISO 4217.")

    @classmethod
    def of(cls, row: models.Program) -> "Program":
        return cls(
            id=to_id("Program", row.id),
            code=row.code,
            name=row.name,
            window_days=row.window_days,
            currency=row.currency,
        )


async def program(info: Info, program_id: int) -> Program:
    """The program with this id."""
    row = await info.context.load.program_by_id.load(program_id)
    if row is None:
        raise LookupError(f"program {program_id} is referred to and missing")
    return Program.of(row)


async def _member(info: Info, member_id: int) -> Member:
    row = await info.context.load.member_by_id.load(member_id)
    if row is None:
        raise LookupError(f"member {member_id} is referred to and missing")
    return Member.of(row)


@strawberry.type(
    description="What a program pays for a kind of conversion.", directives=[access.as_parent()]
)
class RewardRule:
    version: int = strawberry.field(description="Rules never change; a new rate is a new version.")
    on: ConversionType = strawberry.field(description="What it rewards.")
    asset: Asset = strawberry.field(description="What it pays in.")
    rate_bps: int | None = strawberry.field(
        description="Of the order's amount, in hundredths of a percent."
    )


@strawberry.type(
    description="What a promoter gets for a conversion, at the rate of its day.",
    directives=[access.as_parent()],
)
class Commission(Node):
    asset: Asset = strawberry.field(description="What it is counted in.")
    amount: Long = strawberry.field(description="What was earned, in minor units or points.")
    reversed: Long = strawberry.field(description="How much of it refunds have taken back.")
    rule: RewardRule = strawberry.field(description="The rule that was in force.")

    @classmethod
    def of(cls, row: models.Commission) -> "Commission":
        return cls(
            id=to_id("Commission", row.id),
            asset=row.asset,
            amount=Long(row.amount),
            reversed=Long(row.reversed),
            rule=RewardRule(
                version=row.rule.version,
                on=row.rule.on,
                asset=row.rule.asset,
                rate_bps=row.rate_bps,
            ),
        )


@strawberry.type(description="Who brought a conversion.", directives=[access.as_parent()])
class Attribution:
    row: strawberry.Private[models.Attribution]
    level: int = strawberry.field(description="1 for whoever brought it.")
    weight_ppm: int = strawberry.field(description="Their share in parts per million.")

    @strawberry.field(description="Under which terms.")
    async def program(self, info: Info) -> Program:
        return await program(info, self.row.program_id)

    @strawberry.field(description="Who is credited.")
    async def promoter(self, info: Info) -> Member:
        return await _member(info, self.row.promoter_id)

    @strawberry.field(description="Through which link.")
    def link(self) -> ReferralLink | None:
        return ReferralLink.of(self.row.link)

    @strawberry.field(description="What they get for it.")
    async def commissions(self) -> list[Commission]:
        found = models.Commission.filter(
            conversion_id=self.row.conversion_id,
            program_id=self.row.program_id,
            promoter_id=self.row.promoter_id,
            level=self.row.level,
        )
        return [Commission.of(row) for row in await found.order_by("id").select_related("rule")]


@strawberry.type(
    description="A touch that was looked at, and why it did or did not count.",
    directives=[access.as_parent()],
)
class TouchVerdict:
    row: strawberry.Private[models.TouchVerdict]
    verdict: Verdict = strawberry.field(description="The first reason that applies.")
    detail: str = strawberry.field(description="The reason in words.")

    @strawberry.field(description="The program it was looked at in.")
    async def program(self, info: Info) -> Program:
        return await program(info, self.row.program_id)

    @strawberry.field(description="When the link was clicked.")
    def touched_at(self) -> datetime | None:
        return self.row.touch.touched_at

    @strawberry.field(description="Which link it was.")
    def link(self) -> ReferralLink | None:
        return ReferralLink.of(self.row.touch.link)

    @strawberry.field(description="Whose link it was.")
    async def promoter(self, info: Info) -> Member | None:
        return await _member(info, self.row.touch.link.owner_id)


@strawberry.type(
    description="An order or a refund, and what was decided about it.",
    directives=[access.as_parent()],
)
class Conversion(Node):
    row: strawberry.Private[models.Conversion]
    type: ConversionType = strawberry.field(description="What happened.")
    source: str = strawberry.field(description="The shop that told it.")
    external_id: str = strawberry.field(description="The shop's own id for it.")
    amount_minor: Long = strawberry.field(description="In minor units.")
    refunded_minor: Long = strawberry.field(
        description="Of an order: what was refunded, in minor units; never above its amount."
    )
    occurred_at: datetime = strawberry.field(description="When it happened, as the shop says.")
    status: ConversionStatus = strawberry.field(description="What became of it.")

    @classmethod
    def of(cls, row: models.Conversion) -> "Conversion":
        return cls(
            id=to_id("Conversion", row.id),
            row=row,
            type=row.type,
            source=row.source,
            external_id=row.external_id,
            amount_minor=Long(row.amount_minor),
            refunded_minor=Long(row.refunded_minor),
            occurred_at=row.occurred_at,
            status=row.status,
        )

    @strawberry.field(description="The customer, once known.")
    async def member(self, info: Info) -> Member | None:
        return None if self.row.member_id is None else await _member(info, self.row.member_id)

    @strawberry.field(description="Of a refund: its order, once that has arrived.")
    async def order(self) -> "Conversion | None":
        row = self.row.order_id and await models.Conversion.get(id=self.row.order_id)
        return Conversion.of(row) if row else None

    @strawberry.field(description="Who brought it.")
    async def attributions(self) -> list[Attribution]:
        found = models.Attribution.filter(conversion_id=self.row.id).order_by("id")
        return [
            Attribution(row=row, level=row.level, weight_ppm=row.weight_ppm)
            for row in await found.select_related("link")
        ]

    @strawberry.field(description="Every touch that was looked at, in time order, and why.")
    async def explanation(self) -> list[TouchVerdict]:
        found = models.TouchVerdict.filter(conversion_id=self.row.id).order_by("id")
        return [
            TouchVerdict(row=row, verdict=row.verdict, detail=row.detail)
            for row in await found.select_related("touch__link")
        ]


@strawberry.type
class ReferralQuery:
    @strawberry.field(
        description="A conversion by the shop's own id. Staff, the service that recorded it, and "
        "an API key of its source.",
        extensions=[access.allow(*STAFF, Role.SERVICE)],
    )
    async def conversion(
        self,
        info: Info,
        source: Annotated[str, argument(description="The shop.")],
        external_id: Annotated[str, argument(description="The shop's own id for it.")],
        type: Annotated[
            ConversionType, argument(description="Each type has ids of its own.")
        ] = ConversionType.ORDER,
    ) -> Conversion | None:
        viewer = info.context.signed_in()
        row = await conversions.find(type, source, external_id)
        return Conversion.of(row) if row and _may_see(viewer, row) else None


@strawberry.input(description="A click that a client without cookies tells of.")
class TouchRecordInput:
    code: str = strawberry.field(description="The link's code, in any case.")
    visitor_id: str = strawberry.field(description="The client's own id, 8 to 64 characters.")
    channel: str | None = strawberry.field(
        default=None, description="Where the link was met; at most 40 characters."
    )
    occurred_at: datetime | None = strawberry.field(
        default=None,
        description="Never in the future; at most 24 hours back except for SERVICE. Now if "
        "missing.",
    )


@strawberry.type(description="A click that was recorded.", directives=[access.as_parent()])
class TouchPayload:
    visitor_id: str | None = strawberry.field(
        default=None, description="The visitor id to use from now on."
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="What has to be corrected; empty when it worked."
    )


@strawberry.type
class ReferralMutation:
    @strawberry.mutation(
        description="Records a click on a link, for clients without cookies (mini-programs). A "
        "member's token joins the visitor to the member.",
        extensions=[access.EVERYBODY],
    )
    @mistakes_to(lambda errors: TouchPayload(errors=errors))
    async def touch_record(
        self, info: Info, input: Annotated[TouchRecordInput, argument(description="The click.")]
    ) -> TouchPayload:
        link = await links.find(input.code)
        if link is None:
            raise CodeUnknown
        visitor = touches.check_visitor(input.visitor_id)
        at = _touched_at(info.context, input.occurred_at)
        member_id = _visiting_member(info.context.viewer)
        now = info.context.now
        channel = links.checked_channel(input.channel)
        visitor = await touches.report(link, visitor, at, member_id, now, channel=channel)
        return TouchPayload(visitor_id=visitor)


def _may_see(viewer: Viewer, row: models.Conversion) -> bool:
    """Staff all, a service what it recorded and what is of the sources that its key names."""
    named = viewer.sources is not None and row.source in viewer.sources
    return not viewer.roles.isdisjoint(STAFF) or named or row.recorded_by_id == viewer.member_id


def _touched_at(context: Context, occurred_at: datetime | None) -> datetime:
    if occurred_at is None:
        return context.now
    service = context.viewer is not None and Role.SERVICE in context.viewer.roles
    if occurred_at > context.now:
        raise Invalid("A touch cannot lie in the future.", "occurredAt")
    if not service and occurred_at < context.now - LATE:
        raise Invalid("A touch may lie at most 24 hours back.", "occurredAt")
    return occurred_at


def _visiting_member(viewer: Viewer | None) -> int | None:
    """The member whose visit it is: a service speaks of others, not of itself."""
    return None if viewer is None or Role.SERVICE in viewer.roles else viewer.member_id
