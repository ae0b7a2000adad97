"""What a member is owed and was paid, as the API shows it."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry
from strawberry import argument

from api import access
from api.context import STAFF, Info
from api.nodes import After, Connection, First, connection, to_id
from api.scalars import Long
from core.paging import page
from members import ledger, models, payees
from members.models import Account, Asset, EntryKind
from referral.models import Payout as PayoutRow

if TYPE_CHECKING:
    from api.conversions import Conversion
    from api.payouts import Payout

AnyConversion = Annotated["Conversion", strawberry.lazy("api.conversions")]
AnyPayout = Annotated["Payout", strawberry.lazy("api.payouts")]

strawberry.enum(Asset, description="What an account is kept in.")
strawberry.enum(Account, description="Which of a member's accounts it is.")
strawberry.enum(EntryKind, description="What a movement was made for.")


@strawberry.type(
    description="What a member has in one asset, over all programs.",
    directives=[access.as_parent()],
)
class Balance:
    asset: Asset = strawberry.field(description="What it is counted in.")
    currency: str | None = strawberry.field(description="Of CASH: the installation's currency.")
    pending: Long = strawberry.field(description="Earned; the hold has not passed yet.")
    available: Long = strawberry.field(
        description="May be paid out; below zero after a refund of what was paid out before."
    )
    held: Long = strawberry.field(description="Kept back for a look at it.")
    paid: Long = strawberry.field(description="Went out.")


@strawberry.type(
    description="One movement on one of a member's accounts.", directives=[access.as_parent()]
)
class LedgerEntry:
    row: strawberry.Private[models.LedgerEntry]
    id: strawberry.ID = strawberry.field(description="Opaque, unique over all types.")
    kind: EntryKind = strawberry.field(description="What it was made for.")
    account: Account = strawberry.field(description="Which account it moved.")
    asset: Asset = strawberry.field(description="What it is counted in.")
    amount: Long = strawberry.field(description="Positive into the account, negative out of it.")
    at: datetime = strawberry.field(description="When it was booked.")
    memo: str | None = strawberry.field(description="Of an ADJUST: why.")

    @classmethod
    def of(cls, row: models.LedgerEntry) -> "LedgerEntry":
        return cls(
            row=row,
            id=to_id("LedgerEntry", row.id),
            kind=row.transfer.kind,
            account=row.account.account,
            asset=row.account.asset,
            amount=Long(row.amount),
            at=row.transfer.at,
            memo=row.transfer.memo,
        )

    @strawberry.field(
        description="What it was earned with, or the refund that took it back; for staff, null for "
        "others."
    )
    async def conversion(self, info: Info) -> AnyConversion | None:
        from api.conversions import Conversion  # noqa: PLC0415 - a conversion has members, too

        viewer, id = info.context.signed_in(), self.row.transfer.conversion_id
        row = None if id is None else await info.context.load.conversion_by_id.load(id)
        # Who bought and who else was credited is not the promoter's to know.
        masked = viewer.member_id if viewer.roles.isdisjoint(STAFF) else None
        return row and Conversion.of(row, masked)


@strawberry.type(
    description="Where a member is paid; the account masked.", directives=[access.as_parent()]
)
class Payee:
    method: str = strawberry.field(description="Such as BANK or ALIPAY.")
    name: str = strawberry.field(description="Whose account it is.")
    account: str = strawberry.field(description="Its number, but for the last 4 masked.")
    bank: str | None = strawberry.field(description="Which bank, where there is one.")

    @classmethod
    def of(cls, payee: payees.Payee) -> "Payee":
        return cls(
            method=payee.method,
            name=payee.name,
            account=payee.masked_account,
            bank=payee.bank,
        )


@strawberry.type
class MemberLedger:
    """The part of a member that is about money and points."""

    row: strawberry.Private[models.Member]

    @strawberry.field(
        description="What it has earned, a row per asset.", extensions=[access.SELF_OR_STAFF]
    )
    async def balances(self, info: Info) -> list[Balance]:
        currency = info.context.settings.currency
        return [
            Balance(
                asset=each.asset,
                currency=currency if each.asset is Asset.CASH else None,
                pending=Long(each.pending),
                available=Long(each.available),
                held=Long(each.held),
                paid=Long(each.paid),
            )
            for each in await ledger.balances(self.row.id)
        ]

    @strawberry.field(
        description="Every movement on its accounts, newest first.",
        extensions=[access.SELF_OR_STAFF],
    )
    async def ledger(
        self,
        info: Info,
        asset: Annotated[Asset | None, argument(description="In this asset alone.")] = None,
        first: First = 20,
        after: After = None,
    ) -> Connection[LedgerEntry]:
        entries = models.LedgerEntry.filter(account__member_id=self.row.id)
        if asset is not None:
            entries = entries.filter(account__asset=asset)
        found = await page(
            entries.select_related("transfer", "account"),
            order=("-id",),
            name="ledger",
            first=first,
            after=after,
        )
        return connection(found, LedgerEntry.of, total=entries.count)

    @strawberry.field(
        description="Where it is paid, masked; null until `payeeSet`.",
        extensions=[access.SELF_OR_STAFF],
    )
    async def payee(self, info: Info) -> Payee | None:
        found = await payees.of(self.row.id, payees.vault(info.context.settings.payee_secrets()))
        return found and Payee.of(found)

    @strawberry.field(
        description="What it was paid, newest first.", extensions=[access.SELF_OR_STAFF]
    )
    async def payouts(self) -> list[AnyPayout]:
        from api.payouts import Payout  # noqa: PLC0415 - a pay-out has a member

        rows = PayoutRow.filter(member_id=self.row.id).order_by("-id")
        return [Payout.of(row) for row in await rows]
