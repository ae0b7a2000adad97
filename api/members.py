"""People, tiers and the ledger as the API shows them."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import argument
from strawberry.scalars import JSON

from api.context import Context, Info
from api.errors import UserError, mistakes_to
from api.nodes import After, Connection, First, Node, connection, to_id
from api.scalars import Long
from core.paging import page
from members import identity, ledger, models, tiers
from members.identity import NewMember, Viewer
from members.models import Account, Asset, DowngradePolicy, EntryKind, Role, TierChangeReason
from referral import registrations

strawberry.enum(Role, description="What somebody may do.")
strawberry.enum(DowngradePolicy, description="What falling below a tier's threshold does.")
strawberry.enum(TierChangeReason, description="Why somebody came into another tier.")
strawberry.enum(Asset, description="What an account is kept in.")
strawberry.enum(Account, description="Which of a member's accounts it is.")
strawberry.enum(EntryKind, description="What a movement was made for.")


@strawberry.type(description="A level of membership.")
class Tier(Node):
    code: str = strawberry.field(description="Its name for programs; unique.")
    name: str = strawberry.field(description="Its name for people.")
    rank: int = strawberry.field(description="The higher, the better; unique.")
    rule: JSON = strawberry.field(description="The threshold at which it is entered.")
    downgrade: DowngradePolicy = strawberry.field(
        description="What falling below the threshold does."
    )

    @classmethod
    def of(cls, row: models.Tier) -> "Tier":
        return cls(
            id=to_id("Tier", row.id),
            code=row.code,
            name=row.name,
            rank=row.rank,
            rule=JSON(row.rule),
            downgrade=row.downgrade,
        )


@strawberry.type(description="One move of a member from tier to tier.")
class TierChange:
    at: datetime = strawberry.field(description="When it was decided.")
    from_: Tier | None = strawberry.field(name="from", description="The tier before.")
    to: Tier | None = strawberry.field(description="The tier since.")
    reason: TierChangeReason = strawberry.field(description="Why.")
    metrics: JSON = strawberry.field(description="The metrics as they stood.")

    @classmethod
    def of(cls, row: models.TierChange) -> "TierChange":
        return cls(
            at=row.at,
            from_=row.from_tier and Tier.of(row.from_tier),
            to=row.to_tier and Tier.of(row.to_tier),
            reason=row.reason,
            metrics=JSON(row.metrics),
        )


@strawberry.type(description="What tiers are decided by.")
class MemberMetrics:
    spend_minor: Long = strawberry.field(
        description="Paid orders minus refunds over the whole lifetime, in minor units."
    )


@strawberry.type(description="What a member has in one asset, over all programs.")
class Balance:
    asset: Asset = strawberry.field(description="What it is counted in.")
    currency: str | None = strawberry.field(description="Of CASH: the installation's currency.")
    pending: Long = strawberry.field(description="Earned; the hold has not passed yet.")
    available: Long = strawberry.field(description="May be paid out.")
    held: Long = strawberry.field(description="Kept back for a look at it.")
    paid: Long = strawberry.field(description="Went out.")


@strawberry.type(description="One movement on one of a member's accounts.")
class LedgerEntry:
    id: strawberry.ID = strawberry.field(description="Opaque, unique over all types.")
    kind: EntryKind = strawberry.field(description="What it was made for.")
    account: Account = strawberry.field(description="Which account it moved.")
    asset: Asset = strawberry.field(description="What it is counted in.")
    amount: Long = strawberry.field(description="Positive into the account, negative out of it.")
    at: datetime = strawberry.field(description="When it was booked.")

    @classmethod
    def of(cls, row: models.LedgerEntry) -> "LedgerEntry":
        return cls(
            id=to_id("LedgerEntry", row.id),
            kind=row.transfer.kind,
            account=row.account.account,
            asset=row.account.asset,
            amount=Long(row.amount),
            at=row.transfer.at,
        )


@strawberry.type(
    description="Somebody with an account. Others than the member itself and staff see `id` and "
    "`displayName`; anything else is FORBIDDEN."
)
class Member(Node):
    row: strawberry.Private[models.Member]
    display_name: str = strawberry.field(description="What others see; at most 100 characters.")

    @classmethod
    def of(cls, row: models.Member) -> "Member":
        return cls(id=to_id("Member", row.id), row=row, display_name=row.display_name)

    @strawberry.field(description="Unique, whatever its case.")
    def email(self, info: Info) -> str | None:
        info.context.allow_self_or_staff(self.row.id)
        return self.row.email

    @strawberry.field(description="As it was given.")
    def phone(self, info: Info) -> str | None:
        info.context.allow_self_or_staff(self.row.id)
        return self.row.phone

    @strawberry.field(description="What it may do; MEMBER is everybody.")
    async def roles(self, info: Info) -> list[Role]:
        info.context.allow_self_or_staff(self.row.id)
        held = {each.role for each in await models.MemberRole.filter(member_id=self.row.id)}
        return sorted({Role.MEMBER, *held}, key=list(Role).index)

    @strawberry.field(description="When the account was made.")
    def created_at(self, info: Info) -> datetime:
        info.context.allow_self_or_staff(self.row.id)
        return self.row.created_at

    @strawberry.field(description="The tier it is in, if any.")
    async def tier(self, info: Info) -> Tier | None:
        info.context.allow_self_or_staff(self.row.id)
        standing = await info.context.load.standing_by_member.load(self.row.id)
        return standing.tier and Tier.of(standing.tier)

    @strawberry.field(description="Its moves from tier to tier, newest first.")
    async def tier_history(
        self, info: Info, first: First = 20, after: After = None
    ) -> Connection[TierChange]:
        info.context.allow_self_or_staff(self.row.id)
        changes = models.TierChange.filter(member_id=self.row.id)
        found = await page(
            changes.select_related("from_tier", "to_tier"),
            order=("-id",),
            name="tierHistory",
            first=first,
            after=after,
        )
        return connection(found, TierChange.of, total=changes.count)

    @strawberry.field(description="What its tier is decided by.")
    async def metrics(self, info: Info) -> MemberMetrics:
        info.context.allow_self_or_staff(self.row.id)
        standing = await info.context.load.standing_by_member.load(self.row.id)
        return MemberMetrics(spend_minor=Long(standing.spend_minor))

    @strawberry.field(description="What it has earned, a row per asset.")
    async def balances(self, info: Info) -> list[Balance]:
        info.context.allow_self_or_staff(self.row.id)
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

    @strawberry.field(description="Every movement on its accounts, newest first.")
    async def ledger(
        self,
        info: Info,
        asset: Annotated[Asset | None, argument(description="In this asset alone.")] = None,
        first: First = 20,
        after: After = None,
    ) -> Connection[LedgerEntry]:
        info.context.allow_self_or_staff(self.row.id)
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


@strawberry.type
class MemberQuery:
    @strawberry.field(description="Who is signed in; null for nobody.")
    async def viewer(self, info: Info) -> Member | None:
        if info.context.viewer is None:
            return None
        row = await info.context.load.member_by_id.load(info.context.viewer.member_id)
        return row and Member.of(row)

    @strawberry.field(description="All tiers, lowest first.")
    async def tiers(self) -> list[Tier]:
        return [Tier.of(row) for row in await tiers.ladder()]

    @strawberry.field(description="The member behind a shop's customer. Role SERVICE.")
    async def customer(
        self,
        info: Info,
        source: Annotated[str, argument(description="The shop.")],
        customer_ref: Annotated[str, argument(description="The shop's own name for them.")],
    ) -> Member | None:
        info.context.allow({Role.SERVICE})
        row = await identity.customer(source, customer_ref)
        return row and Member.of(row)


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
class MemberMutation:
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
