"""Owns the counters: what came of every link, hour by hour, kept by workers behind the facts.

Touches are counted in the order of their ids, once each; a conversion leaves a mark whenever
something about it changes, and what it counts for is then made anew. Either happens in one
transaction with the counters, so that whatever is killed when, they equal a recount.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from core import bulk, database, visibility
from referral.evidence import Touch, visits
from referral.models import (
    Attribution,
    Commission,
    Conversion,
    ConversionStatus,
    ConversionType,
    Counted,
    Outcome,
    Uncounted,
)
from referral.outcomes import EARNED, due

TOPIC = "counting"
BATCH = 1_000  # touches, or marks, in one transaction
CELLS_PER_STATEMENT = 500
MET = ("clicks", "visits", "bot_hits")
FIGURES = (*MET, *EARNED)
DECIDED = (ConversionStatus.CREDITED, ConversionStatus.NOT_CREDITED, ConversionStatus.REVERSED)

Cell = tuple[int, datetime, int, int]  # program, hour, promoter and link
Figures = dict[Cell, Counter[str]]

_KEY = ("program_id", "hour", "promoter_id", "link_id")
_NEXT = f"""
SELECT MAX(id) AS last FROM (
    SELECT id FROM touch WHERE id > $1 ORDER BY id LIMIT {BATCH}
) AS behind
"""
TOUCHES = """
SELECT touch.id, touch.link_id, link.program_id, link.owner_id AS promoter_id, touch.visitor,
    touch.touched_at, touch.bot_reason
FROM touch JOIN link ON link.id = touch.link_id WHERE {scope}
"""
_ADD = f"""
INSERT INTO hour_count ({", ".join((*_KEY, *FIGURES))}) VALUES {{rows}}
ON CONFLICT ({", ".join(_KEY)}) DO UPDATE SET
    {", ".join(f"{each} = hour_count.{each} + excluded.{each}" for each in FIGURES)}
