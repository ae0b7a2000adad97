"""Owns who is told of what happens here: endpoints, and the deliveries that they are owed.

Knows no business word: rooms name their events, and write them with the fact itself. Endpoints are
kept by `core.endpoints`, sent to by `core.delivering`.
"""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tortoise import fields
from tortoise.models import Model

from core import database, outbox, posting

TOPIC = "webhook"
ROWS_AT_ONCE = 1_000
REASON_CHARACTERS = 600
OFF = "not sent: the endpoint was switched off"


class WebhookEndpoint(Model):
    """An address that is told of some events. Off while `disabled_reason` says why."""

    id = fields.BigIntField(primary_key=True)
    url = fields.CharField(max_length=posting.URL_CHARACTERS)
    events: Any = fields.JSONField()  # names, sorted
    salt = fields.CharField(max_length=32)  # makes its secret, with the installation's
    created_at = fields.DatetimeField()
    disabled_reason = fields.CharField(max_length=REASON_CHARACTERS, null=True)
    deleted_at = fields.DatetimeField(null=True)  # its deliveries stay, it is not seen any more

    class Meta:
        table = "webhook_endpoint"

    @property
    def working(self) -> bool:
        return self.disabled_reason is None and self.deleted_at is None


class WebhookDelivery(Model):
    """One event for one endpoint. Open while `next_at` is set, given up when neither that nor
    `delivered_at` is."""

    id = fields.BigIntField(primary_key=True)
    endpoint = fields.ForeignKeyField(
        "core.WebhookEndpoint", related_name="deliveries", on_delete=fields.RESTRICT
    )
    endpoint_id: int
    event = fields.CharField(max_length=60)
    payload = fields.TextField()  # JSON as it is sent, every time the same
    created_at = fields.DatetimeField()
    attempts = fields.SmallIntField(default=0)  # that came to an end
    next_at = fields.DatetimeField(null=True)
    delivered_at = fields.DatetimeField(null=True)
    ended_at = fields.DatetimeField(null=True)  # delivered or given up; null while it is open
    error = fields.CharField(max_length=posting.ERROR_CHARACTERS, null=True)  # of the last attempt

    class Meta:
        table = "webhook_delivery"
        indexes = (("endpoint_id", "id"),)

    @property
    def message_id(self) -> str:
        """What a receiver knows a repetition by."""
        return f"msg_{self.created_at.astimezone(UTC):%Y%m%d%H%M%S%f}_{self.id}"


@dataclass(frozen=True, slots=True)
class Event:
    """What happened: a name such as `order.paid`, and what a receiver needs to know, in JSON."""

    type: str
    data: Mapping[str, Any]


def ref(kind: str, number: int | None) -> str | None:
    """The id by which the API names the row; null where there is none."""
    return None if number is None else base64.b64encode(f"{kind}:{number}".encode()).decode()


def instant(at: datetime) -> str:
    """An instant as the API writes it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


async def emit(events: Iterable[Event], now: datetime) -> None:
    """Has every endpoint told that asked for it; belongs into the unit of work of what happened.

    Takes one statement where there is no endpoint, and does not go through the events then.
    """
    if not events:
        return
    endpoints = await _working()
    if not endpoints:
        return
    owed = [
        (endpoint.id, event.type, _payload(event, now))
        for event in events
        for endpoint in endpoints
        if event.type in endpoint.events
    ]
    for start in range(0, len(owed), ROWS_AT_ONCE):
        await _owe(owed[start : start + ROWS_AT_ONCE], now)


def _payload(event: Event, now: datetime) -> str:
    said = {"type": event.type, "timestamp": instant(now), "data": event.data}
    return json.dumps(said, separators=(",", ":"))


async def _owe(owed: Sequence[tuple[int, str, str]], now: datetime) -> None:
    numbers = iter(range(2, len(owed) * 3 + 2))
    placed = ", ".join(
        f"(${next(numbers)}, ${next(numbers)}, ${next(numbers)}, $1, 0, $1)" for _ in owed
    )
    made = await database.rows(
        "INSERT INTO webhook_delivery (endpoint_id, event, payload, created_at, attempts, next_at) "
        f"VALUES {placed} RETURNING id, endpoint_id",
        now,
        *(value for row in owed for value in row),
    )
    made.sort(key=lambda row: row["id"])
    await outbox.put(TOPIC, [(row["id"], lane(row["endpoint_id"])) for row in made], now)


def lane(endpoint_id: int) -> str:
    """An endpoint is told in order, and holds up no other."""
    return f"endpoint:{endpoint_id}"


def lock(endpoint_id: int) -> str:
    """Held by whoever changes an endpoint or what became of its deliveries."""
    return f"webhook:{endpoint_id}"


async def _working() -> Sequence[WebhookEndpoint]:
    return await WebhookEndpoint.filter(disabled_reason__isnull=True, deleted_at__isnull=True)


async def switch_off(endpoint_id: int, reason: str, now: datetime) -> None:
    """Tells the endpoint nothing more until it is saved anew; belongs into a unit of work that
    holds its lock."""
    await withdraw(endpoint_id, now)
    await WebhookEndpoint.filter(id=endpoint_id).update(disabled_reason=reason[:REASON_CHARACTERS])


async def withdraw(endpoint_id: int, now: datetime) -> None:
    """Gives up what the endpoint is owed; belongs into a unit of work that holds its lock."""
    await outbox.drop(TOPIC, lane(endpoint_id), now)
    open_ones = WebhookDelivery.filter(endpoint_id=endpoint_id, next_at__isnull=False)
    await open_ones.update(next_at=None, ended_at=now, error=OFF)
