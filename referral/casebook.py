"""Owns what deciding a batch of conversions touches: read at once, and written at once."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tortoise.expressions import Q
from tortoise.functions import Sum
from tortoise.models import Model

from core import database
from members import identity, ledger
from members.ledger import Transfer
from members.models import Asset, CustomerRef, Member
from members.standings import Standings
from referral import attribution, programs, touches
from referral.models import (
    Attribution,
    Commission,
    Conversion,
    ConversionStatus,
    ConversionType,
    RewardRule,
    TouchVerdict,
)

DECIDED_REFUND = (ConversionStatus.CREDITED, ConversionStatus.NOT_CREDITED)

OrderKey = tuple[str, str]  # source and external id


class CustomerNamed(Exception):
    """A customer was named between the look for the locks and the taking: to be tried again."""


@dataclass(slots=True)
class Case:
    """An order or a fee with what hangs on it."""

    order: Conversion
    refunded_minor: int = 0  # by refunds decided so far
    commissions: list[Commission] = field(default_factory=list)
    waiting: list[Conversion] = field(default_factory=list)  # parked refunds, oldest first


class Casebook:
    """The state of a batch: read by `load`, changed in memory, written by `save`.

    Both take a fixed number of statements, whatever the size of the batch, but for one more for
    each ledger account that is moved.
    """

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.batch: Mapping[int, Conversion] = {}
        self.cases: dict[OrderKey, Case] = {}
        self.members: Mapping[int, Member] = {}
        self.touches: Mapping[int, Sequence[attribution.Touch]] = {}
        self.rules: Mapping[tuple[int, ConversionType], Sequence[RewardRule]] = {}
        self.window_days: Mapping[int, int] = {}
        self.fees: dict[int, Case] = {}
        self.standings = Standings.of_nobody(now)
        self.attributions: list[Attribution] = []
        self.verdicts: list[TouchVerdict] = []
        self.commissions: list[Commission] = []
        self.transfers: list[Transfer] = []
        self._changed: dict[int, Conversion] = {}
        self._reduced: dict[int, Commission] = {}

    @classmethod
    async def load(cls, conversion_ids: Sequence[int], now: datetime) -> "Casebook":
        """Reads all that the batch needs, under the locks that keep it true until the end."""
        book = cls(now)
        locked = await _lock(conversion_ids)
        batch = Conversion.filter(id__in=conversion_ids).order_by("id").select_for_update()
        book.batch = {each.id: each for each in await batch}
        if not _locks(book.batch.values()) <= locked:
            raise CustomerNamed
        await book._load_cases()
        await book._load_parked_refunds()
        await book._load_history()
        await book._name_customers()
        await book._load_customers()
        return book

    async def _load_cases(self) -> None:
        """The orders of the batch, and those of its refunds."""
        for each in self.batch.values():
            if each.type is ConversionType.ORDER:
                self.cases[key_of(each)] = Case(each)
            elif each.type is ConversionType.FEE:
                self.fees[each.id] = Case(each)
        missing = {key for each in self.batch.values() if (key := order_key(each))} - {*self.cases}
        if not missing:
            return
        orders = Conversion.filter(_named("external_id", missing), type=ConversionType.ORDER)
        for order in await orders.order_by("id").select_for_update():
            self.cases[key_of(order)] = Case(order)

    async def _load_parked_refunds(self) -> None:
        """The refunds that came before their order could be decided, oldest first."""
        if not self.cases:
            return
        parked = Conversion.filter(
            _named("order_external_id", self.cases),
            type=ConversionType.REFUND,
            status=ConversionStatus.PARKED,
        )
        found = await parked.order_by("id").select_for_update()
        for refund in sorted(found, key=lambda each: (each.occurred_at, each.id)):
            case = self.cases[refund.source, refund.order_external_id or ""]
            case.waiting.append(self.batch.get(refund.id, refund))

    async def _load_history(self) -> None:
        """What was decided about the orders before: commissions, and the sum of their refunds."""
        decided = {
            case.order.id: case
            for case in self.cases.values()
            if case.order.status is not ConversionStatus.PENDING
        }
        if not decided:
            return
        commissions = Commission.filter(conversion_id__in=list(decided)).order_by("id")
        for commission in await commissions.select_for_update():  # nobody moves them meanwhile
            decided[commission.conversion_id].commissions.append(commission)
        sums = (
            Conversion.filter(order_id__in=list(decided), status__in=DECIDED_REFUND)
            .group_by("order_id")
            .annotate(total=Sum("amount_minor"))
            .values_list("order_id", "total")
        )
        for order_id, total in await sums:
            decided[order_id].refunded_minor = int(total)

    def _everyone(self) -> Sequence[Conversion]:
        return [*self.batch.values(), *(case.order for case in self.cases.values())]

    async def _name_customers(self) -> None:
        """Fills in the members behind shops' customers that were linked since."""
        unnamed = [each for each in self._everyone() if each.member_id is None]
        unnamed = [each for each in unnamed if each.customer_ref is not None]
        if not unnamed:
            return
        links = CustomerRef.filter(
            source__in={each.source for each in unnamed},
            ref__in={each.customer_ref for each in unnamed},
        ).values_list("source", "ref", "member_id")
        known = {(source, ref): member_id for source, ref, member_id in await links}
        for each in unnamed:
            each.member_id = known.get((each.source, each.customer_ref))

    async def _load_customers(self) -> None:
        """Where the customers stand, and what led them here."""
        ids = {each.member_id for each in self._everyone() if each.member_id is not None}
        if not ids:
            return
        self.members = await Member.in_bulk(ids, "id")
        self.touches = await touches.by_member(ids)
        program_ids = {each.program_id for some in self.touches.values() for each in some}
        if program_ids:
            found = await programs.by_id(program_ids)
            self.window_days = {each.id: each.window_days for each in found.values()}
            self.rules = await programs.rules(program_ids)
        self.standings = await Standings.load(ids | self._point_earners(), self.now)

    def _point_earners(self) -> set[int]:
        """Whoever may earn points by this batch, or lose some: their tiers may move too."""
        paying = {
            program_id
            for (program_id, _), rules in self.rules.items()
            if any(rule.asset is Asset.POINTS for rule in rules)
        }
        promoters = {
            touch.promoter_id
            for some in self.touches.values()
            for touch in some
            if touch.program_id in paying
        }
        return promoters | {
            commission.promoter_id
            for case in self.cases.values()
            for commission in case.commissions
            if commission.asset is Asset.POINTS
        }

    def case_of(self, payment: Conversion) -> Case:
        """The case of an order or a fee of the batch."""
        if payment.type is ConversionType.FEE:
            return self.fees[payment.id]
        return self.cases[key_of(payment)]

    def rules_for(self, program_id: int, kind: ConversionType) -> Sequence[RewardRule]:
        """What the program pays for a conversion of this kind."""
        return self.rules.get((program_id, kind), ())

    def changed(self, conversion: Conversion) -> None:
        """Has the conversion written by `save`."""
        self._changed[conversion.id] = conversion

    def reduced(self, commission: Commission) -> None:
        """Has the commission's reversed part written by `save`."""
        if commission.id is not None:  # a new one is inserted as it stands then
            self._reduced[commission.id] = commission

    async def save(self) -> None:
        """Writes what was decided; the balances last, since everybody waits for those."""
        await _insert(Attribution, self.attributions)
        await _insert(TouchVerdict, self.verdicts)
        await _insert(Commission, self.commissions)
        if self._reduced:
            await Commission.bulk_update(list(self._reduced.values()), ["reversed"])
        if self._changed:
            await Conversion.bulk_update(
                [self._changed[each] for each in sorted(self._changed)],
                ["status", "member_id", "order_id", "refunded_minor"],
            )
        await self.standings.save()
        await ledger.post(self.transfers, self.now)