"""


async def mark(conversions: Iterable[Conversion], commissions: Iterable[Commission]) -> None:
    """Has the conversions that were decided counted anew, the orders of refunds that were, and
    those whose commissions changed; belongs into the unit of work that changes them."""
    decided = [each for each in conversions if each.status in DECIDED]
    ids = {each.order_id if each.type is ConversionType.REFUND else each.id for each in decided}
    ids |= {each.conversion_id for each in commissions}
    ids.discard(None)  # of money paid before this platform knew of the order
    await bulk.insert(Uncounted, ("conversion_id",), [(each,) for each in ids])


async def is_due() -> bool:
    """Whether there is something that the counters do not know of."""
    if await Uncounted.exists():
        return True
    found = await database.rows("SELECT MAX(id) AS last FROM touch")
    return (found[0]["last"] or 0) > await counted_to()


async def work() -> bool:
    """Counts the next touches and conversions; False where there were none."""
    touches = await _count_touches()
    return await _count_conversions() or touches


@database.unit_of_work
async def restart() -> None:
    """Throws the counters away and has everything counted from the beginning, by the workers."""
    await database.lock(TOPIC)
    for table in ("hour_count", "outcome", "counted", "uncounted"):
        await database.execute(f"DELETE FROM {table}")
    await database.execute(
        "INSERT INTO uncounted (conversion_id) SELECT DISTINCT conversion_id FROM attribution"
        " WHERE level = 1"
    )


# ---- touches


@database.unit_of_work
async def _count_touches() -> bool:
    await database.lock(TOPIC)
    counted = await counted_to()
    [behind] = await database.rows(_NEXT, counted)
    last = behind["last"]
    if last is None or not await visibility.complete("touch"):
        return False
    await database.trust_indexes(sort=True)
    fresh = await read("touch.id > $1 AND touch.id <= $2", counted, last)
    earlier = await _of_visitors({each.visitor for each in fresh}, counted)
    await _add(added([*earlier, *fresh], counted))
    if not await Counted.all().update(touch_id=last):
        await Counted.create(touch_id=last)
    return True


async def counted_to() -> int:
    """The id of the last touch that is counted; 0 before the first."""
    row = await Counted.first()
    return row.touch_id if row else 0


async def read(scope: str, *values: object) -> list[Touch]:
    """The touches for which this SQL holds."""
    found = await database.rows(TOUCHES.format(scope=scope), *values)
    for row in found:
        row["touched_at"] = database.instant(row["touched_at"])
    return [Touch(**row) for row in found]


async def _of_visitors(visitors: Iterable[str], counted: int) -> list[Touch]:
    """What people among these visitors did that is counted already: a visit may have begun then, or
    begin earlier than it seemed, since touches may tell of the past."""
    named = sorted(visitors)
    places = ", ".join(f"${number}" for number in range(1, len(named) + 1))
    found = await read(f"touch.visitor IN ({places}) AND touch.bot_reason IS NULL", *named)
    return [each for each in found if each.id <= counted]


def added(touches: Sequence[Touch], counted: int) -> Figures:
    """What the touches behind the last counted one add, given all of the same visitors."""
    figures: Figures = defaultdict(Counter)
    for touch in touches:
        if touch.id > counted:
            figures[_cell(touch)]["bot_hits" if touch.bot_reason is not None else "clicks"] += 1
    people = [touch for touch in touches if touch.bot_reason is None]
    for touch in visits(people):
        figures[_cell(touch)]["visits"] += 1
    for touch in visits(touch for touch in people if touch.id <= counted):
        figures[_cell(touch)]["visits"] -= 1
    return figures


def _cell(touch: Touch) -> Cell:
    return touch.program_id, hour(touch.touched_at), touch.promoter_id, touch.link_id


def hour(at: datetime) -> datetime:
    """The beginning of the hour, in UTC."""
    return at.replace(minute=0, second=0, microsecond=0)


# ---- conversions


@database.unit_of_work
async def _count_conversions() -> bool:
    await database.lock(TOPIC)
    marks = await Uncounted.all().order_by("id").limit(BATCH)
    if not marks:
        return False
    ids = sorted({each.conversion_id for each in marks})
    now_due, before = await outcomes_of(ids), await Outcome.filter(conversion_id__in=ids)
    figures: Figures = defaultdict(Counter)
    for outcome in now_due:
        figures[cell_of(outcome)].update(earned(outcome))
    for outcome in before:
        figures[cell_of(outcome)].subtract(earned(outcome))
    await _add(figures)
    await Outcome.filter(id__in=[each.id for each in before]).delete()
    await Outcome.bulk_create(now_due)
    await Uncounted.filter(id__in=[each.id for each in marks]).delete()
    return True


async def outcomes_of(conversion_ids: Sequence[int]) -> list[Outcome]:
    """What these conversions count for whom, by what was decided about them."""
    brought = Attribution.filter(conversion_id__in=conversion_ids, level=1).order_by("id")
    paid = Commission.filter(conversion_id__in=conversion_ids, level=1)
    refunds = Conversion.filter(order_id__in=conversion_ids, status__in=DECIDED)
    refunded: Counter[int] = Counter()
    for order_id, amount_minor in await refunds.values_list("order_id", "amount_minor"):
        refunded[order_id] += amount_minor
    return due(await brought.select_related("conversion"), await paid, refunded)


def cell_of(outcome: Outcome) -> Cell:
    """Where it is counted."""
    return outcome.program_id, hour(outcome.at), outcome.promoter_id, outcome.link_id


def earned(outcome: Outcome) -> Mapping[str, int]:
    """What it counts."""
    return {each: getattr(outcome, each) for each in EARNED}


async def _add(figures: Figures) -> None:
    changed = [cell for cell in sorted(figures) if any(figures[cell].values())]
    width = len(_KEY) + len(FIGURES)
    for start in range(0, len(changed), CELLS_PER_STATEMENT):
        cells = changed[start : start + CELLS_PER_STATEMENT]
        places = (
            ", ".join(f"${at * width + number}" for number in range(1, width + 1))
            for at in range(len(cells))
        )
        values = [
            value for cell in cells for value in (*cell, *(figures[cell][each] for each in FIGURES))
        ]
        rows = ", ".join(f"({each})" for each in places)
        await database.rows(_ADD.format(rows=rows) + " RETURNING id", *values)
