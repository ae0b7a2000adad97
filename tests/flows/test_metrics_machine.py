"""Whatever comes in, and in which order: the metrics are the sums of what was told."""

import asyncio
import shutil
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from core import database
from core.errors import Mistake
from members import metrics, publishing, tiers
from members.identity import NewMember
from members.models import Asset, DowngradePolicy, Standing, Tier, TierMetric
from members.publishing import TierRule
from referral import (
    conversions,
    customers,
    facts,
    invitations,
    reconciliation,
    registrations,
    touches,
)
from referral.conversions import NewFee, NewOrder, NewRefund, Recorded
from referral.models import ConversionType, Link, Program, RewardRule
from tests import factories, shared_postgres
from tests.factories import NOW
from tests.members import plans
from tests.members.plans import Fact, all_of, any_of, leaf, spend
from tests.members.population import reevaluate
from tests.referral import scene

SPEND, FEE, POINTS = TierMetric.SPEND, TierMetric.FEE, TierMetric.POINTS_EARNED
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
POINTS_BPS = {ConversionType.ORDER: 150, ConversionType.FEE: 5_000}
TIERS = [
    TierRule(
        "silver",
        "Silver",
        1,
        any_of(spend(3_000), leaf("POINTS_EARNED", 20), leaf("INVITED_REGISTERED", 2)),
        downgrade=DowngradePolicy.IMMEDIATE,
    ),
    TierRule(
        "gold",
        "Gold",
        2,
        any_of(
            spend(4_000, window="CALENDAR_YEAR"),
            all_of(leaf("FEE", 10, plan="basic"), leaf("INVITED_BOUGHT", 1)),
        ),
        downgrade=DowngradePolicy.IMMEDIATE,
    ),
    TierRule(
        "board",
        "Board",
        3,
        any_of(
            all_of(leaf("FEE", 10, plan="board"), spend(1)),
            all_of(leaf("INVITED_BOUGHT", 2, window="LAST_DAYS", days=1), spend(0)),
            leaf("INVITED_PROMOTED", 2),
        ),
        downgrade=DowngradePolicy.IMMEDIATE,
    ),
]


# ---- what was told, and what it comes to


@dataclass
class Person:
    """A member as the shops and the links know them."""

    id: int
    inviter: int | None = None
    promoted: bool = False
    clicks: list[tuple[datetime, int]] = field(default_factory=list)  # when, whose link


@dataclass
class Payment:
    """An order or a fee, by a member or by whoever a customer's name will turn out to be."""

    at: datetime
    amount: int
    member: int | None
    ref: str | None
    plan: str | None = None
    decided: bool = False
    promoter: int | None = None
    refunds: list["Refund"] = field(default_factory=list)


@dataclass
class Refund:
    """Money that went back: of an order, or of somebody alone."""

    at: datetime
    amount: int
    order: str | None = None
    member: int | None = None
    ref: str | None = None
    reserved: bool = False
    applied: bool = False


def rounded(amount: int, part: int, whole: int) -> int:
    """The share of the amount, rounded half up."""
    return (2 * amount * part + whole) // (2 * whole)


