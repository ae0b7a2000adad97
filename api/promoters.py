"""Becoming a promoter, as the API shows it."""

from typing import Annotated

import strawberry
from strawberry import argument

from api import access
from api.accounts import MemberPayload
from api.context import STAFF, Info
from api.errors import mistakes_to
from api.members import Member
from api.nodes import from_id
from members import models
from members.errors import MemberNotFound
from referral import invitations, programs


@strawberry.type
class PromoterMutation:
    @strawberry.mutation(
        description="Makes the viewer a promoter of the program; staff may enrol others. The first "
        "enrolment counts for whoever invited the member; a second one changes nothing.",
        extensions=[access.SIGNED_IN],
    )
    @mistakes_to(lambda errors: MemberPayload(errors=errors))
    async def promoter_enroll(
        self,
        info: Info,
        program: Annotated[str, argument(description="The program's code.")],
        member: Annotated[
            strawberry.ID | None, argument(description="Whom staff enrol; else the viewer.")
        ] = None,
    ) -> MemberPayload:
        member_id = info.context.signed_in().member_id
        if member is not None:
            info.context.allow(STAFF)
            member_id = from_id("Member", member, "member")
        row = await models.Member.get_or_none(id=member_id)
        if row is None:
            raise MemberNotFound("member")
        found = await programs.by_code(program)
        await invitations.enroll(found.id, row, info.context.now)
        return MemberPayload(member=Member.of(row))
