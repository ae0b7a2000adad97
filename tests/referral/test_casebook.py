"""What a batch decides about orders and their refunds, whoever comes first."""

import asyncio
import contextvars
from collections.abc import Sequence
from datetime import timedelta
from itertools import permutations

import pytest

from core import database
from members.models import DowngradePolicy, TierChange
from referral import casebook, crediting, customers, registrations, touches
from referral.models import Attribution, Commission, ConversionStatus, Program, TouchVerdict
from tests import factories
from tests.factories import NOW, Stage
from tests.referral import scene
from tests.referral.scene import Shop

PENDING, PARKED = ConversionStatus.PENDING, ConversionStatus.PARKED
CREDITED, NOT_CREDITED = ConversionStatus.CREDITED, ConversionStatus.NOT_CREDITED
REVERSED = ConversionStatus.REVERSED
HOUR = timedelta(hours=1)


async def set_scene(**terms: int) -> tuple[Stage, Shop]:
    stage = await factories.stage(**terms)
    return stage, scene.shop(stage)


async def test_an_order_after_a_touch_is_credited_with_its_commission(opened: str) -> None:
    stage, shop = await set_scene()
    mei = await scene.customer(stage.link)
    await shop.order("A-1", 300_005, mei)
    await scene.settle()

    order = await shop.find("A-1")
    assert order.status is CREDITED
    attribution = await Attribution.get(conversion=order)
    assert (attribution.promoter_id, attribution.link_id, attribution.program_id) == (
        stage.promoter.member.id,
        stage.link.id,
        stage.program.id,
    )
    assert (attribution.level, attribution.weight_ppm) == (1, 1_000_000)
    commission = await Commission.get(conversion=order)
    assert (commission.amount, commission.reversed, commission.rate_bps) == (30_001, 0, 1_000)
    assert await scene.pending(stage.promoter.member) == 30_001
    assert (await scene.spend(mei), await scene.tier(mei)) == (300_005, "silver")
    assert await scene.explanation(order) == ["CREDITED"]


async def test_an_order_without_a_touch_counts_as_spend_alone(embedded: str) -> None:
    stage, shop = await set_scene()
    mei = await scene.customer(None)
    await shop.order("A-1", 500_000, mei)
    await scene.settle()
    assert await shop.status("A-1") is NOT_CREDITED
    assert (await scene.spend(mei), await scene.tier(mei)) == (500_000, "gold")
    assert await scene.pending(stage.promoter.member) == 0
    assert await Attribution.all().count() == await TouchVerdict.all().count() == 0


async def test_the_window_holds_to_the_microsecond_in_the_database_too(opened: str) -> None:
    stage, shop = await set_scene()
    for number, (ago, status) in enumerate(
        [
            (timedelta(days=30), CREDITED),
            (timedelta(days=30, microseconds=1), NOT_CREDITED),
            (timedelta(0), CREDITED),
            (timedelta(microseconds=-1), NOT_CREDITED),
        ]
    ):
        mei = await scene.customer(stage.link, ago=ago)
        await shop.order(f"A-{number}", 1_000, mei, at=NOW)
        await scene.settle()
        assert await shop.status(f"A-{number}") is status, ago


async def test_an_order_of_zero_earns_nothing(embedded: str) -> None:
    stage, shop = await set_scene()
    mei = await scene.customer(stage.link)
    await shop.order("A-1", 0, mei)
    await scene.settle()
    assert await shop.status("A-1") is NOT_CREDITED
    assert await scene.explanation(await shop.find("A-1")) == ["NO_RULE"]
    assert await Commission.all().count() == 0
    assert await scene.spend(mei) == 0


async def test_a_commission_that_rounds_to_zero_is_credited_without_a_transfer(
    opened: str,
) -> None:
    stage, shop = await set_scene(rate_bps=1)
    mei = await scene.customer(stage.link)
    await shop.order("A-1", 4_999, mei)
    await shop.order("A-2", 5_000, mei)
    await scene.settle()
    assert await shop.status("A-1") is CREDITED
    assert await scene.commissions(await shop.find("A-1")) == [(0, 0)]
    assert await scene.commissions(await shop.find("A-2")) == [(1, 0)]
    assert await scene.pending(stage.promoter.member) == 1

    await shop.refund("R-1", 4_999, of="A-1")
    await scene.settle()
    assert (await shop.status("A-1"), await shop.refund_status("R-1")) == (REVERSED, CREDITED)
    assert await scene.pending(stage.promoter.member) == 1


