"""Plays what happens around an order: customers who come through a link, shops that tell of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from core import outbox
from members import ledger
from members.identity import NewMember
from members.models import Asset, Member, Standing
from referral import conversions, crediting, invitations, registrations, touches
from referral.conversions import NewOrder, NewRefund, Recorded
from referral.models import (
    Commission,
    Conversion,
    ConversionStatus,
    ConversionType,
    Link,
    TouchVerdict,
)
from tests import factories
from tests.factories import NOW, Stage

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Shop:
    """A shop that tells of its orders and refunds, under one source."""

    member_id: int
    source: str = "shop"

    async def order(
        self,
        external_id: str,
        amount_minor: int,
        customer: Member | int | None = None,
        *,
        ref: str | None = None,
        at: datetime | None = None,
        now: datetime = NOW,
    ) -> Recorded:
        order = NewOrder(self.source, external_id, amount_minor, _id(customer), ref, at)
        return await conversions.record_order(order, self.member_id, now)

    async def refund(
        self,
        external_id: str,
        amount_minor: int,
        of: str | None = None,
        customer: Member | int | None = None,
        *,
        ref: str | None = None,
        at: datetime | None = None,
        now: datetime = NOW,
    ) -> Recorded:
        refund = NewRefund(self.source, external_id, amount_minor, of, _id(customer), ref, at)
        return await conversions.record_refund(refund, self.member_id, now)

    async def find(
        self, external_id: str, kind: ConversionType = ConversionType.ORDER
    ) -> Conversion:
        return await Conversion.get(type=kind, source=self.source, external_id=external_id)

    async def status(
        self, external_id: str, kind: ConversionType = ConversionType.ORDER
    ) -> ConversionStatus:
        return (await self.find(external_id, kind)).status

    async def refund_status(self, external_id: str) -> ConversionStatus:
        return await self.status(external_id, ConversionType.REFUND)


def _id(member: Member | int | None) -> int | None:
    return member.id if isinstance(member, Member) else member


def shop(stage: Stage, source: str = "shop") -> Shop:
    return Shop(stage.shop.member.id, source)


async def customer(
    link: Link | None, *, ago: timedelta = DAY, email: str | None = None, name: str = "Mei"
) -> Member:
    """Somebody who came through the link so long ago, and registered."""
    visitor = None
    if link is not None:
        visitor = touches.new_visitor()
        await factories.click(link, visitor, NOW - ago)
    return (await registrations.register(NewMember(name, email), visitor, NOW)).member


async def settle(now: datetime = NOW) -> None:
    """Credits until nothing is due any more."""
    while await crediting.work(now):
        pass
    assert not await crediting.work(now)


async def told() -> list[Conversion]:
    """What shops told; registrations and enrolments happen here and are not among them."""
    return await Conversion.exclude(source=invitations.SOURCE).order_by("id")


async def open_messages() -> int:
    return await outbox.open_count(conversions.TOPIC)


async def spend(member: Member) -> int:
    return (await Standing.get(member_id=member.id)).spend_minor


async def tier(member: Member) -> str | None:
    row = await Standing.get(member_id=member.id).select_related("tier")
    return row.tier and row.tier.code


async def pending(promoter: Member) -> int:
    """What the promoter's pending account in cash holds."""
    of = {each.asset: each for each in await ledger.balances(promoter.id)}
    return of[Asset.CASH].pending if Asset.CASH in of else 0


async def commissions(order: Conversion) -> list[tuple[int, int]]:
    rows = Commission.filter(conversion=order).order_by("id").values_list("amount", "reversed")
    return [(amount, taken_back) for amount, taken_back in await rows]


async def explanation(order: Conversion) -> list[str]:
    rows = TouchVerdict.filter(conversion=order).order_by("id")
    return [row.verdict.value for row in await rows]
