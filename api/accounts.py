"""What members say of themselves, and which roles they are given, as the API shows it."""

from typing import Annotated

import strawberry
from strawberry import UNSET, argument

from api import access
from api.context import Info
from api.errors import UserError, mistakes_to
from api.members import Member
from api.nodes import from_id
from members import identity, roles
from members.models import Role


@strawberry.input(description="What is to be changed; what is left out stays as it is.")
class MemberUpdateInput:
    display_name: str | None = strawberry.field(
        default=UNSET, description="At most 100 characters; it cannot be taken away."
    )
    avatar_url: str | None = strawberry.field(
        default=UNSET,
        description="Begins with https:// or http://, at most 2,000 characters; null for none.",
    )
    email: str | None = strawberry.field(
        default=UNSET,
        description="Unique, whatever its case; null for none, unless there is a password.",
    )


@strawberry.type(description="A member as it is now.", directives=[access.as_parent()])
class MemberPayload:
    member: Member | None = strawberry.field(default=None, description="The member.")
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="What has to be corrected; empty when it worked."
    )


@strawberry.type
class AccountMutation:
    @strawberry.mutation(
        description="Changes what others see of the viewer, and the e-mail address.",
        extensions=[access.SIGNED_IN],
    )
    @mistakes_to(lambda errors: MemberPayload(errors=errors))
    async def member_update(
        self, info: Info, input: Annotated[MemberUpdateInput, argument(description="What.")]
    ) -> MemberPayload:
        changes = {name: value for name, value in vars(input).items() if value is not UNSET}
        row = await identity.update(info.context.signed_in().member_id, changes)
        return MemberPayload(member=Member.of(row))

    @strawberry.mutation(
        description="Gives a member exactly these roles beside MEMBER. Somebody has to stay ADMIN. "
        "A customer's sessions end when a role besides MEMBER and KOC is added.",
        extensions=[access.allow(Role.ADMIN)],
    )
    @mistakes_to(lambda errors: MemberPayload(errors=errors))
    async def member_set_roles(
        self,
        id: Annotated[strawberry.ID, argument(description="Whose.")],
        wanted: Annotated[
            list[Role],
            argument(name="roles", description="All of them; [] for a mere member."),
        ],
    ) -> MemberPayload:
        row = await roles.replace(from_id("Member", id, "id"), wanted)
        return MemberPayload(member=Member.of(row))
