"""Who is a promoter of what, and who brought whom, as the API shows it."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry
from strawberry import argument

from api import access, stats
from api.context import Info
from api.nodes import After, Connection, First, Node, to_id
from api.programs import Program, program
from api.stats import LinkStats, Since, Until
from members.models import Member as MemberRow
from referral import models
from referral.models import ConversionType

if TYPE_CHECKING:
    from api.conversions import Conversion, ConversionWhere
    from api.insight import Invitee
    from api.members import Member

AnyMember = Annotated["Member", strawberry.lazy("api.members")]
AnyConversion = Annotated["Conversion", strawberry.lazy("api.conversions")]
AnyInvitee = Annotated["Invitee", strawberry.lazy("api.insight")]


async def _member(info: Info, member_id: int) -> AnyMember:
    from api.members import Member  # noqa: PLC0415 - which is made of what is here

    row = await info.context.load.member_by_id.load(member_id)
    if row is None:
        raise LookupError(f"member {member_id} is referred to and missing")
    return Member.of(row)


@strawberry.type(
    description="That a member is a promoter of a program.", directives=[access.as_parent()]
)
class Enrollment(Node):
    row: strawberry.Private[models.Enrollment]
    suspension: strawberry.Private[models.Suspension | None]
    active: bool = strawberry.field(description="Whether it earns; false while suspended.")
    reason: str | None = strawberry.field(description="Why it is suspended.")
    created_at: datetime = strawberry.field(description="Since when.")

    @classmethod
    def of(cls, row: models.Enrollment, suspension: models.Suspension | None) -> "Enrollment":
        return cls(
            id=to_id("Enrollment", row.id),
            row=row,
            suspension=suspension,
            active=suspension is None,
            reason=suspension and suspension.reason,
            created_at=row.created_at,
        )

    @strawberry.field(description="Under which terms.")
    async def program(self, info: Info) -> Program:
        return await program(info, self.row.program_id)

    @strawberry.field(description="The promoter.")
    async def member(self, info: Info) -> AnyMember:
        return await _member(info, self.row.member_id)

    @strawberry.field(description="Who gets what rules of level 2 pay.")
    async def parent(self, info: Info) -> AnyMember | None:
        return None if self.row.parent_id is None else await _member(info, self.row.parent_id)

    @strawberry.field(
        description="What came of all its links, and of the customers bound to the promoter."
    )
    async def stats(self, since: Since = None, until: Until = None) -> LinkStats:
        return await stats.of_promoter(self.row.program_id, self.row.member_id, since, until)


async def enrollments(member_id: int) -> list[Enrollment]:
    """What the member is a promoter of, oldest first."""
    return await shown(await models.Enrollment.filter(member_id=member_id).order_by("id"))


async def shown(rows: Sequence[models.Enrollment]) -> list[Enrollment]:
    """The enrolments with why they are suspended, where they are."""
    suspended = {
        each.enrollment_id: each
        for each in await models.Suspension.filter(
            enrollment_id__in=[row.id for row in rows], resumed_at__isnull=True
        )
    }
    return [Enrollment.of(row, suspended.get(row.id)) for row in rows]


@strawberry.type
class MemberReferral:
    """The part of a member that is about who brought whom."""

    row: strawberry.Private[MemberRow]

    @strawberry.field(
        description="What it is a promoter of, oldest first.", extensions=[access.SELF_OR_STAFF]
    )
    async def enrollments(self) -> list[Enrollment]:
        return await enrollments(self.row.id)

    @strawberry.field(
        description="Everything in which a touch, code or binding of this promoter was looked at, "
        "newest first, with what was decided about those; staff see all of it.",
        extensions=[access.SELF_OR_STAFF],
    )
    async def conversions(
        self,
        info: Info,
        where: Annotated[
            Annotated["ConversionWhere", strawberry.lazy("api.conversions")] | None,
            argument(description="Narrows the list."),
        ] = None,
        first: First = 20,
        after: After = None,
    ) -> Connection[AnyConversion]:
        from api import conversions  # noqa: PLC0415 - a conversion has members

        return await conversions.of_promoter(info.context, self.row.id, where, first, after)

    @strawberry.field(
        description="Whose registration was attributed to it, the newest first.",
        extensions=[access.SELF_OR_STAFF],
    )
    async def invitees(
        self, info: Info, first: First = 20, after: After = None
    ) -> Connection[AnyInvitee]:
        from api import insight  # noqa: PLC0415 - an invitee is a member

        return await insight.invitees_of(info.context, self.row.id, first, after)

    @strawberry.field(
        description="To whom its registration was attributed; of several, the largest share.",
        extensions=[access.SELF_OR_STAFF],
    )
    async def referrer(self, info: Info) -> AnyMember | None:
        found = models.Attribution.filter(
            level=1, conversion__type=ConversionType.REGISTRATION, conversion__member_id=self.row.id
        )
        largest = await found.order_by("-weight_ppm", "id").first()
        return largest and await _member(info, largest.promoter_id)
