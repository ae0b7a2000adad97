"""Owns the sending of what endpoints are owed: at least once, in order, for about three days.

What is being sent holds no transaction and no thread of the worker. Killed between the sending
and the writing down, it is sent again under the same id once its lease has ended.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

from core import database, endpoints, outbox, posting, webhooks
from core.outbox import Claim
from core.posting import Message, Outcome
from core.webhooks import TOPIC, WebhookDelivery

MOST_AT_ONCE = 20
STOP_SECONDS = 10
# From each failure to the next attempt; with the last one the endpoint is switched off.
PAUSES = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(hours=12),
    timedelta(hours=24),
    timedelta(hours=24),
)
ATTEMPTS = len(PAUSES) + 1


class Sender:
    """Sends for one process; `key` is the installation's, `hosts` may be private."""

    def __init__(self, key: str, hosts: Collection[str] = ()) -> None:
        self._key = key
        self._hosts = hosts
        self._running: set[asyncio.Task[None]] = set()

    async def work(self, clock: Callable[[], datetime]) -> bool:
        """Claims what is due and begins to send it, beside what is being sent.

        False in any case: whatever comes to an end rings for what may be sent then.
        """
        while len(self._running) < MOST_AT_ONCE:
            claims = await outbox.claim(TOPIC, clock(), most=1)
            if not claims:
                break
            task = asyncio.create_task(self._deliver(claims, clock))
            self._running.add(task)
            task.add_done_callback(self._ended)
        return False

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.result()  # what nobody expected goes to the log of the loop

    async def finish(self) -> None:
        """Returns when what is being sent has come to an end, or is cut off after ten seconds: its
        lease ends then, and it is sent again."""
        if not self._running:
            return
        _, late = await asyncio.wait({*self._running}, timeout=STOP_SECONDS)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    async def _deliver(self, claims: Sequence[Claim], clock: Callable[[], datetime]) -> None:
        try:
            found = WebhookDelivery.get_or_none(id=claims[0].subject_id)
            delivery = await found.select_related("endpoint")
            if delivery is None:
                await _end(claims, clock())
                return
            outcome = await self._post(delivery, clock()) if delivery.endpoint.working else None
            await _note(claims, delivery.endpoint_id, outcome, clock())
        except Exception as error:
            await outbox.give_back(claims, error, clock())
            raise

    async def _post(self, delivery: WebhookDelivery, now: datetime) -> Outcome:
        endpoint = delivery.endpoint
        secret = endpoints.secret(endpoint, self._key)
        message = Message(delivery.message_id, delivery.payload, secret)
        return await posting.post(endpoint.url, message, now, self._hosts)


@database.unit_of_work
async def _end(claims: Sequence[Claim], now: datetime) -> None:
    """Leaves it at that: the delivery was given up, and is no longer kept."""
    await outbox.settle(claims, now)
    outbox.ring(TOPIC, claims[0].subject_id)


@database.unit_of_work
async def _note(
    claims: Sequence[Claim], endpoint_id: int, outcome: Outcome | None, now: datetime
) -> None:
    """Writes down what came of an attempt; of None where there was none, the endpoint being off."""
    await database.lock(webhooks.lock(endpoint_id))
    delivery = await WebhookDelivery.get(id=claims[0].subject_id)
    _record(delivery, outcome, now)
    if delivery.next_at is None:
        await outbox.settle(claims, now)
    else:
        await outbox.postpone(claims, delivery.next_at)
    outbox.ring(TOPIC, delivery.id)
    await delivery.save()
    if outcome is not None and delivery.delivered_at is None and delivery.next_at is None:
        await webhooks.switch_off(endpoint_id, _why(delivery, outcome), now)


def _record(delivery: WebhookDelivery, outcome: Outcome | None, now: datetime) -> None:
    delivery.next_at, delivery.ended_at = None, now
    if outcome is None:
        delivery.error = webhooks.OFF
        return
    delivery.attempts += 1
    delivery.error = outcome.error
    if outcome.error is None:
        delivery.delivered_at = now
    elif not outcome.gone and delivery.attempts < ATTEMPTS:
        delivery.next_at, delivery.ended_at = now + PAUSES[delivery.attempts - 1], None


def _why(delivery: WebhookDelivery, outcome: Outcome) -> str:
    if outcome.gone:
        return f"It wants nothing more: {outcome.error}"
    since = webhooks.instant(delivery.created_at)
    return (
        f"It took nothing in {ATTEMPTS} attempts at a message of {since}; "
        f"the last one: {outcome.error}"
    )


_sender: Sender | None = None


def send_with(sender: Sender | None) -> None:
    """From now on `work` sends as this one does."""
    global _sender  # noqa: PLW0603 - the one wire between the worker and the settings of a process
    _sender = sender


async def work(clock: Callable[[], datetime]) -> bool:
    """Begins to send what is due; see `Sender.work`."""
    return _sender is not None and await _sender.work(clock)


async def finish() -> None:
    """See `Sender.finish`."""
    if _sender is not None:
        await _sender.finish()
