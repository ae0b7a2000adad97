"""What is owed is sent at least once, in order, and one that does not answer holds up no other."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from core import database, delivering, endpoints, outbox, webhooks
from core.delivering import ATTEMPTS, PAUSES, Sender
from core.webhooks import Event, WebhookDelivery, WebhookEndpoint
from tests import receiver
from tests.core import elsewhere
from tests.receiver import Receiver

KEY = "the installation's"
OURS = frozenset({"127.0.0.1"})
ADMIN = 7
SECOND = timedelta(seconds=1)


class World:
    """A sender with a clock that stands still, and a receiver."""

    def __init__(self, url: str, shop: Receiver) -> None:
        self.url = url
        self.shop = shop
        self.now = datetime.now(UTC)
        self.sender = Sender(KEY, OURS)

    async def endpoint(self, path: str = "/hook") -> WebhookEndpoint:
        return await endpoints.create(self.shop.url(path), ["order.paid"], ADMIN, self.now)

    @database.unit_of_work
    async def paid(self, *numbers: int) -> None:
        events = [Event("order.paid", {"number": number}) for number in numbers]
        await webhooks.emit(events, self.now)

    async def begin(self) -> None:
        assert not await self.sender.work(lambda: self.now)

    async def send(self) -> None:
        """Sends until nothing is due."""
        await self.begin()
        while self.sender._running:
            await self.sender.finish()
            await self.begin()
        for each in await WebhookDelivery.all():
            assert (each.ended_at is None) == (each.next_at is not None), "open or ended"

    async def wait(self, time: timedelta) -> None:
        self.now += time
        await self.send()

    def numbers(self, path: str = "/hook") -> list[int]:
        return [each.said["data"]["number"] for each in self.shop.at(path)]


@pytest.fixture
async def world(opened: str) -> AsyncIterator[World]:
    async with receiver.running() as shop:
        yield World(opened, shop)


async def only() -> WebhookDelivery:
    [delivery] = await WebhookDelivery.all()
    return delivery


# ------------------------------------------------------------------ sending


async def test_what_happened_comes_once_signed_by_the_secret_that_was_shown(world: World) -> None:
    made = await world.endpoint()
    await world.paid(1)
    await world.send()
    await world.wait(timedelta(days=5))
    [got] = world.shop.got
    delivery = await only()
    assert got.id == delivery.message_id
    assert got.body.decode() == delivery.payload
    theirs = Webhook(endpoints.shown(endpoints.secret(made, KEY)))
    assert theirs.verify(got.body, dict(got.headers))["data"] == {"number": 1}
    with pytest.raises(WebhookVerificationError):
        theirs.verify(got.body + b" ", dict(got.headers))
    assert (delivery.attempts, delivery.next_at, delivery.error) == (1, None, None)
    assert delivery.delivered_at is not None
    assert await outbox.open_count(webhooks.TOPIC) == 0


async def test_a_rotated_secret_signs_from_then_on(world: World) -> None:
    made = await world.endpoint()
    await world.paid(1)
    rotated = await endpoints.change(made.id, made.url, made.events, ADMIN, world.now, rotate=True)
    await world.send()
    [got] = world.shop.got
    Webhook(endpoints.shown(endpoints.secret(rotated, KEY))).verify(got.body, dict(got.headers))


async def test_it_is_sent_again_under_its_id_after_a_pause_and_no_earlier(world: World) -> None:
    await world.endpoint()
    await world.paid(1)
    world.shop.answer(503, body="busy")
    await world.send()
    delivery = await only()
    assert (delivery.attempts, delivery.error) == (1, "HTTP 503 busy")
    assert delivery.next_at == world.now + PAUSES[0]
    await world.wait(PAUSES[0] - timedelta(microseconds=1))
    assert len(world.shop.got) == 1
    await world.wait(timedelta(microseconds=1))
    first, second = world.shop.got
    assert (first.id, first.body) == (second.id, second.body)
    apart = int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"])
    assert apart == PAUSES[0].seconds
    delivery = await only()
    assert (delivery.attempts, delivery.error) == (2, None)
    assert delivery.delivered_at == world.now


async def test_an_endpoint_is_told_in_order_also_after_a_failure(world: World) -> None:
    await world.endpoint()
    await world.paid(1, 2, 3)
    world.shop.answer(204, 500)
    await world.send()
    await world.paid(4)
    await world.send()
    assert world.numbers() == [1, 2]
    await world.wait(PAUSES[0])
    assert world.numbers() == [1, 2, 2, 3, 4]


async def test_one_that_does_not_answer_holds_up_no_other(world: World) -> None:
    await world.endpoint("/slow")
    await world.endpoint("/quick")
    world.shop.open.clear()
    await world.paid(1, 2)
    await world.begin()
    await elsewhere.until(_taken(1))
    await world.begin()
    await elsewhere.until(_taken(2))
    assert (world.numbers("/slow"), world.numbers("/quick")) == ([1], [1, 2])
    world.shop.open.set()
    await world.send()
    assert world.numbers("/slow") == [1, 2]


def _taken(count: int) -> Callable[[], Awaitable[bool]]:
    async def taken() -> bool:
        return await WebhookDelivery.filter(delivered_at__isnull=False).count() == count

    return taken


async def test_so_many_are_sent_at_once_and_the_end_of_each_rings(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "MOST_AT_ONCE", 2)
    for path in "abc":
        await world.endpoint(f"/{path}")
    await world.paid(1)
    world.shop.open.clear()
    rung: list[str] = []
    outbox.ring_with(lambda topic, id: rung.append(topic))
    try:
        await world.begin()
        await world.begin()
        await world.shop.came(2)
        assert (len(world.shop.got), rung) == (2, [])
        world.shop.open.set()
        await world.sender.finish()
    finally:
        outbox.ring_with(None)
    assert rung == [webhooks.TOPIC] * 2
    await world.send()
    assert len(world.shop.got) == 3


# ------------------------------------------------------------------ dying

SENDING = """
import asyncio, sys
from datetime import UTC, datetime
from core import database
from core.delivering import Sender

