"""Links, touches and who is credited for them, as the API shows it."""

from datetime import datetime, timedelta
from typing import Annotated

import strawberry
from strawberry import argument

from api import access, stats
from api.content import Content
from api.context import Context, Info
from api.errors import UserError, mistakes_to
from api.members import Member
from api.nodes import Node, to_id
from api.programs import Program, RewardRule, program
from api.scalars import Long
from api.stats import LinkStats, Since, Until
from core.errors import Invalid
from members.identity import Viewer
from members.models import Asset, Role
from referral import customers, links, models, touches
from referral.errors import CodeUnknown
from referral.models import ConversionStatus, Verdict

LATE = timedelta(hours=24)  # how far back a client may place a touch

strawberry.enum(ConversionStatus, description="What became of it.")
strawberry.enum(Verdict, description="Why a touch did or did not count; the first that applies.")


async def member_of(info: Info, member_id: int) -> Member:
    """The member with this id, whom something refers to."""
    row = await info.context.load.member_by_id.load(member_id)
    if row is None:
        raise LookupError(f"member {member_id} is referred to and missing")
    return Member.of(row)


@strawberry.type(
    description="A promoter's entrance to a content or an address.", directives=[access.as_parent()]
)
class ReferralLink(Node):
    row: strawberry.Private[models.Link]
    code: str = strawberry.field(description="Nine characters, the last one a check character.")
    created_at: datetime = strawberry.field(description="When it was made.")

    @classmethod
    def of(cls, row: models.Link) -> "ReferralLink":
        return cls(
            id=to_id("ReferralLink", row.id), row=row, code=row.code, created_at=row.created_at
        )

    @strawberry.field(description="What to share.")
    def url(self, info: Info) -> str:
        return f"{info.context.settings.base_url}/r/{self.code}"

    @strawberry.field(description="Who is credited for what comes through it.")
    async def owner(self, info: Info) -> Member:
        return await member_of(info, self.row.owner_id)

    @strawberry.field(description="Under which terms.")
    async def program(self, info: Info) -> Program:
        return await program(info, self.row.program_id)

    @strawberry.field(description="The content it leads to, if readers may see it.")
    async def content(self, info: Info) -> Content | None:
        if self.row.content_id is None:
            return None
        row = await info.context.content(self.row.content_id)
        return row and Content.of(row)

    @strawberry.field(description="What came of it.", extensions=[access.OWNER_OR_STAFF])
    async def stats(self, info: Info, since: Since = None, until: Until = None) -> LinkStats:
        return await stats.of_link(info, self.row.id, since, until)


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
            rule=RewardRule.of(row.rule),
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
        return await member_of(info, self.row.promoter_id)

    @strawberry.field(description="Through which link.")
    def link(self) -> ReferralLink | None:
        return ReferralLink.of(self.row.link) if self.row.link else None

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
        return self.row.touch and self.row.touch.touched_at

    @strawberry.field(description="Which link it was.")
    def link(self) -> ReferralLink | None:
        return ReferralLink.of(self.row.touch.link) if self.row.touch else None

    @strawberry.field(description="Whose link it was.")
    async def promoter(self, info: Info) -> Member | None:
        return await member_of(info, self.row.promoter_id)


@strawberry.input(description="A click that a client without cookies tells of.")
class TouchRecordInput:
    code: str = strawberry.field(description="The link's code, in any case.")
    visitor_id: str = strawberry.field(description="The client's own id, 8 to 64 characters.")
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
        viewer = info.context.viewer
        late = viewer is not None and Role.SERVICE in viewer.roles
        visitor = await customers.report(
            link, visitor, at, member_id=member_id, now=info.context.now, late=late
        )
        return TouchPayload(visitor_id=visitor)


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