async def test_a_promoter_s_own_order_is_not_credited(embedded: str) -> None:
    stage, shop = await set_scene()
    await customers.report(
        stage.link, "visitor-1", NOW, member_id=stage.promoter.member.id, now=NOW
    )
    await shop.order("A-1", 1_000, stage.promoter.member)
    await scene.settle()
    assert await shop.status("A-1") is NOT_CREDITED
    assert await scene.explanation(await shop.find("A-1")) == ["SELF_REFERRAL"]
    assert await scene.pending(stage.promoter.member) == 0
    assert await scene.spend(stage.promoter.member) == 1_000


async def test_a_second_account_with_the_promoter_s_mailbox_is_not_credited(embedded: str) -> None:
    stage, shop = await set_scene()
    second = await scene.customer(stage.link, email="LIN+shop@example.com")
    await shop.order("A-1", 1_000, second)
    await scene.settle()
    assert await scene.explanation(await shop.find("A-1")) == ["SELF_REFERRAL"]


async def test_a_program_without_a_rule_keeps_the_attribution_and_pays_nothing(
    embedded: str,
) -> None:
    stage, shop = await set_scene()
    bare = await Program.create(
        code="bare", name="Bare", window_days=30, currency="CNY", created_at=NOW
    )
    mei = await scene.customer(await factories.link(stage.promoter.member, bare))
    await shop.order("A-1", 1_000, mei)
    await scene.settle()
    assert await shop.status("A-1") is NOT_CREDITED
    order = await shop.find("A-1")
    assert await scene.explanation(order) == ["NO_RULE"]
    assert (await Attribution.get(conversion=order)).program_id == bare.id


async def test_two_programs_never_pay_for_one_order(embedded: str) -> None:
    stage, shop = await set_scene()
    other = await factories.program("other", rate_bps=5_000)
    mei = await scene.customer(stage.link)
    later = await factories.link(stage.promoter.member, other)
    await customers.report(later, "visitor-2", NOW - HOUR, member_id=mei.id, now=NOW)
    await shop.order("A-1", 1_000, mei)
    await scene.settle()
    assert await scene.commissions(await shop.find("A-1")) == [(500, 0)]
    assert sorted(await scene.explanation(await shop.find("A-1"))) == ["CREDITED", "OTHER_PROGRAM"]


async def test_partial_refunds_take_back_their_part_and_the_last_one_reverses(
    opened: str,
) -> None:
    stage, shop = await set_scene(rate_bps=333)
    mei = await scene.customer(stage.link)
    await shop.order("A-1", 500_001, mei)
    await scene.settle()
    expected = [
        (1, 0, 500_000, "gold"),
        (200_000, 6_660, 300_000, "silver"),
        (300_000, 16_650, 0, None),
    ]

    for number, (amount, taken_back, left, tier) in enumerate(expected):
        assert await shop.status("A-1") is CREDITED
        await shop.refund(f"R-{number}", amount, of="A-1")
        await scene.settle()
        assert await scene.commissions(await shop.find("A-1")) == [(16_650, taken_back)]
        assert await scene.pending(stage.promoter.member) == 16_650 - taken_back
        assert (await scene.spend(mei), await scene.tier(mei)) == (left, tier)
    assert await shop.status("A-1") is REVERSED


async def test_a_refund_keeps_to_the_rate_of_the_day_of_the_order(embedded: str) -> None:
    stage, shop = await set_scene()
    mei = await scene.customer(stage.link)
    await shop.order("A-1", 1_000, mei)
    await scene.settle()
    await database.execute("UPDATE reward_rule SET rate_bps = 9000")
    await shop.refund("R-1", 1_000, of="A-1")
    await scene.settle()
    assert await scene.commissions(await shop.find("A-1")) == [(100, 100)]
    assert await scene.pending(stage.promoter.member) == 0


async def test_a_refund_of_an_order_without_commission_is_not_credited(embedded: str) -> None:
    _, shop = await set_scene()
    mei = await scene.customer(None)
    await shop.order("A-1", 300_000, mei)
    await shop.refund("R-1", 300_000, of="A-1")
    await scene.settle()
    assert (await shop.status("A-1"), await shop.refund_status("R-1")) == (
        NOT_CREDITED,
        NOT_CREDITED,
    )
    assert (await scene.spend(mei), await scene.tier(mei)) == (0, None)


