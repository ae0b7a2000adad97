"""Plays what the rules of risk look for, and asks what became of it."""

from datetime import datetime, timedelta

from members.models import Member, Role
from referral import looking, risk_deciding
from referral.models import Commission, Conversion, RiskCase, RiskStatus
from referral.risk_rules import Limits
from tests import factories
from tests.factories import NOW
from tests.referral import purse, scene
from tests.referral.purse import Purse

TWO = Limits(registrations=2, orders=2, window=timedelta(hours=1))
MINUTE = timedelta(minutes=1)


async def orders(
    lin: Purse, *minutes: float, customer: Member | None = None, amount: int = 1_000
) -> list[Conversion]:
    """Orders through the promoter's link, so many minutes before now, decided and not looked at."""
    names = [f"{lin.promoter.id}-fast-{next(lin.numbers)}" for _ in minutes]
    for name, ago in zip(names, minutes, strict=True):
        at = NOW - ago * MINUTE
        await lin.shop.order(name, amount, customer or lin.customer, at=at)
    await scene.settle()
    return [await lin.shop.find(name) for name in names]


async def look(limits: Limits = TWO, now: datetime = NOW) -> None:
    while await looking.look(limits, now):
        pass


async def cases(status: RiskStatus | None = None) -> list[RiskCase]:
    found = RiskCase.all() if status is None else RiskCase.filter(status=status)
    return await found.order_by("id")


async def case() -> RiskCase:
    """The only one."""
    [found] = await cases()
    return found


async def decide(
    which: RiskCase, *, release: bool, note: str | None = None, now: datetime = NOW
) -> RiskCase:
    staff = await factories.person("staff", Role.OPERATOR)
    return await risk_deciding.decide(
        which.id, release=release, note=note, actor_id=staff.member.id, now=now
    )


async def held(*sales: Conversion) -> list[bool]:
    """Whether each conversion's commissions are held."""
    found: list[bool] = []
    for each in sales:
        places = {row.account.value for row in await Commission.filter(conversion=each)}
        found.append(places == {"HELD"})
    return found


async def books_are_right() -> bool:
    return await purse.problems() == []
