"""Owns the crediting: what was accepted is decided, booked and marked done in one transaction.

A batch is read at once, decided in memory by pure functions, one conversion after the other as
they came in, and written at once (see `Casebook`).
"""

from collections.abc import Sequence
from datetime import datetime

from core import database, outbox
from members.identity import mailbox
from members.ledger import AccountRef, Transfer
from members.models import Asset, EntryKind
from referral import attribution, conversions, invitations, rewards, whereabouts
from referral.casebook import Case, Casebook, order_key
from referral.invitations import LEVEL
from referral.models import (
    Commission,
    Conversion,
    ConversionStatus,
    ConversionType,
    RewardRule,
)


async def work(now: datetime) -> bool:
    """Claims what is due and credits it; False where there was nothing to claim.

    Whatever goes wrong is kept with the rows, which are tried again, and raised.
    """
    claims = await outbox.claim(conversions.TOPIC, now)
    if not claims:
        return False
    try:
        await credit(claims, now)
    except Exception as error:
        await outbox.give_back(claims, error, now)
        raise
    return True


@database.unit_of_work
async def credit(claims: Sequence[outbox.Claim], now: datetime) -> None:
    """Decides the claimed conversions in order and books what follows from them.

    A conversion that is decided already is left as it is: a second delivery credits nothing.
    Raises `outbox.LeaseLost` when another worker has taken over; nothing is written then.
    """
    # Locks come before the outbox rows, as they do for whoever links a customer and then moves its
    # work to the member's lane: the other way round the two would wait for each other.
    book = await Casebook.load([claim.subject_id for claim in claims], now)
    await outbox.settle(claims, now)
    for claim in claims:
        decide(book, book.batch[claim.subject_id])
    await book.save()


def decide(book: Casebook, conversion: Conversion) -> None:
    """Decides one conversion of the batch, unless that has happened before."""
    if conversion.status is not ConversionStatus.PENDING:
        return
    if conversion.type is ConversionType.REFUND:
        _decide_refund(book, conversion)
    else:
        _decide_payment(book, book.case_of(conversion))


def _decide_payment(book: Casebook, case: Case) -> None:
    """An order or a fee: counts for who paid it, and is credited to whoever brought them."""
    order = case.order
    if order.member_id is None:
        _set(book, order, ConversionStatus.PARKED)
        return
    _count(book, order, order.member_id)
    _attribute(book, case, order.member_id)
    credited = ConversionStatus.CREDITED if case.commissions else ConversionStatus.NOT_CREDITED
    _set(book, order, credited)
    for refund in case.waiting:
        _refund_order(book, case, refund)


def _count(book: Casebook, payment: Conversion, member_id: int) -> None:
    amount, at = payment.amount_minor, payment.occurred_at
    if amount == 0:
        return
    if payment.type is ConversionType.FEE:
        book.standings.add_fee(member_id, amount, payment.id, at, payment.plan)
    else:
        book.standings.add_spend(member_id, amount, payment.id, at)


def _attribute(book: Casebook, case: Case, member_id: int) -> None:
    """Finds who brought the order, keeps why, and books what they get for it."""
    order = case.order
    paid = order.amount_minor > 0
    decision = attribution.decide(
        attribution.Customer(member_id, mailbox(book.members[member_id].email)),
        order.occurred_at,
        book.touches[member_id],
        {
            program_id: attribution.Terms(
                days, pays=paid and bool(book.rules_for(program_id, order.type))
            )
            for program_id, days in book.window_days.items()
        },
    )
    book.verdicts += invitations.verdicts(order.id, decision)
    book.attributions += invitations.attributions(order.id, decision)
    for credit in decision.credits:
        for rule in book.rules_for(credit.touch.program_id, order.type) if paid else ():
            _accrue(book, case, credit.touch.promoter_id, rule)