@dataclass
class Told:
    """Everything that was told and accepted, counted in the plainest way."""

    people: dict[int, Person] = field(default_factory=dict)
    refs: dict[str, int] = field(default_factory=dict)
    orders: dict[str, Payment] = field(default_factory=dict)
    fees: dict[str, Payment] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)

    def name(self, ref: str | None, member: int | None) -> None:
        """Whoever names a customer first has it."""
        if ref is not None and member is not None:
            self.refs.setdefault(ref, member)

    def settle(self) -> None:
        """Decides what can be decided by now."""
        for payment in (*self.orders.values(), *self.fees.values()):
            payment.member = payment.member or self.refs.get(payment.ref or "")
            if payment.member is not None and not payment.decided:
                payment.decided = True
                payment.promoter = self._brought(payment)
        for refund in sorted(self.refunds.values(), key=lambda each: each.at):
            self._apply(refund)

    def _brought(self, payment: Payment) -> int | None:
        eligible = [
            (at, place, promoter)
            for place, (at, promoter) in enumerate(self.people[payment.member or 0].clicks)
            if timedelta(0) <= payment.at - at <= timedelta(days=30) and promoter != payment.member
        ]
        return max(eligible)[-1] if eligible else None

    def _apply(self, refund: Refund) -> None:
        if refund.order is None:
            refund.member = refund.member or self.refs.get(refund.ref or "")
            refund.applied = refund.member is not None
            return
        order = self.orders.get(refund.order)
        if order is None or not order.decided or refund.applied:
            return
        if refund.reserved or self.taken(refund.order) + refund.amount <= order.amount:
            refund.applied = True
            order.refunds.append(refund)

    def taken(self, order: str) -> int:
        """What is counted as refunded of an order, decided or not."""
        found = [each for each in self.refunds.values() if each.order == order]
        return sum(each.amount for each in found if each.reserved or each.applied)

    def facts(self) -> dict[int, list[Fact]]:
        """What counts for whom."""
        found: dict[int, list[Fact]] = {member_id: [] for member_id in self.people}
        for kind, payments in (
            (ConversionType.ORDER, self.orders),
            (ConversionType.FEE, self.fees),
        ):
            for payment in payments.values():
                if payment.decided and payment.amount:
                    for member_id, fact in _of_payment(kind, payment):
                        found[member_id].append(fact)
        for refund in self.refunds.values():
            if refund.applied and refund.order is None:
                found[refund.member or 0].append(Fact(SPEND, refund.at, -refund.amount))
        for person in self.people.values():
            if person.inviter is not None:
                found[person.inviter] += self._became(person, found[person.id])
        return found

    def _became(self, person: Person, own: Sequence[Fact]) -> Sequence[Fact]:
        became = [Fact(TierMetric.INVITED_REGISTERED, NOW)]
        spent = [fact for fact in own if fact.metric is SPEND]
        if sum(fact.amount for fact in spent) > 0:
            first = min(fact.at for fact in spent if fact.amount > 0)
            became.append(Fact(TierMetric.INVITED_BOUGHT, first))
        if person.promoted:
            became.append(Fact(TierMetric.INVITED_PROMOTED, NOW))
        return became


def _of_payment(kind: ConversionType, payment: Payment) -> Iterator[tuple[int, Fact]]:
    metric = FEE if kind is ConversionType.FEE else SPEND
    assert payment.member is not None
    yield payment.member, Fact(metric, payment.at, payment.amount, payment.plan)
    points = rounded(payment.amount, POINTS_BPS[kind], 10_000)
    refunded = taken_back = 0
    if payment.promoter is not None and points:
        yield payment.promoter, Fact(POINTS, payment.at, points)
    for refund in payment.refunds:
        yield payment.member, Fact(SPEND, refund.at, -refund.amount)
        refunded += refund.amount
        step = rounded(points, refunded, payment.amount) - taken_back
        taken_back += step
        if payment.promoter is not None and step:
            yield payment.promoter, Fact(POINTS, refund.at, -step)


# ---- the machine

ORDERS = st.sampled_from(["A", "B", "C"])
REFS = st.sampled_from([None, None, "r1", "r2"])
WHO = st.integers(0, 5)
SOMEBODY = st.sampled_from([*range(6), None])  # who is known most of the time
AMOUNTS = st.sampled_from([0, 33, 1_000, 2_999, 3_000, 4_000])
PARTS = st.sampled_from([1, 33, 500, 1_000, 3_000])
DATES = st.sampled_from([NOW, NOW - HOUR, NOW - 2 * HOUR, NOW - 30 * HOUR, NOW - 90 * DAY])
REFUSALS = {"IDEMPOTENCY_CONFLICT", "EXCEEDS_ORDER"}


