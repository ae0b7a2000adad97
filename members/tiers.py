"""Owns the tiers: which one somebody is in, from what they have reached and what was granted.

The decision is pure; `members.standings` and `members.publishing` write it.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from core import database
from members import rules
from members.models import DowngradePolicy, Tier, TierChangeReason
from members.rules import Rule, Term

LEFT_OUT = 0  # ranks below this are of tiers that the rules no longer have


@dataclass(frozen=True, slots=True)
class Rung:
    """A tier as the decision sees it. `id` is the tier's, or a negative one in a draft."""

    id: int
    code: str
    rank: int
    rule: Rule
    requires_approval: bool = False
    validity_days: int | None = None
    grace_days: int = 0
    downgrade: DowngradePolicy = DowngradePolicy.NEVER

    def expiry(self, now: datetime) -> datetime | None:
        """Until when somebody keeps it whose rule holds now; None where nothing runs out."""
        if self.downgrade is not DowngradePolicy.AT_EXPIRY or self.validity_days is None:
            return None
        return now + timedelta(days=self.validity_days + self.grace_days)


@dataclass(frozen=True)
class Ladder:
    """The tiers of one version of the rules, lowest first; `zone` says whose years are meant."""

    version: int
    zone: ZoneInfo
    rungs: Sequence[Rung]

    @cached_property
    def by_id(self) -> Mapping[int | None, Rung]:
        return {rung.id: rung for rung in self.rungs}

    @cached_property
    def terms(self) -> Sequence[Term]:
        """Everything that its rules measure, each once."""
        found = (term for rung in self.rungs for term in rules.terms(rung.rule))
        return [*dict.fromkeys(found)]

    @cached_property
    def with_approval(self) -> Sequence[Rung]:
        return [rung for rung in self.rungs if rung.requires_approval]

    def holding(self, measured: Mapping[Term, int]) -> frozenset[int]:
        """The tiers whose rules hold."""
        return frozenset(rung.id for rung in self.rungs if rules.holds(rung.rule, measured))

    def higher(self, one: int | None, other: int | None) -> int | None:
        """The one of higher rank; tiers that the rules have left out are none."""
        rungs = [self.by_id[each] for each in (one, other) if each in self.by_id]
        best = max(rungs, key=lambda rung: rung.rank, default=None)
        return best and best.id


@dataclass(frozen=True, slots=True)
class State:
    """In which tier somebody is and why: by ids, None for none.

    `earned` is by the rules, until `expires_at` where its policy is AT_EXPIRY; `floor` was granted,
    until `floor_until` or for good. `approved` are the tiers with an approval that has not lapsed.
    """

    tier: int | None = None
    earned: int | None = None
    expires_at: datetime | None = None
    floor: int | None = None
    floor_until: datetime | None = None
    approved: frozenset[int] = frozenset()


def decide(ladder: Ladder, state: State, holding: Collection[int], now: datetime) -> State:
    """Where somebody stands at `now`, when the rules of these tiers hold.

    Straight to the highest tier, however many lie between. Below the earned one, that tier's own
    policy says whether it is kept; one that the rules have left out is kept by nobody. A grant is
    a floor until its end. A tier that requires approval is entered with one alone, and an approval
    lapses when its rule no longer holds for somebody who is not kept in the tier.
    """
    earned = _earned(ladder, state, holding, now)
    expires_at = _expiry(earned, state, holding, now)
    floor, floor_until = _floor(state, now)
    return State(
        tier=ladder.higher(earned and earned.id, floor),
        earned=earned and earned.id,
        expires_at=expires_at,
        floor=floor,
        floor_until=floor_until,
        approved=frozenset(
            each for each in state.approved if each in holding or (earned and each == earned.id)
        ),
    )


