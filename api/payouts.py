"""Pay-outs as the API shows them to finance, and to whom they go."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import argument

from api import access
from api.context import Info
from api.errors import Refusal, UserError, mistakes_to
from api.members import Member
from api.nodes import After, Connection, First, Node, connection, from_id, to_id
from api.programs import Program
from api.scalars import Long
from core.errors import Mistake
from core.paging import page
from members.models import Role
from referral import models, payouts
from referral.models import PayoutStatus

strawberry.enum(PayoutStatus, description="What became of a pay-out.")


@strawberry.type(description="Money that is sent to a promoter.", directives=[access.as_parent()])
class Payout(Node):
    row: strawberry.Private[models.Payout]
    amount_minor: Long = strawberry.field(description="In minor units.")
    currency: str = strawberry.field(description="ISO 4217.")
    status: PayoutStatus = strawberry.field(description="What became of it.")
    reference: str | None = strawberry.field(description="The bank's.")
    failure_reason: str | None = strawberry.field(description="Of a FAILED one.")
    created_at: datetime = strawberry.field(description="When it was claimed.")
    settled_at: datetime | None = strawberry.field(description="When it was sent, or failed.")

    @classmethod
    def of(cls, row: models.Payout) -> "Payout":
        return cls(
            id=to_id("Payout", row.id),
            row=row,
            amount_minor=Long(row.amount_minor),
            currency=row.currency,
            status=row.status,
            reference=row.reference,
            failure_reason=row.failure_reason,
            created_at=row.created_at,
            settled_at=row.settled_at,
        )

    @strawberry.field(description="Under which terms it was earned.")
    async def program(self, info: Info) -> Program:
        row = await info.context.load.program_by_id.load(self.row.program_id)
        if row is None:
            raise LookupError(f"program {self.row.program_id} is referred to and missing")
        return Program.of(row)

    @strawberry.field(description="To whom it goes.")
    async def member(self, info: Info) -> Member:
        row = await info.context.load.member_by_id.load(self.row.member_id)
        if row is None:
            raise LookupError(f"member {self.row.member_id} is referred to and missing")
        return Member.of(row)


@strawberry.type(description="What a run would do now.", directives=[access.as_parent()])
class PayoutPreview:
    count: int = strawberry.field(description="How many members would be paid.")
    total_minor: Long = strawberry.field(description="What they would get together.")
    without_payee: int = strawberry.field(
        description="How many more have enough, and have not said where to."
    )


@strawberry.type(description="Pay-outs.", directives=[access.as_parent()])
class PayoutPayload:
    payouts: list[Payout] = strawberry.field(
        default_factory=list, description="Those that were made or settled."
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="What has to be corrected; empty when it worked."
    )


@strawberry.type
class PayoutQuery:
    @strawberry.field(
        description="Pay-outs, the newest first.", extensions=[access.allow(Role.FINANCE)]
    )
    async def payouts(
        self,
        status: Annotated[PayoutStatus | None, argument(description="Those in it alone.")] = None,
        first: First = 20,
        after: After = None,
    ) -> Connection[Payout]:
        query = models.Payout.all()
        if status is not None:
            query = query.filter(status=status)
        name = f"payouts:{status or ''}"
        found = await page(query, order=("-id",), name=name, first=first, after=after)
        return connection(found, Payout.of, total=query.count)

    @strawberry.field(
        description="What `payoutRun` would do now; writes nothing.",
        extensions=[access.allow(Role.FINANCE)],
    )
    async def payout_preview(
        self, program: Annotated[str, argument(description="The program's code.")]
    ) -> PayoutPreview:
        try:
            found = await payouts.preview(program)
        except Mistake as mistake:  # a query has no payload for it
            raise Refusal(mistake.message) from mistake
        return PayoutPreview(
            count=found.count,
            total_minor=Long(found.total_minor),
            without_payee=found.without_payee,
        )


@strawberry.type
class PayoutMutation:
    @strawberry.mutation(
        description="Claims what is available in cash of everybody who has the program's minimum "
        "and a payee, one PROCESSING pay-out each. Claims nothing twice, whoever else runs it.",
        extensions=[access.allow(Role.FINANCE)],
    )
    @mistakes_to(lambda errors: PayoutPayload(errors=errors))
    async def payout_run(
        self, info: Info, program: Annotated[str, argument(description="The program's code.")]
    ) -> PayoutPayload:
        viewer = info.context.signed_in()
        made = await payouts.run(program, viewer.member_id, info.context.now)
        return PayoutPayload(payouts=[Payout.of(row) for row in made])

    @strawberry.mutation(
        description="Says what the bank did: PROCESSING becomes SENT or FAILED, and a SENT one may "
        "still become FAILED, which makes its amount available again. The same again changes "
        "nothing.",
        extensions=[access.allow(Role.FINANCE)],
    )
    @mistakes_to(lambda errors: PayoutPayload(errors=errors))
    async def payout_settle(
        self,
        info: Info,
        id: Annotated[strawberry.ID, argument(description="Which.")],
        sent: Annotated[bool, argument(description="Whether it went out.")],
        reference: Annotated[
            str | None, argument(description="The bank's; at most 100 characters.")
        ] = None,
        reason: Annotated[
            str | None, argument(description="Why it failed; at most 300 characters.")
        ] = None,
    ) -> PayoutPayload:
        row = await payouts.settle(
            from_id("Payout", id, "id"),
            sent=sent,
            reference=reference,
            reason=reason,
            actor_id=info.context.signed_in().member_id,
            now=info.context.now,
        )
        return PayoutPayload(payouts=[Payout.of(row)])
