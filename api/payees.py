"""Where members say they want to be paid."""

from typing import Annotated

import strawberry
from strawberry import argument

from api import access
from api.accounts import MemberPayload
from api.context import Info
from api.errors import mistakes_to
from api.members import Member
from members import payees
from referral import shared_payees


@strawberry.input(description="Where somebody wants to be paid.")
class PayeeInput:
    method: str = strawberry.field(
        description="As you agree with your members, such as BANK or ALIPAY; at most 40 characters."
    )
    name: str = strawberry.field(description="Whose account it is; at most 100 characters.")
    account: str = strawberry.field(description="Its number; at most 100 characters.")
    bank: str | None = strawberry.field(
        default=None, description="Which bank, where there is one; at most 100 characters."
    )


@strawberry.type
class PayeeMutation:
    @strawberry.mutation(
        description="Says where the viewer is paid from now on. It is kept encrypted and shown "
        "masked.",
        extensions=[access.SIGNED_IN],
    )
    @mistakes_to(lambda errors: MemberPayload(errors=errors))
    async def payee_set(
        self, info: Info, input: Annotated[PayeeInput, argument(description="Where.")]
    ) -> MemberPayload:
        member_id = info.context.signed_in().member_id
        payee = payees.Payee(input.method, input.name, input.account, input.bank)
        vault = payees.vault(info.context.settings.payee_secrets())
        await shared_payees.put(member_id, payee, vault, info.context.now)
        row = await info.context.load.member_by_id.load(member_id)
        return MemberPayload(member=row and Member.of(row))
