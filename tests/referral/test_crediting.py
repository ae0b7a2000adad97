"""What was accepted is booked once, in a fixed number of statements, whatever goes wrong."""

import asyncio
import contextvars
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import database, dialect, outbox
from core.errors import Mistake
from members.identity import NewMember
from members.models import LedgerEntry, LedgerTransfer, Member, Standing
from referral import (
    attribution,
    casebook,
    conversions,
    crediting,
    reconciliation,
    registrations,
)
from referral.evidence import Event, Promoter, Terms, Touch
from referral.models import Attribution, Commission, Conversion, ConversionStatus, TouchVerdict
from tests import factories
from tests.factories import NOW, Stage
from tests.members.statements import counted_transactions, watched
from tests.referral import scene
from tests.referral.scene import Shop

PENDING, CREDITED = ConversionStatus.PENDING, ConversionStatus.CREDITED
TABLES = (Attribution, Commission, Conversion, LedgerEntry, LedgerTransfer, Standing, TouchVerdict)


async def books() -> list[list[dict[str, object]]]:
    """Every row that crediting writes."""
    return [await table.all().order_by("id").values() for table in TABLES]


async def one_order() -> tuple[Stage, Shop, Member]:
    stage = await factories.stage()
    shop = scene.shop(stage)
    mei = await scene.customer(stage.link)
    await shop.order("A-1", 1_000, mei)
    return stage, shop, mei


async def test_nothing_due_is_nothing_done(embedded: str) -> None:
    with watched() as statements:
        assert not await crediting.work(NOW)
    assert not any("conversion" in each for each in statements if "outbox" not in each)


async def test_a_second_delivery_of_the_same_claims_credits_nothing(opened: str) -> None:
    stage, _, _ = await one_order()
    claims = await outbox.claim(conversions.TOPIC, NOW)
    await crediting.credit(claims, NOW)
    before = await books()

    with pytest.raises(outbox.LeaseLost):
        await crediting.credit(claims, NOW)
    assert not await crediting.work(NOW)

    assert await books() == before
    assert await scene.pending(stage.promoter.member) == 100


async def test_a_second_message_about_a_decided_conversion_changes_nothing(opened: str) -> None:
    stage, shop, _ = await one_order()
    await shop.refund("R-1", 400, of="A-1")
    await scene.settle()
    before = await books()

    @database.unit_of_work
    async def put_again() -> None:
        everything = await Conversion.all().order_by("id")
        await outbox.put(conversions.TOPIC, [(row.id, "lane") for row in everything], NOW)

    await put_again()
    await scene.settle()

    assert await books() == before
    assert await scene.pending(stage.promoter.member) == 60


async def test_two_messages_about_one_conversion_in_one_batch_credit_it_once(embedded: str) -> None:
    stage, shop, _ = await one_order()

    @database.unit_of_work
    async def put_again() -> None:
        order = await shop.find("A-1")
        await outbox.put(conversions.TOPIC, [(order.id, "lane")] * 3, NOW)

    await put_again()
    await scene.settle()
    assert await scene.commissions(await shop.find("A-1")) == [(100, 0)]
    assert await scene.pending(stage.promoter.member) == 100


async def test_a_worker_that_lost_its_lease_writes_nothing(opened: str) -> None:
    stage, shop, mei = await one_order()
    slow = await outbox.claim(conversions.TOPIC, NOW)
    later = NOW + outbox.LEASE
    quick = await outbox.claim(conversions.TOPIC, later)
    before = await books()

    with pytest.raises(outbox.LeaseLost):
        await crediting.credit(slow, later)

    assert await books() == before
    assert await shop.status("A-1") is PENDING
    await crediting.credit(quick, later)
    assert await scene.pending(stage.promoter.member) == 100
    assert await scene.spend(mei) == 1_000


async def test_workers_at_once_credit_everything_once(opened: str) -> None:
    stage = await factories.stage()
    shop = scene.shop(stage)
    members = [await scene.customer(stage.link, name=f"m{number}") for number in range(5)]
    for number in range(20):
        await shop.order(f"A-{number}", 1_000, members[number % 5])

    await asyncio.gather(*(crediting.work(NOW) for _ in range(8)))
    await scene.settle()

    assert await scene.pending(stage.promoter.member) == 2_000
    assert await Commission.all().count() == 20
    assert [await scene.spend(each) for each in members] == [4_000] * 5


