"""Owns the replay: a year of a real shop's invoices, played through the public operations."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from tortoise.functions import Sum

from api import app, demo, retail, worker
from api.failed import Failed
from api.retail import Order, Plan, Refund, Step
from api.settings import Settings
from core import codes, database, outbox
from members import identity, publishing, tiers
from members.models import DowngradePolicy, Member, Role, Standing
from referral import conversions, enrollments, links, programs
from referral.models import Commission, Link

SOURCE = "online-retail"
PROGRAM = "retail"
WINDOW_DAYS = 365
RATE_BPS = 500
PARENT_RATE_BPS = 100
CLICKED_BEFORE = timedelta(hours=1)
WAIT_SECONDS = 0.2

CUSTOMER = """query ($source: String!, $ref: String!) {
  customer(source: $source, customerRef: $ref) { id } }"""
TOUCH = """mutation ($input: TouchRecordInput!) {
  touchRecord(input: $input) { errors { code message } } }"""
ENSURE = """mutation ($input: MemberEnsureInput!) {
  memberEnsure(input: $input) { errors { code message } } }"""
ORDER = """mutation ($input: OrderRecordInput!) {
  orderRecord(input: $input) { errors { code message } } }"""
REFUND = """mutation ($input: RefundRecordInput!) {
  refundRecord(input: $input) { errors { code message } } }"""
KNOWN = """query ($type: ConversionType!, $source: String!, $id: String!) {
  conversion(type: $type, source: $source, externalId: $id) { id } }"""


class ReplayFailed(Failed):
    """The platform refused a step; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Earned:
    """What the promoters of a level were credited, and what of it was taken back."""

    accrued_minor: int
    reversed_minor: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What stands in the database when everything is decided."""

    members_by_tier: Mapping[str, int]
    earned: Mapping[int, Earned]  # by level


Progress = Callable[[str, int, int], None]


class Shop:
    """A shop's service, speaking GraphQL to the platform."""

    def __init__(self, client: httpx.AsyncClient, entrances: Sequence[Link]) -> None:
        self._client = client
        self._entrances = entrances

    async def known(self, step: Step) -> bool:
        """Whether the platform has the step already."""
        kind = "ORDER" if isinstance(step, Order) else "REFUND"
        return bool(await self._ask(KNOWN, type=kind, source=SOURCE, id=step.external_id))

    async def introduce(self, customer_ref: str, first_seen: datetime) -> None:
        """Makes the customer a member, a third of them after a click on an employee's link."""
        if await self._ask(CUSTOMER, source=SOURCE, ref=customer_ref):
            return
        new = {
            "source": SOURCE,
            "customerRef": customer_ref,
            "displayName": f"Customer {customer_ref}",
        }
        entrance = retail.entrance(customer_ref)
        if entrance is not None:
            new["visitorId"] = f"{SOURCE}-{customer_ref}"
            await self._tell(
                TOUCH,
                code=self._entrances[entrance].code,
                visitorId=new["visitorId"],
                occurredAt=(first_seen - CLICKED_BEFORE).isoformat(),
            )
        await self._tell(ENSURE, **new)

    async def play(self, step: Step) -> None:
        """Records the order or the refund."""
        figures = {
            "source": SOURCE,
            "externalId": step.external_id,
            "customerRef": step.customer_ref,
            "amountMinor": step.amount_minor,
            "occurredAt": step.occurred_at.isoformat(),
        }
        if isinstance(step, Refund):
            await self._tell(REFUND, orderExternalId=step.order_external_id, **figures)
        else:
            await self._tell(ORDER, **figures)

    async def _tell(self, mutation: str, **fields: Any) -> None:
        answer = await self._ask(mutation, input=fields)
        if answer["errors"]:
            raise ReplayFailed(f"{fields}: {answer['errors']}")

    async def _ask(self, query: str, **variables: Any) -> Any:
        response = await self._client.post(
            "/graphql", json={"query": query, "variables": variables}
        )
        answer = response.json()
        if answer.get("errors"):
            raise ReplayFailed(f"{variables}: {answer['errors']}")
        [value] = answer["data"].values()
        return value


async def prepare(settings: Settings) -> None:
    """Migrates the database. Raises `ReplayFailed` where the broker does not answer, without which
    nothing would ever be decided."""
    async with database.opened(settings.database_url):
        await database.migrate()
    if trouble := await worker.trouble(settings):
        raise ReplayFailed(trouble)


