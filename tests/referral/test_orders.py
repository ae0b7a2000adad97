"""Orders that wait together share a transaction, and each is answered as if it had come alone."""

import asyncio
import re
from collections.abc import Sequence
from contextvars import Context
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from core import database, outbox
from core.outbox import OutboxMessage
from members.models import CustomerRef, Member
from referral import conversions, customers, touches
from referral.conversions import NewOrder, Recorded
from referral.errors import CodeUnknown, IdempotencyConflict
from referral.models import Conversion
from referral.orders import LARGEST_GROUP, Orders
from tests import factories
from tests.factories import NOW, Stage
from tests.members.statements import counted_transactions, watched
from tests.referral import scene

MINUTE = timedelta(minutes=1)
NOBODY = 10**9  # no member has this id
Ended = Recorded | BaseException


def new(number: int, **more: Any) -> NewOrder:
    return replace(NewOrder("shop", f"A-{number}", 1_000 + number), **more)


async def record(orders: Orders, stage: Stage, some: Sequence[NewOrder]) -> list[Ended]:
    told = (orders.record(each, stage.shop.member.id, NOW) for each in some)
    return await asyncio.gather(*told, return_exceptions=True)


async def known(name: str, ref: str) -> Member:
    member = await scene.customer(None, name=name)
    await CustomerRef.create(source="shop", ref=ref, member=member)
    return member


async def stored() -> list[dict[str, Any]]:
    """What was written, by the shop's ids and without our own, each with its work."""
    work = {row.subject_id: row for row in await OutboxMessage.filter(topic=conversions.TOPIC)}
    rows = []
    for row in await Conversion.filter(type="ORDER").order_by("external_id").values():
        message = work[row.pop("id")]
        row.pop("code_touch_id"), row.pop("visitor")
        lane = re.sub("(?<=^visitor:).*", "…", message.lane)  # of chance
        due = (lane, message.available_at, message.attempts)
        rows.append({**row, "work": due})
    return rows


async def test_orders_that_come_together_are_one_transaction_of_four_statements(
    opened: str,
) -> None:
    stage = await factories.stage()
    mei, lan = await known("Mei", "c-1"), await scene.customer(None, name="Lan")
    some = [
        new(each, **({"customer_ref": f"c-{each % 3}"} if each % 2 else {"member_id": lan.id}))
        for each in range(60)
    ]
    with watched() as statements, counted_transactions() as transactions:
        ended = await record(Orders(), stage, some)

    # The shop's customers, the members, the orders, their work.
    assert (len(transactions), len(statements)) == (1, 4), statements
    assert [
        isinstance(each, Recorded)
        and (each.replayed, each.mistakes, each.conversion.external_id, each.conversion.member_id)
        for each in ended
    ] == [
        (False, (), f"A-{each}", (mei.id if each % 3 == 1 else None) if each % 2 else lan.id)
        for each in range(60)
    ]
    rows = await Conversion.filter(type="ORDER").order_by("id")
    assert [row.external_id for row in rows] == [f"A-{each}" for each in range(60)]
    messages = await OutboxMessage.filter(topic=conversions.TOPIC).order_by("id")
    assert [(each.subject_id, each.lane) for each in messages] == [
        (row.id, conversions.lane(row)) for row in rows
    ]


async def test_a_lone_order_takes_three_statements(opened: str) -> None:
    stage = await factories.stage()
    await known("Mei", "c-1")
    with watched() as statements, counted_transactions() as transactions:
        await record(Orders(), stage, [new(1, customer_ref="c-1")])
    assert (len(transactions), len(statements)) == (1, 3), statements


async def test_orders_of_several_shops_go_together(opened: str) -> None:
    stage = await factories.stage()
    mei = await known("Mei", "c-1")
    some = [
        new(1, customer_ref="c-1"),
        new(1, source="till", customer_ref="c-1"),  # somebody else, whom nobody knows
        new(1, source="web"),
    ]
    with counted_transactions() as transactions:
        ended = await record(Orders(), stage, some)
    assert [isinstance(each, Recorded) and each.conversion.member_id for each in ended] == [
        mei.id,
        None,
        None,
    ]
    assert len(transactions) == 1


