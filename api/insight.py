"""What a program brings and by whom, and what came of invitees, as the API shows it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import argument

from api import access
from api.content import Content
from api.context import STAFF, Context, Info
from api.errors import Forbidden, Refusal
from api.members import Member
from api.nodes import Connection, First, connection
from api.programs import Program, program
from api.referral import member_of
from api.scalars import Long
from api.stats import Since, Until
from core import paging
from core.errors import NotFound
from members.models import Invitation
from referral import insight, invitees, models, programs
from referral.insight import Place, Stage
from referral.invitees import Brought

Code = Annotated[str, argument(description="The program's code.")]


@strawberry.type(description="Somebody's place in a program.", directives=[access.as_parent()])
class LeaderboardRow:
    place: strawberry.Private[Place]
    rank: int = strawberry.field(description="1 for who was credited most.")
    clicks: int = strawberry.field(description="Clicks of people on their links.")
    registrations: int = strawberry.field(description="Accounts attributed to them.")
    orders: int = strawberry.field(description="Paid orders attributed to them, also in part.")
    revenue_minor: Long = strawberry.field(description="Their share of what was paid and kept.")
    credited_minor: Long = strawberry.field(
        description="Commissions in cash at level 1, less what was taken back."
    )

    @classmethod
    def of(cls, place: Place) -> "LeaderboardRow":
        return cls(
            place=place,
            rank=place.rank,
            clicks=place.figures["clicks"],
            registrations=place.figures["registrations"],
            orders=place.figures["orders"],
            revenue_minor=Long(place.figures["revenue_minor"]),
            credited_minor=Long(place.figures["credited_minor"]),
        )

    @strawberry.field(description="The promoter.")
    async def promoter(self, info: Info) -> Member:
        return await member_of(info, self.place.promoter_id)


@strawberry.type(
    description="How far people came by the links with one channel and content. The row without "
    "either also has what came by bindings.",
    directives=[access.as_parent()],
)
class FunnelRow:
    stage: strawberry.Private[Stage]
    channel: str | None = strawberry.field(description="The links' channel.")
    clicks: int = strawberry.field(description="Clicks of people.")
    visits: int = strawberry.field(
        description="Clicks of one visitor on one link within 30 minutes of the first are one."
    )
    registrations: int = strawberry.field(description="Accounts attributed to the links.")
    orders: int = strawberry.field(description="Paid orders attributed to them.")
    credited: int = strawberry.field(
        description="Of the orders, those that earned something which was not all taken back."
    )

    @classmethod
    def of(cls, stage: Stage) -> "FunnelRow":
        return cls(
            stage=stage,
            channel=stage.channel,
            clicks=stage.figures["clicks"],
            visits=stage.figures["visits"],
            registrations=stage.figures["registrations"],
            orders=stage.figures["orders"],
            credited=stage.figures["credited"],
        )

    @strawberry.field(description="The content they lead to, if the viewer may see it.")
    async def content(self, info: Info) -> Content | None:
        if self.stage.content_id is None:
            return None
        row = await info.context.content(self.stage.content_id)
        return row and Content.of(row)


@strawberry.type(
    description="A member whose registration was attributed to a promoter, and what came of it.",
    directives=[access.as_parent()],
)
class Invitee:
    row: strawberry.Private[Invitation]
    brought: strawberry.Private[Brought]
    bound: bool = strawberry.field(description="Whether it is bound to the promoter now.")
    registered_at: datetime = strawberry.field(description="When it registered.")
    first_order_at: datetime | None = strawberry.field(
        description="When it first paid for an order; null where all of it was refunded."
    )
    credited_minor: Long = strawberry.field(
        description="What the promoter got for it in all programs: commissions in cash at level "
        "1, less what was taken back."
    )

    @strawberry.field(description="The invitee; the promoter sees its public fields and its tier.")
    async def member(self, info: Info) -> Member:
        return await member_of(info, self.row.invitee_id)

    @strawberry.field(description="In which program; of several the first.")
    async def program(self, info: Info) -> Program:
        return await program(info, self.brought.program_id)


async def invitees_of(
    context: Context, promoter_id: int, first: int, after: str | None
) -> Connection[Invitee]:
    """The promoter's invitees, the newest first."""
    found = Invitation.filter(inviter_id=promoter_id)
    page = await paging.page(
        found, order=("-id",), name=f"invitees:{promoter_id}", first=first, after=after
    )
    of = await invitees.brought(
        promoter_id, [edge.node.invitee_id for edge in page.edges], context.now
    )

    def shown(row: Invitation) -> Invitee:
        brought = of[row.invitee_id]
        return Invitee(
            row=row,
            brought=brought,
            bound=brought.bound,
            registered_at=row.registered_at,
            first_order_at=row.bought_at,
            credited_minor=Long(brought.credited_minor),
        )

    return connection(page, shown, total=found.count)


async def _program(code: str) -> models.Program:
    try:
        return await programs.by_code(code)
    except NotFound as error:
        raise Refusal("There is no program with this code.") from error


async def _allow_promoter_or_staff(context: Context, program_id: int) -> None:
    viewer = context.signed_in()
    if viewer.roles.isdisjoint(STAFF) and not await insight.is_promoter(
        program_id, viewer.member_id
    ):
        raise Forbidden("Only promoters of the program and staff may see this.")


@strawberry.type
class InsightQuery:
    @strawberry.field(
        description="The promoters of a program through whom anything came, by what they were "
        "credited in that time, then by revenue, orders, registrations and clicks. For promoters "
        "of the program, also suspended ones, and staff.",
        extensions=[access.SIGNED_IN],
    )
    async def leaderboard(
        self,
        info: Info,
        program: Code,
        since: Since = None,
        until: Until = None,
        first: First = 20,
    ) -> list[LeaderboardRow]:
        paging.start("leaderboard", first, None, [])
        row = await _program(program)
        await _allow_promoter_or_staff(info.context, row.id)
        places: Sequence[Place] = await insight.leaderboard(
            row.id, insight.span(since, until), first
        )
        return [LeaderboardRow.of(place) for place in places]

    @strawberry.field(
        description="From the click to the credit, by channel and content, the most clicked "
        "first. Staff.",
        extensions=[access.allow(*STAFF)],
    )
    async def funnel(
        self, program: Code, since: Since = None, until: Until = None
    ) -> list[FunnelRow]:
        row = await _program(program)
        stages = await insight.funnel(row.id, insight.span(since, until))
        return [FunnelRow.of(stage) for stage in stages]