class Machine(RuleBasedStateMachine):
    """An installation on a database of its own, and what was told to it."""

    url: ClassVar[str] = ""
    template: ClassVar[Path | None] = None

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.told = Told()
        self.numbers = count(1)
        self.links: dict[int, Link] = {}
        self.run(self._open())

    def run(self, act: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(act)

    async def _open(self) -> None:
        if self.template is not None:
            shutil.copy(self.template, self.url.removeprefix("sqlite://"))
        else:
            await shared_postgres.run(self.url, shared_postgres.EMPTY)
        await self.stack.enter_async_context(database.opened(self.url))
        await publishing.publish(TIERS, time_zone="Asia/Shanghai", now=NOW)
        self.program: Program = await factories.program()
        for kind, rate_bps in POINTS_BPS.items():
            await RewardRule.create(
                program=self.program, version=1, on=kind, asset=Asset.POINTS, rate_bps=rate_bps
            )
        self.shop = (await factories.person("shop")).member.id
        self.told.people[self.shop] = Person(self.shop)
        lin = (await factories.person("lin")).member
        self.told.people[lin.id] = Person(lin.id)
        self.links[lin.id] = await factories.link(lin, self.program)
        await reevaluate()

    @initialize()
    def two_invitees(self) -> None:
        """With them there is somebody to earn points by, whatever comes first."""
        for _ in range(2):
            self.register(0, None)

    def teardown(self) -> None:
        try:
            self.check()
        finally:
            self.run(self.stack.aclose())
            self.runner.close()

    def someone(self, number: int) -> int:
        """One of the members, whoever there are."""
        ids = sorted(self.told.people)
        return ids[number % len(ids)]

    def promoter(self, number: int) -> int:
        ids = sorted(self.links)
        return ids[number % len(ids)]

    def accepted(self, act: Coroutine[Any, Any, Recorded]) -> Recorded | None:
        """What was recorded; None for what was refused, as some may be."""
        try:
            return self.run(act)
        except Mistake as mistake:
            assert mistake.code in REFUSALS, mistake
            return None

    # people

    @rule(by=SOMEBODY, ref=REFS)
    def register(self, by: int | None, ref: str | None) -> None:
        """Somebody new, through a promoter's link or not; perhaps by way of the shop."""
        if ref in self.told.refs:
            return
        visitor, clicks = None, []
        if by is not None:
            visitor, promoter = touches.new_visitor(), self.promoter(by)
            at = NOW - 24 * HOUR
            self.run(factories.click(self.links[promoter], visitor, at))
            clicks = [(at, promoter)]
        new = NewMember(f"m{next(self.numbers)}")
        if ref is None:
            entered = self.run(registrations.register(new, visitor, NOW))
        else:
            entered = self.run(registrations.ensure("shop", ref, new, visitor, NOW))
        member_id = entered.member.id
        inviter = clicks[0][1] if clicks else None
        self.told.people[member_id] = Person(member_id, inviter, clicks=clicks)
        self.told.name(ref, member_id)

    @rule(who=WHO)
    def enroll(self, who: int) -> None:
        """Somebody becomes a promoter, perhaps again, and gets a link."""
        member_id = self.someone(who)
        self.run(self._enroll(member_id))
        self.told.people[member_id].promoted = True

    async def _enroll(self, member_id: int) -> None:
        member = await factories.Member.get(id=member_id)
        await invitations.enroll(self.program.id, member, NOW)
        if member_id not in self.links:
            self.links[member_id] = await factories.link(member, self.program)

    @rule(who=WHO, by=WHO)
    def click(self, who: int, by: int) -> None:
        """A member comes through a link, later than by any before."""
        member_id, promoter = self.someone(who), self.promoter(by)
        at = NOW - 20 * HOUR + timedelta(seconds=next(self.numbers))
        visitor = touches.new_visitor()
        self.run(customers.report(self.links[promoter], visitor, at, member_id=member_id, now=NOW))
        self.told.people[member_id].clicks.append((at, promoter))

    # what shops tell

    @rule(id=ORDERS, amount=AMOUNTS, who=SOMEBODY, ref=REFS, at=DATES)
    def order(self, id: str, amount: int, who: int | None, ref: str | None, at: datetime) -> None:
        member = None if who is None else self.someone(who)
        new = NewOrder("shop", id, amount, member, ref, at)
        if self.accepted(conversions.record_order(new, self.shop, NOW)) is None:
            return
        self._paid(self.told.orders, id, Payment(at, amount, member, ref))

    @rule(who=SOMEBODY, ref=REFS)
    def repeat(self, who: int | None, ref: str | None) -> None:
        """The newest order again, whose customer is perhaps named better."""
        if not self.told.orders:
            return
        id, first = list(self.told.orders.items())[-1]
        member = None if who is None else self.someone(who)
        new = NewOrder("shop", id, first.amount, member, ref, first.at)
        if self.accepted(conversions.record_order(new, self.shop, NOW)) is not None:
            self._paid(self.told.orders, id, Payment(first.at, first.amount, member, ref))

    @rule(
        amount=PARTS,
        plan=st.sampled_from([None, *plans.PLANS]),
        who=SOMEBODY,
        ref=REFS,
        at=DATES,
    )
    def fee(
        self, amount: int, plan: str | None, who: int | None, ref: str | None, at: datetime
    ) -> None:
        id, member = f"F-{next(self.numbers)}", None if who is None else self.someone(who)
        new = NewFee("shop", id, amount, plan, member, ref, at)
        assert self.accepted(conversions.record_fee(new, self.shop, NOW)) is not None
        self._paid(self.told.fees, id, Payment(at, amount, member, ref, plan))

    def _paid(self, payments: dict[str, Payment], id: str, payment: Payment) -> None:
        first = payments.setdefault(id, payment)
        first.member = first.member or payment.member
        first.ref = first.ref or payment.ref
        self.told.name(first.ref, first.member)

    @rule(of=ORDERS, amount=PARTS, at=DATES, all=st.booleans())
    def refund(self, of: str, amount: int, at: datetime, all: bool) -> None:
        """A part of an order goes back, or all that is left of it; it may not be there yet."""
        self.settle()  # refunds are applied as they come; those that had to wait, by their dates
        order = self.told.orders.get(of)
        if order is not None and all:
            amount = order.amount - self.told.taken(of)
        if amount == 0:
            return
        at += timedelta(microseconds=next(self.numbers))  # else which one comes first is a tie
        id = f"R-{next(self.numbers)}"
        new = NewRefund("shop", id, amount, of, occurred_at=at)
        if self.accepted(conversions.record_refund(new, self.shop, NOW)) is not None:
            self.told.refunds[id] = Refund(at, amount, of, reserved=order is not None)
        self.settle()

    @rule(amount=PARTS, who=WHO, ref=REFS)
    def refund_of_nothing_we_know(self, amount: int, who: int, ref: str | None) -> None:
        id, member = f"R-{next(self.numbers)}", self.someone(who) if ref is None else None
        new = NewRefund("shop", id, amount, None, member, ref, NOW)
        assert self.accepted(conversions.record_refund(new, self.shop, NOW)) is not None
        self.told.refunds[id] = Refund(NOW, amount, member=member, ref=ref)

    # what it comes to

    def settle(self) -> None:
        """Decides what was told so far, here and there."""
        self.told.settle()
        self.run(scene.settle())

    @rule()
    def check(self) -> None:
        self.settle()
        self.run(self._check())

    async def _check(self) -> None:
        expected = self.told.facts()
        ladder = await tiers.current()
        rows = {row.member_id: row for row in await Standing.all()}
        assert set(rows) == set(expected)
        codes = dict(await Tier.all().values_list("id", "code"))
        for member_id, row in rows.items():
            own = expected[member_id]
            for metric, column in metrics.LIFETIME.items():
                total = sum(fact.amount for fact in own if fact.metric is metric)
                assert getattr(row, column) == total, (member_id, metric)
            values = {term: plans.measured(term, own, NOW, ladder.zone) for term in ladder.terms}
            met = [rung.code for rung in ladder.rungs if plans.met(rung.rule, values)]
            assert codes.get(row.tier_id or 0) == (met[-1] if met else None), (member_id, values)
        await self._check_facts(expected)
        problems = (await reconciliation.reconcile(NOW)).problems
        assert [each for each in problems if "waits, since it exceeds" not in each] == []

    async def _check_facts(self, expected: dict[int, list[Fact]]) -> None:
        booked = {SPEND, FEE, POINTS}
        found = [
            (
                row["member_id"],
                row["metric"],
                row["plan"],
                database.instant(row["at"]),
                row["amount"],
            )
            for row in await database.rows(facts.of_members(metrics.EVERYBODY))
        ]
        told = [
            (member_id, fact.metric.value, fact.plan, fact.at, fact.amount)
            for member_id, own in expected.items()
            for fact in own
            if fact.metric in booked
        ]
        assert sorted(found, key=str) == sorted(told, key=str)


def _play(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )


@pytest.mark.slow
def test_the_metrics_are_the_sums_of_what_was_told(
    sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Machine, "template", sqlite_template)
    monkeypatch.setattr(Machine, "url", f"sqlite://{tmp_path / 'machine.db'}")
    _play(examples=30, steps=30)


@pytest.mark.slow
@pytest.mark.postgres
def test_they_are_on_postgresql_too(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "template", None)
    monkeypatch.setattr(Machine, "url", postgres_url)
    _play(examples=6, steps=30)
