"""Owns the worker: the broker, the doorbell on it, the actor, and the sweeper.

The same pieces run inside the server (in-memory broker) and in processes of their own (Redis).
"""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import dramatiq
import redis
import structlog
from dramatiq.asyncio import EventLoopThread, set_event_loop_thread
from dramatiq.broker import Broker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.errors import DramatiqError
from dramatiq.logging import get_logger
from dramatiq.middleware import Middleware

from api.settings import Settings
from content import export_jobs, import_jobs, lifecycle
from core import database, delivering, idempotency, jobs, outbox, retention, webhooks
from core.delivering import Sender
from members import reevaluating, reviews
from referral import conversions, counting, crediting, looking, releasing
from referral.risk_rules import Limits

log = structlog.get_logger(__name__)

T = TypeVar("T")

QUEUE = "crediting"
THREADS = 3  # two batches in flight, beside a job that takes long
IDLE_POLL_MS = 100  # the longest that a message waits for an idle consumer
DEAD_DOORBELL_TTL_MS = 60_000
REDIS_TIMEOUT_SECONDS = 5
STOP_TIMEOUT_MS = 10_000
SWEEP_SECONDS = 5.0
QUIET_SECONDS = 0.03  # after a ring, so that what comes close behind it makes one batch
TURN_SECONDS = 1.0  # of work on one topic, before the others may have the thread
BROKER_DOWN = (redis.RedisError, DramatiqError, OSError)


class _RunningLoop(EventLoopThread):
    """Stands for the loop that runs already, in place of the thread that dramatiq would start."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(get_logger(__name__, type(self)))
        self.loop.close()
        self.loop = loop

    def run_coroutine(self, coro: Awaitable[T]) -> T:
        """Runs it and waits for it; one that a closing loop never began is closed too."""
        try:
            return super().run_coroutine(coro)
        finally:
            if asyncio.iscoroutine(coro):
                coro.close()


class HostLoop(Middleware):
    """Runs async actors on the loop that opened the database, so that both use its connections."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def before_worker_boot(self, broker: Broker, worker: dramatiq.Worker) -> None:
        set_event_loop_thread(_RunningLoop(self._loop))

    def after_worker_shutdown(self, broker: Broker, worker: dramatiq.Worker) -> None:
        set_event_loop_thread(None)


def make_broker(settings: Settings) -> Broker:
    """The broker of the settings. No retries of its own: the outbox keeps the attempts.

    From then on this process sends webhooks, looks at velocity and forgets what is over as the
    settings say.
    """
    delivering.send_with(Sender(settings.signing_key(), settings.webhook_hosts))
    looking.limit(_limits(settings))
    retention.keep(timedelta(days=settings.keep_days) if settings.keep_days else None)
    middleware: list[Middleware] = [HostLoop(asyncio.get_running_loop())]
    if settings.broker_url == "memory://":
        return StubBroker(middleware=middleware)
    return RedisBroker(
        client=_client(settings), middleware=middleware, dead_message_ttl=DEAD_DOORBELL_TTL_MS
    )


def _client(settings: Settings) -> "redis.Redis":
    return redis.Redis.from_url(
        settings.broker_url,
        socket_timeout=REDIS_TIMEOUT_SECONDS,
        socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
    )


async def trouble(settings: Settings) -> str | None:
    """Why the broker of the settings does not answer; None when it does."""
    if settings.embedded:
        return None
    with _client(settings) as client:
        try:
            await asyncio.to_thread(client.ping)
        except BROKER_DOWN as error:
            why = str(error).rstrip(".")
            return f"The broker does not answer: {why}. WELLSPRING_BROKER_URL names it."
    return None


def _limits(settings: Settings) -> Limits:
    window = timedelta(minutes=settings.risk_window_minutes)
    return Limits(settings.risk_registrations, settings.risk_orders, window)


def _clock() -> datetime:
    return datetime.now(UTC)


# What a ring on each topic does: a batch, or a job; False where there was nothing to do.
WORK: Mapping[str, Callable[[], Awaitable[bool]]] = {
    conversions.TOPIC: lambda: crediting.work(_clock()),
    lifecycle.TOPIC: lambda: lifecycle.work(_clock()),
    reevaluating.TOPIC: lambda: reevaluating.work(_clock),
    reviews.TOPIC: lambda: reviews.work(_clock()),
    releasing.TOPIC: lambda: releasing.work(_clock()),
    counting.TOPIC: counting.work,
    looking.TOPIC: lambda: looking.work(_clock()),
    import_jobs.TOPIC: lambda: import_jobs.work(import_jobs.TOPIC, _clock),
    import_jobs.DRY_RUN: lambda: import_jobs.work(import_jobs.DRY_RUN, _clock),
    export_jobs.TOPIC: lambda: export_jobs.work(_clock),
    export_jobs.FORGETTING: lambda: export_jobs.forget(_clock()),
    webhooks.TOPIC: lambda: delivering.work(_clock),
    idempotency.TOPIC: lambda: idempotency.work(_clock()),
    retention.TOPIC: lambda: retention.work(_clock()),
}
# What has no outbox rows: whether the time has come for any of it.
DUE_BY_TIME: Mapping[str, Callable[[datetime], Awaitable[bool]]] = {
    reviews.TOPIC: reviews.due,
    releasing.TOPIC: releasing.due,
    counting.TOPIC: lambda now: counting.is_due(),
    looking.TOPIC: lambda now: looking.is_due(),
    idempotency.TOPIC: idempotency.due,
    export_jobs.FORGETTING: export_jobs.due,
    retention.TOPIC: retention.due,
}


