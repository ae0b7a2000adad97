"""Owns the endpoints of webhooks: made, changed, deleted, listed with what they were sent."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime

import httpx

from core import audit, database, outbox, paging, webhooks
from core.errors import Invalid, Mistake, NotFound, Required
from core.paging import Page
from core.webhooks import WebhookDelivery, WebhookEndpoint

MOST_ENDPOINTS = 20
SECRET_PREFIX = "whsec_"  # noqa: S105 - what the secret begins with


class TooManyEndpoints(Mistake):
    """Every event would be written so many times."""

    code = "LIMIT_EXCEEDED"

    def __init__(self) -> None:
        super().__init__(f"There are at most {MOST_ENDPOINTS} endpoints; delete one first.")


async def kept() -> Sequence[WebhookEndpoint]:
    """Those that were not deleted, oldest first."""
    return await WebhookEndpoint.filter(deleted_at__isnull=True).order_by("id")


async def deliveries(
    endpoint_id: int, first: int, after: str | None
) -> tuple[Page[WebhookDelivery], Callable[[], Awaitable[int]]]:
    """One page of what an endpoint is owed or was sent, newest first, and what counts it all;
    raises `paging.BadPage`."""
    query = WebhookDelivery.filter(endpoint_id=endpoint_id)
    name = f"deliveries:{endpoint_id}"
    page = await paging.page(query, order=("-id",), name=name, first=first, after=after)
    return page, query.count


def secret(endpoint: WebhookEndpoint, key: str) -> bytes:
    """What its deliveries are signed with: made of the installation's key, so that a copy of the
    database signs nothing."""
    return hmac.digest(key.encode(), f"webhook secret {endpoint.salt}".encode(), hashlib.sha256)


def shown(secret: bytes) -> str:
    """The secret as receivers are given it."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def check_events(events: Collection[str], known: Collection[str]) -> Sequence[str]:
    """The names, each once; raises `Required` and `Invalid`."""
    if not events:
        raise Required("Name an event.", "events")
    for event in events:
        if event not in known:
            raise Invalid(f"The events are {', '.join(sorted(known))}.", "events")
    return sorted({*events})


@database.unit_of_work
async def create(url: str, events: Sequence[str], actor_id: int, now: datetime) -> WebhookEndpoint:
    """Tells a new endpoint of what happens from now on. Raises `TooManyEndpoints`.

    The address and the events are checked: see `posting.check_url` and `check_events`.
    """
    await database.lock("webhook-endpoints")
    if await WebhookEndpoint.filter(deleted_at__isnull=True).count() >= MOST_ENDPOINTS:
        raise TooManyEndpoints
    endpoint = await WebhookEndpoint.create(
        url=url, events=events, salt=secrets.token_hex(16), created_at=now
    )
    await _audit("webhookEndpointSave", endpoint, actor_id, now)
    return endpoint


async def _audit(action: str, endpoint: WebhookEndpoint, actor_id: int, now: datetime) -> None:
    # Without the address, in which there may be a token.
    detail = {"host": httpx.URL(endpoint.url).host, "events": endpoint.events}
    await audit.note(
        action, "WebhookEndpoint", [endpoint.id], actor_id=actor_id, now=now, detail=detail
    )


@database.unit_of_work
async def change(
    endpoint_id: int,
    url: str,
    events: Sequence[str],
    actor_id: int,
    now: datetime,
    *,
    rotate: bool = False,
) -> WebhookEndpoint:
    """Has the endpoint told elsewhere or of something else, and switches it on; with `rotate` it
    gets another secret, and the old one signs nothing any more. Raises `NotFound`."""
    await database.lock(webhooks.lock(endpoint_id))
    endpoint = await _found(endpoint_id, "id")
    endpoint.url, endpoint.events, endpoint.disabled_reason = url, events, None
    if rotate:
        endpoint.salt = secrets.token_hex(16)
    await endpoint.save()
    await _audit("webhookEndpointSave", endpoint, actor_id, now)
    return endpoint


@database.unit_of_work
async def delete(endpoint_id: int, actor_id: int, now: datetime) -> WebhookEndpoint:
    """Tells the endpoint nothing more, not even what it is owed. Raises `NotFound`."""
    await database.lock(webhooks.lock(endpoint_id))
    endpoint = await _found(endpoint_id, "id")
    await webhooks.withdraw(endpoint_id, now)
    endpoint.deleted_at = now
    await endpoint.save()
    await _audit("webhookEndpointDelete", endpoint, actor_id, now)
    return endpoint


async def replay(delivery_id: int, actor_id: int, now: datetime) -> WebhookEndpoint:
    """Sends the same once more, whatever became of it, behind what the endpoint is owed already.

    The message keeps its id, by which a receiver knows it. Raises `NotFound`, also for one that is
    no longer kept, and `Invalid` for an endpoint that is off.
    """
    delivery = await WebhookDelivery.get_or_none(id=delivery_id)
    if delivery is None:
        raise _no_delivery()
    return await _replay(delivery, actor_id, now)


@database.unit_of_work
async def _replay(delivery: WebhookDelivery, actor_id: int, now: datetime) -> WebhookEndpoint:
    await database.lock(webhooks.lock(delivery.endpoint_id))
    endpoint = await _found(delivery.endpoint_id, "delivery")
    if not endpoint.working:
        raise Invalid("Its endpoint is switched off: save that anew first.", "delivery")
    await outbox.drop(webhooks.TOPIC, webhooks.lane(endpoint.id), now, subject_id=delivery.id)
    opened = await WebhookDelivery.filter(id=delivery.id).update(
        attempts=0, next_at=now, delivered_at=None, ended_at=None, error=None
    )
    if not opened:  # it was forgotten meanwhile
        raise _no_delivery()
    await outbox.put(webhooks.TOPIC, [(delivery.id, webhooks.lane(endpoint.id))], now)
    await _audit("webhookReplay", endpoint, actor_id, now)
    return endpoint


def _no_delivery() -> NotFound:
    return NotFound("There is no such delivery.", "delivery")


async def _found(endpoint_id: int, field: str) -> WebhookEndpoint:
    endpoint = await WebhookEndpoint.get_or_none(id=endpoint_id, deleted_at__isnull=True)
    if endpoint is None:
        raise NotFound("There is no such endpoint.", field)
    return endpoint
