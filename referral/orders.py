"""Owns the orders that wait to be written: those that wait together share a transaction."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from core import bulk, database, outbox
from core.together import Together
from members import identity
from referral import conversions, customers
from referral.conversions import NewOrder, Recorded
from referral.lanes import TOPIC, lane, member_lane
from referral.models import Conversion

LARGEST_GROUP = 100  # rows of one statement

_Key = tuple[str, str]  # a source, and its id of an order
_Written = tuple[int, int | None]  # the id of the conversion, and of the member behind it


class Orders:
    """Accepts orders, one group after the other: transactions would else be most of the time.

    A group takes what is plain: an order that is new, and whose customer nobody has to take turns
    for. All others are recorded each in a transaction of its own, by the same rules.
    """

    def __init__(self) -> None:
        self._together = Together(_write, LARGEST_GROUP)

    async def record(self, order: NewOrder, recorded_by: int, now: datetime) -> Recorded:
        """Does what `conversions.record_order` does; committed when this returns.

        Whoever is cancelled while waiting takes nobody else along, and the order is accepted all
        the same. One whose connection broke as it was committed may be `replayed` though this call
        has brought it.
        """
        if order.visitor is None and order.referral_code is None:
            row = conversions.as_told(order, recorded_by, now)
            written = await self._together.do(row)
            if written is not None:
                row.id, row.member_id = written
                return Recorded(row, replayed=False)
        return await conversions.record_order(order, recorded_by, now)

    async def flush(self) -> None:
        """Returns when every order that was waiting is committed, or its `record` has raised."""
        await self._together.flush()


@database.unit_of_work
async def _write(orders: Sequence[Conversion]) -> Sequence[_Written | None]:
    """Writes those that are plain, with their work; None for each of the others."""
    new: dict[_Key, tuple[Conversion, int | None]] = {}
    for order, member_id in await _plain(orders):
        new.setdefault((order.source, order.external_id), (order, member_id))
    ids = await _insert([*new.values()])
    written = {
        id(order): (ids[key], member_id) for key, (order, member_id) in new.items() if key in ids
    }
    work = [
        (ids[key], lane(order) if member_id is None else member_lane(member_id))
        for key, (order, member_id) in new.items()
        if key in ids
    ]
    await outbox.put(TOPIC, work, max(order.recorded_at for order in orders))
    return [written.get(id(order)) for order in orders]


async def _plain(orders: Sequence[Conversion]) -> Sequence[tuple[Conversion, int | None]]:
    """Those whose customer is clear, with the member behind: nothing is to be linked, and nobody is
    named who is not there."""
    linked = await _linked(orders)
    named = {order.member_id for order in orders if order.member_id is not None}
    there = await customers.members_among(named)
    plain: list[tuple[Conversion, int | None]] = []
    for order in orders:
        known = linked.get((order.source, order.customer_ref))
        if order.member_id is None:
            plain.append((order, known))
        elif (order.member_id in there and order.customer_ref is None) or known == order.member_id:
            plain.append((order, order.member_id))
    return plain


async def _linked(orders: Sequence[Conversion]) -> Mapping[tuple[str, str | None], int]:
    """The members behind the shops' customers that are known."""
    refs: defaultdict[str, set[str]] = defaultdict(set)
    for order in orders:
        if order.customer_ref is not None:
            refs[order.source].add(order.customer_ref)
    return {
        (source, ref): member_id
        for source, some in refs.items()
        for ref, member_id in (await identity.customer_ids(source, some)).items()
    }


async def _insert(orders: Sequence[tuple[Conversion, int | None]]) -> Mapping[_Key, int]:
    """The ids of those that were not there yet, which are written now."""
    added = await bulk.insert_returning(
        Conversion,
        conversions.COLUMNS,
        [conversions.values(*each) for each in orders],
        "id, source, external_id",
        unless=("type", "source", "external_id"),
    )
    return {(row["source"], row["external_id"]): row["id"] for row in added}