async def run(
    settings: Settings, plan: Plan, downgrade: DowngradePolicy, progress: Progress
) -> Summary:
    """Plays what the platform does not have yet, in time order, and waits until all is decided.

    Steps are sent one after the other, so the ones that are known are always the first ones: a
    replay that was killed goes on where it stood, and a finished one only checks.
    """
    async with _shop(settings, downgrade) as shop:
        position = await _resume_at(shop, plan.steps)
        for step in plan.steps[position:]:
            if isinstance(step, Refund) or step.known:
                await _introduce_once(shop, plan, step)
            await shop.play(step)
            position += 1
            progress("playing", position, len(plan.steps))
        await _decided(progress)
        return await _summary()


async def _introduce_once(shop: Shop, plan: Plan, step: Step) -> None:
    first_seen = plan.customers[step.customer_ref]
    if step.occurred_at == first_seen:
        await shop.introduce(step.customer_ref, first_seen)


@asynccontextmanager
async def _shop(settings: Settings, downgrade: DowngradePolicy) -> AsyncIterator[Shop]:
    # Its documents are our own, though in no front-end's manifest.
    server = app.create(settings.model_copy(update={"trusted_documents_only": False}))
    async with server.router.lifespan_context(server):
        token, entrances = await _set_up(settings, downgrade)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(server),
            base_url=settings.base_url,
            headers={"authorization": f"Bearer {token}"},
        ) as client:
            yield Shop(client, entrances)


async def _set_up(settings: Settings, downgrade: DowngradePolicy) -> tuple[str, Sequence[Link]]:
    """The shop's token, the tiers, and ten employees with a link each, the first of whom leads the
    others; safe to repeat."""
    now = datetime.now(UTC)
    token = await identity.token_for("retail-shop@wellspring.example", [Role.SERVICE], now)
    rules = demo.ladder(downgrade)
    await publishing.set_up(rules, time_zone=settings.time_zone, now=now)
    program = await programs.set_up(
        PROGRAM,
        "Online retail",
        window_days=WINDOW_DAYS,
        rate_bps=RATE_BPS,
        parent_rate_bps=PARENT_RATE_BPS,
        currency=settings.currency,
        now=now,
    )
    entrances: list[Link] = []
    for number in range(retail.EMPLOYEES):
        email = f"retail-employee-{number}@wellspring.example"
        await identity.token_for(email, [Role.EMPLOYEE], now, display_name=f"Employee {number}")
        employee = await Member.get(email_key=email)
        leader_id = entrances[0].owner_id if entrances else None
        await enrollments.enroll(PROGRAM, employee.id, now, parent_id=leader_id)
        entrances.append(
            await links.set_up(
                program_id=program.id,
                owner_id=employee.id,
                target_url=f"{settings.base_url}/",
                allowed_hosts=settings.link_hosts,
                now=now,
                code=codes.with_check(f"ENTRY00{number}"),
            )
        )
    return token, entrances


async def _resume_at(shop: Shop, steps: Sequence[Step]) -> int:
    """The first step that the platform does not have, by bisection."""
    low, high = 0, len(steps)
    while low < high:
        middle = (low + high) // 2
        if await shop.known(steps[middle]):
            low = middle + 1
        else:
            high = middle
    return low


async def _decided(progress: Progress) -> None:
    total = await outbox.open_count(conversions.TOPIC)
    while left := await outbox.open_count(conversions.TOPIC):
        progress("deciding", max(total - left, 0), total)
        await asyncio.sleep(WAIT_SECONDS)
    progress("deciding", total, total)


async def _summary() -> Summary:
    customers = Standing.filter(member__customer_refs__source=SOURCE)
    by_tier = {
        tier.code: await customers.filter(tier=tier).count() for tier in await tiers.ladder()
    }
    by_tier["none"] = await customers.filter(tier=None).count()
    sums = Commission.all().group_by("level").order_by("level")
    sums = sums.annotate(accrued=Sum("amount"), taken_back=Sum("reversed"))
    earned = await sums.values_list("level", "accrued", "taken_back")
    return Summary(by_tier, {level: Earned(*amounts) for level, *amounts in earned})