async def test_a_refund_of_a_member_alone_lowers_the_spend_alone(embedded: str) -> None:
    stage, shop = await set_scene()
    mei = await scene.customer(stage.link)
    await shop.order("A-1", 300_000, mei)
    await shop.refund("R-1", 1, customer=mei)
    await scene.settle()
    assert await shop.refund_status("R-1") is NOT_CREDITED
    assert (await scene.spend(mei), await scene.tier(mei)) == (299_999, None)
    assert await scene.pending(stage.promoter.member) == 30_000
    reasons = await TierChange.filter(member=mei).order_by("id").values_list("reason", flat=True)
    assert list(reasons) == ["QUALIFIED", "REFUNDED"]


async def test_under_never_a_refund_lowers_the_spend_and_keeps_the_tier(embedded: str) -> None:
    await factories.ladder(DowngradePolicy.NEVER)
    lin, teller = await factories.person("lin"), await factories.person("shop")
    link = await factories.link(lin.member, await factories.program())
    shop, mei = Shop(teller.member.id), await scene.customer(link)
    await shop.order("A-1", 500_000, mei)
    await shop.refund("R-1", 500_000, of="A-1")
    await scene.settle()
    assert (await scene.spend(mei), await scene.tier(mei)) == (0, "gold")


async def test_a_refund_before_its_order_waits_and_is_applied_with_it(opened: str) -> None:
    stage, shop = await set_scene()
    mei = await scene.customer(stage.link)
    await shop.refund("R-1", 400, of="A-1")
    await scene.settle()
    assert await shop.refund_status("R-1") is PARKED

    await shop.order("A-1", 1_000, mei)
    await scene.settle()

    refund = await shop.find("R-1", scene.ConversionType.REFUND)
    order = await shop.find("A-1")
    assert (refund.status, refund.order_id, refund.member_id) == (CREDITED, order.id, mei.id)
    assert (order.status, order.refunded_minor) == (CREDITED, 400)
    assert await scene.commissions(order) == [(100, 40)]
    assert await scene.spend(mei) == 600


async def test_a_refund_that_is_due_before_its_order_in_one_batch_is_applied_with_it(
    embedded: str,
) -> None:
    stage, shop = await set_scene()
    mei = await scene.customer(stage.link)
    await shop.refund("R-1", 400, of="A-1")
    await shop.order("A-1", 1_000, mei)
    await scene.settle()
    assert await scene.commissions(await shop.find("A-1")) == [(100, 40)]
    assert await shop.refund_status("R-1") is CREDITED


@pytest.mark.parametrize("at_once", [True, False], ids=["one batch", "each by itself"])
async def test_parked_refunds_are_applied_in_the_order_of_their_time(
    opened: str, at_once: bool
) -> None:
    """Whichever came in first: of 700 at two and 500 at one o'clock, the 500 fit into 1,000."""
    stage, shop = await set_scene()
    mei = await scene.customer(stage.link)
    for external_id, amount, at in (
        ("late", 700, NOW - HOUR),
        ("early", 500, NOW - 2 * HOUR),
        ("latest", 500, NOW),
    ):
        await shop.refund(external_id, amount, of="A-1", at=at)
        if not at_once:
            await scene.settle()
    await shop.order("A-1", 1_000, mei)
    await scene.settle()

    assert await shop.refund_status("early") is CREDITED
    assert await shop.refund_status("late") is PARKED
    assert await shop.refund_status("latest") is CREDITED
    order = await shop.find("A-1")
    assert (order.refunded_minor, order.status) == (1_000, REVERSED)
    assert await scene.commissions(order) == [(100, 100)]
    assert (await shop.find("late", scene.ConversionType.REFUND)).order_id is None


async def test_an_order_of_nobody_waits_with_its_refunds(embedded: str) -> None:
    stage, shop = await set_scene()
    await shop.order("A-1", 1_000, ref="c-1")
    await shop.refund("R-1", 400, of="A-1")
    await scene.settle()
    assert (await shop.status("A-1"), await shop.refund_status("R-1")) == (PARKED, PARKED)
    assert await scene.pending(stage.promoter.member) == 0


