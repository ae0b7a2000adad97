"""Owns the cases of risk: raised once for a fact, what they are about, and what they hold.

A case is open until staff decide about it (see `risk_deciding`). While it is, the commissions that
it is about are held.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core import database
from core.paging import Page, page
from core.webhooks import instant, ref
from members import ledger
from members.ledger import AccountRef
from members.models import Account, Asset
from referral import holding, moving, risk_rules, whereabouts
from referral.models import Commission, Conversion, RiskCase, RiskItem, RiskStatus
from referral.risk_rules import Rule, Seen

# Held by whoever raises a case, decides one, or brings money back that one may be about. It comes
# before every other lock.
LOCK = "risk"

FREE = (Account.PENDING, Account.AVAILABLE)

Concerned = Mapping[int, Sequence[int]]  # commissions by case

_KNOWN = """
SELECT item.conversion_id, item.commission_id FROM risk_item AS item
JOIN risk_case ON risk_case.id = item.case_id
WHERE risk_case.promoter_id = $1 AND risk_case.key LIKE $2
AND item.conversion_id IN ({conversions})
"""
_CONCERNED = """
SELECT item.commission_id, MIN(risk_case.id) AS case_id FROM risk_item AS item
JOIN risk_case ON risk_case.id = item.case_id AND risk_case.status = 'OPEN'
WHERE item.commission_id IN ({commissions}) GROUP BY item.commission_id
"""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What a rule found about a promoter.

    `about`, at most 70 characters, keeps cases of one rule and promoter apart. With `settles`, what
    staff have released once is not raised again; with `bare`, a case needs no conversion.
    """

    rule: Rule
    promoter_id: int
    seen: Sequence[Seen]
    about: str = ""
    settles: bool = False
    bare: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What the keys of its cases begin with."""
        return f"{self.rule}:{self.promoter_id}:{self.about}:"


async def cases(
    status: RiskStatus | None, first: int, after: str | None
) -> tuple[Page[RiskCase], Callable[[], Awaitable[int]]]:
    """One page of the cases, newest first, in this status where one is given; and what counts them
    all. Raises `paging.BadPage`."""
    query = RiskCase.all() if status is None else RiskCase.filter(status=status)
    name = f"risk:{status or ''}"
    return await page(query, order=("-id",), name=name, first=first, after=after), query.count


# ---- raising


async def report(suspicions: Iterable[Suspicion], now: datetime) -> None:
    """Opens a case for each, or adds to the one that is open, and holds what they are about;
    belongs into a unit of work that has `LOCK`.

    Told again, what a case knows already is left out: the same twice changes nothing.
    """
    await hold(await _raise(suspicions, now), now)


async def _raise(suspicions: Iterable[Suspicion], now: datetime) -> Concerned:
    concerned: dict[int, list[int]] = {}
    for each in suspicions:
        fresh = await _fresh(each)
        case = await _case(each, fresh, now) if fresh or each.bare else None
        if case is not None:
            concerned.setdefault(case.id, []).extend(await _keep(case, fresh))
    return concerned


async def _fresh(suspicion: Suspicion) -> Sequence[Seen]:
    known = await _known(suspicion.promoter_id, suspicion.key, suspicion.seen)
    return [each for each in suspicion.seen if not known.issuperset(each.pairs)]


async def _known(promoter_id: int, key: str, seen: Sequence[Seen]) -> set[tuple[int, int | None]]:
    """What the promoter's cases whose key begins so are about already, of this."""
    if not seen:
        return set()
    sql = _KNOWN.format(conversions=_list(each.conversion_id for each in seen))
    rows = await database.rows(sql, promoter_id, f"{key}%")
    return {(row["conversion_id"], row["commission_id"]) for row in rows}


async def _case(suspicion: Suspicion, fresh: Sequence[Seen], now: datetime) -> RiskCase | None:
    """The open case with what is new, or a new one; None where staff have settled it."""
    earlier = await RiskCase.filter(
        promoter_id=suspicion.promoter_id, key__startswith=suspicion.key
    ).order_by("id")
    for case in earlier:
        if case.status is RiskStatus.OPEN:
            case.evidence = risk_rules.evidence(case.evidence, fresh, **suspicion.facts)
            await case.save(update_fields=["evidence"])
            return case
    if suspicion.settles and any(each.status is RiskStatus.RELEASED for each in earlier):
        return None
    return await RiskCase.create(
        key=f"{suspicion.key}{len(earlier) + 1}",
        rule=suspicion.rule,
        status=RiskStatus.OPEN,
        promoter_id=suspicion.promoter_id,
        conversion_id=fresh[0].conversion_id if fresh else None,
        evidence=risk_rules.evidence({}, fresh, **suspicion.facts),
        created_at=now,
    )


