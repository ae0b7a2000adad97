"""Owns the rules of the tiers as a whole: checking, publishing and previewing a set of them."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from tortoise.expressions import Q

from core import changes, database, jobs
from core.errors import Invalid, text
from core.jobs import Job
from members import reevaluating, rules, tiers
from members.errors import StaleRules, TiersDiffer, TierStillNamed
from members.models import DowngradePolicy, Standing, Tier, TierRules
from members.rules import Rule
from members.tiers import Ladder, Rung

MOST_TIERS = 20
MOST_TERMS = 40  # of all tiers together: both databases take some 100 arguments to a function
CODE_CHARACTERS = 40
NAME_CHARACTERS = 100
BENEFIT_CHARACTERS = 200
MOST_BENEFITS = 50
HIGHEST_RANK = 1_000_000
LONGEST_DAYS = 36_500
SAMPLE = 5


@dataclass(frozen=True, slots=True)
class TierRule:
    """A tier as an operator writes it down; `rule` as JSON in the shape of the API's RuleInput."""

    code: str
    name: str
    rank: int
    rule: Any
    requires_approval: bool = False
    validity_days: int | None = None
    grace_days: int = 0
    downgrade: DowngradePolicy = DowngradePolicy.NEVER
    benefits: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Published:
    """A new version of the rules, and the job that moves everybody to where it puts them."""

    version: int
    job: Job


@dataclass(slots=True)
class Move:
    """How many members would go from one tier to another; None for no tier."""

    source: int | None
    target: int | None
    members: int = 0
    sample: list[int] = field(default_factory=list)  # ids of at most 5 of them


@dataclass(frozen=True, slots=True)
class Preview:
    """What rules would do. The tiers of `moves` are ids, those of new tiers as in `drafts`."""

    evaluated: int
    unchanged: int
    moves: Sequence[Move]
    drafts: Mapping[int, TierRule]


def check(drafts: Sequence[TierRule]) -> Sequence[tuple[TierRule, Rule]]:
    """The tiers with their rules parsed; raises `Mistake` with the path of what is wrong."""
    if len(drafts) > MOST_TIERS:
        raise Invalid(f"At most {MOST_TIERS} tiers are kept.", "rules")
    checked = [(_check(draft, str(place)), draft) for place, draft in enumerate(drafts)]
    _check_unique([draft.code for (draft, _), _ in checked], "code")
    _check_unique([draft.rank for draft in drafts], "rank")
    terms = {term for (_, rule), _ in checked for term in rules.terms(rule)}
    if len(terms) > MOST_TERMS:
        raise Invalid(
            f"These rules measure {len(terms)} different things; at most {MOST_TERMS} are kept.",
            "rules",
        )
    return [each for each, _ in checked]


def _check(draft: TierRule, place: str) -> tuple[TierRule, Rule]:
    path = ("rules", place)
    _check_range(draft.rank, 0, HIGHEST_RANK, *path, "rank")
    _check_range(draft.grace_days, 0, LONGEST_DAYS, *path, "graceDays")
    if draft.validity_days is not None:
        _check_range(draft.validity_days, 1, LONGEST_DAYS, *path, "validityDays")
    elif draft.downgrade is DowngradePolicy.AT_EXPIRY:
        raise Invalid("AT_EXPIRY needs `validityDays`.", *path, "validityDays")
    if len(draft.benefits) > MOST_BENEFITS:
        raise Invalid(f"At most {MOST_BENEFITS} benefits are kept.", *path, "benefits")
    rule = rules.parse(draft.rule, *path, "rule")
    benefits = [
        text(each, *path, "benefits", str(index), most=BENEFIT_CHARACTERS)
        for index, each in enumerate(draft.benefits)
    ]
    clean = TierRule(
        code=text(draft.code, *path, "code", most=CODE_CHARACTERS),
        name=text(draft.name, *path, "name", most=NAME_CHARACTERS),
        rank=draft.rank,
        rule=rules.stored(rule),
        requires_approval=draft.requires_approval,
        validity_days=draft.validity_days,
        grace_days=draft.grace_days,
        downgrade=draft.downgrade,
        benefits=benefits,
    )
    return clean, rule


def _check_range(value: int, least: int, most: int, *path: str) -> None:
    if not least <= value <= most:
        raise Invalid(f"This lies from {least} to {most}.", *path)


def _check_unique(values: Sequence[Any], name: str) -> None:
    for place, value in enumerate(values):
        if value in values[:place]:
            raise Invalid(f"Two tiers have the {name} {value}.", "rules", str(place), name)


