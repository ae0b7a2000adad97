"""Owns the crediting: what was accepted is decided, booked and marked done in one transaction.

A batch is read at once, decided in memory by pure functions, one conversion after the other as
they came in, and written at once (see `Casebook`).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from core import database, outbox
from members.ledger import AccountRef, Transfer
from members.models import Asset, EntryKind
from members.standings import Standings
from referral import attribution, events, rewards, whereabouts
from referral.attribution import Decision, Share
from referral.casebook import Case, Casebook, order_key
from referral.lanes import TOPIC
from referral.models import (
    Binding,
    Commission,
    Conversion,
    ConversionStatus,
    ConversionType,
)
from referral.rewards import Reward

BATCH = 200  # what is read and written once for each of them costs little then


async def work(now: datetime) -> bool:
    """Claims what is due and credits it; False where there was nothing to claim.

    Whatever goes wrong is kept with the rows, which are tried again, and raised.
    """
    claims = await outbox.claim(TOPIC, now, most=BATCH)
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


async def credit_now(conversion: Conversion, now: datetime) -> None:
    """Decides what happens here and not in a shop, in the unit of work that makes it."""
    book = await Casebook.of([conversion], now)
    decide(book, conversion)
    await book.save()


def decide(book: Casebook, conversion: Conversion) -> None:
    """Decides one conversion of the batch, unless that has happened before."""
    if conversion.reopened_at is not None:
        _decide_again(book, book.case_of(conversion))
    elif conversion.status is not ConversionStatus.PENDING:
        return
    elif conversion.type is ConversionType.REFUND:
        _decide_refund(book, conversion)
    else:
        _decide_case(book, book.case_of(conversion))


def _decide_case(book: Casebook, case: Case) -> None:
    """Counts for the customer, and is credited to whoever brought them."""
    order = case.order
    if order.member_id is None and not book.dossier.touches_of(order):
        _set(book, order, ConversionStatus.PARKED)
        return
    if order.member_id is not None:
        count(book.standings, order, order.member_id)
    _attribute(book, case)
    if order.type is ConversionType.PROMOTION:
        book.standings.promote(order.member_id or 0, order.occurred_at)
    for refund in case.waiting:
        _refund_order(book, case, refund)


def _decide_again(book: Casebook, case: Case) -> None:
    """Attributes what had no eligible touch, once there is one: what it counted for stays, and its
    refunds take back what they would have."""
    order = case.order
    order.reopened_at = None
    book.changed(order)
    if order.status is not ConversionStatus.NOT_CREDITED or case.commissions:
        return
    _attribute(book, case)
    case.refunded_minor = 0
    for refund in case.refunds:
        _take_back(book, case, refund)


def count(standings: Standings, payment: Conversion, member_id: int) -> None:
    """Books what the member paid, or got back, in their standing."""
    amount, at = payment.amount_minor, payment.occurred_at
    if amount == 0:
        return
    if payment.type is ConversionType.FEE:
        standings.add_fee(member_id, amount, payment.id, at, payment.plan)
    elif payment.type is ConversionType.REFUND:
        standings.add_spend(member_id, -amount, payment.id, at)
    else:
        standings.add_spend(member_id, amount, payment.id, at)


def _attribute(book: Casebook, case: Case) -> None:
    """Finds who brought it, keeps why, and books what they get for it."""
    order = case.order
    event, terms = book.dossier.event(order, _first_order_at(book, order))
    decision = attribution.decide(
        event, book.dossier.touches_of(order), terms, book.dossier.promoters
    )
    book.verdicts += [(order.id, judged) for judged in decision.judged]
    book.attributions += [(order.id, share) for share in decision.shares]
    for program_id, promoter_id in decision.bonds:
        book.bindings.append(_binding(book, order, program_id, promoter_id))
    for share, reward in decision.rewards:
        _accrue(book, case, share, reward)
    if order.type is ConversionType.REGISTRATION:
        _invite(book, order, decision)
    credited = ConversionStatus.CREDITED if case.commissions else ConversionStatus.NOT_CREDITED
    if order.status is not credited:  # decided again, it may be what it was
        book.events.append(events.decided(order, credited, case.commissions))
    _set(book, order, credited)


def _first_order_at(book: Casebook, order: Conversion) -> datetime | None:
    if order.member_id is not None:
        return book.standings.first_order_at(order.member_id)
    return book.dossier.first_orders.get(order.visitor or "")


def _invite(book: Casebook, registration: Conversion, decision: Decision) -> None:
    """Whoever a registration is attributed to has invited the member, each once."""
    invitee_id, at = registration.member_id or 0, registration.occurred_at
    for inviter_id in sorted({each.promoter_id for each in decision.shares if each.level == 1}):
        book.standings.invite(
            inviter_id, invitee_id, at, promoted_at=book.promoted_at.get(invitee_id)
        )


def _binding(book: Casebook, order: Conversion, program_id: int, promoter_id: int) -> Binding:
    bond = book.dossier.bind(order, program_id, promoter_id)
    return Binding(
        program_id=program_id,
        member_id=order.member_id,
        promoter_id=promoter_id,
        bound_at=bond.bound_at,
        ends_at=bond.ends_at,
        active_key=f"{program_id}:{order.member_id}",
    )


def _accrue(book: Casebook, case: Case, share: Share, reward: Reward) -> None:
    order, rule = case.order, reward.rule
    held_for = timedelta(days=book.dossier.programs[share.program_id].hold_days)
    commission = Commission.construct(  # the ORM does not write it, and need not check it
        conversion_id=order.id,
        program_id=share.program_id,
        promoter_id=share.promoter_id,
        rule_id=rule.id,
        level=share.level,
        asset=rule.asset,
        rate_bps=rule.rate_bps,
        fixed_amount=rule.amount,
        amount=reward.amount,
        available_at=order.occurred_at + held_for,
    )
    case.commissions.append(commission)
    book.commissions.append(commission)
    if commission.amount > 0:
        _earn(book, commission, commission.amount, order)
        program, pending = _accounts(commission)
        book.transfers.append(
            Transfer(
                key=f"commission:{whereabouts.key(commission)}",
                kind=EntryKind.ACCRUE,
                source=program,
                target=pending,
                amount=commission.amount,
                conversion_id=order.id,
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
    count(book.standings, refund, refund.member_id)
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
    if order.member_id is not None:
        count(book.standings, refund, order.member_id)
    _take_back(book, case, refund)


def _take_back(book: Casebook, case: Case, refund: Conversion) -> None:
    """Reverses the commissions of an order as far as it is refunded with this one."""
    order = case.order
    case.refunded_minor += refund.amount_minor
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
    if step <= 0:  # below: staff rejected it, so that nothing is left
        return
    commission.reversed = total
    book.reduced(commission)
    _earn(book, commission, -step, refund)
    book.events.append(events.reversed(commission, refund, step))
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