def _accrue(book: Casebook, case: Case, promoter_id: int, rule: RewardRule) -> None:
    commission = Commission(
        conversion_id=case.order.id,
        program_id=rule.program_id,
        promoter_id=promoter_id,
        rule_id=rule.id,
        level=LEVEL,
        asset=rule.asset,
        rate_bps=rule.rate_bps,
        amount=rewards.commission(case.order.amount_minor, rule.rate_bps or 0),
        available_at=case.order.occurred_at,
    )
    case.commissions.append(commission)
    book.commissions.append(commission)
    if commission.amount > 0:
        _earn(book, commission, commission.amount, case.order)
        program, pending = _accounts(commission)
        book.transfers.append(
            Transfer(
                key=f"commission:{whereabouts.key(commission)}",
                kind=EntryKind.ACCRUE,
                source=program,
                target=pending,
                amount=commission.amount,
                conversion_id=case.order.id,
            )
        )


def _earn(book: Casebook, commission: Commission, amount: int, by: Conversion) -> None:
    """Points that are earned, or with a negative number taken back, count for tiers."""
    if commission.asset is Asset.POINTS:
        book.standings.add_points(commission.promoter_id, amount, by.id, by.occurred_at)


def _decide_refund(book: Casebook, refund: Conversion) -> None:
    key = order_key(refund)
    if key is None:
        _refund_member(book, refund)
        return
    case = book.cases.get(key)
    if case is None:
        _set(book, refund, ConversionStatus.PARKED)
    elif case.order.status in (ConversionStatus.PENDING, ConversionStatus.PARKED):
        _set(book, refund, ConversionStatus.PARKED)
        case.waiting.append(refund)
        case.waiting.sort(key=lambda each: (each.occurred_at, each.id))
    else:
        _refund_order(book, case, refund)


def _refund_member(book: Casebook, refund: Conversion) -> None:
    """Money paid before this platform knew of the order: lowers the spend, reverses nothing."""
    if refund.member_id is None:
        _set(book, refund, ConversionStatus.PARKED)
        return
    book.standings.add_spend(refund.member_id, -refund.amount_minor, refund.id, refund.occurred_at)
    _set(book, refund, ConversionStatus.NOT_CREDITED)


def _refund_order(book: Casebook, case: Case, refund: Conversion) -> None:
    """Applies a refund to a decided order; one that exceeds it stays parked."""
    order = case.order
    if refund.order_id is None:
        if order.refunded_minor + refund.amount_minor > order.amount_minor:
            _set(book, refund, ConversionStatus.PARKED)
            return
        refund.order_id = order.id
        order.refunded_minor += refund.amount_minor
        book.changed(order)
    refund.member_id = order.member_id
    case.refunded_minor += refund.amount_minor
    if order.member_id is not None:
        book.standings.add_spend(
            order.member_id, -refund.amount_minor, refund.id, refund.occurred_at
        )
    for commission in case.commissions:
        _reverse(book, case, commission, refund)
    if not case.commissions:
        _set(book, refund, ConversionStatus.NOT_CREDITED)
        return
    _set(book, refund, ConversionStatus.CREDITED)
    if case.refunded_minor == order.amount_minor:
        _set(book, order, ConversionStatus.REVERSED)


def _reverse(book: Casebook, case: Case, commission: Commission, refund: Conversion) -> None:
    total = rewards.reversed_total(commission.amount, case.refunded_minor, case.order.amount_minor)
    step = total - commission.reversed
    if step == 0:
        return
    commission.reversed = total
    book.reduced(commission)
    _earn(book, commission, -step, refund)
    program, pending = _accounts(commission)
    book.transfers.append(
        Transfer(
            key=f"reversal:{refund.id}:{whereabouts.key(commission)}",
            kind=EntryKind.REVERSE,
            source=pending,
            target=program,
            amount=step,
            conversion_id=refund.id,
        )
    )


def _set(book: Casebook, conversion: Conversion, status: ConversionStatus) -> None:
    conversion.status = status
    book.changed(conversion)


def _accounts(commission: Commission) -> tuple[AccountRef, AccountRef]:
    """The program's counter-account, and the promoter's where what is left of it lies."""
    owner = AccountRef(commission.program_id, commission.asset)
    return owner, whereabouts.taken_from(commission)