async def test_one_poisoned_conversion_ends_dead_and_the_others_are_credited(
    opened: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = await factories.stage()
    shop = scene.shop(stage)
    members = [await scene.customer(stage.link, name=f"m{number}") for number in range(5)]
    for number, member in enumerate(members):
        await shop.order(f"A-{number}", 1_000, member)
    bad, decide = members[2], attribution.decide

    def poisoned(
        event: Event,
        touches: Iterable[Touch],
        terms: Mapping[int, Terms],
        promoters: Mapping[int, Promoter],
    ) -> attribution.Decision:
        if event.customer.member_id == bad.id:
            raise ZeroDivisionError("a bug in the decision")
        return decide(event, touches, terms, promoters)

    monkeypatch.setattr(attribution, "decide", poisoned)
    failures, now = 0, NOW
    for _ in range(40):
        try:
            await crediting.work(now)
        except ZeroDivisionError:
            failures += 1
        now += outbox.LONGEST_RETRY

    assert failures == outbox.MAX_ATTEMPTS
    statuses = [await shop.status(f"A-{number}") for number in range(5)]
    assert statuses == [CREDITED, CREDITED, PENDING, CREDITED, CREDITED]
    [dead] = await outbox.dead()
    assert (dead.subject_id, dead.attempts) == ((await shop.find("A-2")).id, 10)
    assert dead.error == "ZeroDivisionError: a bug in the decision"
    assert await scene.open_messages() == 0
    assert await scene.pending(stage.promoter.member) == 400
    assert await scene.spend(bad) == 0
    assert (await reconciliation.reconcile(NOW)).problems == [
        f"conversion {dead.subject_id}: given up after 10 attempts: {dead.error}"
    ]


async def statements_of_a_batch(stage: Stage, size: int) -> tuple[int, int]:
    """Statements and transactions for orders of so many customers, and then for their refunds."""
    shop = scene.shop(stage, f"shop-{size}")
    for number in range(size):
        mei = await scene.customer(stage.link, name=f"m{number}")
        await shop.order(f"A-{number}", 300_000, mei)
    counts = []
    for refunded in (False, True):
        if refunded:
            for number in range(size):
                await shop.refund(f"R-{number}", 1_000, of=f"A-{number}")
        claims = await outbox.claim(conversions.TOPIC, NOW)
        assert len(claims) == size
        with watched() as statements, counted_transactions() as transactions:
            await crediting.credit(claims, NOW)
        assert len(transactions) == 1
        counts.append(len(statements))
    assert await Conversion.filter(source=shop.source, status=CREDITED).count() == 2 * size
    return counts[0], counts[1]


async def test_a_batch_of_50_costs_as_many_statements_as_one_of_2(opened: str) -> None:
    stage = await factories.stage()
    await statements_of_a_batch(stage, 3)  # makes the accounts
    two, fifty = await statements_of_a_batch(stage, 2), await statements_of_a_batch(stage, 50)
    assert two == fifty
    assert max(two) <= 29


WHOLE = re.compile(r"Seq Scan on (touch|visitor)\b|SCAN (touch|visitor)\b(?! USING)")


async def test_touches_are_found_by_index_where_nothing_was_ever_analysed(opened: str) -> None:
    _, shop, mei = await one_order()
    order = await shop.find("A-1")

    @database.unit_of_work
    async def plan() -> str:
        with watched() as statements:
            await casebook.Casebook.load([order.id], NOW)
        [sql] = [each for each in statements if "FROM visitor JOIN touch" in each]
        explain = "EXPLAIN" if database.is_postgres() else "EXPLAIN QUERY PLAN"
        found = await database.rows(f"{explain} {sql}", dialect.as_list([mei.id]))
        return "\n".join(str(row) for row in found)

    assert not WHOLE.search(await plan()), await plan()


async def test_a_batch_is_decided_in_the_order_in_which_it_came_in(embedded: str) -> None:
    stage = await factories.stage()
    shop, mei = scene.shop(stage), await scene.customer(stage.link)
    for number, amount in enumerate((200_000, 100_000, 200_000)):
        await shop.order(f"A-{number}", amount, mei)
    assert await crediting.work(NOW)
    rows = await database.rows("SELECT metrics FROM tier_change ORDER BY id")
    assert ["300000" in str(rows[0]), "500000" in str(rows[1])] == [True, True]
    assert len(rows) == 2


async def test_more_than_a_batch_is_done_in_several(opened: str) -> None:
    stage = await factories.stage()
    shop, mei = scene.shop(stage), await scene.customer(stage.link)

    @database.unit_of_work
    async def many() -> None:
        await Conversion.bulk_create(
            Conversion(
                type="ORDER",
                source=shop.source,
                external_id=f"A-{number}",
                figures="",
                member_id=mei.id,
                amount_minor=10,
                occurred_at=NOW,
                recorded_at=NOW,
                recorded_by_id=shop.member_id,
                status=PENDING,
            )
            for number in range(crediting.BATCH + 1)
        )
        rows = Conversion.filter(source=shop.source).order_by("id")
        ids = await rows.values_list("id", flat=True)
        await outbox.put(conversions.TOPIC, [(number, f"member:{mei.id}") for number in ids], NOW)

    await many()
    assert await crediting.work(NOW)
    assert await scene.open_messages() == 1
    assert await crediting.work(NOW)
    assert await scene.open_messages() == 0
    assert not await crediting.work(NOW)
    assert await scene.spend(mei) == 10 * (crediting.BATCH + 1)


# --- any sequence of events leaves books that reconcile

ORDERS = st.sampled_from(["A", "B", "C"])
WHOM = st.sampled_from(["mei", "lan", "ref 1", "ref 2", "mei as ref 1", "lan as ref 1", "nobody"])
AMOUNTS = st.sampled_from([1, 5, 14, 1_000, 299_999, 300_000, 500_000])
HOURS = st.integers(0, 3)
EVENTS = st.one_of(
    st.tuples(st.just("order"), ORDERS, WHOM, st.sampled_from([0, 5, 1_000, 300_000, 500_001])),
    st.tuples(st.just("refund"), st.integers(1, 9), ORDERS, AMOUNTS, HOURS),
    st.tuples(st.just("refund alone"), st.integers(11, 13), WHOM, AMOUNTS),
    st.just(("work",)),
)


async def happen(event: tuple, shop: Shop, members: dict[str, Member]) -> None:
    """Lets one drawn event arrive; what the platform refuses is refused."""
    kind, *values = event
    if kind == "work":
        await crediting.work(NOW)
        return

    def named(whom: str) -> tuple[Member | None, str | None]:
        return members.get(whom.partition(" ")[0]), whom[-5:] if "ref" in whom else None

    try:
        if kind == "order":
            external_id, whom, amount = values
            member, ref = named(whom)
            await shop.order(external_id, amount, member, ref=ref, at=NOW)
        elif kind == "refund":
            external_id, of, amount, hours = values
            at = NOW - timedelta(hours=hours)
            await shop.refund(f"R-{external_id}", amount, of=of, at=at)
        else:
            external_id, whom, amount = values
            member, ref = named(whom)
            await shop.refund(f"R-{external_id}", amount, customer=member, ref=ref)
    except Mistake as mistake:
        refusals = {"IDEMPOTENCY_CONFLICT", "EXCEEDS_ORDER", "REQUIRED"}
        assert mistake.code in refusals, mistake


def waits(problem: str) -> bool:
    return problem.endswith("waits, since it exceeds its order")


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(events=st.lists(EVENTS, min_size=3, max_size=14))
async def test_after_any_sequence_of_events_the_books_reconcile(
    opened: str, events: list[tuple]
) -> None:
    stage = await factories.stage(rate_bps=333)
    shop = scene.shop(stage, f"shop-{await Standing.all().count()}")
    members = {
        "mei": await scene.customer(stage.link),
        "lan": await scene.customer(stage.link, name="Lan"),
    }

    for event in events:
        await happen(event, shop, members)
    await scene.settle()

    problems = (await reconciliation.reconcile(NOW)).problems
    # A refund that exceeds the order that came after it is named: that is no wrong book.
    assert [each for each in problems if not waits(each)] == []
    orders = await Conversion.filter(source=shop.source, type="ORDER")
    for order in orders:
        refunds = await Conversion.filter(
            source=shop.source, type="REFUND", order_external_id=order.external_id
        )
        assert all(each.status is not PENDING for each in [order, *refunds])
        if order.member_id is None:
            continue
        applied = [each for each in refunds if each.status is not ConversionStatus.PARKED]
        assert sum(each.amount_minor for each in applied) == order.refunded_minor
        for each in refunds:
            if each.status is ConversionStatus.PARKED:
                assert order.refunded_minor + each.amount_minor > order.amount_minor
    assert any(waits(each) for each in problems) or (await reconciliation.reconcile(NOW)).ok


@pytest.mark.postgres
async def test_linking_a_customer_does_not_wait_for_the_worker_that_waits_for_it(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = casebook._lock

    async with database.opened(postgres_url):
        shop = scene.shop(await factories.stage())
        await shop.order("A-1", 700, ref="c-1")

        async def linked_just_before(conversion_ids: Sequence[int]) -> set[str]:
            linking = registrations.ensure("shop", "c-1", NewMember("Mei"), None, NOW)
            # As another process would: outside of this transaction.
            task = asyncio.create_task(linking, context=contextvars.Context())
            done, _ = await asyncio.wait([task], timeout=5)
            assert done, "it waits for what this transaction holds"
            return await lock(conversion_ids)

        monkeypatch.setattr(casebook, "_lock", linked_just_before)
        await crediting.work(NOW)

        assert await shop.status("A-1") is ConversionStatus.NOT_CREDITED
