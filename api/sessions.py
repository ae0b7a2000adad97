"""How people come in and go, as the API shows it: joining, signing in, shops' customers."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import argument

from api import access, clients
from api.context import Context, Info
from api.errors import RateLimited, UserError, mistakes_to, user_error
from api.members import Member
from core.errors import Invalid
from members import identity
from members.errors import RegisteredAtForbidden, TooManyAttempts
from members.identity import NewMember, Viewer
from members.models import Role
from referral import registrations

VISITOR = "From the link's redirect: joins its touches to the member."
CODE = "Of a link, as it was typed or scanned, in any case."


@strawberry.input(description="Somebody who joins.")
class MemberRegisterInput:
    display_name: str = strawberry.field(description="At most 100 characters.")
    email: str | None = strawberry.field(default=None, description="Unique, whatever its case.")
    phone: str | None = strawberry.field(default=None, description="For staff to call.")
    password: str | None = strawberry.field(
        default=None, description="8 to 128 characters, to sign in with beside the e-mail address."
    )
    referral_code: str | None = strawberry.field(default=None, description=CODE)
    visitor_id: str | None = strawberry.field(default=None, description=VISITOR)
    occurred_at: datetime | None = strawberry.field(
        default=None,
        description="When an account was made that SERVICE brings from elsewhere; never in the "
        "future. Now if missing.",
    )


@strawberry.input(description="Somebody who has a password.")
class SignInInput:
    email: str = strawberry.field(description="In any case.")
    password: str = strawberry.field(description="As it was set.")
    visitor_id: str | None = strawberry.field(default=None, description=VISITOR)


@strawberry.input(description="A shop's customer.")
class MemberEnsureInput:
    source: str = strawberry.field(description="The shop; at most 40 characters.")
    customer_ref: str = strawberry.field(description="The shop's own name for the customer.")
    display_name: str | None = strawberry.field(
        default=None, description="Of a new member; the customerRef where missing."
    )
    email: str | None = strawberry.field(
        default=None,
        description="Of a new member; unique, whatever its case. Nobody is found by it.",
    )
    visitor_id: str | None = strawberry.field(default=None, description=VISITOR)
    referral_code: str | None = strawberry.field(
        default=None, description=f"{CODE} Of a new member."
    )


@strawberry.type(description="A session that was opened.", directives=[access.as_parent()])
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
        default_factory=list,
        description="What has to be corrected; with a token beside it, the session was opened "
        "all the same.",
    )

    @classmethod
    def of(cls, entered: registrations.Entered) -> "SessionPayload":
        return cls(
            member=Member.of(entered.member),
            token=entered.session and entered.session.token,
            expires_at=entered.session and entered.session.expires_at,
            visitor_id=entered.visitor,
            errors=[user_error(mistake) for mistake in entered.mistakes],
        )


def signed_in(context: Context, entered: registrations.Entered) -> SessionPayload:
    """Whoever just came in may see themselves in the same answer."""
    context.viewer = Viewer(entered.member.id, identity.expand(()))
    return SessionPayload.of(entered)


@strawberry.type
class SessionMutation:
    @strawberry.mutation(
        description="Makes an account, joins the visitor's touches to it and signs it in. With an "
        "unknown `referralCode` nothing is made, so that it can be typed again.",
        extensions=[access.EVERYBODY],
    )
    @mistakes_to(lambda errors: SessionPayload(errors=errors))
    async def member_register(
        self,
        info: Info,
        input: Annotated[MemberRegisterInput, argument(description="Who joins.")],
    ) -> SessionPayload:
        registered_at = _registered_at(info.context, input.occurred_at)
        entered = await registrations.register(
            NewMember(input.display_name, input.email, input.phone, registered_at),
            input.visitor_id,
            info.context.now,
            password=input.password,
            code=input.referral_code,
        )
        if info.context.viewer is None:
            return signed_in(info.context, entered)
        return SessionPayload.of(entered)

    @strawberry.mutation(
        description="Opens a session with e-mail address and password; which of them is wrong is "
        "not said. After 10 failures of an account, or 100 of a client's address, in 15 minutes "
        "the request is refused as RATE_LIMITED.",
        extensions=[access.EVERYBODY],
    )
    @mistakes_to(lambda errors: SessionPayload(errors=errors))
    async def sign_in(
        self, info: Info, input: Annotated[SignInInput, argument(description="Who signs in.")]
    ) -> SessionPayload:
        try:
            entered = await registrations.sign_in(
                input.email,
                input.password,
                input.visitor_id,
                info.context.now,
                address=clients.address(),
                secret=info.context.settings.signing_key(),
            )
        except TooManyAttempts as error:
            raise RateLimited("Too many attempts to sign in; wait.", error.wait) from error
        return signed_in(info.context, entered)

    @strawberry.mutation(
        description="Ends this session; false where there was none to end, as with an API key.",
        extensions=[access.EVERYBODY],
    )
    async def sign_out(self, info: Info) -> bool:
        viewer = info.context.viewer
        if viewer is None or viewer.session_id is None:
            return False
        return await identity.close_session(viewer.session_id)

    @strawberry.mutation(
        description="Finds or makes the member behind a shop's customer, and a token for its "
        "front-end; none for somebody with a role besides MEMBER and KOC.",
        extensions=[access.allow(Role.SERVICE)],
    )
    @mistakes_to(lambda errors: SessionPayload(errors=errors))
    async def member_ensure(
        self,
        info: Info,
        input: Annotated[MemberEnsureInput, argument(description="Which customer.")],
    ) -> SessionPayload:
        info.context.signed_in().check_source(input.source)
        entered = await registrations.ensure(
            input.source,
            input.customer_ref,
            NewMember(input.display_name or input.customer_ref, input.email),
            input.visitor_id,
            info.context.now,
            code=input.referral_code,
        )
        return SessionPayload.of(entered)


def _registered_at(context: Context, occurred_at: datetime | None) -> datetime | None:
    if occurred_at is None:
        return None
    if context.viewer is None or Role.SERVICE not in context.viewer.roles:
        raise RegisteredAtForbidden
    if occurred_at > context.now:
        raise Invalid("A registration cannot lie in the future.", "occurredAt")
    return occurred_at
