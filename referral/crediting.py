"""Owns the crediting: what was accepted is decided, booked and marked done in one transaction.

A batch is loaded in a fixed number of statements, decided in memory by pure functions, one
conversion after the other as they came in, and written in a fixed number of statements.
"""

from collections.abc import Sequence
from datetime import datetime

from core import database, outbox
from referral import conversions
from referral.casebook import Casebook


async def work(now: datetime) -> bool:
    """Claims what is due and credits it; True when there may be more.

    Whatever goes wrong is kept with the rows, which are tried again, and raised.
    """
    claims = await outbox.claim(conversions.TOPIC, now)
    if not claims:
        return False
    try:
        await credit(claims, now)
    except Exception as error:
        await outbox.give_back(claims, error, now)
        raise
    return len(claims) == outbox.BATCH or claims[0].attempts > 1


@database.unit_of_work
async def credit(claims: Sequence[outbox.Claim], now: datetime) -> None:
    """Decides the claimed conversions in order and books what follows from them.

    A conversion that is decided already is left as it is: a second delivery credits nothing.
    Raises `outbox.LeaseLost` when another worker has taken over; nothing is written then.
    """
    await outbox.settle(claims, now)
    casebook = await Casebook.load([each.subject_id for each in claims], now)
    for claim in claims:
        casebook.decide(claim.subject_id)
    await casebook.save()
