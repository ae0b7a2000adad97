"""Whom pay-outs go to is told to the bank in the clear, and who looked is written down."""

import pytest

from core.audit import AuditEntry
from members import payees
from referral import bank_orders
from referral.errors import ProgramNotFound
from referral.models import Payout, PayoutStatus
from tests import factories
from tests.conftest import SECRET
from tests.factories import NOW
from tests.referral.purse import FINANCE, VAULT, one_payout


async def test_the_orders_of_a_status_are_in_the_clear_and_audited(opened: str) -> None:
    _, payout = await one_payout()
    [order] = await bank_orders.of(PayoutStatus.PROCESSING, None, VAULT, FINANCE, NOW)
    assert (order.payout.id, order.payee.account) == (payout.id, "6222 0000 1111 2222")
    assert await bank_orders.of(PayoutStatus.SENT, None, VAULT, FINANCE, NOW) == []
    [entry] = await AuditEntry.filter(action="payoutCsv")
    assert (entry.subject_id, entry.actor_id) == (payout.id, FINANCE)


async def test_orders_are_of_one_program_where_it_is_named(embedded: str) -> None:
    await one_payout()
    await factories.program("family")
    for program, count in (("friends", 1), ("family", 0)):
        found = await bank_orders.of(PayoutStatus.PROCESSING, program, VAULT, FINANCE, NOW)
        assert len(found) == count
    with pytest.raises(ProgramNotFound):
        await bank_orders.of(PayoutStatus.PROCESSING, "nowhere", VAULT, FINANCE, NOW)


async def test_a_payout_goes_where_it_was_to_go_at_the_run(embedded: str) -> None:
    lin, _ = await one_payout()
    await lin.set_payee("6333")
    [order] = await bank_orders.of(PayoutStatus.PROCESSING, None, VAULT, FINANCE, NOW)
    assert order.payee.account == "6222 0000 1111 2222"


async def test_payouts_are_resealed_by_the_newest_secret(opened: str) -> None:
    await one_payout()
    newest = "another secret of the tests, long enough too"
    last = await bank_orders.reseal(payees.Vault([newest, SECRET]), 0)
    assert last is not None
    assert await bank_orders.reseal(payees.Vault([newest]), last) is None
    assert payees.Vault([newest]).open((await Payout.get()).payee).bank == "ICBC"
