"""What shops tell us is accepted once each, in one transaction, and repeats are recognised."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from core.errors import Invalid, Mistake, Required, TooLong
from core.outbox import OutboxMessage
from members import identity
from members.errors import CustomerRefTaken, MemberNotFound
from members.models import CustomerRef
from referral import conversions
from referral.conversions import Recorded
from referral.errors import ExceedsOrder, IdempotencyConflict
from referral.models import Conversion, ConversionStatus, ConversionType
from tests import factories
from tests.factories import NOW, Stage
from tests.members.statements import counted_transactions, watched
from tests.referral import scene
from tests.referral.scene import Shop

MINUTE = timedelta(minutes=1)
TICK = timedelta(microseconds=1)
PENDING, PARKED = ConversionStatus.PENDING, ConversionStatus.PARKED
CREDITED, NOT_CREDITED = ConversionStatus.CREDITED, ConversionStatus.NOT_CREDITED


async def set_scene() -> tuple[Stage, Shop]:
    stage = await factories.stage()
    return stage, scene.shop(stage)


async def rows() -> list[dict[str, object]]:
    """Everything that was recorded, to see that nothing of it moved."""
    return [*await Conversion.all().order_by("id").values(), *await OutboxMessage.all().values()]


async def test_an_order_is_pending_with_one_message_of_its_own(opened: str) -> None:
    stage, shop = await set_scene()
    mei = await scene.customer(stage.link)

    recorded = await shop.order("A-1", 5_000, mei, at=NOW - MINUTE)

    row = await shop.find("A-1")
    assert (recorded.replayed, recorded.mistakes, recorded.conversion.id) == (False, [], row.id)
    assert (row.type, row.status, row.amount_minor, row.refunded_minor, row.member_id) == (
        ConversionType.ORDER,
        PENDING,
        5_000,
        0,
        mei.id,
    )
    assert (row.occurred_at, row.recorded_at, row.recorded_by_id) == (
        NOW - MINUTE,
        NOW,
        stage.shop.member.id,
    )
    message = await OutboxMessage.get()
    assert (message.topic, message.subject_id, message.lane, message.available_at) == (
        conversions.TOPIC,
        row.id,
        f"member:{mei.id}",
        NOW,
    )


async def test_without_a_time_an_order_is_of_now(embedded: str) -> None:
    _, shop = await set_scene()
    assert (await shop.order("A-1", 1, ref="c-1")).conversion.occurred_at == NOW


async def test_an_order_costs_one_transaction_and_three_statements(opened: str) -> None:
    stage, shop = await set_scene()
    mei = await scene.customer(stage.link)
    with watched() as statements, counted_transactions() as transactions:
        await shop.order("A-1", 5_000, mei)
    # Is the member there, the order, its message.
    assert (len(transactions), len(statements)) == (1, 3), statements


async def test_an_order_of_an_unknown_customer_costs_three_statements_too(embedded: str) -> None:
    _, shop = await set_scene()
    with watched() as statements, counted_transactions() as transactions:
        await shop.order("A-1", 5_000, ref="c-1")
    assert (len(transactions), len(statements)) == (1, 3), statements


async def test_a_refund_costs_one_transaction_and_four_statements(opened: str) -> None:
    stage, shop = await set_scene()
    await shop.order("A-1", 5_000, await scene.customer(stage.link))
    with watched() as statements, counted_transactions() as transactions:
        await shop.refund("R-1", 100, of="A-1")
    # Its order, the refund, the count in the order, the message.
    assert (len(transactions), len(statements)) == (1, 4), statements


async def test_the_same_again_returns_the_first_and_writes_nothing(opened: str) -> None:
    stage, shop = await set_scene()
    mei = await scene.customer(stage.link)
    first = await shop.order("A-1", 5_000, mei, ref="c-1", at=NOW)
    refund = await shop.refund("R-1", 5_000, of="A-1")
    before = await rows()

    for now in (NOW, NOW + timedelta(days=400)):
        again = await shop.order("A-1", 5_000, mei, ref="c-1", at=NOW, now=now)
        assert (again.replayed, again.conversion.id) == (True, first.conversion.id)
    again = await shop.refund("R-1", 5_000, of="A-1")
    assert (again.replayed, again.conversion.id) == (True, refund.conversion.id)
    assert await rows() == before


async def test_a_repeat_after_the_decision_is_answered_with_it(embedded: str) -> None:
    stage, shop = await set_scene()
    mei = await scene.customer(stage.link)
    await shop.order("A-1", 5_000, mei)
    await scene.settle()
    again = await shop.order("A-1", 5_000, mei)
    assert (again.replayed, again.conversion.status) == (True, CREDITED)
    assert await scene.open_messages() == 0


async def test_orders_refunds_and_sources_have_ids_of_their_own(embedded: str) -> None:
    stage, shop = await set_scene()
    mei = await scene.customer(stage.link)
    await shop.order("1", 5_000, mei)
    assert not (await shop.refund("1", 5_000, of="1")).replayed
    assert not (await scene.shop(stage, "till").order("1", 7, mei)).replayed
    assert len(await scene.told()) == 3


async def test_other_figures_conflict_and_nothing_changes(opened: str) -> None:
    stage, shop = await set_scene()
    mei, lan = await scene.customer(stage.link), await scene.customer(None, name="Lan")
    await shop.order("A-1", 5_000, mei, ref="c-1", at=NOW - MINUTE)
    await shop.order("A-2", 5_000, mei)
    await shop.refund("R-1", 100, of="A-1")
    before = await rows()
    attempts: list[Callable[[], Awaitable[Recorded]]] = [
        lambda: shop.order("A-1", 5_001, mei, ref="c-1", at=NOW - MINUTE),
        lambda: shop.order("A-1", 5_000, mei, ref="c-1", at=NOW),
        lambda: shop.order("A-1", 5_000, mei, ref="c-1"),
        lambda: shop.order("A-1", 5_000, lan, ref="c-9", at=NOW - MINUTE),
        lambda: shop.order("A-1", 5_000, mei, ref="c-2", at=NOW - MINUTE),
        lambda: shop.refund("R-1", 101, of="A-1"),
        lambda: shop.refund("R-1", 100, of="A-2"),
        lambda: shop.refund("R-1", 100, of="A-1", at=NOW),
    ]

    for number, attempt in enumerate(attempts):
        with pytest.raises(IdempotencyConflict) as refused:
            await attempt()
        assert refused.value.field == ("externalId",)
        assert await rows() == before, number
    refs = await CustomerRef.all().values_list("ref", flat=True)
    assert list(refs) == ["c-1"]


async def test_twenty_equal_orders_at_once_are_one_order_with_one_message(opened: str) -> None:
    stage, shop = await set_scene()
    mei = await scene.customer(stage.link)

    answers = await asyncio.gather(*(shop.order("A-1", 5_000, mei, ref="c") for _ in range(20)))

    assert sorted(each.replayed for each in answers) == [False] + [True] * 19
    assert len({each.conversion.id for each in answers}) == 1
    assert len(await scene.told()) == await OutboxMessage.all().count() == 1
    await scene.settle()
    assert await scene.pending(stage.promoter.member) == 500


async def test_of_unequal_orders_at_once_one_wins_and_the_others_conflict(opened: str) -> None:
    stage, shop = await set_scene()
    mei = await scene.customer(stage.link)
    answers = await asyncio.gather(
        *(shop.order("A-1", amount, mei) for amount in range(100, 110)), return_exceptions=True
    )
    assert sum(isinstance(each, Recorded) for each in answers) == 1
    assert sum(isinstance(each, IdempotencyConflict) for each in answers) == 9
    assert len(await scene.told()) == await OutboxMessage.all().count() == 1


async def test_a_repeat_that_names_the_customer_fills_the_blank_and_is_decided(
    opened: str,
) -> None:
    stage, shop = await set_scene()
    mei = await scene.customer(stage.link)
    await shop.order("A-1", 5_000)
    await scene.settle()
    assert await shop.status("A-1") is PARKED

    again = await shop.order("A-1", 5_000, mei)

    assert (again.replayed, again.conversion.member_id) == (True, mei.id)
    await scene.settle()
    assert await shop.status("A-1") is CREDITED
    assert (await scene.pending(stage.promoter.member), await scene.spend(mei)) == (500, 5_000)


async def test_a_repeat_before_the_decision_fills_the_blank_and_is_decided_once(
    embedded: str,
) -> None:
    stage, shop = await set_scene()
    mei = await scene.customer(stage.link)
    await shop.order("A-1", 5_000)
    await shop.order("A-1", 5_000, mei)
    assert await OutboxMessage.all().count() == 1
    await scene.settle()
    assert await scene.commissions(await shop.find("A-1")) == [(500, 0)]


async def test_a_repeat_that_names_less_takes_nothing_away(embedded: str) -> None:
    stage, shop = await set_scene()
    mei = await scene.customer(stage.link)
    await shop.order("A-1", 5_000, mei, ref="c-1")
    assert (await shop.order("A-1", 5_000)).replayed
    row = await shop.find("A-1")
    assert (row.member_id, row.customer_ref) == (mei.id, "c-1")


async def test_an_order_that_gives_both_in_two_calls_joins_the_customer(embedded: str) -> None:
    stage, shop = await set_scene()
    mei = await scene.customer(stage.link)
    await shop.order("A-1", 5_000, ref="c-1")
    await shop.order("A-2", 700, ref="c-1")
    await scene.settle()

    await shop.order("A-1", 5_000, mei)
    await scene.settle()

    linked = await identity.customer("shop", "c-1")
    assert linked is not None
    assert linked.id == mei.id
    assert await shop.status("A-2") is CREDITED


async def test_an_order_with_member_and_customer_links_them_and_resolves_what_waited(
    opened: str,
) -> None:
    stage, shop = await set_scene()
    mei = await scene.customer(stage.link)
    await shop.order("A-1", 5_000, ref="c-1")
    await shop.refund("R-1", 1_000, of="A-1")
    await shop.refund("R-2", 30, ref="c-1")
    await shop.order("B-1", 9_999, ref="c-2")
    await scene.settle()
    assert {each.status for each in await scene.told()} == {PARKED}

    await shop.order("A-2", 700, mei, ref="c-1")
    await scene.settle()

    assert await shop.status("A-1") is CREDITED
    assert await shop.refund_status("R-1") is CREDITED
    assert await shop.refund_status("R-2") is NOT_CREDITED
    assert await shop.status("A-2") is CREDITED
    assert await shop.status("B-1") is PARKED
    assert await scene.spend(mei) == 5_000 - 1_000 - 30 + 700
    assert await scene.pending(stage.promoter.member) == 500 - 100 + 70


async def test_a_customer_is_of_its_source(embedded: str) -> None:
    stage, shop = await set_scene()
    mei = await scene.customer(stage.link)
    await shop.order("A-1", 100, mei, ref="c-1")
    await scene.shop(stage, "till").order("A-1", 100, ref="c-1")
    await scene.settle()
    assert await scene.shop(stage, "till").status("A-1") is PARKED


async def test_an_order_with_somebody_else_s_customer_is_recorded_for_its_member(
    opened: str,
) -> None:
    stage, shop = await set_scene()
    mei, lan = await scene.customer(stage.link), await scene.customer(stage.link, name="Lan")
    await shop.order("A-1", 100, mei, ref="c-1")

    recorded = await shop.order("A-2", 5_000, lan, ref="c-1")
    await scene.settle()

    [mistake] = recorded.mistakes
    assert isinstance(mistake, CustomerRefTaken)
    assert (mistake.code, mistake.field) == ("NOT_UNIQUE", ("customerRef",))
    assert recorded.conversion.member_id == lan.id
    assert (await scene.spend(mei), await scene.spend(lan)) == (100, 5_000)
    assert (await CustomerRef.get()).member_id == mei.id


async def test_a_repeat_of_an_order_with_somebody_else_s_customer_says_so_again(
    embedded: str,
) -> None:
    stage, shop = await set_scene()
    mei, lan = await scene.customer(stage.link), await scene.customer(stage.link, name="Lan")
    await shop.order("A-1", 100, mei, ref="c-1")
    first = await shop.order("A-2", 5_000, lan, ref="c-1")
    again = await shop.order("A-2", 5_000, lan, ref="c-1")
    assert [each.code for each in again.mistakes] == [each.code for each in first.mistakes]
    assert [each.code for each in again.mistakes] == ["NOT_UNIQUE"]


async def test_a_repeat_with_the_customer_alone_is_recognised_though_it_is_somebody_else_s(
    embedded: str,
) -> None:
    stage, shop = await set_scene()
    mei, lan = await scene.customer(stage.link), await scene.customer(stage.link, name="Lan")
    await shop.order("A-1", 100, mei, ref="c-1")
    await shop.order("A-2", 5_000, lan, ref="c-1")
    assert (await shop.order("A-2", 5_000, ref="c-1")).replayed


async def test_two_members_claiming_one_customer_at_once_both_have_their_orders(
    opened: str,
) -> None:
    stage, shop = await set_scene()
    members = [await scene.customer(stage.link, name=f"m{number}") for number in range(6)]

    answers = await asyncio.gather(
        *(shop.order(f"A-{each.id}", 100, each, ref="c-1") for each in members)
    )
    await scene.settle()

    assert sum(not each.mistakes for each in answers) == 1
    assert [await scene.spend(each) for each in members] == [100] * 6
    assert await CustomerRef.all().count() == 1


async def test_an_order_of_an_unknown_member_is_refused_and_nothing_is_written(
    opened: str,
) -> None:
    _, shop = await set_scene()
    with pytest.raises(MemberNotFound) as refused:
        await shop.order("A-1", 100, 98_765, ref="c-1")
    assert refused.value.field == ("member",)
    assert await rows() == []
    assert await CustomerRef.all().count() == 0


async def test_what_cannot_be_kept_is_refused_with_its_field(opened: str) -> None:
    _, shop = await set_scene()
    most = conversions.LARGEST_AMOUNT_MINOR
    attempts: list[tuple[Callable[[], Awaitable[Recorded]], type[Mistake], str]] = [
        (lambda: shop.order("A", -1, ref="c"), Invalid, "amountMinor"),
        (lambda: shop.order("A", most + 1, ref="c"), Invalid, "amountMinor"),
        (lambda: shop.refund("R", 0, of="A"), Invalid, "amountMinor"),
        (lambda: shop.refund("R", -1, of="A"), Invalid, "amountMinor"),
        (lambda: shop.refund("R", most + 1, of="A"), Invalid, "amountMinor"),
        (lambda: shop.order("", 1, ref="c"), Required, "externalId"),
        (lambda: shop.order("x" * 101, 1, ref="c"), TooLong, "externalId"),
        (lambda: shop.order("a\x00", 1, ref="c"), Invalid, "externalId"),
        (lambda: shop.order("A", 1, ref="c" * 101), TooLong, "customerRef"),
        (lambda: shop.order("A", 1, ref="  "), Required, "customerRef"),
        (lambda: Shop(shop.member_id, "s" * 41).order("A", 1), TooLong, "source"),
        (lambda: Shop(shop.member_id, " ").order("A", 1), Required, "source"),
        (lambda: shop.refund("x" * 101, 1, of="A"), TooLong, "externalId"),
        (lambda: shop.refund("R", 1, of="x" * 101), TooLong, "orderExternalId"),
        (lambda: shop.refund("R", 1, of=""), Required, "orderExternalId"),
        (lambda: shop.refund("R", 1), Required, "orderExternalId"),
        (lambda: shop.order("A", 1, at=NOW + 5 * MINUTE + TICK), Invalid, "occurredAt"),
        (lambda: shop.refund("R", 1, of="A", at=NOW + 5 * MINUTE + TICK), Invalid, "occurredAt"),
    ]
    for number, (attempt, kind, field) in enumerate(attempts):
        with pytest.raises(kind) as refused:
            await attempt()
        assert (type(refused.value), refused.value.field) == (kind, (field,)), number
    assert await rows() == []


async def test_what_is_just_within_its_limits_is_accepted(opened: str) -> None:
    _, shop = await set_scene()
    most = conversions.LARGEST_AMOUNT_MINOR
    await shop.order("zero", 0, ref="c")
    await shop.order("x" * 100, most, ref="名" * 100)
    await Shop(shop.member_id, "s" * 40).order("A", 1)
    ahead = await shop.order("ahead", 1, ref="c", at=NOW + 5 * MINUTE)
    await shop.refund("smallest", 1, of="x" * 100, at=NOW + 5 * MINUTE)
    await shop.refund("largest", most - 1, of="x" * 100)
    assert ahead.conversion.occurred_at == NOW + 5 * MINUTE
    assert await Conversion.all().count() == 6


async def test_an_empty_customer_is_refused_like_a_blank_one(embedded: str) -> None:
    _, shop = await set_scene()
    for attempt in (shop.order("A-1", 1, ref=""), shop.refund("R-1", 1, ref="")):
        with pytest.raises(Required):
            await attempt


async def test_a_refund_of_exactly_the_rest_is_accepted_and_one_more_is_not(opened: str) -> None:
    stage, shop = await set_scene()
    await shop.order("A-1", 1_000, await scene.customer(stage.link))
    await shop.refund("R-1", 400, of="A-1")
    before = await rows()

    with pytest.raises(ExceedsOrder) as refused:
        await shop.refund("R-2", 601, of="A-1")

    assert (refused.value.code, refused.value.field) == ("EXCEEDS_ORDER", ("amountMinor",))
    assert "600 minor units" in refused.value.message
    assert await rows() == before
    await shop.refund("R-2", 600, of="A-1")
    assert (await shop.find("A-1")).refunded_minor == 1_000
    with pytest.raises(ExceedsOrder):
        await shop.refund("R-3", 1, of="A-1")


async def test_refunds_at_once_never_exceed_their_order(opened: str) -> None:
    stage, shop = await set_scene()
    await shop.order("A-1", 1_000, await scene.customer(stage.link))
    await scene.settle()

    answers = await asyncio.gather(
        *(shop.refund(f"R-{number}", 300, of="A-1") for number in range(8)),
        return_exceptions=True,
    )
    await scene.settle()

    assert sum(isinstance(each, Recorded) for each in answers) == 3
    assert sum(isinstance(each, ExceedsOrder) for each in answers) == 5
    assert (await shop.find("A-1")).refunded_minor == 900
    assert await scene.commissions(await shop.find("A-1")) == [(100, 90)]
    assert await Conversion.filter(type=ConversionType.REFUND).count() == 3


async def test_a_refund_knows_its_order_at_once_where_that_is_there(embedded: str) -> None:
    stage, shop = await set_scene()
    order = await shop.order("A-1", 1_000, await scene.customer(stage.link))
    early = await shop.refund("R-1", 1, of="A-9")
    known = await shop.refund("R-2", 1, of="A-1", at=NOW - 9 * MINUTE)
    assert known.conversion.order_id == order.conversion.id
    assert early.conversion.order_id is None
    assert (await scene.shop(stage, "till").refund("R", 1, of="A-1")).conversion.order_id is None


def test_lanes_keep_what_concerns_one_customer_in_order() -> None:
    def lane(**more: object) -> str:
        return conversions.lane(Conversion(source="shop", external_id="A-1", **more))

    assert lane(member_id=7, customer_ref="c-1") == "member:7"
    assert lane(customer_ref="c-1") == "customer:shop:c-1"
    assert lane() == lane(order_external_id="A-1") == "order:shop:A-1"


async def test_a_conversion_is_found_by_its_kind_source_and_id(embedded: str) -> None:
    _, shop = await set_scene()
    made = (await shop.order("A-1", 1, ref="c")).conversion
    found = await conversions.find(ConversionType.ORDER, "shop", "A-1")
    assert found is not None
    assert found.id == made.id
    assert await conversions.find(ConversionType.REFUND, "shop", "A-1") is None
    assert await conversions.find(ConversionType.ORDER, "till", "A-1") is None
