"""Owns the proof that the counters are right: everything is counted again and compared."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator

from core import database
from referral import counting
from referral.counting import FIGURES, Cell, Figures
from referral.models import Attribution, HourCount, Outcome, Uncounted
from referral.outcomes import EARNED

PAGE = 5_000  # visitors, or conversions, at a time

_VISITORS = f"""
SELECT MAX(visitor) AS last FROM (
    SELECT visitor FROM touch WHERE visitor > $1 ORDER BY visitor LIMIT {PAGE}
) AS behind
"""


async def problems() -> AsyncIterator[str]:
    """What the counters and outcomes have that the facts do not give, as far as they are counted;
    to be asked within a snapshot."""
    await database.trust_indexes(sort=True)
    figures = await _touched()
    async for outcome in _outcomes():
        figures[counting.cell_of(outcome)].update(counting.earned(outcome))
    booked: Figures = defaultdict(Counter)
    for row in await HourCount.all().order_by("id").values():
        cell = row["program_id"], row["hour"], row["promoter_id"], row["link_id"]
        booked[cell] = Counter({each: row[each] for each in FIGURES})
    for cell in sorted({*figures, *booked}):
        if sentence := _difference(cell, figures[cell], booked[cell]):
            yield sentence
    async for sentence in _wrong_outcomes():
        yield sentence


async def _touched() -> Figures:
    """What all counted touches add, made of whole visitors, since visits depend on each other."""
    figures: Figures = defaultdict(Counter)
    counted, behind = await counting.counted_to(), ""
    while True:
        [page] = await database.rows(_VISITORS, behind)
        if page["last"] is None:
            return figures
        scope = "touch.visitor > $1 AND touch.visitor <= $2"
        found = await counting.read(scope, behind, page["last"])
        for cell, numbers in counting.added([t for t in found if t.id <= counted], 0).items():
            figures[cell].update(numbers)
        behind = page["last"]


async def _outcomes() -> AsyncIterator[Outcome]:
    behind = 0
    while found := await Outcome.filter(id__gt=behind).order_by("id").limit(PAGE):
        for each in found:
            yield each
        behind = found[-1].id


def _difference(cell: Cell, due: Counter[str], booked: Counter[str]) -> str | None:
    wrong = [
        f"{booked[each]} {each}, {due[each]} due" for each in FIGURES if booked[each] != due[each]
    ]
    if not wrong:
        return None
    program_id, at, promoter_id, link_id = cell
    whose = f"program {program_id}, promoter {promoter_id}, link {link_id or 'none'}"
    return f"{whose}, the hour from {at:%Y-%m-%d %H:%M}: {'; '.join(wrong)}"


async def _wrong_outcomes() -> AsyncIterator[str]:
    """Conversions that count otherwise than was decided, but for those that are marked."""
    marked = {*await Uncounted.all().values_list("conversion_id", flat=True)}
    behind = 0
    while True:
        rows = Attribution.filter(conversion_id__gt=behind, level=1).order_by("conversion_id")
        found = await rows.limit(PAGE).values("conversion_id")
        ids = [*dict.fromkeys(row["conversion_id"] for row in found)]
        if not ids:
            return
        due = {_part(each): counting.earned(each) for each in await counting.outcomes_of(ids)}
        counted = await Outcome.filter(conversion_id__in=ids)
        booked = {_part(each): counting.earned(each) for each in counted}
        nothing = dict.fromkeys(EARNED, 0)
        for part in sorted({*due, *booked}):
            if part[0] not in marked and due.get(part, nothing) != booked.get(part, nothing):
                yield f"conversion {part[0]}: does not count as decided for promoter {part[2]}"
        behind = ids[-1]


def _part(outcome: Outcome) -> tuple[int, int, int, int]:
    return outcome.conversion_id, outcome.program_id, outcome.promoter_id, outcome.link_id
