"""Owns pay-outs: who gets what, claimed once; sent, or put back."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from core import audit, database, webhooks
from core.errors import Invalid, text
from members import ledger
from members.ledger import AccountRef, Transfer
from members.models import Account, Asset, EntryKind, Payee
from referral import events, programs, risk
from referral.errors import PayoutNotFound, PayoutSettled
from referral.models import Commission, Payout, PayoutStatus, Program

BATCH = 100
IDS_PER_STATEMENT = 1_000
REFERENCE_CHARACTERS = 100
REASON_CHARACTERS = 300

ENOUGH = """
FROM ledger_account AS account {join} payee ON payee.member_id = account.member_id
WHERE account.program_id = $1 AND account.asset = 'CASH' AND account.account = 'AVAILABLE'
AND account.balance >= $2 AND NOT EXISTS (
    SELECT 1 FROM risk_case WHERE risk_case.promoter_id = account.member_id
    AND risk_case.status = 'OPEN' AND risk_case.rule = 'SHARED_PAYEE'
)
"""
READY = f"""
SELECT account.id, account.member_id {ENOUGH.format(join="JOIN")} AND account.id > $3
ORDER BY account.id LIMIT {{most}}
"""
PREVIEW = f"""
SELECT COUNT(payee.id) AS count, COUNT(*) - COUNT(payee.id) AS without_payee,
    COALESCE(SUM(CASE WHEN payee.id IS NULL THEN 0 ELSE account.balance END), 0) AS total
{ENOUGH.format(join="LEFT JOIN")}
"""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would pay now, and how many it would pass over for want of a payee."""

    count: int
    total_minor: int
    without_payee: int


class _Moved(Exception):
    """Something became available between the two locks: to be tried again."""


async def preview(program_code: str) -> Preview:
    """What a run of the program would do; writes nothing. Raises `ProgramNotFound`."""
    program = await programs.by_code(program_code)
    [row] = await database.rows(PREVIEW, program.id, _least(program))
    return Preview(row["count"], int(row["total"]), row["without_payee"])


def _least(program: Program) -> int:
    return max(program.min_payout_minor, 1)


async def run(program_code: str, actor_id: int, now: datetime) -> Sequence[Payout]:
    """Claims what is available in cash of every member who has at least the program's minimum and
    a payee, and makes one pay-out of it each, PROCESSING. Whose payee is a matter of an open case
    of risk waits until that is decided.

    A batch of members is a transaction: what was made before a run is killed stays, and the next
    run makes the others. Runs at the same time claim nothing twice. Raises `ProgramNotFound`.
    """
    program = await programs.by_code(program_code)
    made: list[Payout] = []
    after: int | None = 0
    while after is not None:
        try:
            batch, after = await _claim(program, after, actor_id, now)
        except _Moved:
            continue
        made += batch
    return made


@database.unit_of_work
async def _claim(
    program: Program, after: int, actor_id: int, now: datetime
) -> tuple[Sequence[Payout], int | None]:
    """Pays a batch of members whose accounts come behind this one; and where to go on."""
    await database.trust_indexes(sort=True)
    ready = await database.rows(READY.format(most=BATCH), program.id, _least(program), after)
    if not ready:
        return [], None
    member_ids = [row["member_id"] for row in ready]
    claimed = await _available(program, member_ids)
    balances = await ledger.lock(
        [ref for each in member_ids for ref in _accounts(program.id, each)]
    )
    # What comes into an account takes its lock: from here on nothing does. What came in meanwhile
    # would be in the amount and not among the commissions.
    if await _available(program, member_ids, lock=False) != claimed:
        raise _Moved
    made = await _make(program, member_ids, balances, now)
    await _mark(made, claimed)
    await audit.note(
        "payoutRun",
        "Payout",
        [each.id for each in made],
        actor_id=actor_id,
        now=now,
        detail={"program": program.code},
    )
    await ledger.post([_transfer(each, EntryKind.PAYOUT) for each in made], now)
    return made, ready[-1]["id"]


async def _available(
    program: Program, member_ids: Sequence[int], *, lock: bool = True
) -> Mapping[int, int]:
    """The members' commissions that are available in cash, with whose they are."""
    found = Commission.filter(
        promoter_id__in=member_ids,
        program_id=program.id,
        account=Account.AVAILABLE,
        asset=Asset.CASH,
    ).order_by("id")
    # Not `values_list`, which forgets the lock without a word.
    rows = (found.select_for_update() if lock else found).only("id", "promoter_id")
    return {row.id: row.promoter_id for row in await rows}


def _accounts(program_id: int, member_id: int) -> Sequence[AccountRef]:
    """Where a pay-out comes from, and where it goes."""
    return [
        AccountRef(program_id, Asset.CASH, member_id, name)
        for name in (Account.AVAILABLE, Account.PAID)
    ]