async def test_a_group_has_a_limit_and_what_is_above_it_comes_next(embedded: str) -> None:
    stage = await factories.stage()
    some = [new(each) for each in range(LARGEST_GROUP + 1)]
    with counted_transactions() as transactions:
        assert all(isinstance(each, Recorded) for each in await record(Orders(), stage, some))
    assert len(transactions) == 2
    assert len(await stored()) == len(some)


async def test_together_and_alone_write_and_answer_the_same(opened: str) -> None:
    stage = await factories.stage()
    mei, lan = await known("Mei", "c-1"), await known("Lan", "c-2")
    some = [
        new(1, member_id=mei.id),
        new(2, member_id=mei.id, customer_ref="c-1"),
        new(3, member_id=mei.id, customer_ref="c-2"),  # Lan's
        new(4, member_id=lan.id, customer_ref="c-4"),  # nobody's yet
        new(5, customer_ref="c-4"),
        new(6, customer_ref="c-6"),
        new(7, customer_ref="c-2", commissionable_minor=5, occurred_at=NOW - MINUTE),
        new(8, visitor=touches.new_visitor()),
        new(9, referral_code=stage.link.code),
        new(10, member_id=mei.id, referral_code="00000000"),
        new(11, member_id=NOBODY),
        new(12, member_id=NOBODY, customer_ref="c-1"),
        new(13, amount_minor=-1),
        new(14),
    ]

    @database.unit_of_work
    async def undone(told: Any) -> None:
        """Looks at what is written, and takes it back."""
        answers.append([_answer(each) for each in await told()])
        books.append(await stored())
        raise LookupError

    async def alone() -> list[Ended]:
        async def one(order: NewOrder) -> Ended:
            try:
                return await conversions.record_order(order, stage.shop.member.id, NOW)
            except Exception as error:  # noqa: BLE001 - it is compared
                return error

        return [await one(each) for each in some]

    answers: list[list[object]] = []
    books: list[list[dict[str, Any]]] = []
    with pytest.raises(LookupError):
        await undone(alone)
    assert await stored() == []
    # The group is written outside of any transaction of the test, and stays.
    answers.append([_answer(each) for each in await record(Orders(), stage, some)])
    books.append(await stored())

    assert answers[1] == answers[0]
    assert _but(books[1], "A-5") == _but(books[0], "A-5")


def _answer(ended: Ended) -> object:
    if isinstance(ended, Recorded):
        mistakes = [type(each) for each in ended.mistakes]
        row = ended.conversion
        member_id = None if row.external_id == "A-5" else row.member_id
        return ended.replayed, mistakes, row.external_id, row.status, member_id
    return type(ended), getattr(ended, "field", None)


def _but(rows: list[dict[str, Any]], external_id: str) -> list[dict[str, Any]]:
    """Without the order that is Lan's or nobody's yet: the one that says so came at the same
    time."""
    return [row for row in rows if row["external_id"] != external_id]


async def test_fifty_equal_orders_at_once_are_one_order_with_one_message(opened: str) -> None:
    stage = await factories.stage()
    mei = await scene.customer(stage.link)
    ended = await record(Orders(), stage, [new(1, member_id=mei.id)] * 50)

    assert sorted(isinstance(each, Recorded) and each.replayed for each in ended) == [
        False,
        *[True] * 49,
    ]
    assert len({each.conversion.id for each in ended if isinstance(each, Recorded)}) == 1
    assert len(await stored()) == await outbox.open_count(conversions.TOPIC) == 1
    await scene.settle()
    assert await scene.pending(stage.promoter.member) == 100


async def test_of_unequal_orders_at_once_the_first_wins_and_the_others_conflict(
    opened: str,
) -> None:
    stage = await factories.stage()
    some = [new(1, amount_minor=amount) for amount in range(100, 120)]
    first, *others = await record(Orders(), stage, some)
    assert isinstance(first, Recorded)
    assert {type(each) for each in others} == {IdempotencyConflict}
    [row] = await stored()
    assert row["amount_minor"] == 100


