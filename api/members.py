"""People as the API shows them."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import argument

from api import access
from api.context import STAFF, Info
from api.enrollments import MemberReferral
from api.errors import Forbidden
from api.ledger import MemberLedger
from api.nodes import After, Connection, First, Node, connection, find_id, to_id
from api.sharing import MemberLinks
from api.tiers import MemberTiers
from members import directory, identity, models
from members.models import Role


@strawberry.type(
    description="Somebody with an account. Others than the member itself and staff see `id`, "
    "`displayName` and `avatarUrl`, a promoter also an invitee's `tier`; anything else is "
    "FORBIDDEN."
)
class Member(MemberTiers, MemberLedger, MemberLinks, MemberReferral, Node):
    id: strawberry.ID = strawberry.field(
        description="Opaque, unique over all types.", extensions=[access.EVERYBODY]
    )
    display_name: str = strawberry.field(
        description="What others see; at most 100 characters.", extensions=[access.EVERYBODY]
    )
    avatar_url: str | None = strawberry.field(
        description="A picture, for everybody.", extensions=[access.EVERYBODY]
    )

    @classmethod
    def of(cls, row: models.Member) -> "Member":
        return cls(
            id=to_id("Member", row.id),
            row=row,
            display_name=row.display_name,
            avatar_url=row.avatar_url,
        )

    @strawberry.field(description="Unique, whatever its case.", extensions=[access.SELF_OR_STAFF])
    def email(self) -> str | None:
        return self.row.email

    @strawberry.field(description="As it was given.", extensions=[access.SELF_OR_STAFF])
    def phone(self) -> str | None:
        return self.row.phone

    @strawberry.field(
        description="What it may do; MEMBER is everybody.", extensions=[access.SELF_OR_STAFF]
    )
    async def roles(self) -> list[Role]:
        held = {each.role for each in await models.MemberRole.filter(member_id=self.row.id)}
        return sorted({Role.MEMBER, *held}, key=list(Role).index)

    @strawberry.field(description="When the account was made.", extensions=[access.SELF_OR_STAFF])
    def created_at(self) -> datetime:
        return self.row.created_at


@strawberry.type
class MemberQuery:
    @strawberry.field(
        description="Who is signed in; null for nobody.", extensions=[access.EVERYBODY]
    )
    async def viewer(self, info: Info) -> Member | None:
        if info.context.viewer is None:
            return None
        row = await info.context.load.member_by_id.load(info.context.viewer.member_id)
        return row and Member.of(row)

    @strawberry.field(
        description="The member behind a shop's customer.", extensions=[access.allow(Role.SERVICE)]
    )
    async def customer(
        self,
        info: Info,
        source: Annotated[str, argument(description="The shop.")],
        customer_ref: Annotated[str, argument(description="The shop's own name for them.")],
    ) -> Member | None:
        if not info.context.signed_in().speaks_for(source):
            raise Forbidden(f"This API key may not speak for {source}.")
        row = await identity.customer(source, customer_ref)
        return row and Member.of(row)

    @strawberry.field(
        description="Members, the newest first: those for whom all of the arguments hold.",
        extensions=[access.allow(*STAFF)],
    )
    async def members(
        self,
        search: Annotated[
            str | None,
            argument(
                description="A piece of the name, e-mail or phone, whatever its case and width; at "
                "most 200 characters. Pieces between blanks must all occur. Dashes, plus signs and "
                "brackets are not looked at."
            ),
        ] = None,
        tier: Annotated[
            str | None, argument(description="The code of the tier they are in.")
        ] = None,
        role: Annotated[
            Role | None, argument(description="One they have themselves; MEMBER is everybody.")
        ] = None,
        first: First = 20,
        after: After = None,
    ) -> Connection[Member]:
        wanted = directory.Wanted(search, tier, role)
        found = await directory.page(wanted, first, after)
        return connection(found, Member.of, total=lambda: directory.count(wanted))

    @strawberry.field(description="A member by its id.", extensions=[access.allow(*STAFF)])
    async def member(
        self, info: Info, id: Annotated[strawberry.ID, argument(description="Whose.")]
    ) -> Member | None:
        number = find_id("Member", id)
        row = None if number is None else await info.context.load.member_by_id.load(number)
        return row and Member.of(row)
