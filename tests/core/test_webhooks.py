"""What happened is owed to whoever asked for it, or it did not happen."""

import base64
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.nodes import to_id
from core import database, endpoints, outbox, webhooks
from core.audit import AuditEntry
from core.errors import Invalid, Mistake, NotFound
from core.webhooks import Event, WebhookDelivery, WebhookEndpoint
from tests.members.statements import watched

NOW = datetime(2026, 3, 1, 12, 0, 0, 123, tzinfo=UTC)
URL = "https://hooks.example/a?token=hidden"
KEY = "the installation's"
PAID, SENT = Event("order.paid", {"order": "A-1", "名": "茶"}), Event("order.sent", {})
ADMIN = 7

pytestmark = pytest.mark.usefixtures("opened")


async def endpoint(*events: str) -> WebhookEndpoint:
    return await endpoints.create(URL, events or ("order.paid",), ADMIN, NOW)


@database.unit_of_work
async def happen(*events: Event) -> None:
    await webhooks.emit(events, NOW)


async def owed(to: WebhookEndpoint) -> Sequence[Any]:
    rows = WebhookDelivery.filter(endpoint_id=to.id).order_by("id")
    return await rows.values_list("event", flat=True)


async def test_an_event_is_owed_to_each_endpoint_that_asked_and_to_no_other() -> None:
    one, both, other = await endpoint(), await endpoint("order.paid", "order.sent"), None
    other = await endpoint("order.lost")
    await happen(PAID, SENT)
    assert await owed(one) == ["order.paid"]
    assert await owed(both) == ["order.paid", "order.sent"]
    assert await owed(other) == []


async def test_what_is_sent_is_written_down_with_the_fact() -> None:
    made = await endpoint()
    await happen(PAID)
    [delivery] = await WebhookDelivery.all()
    assert delivery.payload == (
        '{"type":"order.paid","timestamp":"2026-03-01T12:00:00.000123Z",'
        '"data":{"order":"A-1","\\u540d":"\\u8336"}}'
    )
    assert (delivery.created_at, delivery.next_at, delivery.attempts) == (NOW, NOW, 0)
    assert delivery.message_id == f"msg_20260301120000000123_{delivery.id}"
    [message] = await outbox.OutboxMessage.all()
    assert (message.topic, message.subject_id) == (webhooks.TOPIC, delivery.id)
    assert (message.lane, message.available_at) == (f"endpoint:{made.id}", NOW)


async def test_a_fact_that_is_rolled_back_owes_nothing() -> None:
    await endpoint()

    @database.unit_of_work
    async def fail() -> None:
        await webhooks.emit([PAID], NOW)
        raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert await WebhookDelivery.all().count() == await outbox.OutboxMessage.all().count() == 0


async def test_without_endpoints_an_event_costs_one_statement_and_is_not_even_made() -> None:
    def making() -> Iterator[Event]:
        raise AssertionError("it was made")
        yield PAID

    with watched() as seen:
        await webhooks.emit(making(), NOW)
        assert len(seen) == 1
        await webhooks.emit([], NOW)
    assert len(seen) == 1


async def test_a_commit_rings_and_a_rollback_does_not() -> None:
    await endpoint()
    rung: list[tuple[str, int]] = []
    outbox.ring_with(lambda topic, id: rung.append((topic, id)))
    try:
        await happen(SENT)
        assert rung == []
        await happen(PAID)
    finally:
        outbox.ring_with(None)
    assert [topic for topic, _ in rung] == [webhooks.TOPIC]


@pytest.mark.parametrize("count", [webhooks.ROWS_AT_ONCE, webhooks.ROWS_AT_ONCE + 1])
async def test_many_at_once_keep_their_order(count: int) -> None:
    await endpoint()
    await happen(*(Event("order.paid", {"n": number}) for number in range(count)))
    rows = await WebhookDelivery.all().order_by("id").values_list("id", "payload")
    assert [f'{{"n":{number}}}' in payload for number, (_, payload) in enumerate(rows)] == (
        [True] * count
    )
    messages = await outbox.OutboxMessage.all().order_by("id").values_list("subject_id", flat=True)
    assert messages == [id for id, _ in rows]


async def test_an_endpoint_that_is_off_or_deleted_is_owed_nothing() -> None:
    off, deleted = await endpoint(), await endpoint()
    await happen(PAID)

    @database.unit_of_work
    async def switch_off() -> None:
        await database.lock(webhooks.lock(off.id))
        await webhooks.switch_off(off.id, "x" * 1_000, NOW)

    await switch_off()
    await endpoints.delete(deleted.id, ADMIN, NOW)
    await happen(PAID)
    found = await WebhookDelivery.all().values_list("next_at", "delivered_at", "error")
    assert found == [(None, None, webhooks.OFF)] * 2
    assert await outbox.open_count(webhooks.TOPIC) == 0
    [kept] = await endpoints.kept()
    assert kept.id == off.id
    assert kept.disabled_reason == "x" * webhooks.REASON_CHARACTERS

    saved = await endpoints.change(off.id, URL, ["order.sent"], ADMIN, NOW)
    assert saved.disabled_reason is None
    await happen(PAID, SENT)
    assert await owed(off) == ["order.paid", "order.sent"]


