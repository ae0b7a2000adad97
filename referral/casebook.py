"""Owns the state of a batch of conversions while they are decided: read, think, write."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tortoise.functions import Sum

from core import database
from members import identity, ledger
from members.identity import mailbox
from members.ledger import AccountRef, Transfer
from members.models import Account, CustomerRef, EntryKind, Member
from members.standings import Standings
from referral import attribution, programs, rewards, touches
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
ONE_LEVEL = 1


@dataclass(slots=True)
class Case:
    """An order with what hangs on it."""

    order: Conversion
    refunded_minor: int = 0  # by refunds decided so far
    commissions: list[Commission] = field(default_factory=list)
    waiting: list[Conversion] = field(default_factory=list)  # parked refunds, oldest first


class Casebook:
    """A batch of conversions and everything that deciding them can touch."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._batch: dict[int, Conversion] = {}
        self._cases: dict[tuple[str, str], Case] = {}
        self._members: dict[int, Member] = {}
        self._touches: dict[int, Sequence[attribution.Touch]] = {}
        self._rules: dict[int, RewardRule] = {}
        self._windows: dict[int, int] = {}
        self._standings: Standings
        self._changed: dict[int, Conversion] = {}
        self._new_commissions: list[Commission] = []
        self._reduced: dict[int, Commission] = {}
        self._attributions: list[Attribution] = []
        self._verdicts: list[TouchVerdict] = []
        self._transfers: list[Transfer] = []

    @classmethod
    async def load(cls, conversion_ids: Sequence[int], now: datetime) -> "Casebook":
        """Reads all that the batch needs, under the locks that keep it true until the end."""
        book = cls(now)
        await book._lock(conversion_ids)
        batch = Conversion.filter(id__in=conversion_ids).order_by("id").select_for_update()
        book._batch = {each.id: each for each in await batch}
        await book._load_cases()
        await book._load_customers()
        return book

    async def _lock(self, conversion_ids: Sequence[int]) -> None:
        """Takes turns with whatever could bring in the missing part of one of these meanwhile: an
        order and its refunds, a customer and the member it is linked to."""
        rows = Conversion.filter(id__in=conversion_ids).values_list(
            "source", "external_id", "order_external_id", "customer_ref"
        )
        names = set()
        for source, external_id, order_external_id, ref in await rows:
            names.add(f"order:{source}:{order_external_id or external_id}")
            if ref is not None:
                names.add(identity.customer_lock(source, ref))
        await database.lock(*names)

    async def _load_cases(self) -> None:
        """The orders of the batch and of its refunds, with their commissions and refunds."""
        wanted = {key for each in self._batch.values() if (key := _order_key(each))}
        for order in self._batch.values():
            if order.type is ConversionType.ORDER:
                self._cases[_key(order)] = Case(order)
        missing = wanted - set(self._cases)
        if missing:
            orders = Conversion.filter(
                type=ConversionType.ORDER,
                source__in={source for source, _ in missing},
                external_id__in={external_id for _, external_id in missing},
            ).order_by("id")
            for order in await orders.select_for_update():
                if _key(order) in missing:
                    self._cases[_key(order)] = Case(order)
        await self._load_parked_refunds()
        await self._load_history()

    async def _load_parked_refunds(self) -> None:
        parked = Conversion.filter(
            type=ConversionType.REFUND,
            status=ConversionStatus.PARKED,
            source__in={source for source, _ in self._cases},
            order_external_id__in={external_id for _, external_id in self._cases},
        ).order_by("occurred_at", "id")
        for refund in await parked.select_for_update():
            case = self._cases.get(_order_key(refund) or ("", ""))
            if case is not None:
                case.waiting.append(self._batch.get(refund.id, refund))

    async def _load_history(self) -> None:
        """What was decided about the orders before: commissions, and the sum of their refunds."""
        decided = {
            case.order.id: case
            for case in self._cases.values()
            if case.order.status is not ConversionStatus.PENDING
        }
        if not decided:
            return
        for commission in await Commission.filter(conversion_id__in=list(decided)).order_by("id"):
            decided[commission.conversion_id].commissions.append(commission)
        sums = (
            Conversion.filter(order_id__in=list(decided), status__in=DECIDED_REFUND)
            .group_by("order_id")
            .annotate(total=Sum("amount_minor"))
            .values_list("order_id", "total")
        )
        for order_id, total in await sums:
            decided[order_id].refunded_minor = int(total)

    async def _load_customers(self) -> None:
        """Who bought, where they stand, and what led them here."""
        everyone = [*self._batch.values(), *(case.order for case in self._cases.values())]
        unnamed = [each for each in everyone if each.member_id is None and each.customer_ref]
        if unnamed:
            links = CustomerRef.filter(
                source__in={each.source for each in unnamed},
                ref__in={each.customer_ref for each in unnamed},
            ).values_list("source", "ref", "member_id")
            known = {(source, ref): member_id for source, ref, member_id in await links}
            for each in unnamed:
                each.member_id = known.get((each.source, each.customer_ref))
        member_ids = {each.member_id for each in everyone if each.member_id is not None}
        if not member_ids:
            return
        self._standings = await Standings.load(member_ids)
        self._members = await Member.in_bulk(member_ids, "id")
        self._touches = dict(await touches.by_member(member_ids))
        program_ids = {each.program_id for some in self._touches.values() for each in some}
        if program_ids:
            terms = await programs.by_id(program_ids)
            self._windows = {program_id: each.window_days for program_id, each in terms.items()}
            self._rules = dict(await programs.order_rules(program_ids))

    def decide(self, conversion_id: int) -> None:
        """Decides one conversion of the batch, unless that has happened before."""
        conversion = self._batch[conversion_id]
        if conversion.status is not ConversionStatus.PENDING:
            return
        if conversion.type is ConversionType.ORDER:
            self._decide_order(self._cases[_key(conversion)])
        else:
            self._decide_refund(conversion)

    def _decide_order(self, case: Case) -> None:
        order = case.order
        if order.member_id is None:
            self._set(order, ConversionStatus.PARKED)
            return
        if order.amount_minor > 0:
            self._standings.add_spend(order.member_id, order.amount_minor, self._now)
        self._set(order, self._attribute(case, order.member_id))
        for refund in case.waiting:
            self._refund_order(case, refund)

    def _attribute(self, case: Case, member_id: int) -> ConversionStatus:
        """Finds who brought the order, and books what they get for it."""
        order = case.order
        decision = attribution.decide(
            attribution.Customer(member_id, mailbox(self._members[member_id].email)),
            order.occurred_at,
            self._touches[member_id],
            {
                program_id: attribution.Terms(
                    window_days, pays=order.amount_minor > 0 and program_id in self._rules
                )
                for program_id, window_days in self._windows.items()
            },
        )
        for judged in decision.judged:
            self._verdicts.append(
                TouchVerdict(
                    conversion_id=order.id,
                    program_id=judged.touch.program_id,
                    touch_id=judged.touch.id,
                    verdict=judged.verdict,
                    detail=judged.detail,
                )
            )
        for credit in decision.credits:
            self._attributions.append(
                Attribution(
                    conversion_id=order.id,
                    program_id=credit.touch.program_id,
                    promoter_id=credit.touch.promoter_id,
                    link_id=credit.touch.link_id,
                    level=ONE_LEVEL,
                    weight_ppm=credit.weight_ppm,
                )
            )
            rule = self._rules.get(credit.touch.program_id)
            if rule is not None and order.amount_minor > 0:
                self._accrue(case, credit.touch.promoter_id, rule)
        return ConversionStatus.CREDITED if case.commissions else ConversionStatus.NOT_CREDITED

    def _accrue(self, case: Case, promoter_id: int, rule: RewardRule) -> None:
        commission = Commission(
            conversion_id=case.order.id,
            program_id=rule.program_id,
            promoter_id=promoter_id,
            rule_id=rule.id,
            level=ONE_LEVEL,
            asset=rule.asset,
            rate_bps=rule.rate_bps,
            amount=rewards.commission(case.order.amount_minor, rule.rate_bps),
        )
        case.commissions.append(commission)
        self._new_commissions.append(commission)
        if commission.amount > 0:
            source, target = _accounts(commission)
            self._transfers.append(
                Transfer(
                    key=f"commission:{commission_key(commission)}",
                    kind=EntryKind.ACCRUE,
                    source=source,
                    target=target,
                    amount=commission.amount,
                    conversion_id=case.order.id,
                )
            )

    def _decide_refund(self, refund: Conversion) -> None:
        key = _order_key(refund)
        if key is None:
            self._refund_member(refund)
            return
        case = self._cases.get(key)
        if case is None or case.order.status in (ConversionStatus.PENDING, ConversionStatus.PARKED):
            self._set(refund, ConversionStatus.PARKED)
            if case is not None:
                case.waiting.append(refund)
                case.waiting.sort(key=lambda each: (each.occurred_at, each.id))
            return
        self._refund_order(case, refund)

    def _refund_member(self, refund: Conversion) -> None:
        """Money paid before this platform knew of the order: lowers the spend, reverses nothing."""
        if refund.member_id is None:
            self._set(refund, ConversionStatus.PARKED)
            return
        self._standings.add_spend(refund.member_id, -refund.amount_minor, self._now)
        self._set(refund, ConversionStatus.NOT_CREDITED)

    def _refund_order(self, case: Case, refund: Conversion) -> None:
        """Applies a refund to a decided order; one that exceeds it stays parked."""
        order = case.order
        if refund.order_id is None:
            if order.refunded_minor + refund.amount_minor > order.amount_minor:
                self._set(refund, ConversionStatus.PARKED)
                return
            refund.order_id = order.id
            order.refunded_minor += refund.amount_minor
            self._changed[order.id] = order
        refund.member_id = order.member_id
        case.refunded_minor += refund.amount_minor
        if order.member_id is not None:
            self._standings.add_spend(order.member_id, -refund.amount_minor, self._now)
        for commission in case.commissions:
            self._reverse(case, commission, refund)
        credited = bool(case.commissions)
        self._set(refund, ConversionStatus.CREDITED if credited else ConversionStatus.NOT_CREDITED)
        if credited and case.refunded_minor == order.amount_minor:
            self._set(order, ConversionStatus.REVERSED)

    def _reverse(self, case: Case, commission: Commission, refund: Conversion) -> None:
        total = rewards.reversed_total(
            commission.amount, case.refunded_minor, case.order.amount_minor
        )
        step = total - commission.reversed
        if step == 0:
            return
        commission.reversed = total
        if commission.id is not None:
            self._reduced[commission.id] = commission
        source, target = _accounts(commission)
        self._transfers.append(
            Transfer(
                key=f"reversal:{refund.id}:{commission_key(commission)}",
                kind=EntryKind.REVERSE,
                source=target,
                target=source,
                amount=step,
                conversion_id=refund.id,
            )
        )

    def _set(self, conversion: Conversion, status: ConversionStatus) -> None:
        conversion.status = status
        self._changed[conversion.id] = conversion

    async def save(self) -> None:
        """Writes what was decided; the balances last, since everybody waits for those."""
        await _insert(Attribution, self._attributions)
        await _insert(TouchVerdict, self._verdicts)
        await _insert(Commission, self._new_commissions)
        if self._reduced:
            await Commission.bulk_update(list(self._reduced.values()), ["reversed"])
        if self._changed:
            await Conversion.bulk_update(
                [self._changed[each] for each in sorted(self._changed)],
                ["status", "member_id", "order_id", "refunded_minor"],
            )
        if self._members:
            await self._standings.save()
        await ledger.post(self._transfers, self._now)


async def _insert(table: type, rows: Sequence) -> None:
    if rows:
        await table.bulk_create(rows)


def _key(order: Conversion) -> tuple[str, str]:
    return order.source, order.external_id


def _order_key(conversion: Conversion) -> tuple[str, str] | None:
    if conversion.type is ConversionType.ORDER:
        return _key(conversion)
    if conversion.order_external_id is None:
        return None
    return conversion.source, conversion.order_external_id


def commission_key(commission: Commission) -> str:
    """The business fact behind a commission, as it stands in the keys of its transfers."""
    return (
        f"{commission.conversion_id}:{commission.program_id}:{commission.promoter_id}"
        f":{commission.level}:{commission.asset}"
    )


def _accounts(commission: Commission) -> tuple[AccountRef, AccountRef]:
    """The program's counter-account and the promoter's pending one."""
    return (
        AccountRef(commission.program_id, commission.asset),
        AccountRef(
            commission.program_id, commission.asset, commission.promoter_id, Account.PENDING
        ),
    )