async def test_two_processes_that_are_told_of_the_same_orders_keep_each_once(opened: str) -> None:
    """In opposite orders, so that each waits for the other where both are at it."""
    stage = await factories.stage()
    some = [new(each) for each in range(40)]
    here, there = await asyncio.gather(
        record(Orders(), stage, some), record(Orders(), stage, some[::-1])
    )
    replayed = [isinstance(each, Recorded) and each.replayed for each in (*here, *there)]
    assert sorted(replayed) == [False] * 40 + [True] * 40
    assert len(await stored()) == 40


async def test_one_that_is_refused_or_conflicts_leaves_the_others(opened: str) -> None:
    stage = await factories.stage()
    orders = Orders()
    await record(orders, stage, [new(3), new(4)])
    some = [
        new(1),
        new(2, member_id=NOBODY),
        new(3, amount_minor=7),
        new(4),
        new(5, referral_code="00000000"),
        new(6, external_id=" "),
        new(7),
    ]
    ended = await record(orders, stage, some)
    assert [type(each).__name__ for each in ended] == [
        "Recorded",
        "MemberNotFound",
        "IdempotencyConflict",
        "Recorded",
        "Recorded",
        "Required",
        "Recorded",
    ]
    assert isinstance(ended[3], Recorded) and ended[3].replayed
    assert isinstance(ended[4], Recorded)
    assert [type(each) for each in ended[4].mistakes] == [CodeUnknown]
    assert [row["external_id"] for row in await stored()] == ["A-1", "A-3", "A-4", "A-5", "A-7"]


async def test_a_group_that_fails_as_a_whole_is_written_one_by_one(opened: str) -> None:
    """One is told by nobody who is there, which only the database notices."""
    stage = await factories.stage()
    some = [new(each) for each in range(5)]
    told = [*some[:2], new(9), *some[2:]]
    orders = Orders()
    ended = await asyncio.gather(
        *(
            orders.record(each, NOBODY if each.external_id == "A-9" else stage.shop.member.id, NOW)
            for each in told
        ),
        return_exceptions=True,
    )
    assert [type(each).__name__ for each in ended] == [
        *["Recorded"] * 2,
        "IntegrityError",
        *["Recorded"] * 3,
    ]
    assert not any(isinstance(each, Recorded) and each.replayed for each in ended)
    assert [row["external_id"] for row in await stored()] == [f"A-{each}" for each in range(5)]


async def test_who_hangs_up_takes_no_other_along_and_is_accepted_all_the_same(opened: str) -> None:
    stage = await factories.stage()
    orders = Orders()
    by = stage.shop.member.id
    waiting = [asyncio.create_task(orders.record(new(each), by, NOW)) for each in range(4)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # the one that began the writing
    waiting[2].cancel()
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    await orders.flush()
    assert [type(each) for each in ended] == [
        asyncio.CancelledError,
        Recorded,
        asyncio.CancelledError,
        Recorded,
    ]
    assert [row["external_id"] for row in await stored()] == [f"A-{each}" for each in range(4)]


async def test_the_bell_rings_once_for_a_group_and_after_its_commit(opened: str) -> None:
    stage = await factories.stage()
    rung: list[asyncio.Task[list[Any]]] = []

    def ring(topic: str, message_id: int) -> None:
        # Outside of the transaction, whatever is not committed is not to be seen.
        looking = Context().run(asyncio.create_task, database.firsts("SELECT id FROM outbox"))
        rung.append(looking)

    outbox.ring_with(ring)
    try:
        await record(Orders(), stage, [new(each) for each in range(10)])
    finally:
        outbox.ring_with(None)
    [seen] = await asyncio.gather(*rung)
    assert len(seen) == 10


async def test_an_order_beside_the_link_of_its_customer_counts_for_the_member(opened: str) -> None:
    """Whichever of the two comes first."""
    stage = await factories.stage()
    mei = await scene.customer(stage.link)
    orders = Orders()
    for number in range(10):
        ref = f"c-{number}"
        await asyncio.gather(
            orders.record(new(number, customer_ref=ref), stage.shop.member.id, NOW),
            customers.link_member("shop", ref, mei.id, NOW),
        )
    await scene.settle()
    assert {row["member_id"] for row in await stored()} == {mei.id}
    assert {row["status"] for row in await stored()} == {"CREDITED"}
