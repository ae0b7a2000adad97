"""Whatever happens in whatever order, the books are those of a plain model on paper."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from referral import payouts
from referral.models import Commission, Payout, PayoutStatus
from tests.factories import NOW
from tests.referral import purse
from tests.referral.purse import Purse

STEPS = 40
LEAST = 60


@dataclass(slots=True)
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

    async def hold(self) -> None:
        if each := self.pick("pending", "available", "paid"):
            await purse.hold(each.row, fact=f"case-{next(self.facts)}")
            each.place = "paid" if each.place == "paid" else "held"

    async def unhold(self) -> None:
        if each := self.pick("held"):
            await purse.unhold(each.row, fact=f"case-{next(self.facts)}")
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


@pytest.mark.parametrize("seed", range(6))
async def test_any_sequence_ends_in_the_books_on_paper(opened: str, seed: int) -> None:
    dice = random.Random(seed)
    lin = await purse.purse()
    lin.program.min_payout_minor = LEAST
    await lin.program.save()
    machine = Machine(lin, dice)
    steps: list[Callable[[], Awaitable[None]]] = [
        *(machine.earn, machine.earn, machine.release, machine.refund),
        *(machine.hold, machine.unhold, machine.run, machine.fail),
    ]
    for number in range(STEPS):
        step = dice.choice(steps)
        await step()
        assert await lin.holds() == machine.paper.holds(), (number, step.__name__)
    assert await purse.problems() == []
    for each in machine.paper.earned:
        row = await Commission.get(id=each.row.id)
        assert (row.account.value.lower(), row.amount - row.reversed) == (each.place, each.left)
