"""What staff decide about a case: money goes on its way, or back to the program, and adds up."""

import asyncio
import json

import pytest

from api.nodes import to_id
from core import endpoints
from core.audit import AuditEntry
from core.errors import TooLong
from core.webhooks import WebhookDelivery
from members import ledger, publishing
from members.models import Asset, DowngradePolicy, EntryKind, Role, Standing, TierChange
from members.publishing import TierRule
from referral import counting, payouts, risk_deciding
from referral.errors import OwnRiskCase, RiskCaseDecided, RiskCaseNotFound
from referral.models import (
    Commission,
    ConversionType,
    Outcome,
    RewardRule,
    RiskCase,
    RiskStatus,
)
from tests import factories
from tests.factories import NOW
from tests.referral import purse, scene
from tests.referral.purse import Purse
from tests.referral.suspects import books_are_right, case, cases, decide, look, orders


async def burst() -> tuple[Purse, RiskCase]:
    """Three orders where two are let through; the third is held."""
    lin = await purse.purse()
    await orders(lin, 3, 2, 1)
    await look()
    return lin, await case()


async def test_released_it_is_where_it_would_be_by_then(opened: str) -> None:
    lin, found = await burst()
    decided = await decide(found, release=True, note="  a fair  ")
    assert (decided.status, decided.note, decided.decided_at) == (
        RiskStatus.RELEASED,
        "a fair",
        NOW,
    )
    assert await lin.holds() == (300, 0, 0, 0)
    assert await purse.booked(EntryKind.HOLD, EntryKind.UNHOLD) == [100, 100]
    assert await books_are_right()


async def test_released_after_its_hold_time_it_is_available_and_paid(opened: str) -> None:
    lin, found = await burst()
    await Commission.all().update(available_at=NOW)
    await purse.release()
    assert await purse.run() == [(lin.promoter.id, 200)]
    await decide(found, release=True)
    assert await purse.run() == [(lin.promoter.id, 100)]
    assert await books_are_right()


async def test_rejected_it_is_back_with_the_program(opened: str) -> None:
    lin, found = await burst()
    await decide(found, release=False)
    assert await lin.holds() == (200, 0, 0, 0)
    rows = await Commission.all().order_by("id")
    assert [(row.amount, row.reversed) for row in rows] == [(100, 0), (100, 0), (100, 100)]
    assert await purse.booked(EntryKind.REVERSE) == [100]
    assert await books_are_right()


async def test_a_decision_is_audited_with_what_it_moved(opened: str) -> None:
    _, found = await burst()
    await decide(found, release=False, note="all from one telephone")
    entry = await AuditEntry.get(action="riskCaseDecide")
    assert (entry.subject_kind, entry.subject_id) == ("RiskCase", found.id)
    assert entry.actor_id == (await RiskCase.get()).decided_by_id
    assert entry.detail == {
        "rule": "ORDER_VELOCITY",
        "status": "REJECTED",
        "note": "all from one telephone",
        "amounts": {"CASH": 100},
    }


@pytest.mark.parametrize("release", [True, False])
async def test_a_case_is_decided_once(opened: str, release: bool) -> None:
    lin, found = await burst()
    await decide(found, release=True)
    with pytest.raises(RiskCaseDecided) as caught:
        await decide(found, release=release)
    assert (caught.value.code, caught.value.field) == ("INVALID_TRANSITION", ("id",))
    assert await lin.holds() == (300, 0, 0, 0)
    assert await AuditEntry.filter(action="riskCaseDecide").count() == 1


async def test_of_two_decisions_at_once_one_wins(opened: str) -> None:
    lin, found = await burst()
    await factories.person("staff", Role.OPERATOR)
    answers = await asyncio.gather(
        *(decide(found, release=each) for each in (True, False, True, False)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, RiskCase) for each in answers) == 1
    assert sum(isinstance(each, RiskCaseDecided) for each in answers) == 3
    kept = (300, 0, 0, 0) if (await case()).status is RiskStatus.RELEASED else (200, 0, 0, 0)
    assert await lin.holds() == kept
    assert await books_are_right()


async def test_a_case_that_is_not_there_is_not_found(opened: str) -> None:
    with pytest.raises(RiskCaseNotFound):
        await risk_deciding.decide(9, release=True, note=None, actor_id=1, now=NOW)


async def test_nobody_decides_a_case_about_themselves(opened: str) -> None:
    lin, found = await burst()
    with pytest.raises(OwnRiskCase):
        await risk_deciding.decide(
            found.id, release=True, note=None, actor_id=lin.promoter.id, now=NOW
        )
    assert (await case()).status is RiskStatus.OPEN
    assert await lin.holds() == (200, 0, 100, 0)


async def test_a_note_has_its_length(opened: str) -> None:
    _, found = await burst()
    with pytest.raises(TooLong) as caught:
        await decide(found, release=True, note="x" * 1001)
    assert caught.value.field == ("note",)
    assert (await case()).status is RiskStatus.OPEN
    await decide(found, release=True, note="x" * 1000)


# ---- with refunds


@pytest.mark.parametrize("first", [30, 100])
async def test_what_was_refunded_before_is_not_taken_twice(opened: str, first: int) -> None:
    lin, found = await burst()
    third = await Commission.all().order_by("-id").first()
    assert third is not None
    await lin.refund(third, first)
    await decide(found, release=False)
    assert await lin.holds() == (200, 0, 0, 0)
    assert await books_are_right()


