"""Cases of risk as the API shows them to staff."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import argument
from strawberry.scalars import JSON

from api import access
from api.context import STAFF, Info
from api.conversions import Conversion
from api.errors import UserError, mistakes_to
from api.members import Member
from api.nodes import After, Connection, First, Node, connection, from_id, to_id
from api.referral import member_of
from referral import models, risk, risk_deciding
from referral.models import RiskStatus

strawberry.enum(RiskStatus, description="What staff decided about a case.")


@strawberry.type(
    description="Something about a promoter that staff should look at. While it is open, the "
    "commissions that it is about are held. Staff.",
    directives=[access.as_parent()],
)
class RiskCase(Node):
    row: strawberry.Private[models.RiskCase]
    rule: str = strawberry.field(
        description="What it was raised by: SELF_REFERRAL or OWN_DOWNLINE, which were not credited "
        "anyway, REGISTRATION_VELOCITY, ORDER_VELOCITY or SHARED_PAYEE, which hold."
    )
    status: RiskStatus = strawberry.field(description="What was decided about it.")
    evidence: JSON = strawberry.field(
        description="What was seen: `conversions`, how many it is about, `firstAt` and `lastAt`, "
        "the first 20 of them in `examples`, what was left of their commissions in `atStake`, by "
        "asset, and what the rule knows besides. Grows while the case is open."
    )
    created_at: datetime = strawberry.field(description="When it was raised.")

    @classmethod
    def of(cls, row: models.RiskCase) -> "RiskCase":
        return cls(
            id=to_id("RiskCase", row.id),
            row=row,
            rule=row.rule,
            status=row.status,
            evidence=JSON(row.evidence),
            created_at=row.created_at,
        )

    @strawberry.field(description="About whom it is.")
    async def promoter(self, info: Info) -> Member:
        return await member_of(info, self.row.promoter_id)

    @strawberry.field(description="The first conversion that it is about, if it is about any.")
    async def conversion(self, info: Info) -> Conversion | None:
        id = self.row.conversion_id
        row = None if id is None else await info.context.load.conversion_by_id.load(id)
        return row and Conversion.of(row)


@strawberry.type(description="A case that was decided.", directives=[access.as_parent()])
class RiskCasePayload:
    risk_case: RiskCase | None = strawberry.field(default=None, description="The case.")
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="What has to be corrected; empty when it worked."
    )


@strawberry.type
class RiskQuery:
    @strawberry.field(
        description="Cases of risk, the newest first.", extensions=[access.allow(*STAFF)]
    )
    async def risk_cases(
        self,
        status: Annotated[RiskStatus | None, argument(description="Those in it alone.")] = None,
        first: First = 20,
        after: After = None,
    ) -> Connection[RiskCase]:
        found, total = await risk.cases(status, first, after)
        return connection(found, RiskCase.of, total=total)


@strawberry.type
class RiskMutation:
    @strawberry.mutation(
        description="Decides about an open case, once. Released, what it holds goes where it would "
        "be by now, unless another open case holds it too; rejected, it is taken back for good.",
        extensions=[access.allow(*STAFF)],
    )
    @mistakes_to(lambda errors: RiskCasePayload(errors=errors))
    async def risk_case_decide(
        self,
        info: Info,
        id: Annotated[strawberry.ID, argument(description="Which.")],
        release: Annotated[bool, argument(description="False to reject it.")],
        note: Annotated[
            str | None, argument(description="Why; at most 1,000 characters, for the audit trail.")
        ] = None,
    ) -> RiskCasePayload:
        row = await risk_deciding.decide(
            from_id("RiskCase", id, "id"),
            release=release,
            note=note,
            actor_id=info.context.signed_in().member_id,
            now=info.context.now,
        )
        return RiskCasePayload(risk_case=RiskCase.of(row))
