"""Becoming a promoter, and what staff do about promoters, as the API takes it."""

from typing import Annotated

import strawberry
from strawberry import argument

from api import access
from api.accounts import MemberPayload
from api.context import STAFF, Info
from api.errors import mistakes_to
from api.members import Member
from api.nodes import from_id
from members.models import Member as MemberRow
from referral import enrollments
from referral.errors import TooMany

Id = Annotated[strawberry.ID, argument(description="The enrolment.")]


async def _payload(member_id: int) -> MemberPayload:
    return MemberPayload(member=Member.of(await MemberRow.get(id=member_id)))


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
        parent: Annotated[
            strawberry.ID | None,
            argument(
                description="Who gets what rules of level 2 pay: a promoter of the program. "
                "Without one, whoever the member is bound to there."
            ),
        ] = None,
        member: Annotated[
            strawberry.ID | None, argument(description="Whom staff enrol; else the viewer.")
        ] = None,
    ) -> MemberPayload:
        viewer = info.context.signed_in()
        member_id = viewer.member_id
        if member is not None:
            info.context.allow(STAFF)
            member_id = from_id("Member", member, "member")
        parent_id = None if parent is None else from_id("Member", parent, "parent")
        await enrollments.enroll(
            program,
            member_id,
            info.context.now,
            parent_id=parent_id,
            actor_id=viewer.member_id,
        )
        info.context.forget()
        return await _payload(member_id)

    @strawberry.mutation(
        description="A promoter earns nothing in a program from now on, and customers bound to "
        "them are credited as if they were not. Staff.",
        extensions=[access.allow(*STAFF)],
    )
    @mistakes_to(lambda errors: MemberPayload(errors=errors))
    async def enrollment_suspend(
        self,
        info: Info,
        id: Id,
        reason: Annotated[str, argument(description="At most 300 characters; they see it.")],
    ) -> MemberPayload:
        viewer = info.context.signed_in()
        number = from_id("Enrollment", id, "id")
        row = await enrollments.suspend(number, reason, viewer.member_id, info.context.now)
        return MemberPayload(member=Member.of(row))

    @strawberry.mutation(
        description="A suspended promoter earns again from now on. Staff.",
        extensions=[access.allow(*STAFF)],
    )
    @mistakes_to(lambda errors: MemberPayload(errors=errors))
    async def enrollment_resume(self, info: Info, id: Id) -> MemberPayload:
        viewer = info.context.signed_in()
        number = from_id("Enrollment", id, "id")
        row = await enrollments.resume(number, viewer.member_id, info.context.now)
        return MemberPayload(member=Member.of(row))

    @strawberry.mutation(
        description="Gives the customers who are bound to one promoter to another one from now on, "
        "as when an employee leaves; what was credited stays. A customer who is the other "
        "promoter, or brought them, is left. Answers with the other promoter. Staff.",
        extensions=[access.allow(*STAFF)],
    )
    @mistakes_to(lambda errors: MemberPayload(errors=errors))
    async def binding_transfer(  # noqa: PLR0917 - called by name
        self,
        info: Info,
        program: Annotated[str, argument(description="The program's code.")],
        from_: Annotated[strawberry.ID, argument(name="from", description="Who leaves.")],
        to: Annotated[strawberry.ID, argument(description="A promoter of the program.")],
        memo: Annotated[str, argument(description="Why; at most 300 characters.")],
        members: Annotated[
            list[strawberry.ID] | None,
            argument(description="These customers alone, at most 100; all if missing."),
        ] = None,
    ) -> MemberPayload:
        if members is not None and len(members) > enrollments.MOST_MEMBERS:
            raise TooMany(enrollments.MOST_MEMBERS, "members")
        to_id = from_id("Member", to, "to")
        await enrollments.transfer(
            program,
            from_id("Member", from_, "from"),
            to_id,
            memo=memo,
            actor_id=info.context.signed_in().member_id,
            now=info.context.now,
            member_ids=None
            if members is None
            else [from_id("Member", each, "members") for each in members],
        )
        return await _payload(to_id)
