"""A program is set up once, with one rule, and found with its newest."""

import asyncio

from members.models import Asset
from referral import programs
from referral.models import ConversionType, Program, RewardRule
from tests import factories
from tests.factories import NOW
from tests.members.statements import watched


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


async def test_programs_and_their_newest_rules_are_found_in_a_statement_each(opened: str) -> None:
    first, second = await factories.program("a"), await factories.program("b")
    bare = await Program.create(
        code="bare", name="Bare", window_days=1, currency="CNY", created_at=NOW
    )
    for version, on, rate_bps in (
        (1, ConversionType.FEE, 8),
        (2, ConversionType.ORDER, 7),
        (2, ConversionType.FEE, 9),
    ):
        await RewardRule.create(
            program=first, version=version, on=on, asset=Asset.CASH, rate_bps=rate_bps
        )
    ids = [first.id, second.id, bare.id]

    with watched() as statements:
        found = await programs.by_id(ids)
        rules = await programs.rules(ids)

    assert {key: row.code for key, row in found.items()} == {
        first.id: "a",
        second.id: "b",
        bare.id: "bare",
    }
    assert {key: [rule.rate_bps for rule in found] for key, found in rules.items()} == {
        (first.id, ConversionType.ORDER): [7],
        (first.id, ConversionType.FEE): [9],
        (second.id, ConversionType.ORDER): [1_000],
    }
    assert len(statements) == 2
