"""What the conversions and the ledger tell is what was booked step by step."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from core import database
from members import metrics
from members.metrics import EVERYBODY, LIFETIME
from members.models import Asset, Invitation, Member, MetricFact, Standing
from referral import conversions, facts, invitations, reconciliation
from referral.conversions import NewFee
from referral.models import ConversionType, RewardRule
from tests import factories
from tests.factories import NOW, Stage
from tests.referral import scene
from tests.referral.scene import DAY, Shop


async def points_for(stage: Stage, *kinds: ConversionType) -> None:
    """Has the program pay a point for every 1.00 as well."""
    for kind in kinds:
        await RewardRule.create(
            program=stage.program, version=1, on=kind, asset=Asset.POINTS, rate_bps=100
        )


async def fee(shop: Shop, external_id: str, amount: int, plan: str | None, by: Member) -> None:
    new = NewFee(shop.source, external_id, amount, plan, by.id, None, NOW - DAY)
    await conversions.record_fee(new, shop.member_id, NOW)


async def due(scope: str = EVERYBODY) -> list[tuple[Any, ...]]:
    """The facts as they ought to be, with the shop's name of the conversion."""
    rows = await database.rows(
        f"SELECT fact.*, conversion.external_id FROM ({facts.of_members(scope)}) AS fact"
        " JOIN conversion ON conversion.id = fact.conversion_id"
    )
    found = [
        (
            row["external_id"],
            row["member_id"],
            row["metric"],
            row["plan"],
            database.instant(row["at"]),
            row["amount"],
        )
        for row in rows
    ]
    assert {type(row[-1]) for row in found} <= {int}
    return sorted(found, key=str)


async def booked() -> list[tuple[Any, ...]]:
    names = dict(await scene.Conversion.all().values_list("id", "external_id"))
    return sorted(
        (
            (names[row.conversion_id], row.member_id, row.metric, row.plan, row.at, row.amount)
            for row in await MetricFact.all()
        ),
        key=str,
    )


async def eventful() -> tuple[Stage, Member]:
    """Mei, invited by Lin, who has done everything that there is."""
    stage = await factories.stage()
    await points_for(stage, ConversionType.ORDER, ConversionType.FEE)
    shop, mei = scene.shop(stage), await scene.customer(stage.link)
    await shop.order("A-1", 1_050, mei, at=NOW - DAY)
    await shop.refund("R-1", 100, of="A-1", at=NOW - 2 * DAY)
    await shop.order("A-0", 0, mei)
    await shop.order("B-1", 777, ref="c-1")
    await shop.refund("R-9", 5, of="A-9")
    await fee(shop, "F-1", 9_900, "basic", mei)
    await fee(shop, "F-2", 100, None, mei)
    await shop.refund("R-2", 50, customer=mei)
    await invitations.enroll(stage.program.id, mei, NOW)
    await scene.settle()
    return stage, mei


async def test_every_decided_payment_and_every_point_is_a_fact_at_its_own_date(
    opened: str,
) -> None:
    stage, mei = await eventful()
    lin, day_before = stage.promoter.member.id, NOW - DAY
    assert await due() == sorted(
        [
            ("A-1", mei.id, "SPEND", None, day_before, 1_050),
            ("A-1", lin, "POINTS_EARNED", None, day_before, 11),
            ("R-1", mei.id, "SPEND", None, NOW - 2 * DAY, -100),
            ("R-1", lin, "POINTS_EARNED", None, NOW - 2 * DAY, -1),
            ("F-1", mei.id, "FEE", "basic", day_before, 9_900),
            ("F-1", lin, "POINTS_EARNED", None, day_before, 99),
            ("F-2", mei.id, "FEE", None, day_before, 100),
            ("F-2", lin, "POINTS_EARNED", None, day_before, 1),
            ("R-2", mei.id, "SPEND", None, NOW, -50),
        ],
        key=str,
    )
    assert await booked() == await due()
    assert (await reconciliation.reconcile(NOW)).ok


async def test_what_is_parked_or_pending_is_no_fact_yet(opened: str) -> None:
    stage = await factories.stage()
    shop, mei = scene.shop(stage), await scene.customer(stage.link)
    await shop.order("A-1", 5, mei)
    await shop.order("B-1", 5, ref="c-1")
    assert await due() == []
    await scene.settle()
    assert [row[0] for row in await due()] == ["A-1"]
    await shop.order("A-2", 0, mei, ref="c-1")
    await scene.settle()
    assert [row[0] for row in await due()] == ["A-1", "B-1"] == [row[0] for row in await booked()]


async def test_facts_are_selected_for_the_members_of_the_scope_alone(opened: str) -> None:
    stage, mei = await eventful()
    lin = stage.promoter.member.id
    everybody = await due()
    for member_id in (mei.id, lin):
        assert await due(metrics.among([member_id])) == [
            row for row in everybody if row[1] == member_id
        ]
    assert await due(metrics.among([mei.id, lin])) == everybody
    assert await due(metrics.between(mei.id, 10**9)) == []


Row = tuple[int, int, datetime | None, datetime | None, datetime | None]


async def invited(scope: str = EVERYBODY) -> Sequence[Row]:
    rows = await database.rows(facts.invitations_of(scope))
    dates = ("registered_at", "bought_at", "promoted_at")
    return sorted(
        (
            row["inviter_id"],
            row["invitee_id"],
            *(database.instant(row[each]) for each in dates),
        )  # type: ignore[misc]
        for row in rows
    )


async def test_invitations_are_told_by_attributions_orders_and_enrolments(opened: str) -> None:
    stage, mei = await eventful()
    lan = await scene.customer(stage.link, name="Lan")
    lin = stage.promoter.member.id
    assert await invited() == [
        (lin, mei.id, NOW, NOW - DAY, NOW),
        (lin, lan.id, NOW, None, None),
    ]
    assert await invited() == [
        (row.inviter_id, row.invitee_id, row.registered_at, row.bought_at, row.promoted_at)
        for row in await Invitation.all().order_by("invitee_id")
    ]
    assert await invited(metrics.among([mei.id])) == []


async def test_totals_have_the_shape_of_a_standing(opened: str) -> None:
    stage, mei = await eventful()
    rows = {row["member_id"]: row for row in await database.rows(facts.totals(EVERYBODY))}
    columns = [*LIFETIME.values()]
    assert {name: rows[mei.id][name] for name in columns} == dict.fromkeys(columns, 0) | {
        "spend_minor": 900,
        "fees_minor": 10_000,
    }
    assert database.instant(rows[mei.id]["first_order_at"]) == NOW - DAY
    assert {name: rows[stage.promoter.member.id][name] for name in columns} == {
        "spend_minor": 0,
        "fees_minor": 0,
        "invited_registered": 1,
        "invited_bought": 1,
        "invited_promoted": 1,
        "points_earned": 110,
    }
    assert len(rows) == await Standing.all().count()
    assert {*await scoped([mei.id])} == {mei.id}


async def scoped(member_ids: Sequence[int]) -> list[int]:
    found = await database.rows(facts.totals(metrics.among(member_ids)))
    return [row["member_id"] for row in found]
