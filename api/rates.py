"""Owns how many requests somebody may send: so many in each minute of the clock, counted by viewer
and by address.

Each process counts for itself, which costs a request next to nothing. Where there are several, they
tell each other once a second through Redis what they have counted; without it each goes on alone.
"""

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from datetime import timedelta

import redis
import redis.asyncio
import structlog

from api import clients
from api.errors import RateLimited
from members.identity import Viewer
from members.models import Role

log = structlog.get_logger(__name__)

MINUTE_SECONDS = 60
MOST_NAMES = 100_000  # counted in a minute; whoever comes after that many is not
SHARE_SECONDS = 1.0
SHARED_PART = 20  # who has sent less than a 20th of the limit is not worth telling of
REDIS_TIMEOUT_SECONDS = 5
KEY = "wellspring:rates:{}"
COUNTED = "wellspring.counted"  # in the scope of a request that was counted and may go on
DOWN = (redis.RedisError, OSError)


class Rates:
    """What one process knows of the running minute."""

    def __init__(self, most: int, clock: Callable[[], float] = time.time) -> None:
        self._most = most
        self._clock = clock
        self._until = 0.0
        self._mine: dict[str, int] = {}
        self._told: dict[str, int] = {}
        self._theirs: Mapping[str, int] = {}

    def take(self, viewer: Viewer | None, address: str | None) -> None:
        """Counts a request; raises `RateLimited` for one too many. Services send what they like."""
        if not self._most or (viewer is not None and Role.SERVICE in viewer.roles):
            return
        allowed = address is None or self._counted(f"address {address}")
        if viewer is not None:
            allowed = self._counted(f"member {viewer.member_id}") and allowed
        if not allowed:
            wait = timedelta(seconds=max(1, math.ceil(self._until - self._clock())))
            raise RateLimited(f"At most {self._most} requests a minute; wait.", wait)

    def allows(self, host: str | None) -> bool:
        """Counts a request of nobody who is signed in; whether it is within the limit."""
        address = clients.who(host) if host is not None and self._most else None
        return address is None or self._counted(f"address {address}")

    def _counted(self, name: str) -> bool:
        now = self._clock()
        if now >= self._until:
            self._until = (now // MINUTE_SECONDS + 1) * MINUTE_SECONDS
            self._mine, self._told, self._theirs = {}, {}, {}
        count = self._mine.get(name, 0) + 1
        if count > 1 or len(self._mine) < MOST_NAMES:
            self._mine[name] = count
        return count + self._theirs.get(name, 0) <= self._most

    async def share(self, broker_url: str) -> None:
        """Tells the other processes, and listens to them, until it is cancelled."""
        client = redis.asyncio.Redis.from_url(
            broker_url,
            socket_timeout=REDIS_TIMEOUT_SECONDS,
            socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
        )
        down = False
        try:
            while True:
                await asyncio.sleep(SHARE_SECONDS)
                try:
                    await self.tell(client)
                except DOWN as error:
                    if not down:
                        log.warning("rates are counted by each process alone", error=repr(error))
                    down = True
                else:
                    down = False
        finally:
            await client.aclose()

    async def tell(self, client: redis.asyncio.Redis) -> None:
        """Tells what is new once, and learns what the others have counted; raises `DOWN`."""
        until, least = self._until, max(1, self._most // SHARED_PART)
        mine = {name: count for name, count in self._mine.items() if count >= least}
        if not mine:
            return
        key = KEY.format(int(until))
        async with client.pipeline(transaction=False) as pipe:
            for name, count in mine.items():
                pipe.hincrby(key, name, count - self._told.get(name, 0))
            pipe.expire(key, 2 * MINUTE_SECONDS)
            totals = (await pipe.execute())[:-1]
        if until == self._until:  # else another minute has begun meanwhile
            self._told |= mine
            pairs = zip(mine.items(), totals, strict=True)
            self._theirs = {name: total - count for (name, count), total in pairs}