def _named(column: str, keys: Iterable[OrderKey]) -> Q:
    """The condition for a row to name one of the orders in this column."""
    by_source: dict[str, set[str]] = defaultdict(set)
    for source, external_id in keys:
        by_source[source].add(external_id)
    return Q(
        *(Q(**{"source": source, f"{column}__in": ids}) for source, ids in by_source.items()),
        join_type=Q.OR,
    )


async def _lock(conversion_ids: Sequence[int]) -> set[str]:
    """Takes turns with whatever could bring in the missing part of one of these meanwhile: an
    order and its refunds, a customer and the member it is linked to. Returns the names."""
    names = _locks(await Conversion.filter(id__in=conversion_ids))
    await database.lock(*names)
    return names


def _locks(conversions: Iterable[Conversion]) -> set[str]:
    names = set()
    for each in conversions:
        names.add(f"order:{each.source}:{each.order_external_id or each.external_id}")
        if each.customer_ref is not None:
            names.add(identity.customer_lock(each.source, each.customer_ref))
    return names


async def _insert(table: type[Model], rows: Sequence[Any]) -> None:
    if rows:
        await table.bulk_create(rows)


def key_of(order: Conversion) -> OrderKey:
    """The shop's name for an order."""
    return order.source, order.external_id


def order_key(conversion: Conversion) -> OrderKey | None:
    """The shop's name for the order that this is or refunds; None for what concerns none."""
    if conversion.type is ConversionType.ORDER:
        return key_of(conversion)
    if conversion.order_external_id is None:
        return None
    return conversion.source, conversion.order_external_id