async def main(url, key, now):
    async with database.opened(url):
        sender = Sender(key, {"127.0.0.1"})
        await sender.work(lambda: datetime.fromisoformat(now))
        await sender.finish()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_killed_between_the_sending_and_the_writing_down_it_is_sent_again(
    world: World,
) -> None:
    await world.endpoint()
    await world.paid(1)
    world.shop.open.clear()
    command = [sys.executable, "-c", SENDING, world.url, KEY, world.now.isoformat()]
    process = await asyncio.create_subprocess_exec(*command, cwd=elsewhere.ROOT)
    await world.shop.came(1)
    process.kill()
    assert await process.wait() == -signal.SIGKILL
    world.shop.open.set()

    await world.wait(outbox.LEASE - SECOND)
    assert len(world.shop.got) == 1
    await world.wait(SECOND)
    first, second = world.shop.got
    assert (first.id, first.body) == (second.id, second.body)
    assert (await only()).delivered_at == world.now


async def test_who_stops_in_order_finishes_what_is_being_sent(world: World) -> None:
    await world.endpoint()
    await world.paid(1)
    await world.begin()
    await world.sender.finish()
    assert (await only()).delivered_at is not None


async def test_what_takes_too_long_at_the_stop_is_sent_again_by_another(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "STOP_SECONDS", 0.1)
    await world.endpoint()
    await world.paid(1)
    world.shop.open.clear()
    await world.begin()
    await world.shop.came(1)
    await world.sender.finish()
    assert (await only()).attempts == 0
    world.shop.open.set()
    await world.wait(outbox.LEASE)
    assert [each.id for each in world.shop.got] == [(await only()).message_id] * 2


# ------------------------------------------------------------------ giving up


