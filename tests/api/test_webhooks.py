"""Webhooks over real HTTP: who is told of what, and what admins see of it."""

import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from api.nodes import to_id
from api.webhooks import EVENTS
from core.webhooks import WebhookDelivery
from members.models import Role
from referral import events
from referral.models import Payout
from tests import factories, receiver
from tests.api.books import nothing_written, on_sqlite_alone
from tests.client import ORDER, REFUND, REGISTER, Api
from tests.core import elsewhere
from tests.receiver import Got, Receiver

DOCS = Path(__file__).parents[2] / "docs" / "webhooks.md"
SAVE = """
mutation ($id: ID, $url: String!, $events: [String!]!, $rotate: Boolean! = false) {
  webhookEndpointSave(id: $id, url: $url, events: $events, rotate: $rotate) {
    endpoint { id url events disabledReason } secret errors { code field }
  }
}"""
DELETE = """
mutation ($id: ID!) {
  webhookEndpointDelete(id: $id) { endpoint { id } secret errors { code field } }
}"""
REPLAY = """
mutation ($delivery: ID!) {
  webhookReplay(delivery: $delivery) { endpoint { id } secret errors { code field } }
}"""
ENDPOINTS = """
{ webhookEndpoints { id url events disabledReason deliveries(first: 2) {
    totalCount nodes { id event attempts deliveredAt error } } } }"""
NODE = "query ($id: ID!) { node(id: $id) { __typename id } }"


@pytest.fixture
async def shop() -> AsyncIterator[Receiver]:
    async with receiver.running() as running:
        yield running


async def admins() -> str:
    return (await factories.person("admin", Role.ADMIN)).token


async def save(live: Api, shop: Receiver, *names: str) -> Any:
    saved = await live.ask(SAVE, await admins(), url=shop.url(), events=list(names or EVENTS))
    assert saved["errors"] == []
    return saved


async def order(live: Api, token: str, member: str, name: str, amount: int) -> None:
    said = {"source": "shop", "externalId": name, "member": member, "amountMinor": amount}
    assert (await live.ask(ORDER, token, input=said))["errors"] == []
    await live.decided(token, "shop", name)


def all_of(got: list[Got], event: str) -> list[dict[str, Any]]:
    return [each.said["data"] for each in got if each.said["type"] == event]


# ------------------------------------------------------------------ what is told


async def test_what_happens_is_told_as_it_is_documented(live: Api, shop: Receiver) -> None:
    stage = await factories.stage()
    secret = (await save(live, shop))["secret"]
    joined = await live.ask(
        REGISTER, input={"displayName": "Mei", "visitorId": await live.visit(stage.link.code)}
    )
    member, promoter = joined["member"]["id"], to_id("Member", stage.promoter.member.id)
    program = to_id("Program", stage.program.id)
    await order(live, stage.shop.token, member, "A-1", 500_000)
    refund = {
        "source": "shop",
        "externalId": "R-1",
        "orderExternalId": "A-1",
        "amountMinor": 200_000,
    }
    await live.ask(REFUND, stage.shop.token, input=refund)
    refunded = await live.decided(stage.shop.token, "shop", "R-1", "REFUND")
    await factories.piece("tea")

    await shop.came(7)  # an account, what it is not credited for, an order, a refund with tiers

    async def all_told() -> bool:
        open_ones = WebhookDelivery.filter(delivered_at__isnull=True)
        return not await open_ones.exists()

    await elsewhere.until(all_told)
    for got in shop.got:
        Webhook(secret).verify(got.body, dict(got.headers))
    assert {each.said["type"] for each in shop.got} == {*EVENTS} - {"payout.sent"}
    assert member in [each["member"] for each in all_of(shop.got, "member.registered")]

    earned = {"program": program, "promoter": promoter, "level": 1, "asset": "CASH"}
    [credited] = all_of(shop.got, "conversion.credited")
    assert credited == {
        "conversion": credited["conversion"],
        "type": "ORDER",
        "source": "shop",
        "externalId": "A-1",
        "member": member,
        "amountMinor": 500_000,
        "occurredAt": credited["occurredAt"],
        "commissions": [earned | {"amount": 50_000}],
    }
    [taken_back] = all_of(shop.got, "commission.reversed")
    assert taken_back == {
        "conversion": credited["conversion"],
        "refund": {
            "conversion": refunded["id"],
            "type": "REFUND",
            "source": "shop",
            "externalId": "R-1",
        },
        "commission": earned | {"amount": 50_000},
        "amount": 20_000,
        "reversed": 20_000,
    }
    assert "REGISTRATION" in [each["type"] for each in all_of(shop.got, "conversion.not_credited")]
    moves = [each for each in all_of(shop.got, "tier.changed") if each["member"] == member]
    assert [each["reason"] for each in moves] == ["QUALIFIED", "REFUNDED"]
    assert moves[0]["from"] is None
    assert moves[0]["to"] == moves[1]["from"] != moves[1]["to"]
    [published] = all_of(shop.got, "content.published")
    assert (published["slug"], published["version"]) == ("tea", 1)


