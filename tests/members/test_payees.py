"""Where somebody is paid is unreadable in the database, masked outside of it, and comparable."""

from typing import Any

import pytest

from core import database
from core.audit import AuditEntry
from core.errors import Mistake
from members import models, payees
from members.payees import Payee, Unreadable, Vault
from tests import factories
from tests.conftest import SECRET
from tests.factories import NOW

OTHER = "another secret of the tests, long enough too"
VAULT = Vault([SECRET])
CARD = Payee("BANK", "林小雨", "6222 0000 1111 2222", "ICBC")


async def put(payee: Payee = CARD, vault: Vault = VAULT) -> int:
    member_id = (await factories.person("lin")).member.id
    await payees.put(member_id, payee, vault, NOW)
    return member_id


async def test_it_comes_back_as_it_was_said(opened: str) -> None:
    assert await payees.of(await put(), VAULT) == CARD


async def test_nobody_has_one_before_it_is_said(opened: str) -> None:
    assert await payees.of((await factories.person("lin")).member.id, VAULT) is None


async def test_nothing_of_it_stands_in_the_database(opened: str) -> None:
    await put()
    for table in ("payee", "audit_entry"):
        stored = str(await database.rows(f"SELECT * FROM {table}"))
        assert not any(words in stored for words in ("6222", "0000", "1111", "林小雨", "ICBC"))


async def test_the_audit_trail_knows_the_last_four_characters(opened: str) -> None:
    member_id = await put()
    [entry] = await AuditEntry.all()
    assert (entry.action, entry.subject_id, entry.actor_id) == ("payeeSet", member_id, member_id)
    assert entry.detail == {"method": "BANK", "account": "****2222"}


async def test_a_second_one_takes_the_place_of_the_first(opened: str) -> None:
    await put()
    member_id = await put(Payee("ALIPAY", "Lin", "lin@example.com"))
    assert await payees.of(member_id, VAULT) == Payee("ALIPAY", "Lin", "lin@example.com")
    assert await models.Payee.all().count() == 1


@pytest.mark.parametrize(
    ("account", "shown"),
    [("1", "****"), ("12", "****2"), ("1234567", "****567"), ("12345678", "****5678")],
)
def test_at_most_half_of_an_account_is_shown(account: str, shown: str) -> None:
    assert Payee("BANK", "Lin", account).masked_account == shown


@pytest.mark.parametrize(
    "same",
    [
        Payee("bank", "Somebody else", "6222000011112222"),
        Payee(" BANK", "Lin", "6222-0000-1111-2222", "Another"),
        Payee("ＢＡＮＫ", "Lin", "６２２２０００011112222"),
    ],
)
def test_one_account_has_one_fingerprint_however_it_is_written(same: Payee) -> None:
    assert VAULT.fingerprint(same) == VAULT.fingerprint(CARD)


@pytest.mark.parametrize(
    "other", [Payee("ALIPAY", "林小雨", CARD.account), Payee("BANK", "林小雨", "6222000011112223")]
)
def test_other_accounts_have_other_fingerprints(other: Payee) -> None:
    assert VAULT.fingerprint(other) != VAULT.fingerprint(CARD)


def test_a_fingerprint_tells_nothing_without_the_secret() -> None:
    assert Vault([OTHER]).fingerprint(CARD) != VAULT.fingerprint(CARD)
    assert "6222" not in VAULT.fingerprint(CARD)


def test_the_same_payee_is_never_sealed_to_the_same_text() -> None:
    assert VAULT.seal(CARD) != VAULT.seal(CARD)


def test_with_another_secret_it_stays_shut() -> None:
    with pytest.raises(Unreadable):
        Vault([OTHER]).open(VAULT.seal(CARD))


def test_an_older_secret_behind_the_newest_still_opens() -> None:
    assert Vault([OTHER, SECRET]).open(VAULT.seal(CARD)) == CARD


async def test_resealed_it_needs_the_newest_secret_alone(opened: str) -> None:
    member_id = await put()
    both, newest = Vault([OTHER, SECRET]), Vault([OTHER])
    with pytest.raises(Unreadable):
        await payees.of(member_id, newest)

    last = await payees.reseal(both, 0)
    assert last is not None
    assert await payees.reseal(both, last) is None

    assert await payees.of(member_id, newest) == CARD
    row = await models.Payee.get(member_id=member_id)
    assert row.fingerprint == newest.fingerprint(CARD)


LONG = "x" * 101
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"method": " "}, "REQUIRED", "method"),
    ({"method": "x" * 41}, "TOO_LONG", "method"),
    ({"name": ""}, "REQUIRED", "name"),
    ({"name": LONG}, "TOO_LONG", "name"),
    ({"account": ""}, "REQUIRED", "account"),
    ({"account": LONG}, "TOO_LONG", "account"),
    ({"account": "62\n22"}, "INVALID", "account"),
    ({"bank": ""}, "REQUIRED", "bank"),
    ({"bank": LONG}, "TOO_LONG", "bank"),
]


@pytest.mark.parametrize(("wrong", "code", "field"), WRONG)
async def test_what_is_wrong_is_named_and_nothing_kept(
    embedded: str, wrong: dict[str, Any], code: str, field: str
) -> None:
    said = {"method": "BANK", "name": "Lin", "account": "1", "bank": None} | wrong
    with pytest.raises(Mistake) as caught:
        await put(Payee(**said))
    assert (caught.value.code, [*caught.value.field]) == (code, [field])
    assert await models.Payee.all().count() == 0


async def test_what_is_just_short_enough_is_kept(embedded: str) -> None:
    longest = Payee("x" * 40, "n" * 100, "a" * 100, "b" * 100)
    assert await payees.of(await put(longest), VAULT) == longest
