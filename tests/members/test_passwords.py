"""Passwords: what one may be, how it is kept, and that a wrong one tells nothing."""

import asyncio
import threading
import time
from typing import Any

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.profiles import RFC_9106_LOW_MEMORY

from core import database
from core.errors import Invalid, Mistake, Required, TooLong
from members import identity, passwords
from members.errors import CredentialsRejected
from members.identity import NewMember
from members.models import Member, Password
from tests.factories import NOW, QUICK
from tests.members.statements import watched

PASSWORD = "correct horse battery"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_hasher", QUICK)


@database.unit_of_work
async def create(email: str, hash: str | None) -> Member:
    member = await identity.create(NewMember("Mei", email), NOW)
    if hash is not None:
        await passwords.keep(member.id, hash, NOW)
    return member


async def mei(password: str = PASSWORD) -> Member:
    return await create("Mei@Example.com", await passwords.hashed(password))


@pytest.mark.parametrize(
    "password", ["x" * 8, "x" * 128, "密码密码密码密码", " 1234567 ", "\U0001f511" * 8]
)
def test_a_password_has_8_to_128_characters(password: str) -> None:
    passwords.check(password)


@pytest.mark.parametrize(
    ("password", "kind"),
    [
        ("", Required),
        ("x" * 7, Invalid),
        ("\U0001f511" * 7, Invalid),
        ("x" * 129, TooLong),
        ("x" * 8 + "\0", Invalid),
        ("x" * 8 + "\ud800", Invalid),
    ],
)
def test_any_other_is_refused_on_its_field(password: str, kind: type[Mistake]) -> None:
    with pytest.raises(kind) as refused:
        passwords.check(password)
    assert refused.value.field == ("password",)
    assert password == "" or password not in refused.value.message


async def test_a_password_is_kept_as_argon2id_with_the_profile_of_rfc_9106(opened: str) -> None:
    member = await mei()
    row = await Password.get(member=member)
    assert row.hash.startswith("$argon2id$")
    assert extract_parameters(row.hash) == RFC_9106_LOW_MEMORY
    assert row.set_at == NOW
    assert PASSWORD not in str(await database.rows("SELECT * FROM password"))


async def test_one_password_is_never_kept_the_same_twice(quick: None) -> None:
    assert await passwords.hashed(PASSWORD) != await passwords.hashed(PASSWORD)


async def test_whoever_knows_the_password_is_the_member(opened: str, quick: None) -> None:
    member = await mei()
    for email in ("mei@example.com", " MEI@example.COM "):
        kept = await passwords.prove(email, PASSWORD)
        assert kept.member.id == kept.member_id == member.id


async def test_a_password_is_the_same_from_whatever_keyboard(embedded: str, quick: None) -> None:
    await mei("ｃａｆé 密码 1")
    await passwords.prove("mei@example.com", "cafe\u0301 密码 1")


async def test_other_letters_and_blanks_are_another_password(embedded: str, quick: None) -> None:
    await mei()
    for other in (PASSWORD.upper(), f" {PASSWORD}", f"{PASSWORD} ", PASSWORD[:-1]):
        with pytest.raises(CredentialsRejected):
            await passwords.prove("mei@example.com", other)


class Counting(PasswordHasher):
    """Notes with which parameters each hash is checked."""

    seen: list[Any]

    def verify(self, hash: str | bytes, password: str | bytes) -> Any:
        self.seen.append(extract_parameters(str(hash)))
        return super().verify(hash, password)


async def test_whatever_is_wrong_the_answer_and_the_work_are_the_same(
    opened: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting(time_cost=1, memory_cost=16, parallelism=1)
    counting.seen = []
    monkeypatch.setattr(passwords, "_hasher", counting)
    await mei()
    await create("bare@example.com", None)
    attempts = {
        "wrong password": ("mei@example.com", "wrong password"),
        "unknown account": ("lan@example.com", PASSWORD),
        "account without password": ("bare@example.com", PASSWORD),
        "no address": ("", PASSWORD),
        "an address that cannot be kept": ("\ud800\0", PASSWORD),
        "a long address": ("x" * 10_000, PASSWORD),
        "a password that cannot be one": ("mei@example.com", "\ud800" * 1_000),
        "an empty one": ("mei@example.com", ""),
    }
    work: dict[str, Any] = {}
    for name, (email, password) in attempts.items():
        counting.seen.clear()
        with watched() as statements, pytest.raises(CredentialsRejected) as refused:
            await passwords.prove(email, password)
        mistake = refused.value
        work[name] = (statements, [*counting.seen], mistake.code, mistake.message, mistake.field)
    assert all(each == work["wrong password"] for each in work.values()), work
    statements, seen, code, _, field = work["wrong password"]
    assert (len(statements), len(seen), code, field) == (1, 1, "CREDENTIALS_REJECTED", ())


async def test_a_hash_of_other_parameters_is_renewed_and_only_such_a_one(
    opened: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(1, 8, 1))
    await mei()
    old = (await Password.get()).hash
    kept = await passwords.prove("mei@example.com", PASSWORD)
    await passwords.renew(kept, PASSWORD)
    assert (await Password.get()).hash == old

    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(2, 16, 1))
    await passwords.renew(kept, PASSWORD)
    renewed = await passwords.prove("mei@example.com", PASSWORD)
    assert extract_parameters(renewed.hash).time_cost == 2
    assert renewed.set_at == NOW


async def test_a_password_set_meanwhile_is_not_overwritten(
    opened: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(1, 8, 1))
    await mei()
    kept = await passwords.prove("mei@example.com", PASSWORD)
    await Password.filter(id=kept.id).update(hash=await passwords.hashed("another password"))
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(2, 16, 1))
    await passwords.renew(kept, PASSWORD)
    await passwords.prove("mei@example.com", "another password")


async def test_no_more_hash_at_once_than_there_is_room_for_even_when_clients_hang_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    running, most, lock = 0, 0, threading.Lock()

    class Slow:
        def hash(self, password: bytes) -> str:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.02)
            with lock:
                running -= 1
            return "hash"

    monkeypatch.setattr(passwords, "_hasher", Slow())
    hung_up = [asyncio.create_task(passwords.hashed(PASSWORD)) for _ in range(4)]
    await asyncio.sleep(0.01)
    for task in hung_up:
        task.cancel()
    await asyncio.gather(*(passwords.hashed(PASSWORD) for _ in range(6)))
    assert most == passwords.HASHES_AT_ONCE