def test_a_pay_out_that_is_sent_has_its_event() -> None:
    sent = events.payout_sent(
        Payout(id=1, member_id=2, program_id=3, amount_minor=400, currency="CNY")
    )
    assert sent.type in EVENTS
    assert sent.data == {
        "payout": to_id("Payout", 1),
        "member": to_id("Member", 2),
        "program": to_id("Program", 3),
        "amountMinor": 400,
        "currency": "CNY",
    }


def test_every_event_is_documented() -> None:
    documented = set(re.findall(r"^\| `([a-z._]+)` \|", DOCS.read_text(), re.MULTILINE))
    assert documented == {*EVENTS}


# ------------------------------------------------------------------ how it is verified


def sample(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert found
    return found[1]


def in_python(secret: str, headers: dict[str, str], body: bytes) -> bool:
    names: dict[str, Any] = {}
    exec(sample("python"), names)  # noqa: S102 - our own documentation
    return names["is_ours"](secret, headers, body)


def in_javascript(secret: str, headers: dict[str, str], body: bytes) -> bool:
    if shutil.which("node") is None:
        pytest.skip("install node")
    told = json.dumps([secret, headers, body.decode()])
    script = f"{sample('javascript')}\nconsole.log(isOurs(...{told}))"
    ran = subprocess.run(
        ["node", "--input-type=module", "-e", script], check=True, capture_output=True, text=True
    )
    return {"true": True, "false": False}[ran.stdout.strip()]


@on_sqlite_alone
@pytest.mark.parametrize("is_ours", [in_python, in_javascript])
async def test_the_samples_of_the_documentation_tell_ours_from_others(
    live: Api, shop: Receiver, is_ours: Callable[[str, dict[str, str], bytes], bool]
) -> None:
    secret = (await save(live, shop, "content.published"))["secret"]
    await factories.piece("tea")
    await shop.came(1)
    [got] = shop.got
    headers = dict(got.headers)
    assert is_ours(secret, headers, got.body)
    assert is_ours(
        secret, headers | {"webhook-signature": "v1,x " + headers["webhook-signature"]}, got.body
    )
    assert not is_ours(secret, headers, got.body + b" ")
    assert not is_ours(secret, headers | {"webhook-id": "another"}, got.body)
    assert not is_ours(secret, headers | {"webhook-signature": "v1,AAAA"}, got.body)
    assert not is_ours("whsec_AAAA", headers, got.body)
    signer = Webhook(secret)
    for age, ours in ((290, True), (310, False)):
        at = int(datetime.now(UTC).timestamp()) - age
        signature = signer.sign(got.id, datetime.fromtimestamp(at, UTC), got.body.decode())
        old = {"webhook-timestamp": str(at), "webhook-signature": signature}
        assert is_ours(secret, headers | old, got.body) is ours


# ------------------------------------------------------------------ what admins do


@on_sqlite_alone
async def test_the_secret_is_shown_when_it_is_new_and_never_again(
    live: Api, shop: Receiver
) -> None:
    made = await save(live, shop, "tier.changed", "tier.changed")
    assert made["endpoint"]["events"] == ["tier.changed"]
    assert made["secret"].startswith("whsec_")
    again = {"id": made["endpoint"]["id"], "url": shop.url("/b"), "events": ["payout.sent"]}
    saved = await live.ask(SAVE, await admins(), **again)
    assert saved["secret"] is None
    assert saved["endpoint"]["url"] == shop.url("/b")
    rotated = await live.ask(SAVE, await admins(), **again, rotate=True)
    assert rotated["secret"] not in (None, made["secret"])
    [listed] = await live.ask(ENDPOINTS, await admins())
    assert listed == rotated["endpoint"] | {"deliveries": {"totalCount": 0, "nodes": []}}


@on_sqlite_alone
async def test_deliveries_are_listed_and_replayed_and_why_it_is_off_is_seen(
    live: Api, shop: Receiver
) -> None:
    admin, made = await admins(), await save(live, shop, "content.published")
    for slug in ("a", "b", "c"):
        await factories.piece(slug)
    await shop.came(3)

    async def listed() -> Any:
        [endpoint] = await live.ask(ENDPOINTS, admin)
        return endpoint

    async def newest_taken() -> bool:
        return (await listed())["deliveries"]["nodes"][0]["deliveredAt"] is not None

    await elsewhere.until(newest_taken)
    deliveries = (await listed())["deliveries"]
    assert deliveries["totalCount"] == 3
    newest, _ = deliveries["nodes"]
    assert (newest["event"], newest["attempts"]) == ("content.published", 1)
    assert newest["error"] is None

    shop.answer(410)
    replayed = await live.ask(REPLAY, admin, delivery=newest["id"])
    assert replayed == {"endpoint": {"id": made["endpoint"]["id"]}, "secret": None, "errors": []}

    async def off() -> bool:
        return (await listed())["disabledReason"] is not None

    await elsewhere.until(off)
    assert (await listed())["disabledReason"] == "It wants nothing more: HTTP 410"
    assert [each.said["data"]["slug"] for each in shop.got] == ["a", "b", "c", "c"]
    assert (await listed())["deliveries"]["nodes"][0]["error"] == "HTTP 410"
    refused = await live.ask(REPLAY, admin, delivery=newest["id"])
    assert refused["errors"] == [{"code": "INVALID", "field": ["delivery"]}]


@on_sqlite_alone
async def test_what_is_deleted_is_gone(live: Api, shop: Receiver) -> None:
    admin, made = await admins(), await save(live, shop)
    id = made["endpoint"]["id"]
    assert await live.ask(NODE, admin, id=id) == {"__typename": "WebhookEndpoint", "id": id}
    assert await live.ask(DELETE, admin, id=id) == {
        "endpoint": {"id": id},
        "secret": None,
        "errors": [],
    }
    assert await live.ask(ENDPOINTS, admin) == []
    assert await live.ask(NODE, admin, id=id) is None
    missing = [{"code": "NOT_FOUND", "field": ["id"]}]
    async with nothing_written():
        assert (await live.ask(DELETE, admin, id=id))["errors"] == missing
        again = {"id": id, "url": shop.url(), "events": ["tier.changed"]}
        assert (await live.ask(SAVE, admin, **again))["errors"] == missing


@on_sqlite_alone
async def test_what_cannot_be_is_refused_and_nothing_is_written(live: Api, shop: Receiver) -> None:
    admin = await admins()
    url, names = shop.url(), ["tier.changed"]
    expected: list[tuple[dict[str, Any], str, str]] = [
        ({"url": " ", "events": names}, "REQUIRED", "url"),
        ({"url": "https://h.example/" + "x" * 2_000, "events": names}, "TOO_LONG", "url"),
        ({"url": "http://h.example/", "events": names}, "INVALID", "url"),
        ({"url": "https://localhost:1/#x", "events": names}, "INVALID", "url"),
        ({"url": "https://192.168.1.1/", "events": names}, "INVALID", "url"),
        ({"url": url, "events": []}, "REQUIRED", "events"),
        ({"url": url, "events": ["tier.lost"]}, "INVALID", "events"),
        ({"url": url, "events": names, "id": "x"}, "NOT_FOUND", "id"),
        ({"url": url, "events": names, "id": to_id("Member", 1)}, "NOT_FOUND", "id"),
        ({"url": url, "events": names, "id": to_id("WebhookEndpoint", 9)}, "NOT_FOUND", "id"),
    ]
    async with nothing_written():
        for given, code, field in expected:
            refused = await live.ask(SAVE, admin, **given)
            assert refused["errors"] == [{"code": code, "field": [field]}], given
            assert refused["secret"] is refused["endpoint"] is None
        for id in ("x", to_id("WebhookDelivery", 9)):
            refused = await live.ask(REPLAY, admin, delivery=id)
            assert refused["errors"] == [{"code": "NOT_FOUND", "field": ["delivery"]}]


@on_sqlite_alone
async def test_webhooks_are_for_admins_alone_found_by_their_ids_too(
    live: Api, shop: Receiver
) -> None:
    made = await save(live, shop, "content.published")
    await factories.piece("tea")
    operator = (await factories.person("operator", Role.OPERATOR)).token
    [endpoint] = await live.ask(ENDPOINTS, await admins())
    [delivery] = endpoint["deliveries"]["nodes"]
    for id in (made["endpoint"]["id"], delivery["id"]):
        assert await live.refused(NODE, operator, id=id) == "FORBIDDEN"
        assert (await live.ask(NODE, await admins(), id=id))["id"] == id
    assert await live.refused(ENDPOINTS, operator) == "FORBIDDEN"
