"""Owns the programs: the terms under which links earn."""

from collections.abc import Collection, Mapping
from datetime import datetime

from core import database
from members.models import Asset
from referral.models import ConversionType, Program, RewardRule


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
        await RewardRule.create(
            program=program,
            version=1,
            on=ConversionType.ORDER,
            asset=Asset.CASH,
            rate_bps=rate_bps,
        )
    return program


async def by_id(program_ids: Collection[int]) -> Mapping[int, Program]:
    """The programs of these ids, in one statement."""
    return await Program.in_bulk(set(program_ids), "id")


async def order_rules(program_ids: Collection[int]) -> Mapping[int, RewardRule]:
    """The newest rule for orders of each program that has one, in one statement."""
    rules = RewardRule.filter(program_id__in=set(program_ids), on=ConversionType.ORDER)
    return {rule.program_id: rule for rule in await rules.order_by("version")}