def test_an_id_is_that_of_the_api() -> None:
    assert webhooks.ref("Member", 42) == to_id("Member", 42)
    assert webhooks.ref("Member", None) is None


# ------------------------------------------------------------------ endpoints


async def test_every_endpoint_has_a_secret_that_only_the_key_makes_and_rotating_changes() -> None:
    one, other = await endpoint(), await endpoint()
    first = endpoints.secret(one, KEY)
    assert len(first) == 32
    assert first == endpoints.secret(await WebhookEndpoint.get(id=one.id), KEY)
    assert first not in (endpoints.secret(other, KEY), endpoints.secret(one, "another"))
    shown = endpoints.shown(first)
    assert shown.startswith("whsec_")
    assert base64.b64decode(shown.removeprefix("whsec_")) == first

    same = await endpoints.change(one.id, URL, ["order.paid"], ADMIN, NOW)
    assert endpoints.secret(same, KEY) == first
    rotated = await endpoints.change(one.id, URL, ["order.paid"], ADMIN, NOW, rotate=True)
    assert endpoints.secret(rotated, KEY) != first


async def test_there_are_20_endpoints_and_no_more() -> None:
    made = [await endpoint() for _ in range(endpoints.MOST_ENDPOINTS)]
    with pytest.raises(Mistake) as caught:
        await endpoint()
    assert caught.value.code == "LIMIT_EXCEEDED"
    await endpoints.delete(made[0].id, ADMIN, NOW)
    await endpoint()


async def test_what_is_deleted_is_not_found_any_more() -> None:
    made = await endpoint()
    await happen(PAID)
    [delivery] = await WebhookDelivery.all()
    await endpoints.delete(made.id, ADMIN, NOW)
    with pytest.raises(NotFound):
        await endpoints.delete(made.id, ADMIN, NOW)
    with pytest.raises(NotFound):
        await endpoints.change(made.id, URL, ["order.paid"], ADMIN, NOW)
    for missing in (delivery.id, delivery.id + 1):
        with pytest.raises(NotFound):
            await endpoints.replay(missing, ADMIN, NOW)


async def test_who_did_it_is_written_down_without_the_address() -> None:
    before = await AuditEntry.all().count()
    made = await endpoint()
    await happen(PAID)
    [delivery] = await WebhookDelivery.all()
    await endpoints.replay(delivery.id, ADMIN, NOW)
    await endpoints.delete(made.id, ADMIN, NOW)
    entries = (await AuditEntry.all().order_by("id"))[before:]
    acts = ["webhookEndpointSave", "webhookReplay", "webhookEndpointDelete"]
    assert [each.action for each in entries] == acts
    for each in entries:
        assert (each.subject_kind, each.subject_id, each.actor_id) == (
            "WebhookEndpoint",
            made.id,
            ADMIN,
        )
        assert each.detail == {"host": "hooks.example", "events": ["order.paid"]}


def test_the_names_of_events_are_sorted_and_each_is_kept_once() -> None:
    known = {"a.b", "a.a"}
    assert endpoints.check_events(["a.b", "a.a", "a.b"], known) == ["a.a", "a.b"]
    with pytest.raises(Invalid):
        endpoints.check_events(["a.b", "a.c"], known)
    with pytest.raises(Mistake) as caught:
        endpoints.check_events([], known)
    assert caught.value.code == "REQUIRED"


# ------------------------------------------------------------------ replaying


async def test_a_replay_begins_anew_behind_what_is_owed_already() -> None:
    await endpoint()
    await happen(PAID, PAID)
    first, second = await WebhookDelivery.all().order_by("id")
    later = NOW + timedelta(hours=1)
    await WebhookDelivery.filter(id=first.id).update(
        attempts=3, next_at=None, delivered_at=NOW, ended_at=NOW, error="HTTP 500"
    )
    for _ in range(2):  # replayed twice, it is owed once
        await endpoints.replay(first.id, ADMIN, later)
    again = await WebhookDelivery.get(id=first.id)
    assert (again.attempts, again.next_at) == (0, later)
    assert (again.delivered_at, again.ended_at, again.error) == (None, None, None)
    assert (again.message_id, again.payload) == (first.message_id, first.payload)
    due = outbox.OutboxMessage.filter(done_at__isnull=True).order_by("id")
    assert await due.values_list("subject_id", flat=True) == [second.id, first.id]


async def test_nothing_is_replayed_to_an_endpoint_that_is_off() -> None:
    made = await endpoint()
    await happen(PAID)
    await WebhookEndpoint.filter(id=made.id).update(disabled_reason="gone")
    [delivery] = await WebhookDelivery.all()
    with pytest.raises(Invalid):
        await endpoints.replay(delivery.id, ADMIN, NOW)
