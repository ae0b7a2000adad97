"""Owns what deciding a batch of conversions touches: read at once, and written at once."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any

from tortoise.expressions import Q
from tortoise.functions import Min

from core import database, dialect
from core.webhooks import Event
from members import identity, ledger
from members.ledger import Transfer
from members.models import Asset, CustomerRef
from members.standings import Standings
from referral import counting, dossier, records, touches
from referral.attribution import Judged, Share
from referral.dossier import Dossier
from referral.models import (
    Binding,
    Commission,
    Conversion,
    ConversionStatus,
    ConversionType,
    Enrollment,
    TouchVerdict,
    Visitor,
)

REGISTRATION = ConversionType.REGISTRATION
DECIDED_REFUND = (ConversionStatus.CREDITED, ConversionStatus.NOT_CREDITED)

_NAMES = ("type", "source", "external_id", "order_external_id", "visitor", "customer_ref")
_NAMED = "SELECT {columns} FROM conversion WHERE id {listed}"

OrderKey = tuple[str, str]  # source and external id


class CustomerNamed(Exception):
    """A customer was named between the look for the locks and the taking: to be tried again."""


@dataclass(slots=True)
class Case:
    """What may be credited, with what hangs on it."""

    order: Conversion
    refunded_minor: int = 0  # by refunds decided so far
    commissions: list[Commission] = field(default_factory=list)
    refunds: list[Conversion] = field(default_factory=list)  # decided ones, oldest first
    waiting: list[Conversion] = field(default_factory=list)  # parked ones, oldest first


class Casebook:
    """The state of a batch: read by `load`, changed in memory, written by `save`.

    Both take a fixed number of statements, whatever the size of the batch.
    """

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.batch: Mapping[int, Conversion] = {}
        self.cases: dict[OrderKey, Case] = {}
        self.dossier = Dossier()
        self.others: dict[int, Case] = {}  # what no shop calls an order, by id
        self.promoted_at: Mapping[int, datetime | None] = {}  # of members whose turn comes late
        self.standings = Standings.of_nobody(now)
        self.attributions: list[tuple[int, Share]] = []  # by the conversion's id, like verdicts
        self.verdicts: list[tuple[int, Judged]] = []
        self.bindings: list[Binding] = []
        self.commissions: list[Commission] = []
        self.transfers: list[Transfer] = []
        self.events: list[Event] = []
        self._changed: dict[int, Conversion] = {}
        self._reduced: dict[int, Commission] = {}

    @classmethod
    async def load(cls, conversion_ids: Sequence[int], now: datetime) -> "Casebook":
        """Reads all that the batch needs, under the locks that keep it true until the end."""
        locked = await _lock(conversion_ids)
        batch = await Conversion.filter(id__in=conversion_ids).order_by("id").select_for_update()
        if not _locks(map(attrgetter(*_NAMES), batch)) <= locked:
            raise CustomerNamed
        return await cls.of(batch, now)

    @classmethod
    async def of(cls, batch: Iterable[Conversion], now: datetime) -> "Casebook":
        """The same for conversions that nobody else can know of yet."""
        await database.trust_indexes(sort=True, in_order=True)
        book = cls(now)
        book.batch = {each.id: each for each in batch}
        await book._load_cases()
        await book._load_parked_refunds()
        await book._load_history()
        await book._name_customers()
        await book._name_visitors()
        await book._load_customers()
        return book

    async def _load_cases(self) -> None:
        """The orders of the batch, and those of its refunds."""
        for each in self.batch.values():
            if each.type is ConversionType.ORDER:
                self.cases[key_of(each)] = Case(each)
            elif each.type is not ConversionType.REFUND:
                self.others[each.id] = Case(each)
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
            for case in (*self.cases.values(), *self.others.values())
            if case.order.status is not ConversionStatus.PENDING
        }
        if not decided:
            return
        commissions = Commission.filter(conversion_id__in=list(decided)).order_by("id")
        for commission in await commissions.select_for_update():  # nobody moves them meanwhile
            decided[commission.conversion_id].commissions.append(commission)
        refunds = Conversion.filter(order_id__in=list(decided), status__in=DECIDED_REFUND)
        for refund in await refunds.order_by("occurred_at", "id"):
            case = decided[refund.order_id or 0]
            case.refunded_minor += refund.amount_minor
            case.refunds.append(self.batch.get(refund.id, refund))

    def _everyone(self) -> Sequence[Conversion]:
        return [*self.batch.values(), *(case.order for case in self.cases.values())]

    def _reopened(self) -> Sequence[Conversion]:
        return [each for each in self.batch.values() if each.reopened_at is not None]

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

    async def _name_visitors(self) -> None:
        """Likewise the members behind visitors that were joined since."""
        unnamed = [each for each in self._everyone() if each.member_id is None and each.visitor]
        if not unnamed:
            return
        joined = Visitor.filter(id__in={each.visitor for each in unnamed})
        known = dict(await joined.values_list("id", "member_id"))
        for each in unnamed:
            each.member_id = known.get(each.visitor)

    async def _load_customers(self) -> None:
        """Where the customers stand, and what led them here."""
        customers = {dossier.customer(each) for each in self._everyone()} - {None}
        if not customers:
            return
        self.dossier = await dossier.read(each for each in customers if each is not None)
        members = {each for each in customers if isinstance(each, int)}
        earners = members | self._point_earners() | self._inviters()
        if earners:
            self.standings = await Standings.load(earners, self.now)
        registered = [each for each in self._reopened() if each.type is REGISTRATION]
        if registered:
            self.promoted_at = await _promoted_at([each.member_id or 0 for each in registered])

    def _inviters(self) -> set[int]:
        """Whoever may turn out to have invited somebody."""
        registrations = [each for each in self.batch.values() if each.type is REGISTRATION]
        return {
            touch.promoter_id for each in registrations for touch in self.dossier.touches_of(each)
        }

    def _point_earners(self) -> set[int]:
        """Whoever may earn points by this batch, or lose some: their tiers may move too."""
        paying = any(
            rule.asset is Asset.POINTS
            for program in self.dossier.programs.values()
            for rules in program.rules.values()
            for rule in rules
        )
        promoters = {*self.dossier.promoters} if paying else set[int]()
        return promoters | {
            commission.promoter_id
            for case in (*self.cases.values(), *self.others.values())
            for commission in case.commissions
            if commission.asset is Asset.POINTS
        }

    def case_of(self, conversion: Conversion) -> Case:
        """The case of what may be credited."""
        if conversion.type is ConversionType.ORDER:
            return self.cases[key_of(conversion)]
        return self.others[conversion.id]

    def changed(self, conversion: Conversion) -> None:
        """Has the conversion written by `save`."""
        self._changed[conversion.id] = conversion

    def reduced(self, commission: Commission) -> None:
        """Has the commission's reversed part written by `save`."""
        if commission.id is not None:  # a new one is inserted as it stands then
            self._reduced[commission.id] = commission

    async def save(self) -> None:
        """Writes what was decided; the balances last, since everybody waits for those."""
        if reopened := [each.id for each in self._reopened()]:
            await TouchVerdict.filter(conversion_id__in=reopened).delete()
        await records.insert_attributions(self.attributions)
        await records.insert_verdicts(self.verdicts)
        await _bind(self.bindings)
        await records.insert_commissions(self.commissions)
        await records.update_commissions(self._reduced.values())
        await records.update_conversions(self._changed.values())
        await counting.mark(self._changed.values(), self._reduced.values())
        await self.standings.save(self.events)
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
    named = _NAMED.format(columns=", ".join(_NAMES), listed=dialect.listed(1))
    found = await database.rows(named, dialect.as_list(conversion_ids))
    names = _locks(tuple(row.values()) for row in found)
    await database.lock(*names)
    return names


def _locks(conversions: Iterable[Sequence[Any]]) -> set[str]:
    """What holds conversions, of which these are the `_NAMES`."""
    names = set()
    for kind, source, external_id, order_external_id, visitor, customer_ref in conversions:
        if kind in (ConversionType.ORDER, ConversionType.REFUND):
            names.add(f"order:{source}:{order_external_id or external_id}")
        if visitor is not None:
            names.add(touches.visitor_lock(visitor))
        if customer_ref is not None:
            names.add(identity.customer_lock(source, customer_ref))
    return names


async def _promoted_at(member_ids: Sequence[int]) -> Mapping[int, datetime | None]:
    """When each first enrolled as a promoter, if they did."""
    rows = Enrollment.filter(member_id__in=member_ids).group_by("member_id")
    return dict(await rows.annotate(first=Min("created_at")).values_list("member_id", "first"))


async def _bind(bindings: Sequence[Binding]) -> None:
    """Makes new bindings, in place of those of the same customers that have come to their end."""
    for each in bindings:
        await Binding.filter(active_key=each.active_key, ends_at__lte=each.bound_at).update(
            active_key=None
        )
    if bindings:
        await Binding.bulk_create(bindings)


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
