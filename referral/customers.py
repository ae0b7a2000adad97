"""Owns who the customer is: a member, a shop's name for somebody, or a visitor, and what of them is
one and the same. A member outranks a shop's name, which outranks a visitor.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from tortoise.queryset import QuerySet

from core import database, dialect, outbox
from core.errors import Mistake
from members import identity
from members.errors import CustomerRefTaken, MemberNotFound
from members.models import CustomerRef, Member
from members.standings import Standings
from referral import crediting, links, touches
from referral.errors import CodeUnknown
from referral.lanes import TOPIC, customer_lane, lane, member_lane, visitor_lane
from referral.models import (
    Attribution,
    Conversion,
    ConversionStatus,
    ConversionType,
    Link,
    Touch,
    Visitor,
)

DECIDED = (ConversionStatus.CREDITED, ConversionStatus.NOT_CREDITED, ConversionStatus.REVERSED)
_MEMBERS = "SELECT id FROM member WHERE id {listed}"


async def name(row: Conversion, now: datetime) -> Sequence[Mistake]:
    """Fills in the member behind a new conversion, and links all that it names to that member;
    belongs into a unit of work, before its first write.

    Returns the mistake where the shop's customer is somebody else's.
    """
    ref = row.customer_ref
    linked = None if ref is None else await identity.customer_id(row.source, ref)
    if row.member_id is None:
        row.member_id = linked or await _owner(row.visitor)
    member_id = row.member_id
    if member_id is None:
        return []
    if linked == member_id and row.visitor is None:
        return []  # what is linked stays so: there is nothing to take turns for
    await hold(row.visitor, *locks(row))
    mistakes = []
    if ref is not None and not await link(row.source, ref, member_id, now):
        mistakes.append(CustomerRefTaken(row.source, ref))
    if row.visitor is not None:
        row.visitor = await join(row.visitor, member_id, now)
    return mistakes


def locks(row: Conversion) -> Sequence[str]:
    """What whoever needs to know who the customer is, and goes on writing, holds."""
    names = []
    if row.customer_ref is not None:
        names.append(identity.customer_lock(row.source, row.customer_ref))
    if row.visitor is not None:
        names.append(touches.visitor_lock(row.visitor))
    return names


async def hold(visitor: str | None, *names: str) -> None:
    """Takes turns, by these names too, with whoever needs to know whose the visitor is, or whose
    the shops' customers are that the visitor has ordered as; belongs into a unit of work, before
    its first write."""
    if visitor is not None:
        ordered_as = Conversion.filter(
            visitor=visitor, member_id__isnull=True, customer_ref__isnull=False
        )
        refs = await ordered_as.distinct().values_list("source", "customer_ref")
        names = (*names, touches.visitor_lock(visitor))
        names += tuple(identity.customer_lock(source, ref) for source, ref in refs)
    await database.lock(*names)


async def _owner(visitor: str | None) -> int | None:
    owned = visitor and await Visitor.get_or_none(id=visitor)
    return owned.member_id if owned else None


async def check_member(member_id: int | None) -> None:
    """Raises `MemberNotFound` for an id that is nobody's."""
    if member_id is not None and not await members_among([member_id]):
        raise MemberNotFound("member")


async def members_among(ids: Collection[int]) -> set[int]:
    """Those of the ids that are members'."""
    among = _MEMBERS.format(listed=dialect.listed(1))
    return {*await database.firsts(among, dialect.as_list(ids))} if ids else set()


async def link(source: str, ref: str, member_id: int, now: datetime) -> bool:
    """Says that a shop's customer is this member: what waited for that is decided now, and what the
    customer paid counts for the member.

    Belongs into a unit of work that holds `identity.customer_lock(source, ref)`. False when the
    customer is somebody else's.
    """
    linked = await identity.customer_id(source, ref)
    if linked is not None:
        return linked == member_id
    await CustomerRef.create(source=source, ref=ref, member_id=member_id)
    await _adopt(
        Conversion.filter(source=source, customer_ref=ref),
        member_id,
        customer_lane(source, ref),
        now,
    )
    return True


@database.unit_of_work
async def link_member(source: str, ref: str, member_id: int, now: datetime) -> Member:
    """The same for a shop that says so; safe to say twice. Raises `MemberNotFound`, and
    `CustomerRefTaken` when the customer is somebody else's."""
    source, ref = identity.check_source(source), identity.check_ref(ref)
    await check_member(member_id)
    await database.lock(identity.customer_lock(source, ref))
    if not await link(source, ref, member_id, now):
        raise CustomerRefTaken(source, ref)
    return await Member.get(id=member_id)


