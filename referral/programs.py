"""Owns the programs: the terms under which links earn."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from core import database
from core.errors import storable
from members.models import Asset
from referral.errors import ProgramNotFound
from referral.models import ConversionType, Program, RewardRule, RuleVersion


@database.unit_of_work
async def set_up(
    code: str, name: str, *, window_days: int, rate_bps: int, currency: str, now: datetime
) -> Program:
    """The program of this code, made with one rule (cash, of every order) if it is missing."""
    await database.lock(f"program:{code}")
    program, made = await Program.get_or_create(
        code=code,
        defaults={
            "name": name,
            "window_days": window_days,
            "currency": currency,
            "created_at": now,
        },
    )
    if made:
        await RuleVersion.create(program=program, version=1, published_at=now)
        await RewardRule.create(
            program=program,
            version=1,
            on=ConversionType.ORDER,
            asset=Asset.CASH,
            rate_bps=rate_bps,
        )
    return program


async def by_code(code: str) -> Program:
    """The program of this code; raises `ProgramNotFound`."""
    program = await Program.get_or_none(code=code) if storable(code) else None
    if program is None:
        raise ProgramNotFound(code)
    return program


async def by_id(program_ids: Collection[int]) -> Mapping[int, Program]:
    """The programs of these ids, in one statement."""
    return await Program.in_bulk(set(program_ids), "id")


async def rules(
    program_ids: Collection[int],
) -> Mapping[tuple[int, ConversionType], Sequence[RewardRule]]:
    """The rules of the newest version of each program, by what they reward, in one statement."""
    newest: dict[int, int] = {}
    found: dict[tuple[int, ConversionType], list[RewardRule]] = defaultdict(list)
    rows = RewardRule.filter(program_id__in=set(program_ids)).order_by("-version", "id")
    for rule in await rows:
        if rule.version == newest.setdefault(rule.program_id, rule.version):
            found[rule.program_id, rule.on].append(rule)
    return found
