"""Owns the programs: the terms under which links earn, and their rewards in versions."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from core import audit, database
from core.errors import Invalid, Required, storable, text
from members.models import Asset, Role
from referral.errors import ProgramNotFound, TooMany
from referral.models import (
    AttributionModel,
    BindingMode,
    ConversionType,
    Program,
    RewardRule,
    RuleVersion,
)

CODE_CHARACTERS = 40
NAME_CHARACTERS = 100
LONGEST_DAYS = 3_650
MOST_RULES = 50
LARGEST_AMOUNT = 10**12
WHOLE_BPS = 10_000
UNPAID = (ConversionType.REGISTRATION, ConversionType.PROMOTION)  # nothing is paid by these


@dataclass(frozen=True, slots=True)
class Reward:
    """What is paid for a kind of conversion, as an operator writes it down: a rate in hundredths
    of a percent of what was paid, or a fixed amount."""

    on: ConversionType
    asset: Asset
    rate_bps: int | None = None
    amount: int | None = None  # minor units or points
    level: int = 1
    role: Role | None = None
    cap_per_conversion: int | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """A program as an operator writes it down."""

    code: str
    name: str
    open_to: Sequence[Role]
    model: AttributionModel = AttributionModel.LAST_TOUCH
    window_days: int = 30
    binding: BindingMode = BindingMode.NONE
    binding_days: int | None = None
    new_customers_only: bool = False
    exclusive_group: str | None = "default"
    auto_enroll: bool = False
    hold_days: int = 7
    min_payout_minor: int = 0
    starts_at: datetime | None = None
    ends_at: datetime | None = None


async def save(
    terms: Terms,
    rewards: Sequence[Reward] | None,
    *,
    currency: str,
    now: datetime,
    actor_id: int | None = None,
) -> Program:
    """Makes the program of this code, or changes its terms; later decisions go by them.

    `rewards` that differ from the newest version become another one, from now on; the first hold
    from the beginning of time. Without them they stay as they are. Raises `Mistake`s with the path
    of what is wrong, and nothing is written then. A second call changes nothing.
    """
    terms = _checked(terms)
    if rewards is not None:
        check(rewards)
    return await _save(terms, rewards, currency, now, actor_id)


@database.unit_of_work
async def _save(
    terms: Terms,
    rewards: Sequence[Reward] | None,
    currency: str,
    now: datetime,
    actor_id: int | None,
) -> Program:
    await database.lock(f"program:{terms.code}")
    values: dict[str, Any] = asdict(terms) | {"open_to": ",".join(terms.open_to)}
    program = await Program.get_or_none(code=terms.code)
    if program is None:
        program = await Program.create(**values, currency=currency, created_at=now)
    else:
        await program.update_from_dict(values).save()
    newest = await RuleVersion.filter(program=program).order_by("-version").first()
    if newest is None:
        await _write(program, 1, rewards or [], holds_from=None, now=now, actor_id=actor_id)
    elif rewards is not None and [*rewards] != await _read(newest):
        await _write(
            program, newest.version + 1, rewards, holds_from=now, now=now, actor_id=actor_id
        )
    said = {name: str(value) for name, value in values.items() if value is not None}
    await audit.note(
        "programSave", "Program", [program.id], actor_id=actor_id, now=now, detail=said
    )
    return program


async def publish(
    code: str,
    rewards: Sequence[Reward],
    *,
    holds_from: datetime | None,
    now: datetime,
    actor_id: int | None = None,
) -> Program:
    """Makes these the rewards of the program from an instant on, now or later: a new version, and
    nothing else changes. Raises `ProgramNotFound` and what `save` does."""
    check(rewards)
    if holds_from is not None and holds_from < now:
        raise Invalid("Rewards hold from now or later: what was earned stays.", "from")
    return await _publish(code, rewards, holds_from or now, now, actor_id)


@database.unit_of_work
async def _publish(
    code: str, rewards: Sequence[Reward], holds_from: datetime, now: datetime, actor_id: int | None
) -> Program:
    await database.lock(f"program:{code}")
    program = await by_code(code)
    newest = await RuleVersion.filter(program=program).order_by("-version").first()
    version = 1 if newest is None else newest.version + 1
    await _write(program, version, rewards, holds_from=holds_from, now=now, actor_id=actor_id)
    await audit.note(
        "programRulesPublish",
        "Program",
        [program.id],
        actor_id=actor_id,
        now=now,
        detail={"version": version, "from": holds_from.isoformat()},
    )
    return program


async def _write(
    program: Program,
    version: int,
    rewards: Sequence[Reward],
    *,
    holds_from: datetime | None,
    now: datetime,
    actor_id: int | None,
) -> None:
    await RuleVersion.create(
        program=program,
        version=version,
        holds_from=holds_from,
        published_at=now,
        published_by_id=actor_id,
    )
    await RewardRule.bulk_create(
        RewardRule(program_id=program.id, version=version, **asdict(each)) for each in rewards
    )


async def _read(version: RuleVersion) -> Sequence[Reward]:
    rules = RewardRule.filter(program_id=version.program_id, version=version.version)
    names = [each.name for each in fields(Reward)]
    return [Reward(*each) for each in await rules.order_by("id").values_list(*names)]


async def set_up(
    code: str,
    name: str,
    *,
    window_days: int,
    rate_bps: int,
    currency: str,
    now: datetime,
    parent_rate_bps: int | None = None,
) -> Program:
    """The program of this code; where it is missing, one for employees and loyal customers that
    pays cash of every order, and with `parent_rate_bps` to their parents too."""
    program = await Program.get_or_none(code=code)
    if program is not None:
        return program
    terms = Terms(code, name, (Role.EMPLOYEE, Role.KOC), window_days=window_days)
    rewards = [Reward(ConversionType.ORDER, Asset.CASH, rate_bps)]
    if parent_rate_bps is not None:
        rewards.append(Reward(ConversionType.ORDER, Asset.CASH, parent_rate_bps, level=2))
    return await save(terms, rewards, currency=currency, now=now)


async def by_code(code: str) -> Program:
    """The program of this code; raises `ProgramNotFound`."""
    known = storable(code, CODE_CHARACTERS)
    program = await Program.get_or_none(code=code) if known else None
    if program is None:
        raise ProgramNotFound(code)
    return program


def open_to(program: Program) -> frozenset[Role]:
    """The roles whose members may enrol."""
    return frozenset(Role(each) for each in program.open_to.split(",") if each)


async def rules_at(program_id: int, at: datetime) -> Sequence[RewardRule]:
    """The rules in force at an instant."""
    versions = RuleVersion.filter(program_id=program_id).order_by("-version")
    for version in await versions:
        if version.holds_from is None or version.holds_from <= at:
            rules = RewardRule.filter(program_id=program_id, version=version.version)
            return await rules.order_by("id")
    return []


def _checked(terms: Terms) -> Terms:
    """The terms with clean texts."""
    _range(terms.window_days, 1, LONGEST_DAYS, "windowDays")
    if terms.binding_days is not None:
        _range(terms.binding_days, 1, LONGEST_DAYS, "bindingDays")
    _range(terms.hold_days, 0, LONGEST_DAYS, "holdDays")
    _range(terms.min_payout_minor, 0, LARGEST_AMOUNT, "minPayoutMinor")
    if not terms.open_to:
        raise Required("Name the roles that may enrol; MEMBER is everybody.", "openTo")
    if Role.SERVICE in terms.open_to:
        raise Invalid("A service is no promoter.", "openTo")
    if terms.starts_at and terms.ends_at and terms.ends_at <= terms.starts_at:
        raise Invalid("A program ends after it has begun.", "endsAt")
    group = terms.exclusive_group
    return Terms(
        **asdict(terms)
        | {
            "code": text(terms.code, "code", most=CODE_CHARACTERS),
            "name": text(terms.name, "name", most=NAME_CHARACTERS),
            "open_to": tuple(sorted(set(terms.open_to))),
            "exclusive_group": None
            if group is None
            else text(group, "exclusiveGroup", most=CODE_CHARACTERS),
        }
    )


def check(rewards: Sequence[Reward]) -> None:
    """Raises `Mistake` with the path of the first reward that makes no sense."""
    if len(rewards) > MOST_RULES:
        raise TooMany(MOST_RULES, "rules")
    for place, reward in enumerate(rewards):
        for message, name in _wrong(reward):
            raise Invalid(message, "rules", str(place), name)
        said = (reward.on, reward.asset, reward.level, reward.role)
        if any(
            said == (other.on, other.asset, other.level, other.role) for other in rewards[:place]
        ):
            raise Invalid("Another rule is for the same.", "rules", str(place), "on")


def _wrong(reward: Reward) -> Iterator[tuple[str, str]]:
    if reward.on is ConversionType.REFUND:
        yield "A refund earns nothing.", "on"
    if (reward.rate_bps is None) == (reward.amount is None):
        yield "Give `rateBps` or `amount`, one of the two.", "rateBps"
    if reward.rate_bps is not None and not 1 <= reward.rate_bps <= WHOLE_BPS:
        yield f"A rate lies from 1 to {WHOLE_BPS}.", "rateBps"
    if reward.rate_bps is not None and reward.on in UNPAID:
        yield "Nothing is paid by this: give a fixed `amount`.", "rateBps"
    for name, value in (("amount", reward.amount), ("capPerConversion", reward.cap_per_conversion)):
        if value is not None and not 1 <= value <= LARGEST_AMOUNT:
            yield f"This lies from 1 to {LARGEST_AMOUNT}.", name
    if reward.level not in (1, 2):
        yield "There are levels 1 and 2 alone.", "level"
    if reward.role is Role.SERVICE:
        yield "A service is no promoter.", "role"


def _range(value: int, least: int, most: int, name: str) -> None:
    if not least <= value <= most:
        raise Invalid(f"This lies from {least} to {most}.", name)
