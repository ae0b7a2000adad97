"""Owns how often somebody may try to sign in: per account and per client address."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from core import database
from members import expired
from members.errors import TooManyAttempts
from members.identity import fold_email
from members.models import SignInFailure

WINDOW = timedelta(minutes=15)
PER_ACCOUNT = 10
PER_ADDRESS = 100


@dataclass(frozen=True, slots=True)
class Attempt:
    """One that was let through: a failure until it is forgiven."""

    account: str
    address_row_id: int | None


@database.unit_of_work
async def begin(email: str, address: str | None, secret: str, now: datetime) -> Attempt:
    """Counts an attempt before it is made, so that parallel ones cannot exceed the limit.

    Raises `TooManyAttempts` at 10 failures of the account or 100 of the address in 15 minutes,
    and counts nothing then. Whether the account exists makes no difference. Without an address
    the account alone counts. Neither is kept but hashed with the secret.
    """
    account = _key(secret, "account", fold_email(email))
    limits = {account: PER_ACCOUNT}
    if address is not None:
        limits[_key(secret, "address", address)] = PER_ADDRESS
    await database.lock(*(f"sign-in:{key}" for key in limits))
    await _check(limits, now)
    rows = {key: await SignInFailure.create(key=key, at=now) for key in limits}
    await expired.delete(SignInFailure, "at", now - WINDOW)
    address_row = next((row.id for key, row in rows.items() if key != account), None)
    return Attempt(account, address_row)


async def _check(limits: Mapping[str, int], now: datetime) -> None:
    counted = SignInFailure.filter(key__in=list(limits), at__gt=now - WINDOW)
    failures = await counted.order_by("at").values_list("key", "at")
    for key, most in limits.items():
        times = [at for each, at in failures if each == key]
        if len(times) >= most:
            raise TooManyAttempts(times[-most] + WINDOW - now)


async def forgive(attempt: Attempt) -> None:
    """After the right password: the account's failures are forgotten, and this attempt was none
    of the address; belongs into a unit of work, at its beginning."""
    await database.lock(f"sign-in:{attempt.account}")
    await SignInFailure.filter(key=attempt.account).delete()
    if attempt.address_row_id is not None:
        await SignInFailure.filter(id=attempt.address_row_id).delete()


def _key(secret: str, kind: str, value: str) -> str:
    """A hash that nobody can try addresses on without the secret."""
    text = f"sign-in {kind} {value}".encode(errors="surrogatepass")
    return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