async def join(visitor: str, member_id: int, now: datetime) -> str:
    """Makes the visitor the member's, with its touches, what it paid and the names that shops have
    for it; belongs into a unit of work that holds the visitor, see `hold`. Returns the visitor id
    to use from now on, see `touches.join`."""
    joined = await touches.join(visitor, member_id, now)
    if joined == visitor:
        unowned = Conversion.filter(visitor=visitor)
        await _adopt(unowned, member_id, visitor_lane(visitor), now)
    return joined


async def _adopt(
    conversions: QuerySet[Conversion], member_id: int, old_lane: str, now: datetime
) -> None:
    """Gives the member the conversions of a customer who was nobody yet."""
    # Rows are locked by id wherever several are, and conversions before their work, as workers
    # do, so that nobody waits crosswise.
    found = await conversions.filter(member_id__isnull=True).order_by("id").select_for_update()
    await outbox.move(TOPIC, old_lane, member_lane(member_id))
    if not found:
        return
    decided = [each for each in found if each.status in DECIDED]
    refunds = Conversion.filter(
        order_id__in=[each.id for each in decided], member_id__isnull=True, status__in=DECIDED
    )
    paid = [*decided, *(await refunds.order_by("id").select_for_update() if decided else [])]
    waiting = [each for each in found if each.status is ConversionStatus.PARKED]
    for conversion in (*paid, *waiting):
        conversion.member_id = member_id
    if paid:
        await Conversion.filter(id__in=[each.id for each in paid]).update(member_id=member_id)
        standings = await Standings.load([member_id], now)
        for conversion in sorted(paid, key=_time):
            crediting.count(standings, conversion, member_id)
        await standings.save()
    await reopen(sorted(waiting, key=_time), now)
    for source, ref in sorted({(each.source, each.customer_ref or "") for each in found}):
        if ref:
            await link(source, ref, member_id, now)


def _time(conversion: Conversion) -> tuple[datetime, int]:
    return conversion.occurred_at, conversion.id


async def reopen(waiting: Sequence[Conversion], now: datetime) -> None:
    """Has parked conversions decided again, in the given order; belongs into a unit of work."""
    for conversion in waiting:
        conversion.status = ConversionStatus.PENDING
        await conversion.save(update_fields=["status", "member_id"])
    await outbox.put(TOPIC, [(each.id, lane(each)) for each in waiting], now)


async def type_in(row: Conversion, code: str | None, now: datetime) -> Sequence[Mistake]:
    """Makes the code that came with a conversion a touch of its customer, at its time; belongs into
    its unit of work, once the customer is named. Returns the mistake where no link has it: no order
    is lost to a typing mistake."""
    if code is None:
        return []
    found = await links.find(code)
    if found is None:
        return [CodeUnknown("referralCode")]
    if row.visitor is None:
        row.visitor = touches.new_visitor()
        if row.member_id is not None:
            row.visitor = await touches.join(row.visitor, row.member_id, now)
    touch = await Touch.create(link=found, visitor=row.visitor, touched_at=row.occurred_at)
    row.code_touch_id = touch.id
    return []


@database.unit_of_work
async def report(
    found: Link,
    visitor: str,
    touched_at: datetime,
    *,
    member_id: int | None,
    now: datetime,
    channel: str | None = None,
    late: bool = False,
) -> str:
    """Writes a click that a client tells of, a person's always, and joins it to the member who is
    signed in there, if any. Returns the visitor id to use from now on.

    With `late`, which is a service's, what happened since and was credited to nobody for want of
    an eligible touch is decided again.
    """
    if member_id is not None or late:
        await hold(visitor)
    if member_id is not None:
        visitor = await join(visitor, member_id, now)
    await Touch.create(link=found, visitor=visitor, touched_at=touched_at, channel=channel)
    if late:
        await _reconsider(visitor, touched_at, now)
    return visitor


async def _reconsider(visitor: str, touched_at: datetime, now: datetime) -> None:
    owned = await Visitor.get_or_none(id=visitor)
    if owned is None:
        own = Conversion.filter(visitor=visitor, member_id__isnull=True)
    else:
        own = Conversion.filter(member_id=owned.member_id)
    since = own.filter(occurred_at__gte=touched_at).exclude(type=ConversionType.REFUND)
    found = await since.order_by("id").select_for_update()
    await reopen(
        sorted((each for each in found if each.status is ConversionStatus.PARKED), key=_time), now
    )
    uncredited = [each for each in found if each.status is ConversionStatus.NOT_CREDITED]
    attributed = await Attribution.filter(
        conversion_id__in=[each.id for each in uncredited]
    ).values_list("conversion_id", flat=True)
    again = [each for each in uncredited if each.id not in {*attributed}]
    ids = [each.id for each in again]
    if ids:
        await Conversion.filter(id__in=ids).update(reopened_at=now)
        work = [(each.id, lane(each)) for each in sorted(again, key=_time)]
        await outbox.put(TOPIC, work, now)