async def _make(
    program: Program, member_ids: Sequence[int], balances: Mapping[str, int], now: datetime
) -> Sequence[Payout]:
    sealed = await Payee.filter(member_id__in=member_ids).values_list("member_id", "sealed")
    payee_of = {int(member_id): str(payee) for member_id, payee in sealed}
    amounts = {each: balances[_accounts(program.id, each)[0].key] for each in member_ids}
    return [
        await Payout.create(
            program_id=program.id,
            member_id=member_id,
            amount_minor=amount,
            currency=program.currency,
            payee=payee_of[member_id],
            status=PayoutStatus.PROCESSING,
            created_at=now,
        )
        for member_id, amount in amounts.items()
        if amount >= _least(program) and member_id in payee_of
    ]


async def _mark(made: Sequence[Payout], claimed: Mapping[int, int]) -> None:
    by_member: dict[int, list[int]] = defaultdict(list)
    for commission_id, member_id in claimed.items():
        by_member[member_id].append(commission_id)
    for payout in made:
        await _put(by_member[payout.member_id], Account.PAID, payout.id)


async def _put(commission_ids: Sequence[int], account: Account, payout_id: int | None) -> None:
    for start in range(0, len(commission_ids), IDS_PER_STATEMENT):
        some = commission_ids[start : start + IDS_PER_STATEMENT]
        await Commission.filter(id__in=some).update(account=account, payout_id=payout_id)


def _transfer(payout: Payout, kind: EntryKind) -> Transfer:
    available, paid = _accounts(payout.program_id, payout.member_id)
    out = kind is EntryKind.PAYOUT
    return Transfer(
        key=f"payout:{payout.id}" if out else f"payout-failed:{payout.id}",
        kind=kind,
        source=available if out else paid,
        target=paid if out else available,
        amount=payout.amount_minor,
        payout_id=payout.id,
    )


@database.unit_of_work
async def settle(
    payout_id: int,
    *,
    sent: bool,
    reference: str | None,
    reason: str | None,
    actor_id: int,
    now: datetime,
) -> Payout:
    """Says what became of a pay-out: SENT under the bank's reference, or FAILED, also after it was
    sent: its amount and its commissions are available again then.

    The same again changes nothing and answers the same. Raises `PayoutNotFound`, `PayoutSettled`
    for any other step, and `Invalid` for a reason without a failure.
    """
    if reference is not None:
        reference = text(reference, "reference", most=REFERENCE_CHARACTERS)
    if reason is not None:
        reason = text(reason, "reason", most=REASON_CHARACTERS)
    if sent and reason is not None:
        raise Invalid("A reason goes with a pay-out that failed.", "reason")
    if not sent:
        await database.lock(risk.LOCK)
    payout = await Payout.filter(id=payout_id).select_for_update(no_key=True).first()
    if payout is None:
        raise PayoutNotFound
    if _is_said(payout, sent, reference, reason):
        return payout
    _step(payout, sent, reference, reason, now)
    await payout.save()
    await _note(payout, actor_id, now)
    if payout.status is PayoutStatus.SENT:
        await webhooks.emit([events.payout_sent(payout)], now)
    if payout.status is PayoutStatus.FAILED:
        await _put_back(payout, now)
    return payout


def _is_said(payout: Payout, sent: bool, reference: str | None, reason: str | None) -> bool:
    if sent:
        return payout.status is PayoutStatus.SENT and payout.reference == reference
    named = reference in (None, payout.reference)
    return payout.status is PayoutStatus.FAILED and payout.failure_reason == reason and named


def _step(
    payout: Payout, sent: bool, reference: str | None, reason: str | None, now: datetime
) -> None:
    open_to = {PayoutStatus.PROCESSING} if sent else {PayoutStatus.PROCESSING, PayoutStatus.SENT}
    if payout.status not in open_to:
        raise PayoutSettled(payout.status)
    payout.status = PayoutStatus.SENT if sent else PayoutStatus.FAILED
    payout.reference = reference or payout.reference
    payout.failure_reason = reason
    payout.settled_at = now


async def _note(payout: Payout, actor_id: int, now: datetime) -> None:
    said = {"reference": payout.reference, "reason": payout.failure_reason}
    await audit.note(
        "payoutSettle",
        "Payout",
        [payout.id],
        actor_id=actor_id,
        now=now,
        detail={"status": payout.status, **{name: text for name, text in said.items() if text}},
    )


async def _put_back(payout: Payout, now: datetime) -> None:
    """Whatever was refunded since has been taken from what is available: it stays taken. What open
    cases of risk are about is held."""
    # By the member first, for which there is an index.
    mine = Commission.filter(
        promoter_id=payout.member_id,
        program_id=payout.program_id,
        account=Account.PAID,
        payout_id=payout.id,
    )
    found = await mine.order_by("id").select_for_update()
    await _put([each.id for each in found], Account.AVAILABLE, None)
    concerned = await risk.concerned_by(found, now)
    await risk.lock(concerned, _accounts(payout.program_id, payout.member_id))
    await ledger.post([_transfer(payout, EntryKind.PAYOUT_FAILED)], now)
    await risk.hold(concerned, now)
