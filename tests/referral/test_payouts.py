"""Everything that is available is paid out once, and never what is not."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from core.audit import AuditEntry
from core.errors import Mistake
from members.models import Account, Asset, EntryKind, LedgerTransfer
from referral import payouts, releasing
from referral.errors import PayoutNotFound, PayoutSettled, ProgramNotFound
from referral.models import Commission, Payout, PayoutStatus, Program
from tests import factories
from tests.core import elsewhere
from tests.factories import NOW
from tests.referral import purse
from tests.referral.purse import FINANCE, VAULT, Killed, adjust, one_payout, run

LATER = NOW + timedelta(days=1)


async def settle(
    payout_id: int, *, sent: bool, reference: str | None = None, reason: str | None = None
) -> Payout:
    return await payouts.settle(
        payout_id, sent=sent, reference=reference, reason=reason, actor_id=FINANCE, now=LATER
    )


async def minimum(least: int) -> None:
    await Program.all().update(min_payout_minor=least)


# ---------------------------------------------------------------- the run


async def test_what_is_available_is_claimed_and_nothing_else(opened: str) -> None:
    lin = await purse.purse()
    paid, also = await lin.available(100), await lin.available(20)
    held = await lin.available(3)
    await purse.hold(held)
    pending = await lin.earn(4)

    assert await run() == [(lin.promoter.id, 120)]

    assert await lin.holds() == (4, 0, 3, 120)
    [payout] = await Payout.all()
    assert (payout.amount_minor, payout.currency, payout.status, payout.created_at) == (
        120,
        "CNY",
        PayoutStatus.PROCESSING,
        NOW,
    )
    assert VAULT.open(payout.payee).account == "6222 0000 1111 2222"
    paid_out = await Commission.filter(payout=payout).order_by("id")
    assert [each.id for each in paid_out] == [paid.id, also.id]
    assert {each.account for each in paid_out} == {Account.PAID}
    assert await purse.account(pending) == "PENDING"
    [transfer] = await LedgerTransfer.filter(kind=EntryKind.PAYOUT)
    assert (transfer.key, transfer.amount, transfer.payout_id) == (
        f"payout:{payout.id}",
        120,
        payout.id,
    )
    [entry] = await AuditEntry.filter(action="payoutRun")
    assert (entry.subject_kind, entry.subject_id, entry.actor_id, entry.detail) == (
        "Payout",
        payout.id,
        FINANCE,
        {"program": "friends"},
    )
    assert await purse.problems() == []


async def test_a_second_run_claims_nothing(opened: str) -> None:
    lin = await purse.purse()
    await lin.available(100)
    assert await run() == [(lin.promoter.id, 100)]
    assert await run() == []
    assert await Payout.all().count() == 1
    assert await AuditEntry.filter(action="payoutRun").count() == 1


async def test_the_minimum_is_enough_and_one_less_is_not(opened: str) -> None:
    lin, mei = await purse.purse(), await purse.purse("mei")
    await minimum(100)
    await lin.available(99)
    await mei.available(100)
    assert await run() == [(mei.promoter.id, 100)]
    await lin.available(1)
    assert await run() == [(lin.promoter.id, 100)]


async def test_without_a_minimum_one_is_enough_and_nothing_is_not(opened: str) -> None:
    lin, mei = await purse.purse(), await purse.purse("mei")
    await mei.refund(await mei.available(10), 10)
    await lin.available(1)
    assert await run() == [(lin.promoter.id, 1)]


async def test_whoever_has_no_payee_is_passed_over_until_there_is_one(opened: str) -> None:
    lin = await purse.purse(payee=False)
    await lin.available(100)
    assert await run() == []
    assert await lin.holds() == (0, 100, 0, 0)
    await lin.set_payee()
    assert await run() == [(lin.promoter.id, 100)]


async def test_points_are_never_paid_out(opened: str) -> None:
    lin = await purse.purse()
    await adjust(lin, 500, "gift", Asset.POINTS)
    assert await run() == []
    assert await lin.holds(Asset.POINTS) == (0, 500, 0, 0)


async def test_another_program_is_left_alone(opened: str) -> None:
    lin = await purse.purse()
    other = await factories.program("family")
    await lin.available(100)
    assert await run("family") == []
    assert await run() == [(lin.promoter.id, 100)]
    assert other.id != lin.program.id


async def test_an_unknown_program_is_named(embedded: str) -> None:
    with pytest.raises(ProgramNotFound):
        await run("nowhere")
    with pytest.raises(ProgramNotFound):
        await payouts.preview("nowhere")


async def test_the_preview_says_what_the_run_does(opened: str) -> None:
    await minimum(50)
    lin, mei, bo = await purse.purse(), await purse.purse("mei"), await purse.purse("bo")
    nobody = await purse.purse("nobody", payee=False)
    await minimum(50)
    for each, amount in ((lin, 50), (mei, 80), (bo, 49), (nobody, 1_000)):
        await each.available(amount)
    assert await payouts.preview("friends") == payouts.Preview(2, 130, 1)
    assert await run() == [(lin.promoter.id, 50), (mei.promoter.id, 80)]
    assert await payouts.preview("friends") == payouts.Preview(0, 0, 1)


async def test_adjustments_are_paid_out_too(opened: str) -> None:
    lin = await purse.purse()
    await lin.available(100)
    await adjust(lin, -30, "less")
    assert await run() == [(lin.promoter.id, 70)]
    await adjust(lin, 5, "more")
    assert await run() == [(lin.promoter.id, 5)]
    assert await purse.problems() == []


# ---------------------------------------------------------------- refunds after it


async def test_a_refund_after_a_payout_is_filled_by_later_commissions(opened: str) -> None:
    lin = await purse.purse()
    commission = await lin.available(100)
    await run()

    await lin.refund(commission, 60)
    assert await lin.holds() == (0, -60, 0, 100)
    assert await run() == []
    assert await purse.problems() == []

    await lin.available(60)
    assert await lin.holds() == (0, 0, 0, 100)
    assert await run() == []
    last = await lin.available(1)
    assert await run() == [(lin.promoter.id, 1)]
    assert await purse.account(last) == "PAID"
    assert await lin.holds() == (0, 0, 0, 101)
    assert await Commission.filter(account=Account.AVAILABLE).count() == 0
    assert await purse.problems() == []


async def test_refunds_never_take_back_more_than_was_earned(opened: str) -> None:
    lin = await purse.purse()
    commission = await lin.available(100)
    await lin.refund(commission, 10)
    await run()
    await lin.refund(commission, 90)
    assert await lin.holds() == (0, -90, 0, 90)
    assert sum(await purse.booked(EntryKind.REVERSE)) == 100
    assert await purse.problems() == []


# ---------------------------------------------------------------- settling


async def test_a_sent_one_keeps_the_banks_reference(opened: str) -> None:
    lin, payout = await one_payout()
    await settle(payout.id, sent=True, reference="B-1")
    row = await Payout.get()
    assert (row.status, row.reference, row.settled_at) == (PayoutStatus.SENT, "B-1", LATER)
    assert await lin.holds() == (0, 0, 0, 100)
    [entry] = await AuditEntry.filter(action="payoutSettle")
    assert entry.detail == {"status": "SENT", "reference": "B-1"}


async def test_a_failed_one_is_available_again_and_is_paid_the_next_time(opened: str) -> None:
    lin, payout = await one_payout()
    await settle(payout.id, sent=False, reason="account closed")

    row = await Payout.get()
    assert (row.status, row.failure_reason) == (PayoutStatus.FAILED, "account closed")
    assert await lin.holds() == (0, 100, 0, 0)
    assert await Commission.filter(account=Account.AVAILABLE, payout_id=None).count() == 1
    assert await purse.problems() == []

    assert await run() == [(lin.promoter.id, 100)]
    assert await purse.problems() == []


async def test_a_sent_one_may_still_fail_after_a_refund(opened: str) -> None:
    lin = await purse.purse()
    commission, other = await lin.available(100), await lin.available(40)
    await run()
    payout = await Payout.get()
    await settle(payout.id, sent=True, reference="B-1")
    await lin.refund(commission, 100)
    assert await lin.holds() == (0, -100, 0, 140)

    await settle(payout.id, sent=False, reason="came back")

    row = await Payout.get()
    assert (row.status, row.reference) == (PayoutStatus.FAILED, "B-1")
    assert await lin.holds() == (0, 40, 0, 0)
    assert await purse.account(other) == "AVAILABLE"
    assert await purse.problems() == []
    assert await run() == [(lin.promoter.id, 40)]
    assert await purse.problems() == []


SENT: dict[str, Any] = {"sent": True, "reference": "B-1"}
FAILED: dict[str, Any] = {"sent": False, "reason": "no such account"}


@pytest.mark.parametrize("said", [SENT, FAILED])
async def test_the_same_said_again_answers_the_same(opened: str, said: dict[str, Any]) -> None:
    lin, payout = await one_payout()
    first = await settle(payout.id, **said)
    holds = await lin.holds()
    again = await settle(payout.id, **said)
    assert (again.status, again.settled_at) == (first.status, first.settled_at)
    assert await lin.holds() == holds
    assert await AuditEntry.filter(action="payoutSettle").count() == 1


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ([SENT], {"sent": True, "reference": "B-2"}),
        ([SENT], {"sent": True}),
        ([FAILED], SENT),
        ([FAILED], {"sent": False, "reason": "for another reason"}),
        ([SENT, FAILED], SENT),
    ],
)
async def test_any_other_step_is_refused(
    embedded: str, before: list[dict[str, Any]], said: dict[str, Any]
) -> None:
    lin, payout = await one_payout()
    for each in before:
        await settle(payout.id, **each)
    stood = (await Payout.get().values(), await lin.holds())
    with pytest.raises(PayoutSettled):
        await settle(payout.id, **said)
    assert (await Payout.get().values(), await lin.holds()) == stood


@pytest.mark.parametrize(
    ("said", "code", "field"),
    [
        ({"sent": True, "reference": ""}, "REQUIRED", "reference"),
        ({"sent": True, "reference": "x" * 101}, "TOO_LONG", "reference"),
        ({"sent": True, "reason": "why"}, "INVALID", "reason"),
        ({"sent": False, "reason": "x" * 301}, "TOO_LONG", "reason"),
    ],
)
async def test_what_is_wrong_with_a_settlement_is_named(
    embedded: str, said: dict[str, Any], code: str, field: str
) -> None:
    _, payout = await one_payout()
    with pytest.raises(Mistake) as caught:
        await settle(payout.id, **said)
    assert (caught.value.code, [*caught.value.field]) == (code, [field])


async def test_a_payout_that_is_not_there_is_not_found(embedded: str) -> None:
    with pytest.raises(PayoutNotFound):
        await settle(98_765, sent=True)


async def test_of_settlements_at_once_one_step_is_taken(opened: str) -> None:
    lin, payout = await one_payout()
    failing = [settle(payout.id, sent=False, reason=f"reason {n}") for n in range(4)]
    results = await asyncio.gather(*failing, return_exceptions=True)
    assert sum(isinstance(each, PayoutSettled) for each in results) == 3
    assert await lin.holds() == (0, 100, 0, 0)
    assert await purse.booked(EntryKind.PAYOUT_FAILED) == [100]


# ---------------------------------------------------------------- at once, and killed


async def test_runs_a_hold_a_refund_and_a_release_at_once_add_up(
    opened: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payouts, "BATCH", 2)
    everybody = [await purse.purse(name) for name in ("lin", "mei", "bo")]
    for turn in range(5):
        ready = [await each.available(100) for each in everybody for _ in range(2)]
        for each in everybody:
            await each.earn(7)  # due, and released meanwhile

        await asyncio.gather(
            run(),
            run(),
            purse.hold(ready[1], ready[2], fact=f"case-{turn}"),
            everybody[0].refund(ready[0], 30),
            purse.release(),
            adjust(everybody[2], 5, f"gift-{turn}"),
        )

        assert await purse.problems() == [], turn
    await purse.release()
    await run()
    held = sum([(await each.holds())[2] for each in everybody])
    out = sum([(await each.holds())[3] for each in everybody])
    made = sum([each.amount_minor for each in await Payout.all()])
    assert out == made
    assert held + out == 5 * (6 * 100 + 3 * 7 - 30 + 5) - sum(
        [(await each.holds())[1] for each in everybody]
    )
    assert await purse.problems() == []


@pytest.mark.postgres
async def test_what_is_released_between_the_locks_is_not_paid_without_its_commission(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = payouts.ledger.lock
    times: list[int] = []

    async def late(refs: Any) -> Any:
        if not times:
            elsewhere.at_once(lambda: _released_elsewhere(postgres_url, second.id))
        times.append(1)
        return await lock(refs)

    async with payouts.database.opened(postgres_url):
        lin = await purse.purse()
        await lin.available(100)
        second = await lin.earn(20)
        monkeypatch.setattr(payouts.ledger, "lock", late)

        assert await run() == [(lin.promoter.id, 120)]

        assert len(times) == 2  # once in vain, once with both
        assert await purse.account(second) == "PAID"
        assert await purse.problems() == []


async def _released_elsewhere(url: str, commission_id: int) -> None:
    """What a worker of another process does, in plain SQL."""
    find = "SELECT id FROM ledger_account WHERE member_id IS NOT NULL AND account ="
    [(pending,)] = await elsewhere.ask(url, f"{find} 'PENDING'")
    [(available,)] = await elsewhere.ask(url, f"{find} 'AVAILABLE'")
    await elsewhere.ask(
        url, f"UPDATE commission SET account = 'AVAILABLE' WHERE id = {commission_id}"
    )
    await elsewhere.ask(
        url,
        "INSERT INTO ledger_transfer (key, kind, from_account_id, to_account_id, amount,"
        f" conversion_id, at) SELECT 'release:' || conversion_id || ':' || program_id || ':' ||"
        f" promoter_id || ':' || level || ':' || asset, 'RELEASE', {pending}, {available}, 20,"
        f" conversion_id, now() FROM commission WHERE id = {commission_id}",
    )
    for account, change in ((pending, -20), (available, 20)):
        await elsewhere.ask(
            url, f"UPDATE ledger_account SET balance = balance + {change} WHERE id = {account}"
        )


async def test_killed_before_any_statement_a_run_is_completed_by_the_next(
    opened: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payouts, "BATCH", 1)
    lin, mei = await purse.purse(), await purse.purse("mei")
    for each in (lin, mei):
        await each.available(100)
    seen: list[int] = []
    for statements in range(100):
        try:
            with purse.dying(statements):
                await run()
        except Killed:
            seen.append(await Payout.all().count())
            assert await purse.problems() == [], statements
            assert (await lin.holds(), await mei.holds()) in {
                ((0, 100, 0, 0), (0, 100, 0, 0)),
                ((0, 0, 0, 100), (0, 100, 0, 0)),
                ((0, 0, 0, 100), (0, 0, 0, 100)),
            }
        else:
            break
    assert {0, 1} <= set(seen)
    assert await lin.holds() == await mei.holds() == (0, 0, 0, 100)
    assert await Payout.all().count() == 2


async def test_killed_before_any_statement_a_settlement_is_whole_or_not_there(
    opened: str,
) -> None:
    lin, payout = await one_payout()
    for statements in range(100):
        try:
            with purse.dying(statements):
                await settle(payout.id, sent=False, reason="closed")
        except Killed:
            assert (await Payout.get()).status is PayoutStatus.PROCESSING
            assert await lin.holds() == (0, 0, 0, 100)
            assert await purse.problems() == []
        else:
            break
    assert statements >= 6
    assert await lin.holds() == (0, 100, 0, 0)
    assert await purse.problems() == []


async def test_releasing_is_no_part_of_a_run(embedded: str) -> None:
    lin = await purse.purse()
    await lin.earn(100)
    assert await releasing.due(NOW)
    assert await run() == []
