"""Years of work are forgotten, and everything that is derived, checked and repeated stays right."""

from datetime import timedelta

import pytest

from core import endpoints, outbox, retention
from core.outbox import OutboxMessage
from core.webhooks import WebhookDelivery
from referral import conversions, counting, recomputing, reconciliation
from referral.conversions import NewOrder
from referral.models import ConversionStatus
from tests import factories
from tests.api.books import everything
from tests.factories import NOW
from tests.referral import scene

FORGOTTEN = {"outbox", "webhook_delivery", "kept_answer"}
YEARS = NOW + timedelta(days=3 * 365)
DAY = timedelta(days=1)


@pytest.fixture
async def shop(opened: str) -> scene.Shop:
    """A shop with orders and refunds that were decided, are parked, and have just come."""
    await factories.ladder()
    lin, teller = await factories.person("lin"), await factories.person("shop")
    await endpoints.create("https://hooks.example/in", ["conversion.credited"], 1, NOW)
    link = await factories.link(lin.member, await factories.program(rate_bps=333))
    shop = scene.Shop(teller.member.id)
    mei = await scene.customer(link)
    await shop.order("A-1", 400_001, mei)
    await shop.refund("R-1", 50_000, of="A-1")
    await shop.order("B-1", 77, ref="c-1")
    await shop.refund("R-2", 5, of="never-came")
    await scene.settle()
    for delivery in await WebhookDelivery.all():
        ended = {"next_at": None, "delivered_at": NOW, "ended_at": NOW}
        await WebhookDelivery.filter(id=delivery.id).update(**ended)
    await OutboxMessage.filter(topic="webhook").update(done_at=NOW)
    await shop.order("A-2", 300, mei)
    return shop


async def forget() -> None:
    retention.keep(DAY)
    try:
        while await retention.work(YEARS):
            pass
    finally:
        retention.keep(None)


async def reconciled() -> bool:
    while await counting.work():
        pass
    return (await reconciliation.reconcile(NOW)).ok


async def test_nothing_goes_but_what_was_done_and_what_was_sent(shop: scene.Shop) -> None:
    before = await everything()
    await forget()
    after = await everything()
    assert before["webhook_delivery"]
    assert after["webhook_delivery"] == after["kept_answer"] == []
    assert [row["done_at"] for row in after["outbox"]] == [None]  # A-2 is still to be decided
    for name in before.keys() - FORGOTTEN:
        assert before[name] == after[name], name


async def test_the_books_reconcile_and_come_out_the_same_anew(shop: scene.Shop) -> None:
    await forget()
    await scene.settle()
    assert await reconciled()
    summary = await recomputing.recompute(lambda: NOW, lambda done, total: None)
    assert (summary.metrics_mended, summary.tiers_moved) == (0, 0)
    await counting.restart()
    assert await reconciled()


async def test_what_comes_later_or_again_finds_all_that_it_needs(shop: scene.Shop) -> None:
    await forget()
    told = NewOrder("shop", "B-1", 77, None, "c-1")
    again = await conversions.record_order(told, shop.member_id, YEARS)
    assert again.replayed
    await shop.refund("R-3", 350_001, of="A-1", now=NOW + DAY)
    await shop.order("never-came", 5, ref="c-1", now=NOW + DAY)
    await scene.settle(NOW + DAY)
    assert await shop.status("A-1") is ConversionStatus.REVERSED
    assert await shop.status("A-2") is ConversionStatus.CREDITED
    assert await reconciled()
    assert await outbox.open_count(conversions.TOPIC) == 0
