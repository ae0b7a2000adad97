"""Whatever order was answered is stored once, with its work, whoever else was told of it."""

import asyncio
import itertools
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from core import database
from core.outbox import OutboxMessage
from referral import conversions
from referral.models import Conversion
from tests import factories
from tests.client import ORDER
from tests.served import served

CONNECTIONS = 32
ORDERS_BEFORE_A_KILL = 300
PATIENCE_SECONDS = 60


async def set_scene(url: str) -> str:
    """The token of a shop."""
    async with database.opened(url):
        return (await factories.stage()).shop.token


@asynccontextmanager
async def shop(address: str, token: str) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=address, headers=headers, timeout=60) as client:
        yield client


async def tell(client: httpx.AsyncClient, external_id: str) -> dict[str, Any]:
    order = {"source": "shop", "externalId": external_id, "amountMinor": 100}
    response = await client.post("/graphql", json={"query": ORDER, "variables": {"input": order}})
    assert response.status_code == 200, response.text
    answered = response.json()["data"]["orderRecord"]
    assert answered["errors"] == []
    return answered


async def stored(url: str) -> set[str]:
    """The orders, once it is seen that each has one message of its own."""
    async with database.opened(url):
        ids = dict(await Conversion.filter(type="ORDER").values_list("id", "external_id"))
        work = await OutboxMessage.filter(topic=conversions.TOPIC).values_list("subject_id")
    assert sorted(ids) == sorted(subject for (subject,) in work if subject in ids)
    return {*ids.values()}


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_a_server_that_ends_under_load_has_stored_every_order_it_answered(
    how: signal.Signals, url: str
) -> None:
    token, numbers = await set_scene(url), itertools.count()
    answered: list[str] = []
    enough = asyncio.Event()

    async def trade(client: httpx.AsyncClient) -> None:
        for number in numbers:
            try:
                told = await tell(client, f"A-{number}")
            except httpx.TransportError:
                return
            answered.append(told["conversion"]["externalId"])
            if len(answered) >= ORDERS_BEFORE_A_KILL:
                enough.set()

    async with served(url) as server, shop(server.address, token) as client:
        trading = [asyncio.create_task(trade(client)) for _ in range(CONNECTIONS)]
        async with asyncio.timeout(PATIENCE_SECONDS):
            await enough.wait()
        server.process.send_signal(how)
        await asyncio.gather(*trading)

    assert len(answered) >= ORDERS_BEFORE_A_KILL
    assert sorted({*answered} - await stored(url)) == []


@pytest.mark.slow
async def test_equal_orders_at_two_servers_at_once_are_one_each(url: str) -> None:
    token = await set_scene(url)
    names = [f"A-{number % 10}" for number in range(100)]
    async with (
        served(url) as one,
        served(url) as other,
        shop(one.address, token) as here,
        shop(other.address, token) as there,
    ):
        told = await asyncio.gather(
            *(tell(here, name) for name in names), *(tell(there, name) for name in names[::-1])
        )

    first = [each["conversion"]["externalId"] for each in told if not each["replayed"]]
    assert sorted(first) == sorted({*names})
    assert len({each["conversion"]["id"] for each in told}) == len({*names})
    assert await stored(url) == {*names}
