"""How often somebody may try to sign in, also many at once."""

import asyncio
from datetime import datetime, timedelta

import pytest

from core import database
from members import attempts, expired
from members.attempts import PER_ACCOUNT, PER_ADDRESS, WINDOW, Attempt
from members.errors import TooManyAttempts
from members.models import SignInFailure
from tests.factories import NOW

SECRET = "a secret of the tests"
SECOND = timedelta(seconds=1)
TICK = timedelta(microseconds=1)


async def begin(
    email: str = "mei@example.com", address: str | None = None, now: datetime = NOW
) -> Attempt:
    return await attempts.begin(email, address, SECRET, now)


@database.unit_of_work
async def forgive(attempt: Attempt) -> None:
    await attempts.forgive(attempt)


async def fail(times: int, email: str = "mei@example.com", address: str | None = None) -> None:
    for _ in range(times):
        await begin(email, address)


async def test_ten_failures_of_an_account_are_let_through_and_no_more(opened: str) -> None:
    await fail(PER_ACCOUNT)
    with pytest.raises(TooManyAttempts):
        await begin()
    assert PER_ACCOUNT == await SignInFailure.all().count() == 10


async def test_an_account_is_one_whatever_its_case_and_others_are_others(opened: str) -> None:
    await fail(PER_ACCOUNT)
    for same in ("MEI@example.com", " mei@Example.COM "):
        with pytest.raises(TooManyAttempts):
            await begin(same)
    await begin("lan@example.com")


async def test_a_refused_attempt_is_not_counted(opened: str) -> None:
    await fail(PER_ACCOUNT)
    for _ in range(3):
        with pytest.raises(TooManyAttempts):
            await begin(address="192.0.2.1")
    assert await SignInFailure.all().count() == PER_ACCOUNT


async def test_an_attempt_counts_until_it_is_15_minutes_old(opened: str) -> None:
    await begin()
    for _ in range(PER_ACCOUNT - 1):
        await begin(now=NOW + SECOND)
    with pytest.raises(TooManyAttempts) as refused:
        await begin(now=NOW + WINDOW - TICK)
    assert refused.value.wait == TICK
    await begin(now=NOW + WINDOW)
    with pytest.raises(TooManyAttempts) as refused:
        await begin(now=NOW + WINDOW)
    assert refused.value.wait == SECOND
    assert timedelta(minutes=15) == WINDOW


async def test_an_address_has_a_hundred_failures_over_all_accounts(opened: str) -> None:
    for number in range(PER_ADDRESS):
        await begin(f"{number}@example.com", "192.0.2.1")
    with pytest.raises(TooManyAttempts):
        await begin("fresh@example.com", "192.0.2.1")
    await begin("fresh@example.com", "192.0.2.2")
    await begin("fresh@example.com")
    assert PER_ADDRESS == 100


async def test_the_right_password_clears_the_account_and_not_the_address(
    opened: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "PER_ADDRESS", 5)
    await fail(4, address="192.0.2.1")
    await forgive(await begin(address="192.0.2.1"))
    assert await SignInFailure.all().count() == 4
    await fail(1, "lan@example.com", "192.0.2.1")
    with pytest.raises(TooManyAttempts):
        await begin("ping@example.com", "192.0.2.1")
    await fail(PER_ACCOUNT)


async def test_those_who_sign_in_rightly_never_use_up_their_address(
    embedded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "PER_ADDRESS", 2)
    for _ in range(5):
        await forgive(await begin(address="192.0.2.1"))
    assert await SignInFailure.all().count() == 0


async def test_forgiving_one_account_forgives_no_other(opened: str) -> None:
    await fail(PER_ACCOUNT, "lan@example.com")
    await forgive(await begin())
    with pytest.raises(TooManyAttempts):
        await begin("lan@example.com")


async def test_many_at_once_cannot_exceed_the_limit(opened: str) -> None:
    results = await asyncio.gather(
        *(begin(address=f"192.0.2.{number % 7}") for number in range(40)), return_exceptions=True
    )
    assert sum(isinstance(result, Attempt) for result in results) == PER_ACCOUNT
    assert sum(isinstance(result, TooManyAttempts) for result in results) == 40 - PER_ACCOUNT


async def test_many_accounts_at_once_cannot_exceed_the_limit_of_an_address(
    opened: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "PER_ADDRESS", 12)
    results = await asyncio.gather(
        *(begin(f"{number}@example.com", "192.0.2.1") for number in range(40)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, Attempt) for result in results) == 12


async def test_guessing_and_signing_in_at_once_do_not_wait_for_each_other_crosswise(
    opened: str,
) -> None:
    async def sign_in(number: int) -> None:
        await forgive(await begin(f"{number % 3}@example.com", f"192.0.2.{number % 2}"))

    # Old rows are there to be swept by all of them at the same time.
    for _ in range(expired.BITE):
        await SignInFailure.create(key="old", at=NOW - WINDOW)
    await asyncio.gather(*(sign_in(number) for number in range(24)))
    assert await SignInFailure.all().count() == 0


async def test_no_address_is_kept_and_no_hash_that_could_be_guessed(opened: str) -> None:
    await begin("mei@example.com", "192.0.2.1")
    rows = await database.rows("SELECT * FROM sign_in_failure")
    assert "mei" not in str(rows)
    assert "192.0.2.1" not in str(rows)
    await attempts.begin("mei@example.com", "192.0.2.1", "another secret", NOW)
    assert len({row.key for row in await SignInFailure.all()}) == 4
    assert {len(row.key) for row in await SignInFailure.all()} == {64}


async def test_an_account_named_like_an_address_is_another_thing(embedded: str) -> None:
    await begin("192.0.2.1", "192.0.2.1")
    assert len({row.key for row in await SignInFailure.all()}) == 2


async def test_whatever_is_sent_as_an_address_is_counted(embedded: str) -> None:
    for email in ("", "\0", "\ud800", "x" * 10_000):
        await fail(PER_ACCOUNT, email)
        with pytest.raises(TooManyAttempts):
            await begin(email)


async def test_rows_that_no_longer_matter_are_swept_a_few_at_a_time(opened: str) -> None:
    old, last = NOW - WINDOW, NOW - WINDOW + TICK
    for _ in range(expired.BITE + 5):
        await SignInFailure.create(key="old", at=old)
    await SignInFailure.create(key="young", at=last)
    await begin()
    assert await SignInFailure.filter(key="old").count() == 5
    await begin()
    assert await SignInFailure.filter(key="old").count() == 0
    assert await SignInFailure.filter(key="young").count() == 1