async def _more(topic: str) -> bool:
    """Whether, after a batch, another one is due: rows that came meanwhile, or that had to wait
    for this one since they are of its lane. Their own ring has found nothing to do."""
    return topic in DUE_BY_TIME or await outbox.waiting(topic, _clock()) is not None


async def _turn(topic: str) -> bool:
    """Does batch after batch for a while, since it takes time until a ring is heard, and two at a
    time: while the database works on the one, this process does on the other. Says whether there
    may be more."""
    until = time.monotonic() + TURN_SECONDS

    async def one_by_one() -> bool:
        while await WORK[topic]():
            if time.monotonic() >= until:
                return True
        return False

    # Both come to their end, whatever becomes of the other: what was claimed is given back then.
    ends = await asyncio.gather(one_by_one(), one_by_one(), return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException):
            raise end
    return any(ends)


class Doorbell:
    """Tells the workers that something is due. What rings close together is one ring."""

    def __init__(self, broker: Broker) -> None:
        self._actors = {topic: self._actor(broker, topic) for topic in WORK}
        self._due: dict[str, int] = {}
        self._rung = asyncio.Event()
        self._down = False

    def _actor(self, broker: Broker, topic: str) -> dramatiq.Actor[[int], Any]:
        async def work(outbox_id: int) -> None:
            """A batch, or a turn of them, and another ring when there is more, or when one failed:
            what comes behind a bad row does not wait for it."""
            more = topic not in DUE_BY_TIME  # that counts no attempts: the sweeper tries again
            try:
                more = await WORK[topic]() and await _more(topic)
                if more and topic not in DUE_BY_TIME:
                    more = await _turn(topic)
            finally:
                if more:
                    self.ring(topic, outbox_id)

        return dramatiq.actor(broker=broker, queue_name=QUEUE, actor_name=topic)(work)

    def ring(self, topic: str, outbox_id: int) -> None:
        """Rings soon, without waiting. A broker that is down costs latency: the sweeper rings."""
        self._due[topic] = outbox_id
        self._rung.set()

    async def run(self) -> None:
        """Sends the rings until it is cancelled, in a thread: the broker's client blocks."""
        while True:
            await self._rung.wait()
            self._rung.clear()
            due, self._due = self._due, {}
            try:
                for topic, outbox_id in due.items():
                    await asyncio.to_thread(self._actors[topic].send, outbox_id)
            except BROKER_DOWN as error:
                if not self._down:
                    log.warning("broker is down; work waits for the sweeper", error=repr(error))
                self._down = True
            else:
                if self._down:
                    log.info("broker is back")
                self._down = False
            await asyncio.sleep(QUIET_SECONDS)


async def sweep(doorbell: Doorbell) -> None:
    """Rings for what is overdue, until it is cancelled: lost rings, dead workers, retries, and what
    has become due by the time alone."""
    while True:
        # Not in step with the other workers, which do the same.
        await asyncio.sleep(SWEEP_SECONDS * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        try:
            await _sweep_once(doorbell, _clock())
        except database.UNREACHABLE as error:
            log.warning("database is down; sweeping again later", error=repr(error))


async def _sweep_once(doorbell: Doorbell, now: datetime) -> None:
    for topic in WORK:
        overdue = await outbox.overdue(topic, now)
        if overdue is not None:
            await outbox.bury(now)
            doorbell.ring(topic, overdue)
    await jobs.fail_given_up(now)
    for topic, due in DUE_BY_TIME.items():
        if await due(now):
            doorbell.ring(topic, 0)


@asynccontextmanager
async def doorbell(broker: Broker) -> AsyncIterator[Doorbell]:
    """Rings for every commit of this process until the block ends."""
    bell = Doorbell(broker)
    ringing = _vital(bell.run())
    outbox.ring_with(bell.ring)
    try:
        yield bell
    finally:
        outbox.ring_with(None)
        await _cancelled(ringing)
        await asyncio.to_thread(broker.close)


@asynccontextmanager
async def working(broker: Broker, bell: Doorbell) -> AsyncIterator[None]:
    """Does the work of the outbox in this process until the block ends; what is being done then
    is finished first, for at most ten seconds."""
    worker = dramatiq.Worker(broker, worker_timeout=IDLE_POLL_MS, worker_threads=THREADS)
    await asyncio.to_thread(worker.start)
    sweeping = _vital(sweep(bell))
    for topic in WORK:
        bell.ring(topic, 0)
    try:
        yield
    finally:
        await _cancelled(sweeping)
        await asyncio.to_thread(worker.stop, timeout=STOP_TIMEOUT_MS)
        await delivering.finish()


def _vital(work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
    """Runs the work beside the others; if it ever fails, stops the process in order, so that its
    supervisor starts it again: without this no order would be credited any more."""

    def ended(task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()):
            log.critical("the worker cannot go on", exc_info=error)
            signal.raise_signal(signal.SIGTERM)

    task = asyncio.create_task(work)
    task.add_done_callback(ended)
    return task


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait([task])


async def check(broker: Broker) -> None:
    """Returns when the broker answers; raises what its client raises when it does not."""
    if isinstance(broker, RedisBroker):
        await asyncio.to_thread(broker.client.ping)
