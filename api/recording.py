"""What shops tell us: orders, fees and refunds, as the API takes them."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import argument

from api import access
from api.accounts import MemberPayload
from api.context import Info
from api.conversions import Conversion
from api.errors import UserError, mistakes_to, user_error
from api.members import Member
from api.nodes import from_id
from api.scalars import Long
from members.models import Role
from referral import conversions, customers
from referral.conversions import NewFee, NewOrder, NewRefund, Recorded
from referral.errors import TooMany

MOST_ORDERS = 100


@strawberry.input(
    description="An order of a shop. `source` and `externalId` together are its idempotency key. "
    "An order that names the customer in several ways links them."
)
class OrderRecordInput:
    source: str = strawberry.field(description="The shop; at most 40 characters.")
    external_id: str = strawberry.field(description="The shop's own id; at most 100 characters.")
    member: strawberry.ID | None = strawberry.field(default=None, description="Who bought.")
    customer_ref: str | None = strawberry.field(
        default=None, description="The shop's own name for who bought; at most 100 characters."
    )
    visitor_id: str | None = strawberry.field(
        default=None,
        description="The visitor who bought, 8 to 64 characters; it becomes the member's.",
    )
    amount_minor: Long = strawberry.field(description="What was paid, in minor units; 0 or more.")
    commissionable_minor: Long | None = strawberry.field(
        default=None, description="What rates apply to, such as without postage; all if missing."
    )
    occurred_at: datetime | None = strawberry.field(
        default=None, description="When it was paid; now if missing."
    )
    referral_code: str | None = strawberry.field(
        default=None,
        description="A link's code that the customer typed: it takes its program's whole "
        "attribution, unless the customer is bound. With an unknown one the order is recorded all "
        "the same, and `errors` says so.",
    )

    @property
    def links(self) -> bool:
        """Whether it may say that two names are one customer's."""
        both = self.member is not None and self.customer_ref is not None
        return both or self.visitor_id is not None or self.referral_code is not None

    def plain(self) -> NewOrder:
        """The same in the words of the room; raises `NotFound`."""
        return NewOrder(
            source=self.source,
            external_id=self.external_id,
            amount_minor=self.amount_minor,
            member_id=_member_id(self.member),
            customer_ref=self.customer_ref,
            occurred_at=self.occurred_at,
            visitor=self.visitor_id,
            commissionable_minor=self.commissionable_minor,
            referral_code=self.referral_code,
        )


@strawberry.input(description="That a shop's customer is this member.")
class CustomerLinkInput:
    source: str = strawberry.field(description="The shop; at most 40 characters.")
    customer_ref: str = strawberry.field(description="The shop's own name for the customer.")
    member: strawberry.ID = strawberry.field(description="Who that is.")


@strawberry.input(
    description="A membership fee that a shop was paid. `source` and `externalId` together are its "
    "idempotency key; fees have ids of their own."
)
class FeeRecordInput:
    source: str = strawberry.field(description="The shop; at most 40 characters.")
    external_id: str = strawberry.field(description="The shop's own id; at most 100 characters.")
    member: strawberry.ID | None = strawberry.field(default=None, description="Who paid.")
    customer_ref: str | None = strawberry.field(
        default=None, description="The shop's own name for who paid; at most 100 characters."
    )
    plan: str | None = strawberry.field(
        default=None,
        description="What was bought, at most 40 characters: a tier may ask for one plan alone.",
    )
    amount_minor: Long = strawberry.field(description="What was paid, in minor units; 1 or more.")
    occurred_at: datetime | None = strawberry.field(
        default=None, description="When it was paid; now if missing."
    )


@strawberry.input(
    description="A refund of a shop: names the order it refunds (same source), or, for money paid "
    "before this platform existed, only the customer: that lowers the spend and reverses no "
    "commission. Refunds have ids of their own."
)
class RefundRecordInput:
    source: str = strawberry.field(description="The shop; at most 40 characters.")
    external_id: str = strawberry.field(description="The shop's own id; at most 100 characters.")
    order_external_id: str | None = strawberry.field(
        default=None, description="The order; it may arrive later."
    )
    member: strawberry.ID | None = strawberry.field(default=None, description="Who had paid.")
    customer_ref: str | None = strawberry.field(
        default=None, description="The shop's own name for who had paid."
    )
    amount_minor: Long = strawberry.field(description="What went back, in minor units; 1 or more.")
    occurred_at: datetime | None = strawberry.field(
        default=None, description="When it went back; now if missing."
    )


@strawberry.type(description="A conversion that was accepted.", directives=[access.as_parent()])
class ConversionPayload:
    conversion: Conversion | None = strawberry.field(
        default=None, description="PENDING at first: a worker decides within a moment."
    )
    replayed: bool = strawberry.field(
        default=False, description="Whether an earlier call had recorded it."
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list,
        description="What has to be corrected; with a conversion beside it, that was recorded "
        "all the same.",
    )

    @classmethod
    def of(cls, recorded: Recorded) -> "ConversionPayload":
        return cls(
            conversion=Conversion.of(recorded.conversion),
            replayed=recorded.replayed,
            errors=[user_error(mistake) for mistake in recorded.mistakes],
        )