def _earned(ladder: Ladder, state: State, holding: Collection[int], now: datetime) -> Rung | None:
    open_to_it = {*state.approved, state.earned}
    entered = [
        rung
        for rung in ladder.rungs
        if rung.id in holding and (not rung.requires_approval or rung.id in open_to_it)
    ]
    best = max(entered, key=lambda rung: rung.rank, default=None)
    current = ladder.by_id.get(state.earned)
    if current is None or (best is not None and best.rank >= current.rank):
        return best
    return current if _keeps(current, state, now) else best


def _keeps(current: Rung, state: State, now: datetime) -> bool:
    """Whether somebody whose rule no longer holds stays for the time being."""
    if current.downgrade is DowngradePolicy.AT_EXPIRY:
        return state.expires_at is None or now < state.expires_at
    return current.downgrade is DowngradePolicy.NEVER


def _expiry(
    earned: Rung | None, state: State, holding: Collection[int], now: datetime
) -> datetime | None:
    """Counted from the latest decision in which the rule held."""
    if earned is None or earned.downgrade is not DowngradePolicy.AT_EXPIRY:
        return None
    kept = earned.id == state.earned and earned.id not in holding
    return state.expires_at or earned.expiry(now) if kept else earned.expiry(now)


def _floor(state: State, now: datetime) -> tuple[int | None, datetime | None]:
    ended = state.floor_until is not None and state.floor_until <= now
    return (None, None) if ended else (state.floor, state.floor_until)


def until(state: State) -> datetime | None:
    """When the tier would end if nothing else happened; None for never, or for no tier."""
    if state.tier is None:
        return None
    ends = []
    if state.tier == state.earned:
        ends.append(state.expires_at)
    if state.tier == state.floor:
        ends.append(state.floor_until)
    return None if None in ends else max(filter(None, ends))


def reason(
    ladder: Ladder, before: State, after: State, cause: TierChangeReason
) -> TierChangeReason:
    """Why somebody moved. `cause` is what led to the decision: QUALIFIED for a fact, REFUNDED for
    one that took something back, EXPIRED for the time alone, else what staff did. Whoever was in a
    tier that the rules have left out moved for that."""
    if before.tier is not None and before.tier not in ladder.by_id:
        return TierChangeReason.RULES_CHANGED
    if cause not in {
        TierChangeReason.QUALIFIED,
        TierChangeReason.REFUNDED,
        TierChangeReason.EXPIRED,
    }:
        return cause
    rose = ladder.higher(before.tier, after.tier) == after.tier and after.tier is not None
    if rose:
        return TierChangeReason.QUALIFIED
    return TierChangeReason.EXPIRED if cause is TierChangeReason.QUALIFIED else cause


async def ladder() -> Sequence[Tier]:
    """The tiers of the current rules, lowest first."""
    return await Tier.filter(rank__gte=LEFT_OUT).order_by("rank")


async def current() -> Ladder:
    """The current rules, in one statement. The newest ones read are kept in `database.kept`."""
    found = await _read()
    database.kept["ladder"] = found
    return found


CURRENT = """
SELECT version, time_zone, tier.id, code, rank, rule, requires_approval, validity_days, grace_days,
    downgrade
FROM tier_rules LEFT JOIN tier ON tier.rank >= 0
WHERE version = (SELECT MAX(version) FROM tier_rules) ORDER BY rank
"""
EMPTY = Ladder(0, ZoneInfo("UTC"), ())


async def _read() -> Ladder:
    found = await database.rows(CURRENT)
    if not found:
        return EMPTY
    rungs = [_rung(row) for row in found if row["id"] is not None]
    return Ladder(found[0]["version"], ZoneInfo(found[0]["time_zone"]), rungs)


def _rung(row: Mapping[str, Any]) -> Rung:
    return Rung(
        id=row["id"],
        code=row["code"],
        rank=row["rank"],
        rule=rules.parse(json.loads(row["rule"])),
        requires_approval=bool(row["requires_approval"]),
        validity_days=row["validity_days"],
        grace_days=row["grace_days"],
        downgrade=DowngradePolicy(row["downgrade"]),
    )