EVENTS = ("order", "refund 1", "refund 2", "link")
Outcome = tuple[object, ...]


async def play(
    stage: Stage, number: int, order: tuple[str, ...], *, each: bool, how: str
) -> Outcome:
    """Has the events arrive in this order, after the touch, and says how it ended."""
    shop = scene.shop(stage, f"shop-{number}-{how}-{each}")
    promoter = (await registrations.register(registrations.NewMember("Lin"), None, NOW)).member
    link = await factories.link(promoter, stage.program)
    visitor = touches.new_visitor()
    await factories.click(link, visitor, NOW - scene.DAY)
    ref = "c-1"
    mei = None
    if how == "by an order":
        new = registrations.NewMember("Mei")
        mei = (await registrations.register(new, visitor, NOW)).member
    for event in order:
        if event == "order":
            await shop.order("A-1", 500_001, ref=ref, at=NOW - 3 * HOUR)
        elif event == "refund 1":
            await shop.refund("R-1", 100_000, of="A-1", at=NOW - 2 * HOUR)
        elif event == "refund 2":
            await shop.refund("R-2", 50_001, of="A-1", at=NOW - HOUR)
        elif mei is not None:
            await shop.order("A-2", 0, mei, ref=ref, at=NOW)
        else:
            new = registrations.NewMember("Mei")
            mei = (await registrations.ensure(shop.source, ref, new, visitor, NOW)).member
        if each:
            await scene.settle()
    await scene.settle()
    assert mei is not None
    sale = await shop.find("A-1")
    return (
        sale.status,
        sale.refunded_minor,
        sale.member_id == mei.id,
        [await shop.refund_status(external_id) for external_id in ("R-1", "R-2")],
        await scene.commissions(sale),
        await scene.pending(promoter),
        await scene.spend(mei),
        await scene.tier(mei),
        await scene.explanation(sale),
    )


@pytest.mark.parametrize("how", ["by an order", "by the shop's front-end"])
@pytest.mark.parametrize("each", [True, False], ids=["each at once", "all at the end"])
async def test_the_order_of_arrival_does_not_matter(opened: str, each: bool, how: str) -> None:
    stage = await factories.stage(rate_bps=333)
    expected = (
        CREDITED,
        150_001,
        True,
        [CREDITED, CREDITED],
        [(16_650, 4_995)],
        11_655,
        350_000,
        "silver",
        ["CREDITED"],
    )
    for number, order in enumerate(permutations(EVENTS)):
        outcome = await play(stage, number, order, each=each, how=how)
        assert outcome == expected, order


async def test_workers_that_decide_at_once_end_in_the_same_books(opened: str) -> None:
    stage, shop = await set_scene()
    members = [await scene.customer(stage.link, name=f"m{number}") for number in range(4)]

    async def sell(number: int) -> None:
        await shop.order(f"A-{number}", 1_000, members[number % 4])
        await shop.refund(f"R-{number}", 250, of=f"A-{number}")
        await scene.crediting.work(NOW)

    await asyncio.gather(*(sell(number) for number in range(16)))
    await scene.settle()

    assert await scene.pending(stage.promoter.member) == 16 * 75
    assert [await scene.spend(each) for each in members] == [3_000] * 4


@pytest.mark.postgres
async def test_a_customer_named_while_the_order_is_decided_is_not_missed(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = casebook._lock

    async with database.opened(postgres_url):
        stage, shop = await set_scene()
        await shop.order("A-1", 700)

        async def lock_too_early(conversion_ids: Sequence[int]) -> set[str]:
            locked = await lock(conversion_ids)
            named = shop.order("A-1", 700, ref="c-1")
            # As another process would: outside of this transaction.
            await asyncio.create_task(named, context=contextvars.Context())
            return locked

        monkeypatch.setattr(casebook, "_lock", lock_too_early)
        with pytest.raises(casebook.CustomerNamed):
            await crediting.work(NOW)
        monkeypatch.undo()
        assert await shop.status("A-1") is PENDING

        mei = await scene.customer(stage.link)
        await shop.order("A-2", 100, mei, ref="c-1")
        await scene.settle(NOW + timedelta(minutes=1))

        assert await shop.status("A-1") is CREDITED
        assert await scene.spend(mei) == 800
