"""Owns what staff decide about a case of risk: what it holds goes on its way, or back."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

from tortoise.expressions import F

from core import audit, database, webhooks
from core.errors import text
from core.webhooks import Event
from members import ledger, withdrawing
from members.ledger import AccountRef, Transfer
from members.models import Account, Asset, EntryKind
from referral import counting, events, holding, moving, risk, risk_rules, whereabouts
from referral.errors import OwnRiskCase, RiskCaseDecided, RiskCaseNotFound
from referral.models import Commission, RiskCase, RiskItem, RiskStatus

NOTE_CHARACTERS = 1_000

_OF_NO_OTHER = """
SELECT item.commission_id FROM risk_item AS item
WHERE item.case_id = $1 AND item.commission_id IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM risk_item AS other
    JOIN risk_case ON risk_case.id = other.case_id AND risk_case.status = 'OPEN'
    WHERE other.commission_id = item.commission_id
)
"""


@database.unit_of_work
async def decide(
    case_id: int, *, release: bool, note: str | None, actor_id: int, now: datetime
) -> RiskCase:
    """Releases or rejects a case, once. Released, what it holds goes to where it would be by now,
    but for what another open case is about too. Rejected, what is left of it goes back to the
    program for good. Audited.

    What was paid out before is not touched. Raises `RiskCaseNotFound`, `OwnRiskCase`,
    `RiskCaseDecided`, and `Required`, `TooLong` or `Invalid` for the note.
    """
    if note is not None:
        note = text(note, "note", most=NOTE_CHARACTERS)
    await database.lock(risk.LOCK)
    case = await RiskCase.get_or_none(id=case_id)
    if case is None:
        raise RiskCaseNotFound
    if case.promoter_id == actor_id:
        raise OwnRiskCase
    if case.status is not RiskStatus.OPEN:
        raise RiskCaseDecided(case.status)
    case.status = RiskStatus.RELEASED if release else RiskStatus.REJECTED
    case.note, case.decided_at, case.decided_by_id = note, now, actor_id
    await case.save(update_fields=["status", "note", "decided_at", "decided_by_id"])
    moved = await (_release if release else _reject)(case, now)
    await audit.note(
        "riskCaseDecide",
        "RiskCase",
        [case.id],
        actor_id=actor_id,
        now=now,
        detail={"rule": case.rule, "status": case.status, "note": note, "amounts": moved},
    )
    return case


async def _release(case: RiskCase, now: datetime) -> Mapping[str, int]:
    """Lets go what no other open case is about; how much, by asset."""
    ids = [row["commission_id"] for row in await database.rows(_OF_NO_OTHER, case.id)]
    before = {each.id: each for each in await moving.locked(ids)}
    freed = await holding.unhold(ids, f"case-{case.id}", now)
    return _sums([before[each] for each in freed])


async def _reject(case: RiskCase, now: datetime) -> Mapping[str, int]:
    """Takes back what is left of what is held; how much, by asset."""
    items = RiskItem.filter(case_id=case.id, commission_id__isnull=False)
    ids = await items.values_list("commission_id", flat=True)
    locked = await moving.locked([int(str(each)) for each in ids])
    held = [each for each in locked if each.account is Account.HELD and whereabouts.left(each)]
    amounts = _sums(held)
    transfers = [_transfer(case, each) for each in held]
    points: Counter[tuple[int, int]] = Counter()
    told: list[Event] = []
    for each in held:
        left = whereabouts.left(each)
        if each.asset is Asset.POINTS:
            points[each.promoter_id, each.conversion_id] += left
        each.reversed = each.amount
        told.append(events.rejected(each, case, left))
    for some in moving.portions([each.id for each in held]):
        await Commission.filter(id__in=some).update(reversed=F("amount"))
    await counting.mark([], held)
    await withdrawing.take_back(points, now)
    await webhooks.emit(told, now)
    await ledger.post(transfers, now)
    return amounts


def _sums(commissions: Iterable[Commission]) -> Mapping[str, int]:
    return risk_rules.sums((each.asset, whereabouts.left(each)) for each in commissions)


def _transfer(case: RiskCase, commission: Commission) -> Transfer:
    return Transfer(
        key=f"rejection:{case.id}:{whereabouts.key(commission)}",
        kind=EntryKind.REVERSE,
        source=whereabouts.account(commission, Account.HELD),
        target=AccountRef(commission.program_id, commission.asset),
        amount=whereabouts.left(commission),
        conversion_id=commission.conversion_id,
    )
