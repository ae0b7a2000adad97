"""How people come in, as the API shows it: joining, and sessions of a shop's customers."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import argument

from api.context import Context, Info
from api.errors import UserError, mistakes_to
from api.members import Member
from members import identity
from members.identity import NewMember, Viewer
from members.models import Role
from referral import registrations


@strawberry.input(description="Somebody who joins.")
class MemberRegisterInput:
    display_name: str = strawberry.field(description="At most 100 characters.")
    email: str | None = strawberry.field(default=None, description="Unique, whatever its case.")
    phone: str | None = strawberry.field(default=None, description="For staff to call.")
    visitor_id: str | None = strawberry.field(
        default=None, description="From the link's redirect: joins its touches to the member."
    )


@strawberry.input(description="A shop's customer.")
class MemberEnsureInput:
    source: str = strawberry.field(description="The shop; at most 40 characters.")
    customer_ref: str = strawberry.field(description="The shop's own name for the customer.")
    display_name: str | None = strawberry.field(
        default=None, description="Of a new member; the customerRef where missing."
    )
    visitor_id: str | None = strawberry.field(
        default=None, description="From the link's redirect: joins its touches to the member."
    )


@strawberry.type(description="A session that was opened.")
class SessionPayload:
    member: Member | None = strawberry.field(default=None, description="Who is signed in now.")
    token: str | None = strawberry.field(
        default=None, description="Send it as `Authorization: Bearer …`; shown once."
    )
    expires_at: datetime | None = strawberry.field(
        default=None, description="When the token stops working."
    )
    visitor_id: str | None = strawberry.field(
        default=None, description="The visitor id to use from now on."
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="What has to be corrected; empty when it worked."
    )

    @classmethod
    def of(cls, entered: registrations.Entered) -> "SessionPayload":
        return cls(
            member=Member.of(entered.member),
            token=entered.session and entered.session.token,
            expires_at=entered.session and entered.session.expires_at,
            visitor_id=entered.visitor,
        )


def _sign_in(context: Context, entered: registrations.Entered) -> SessionPayload:
    """Whoever just came in may see themselves in the same answer."""
    if context.viewer is None:
        context.viewer = Viewer(entered.member.id, identity.expand(()))
    return SessionPayload.of(entered)


@strawberry.type
class SessionMutation:
    @strawberry.mutation(description="Makes an account and joins the visitor's touches to it.")
    @mistakes_to(lambda errors: SessionPayload(errors=errors))
    async def member_register(
        self,
        info: Info,
        input: Annotated[MemberRegisterInput, argument(description="Who joins.")],
    ) -> SessionPayload:
        new = NewMember(input.display_name, input.email, input.phone)
        entered = await registrations.register(new, input.visitor_id, info.context.now)
        return _sign_in(info.context, entered)

    @strawberry.mutation(
        description="Finds or makes the member behind a shop's customer, and a token for its "
        "front-end; none for somebody with a role besides MEMBER and KOC. Role SERVICE."
    )
    @mistakes_to(lambda errors: SessionPayload(errors=errors))
    async def member_ensure(
        self,
        info: Info,
        input: Annotated[MemberEnsureInput, argument(description="Which customer.")],
    ) -> SessionPayload:
        info.context.allow({Role.SERVICE})
        new = NewMember(input.display_name or input.customer_ref)
        entered = await registrations.ensure(
            input.source, input.customer_ref, new, input.visitor_id, info.context.now
        )
        return SessionPayload.of(entered)
