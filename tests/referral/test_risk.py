"""Whoever raises cases, decides them or brings money back takes turns with the others."""

import asyncio
from collections.abc import Awaitable, Callable

from core import database
from members.models import Role
from members.payees import Payee
from referral import looking, payouts, risk, risk_deciding, shared_payees
from referral.models import Commission, Payout
from referral.risk_rules import Limits
from tests import factories
from tests.factories import NOW
from tests.referral import purse
from tests.referral.purse import VAULT, Purse
from tests.referral.suspects import TWO, books_are_right, case, look, orders

LONG_ENOUGH_SECONDS = 0.3


async def busy() -> Purse:
    """A promoter with a pay-out, an open case, and an order that was not looked at."""
    lin = await purse.purse()
    await lin.available(100)
    await purse.run()
    await orders(lin, 9, 8, 7)
    await look()
    await orders(lin, 6)
    return lin


async def acts(lin: Purse) -> dict[str, Callable[[], Awaitable[object]]]:
    """What may happen at the same moment."""
    staff = (await factories.person("staff", Role.OPERATOR)).member
    found, payout = await case(), await Payout.get()
    payee = Payee("BANK", "Lin", "6222", None)
    said = {"sent": False, "reference": None, "reason": None}
    decided = {"release": True, "note": None}
    return {
        "look": lambda: looking.look(TWO, NOW),
        "name an account": lambda: shared_payees.put(lin.promoter.id, payee, VAULT, NOW),
        "decide": lambda: risk_deciding.decide(found.id, actor_id=staff.id, now=NOW, **decided),
        "fail": lambda: payouts.settle(payout.id, actor_id=staff.id, now=NOW, **said),
    }


async def test_all_that_touches_cases_takes_turns(opened: str) -> None:
    lin = await busy()
    ready = await acts(lin)
    taken, free = asyncio.Event(), asyncio.Event()

    @database.unit_of_work
    async def keep() -> None:
        await database.lock(risk.LOCK)
        taken.set()
        await free.wait()

    keeping = asyncio.create_task(keep())
    await taken.wait()
    waiting = {name: asyncio.ensure_future(act()) for name, act in ready.items()}
    await asyncio.sleep(LONG_ENOUGH_SECONDS)
    early = [name for name, each in waiting.items() if each.done()]
    free.set()
    await asyncio.gather(keeping, *waiting.values())
    assert early == []
    assert await books_are_right()
    assert await lin.holds() in {(200, 100, 200, 0), (300, 100, 100, 0), (400, 100, 0, 0)}


async def test_what_was_looked_at_stays_when_the_limit_is_lowered(opened: str) -> None:
    lin = await purse.purse()
    await orders(lin, 50, 49)
    await look()
    (third,) = await orders(lin, 5)
    await look(Limits(orders=1))
    assert (await case()).conversion_id == third.id
    assert await Commission.filter(account="HELD").count() == 1