@pytest.mark.parametrize("parts", [(100,), (30, 70), (1, 2)])
async def test_a_refund_after_a_rejection_takes_nothing_more(
    opened: str, parts: tuple[int, ...]
) -> None:
    lin, found = await burst()
    third = await Commission.all().order_by("-id").first()
    assert third is not None
    await decide(found, release=False)
    for each in parts:
        await lin.refund(third, each)
    assert await lin.holds() == (200, 0, 0, 0)
    assert (await Commission.get(id=third.id)).reversed == 100
    assert await books_are_right()


@pytest.mark.parametrize("release", [True, False])
async def test_a_refund_at_the_same_moment_adds_up(opened: str, release: bool) -> None:
    lin, found = await burst()
    third = await Commission.all().order_by("-id").first()
    assert third is not None
    await asyncio.gather(lin.refund(third, 40), decide(found, release=release))
    await scene.settle()
    assert await lin.holds() == ((260 if release else 200), 0, 0, 0)
    assert await books_are_right()


# ---- what it counts for


async def test_the_counters_follow_a_rejection(opened: str) -> None:
    _, found = await burst()
    while await counting.work():
        pass
    await decide(found, release=False)
    while await counting.work():
        pass
    rows = await Outcome.filter(orders=1).order_by("conversion_id")
    assert [(row.credited, row.credited_minor) for row in rows] == [(1, 100), (1, 100), (0, 0)]
    assert await books_are_right()


async def test_endpoints_are_told_of_a_rejection(opened: str) -> None:
    lin, found = await burst()
    await endpoints.create("https://hooks.example/", ["commission.reversed"], 7, NOW)
    await decide(found, release=False)
    told = await WebhookDelivery.get()
    said = json.loads(told.payload)
    assert (said["type"], said["data"]["amount"], said["data"]["reversed"]) == (
        "commission.reversed",
        100,
        100,
    )
    assert said["data"]["refund"] is None
    assert said["data"]["riskCase"] == to_id("RiskCase", found.id)
    assert said["data"]["commission"]["promoter"] == to_id("Member", lin.promoter.id)


async def test_points_that_are_rejected_lower_the_tier(opened: str) -> None:
    lin = await purse.purse()
    await RewardRule.create(
        program=lin.program, version=1, on=ConversionType.ORDER, asset=Asset.POINTS, rate_bps=100
    )
    rule = {"leaf": {"metric": "POINTS_EARNED", "atLeast": 25}}
    tier = TierRule("collector", "Collector", 1, rule, downgrade=DowngradePolicy.IMMEDIATE)
    await publishing.set_up([tier], time_zone="UTC", now=NOW)
    sales = await orders(lin, 3, 2, 1)
    await look()
    assert await scene.tier(lin.promoter) == "collector"
    assert await lin.holds(Asset.POINTS) == (20, 0, 10, 0)
    await lin.refund(await Commission.get(conversion=sales[2], asset=Asset.CASH), 10)
    assert await scene.tier(lin.promoter) == "collector"

    await decide(await case(), release=False)

    assert await lin.holds(Asset.POINTS) == (20, 0, 0, 0)
    assert (await Standing.get(member_id=lin.promoter.id)).points_earned == 20
    assert await scene.tier(lin.promoter) is None
    change = await TierChange.filter(member=lin.promoter).order_by("-id").first()
    assert change is not None
    assert change.reason.value == "REFUNDED"
    assert await books_are_right()


# ---- with other cases and pay-outs


async def test_what_another_open_case_is_about_stays_held(opened: str) -> None:
    lin, found = await burst()
    held = await Commission.get(account="HELD")
    await purse.hold(held, fact="other")
    await decide(found, release=True)
    assert await lin.holds() == (200, 0, 100, 0)
    assert await books_are_right()
    await decide((await cases())[1], release=True)
    assert await lin.holds() == (300, 0, 0, 0)
    assert await books_are_right()


async def test_what_another_case_has_taken_back_is_not_taken_twice(opened: str) -> None:
    lin, found = await burst()
    held = await Commission.get(account="HELD")
    await purse.hold(held, fact="other")
    await decide(found, release=False)
    await decide((await cases())[1], release=False)
    assert await lin.holds() == (200, 0, 0, 0)
    assert await purse.booked(EntryKind.REVERSE) == [100]
    assert await books_are_right()


@pytest.mark.parametrize("release", [True, False])
async def test_what_comes_back_from_the_bank_is_held_for_the_open_case(
    opened: str, release: bool
) -> None:
    lin = await purse.purse()
    await orders(lin, 2, 1)
    await look()
    await Commission.all().update(available_at=NOW)
    await purse.release()
    await purse.run()
    await orders(lin, 5)
    await look()
    assert await lin.holds() == (100, 0, 0, 200)

    payout = await purse.Payout.get()
    await payouts.settle(payout.id, sent=False, reference=None, reason=None, actor_id=7, now=NOW)

    assert await lin.holds() == (100, 100, 100, 0)
    assert await books_are_right()
    await decide(await case(), release=release)
    assert await lin.holds() == ((100, 200, 0, 0) if release else (100, 100, 0, 0))
    assert await books_are_right()


async def test_what_comes_back_after_the_decision_is_not_held(opened: str) -> None:
    lin = await purse.purse()
    await orders(lin, 2, 1)
    await look()
    await Commission.all().update(available_at=NOW)
    await purse.release()
    await purse.run()
    await orders(lin, 5)
    await look()
    await decide(await case(), release=False)  # what was paid out is not touched
    payout = await purse.Payout.get()
    await payouts.settle(payout.id, sent=False, reference=None, reason=None, actor_id=7, now=NOW)
    assert await lin.holds() == (100, 200, 0, 0)
    assert await books_are_right()


async def test_balances_show_what_is_held(opened: str) -> None:
    lin, _ = await burst()
    [balance] = await ledger.balances(lin.promoter.id)
    assert (balance.pending, balance.held) == (200, 100)