async def _keep(case: RiskCase, seen: Sequence[Seen]) -> Sequence[int]:
    """Writes down what the case is about; the commissions among it."""
    pairs = [pair for each in seen for pair in each.pairs]
    known = await _known(case.promoter_id, case.key, seen)
    await RiskItem.bulk_create(
        RiskItem(case_id=case.id, conversion_id=conversion_id, commission_id=commission_id)
        for conversion_id, commission_id in pairs
        if (conversion_id, commission_id) not in known
    )
    return [commission_id for _, commission_id in pairs if commission_id is not None]


async def at_stake(
    conversion_ids: Collection[int], commissions: Iterable[Commission] = ()
) -> Sequence[Seen]:
    """The conversions as a case keeps them, in the order in which they happened, with these
    commissions of theirs."""
    by_conversion: dict[int, list[Commission]] = {each: [] for each in conversion_ids}
    for each in commissions:
        by_conversion[each.conversion_id].append(each)
    rows: list[Conversion] = []
    for some in moving.portions([*by_conversion]):
        rows += await Conversion.filter(id__in=some)
    rows.sort(key=lambda row: (row.occurred_at, row.id))
    return [_seen(row, by_conversion[row.id]) for row in rows]


def _seen(conversion: Conversion, commissions: Sequence[Commission]) -> Seen:
    return Seen(
        at=conversion.occurred_at,
        conversion_id=conversion.id,
        commission_ids=[each.id for each in commissions],
        amounts=risk_rules.sums((each.asset, whereabouts.left(each)) for each in commissions),
        shown={
            "conversion": ref("Conversion", conversion.id),
            "source": conversion.source,
            "externalId": conversion.external_id,
            "customer": ref("Member", conversion.member_id),
            "amountMinor": conversion.amount_minor,
            "at": instant(conversion.occurred_at),
        },
    )


# ---- holding


async def hold(concerned: Concerned, now: datetime) -> None:
    """Holds these commissions as far as they are pending or available; belongs into a unit of work
    that has `LOCK`. What is paid out is held when it should come back, see `concerned_by`."""
    await lock(concerned)
    for case_id, commission_ids in concerned.items():
        await holding.hold(commission_ids, f"case-{case_id}", now)


async def lock(concerned: Concerned, also: Collection[AccountRef] = ()) -> None:
    """Takes all locks that holding these needs, and those of other accounts that are moved beside
    it, in the order in which everybody takes them."""
    locked = await moving.locked([each for ids in concerned.values() for each in ids])
    accounts = {
        whereabouts.account(each, name)
        for each in locked
        if each.account in FREE
        for name in (each.account, Account.HELD)
    }
    if accounts:
        await ledger.lock({*accounts, *also})


async def concerned_by(commissions: Sequence[Commission], now: datetime) -> Concerned:
    """Which of these commissions open cases are about, now that they come back from a failed
    pay-out; belongs into a unit of work that has `LOCK`."""
    if not commissions:
        return {}
    await _raise(await of_open_payees(commissions), now)
    ids = _list(each.id for each in commissions)
    concerned: dict[int, list[int]] = {}
    for row in await database.rows(_CONCERNED.format(commissions=ids)):
        concerned.setdefault(row["case_id"], []).append(row["commission_id"])
    return concerned


async def of_open_payees(commissions: Iterable[Commission]) -> Sequence[Suspicion]:
    """That commissions in cash would go to an account which more than one promoter named, where a
    case about that is open."""
    cash = [each for each in commissions if each.asset is Asset.CASH]
    open_ones = await RiskCase.filter(
        promoter_id__in=sorted({each.promoter_id for each in cash}),
        status=RiskStatus.OPEN,
        rule=Rule.SHARED_PAYEE,
    ).order_by("id")
    found = []
    for case in open_ones:
        own = [each for each in cash if each.promoter_id == case.promoter_id]
        stake = await at_stake({each.conversion_id for each in own}, own)
        about = case.key.split(":")[2]
        found.append(Suspicion(Rule.SHARED_PAYEE, case.promoter_id, stake, about))
    return found


def _list(ids: Iterable[int]) -> str:
    return ", ".join(map(str, ids))
