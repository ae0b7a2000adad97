"""Owns passwords: what one may be, how it is kept, and whether somebody knows it."""

import asyncio
import base64
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from core.errors import Invalid, Required, TooLong, storable
from members.errors import CredentialsRejected
from members.identity import EMAIL_CHARACTERS, fold_email
from members.models import Password

T = TypeVar("T")

FEWEST_CHARACTERS = 8
MOST_CHARACTERS = 128
# Each takes 64 MiB, and a core for a tenth of a second. The threads are the limit rather than a
# semaphore, which a client that hangs up would leave while its thread works on.
HASHES_AT_ONCE = 2

_threads = ThreadPoolExecutor(HASHES_AT_ONCE, thread_name_prefix="password")
# The library keeps its defaults up to date: RFC 9106, section 4, the second recommended option.
_hasher = PasswordHasher()


def check(password: str) -> None:
    """Raises `Required`, `TooLong` or `Invalid` unless it has 8 to 128 characters."""
    if not password:
        raise Required("This must not be empty.", "password")
    if len(password) < FEWEST_CHARACTERS:
        raise Invalid(f"A password has at least {FEWEST_CHARACTERS} characters.", "password")
    if len(password) > MOST_CHARACTERS:
        raise TooLong(f"A password has at most {MOST_CHARACTERS} characters.", "password")
    if not storable(password):
        raise Invalid("This must be whole Unicode characters.", "password")


async def hashed(password: str) -> str:
    """How the password is kept; takes a while, in a thread of its own."""
    return await _in_thread(lambda: _hasher.hash(_typed(password)))


async def prove(email: str, password: str) -> Password:
    """The password of the member with this address, if that is the one; with its `member`.

    Raises `CredentialsRejected` otherwise. An unknown address, a member without a password and a
    wrong password take the same work: one statement and one verification.
    """
    key = fold_email(email)
    known = Password.filter(member__email_key=key if storable(key, EMAIL_CHARACTERS) else "")
    kept = await known.select_related("member").first()
    right = await _verify(kept.hash if kept else _nobodys(), password)
    if kept is None or not right:
        raise CredentialsRejected
    return kept


async def renew(kept: Password, password: str) -> None:
    """Hashes the password again where it is kept with other parameters than today's."""
    if _hasher.check_needs_rehash(kept.hash):
        renewed = await hashed(password)
        await Password.filter(id=kept.id, hash=kept.hash).update(hash=renewed)


async def keep(member_id: int, hash: str, now: datetime) -> None:
    """Writes a member's first password, as `hashed` made it; belongs into a unit of work."""
    await Password.create(member_id=member_id, hash=hash, set_at=now)


async def _verify(kept: str, password: str) -> bool:
    def verify() -> bool:
        try:
            return _hasher.verify(kept, _typed(password))
        except VerifyMismatchError:
            return False

    return await _in_thread(verify)


def _nobodys() -> str:
    """A hash with today's parameters that no password has: its digest is mere chance."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(length)).decode().rstrip("=")
        for length in (_hasher.salt_len, _hasher.hash_len)
    )
    cost = f"m={_hasher.memory_cost},t={_hasher.time_cost},p={_hasher.parallelism}"
    return f"$argon2id$v=19${cost}${salt}${digest}"


def _typed(password: str) -> bytes:
    """The password whatever keyboard it came from: NIST SP 800-63B, section 3.1.1.2."""
    return unicodedata.normalize("NFKC", password).encode(errors="surrogatepass")


async def _in_thread(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_threads, work)
