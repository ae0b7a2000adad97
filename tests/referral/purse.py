"""Plays what a promoter earns and gets: orders through its link, time, refunds, pay-outs."""

import itertools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from core import database
from members import ledger, payees
from members.models import Asset, EntryKind, LedgerTransfer, Member, Role
from members.payees import Payee
from referral import adjusting, holding, looking, payouts, reconciliation, releasing
from referral.models import Commission, Payout, Program, RiskCase, RiskItem, RiskStatus
from referral.risk_rules import Limits
from tests import factories
from tests.conftest import SECRET
from tests.factories import NOW
from tests.members.statements import LOG
from tests.referral import scene
from tests.referral.scene import Shop

FINANCE = 7  # whoever runs and settles
VAULT = payees.Vault([SECRET])
NUMBERS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Purse:
    """A promoter, and a customer who buys through its link, at 10 % in cash."""

    promoter: Member
    customer: Member
    shop: Shop
    program: Program
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def earn(self, amount: int, *, due: datetime = NOW) -> Commission:
        """A commission of this amount, pending until it is due."""
        name = f"{self.promoter.id}-{next(self.numbers)}"
        await self.shop.order(name, amount * 10, self.customer)
        await scene.settle()
        order = await self.shop.find(name)
        await Commission.filter(conversion=order).update(available_at=due)
        await look()
        commission = await Commission.get(conversion=order)
        assert commission.amount == amount
        return commission

    async def available(self, amount: int) -> Commission:
        """The same, and released."""
        commission = await self.earn(amount)
        await release()
        return commission

    async def refund(self, commission: Commission, amount: int) -> None:
        """Takes this much of the commission back."""
        order = await commission.conversion
        name = f"R{next(NUMBERS)}"
        await self.shop.refund(name, amount * 10, of=order.external_id)
        await scene.settle()

    async def holds(self, asset: Asset = Asset.CASH) -> tuple[int, int, int, int]:
        """Pending, available, held, paid."""
        for each in await ledger.balances(self.promoter.id):
            if each.asset is asset:
                return each.pending, each.available, each.held, each.paid
        return 0, 0, 0, 0

    async def set_payee(self, account: str = "6222 0000 1111 2222") -> None:
        payee = Payee("BANK", "林小雨", account, "ICBC")
        await payees.put(self.promoter.id, payee, VAULT, NOW)


async def purse(name: str = "lin", *, payee: bool = True, program: Program | None = None) -> Purse:
    """A promoter of the program, with a payee and a customer."""
    program = program or await factories.program()
    promoter = (await factories.person(name, Role.EMPLOYEE)).member
    teller = (await factories.person("shop", Role.SERVICE)).member
    link = await factories.link(promoter, program)
    customer = await scene.customer(link, name=f"{name}'s customer")
    made = Purse(promoter, customer, Shop(teller.id), program)
    if payee:
        await made.set_payee()
    return made


async def look(limits: Limits | None = None, now: datetime = NOW) -> None:
    """Has the rules of risk look at everything that was decided."""
    while await looking.look(limits or Limits(), now):
        pass


async def release(now: datetime = NOW) -> None:
    while await releasing.work(now):
        pass


@database.unit_of_work
async def hold(*commissions: Commission, fact: str = "case", now: datetime = NOW) -> list[int]:
    """As a case of this name would."""
    case = await RiskCase.create(
        key=f"{fact} {next(NUMBERS)}",
        rule=fact,
        status=RiskStatus.OPEN,
        promoter_id=commissions[0].promoter_id,
        evidence={},
        created_at=now,
    )
    for each in commissions:
        await RiskItem.create(case=case, conversion_id=each.conversion_id, commission_id=each.id)
    return [*await holding.hold([each.id for each in commissions], fact, now)]


@database.unit_of_work
async def unhold(*commissions: Commission, fact: str = "case", now: datetime = NOW) -> list[int]:
    await RiskCase.filter(
        id__in=await RiskItem.filter(
            commission_id__in=[each.id for each in commissions]
        ).values_list("case_id", flat=True)
    ).update(status=RiskStatus.RELEASED)
    return [*await holding.unhold([each.id for each in commissions], fact, now)]


async def run(program: str = "friends") -> list[tuple[int, int]]:
    """Whom a run pays, and how much."""
    made = await payouts.run(program, FINANCE, NOW)
    return [(each.member_id, each.amount_minor) for each in made]


async def one_payout(amount: int = 100) -> tuple[Purse, Payout]:
    lin = await purse()
    await lin.available(amount)
    await run()
    return lin, await Payout.get()


async def adjust(of: Purse, amount: int, key: str, asset: Asset = Asset.CASH) -> None:
    await adjusting.adjust(
        of.promoter.id,
        of.program.code,
        asset=asset,
        amount=amount,
        memo="a correction",
        key=key,
        actor_id=FINANCE,
        now=NOW,
    )


async def account(commission: Commission) -> str:
    return (await Commission.get(id=commission.id)).account.value


async def booked(*kinds: EntryKind) -> list[int]:
    """The amounts of the transfers of these kinds, in their order."""
    rows = LedgerTransfer.filter(kind__in=kinds).order_by("id").values_list("amount", flat=True)
    return [int(str(amount)) for amount in await rows]


async def problems() -> list[str]:
    return [*(await reconciliation.reconcile(NOW)).problems]


class Killed(BaseException):
    """What a killed process would have been: nobody catches it."""


class _Death(logging.Handler):
    def __init__(self, after: int) -> None:
        super().__init__(logging.DEBUG)
        self.left = after

    def emit(self, record: logging.LogRecord) -> None:
        if self.left == 0:
            raise Killed
        self.left -= 1


@contextmanager
def dying(after: int) -> Iterator[None]:
    """Ends whatever runs before the statement behind so many others is sent."""
    death, level = _Death(after), LOG.level
    LOG.addHandler(death)
    LOG.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        LOG.setLevel(level)
        LOG.removeHandler(death)
