"""How many requests a viewer and an address may send in a minute, in one process and in several."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.asyncio

from api.errors import RateLimited
from api.rates import Rates
from api.settings import Settings
from members import identity
from members.models import Role
from tests import factories
from tests.client import Api
from tests.conftest import SECRET, serving
from tests.ports import free_port

MOST = 40
HERE = "192.0.2.1"


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000_000_030.0  # ten seconds of the minute are over

    def __call__(self) -> float:
        return self.now


def member(number: int, *roles: Role) -> identity.Viewer:
    return identity.Viewer(number, identity.expand(roles))


def taken(rates: Rates, viewer: identity.Viewer | None, address: str | None, times: int) -> int:
    """How many of so many requests were let through."""
    through = 0
    for _ in range(times):
        try:
            rates.take(viewer, address)
        except RateLimited:
            continue
        through += 1
    return through


def test_an_address_may_send_as_many_as_the_limit_in_a_minute() -> None:
    clock = Clock()
    rates = Rates(MOST, clock)
    assert taken(rates, None, HERE, MOST) == MOST
    with pytest.raises(RateLimited) as refused:
        rates.take(None, HERE)
    assert refused.value.wait_seconds == 50
    assert not rates.allows(HERE)
    assert taken(rates, None, "192.0.2.2", 1) == 1
    clock.now += 49.5
    assert taken(rates, None, HERE, 1) == 0
    clock.now += 0.5
    assert taken(rates, None, HERE, MOST + 1) == MOST


def test_a_viewer_may_not_send_more_from_many_addresses() -> None:
    rates = Rates(MOST, Clock())
    assert sum(taken(rates, member(1), f"192.0.2.{each}", 1) for each in range(60)) == MOST
    assert taken(rates, member(2), "192.0.2.200", 1) == 1


def test_many_viewers_behind_one_address_share_its_limit() -> None:
    rates = Rates(MOST, Clock())
    assert sum(taken(rates, member(each), HERE, 1) for each in range(60)) == MOST


def test_a_service_and_whoever_has_no_limit_send_what_they_like() -> None:
    rates = Rates(MOST, Clock())
    assert taken(rates, member(1, Role.SERVICE), HERE, 3 * MOST) == 3 * MOST
    assert taken(rates, None, HERE, MOST) == MOST  # what it sent counts for nobody
    assert taken(rates, None, None, 3 * MOST) == 3 * MOST
    assert taken(Rates(0, Clock()), member(1), HERE, 3 * MOST) == 3 * MOST


@pytest.mark.redis
async def test_processes_learn_from_each_other_what_they_have_counted(redis_url: str) -> None:
    clock = Clock()
    one, two = Rates(MOST, clock), Rates(MOST, clock)
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        assert taken(one, None, HERE, 25) == 25
        assert taken(two, None, HERE, 5) == 5
        for _ in range(2):  # twice tells nothing twice
            await one.tell(client)
            await two.tell(client)
        await one.tell(client)
        assert taken(one, None, HERE, MOST) == MOST - 30
        await one.tell(client)
        await two.tell(client)
        assert taken(two, None, HERE, MOST) == 0
        clock.now += 60
        assert taken(two, None, HERE, MOST) == MOST


@pytest.fixture
async def limited(sqlite_url: str) -> AsyncIterator[Api]:
    """A server that takes 40 requests a minute."""
    settings = Settings(database_url=sqlite_url, port=free_port(), secret=SECRET, rate_limit=MOST)
    async with serving(settings), Api(settings) as client:
        yield client


@pytest.mark.parametrize(
    "query", ["{ viewer { id } }", "{ contents { nodes { slug } } }", "{ nobody }", "{"]
)
async def test_one_too_many_is_refused_whatever_it_asks_and_however_it_would_be_answered(
    limited: Api, query: str
) -> None:
    found: list[Any] = []
    for _ in range(2 * MOST + 5):  # two minutes of the clock at most
        found.append(await limited.post(query))
        if found[-1].status_code != 200:
            break
    assert found[-1].status_code == 429
    assert len(found) > MOST
    assert 1 <= int(found[-1].headers["retry-after"]) <= 60
    [error] = found[-1].json()["errors"]
    assert error["extensions"]["code"] == "RATE_LIMITED"
    assert error["extensions"]["requestId"] == found[-1].headers["x-request-id"]
    shop = (await factories.person("shop", Role.SERVICE)).token
    assert (await limited.post(query, shop)).status_code == 200
    assert (await limited.http.get("/health/live")).status_code == 200


async def test_bad_tokens_are_counted_too(limited: Api) -> None:
    statuses = [(await limited.post("{ viewer { id } }", "x")).status_code for _ in range(85)]
    assert statuses[:MOST] == [401] * MOST
    assert 429 in statuses
