"""A program is set up once, with one rule, and found with its newest."""

import asyncio

from members.models import Asset
from referral.models import ConversionType, Program, RewardRule
from tests import factories
from tests.factories import NOW


async def test_a_program_has_one_rule_of_every_order_in_cash(opened: str) -> None:
    made = await factories.program("friends", window_days=14, rate_bps=250)

    row = await Program.get()
    assert (row.id, row.code, row.name, row.window_days, row.currency, row.created_at) == (
        made.id,
        "friends",
        "Friends",
        14,
        "CNY",
        NOW,
    )
    rule = await RewardRule.get()
    assert (rule.program_id, rule.version, rule.on, rule.asset, rule.rate_bps) == (
        made.id,
        1,
        ConversionType.ORDER,
        Asset.CASH,
        250,
    )


async def test_set_up_again_and_at_once_leaves_the_first(opened: str) -> None:
    made = await asyncio.gather(*(factories.program("friends") for _ in range(5)))
    again = await factories.program("friends", window_days=1, rate_bps=1)

    assert {each.id for each in made} == {again.id}
    assert again.window_days == 30
    assert (await RewardRule.get()).rate_bps == 1_000