async def test_after_ten_failures_in_three_days_the_endpoint_is_switched_off(world: World) -> None:
    made = await world.endpoint()
    await world.endpoint("/quick")
    began = world.now
    await world.paid(1, 2)
    for pause in (timedelta(0), *PAUSES[:-1]):
        await _fail(world, after=pause)
    assert (await WebhookEndpoint.get(id=made.id)).disabled_reason is None
    assert world.numbers() == [1] * (ATTEMPTS - 1)
    await _fail(world, after=PAUSES[-1])
    off = await WebhookEndpoint.get(id=made.id)
    assert off.disabled_reason is not None
    assert off.disabled_reason.endswith("the last one: HTTP 500")
    assert f"{ATTEMPTS} attempts" in off.disabled_reason
    assert timedelta(days=2.5) < world.now - began < timedelta(days=3.5)

    first, second = await WebhookDelivery.filter(endpoint_id=made.id).order_by("id")
    assert (first.attempts, first.next_at, first.error) == (ATTEMPTS, None, "HTTP 500")
    assert (second.attempts, second.next_at, second.error) == (0, None, webhooks.OFF)
    await world.paid(3)
    await world.wait(timedelta(days=9))
    assert world.numbers() == [1] * ATTEMPTS
    assert world.numbers("/quick") == [1, 2, 3]
    assert await outbox.open_count(webhooks.TOPIC) == 0

    await endpoints.change(made.id, off.url, off.events, ADMIN, world.now)
    await endpoints.replay(second.id, ADMIN, world.now)
    await world.paid(4)
    await world.send()
    assert world.numbers()[ATTEMPTS:] == [2, 4]


async def _fail(world: World, *, after: timedelta) -> None:
    """After the pause, /hook refuses the one attempt that is made there."""
    count = len(world.shop.at("/hook"))
    world.shop.refusing = {"/hook": 500}
    await world.wait(after)
    world.shop.refusing = {}
    assert len(world.shop.at("/hook")) == count + 1


async def test_410_switches_off_at_once(world: World) -> None:
    made = await world.endpoint()
    await world.paid(1, 2)
    world.shop.answer(410, body="moved out")
    await world.send()
    assert world.numbers() == [1]
    off = await WebhookEndpoint.get(id=made.id)
    assert off.disabled_reason == "It wants nothing more: HTTP 410 moved out"
    assert await outbox.open_count(webhooks.TOPIC) == 0


async def test_what_was_owed_while_it_was_switched_off_is_not_sent(world: World) -> None:
    made = await world.endpoint()
    await world.paid(1)
    # As by a transaction that looked for endpoints before this and committed after it.
    await WebhookEndpoint.filter(id=made.id).update(disabled_reason="gone")
    await world.send()
    assert world.shop.got == []
    delivery = await only()
    assert (delivery.attempts, delivery.next_at, delivery.error) == (0, None, webhooks.OFF)
    assert await outbox.open_count(webhooks.TOPIC) == 0


async def test_a_deleted_endpoint_is_sent_nothing(world: World) -> None:
    made = await world.endpoint()
    await world.paid(1)
    await endpoints.delete(made.id, ADMIN, world.now)
    await world.wait(timedelta(days=1))
    assert world.shop.got == []


# ------------------------------------------------------------------ again


async def test_a_replay_sends_the_same_once_more(world: World) -> None:
    await world.endpoint()
    await world.paid(1)
    await world.send()
    world.now += timedelta(days=30)
    await endpoints.replay((await only()).id, ADMIN, world.now)
    await world.send()
    first, second = world.shop.got
    assert (first.id, first.body) == (second.id, second.body)
    delivery = await only()
    assert (delivery.attempts, delivery.delivered_at) == (1, world.now)


async def test_a_replay_of_what_waits_for_its_next_attempt_is_sent_now_and_once(
    world: World,
) -> None:
    await world.endpoint()
    await world.paid(1)
    world.shop.answer(500)
    await world.send()
    await endpoints.replay((await only()).id, ADMIN, world.now)
    await world.wait(timedelta(days=1))
    assert world.numbers() == [1, 1]


async def test_a_replay_of_what_is_being_sent_is_sent_again(world: World) -> None:
    await world.endpoint()
    await world.paid(1)
    world.shop.open.clear()
    await world.begin()
    await world.shop.came(1)
    await endpoints.replay((await only()).id, ADMIN, world.now)
    world.shop.open.set()
    await world.send()
    assert world.numbers() == [1, 1]
    assert (await only()).attempts == 1