@strawberry.type
class RecordingMutation:
    @strawberry.mutation(
        description="Accepts an order and answers PENDING; safe to send again.",
        extensions=[access.allow(Role.SERVICE)],
    )
    @mistakes_to(lambda errors: ConversionPayload(errors=errors))
    async def order_record(
        self, info: Info, input: Annotated[OrderRecordInput, argument(description="The order.")]
    ) -> ConversionPayload:
        return await _order(info, input)

    @strawberry.mutation(
        description="Accepts up to 100 orders, each on its own: one that is refused leaves the "
        "others. The answers are in the same order.",
        extensions=[access.allow(Role.SERVICE)],
    )
    async def orders_record(
        self,
        info: Info,
        inputs: Annotated[list[OrderRecordInput], argument(description="The orders.")],
    ) -> list[ConversionPayload]:
        if len(inputs) > MOST_ORDERS:
            error = user_error(TooMany(MOST_ORDERS, "inputs"))
            return [ConversionPayload(errors=[error]) for _ in inputs]
        told: list[ConversionPayload] = []
        for some in _at_once(inputs):
            told += await asyncio.gather(*(_order_or_errors(info, each) for each in some))
        return told

    @strawberry.mutation(
        description="Says that a shop's customer is this member: parked conversions of that "
        "customer are decided now. Safe to send again.",
        extensions=[access.allow(Role.SERVICE)],
    )
    @mistakes_to(lambda errors: MemberPayload(errors=errors))
    async def customer_link(
        self, info: Info, input: Annotated[CustomerLinkInput, argument(description="Who is who.")]
    ) -> MemberPayload:
        info.context.signed_in().check_source(input.source)
        member_id = from_id("Member", input.member, "member")
        row = await customers.link_member(
            input.source, input.customer_ref, member_id, info.context.now
        )
        return MemberPayload(member=Member.of(row))

    @strawberry.mutation(
        description="Accepts a membership fee and answers PENDING; safe to send again.",
        extensions=[access.allow(Role.SERVICE)],
    )
    @mistakes_to(lambda errors: ConversionPayload(errors=errors))
    async def fee_record(
        self, info: Info, input: Annotated[FeeRecordInput, argument(description="The fee.")]
    ) -> ConversionPayload:
        viewer = info.context.signed_in()
        viewer.check_source(input.source)
        fee = NewFee(
            source=input.source,
            external_id=input.external_id,
            amount_minor=input.amount_minor,
            plan=input.plan,
            member_id=_member_id(input.member),
            customer_ref=input.customer_ref,
            occurred_at=input.occurred_at,
        )
        recorded = await conversions.record_fee(fee, viewer.member_id, info.context.now)
        return ConversionPayload.of(recorded)

    @strawberry.mutation(
        description="Accepts a refund and answers PENDING; safe to send again.",
        extensions=[access.allow(Role.SERVICE)],
    )
    @mistakes_to(lambda errors: ConversionPayload(errors=errors))
    async def refund_record(
        self, info: Info, input: Annotated[RefundRecordInput, argument(description="The refund.")]
    ) -> ConversionPayload:
        viewer = info.context.signed_in()
        viewer.check_source(input.source)
        refund = NewRefund(
            source=input.source,
            external_id=input.external_id,
            amount_minor=input.amount_minor,
            order_external_id=input.order_external_id,
            member_id=_member_id(input.member),
            customer_ref=input.customer_ref,
            occurred_at=input.occurred_at,
        )
        recorded = await conversions.record_refund(refund, viewer.member_id, info.context.now)
        return ConversionPayload.of(recorded)


def _member_id(id: str | None) -> int | None:
    return None if id is None else from_id("Member", id, "member")


async def _order(info: Info, input: OrderRecordInput) -> ConversionPayload:
    viewer = info.context.signed_in()
    viewer.check_source(input.source)
    orders = info.context.orders
    recorded = await orders.record(input.plain(), viewer.member_id, info.context.now)
    return ConversionPayload.of(recorded)


def _at_once(inputs: Sequence[OrderRecordInput]) -> Iterator[Sequence[OrderRecordInput]]:
    """The orders in portions that end the same when all of one are told at once: no order of them
    is another's repeat, or links a customer whom another names."""
    some: dict[tuple[str, str], OrderRecordInput] = {}
    for each in inputs:
        key = each.source.strip(), each.external_id.strip()
        if each.links or key in some:
            yield [*some.values()]
            some = {}
        some[key] = each
        if each.links:
            yield [each]
            some = {}
    yield [*some.values()]


@mistakes_to(lambda errors: ConversionPayload(errors=errors))
async def _order_or_errors(info: Info, input: OrderRecordInput) -> ConversionPayload:
    return await _order(info, input)