@database.unit_of_work
async def publish(
    drafts: Sequence[TierRule],
    *,
    time_zone: str,
    now: datetime,
    actor_id: int | None = None,
    expected_version: int | None = None,
    named: Collection[int] = (),
) -> Published:
    """Makes the tiers a new version of the rules, and queues the job that re-evaluates everybody.

    `time_zone` says whose calendar years are meant. `named` are tiers that contents name: leaving
    out one of those, or one that is granted to somebody, raises `TierStillNamed`. Raises
    `StaleRules` when the newest version is not the expected one, and what `check` does.
    """
    checked = check(drafts)
    await database.lock("tiers")
    version = await current_version()
    if expected_version is not None and expected_version != version:
        raise StaleRules(version)
    await _check_left_out({draft.code for draft, _ in checked}, named, now)
    await _write([draft for draft, _ in checked])
    changes.note()
    await TierRules.create(
        version=version + 1,
        rules=[_stored(draft) for draft, _ in checked],
        time_zone=time_zone,
        published_at=now,
        published_by_id=actor_id,
    )
    total = await Standing.all().count()
    job = await jobs.start(reevaluating.TOPIC, now, subject_id=version + 1, total=total)
    return Published(version + 1, job)


def _stored(draft: TierRule) -> dict[str, Any]:
    return {
        "code": draft.code,
        "name": draft.name,
        "rank": draft.rank,
        "rule": draft.rule,
        "requires_approval": draft.requires_approval,
        "validity_days": draft.validity_days,
        "grace_days": draft.grace_days,
        "downgrade": draft.downgrade.value,
        "benefits": list(draft.benefits),
    }


async def current_version() -> int:
    """The number of the newest rules; 0 before there are any."""
    newest = await TierRules.all().order_by("-version").first()
    return newest.version if newest else 0


async def _check_left_out(codes: Collection[str], named: Collection[int], now: datetime) -> None:
    left_out = await Tier.filter(rank__gte=tiers.LEFT_OUT).exclude(code__in=list(codes) or [""])
    for tier in left_out:
        granted = Standing.filter(
            Q(floor_until__isnull=True) | Q(floor_until__gt=now), floor_tier_id=tier.id
        )
        if tier.id in named or await granted.exists():
            raise TierStillNamed(tier.code)


async def _write(drafts: Sequence[TierRule]) -> None:
    """Has the tiers say what the drafts do; the others keep their rows, out of the way."""
    if database.is_postgres():
        # Whoever moves members looks their tiers up, in any order: they wait for all or for none.
        await database.execute("LOCK TABLE tier IN EXCLUSIVE MODE")
    existing = {tier.code: tier for tier in await Tier.all()}
    for tier in existing.values():
        tier.rank = -tier.id  # ranks are unique and may be swapped
        await tier.save(update_fields=["rank"])
    for draft in drafts:
        tier = existing.get(draft.code) or Tier(code=draft.code)
        tier.update_from_dict({**_stored(draft), "downgrade": draft.downgrade})
        await tier.save()


@database.unit_of_work
async def set_up(drafts: Sequence[TierRule], *, time_zone: str, now: datetime) -> None:
    """Publishes the first rules of an installation; the same ones again change nothing.

    Raises `TiersDiffer` when there are others: members may stand in them.
    """
    await database.lock("tiers")  # who comes second finds the first's
    newest = await TierRules.all().order_by("-version").first()
    if newest is None:
        await publish(drafts, time_zone=time_zone, now=now)
    elif newest.rules != [_stored(draft) for draft, _ in check(drafts)]:
        raise TiersDiffer


@database.snapshot
async def preview(drafts: Sequence[TierRule], *, time_zone: str, now: datetime) -> Preview:
    """Who would move from where to where under these rules; writes nothing.

    Everybody is sorted into classes by what decides, in one statement, and each class is decided
    once: the cost is that of grouping the members by their metrics.
    """
    checked = check(drafts)
    ladder, new = await _draft_ladder(checked, ZoneInfo(time_zone))
    classes = reevaluating.Classes(ladder, now)
    moves: dict[tuple[int | None, int | None], Move] = defaultdict()
    evaluated = unchanged = 0
    for row in await database.rows(classes.counted(SAMPLE), *classes.counted_values):
        evaluated += row["members"]
        before, after = classes.decided(row)
        if before.tier == after.tier:
            unchanged += row["members"]
            continue
        key = before.tier, after.tier
        move = moves.setdefault(key, Move(*key))
        move.members += row["members"]
        if len(move.sample) < SAMPLE:
            move.sample.append(row["first_id"])
    return Preview(evaluated, unchanged, sorted(moves.values(), key=_most_first), new)


def _most_first(move: Move) -> tuple[int, int, int]:
    return -move.members, move.source or 0, move.target or 0


async def _draft_ladder(
    checked: Sequence[tuple[TierRule, Rule]], zone: ZoneInfo
) -> tuple[Ladder, Mapping[int, TierRule]]:
    """The drafts as a ladder: tiers that exist by their ids, new ones as -1, -2 …"""
    ids = dict(await Tier.all().values_list("code", "id"))
    new: dict[int, TierRule] = {}
    rungs = []
    for place, (draft, rule) in enumerate(checked, start=1):
        tier_id = ids.get(draft.code, -place)
        if tier_id < 0:
            new[tier_id] = draft
        rungs.append(
            Rung(
                id=tier_id,
                code=draft.code,
                rank=draft.rank,
                rule=rule,
                requires_approval=draft.requires_approval,
                validity_days=draft.validity_days,
                grace_days=draft.grace_days,
                downgrade=draft.downgrade,
            )
        )
    rungs.sort(key=lambda rung: rung.rank)
    return Ladder(0, zone, rungs), new
