"""Corrections, months and the proof of the books, as the API shows them to finance."""

from typing import Annotated

import strawberry
from strawberry import argument

from api import access
from api.accounts import MemberPayload
from api.context import Info
from api.errors import Refusal, mistakes_to
from api.members import Member
from api.nodes import from_id
from api.scalars import Long
from core.errors import Mistake
from members import summaries
from members.models import Account, Asset, EntryKind, Role
from referral import adjusting, programs, reconciliation


@strawberry.type(
    description="One account of all the program's members together, over a month; a row without "
    "`kind` is the whole account, those behind it are what each kind of movement has added up to.",
    directives=[access.as_parent()],
)
class LedgerSummaryRow:
    asset: Asset = strawberry.field(description="What it is counted in.")
    account: Account = strawberry.field(description="Which account.")
    kind: EntryKind | None = strawberry.field(description="Movements of this kind; null for all.")
    opening: Long = strawberry.field(description="The sum of what was booked before the month.")
    moved: Long = strawberry.field(description="The sum of what was booked in it.")
    closing: Long = strawberry.field(description="Both together.")

    @classmethod
    def of(cls, line: summaries.Line) -> "LedgerSummaryRow":
        return cls(
            asset=line.asset,
            account=line.account,
            kind=line.kind,
            opening=Long(line.opening),
            moved=Long(line.moved),
            closing=Long(line.closing),
        )


@strawberry.type(
    description="Whether the books agree with what was recorded.", directives=[access.as_parent()]
)
class Reconciliation:
    ok: bool = strawberry.field(description="Whether they do.")
    transfers: int = strawberry.field(description="How many transfers were looked at.")
    problems: list[str] = strawberry.field(
        description="What does not fit, in words; at most 20 of each kind."
    )


@strawberry.type
class FinanceQuery:
    @strawberry.field(
        description="The ledger of a program over a month of the installation's time zone, from "
        "its entries.",
        extensions=[access.allow(Role.FINANCE)],
    )
    async def ledger_summary(
        self,
        info: Info,
        program: Annotated[str, argument(description="The program's code.")],
        month: Annotated[str, argument(description="Such as 2026-03.")],
    ) -> list[LedgerSummaryRow]:
        try:
            since, until = summaries.month(month, info.context.settings.time_zone)
            found = await programs.by_code(program)
        except Mistake as mistake:  # a query has no payload for it
            raise Refusal(mistake.message) from mistake
        lines = await summaries.lines(found.id, since, until)
        return [LedgerSummaryRow.of(line) for line in lines]

    @strawberry.field(
        description="Computes every balance, commission and pay-out again and compares; writes "
        "nothing.",
        extensions=[access.allow(Role.FINANCE)],
    )
    async def reconciliation(self, info: Info) -> Reconciliation:
        found = await reconciliation.reconcile(info.context.now)
        return Reconciliation(ok=found.ok, transfers=found.transfers, problems=list(found.problems))


@strawberry.type
class FinanceMutation:
    @strawberry.mutation(
        description="Adds to what a member has available in a program, or takes away, never below "
        "zero. The same key with the same figures changes nothing.",
        extensions=[access.allow(Role.FINANCE)],
    )
    @mistakes_to(lambda errors: MemberPayload(errors=errors))
    async def ledger_adjust(
        self,
        info: Info,
        *,
        member: Annotated[strawberry.ID, argument(description="Whose.")],
        program: Annotated[str, argument(description="The program's code.")],
        asset: Annotated[Asset, argument(description="What it is counted in.")],
        amount: Annotated[
            Long, argument(description="In minor units or points; negative takes away, not zero.")
        ],
        memo: Annotated[str, argument(description="Why; at most 300 characters.")],
        key: Annotated[
            str, argument(description="Your own for this adjustment; at most 100 characters.")
        ],
    ) -> MemberPayload:
        viewer, now = info.context.signed_in(), info.context.now
        member_id = from_id("Member", member, "member")
        await adjusting.adjust(
            member_id,
            program,
            asset=asset,
            amount=amount,
            memo=memo,
            key=key,
            actor_id=viewer.member_id,
            now=now,
        )
        row = await info.context.load.member_by_id.load(member_id)
        return MemberPayload(member=row and Member.of(row))
