"""Owns the look at what was credited, soon after it: what the rules of risk find becomes a case.

Nothing is written with the credit. Attributions and verdicts are looked at in the order of their
ids, once each, in one transaction with what follows from it; a commission is released only when
its attribution has been looked at (see `releasing`), so that nothing is paid out before.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from core import database, visibility
from core.webhooks import instant
from members.models import Asset
from referral import moving, risk, risk_rules
from referral.models import Commission, ConversionType, Looked, Verdict
from referral.risk import Suspicion
from referral.risk_rules import FORMS, REFUSED, VELOCITY, Limits, Moment, Seen

TOPIC = "risk"
BATCH = 1_000  # attributions, and verdicts, in one transaction

_LAST = """
SELECT (SELECT MAX(id) FROM attribution) AS attribution_id,
    (SELECT MAX(id) FROM touch_verdict) AS verdict_id
"""
_NEXT = f"""
SELECT (SELECT MAX(id) FROM (
    SELECT id FROM attribution WHERE id > $1 ORDER BY id LIMIT {BATCH}
) AS attributions) AS attribution_id, (SELECT MAX(id) FROM (
    SELECT id FROM touch_verdict WHERE id > $2 ORDER BY id LIMIT {BATCH}
) AS verdicts) AS verdict_id
"""
_BROUGHT = """
SELECT attribution.promoter_id, attribution.level, conversion.id, conversion.type,
    conversion.occurred_at
FROM attribution JOIN conversion ON conversion.id = attribution.conversion_id
WHERE {scope}
"""
_FRESH = _BROUGHT.format(scope="attribution.id > $1 AND attribution.id <= $2")
# What happened about the same time, and was brought by the same promoters.
_AROUND = _BROUGHT.format(
    scope="attribution.id <= $1 AND attribution.level = 1 AND conversion.type = $2"
    " AND conversion.occurred_at >= $3 AND conversion.occurred_at <= $4"
    " AND attribution.promoter_id IN ({promoters})"
)
_REFUSED = f"""
SELECT verdict.promoter_id, verdict.verdict, verdict.detail, verdict.conversion_id,
    conversion.member_id, touch.touched_at
FROM touch_verdict AS verdict JOIN conversion ON conversion.id = verdict.conversion_id
LEFT JOIN touch ON touch.id = verdict.touch_id
WHERE verdict.id > $1 AND verdict.id <= $2
    AND verdict.verdict IN ({", ".join(f"'{each}'" for each in REFUSED)})
