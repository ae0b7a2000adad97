"""Owns what shops tell us: orders, fees, refunds, accepted once each and durably, decided later."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

from tortoise.exceptions import IntegrityError
from tortoise.expressions import F, Q

from core import bulk, database, outbox
from core.errors import Invalid, Mistake, Required, storable, text
from members import identity
from members.rules import PLAN_CHARACTERS
from referral import customers, links, touches
from referral.errors import CodeUnknown, ExceedsOrder, IdempotencyConflict
from referral.lanes import TOPIC, lane
from referral.models import Conversion, ConversionStatus, ConversionType

UNDECIDED = (ConversionStatus.PENDING, ConversionStatus.PARKED)
EXTERNAL_ID_CHARACTERS = 100
LARGEST_AMOUNT_MINOR = 10**15
_TOLD = (
    "type",
    "source",
    "external_id",
    "figures",
    "customer_ref",
    "visitor",
    "code_touch_id",
    "order_external_id",
    "plan",
    "order_id",
    "amount_minor",
    "commissionable_minor",
    "refunded_minor",
    "occurred_at",
    "recorded_at",
    "recorded_by_id",
    "status",
    "reopened_at",
)
COLUMNS = ("member_id", *_TOLD)
_told = attrgetter(*_TOLD)
FUTURE = timedelta(minutes=5)  # how far a shop's clock may be ahead of ours


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order as a shop tells it. Without `occurred_at` it is of now."""

    source: str
    external_id: str
    amount_minor: int
    member_id: int | None = None
    customer_ref: str | None = None
    occurred_at: datetime | None = None
    visitor: str | None = None
    commissionable_minor: int | None = None  # what rates apply to; None: the amount
    referral_code: str | None = None  # as it was typed


@dataclass(frozen=True, slots=True)
class NewFee:
    """A membership fee as a shop tells it; `plan` says what was bought."""

    source: str
    external_id: str
    amount_minor: int
    plan: str | None = None
    member_id: int | None = None
    customer_ref: str | None = None
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewRefund:
    """A refund as a shop tells it: of an order of the same source, or of a member alone."""

    source: str
    external_id: str
    amount_minor: int
    order_external_id: str | None = None
    member_id: int | None = None
    customer_ref: str | None = None
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """The conversion, whether an earlier call had recorded it, and what was wrong beside it."""

    conversion: Conversion
    replayed: bool
    mistakes: Sequence[Mistake] = ()


async def record_order(order: NewOrder, recorded_by: int, now: datetime) -> Recorded:
    """Accepts an order: one transaction, answered while a worker decides.

    The same order again returns the first with `replayed`, and fills in a customer that the first
    did not name. Raises `IdempotencyConflict` for other figures, `MemberNotFound`, and `Required`,
    `TooLong` or `Invalid` with the field. An order that names a member, a customer and a visitor,
    or two of them, links them; where the customer is somebody else's or no link has the code, it is
    recorded all the same, and the mistake stands beside it.
    """
    return await _once(as_told(order, recorded_by, now), now, code=order.referral_code)


def as_told(order: NewOrder, recorded_by: int, now: datetime) -> Conversion:
    """The order before it is written; raises what is wrong with it by itself."""
    row = _row(ConversionType.ORDER, order, recorded_by, now)
    row.amount_minor = _amount(order.amount_minor, least=0)
    part = row.commissionable_minor = order.commissionable_minor
    if part is not None and not 0 <= part <= order.amount_minor:
        raise Invalid("This is a part of the amount, or none of it.", "commissionableMinor")
    if order.visitor is not None:
        row.visitor = touches.check_visitor(order.visitor)
    more = [] if part is None else [str(part)]
    row.figures = _figures(order.amount_minor, order.occurred_at, *more)
    return row


def values(row: Conversion, member_id: int | None) -> tuple[Any, ...]:
    """Of `COLUMNS`, for a conversion whose customer is this member."""
    return (member_id, *_told(row))


async def record_fee(fee: NewFee, recorded_by: int, now: datetime) -> Recorded:
    """Accepts a membership fee, of at least one minor unit: one transaction, answered while a
    worker decides. Repeats and errors as in `record_order`."""
    row = _row(ConversionType.FEE, fee, recorded_by, now)
    row.amount_minor = _amount(fee.amount_minor, least=1)
    row.plan = None if fee.plan is None else text(fee.plan, "plan", most=PLAN_CHARACTERS)
    row.figures = _figures(fee.amount_minor, fee.occurred_at, row.plan)
    return await _once(row, now)


async def record_refund(refund: NewRefund, recorded_by: int, now: datetime) -> Recorded:
    """Accepts a refund: one transaction, answered while a worker decides.

    Naming its order, it may come before the order does and then waits for it; else it names a
    member or a customer and lowers their spend alone. Repeats and errors as in `record_order`;
    raises `ExceedsOrder` too, and nothing is written then.
    """
    row = _row(ConversionType.REFUND, refund, recorded_by, now)
    row.amount_minor = _amount(refund.amount_minor, least=1)
    if refund.order_external_id is not None:
        # The customer is the order's, whoever else is named.
        row.member_id = row.customer_ref = None
        row.order_external_id = _external_id(refund.order_external_id, "orderExternalId")
    elif refund.member_id is None and refund.customer_ref is None:
        raise Required(
            "Name the order, or the member or customer it was paid by.", "orderExternalId"
        )
    row.figures = _figures(refund.amount_minor, refund.occurred_at, row.order_external_id)
    return await _once(row, now)


