"""Two promoters with one account are a case each, and neither is paid before it is decided."""

import asyncio
from datetime import timedelta

import pytest

from members.payees import Payee
from referral import payouts, shared_payees
from referral.models import Commission, RiskCase, RiskStatus
from tests.factories import NOW
from tests.referral import purse
from tests.referral.purse import VAULT, Purse
from tests.referral.suspects import books_are_right, cases, decide

HOUR = timedelta(hours=1)
ACCOUNT = "6222 0000 1111 2222"


async def name(lin: Purse, account: str = ACCOUNT) -> None:
    payee = Payee("BANK", "somebody", account, "ICBC")
    await shared_payees.put(lin.promoter.id, payee, VAULT, NOW)


async def two() -> tuple[Purse, Purse]:
    """Two promoters of a program, each with 100 available and 50 pending."""
    lin = await purse.purse(payee=False)
    wei = await purse.purse("wei", payee=False, program=lin.program)
    for each in (lin, wei):
        await each.available(100)
        await each.earn(50, due=NOW + HOUR)
    return lin, wei


async def test_an_account_of_ones_own_is_no_case(opened: str) -> None:
    lin, wei = await two()
    await name(lin)
    await name(wei, "6222 0000 1111 2223")
    await name(lin)
    assert await cases() == []
    assert await purse.run() == [(lin.promoter.id, 100), (wei.promoter.id, 100)]


async def test_the_second_with_an_account_opens_a_case_for_each(opened: str) -> None:
    lin, wei = await two()
    await name(lin)
    await name(wei, "6222-0000-1111-2222")

    of_lin, of_wei = await cases()

    assert {of_lin.rule, of_wei.rule} == {"SHARED_PAYEE"}
    assert [of_lin.promoter_id, of_wei.promoter_id] == [lin.promoter.id, wei.promoter.id]
    assert of_lin.evidence["account"] == "****2222"
    assert of_lin.evidence["sharedWith"] == [of_member(wei)]
    assert of_wei.evidence["sharedWith"] == [of_member(lin)]
    assert of_wei.evidence["atStake"] == {"CASH": 150}
    assert await lin.holds() == await wei.holds() == (0, 0, 150, 0)
    assert await purse.run() == []
    assert await books_are_right()


def of_member(whose: Purse) -> str:
    return shared_payees.ref("Member", whose.promoter.id) or ""


async def test_each_case_is_decided_by_itself(opened: str) -> None:
    lin, wei = await two()
    await name(lin)
    await name(wei)
    of_lin, of_wei = await cases()
    await decide(of_lin, release=True)
    await decide(of_wei, release=False)
    assert await lin.holds() == (50, 100, 0, 0)
    assert await wei.holds() == (0, 0, 0, 0)
    assert await purse.run() == [(lin.promoter.id, 100)]
    assert await books_are_right()


async def test_what_is_earned_while_the_case_is_open_is_held_too(opened: str) -> None:
    lin, wei = await two()
    await name(lin)
    await name(wei)
    await lin.earn(30)
    assert await lin.holds() == (0, 0, 180, 0)
    await purse.release()
    assert await purse.run() == []
    of_lin, _ = await cases()
    assert of_lin.evidence["atStake"] == {"CASH": 180}
    await decide(of_lin, release=True)
    assert await purse.run() == [(lin.promoter.id, 130)]
    assert await books_are_right()


async def test_money_that_is_no_commission_is_not_paid_either(opened: str) -> None:
    lin, wei = await two()
    await name(lin)
    await name(wei)
    await purse.adjust(lin, 500, "gift")
    assert await lin.holds() == (0, 500, 150, 0)
    assert (await payouts.preview("friends")).count == 0
    assert await purse.run() == []
    of_lin, _ = await cases()
    await decide(of_lin, release=False)
    assert await purse.run() == [(lin.promoter.id, 500)]
    assert await books_are_right()


async def test_points_are_not_held_for_an_account(opened: str) -> None:
    lin, wei = await two()
    await Commission.filter(promoter=lin.promoter, account="PENDING").update(asset="POINTS")
    await name(lin)
    await name(wei)
    assert await Commission.filter(promoter=lin.promoter, account="HELD").count() == 1


async def test_released_once_an_account_is_not_asked_about_again(opened: str) -> None:
    lin, wei = await two()
    await name(lin)
    await name(wei)
    for each in await cases():
        await decide(each, release=True)
    await name(wei)
    assert await cases(RiskStatus.OPEN) == []


async def test_rejected_and_named_again_it_is_a_new_case(opened: str) -> None:
    lin, wei = await two()
    await name(lin)
    await name(wei)
    of_lin, of_wei = await cases()
    await decide(of_lin, release=True)
    await decide(of_wei, release=False)
    await name(wei)
    [again] = await cases(RiskStatus.OPEN)
    assert again.promoter_id == wei.promoter.id


async def test_a_third_one_is_told_to_the_open_cases(opened: str) -> None:
    lin, wei = await two()
    mei = await purse.purse("mei", payee=False, program=lin.program)
    for each in (lin, wei, mei):
        await name(each)
    found = await cases()
    assert [each.promoter_id for each in found] == [
        lin.promoter.id,
        wei.promoter.id,
        mei.promoter.id,
    ]
    assert found[0].evidence["sharedWith"] == [of_member(wei), of_member(mei)]
    assert found[2].evidence["conversions"] == 0
    assert found[2].conversion_id is None


async def test_what_comes_back_from_the_bank_is_held(opened: str) -> None:
    lin, wei = await two()
    await name(lin)
    assert await purse.run() == [(lin.promoter.id, 100)]
    await name(wei)
    assert await lin.holds() == (0, 0, 50, 100)
    payout = await purse.Payout.get()
    await payouts.settle(payout.id, sent=False, reference=None, reason=None, actor_id=7, now=NOW)
    assert await lin.holds() == (0, 0, 150, 0)
    assert await books_are_right()
    of_lin = await RiskCase.get(promoter=lin.promoter)
    await decide(of_lin, release=True)
    assert await lin.holds() == (50, 100, 0, 0)
    assert await books_are_right()


async def test_two_who_name_one_account_at_the_same_time_are_both_seen(opened: str) -> None:
    lin, wei = await two()
    await asyncio.gather(name(lin), name(wei))
    assert {each.promoter_id for each in await cases()} == {lin.promoter.id, wei.promoter.id}
    assert await lin.holds() == await wei.holds() == (0, 0, 150, 0)


@pytest.mark.parametrize("round_", range(2))
async def test_a_run_and_an_account_that_is_named_at_once_add_up(opened: str, round_: int) -> None:
    lin, wei = await two()
    await name(lin)
    await asyncio.gather(purse.run(), name(wei), lin.earn(20))
    await purse.look()
    assert await books_are_right()
    pending, available, held, paid = await lin.holds()
    assert (pending, available) == (0, 0)
    assert (held, paid) in {(170, 0), (70, 100)}