ORDER BY verdict.id
"""

_limits = Limits()


def limit(limits: Limits) -> None:
    """From now on, velocity is looked at in this process by these."""
    global _limits  # noqa: PLW0603 - the one wire between the settings and the workers
    _limits = limits


async def is_due() -> bool:
    """Whether something was decided that was not looked at."""
    looked = await _looked()
    [last] = await database.rows(_LAST)
    behind = (last["attribution_id"] or 0) > looked.attribution_id
    return behind or (last["verdict_id"] or 0) > looked.verdict_id


async def _looked() -> Looked:
    return await Looked.first() or Looked(attribution_id=0, verdict_id=0)


async def work(now: datetime) -> bool:
    """Looks at what was decided since; False where that was nothing."""
    return await look(_limits, now)


@database.unit_of_work
async def look(limits: Limits, now: datetime) -> bool:
    """The same by these limits, up to 1,000 attributions and verdicts."""
    await database.lock(risk.LOCK)
    looked = await _looked()
    [behind] = await database.rows(_NEXT, looked.attribution_id, looked.verdict_id)
    if behind["attribution_id"] is None and behind["verdict_id"] is None:
        return False
    if not await visibility.complete("attribution", "touch_verdict"):
        return False
    await database.trust_indexes(sort=True)
    since = looked.attribution_id, looked.verdict_id
    looked.attribution_id = behind["attribution_id"] or looked.attribution_id
    looked.verdict_id = behind["verdict_id"] or looked.verdict_id
    found: list[Suspicion] = []
    if behind["attribution_id"] is not None:
        found += await _of_attributions(since[0], looked.attribution_id, limits)
    if behind["verdict_id"] is not None:
        found += await _of_verdicts(since[1], looked.verdict_id)
    await risk.report(found, now)
    await looked.save()
    return True


# ---- what was credited


async def _of_attributions(after: int, last: int, limits: Limits) -> Sequence[Suspicion]:
    fresh = await database.rows(_FRESH, after, last)
    found = [each for kind in VELOCITY for each in await _too_fast(kind, fresh, last, limits)]
    return [*found, *await _to_shared_payees(fresh)]


async def _too_fast(
    kind: ConversionType, fresh: Sequence[Mapping[str, Any]], last: int, limits: Limits
) -> Sequence[Suspicion]:
    """The promoters who brought more of a kind within a window than the limit."""
    own = [row for row in fresh if row["type"] == kind and row["level"] == 1]
    if not own or not limits.of(kind):
        return []
    times = [moment.at for moment in map(_moment, own)]
    promoters = ", ".join(str(each) for each in sorted({row["promoter_id"] for row in own}))
    # Something told late may make what came behind it one too many.
    since, until = min(times) - limits.window, max(times) + limits.window
    sql = _AROUND.format(promoters=promoters)
    brought: dict[int, set[Moment]] = defaultdict(set)
    for row in await database.rows(sql, last, kind, since, until):
        brought[row["promoter_id"]].add(_moment(row))
    found = []
    for promoter_id, moments in sorted(brought.items()):
        fast = risk_rules.too_fast(moments, limits.of(kind), limits.window)
        # What lies before the first fresh one was looked at with all that it depends on.
        ids = [each.conversion_id for each in fast if each.at >= min(times)]
        if ids:
            found.append(await _velocity(kind, promoter_id, ids, limits))
    return found


async def _velocity(
    kind: ConversionType, promoter_id: int, conversion_ids: Sequence[int], limits: Limits
) -> Suspicion:
    """All that the conversions earn is at stake, whoever earns it."""
    commissions: list[Commission] = []
    for some in moving.portions(conversion_ids):
        commissions += await Commission.filter(conversion_id__in=some).order_by("id")
    return Suspicion(
        VELOCITY[kind],
        promoter_id,
        await risk.at_stake(conversion_ids, commissions),
        facts={
            "limit": limits.of(kind),
            "windowMinutes": int(limits.window.total_seconds() // 60),
        },
    )


async def _to_shared_payees(fresh: Sequence[Mapping[str, Any]]) -> Sequence[Suspicion]:
    ids = sorted({row["id"] for row in fresh})
    commissions = await Commission.filter(conversion_id__in=ids, asset=Asset.CASH).order_by("id")
    return await risk.of_open_payees(commissions)


def _moment(row: Mapping[str, Any]) -> Moment:
    at = database.instant(row["occurred_at"])
    if at is None:
        raise LookupError(f"conversion {row['id']} has no time")
    return Moment(at, row["id"])


# ---- what was refused


async def _of_verdicts(after: int, last: int) -> Sequence[Suspicion]:
    """Who was not credited for being the customer, or because the customer had brought them; a case
    for each customer, since staff need to know each pair once."""
    pairs: dict[tuple[str, int, int], dict[int, Mapping[str, Any]]] = defaultdict(dict)
    for row in await database.rows(_REFUSED, after, last):
        pair = row["verdict"], row["promoter_id"], row["member_id"] or 0
        pairs[pair].setdefault(row["conversion_id"], row)
    return [
        Suspicion(
            REFUSED[Verdict(verdict)],
            promoter_id,
            await _shown(rows),
            about=str(customer_id),
            settles=True,
        )
        for (verdict, promoter_id, customer_id), rows in sorted(pairs.items())
    ]


async def _shown(rows: Mapping[int, Mapping[str, Any]]) -> Sequence[Seen]:
    found = []
    for each in await risk.at_stake([*rows]):
        row = rows[each.conversion_id]
        touched_at = database.instant(row["touched_at"])
        why = {
            "form": FORMS.get(row["detail"], row["verdict"]),
            "detail": row["detail"],
            "touchedAt": touched_at and instant(touched_at),
        }
        found.append(Seen(each.at, each.conversion_id, shown={**each.shown, **why}))
    return found
