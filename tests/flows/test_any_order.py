"""Whatever the order in which a click, a registration, an order, a fee and two refunds arrive, the
ledger ends as if everything had come in order."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from itertools import permutations

import pytest

from members import standings
from members.identity import NewMember
from members.models import Asset, Member, Role
from referral import conversions, customers, enrollments, programs, reconciliation, registrations
from referral.conversions import NewFee, NewOrder, NewRefund
from referral.models import (
    Attribution,
    AttributionModel,
    BindingMode,
    Commission,
    Conversion,
    ConversionType,
    Link,
)
from tests import factories
from tests.factories import NOW
from tests.referral import scene

HOUR = timedelta(hours=1)
EVENTS = ("click", "registration", "order", "fee", "partial refund", "refund")
AT = {name: NOW - HOUR * (len(EVENTS) - place) for place, name in enumerate(EVENTS)}
RULES = [
    programs.Reward(ConversionType.REGISTRATION, Asset.CASH, amount=100),
    programs.Reward(ConversionType.ORDER, Asset.CASH, rate_bps=1_000),
    programs.Reward(ConversionType.FEE, Asset.CASH, rate_bps=333),
    programs.Reward(ConversionType.ORDER, Asset.CASH, rate_bps=77, level=2),
    programs.Reward(ConversionType.ORDER, Asset.POINTS, amount=7),
]
SHARED = (AttributionModel.LINEAR, BindingMode.ON_REGISTRATION)


class Story:
    """One customer of a shop, to whom everything happens once."""

    def __init__(self, name: str, link: Link, service_id: int) -> None:
        self.name = name
        self.visitor = f"visitor-{name}"
        self.link = link
        self.service_id = service_id

    def event(self, name: str) -> Callable[[], Awaitable[object]]:
        """What tells the platform of one event, now."""
        return getattr(self, f"_{name.replace(' ', '_')}")

    async def _click(self) -> None:
        await customers.report(
            self.link, self.visitor, AT["click"], member_id=None, now=NOW, late=True
        )

    async def _registration(self) -> None:
        new = NewMember(self.name, f"{self.name}@example.com", registered_at=AT["registration"])
        await registrations.register(new, self.visitor, NOW)

    async def _order(self) -> None:
        order = NewOrder(
            "shop",
            f"O-{self.name}",
            9_999,
            customer_ref=f"c-{self.name}",
            occurred_at=AT["order"],
            visitor=self.visitor,
            commissionable_minor=9_001,
        )
        await conversions.record_order(order, self.service_id, NOW)

    async def _fee(self) -> None:
        fee = NewFee(
            "shop",
            f"F-{self.name}",
            2_345,
            customer_ref=f"c-{self.name}",
            occurred_at=AT["fee"],
        )
        await conversions.record_fee(fee, self.service_id, NOW)

    async def _partial_refund(self) -> None:
        await self._take_back("P", 1_234, AT["partial refund"])

    async def _refund(self) -> None:
        await self._take_back("R", 5_000, AT["refund"])

    async def _take_back(self, number: str, amount_minor: int, at: datetime) -> None:
        refund = NewRefund(
            "shop", f"{number}-{self.name}", amount_minor, f"O-{self.name}", occurred_at=at
        )
        await conversions.record_refund(refund, self.service_id, NOW)

    async def end(self) -> object:
        """What is left of it all: everything that money and tiers depend on."""
        member = await Member.get(display_name=self.name)
        mine = await Conversion.filter(member=member).order_by("type", "occurred_at")
        ids = [each.id for each in mine]
        names = {each.id: (each.type, each.occurred_at) for each in mine}
        _, measured = await standings.of([member.id], NOW)
        return (
            [(each.type, each.status, each.refunded_minor) for each in mine],
            sorted(
                (names[each.conversion_id], each.promoter_id, each.level, each.weight_ppm)
                for each in await Attribution.filter(conversion_id__in=ids)
            ),
            sorted(
                _earned(names[each.conversion_id], each)
                for each in await Commission.filter(conversion_id__in=ids)
            ),
            measured[member.id].values,
        )


def _earned(of: object, each: Commission) -> tuple[object, ...]:
    owner = (of, each.promoter_id, each.level, each.asset)
    return (*owner, each.amount, each.reversed, each.account)


@pytest.mark.parametrize("first", EVENTS)
async def test_every_order_of_arrival_ends_in_the_same_ledger(opened: str, first: str) -> None:
    service = (await factories.person("shop", Role.SERVICE)).member
    lin, wang = [(await factories.person(each, Role.KOC)).member for each in ("lin", "wang")]
    terms = programs.Terms(
        "friends", "Friends", (Role.KOC,), model=SHARED[0], binding=SHARED[1], binding_days=1
    )
    program = await programs.save(terms, RULES, currency="CNY", now=NOW)
    await enrollments.enroll("friends", wang.id, NOW)
    await enrollments.enroll("friends", lin.id, NOW, parent_id=wang.id)
    link = await factories.link(lin, program)

    arrivals = [EVENTS, *(each for each in permutations(EVENTS) if each[0] == first)]
    stories = [Story(f"m{number}", link, service.id) for number in range(len(arrivals))]
    for step in range(len(EVENTS)):
        for story, arrival in zip(stories, arrivals, strict=True):
            await story.event(arrival[step])()
        await scene.settle()

    expected = await stories[0].end()
    for story, arrival in zip(stories, arrivals, strict=True):
        assert await story.end() == expected, arrival
    statuses, attributions, commissions, _ = expected  # type: ignore[misc]
    assert len(statuses) == 5
    assert len(attributions) == 4
    assert [row[4:6] for row in commissions if row[3] is Asset.CASH] != []
    assert (await reconciliation.reconcile(NOW)).problems == []