def _row(
    kind: ConversionType, new: NewOrder | NewFee | NewRefund, recorded_by: int, now: datetime
) -> Conversion:
    if new.occurred_at is not None and new.occurred_at > now + FUTURE:
        raise Invalid("This lies more than 5 minutes ahead.", "occurredAt")
    source = identity.check_source(new.source)
    ref = new.customer_ref
    return Conversion.construct(  # checked here, and not by the ORM once more
        type=kind,
        source=source,
        external_id=_external_id(new.external_id, "externalId"),
        member_id=new.member_id,
        customer_ref=None if ref is None else identity.check_ref(ref),
        occurred_at=(new.occurred_at or now).astimezone(UTC),
        recorded_at=now.astimezone(UTC),
        recorded_by_id=recorded_by,
        status=ConversionStatus.PENDING,
    )


def _external_id(value: str, field: str) -> str:
    return text(value, field, most=EXTERNAL_ID_CHARACTERS)


def _amount(amount_minor: int, *, least: int) -> int:
    if not least <= amount_minor <= LARGEST_AMOUNT_MINOR:
        raise Invalid(
            f"An amount is from {least} to {LARGEST_AMOUNT_MINOR} minor units.", "amountMinor"
        )
    return amount_minor


def _figures(amount_minor: int, occurred_at: datetime | None, *more: str | None) -> str:
    """What must be the same in a repeat, hashed. Who the customer is may be told later."""
    at = occurred_at and occurred_at.isoformat()
    return hashlib.sha256(json.dumps([amount_minor, at, *more]).encode()).hexdigest()


async def _once(row: Conversion, now: datetime, *, code: str | None = None) -> Recorded:
    """Inserts first and looks only when the unique constraint says that it was there."""
    named = _Named(row.member_id, row.customer_ref, row.visitor)
    try:
        mistakes = await _insert(row, code, now)
    except IntegrityError:
        recorded = await _repeat(row, named, now)
        if code is None or await links.find(code) is not None:
            return recorded
        return replace(recorded, mistakes=[*recorded.mistakes, CodeUnknown("referralCode")])
    return Recorded(row, replayed=False, mistakes=mistakes)


@database.unit_of_work
async def _insert(row: Conversion, code: str | None, now: datetime) -> Sequence[Mistake]:
    await customers.check_member(row.member_id)
    order = await _order_of(row)
    mistakes = [*await customers.name(row, now), *await customers.type_in(row, code, now)]
    if order is not None:
        row.order_id = order.id
    row.id = await bulk.insert_one(Conversion, COLUMNS, values(row, row.member_id))
    if order is not None:
        await _reserve(order.id, row.amount_minor)
    await outbox.put(TOPIC, [(row.id, lane(order or row))], now)
    return mistakes


async def _order_of(refund: Conversion) -> Conversion | None:
    if refund.order_external_id is None:
        return None
    return await Conversion.get_or_none(
        type=ConversionType.ORDER, source=refund.source, external_id=refund.order_external_id
    )


async def _reserve(order_id: int, amount_minor: int) -> None:
    """Counts a refund in its order, unless that would exceed it: one conditional statement, since
    two refunds may come at the same time."""
    room = Q(refunded_minor__lte=F("amount_minor") - amount_minor)
    if not await Conversion.filter(room, id=order_id).update(
        refunded_minor=F("refunded_minor") + amount_minor
    ):
        order = await Conversion.get(id=order_id)
        raise ExceedsOrder(order.amount_minor - order.refunded_minor)


@dataclass(frozen=True, slots=True)
class _Named:
    """By what a call names the customer."""

    member_id: int | None
    customer_ref: str | None
    visitor: str | None


async def _repeat(again: Conversion, named: _Named, now: datetime) -> Recorded:
    """Answers a conversion that is there already, and takes over a customer it did not name."""
    recorded = None
    while recorded is None:  # begun anew when a customer is named meanwhile: that happens once
        recorded = await _compare(again, named, now)
    return recorded


@database.unit_of_work
async def _compare(again: Conversion, named: _Named, now: datetime) -> Recorded | None:
    known = Conversion.filter(type=again.type, source=again.source, external_id=again.external_id)
    # The customer's locks come before the row's, as they do when a worker decides the row.
    seen = await known.get()
    better = _Named(
        seen.member_id or named.member_id,
        seen.customer_ref or named.customer_ref,
        seen.visitor or named.visitor,
    )
    wanted = Conversion(source=again.source, customer_ref=better.customer_ref)
    wanted.visitor = better.visitor
    await database.lock(*customers.locks(wanted))
    first = await known.select_for_update().get()
    before = _Named(first.member_id, first.customer_ref, first.visitor)
    if (before.customer_ref, before.visitor) != (seen.customer_ref, seen.visitor):
        return None
    if first.figures != again.figures or not (
        _agree(before.member_id, named.member_id)
        and _agree(before.customer_ref, named.customer_ref)
    ):
        raise IdempotencyConflict(again.source, again.external_id)
    if first.status not in UNDECIDED and before.visitor is None:
        better = replace(better, visitor=None)  # who brought it was decided without
    if better != before:
        await customers.check_member(better.member_id)
        first.member_id, first.customer_ref = better.member_id, better.customer_ref
        first.visitor = better.visitor
        await first.save(update_fields=["member_id", "customer_ref", "visitor"])
    mistakes = await customers.name(first, now)
    first = await known.get()
    if first.status is ConversionStatus.PARKED and better != before:
        await customers.reopen([first], now)
    return Recorded(first, replayed=True, mistakes=mistakes)


def _agree(first: int | str | None, again: int | str | None) -> bool:
    return first is None or again is None or first == again


async def find(kind: ConversionType, source: str, external_id: str) -> Conversion | None:
    """The conversion that a shop knows by this id."""
    if not (
        storable(source, identity.SOURCE_CHARACTERS)
        and storable(external_id, EXTERNAL_ID_CHARACTERS)
    ):
        return None
    return await Conversion.get_or_none(type=kind, source=source, external_id=external_id)
