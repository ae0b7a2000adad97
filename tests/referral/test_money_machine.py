"""Whatever happens in whatever order, the books are those of a plain model on paper."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from core import database
from referral import payouts, risk, risk_deciding
from referral.models import Commission, Payout, PayoutStatus, RiskCase
from referral.risk import Suspicion
from referral.risk_rules import Rule
from tests.factories import NOW
from tests.referral import purse
from tests.referral.purse import Purse

STEPS = 40
LEAST = 60


@database.unit_of_work
async def report(suspicion: Suspicion) -> None:
    await database.lock(risk.LOCK)
    await risk.report([suspicion], NOW)


@dataclass(slots=True, eq=False)
class Earned:
    """A commission on paper: what is left of it, and where that is."""

    row: Commission
    left: int
    place: str = "pending"


@dataclass(slots=True)
class Paper:
    """What semantics says should be there, with sums in place of a ledger."""

    earned: list[Earned] = field(default_factory=list)
    owed_back: int = 0  # refunded after it was paid out, and not yet made up for
    in_payouts: int = 0
    open: dict[int, list[Earned]] = field(default_factory=dict)  # what each open case is about

    def is_suspected(self, earned: Earned) -> bool:
        return any(earned in about for about in self.open.values())

    def hold(self) -> None:
        """What an open case is about and is not paid out."""
        for each in self.earned:
            if each.place != "paid" and self.is_suspected(each):
                each.place = "held"

    def holds(self) -> tuple[int, int, int, int]:
        of = {place: sum(e.left for e in self.earned if e.place == place) for place in PLACES}
        return of["pending"], of["available"] - self.owed_back, of["held"], self.in_payouts


PLACES = ("pending", "available", "held", "paid")


class Machine:
    """Does the same to the platform and on paper."""

    def __init__(self, lin: Purse, dice: random.Random) -> None:
        self.lin, self.dice, self.paper = lin, dice, Paper()
        self.facts = iter(range(10_000))

    def pick(self, *places: str) -> Earned | None:
        found = [each for each in self.paper.earned if each.place in places]
        return self.dice.choice(found) if found else None

    async def earn(self) -> None:
        amount = self.dice.randrange(1, 90)
        self.paper.earned.append(Earned(await self.lin.earn(amount), amount))

    async def release(self) -> None:
        await purse.release()
        for each in self.paper.earned:
            if each.place == "pending":
                each.place = "available"

    async def suspect(self) -> None:
        """A case about some commissions, wherever they are; some may be another case's, too."""
        some = [each for each in self.paper.earned if self.dice.random() < 0.3]
        if not some:
            return
        stake = await risk.at_stake(
            {each.row.conversion_id for each in some}, [each.row for each in some]
        )
        await report(
            Suspicion(Rule.ORDER_VELOCITY, self.lin.promoter.id, stake, str(next(self.facts)))
        )
        case = await RiskCase.all().order_by("-id").first()
        assert case is not None
        self.paper.open[case.id] = some
        self.paper.hold()

    async def decide(self) -> None:
        """One of the cases, for or against; what it is about in another one stays held."""
        if not self.paper.open:
            return
        case_id = self.dice.choice([*self.paper.open])
        release = self.dice.random() < 0.5
        await risk_deciding.decide(
            case_id, release=release, note=None, actor_id=self.lin.customer.id, now=NOW
        )
        for each in self.paper.open.pop(case_id):
            if each.place == "held" and not release:
                each.left = 0
            if each.place == "held" and release and not self.paper.is_suspected(each):
                each.place = "available"

    async def refund(self) -> None:
        each = self.pick(*PLACES)
        if each and each.left:
            amount = self.dice.choice([each.left, self.dice.randrange(1, each.left + 1)])
            await self.lin.refund(each.row, amount)
            each.left -= amount
            self.paper.owed_back += amount if each.place == "paid" else 0

    async def run(self) -> None:
        _, available, _, _ = self.paper.holds()
        made = await payouts.run("friends", 1, NOW)
        assert [each.amount_minor for each in made] == [available] * (available >= LEAST)
        if made:
            for each in self.paper.earned:
                each.place = "paid" if each.place == "available" else each.place
            self.paper.owed_back = 0
            self.paper.in_payouts += available

    async def fail(self) -> None:
        rows = await Payout.exclude(status=PayoutStatus.FAILED).order_by("id")
        if not rows:
            return
        payout = self.dice.choice(rows)
        mine = {each.id for each in await Commission.filter(payout_id=payout.id)}
        sent = payout.status is PayoutStatus.PROCESSING and self.dice.random() < 0.5
        await payouts.settle(payout.id, sent=sent, reference=None, reason=None, actor_id=1, now=NOW)
        if sent:
            return
        self.paper.in_payouts -= payout.amount_minor
        back = 0
        for each in self.paper.earned:
            if each.row.id in mine:
                each.place = "available"
                back += each.left
        # Its commissions are worth what is left of them; the rest of its amount makes up for what
        # was refunded since.
        self.paper.owed_back += back - payout.amount_minor
        self.paper.hold()


@pytest.mark.parametrize("seed", range(6))
async def test_any_sequence_ends_in_the_books_on_paper(opened: str, seed: int) -> None:
    dice = random.Random(seed)
    lin = await purse.purse()
    lin.program.min_payout_minor = LEAST
    await lin.program.save()
    machine = Machine(lin, dice)
    steps: list[Callable[[], Awaitable[None]]] = [
        *(machine.earn, machine.earn, machine.release, machine.refund),
        *(machine.suspect, machine.decide, machine.run, machine.fail),
    ]
    for number in range(STEPS):
        step = dice.choice(steps)
        await step()
        assert await lin.holds() == machine.paper.holds(), (number, step.__name__)
    assert await purse.problems() == []
    for each in machine.paper.earned:
        row = await Commission.get(id=each.row.id)
        assert (row.account.value.lower(), row.amount - row.reversed) == (each.place, each.left)
