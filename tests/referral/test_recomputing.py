"""Recomputing: metrics and tiers come back from the facts, whatever stood there."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from core import database
from members.models import DowngradePolicy, Invitation, MetricFact, Standing
from referral import recomputing, reconciliation
from tests import factories
from tests.factories import NOW, Stage
from tests.referral import scene

LATER = NOW + timedelta(hours=1)
WIPE = (
    "DELETE FROM metric_fact",
    "DELETE FROM invitation",
    "UPDATE standing SET spend_minor = 0, fees_minor = 7, invited_registered = 3, "
    "invited_bought = 0, tier_id = NULL, earned_tier_id = NULL, expires_at = NULL, "
    "first_order_at = NULL, review_at = NULL",
)
COLUMNS = (
    "member_id", "spend_minor", "fees_minor", "invited_registered", "invited_bought",
    "invited_promoted", "points_earned", "first_order_at", "tier_id", "earned_tier_id",
)  # fmt: skip


def clock() -> datetime:
    return LATER


def silent(done: int, total: int) -> None:
    """Shows nothing."""


async def mend(progress: Callable[[int, int], None] = silent) -> recomputing.Summary:
    return await recomputing.recompute(clock, progress)


async def everything() -> list[Any]:
    facts = MetricFact.all().order_by("member_id", "conversion_id")
    invited = Invitation.all().order_by("inviter_id", "invitee_id")
    return [
        await Standing.all().order_by("member_id").values_list(*COLUMNS),
        await facts.values_list("member_id", "metric", "conversion_id", "plan", "at", "amount"),
        await invited.values_list("inviter_id", "invitee_id", "bought_at"),
    ]


async def a_year(stage: Stage) -> None:
    """Two invitees who buy; one gets most of it back, the other a little."""
    mei, bo = [await scene.customer(stage.link, name=name) for name in ("Mei", "Bo")]
    shop = scene.shop(stage)
    await shop.order("A-1", 600_000, mei)
    await shop.order("A-2", 300_000, bo)
    await shop.refund("R-1", 500_000, "A-1")
    await shop.refund("R-2", 1, "A-2")
    await scene.settle()


@pytest.mark.parametrize("policy", list(DowngradePolicy))
async def test_what_was_wiped_out_comes_back_as_it_was_live(
    opened: str, policy: DowngradePolicy
) -> None:
    stage = await factories.stage(downgrade=policy)
    await a_year(stage)
    before = await everything()
    tiers = {each["tier_id"] for each in await Standing.all().values("tier_id")}
    assert len(tiers - {None}) == (0 if policy is DowngradePolicy.IMMEDIATE else 2)
    for statement in WIPE:
        await database.execute(statement)
    summary = await mend()
    assert await everything() == before
    assert summary.metrics_mended > 0
    assert (await reconciliation.reconcile(LATER)).problems == []


async def test_where_nothing_is_wrong_nothing_is_changed(opened: str) -> None:
    stage = await factories.stage()
    await a_year(stage)
    before = await everything()
    seen: list[tuple[int, int]] = []
    summary = await mend(lambda done, total: seen.append((done, total)))
    assert await everything() == before
    assert (summary.metrics_mended, summary.tiers_moved) == (0, 0)
    assert seen == [(4, 4)]


async def test_a_run_that_was_killed_goes_on_and_ends_as_if_it_had_not_been(
    opened: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = await factories.stage()
    await a_year(stage)
    before = await everything()
    for statement in WIPE:
        await database.execute(statement)
    monkeypatch.setattr(recomputing, "BATCH", 1)

    def die_after_two(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await mend(die_after_two)
    summary = await mend()
    assert summary.members == 2
    assert await everything() == before


async def test_a_fact_that_was_booked_wrongly_is_replaced(opened: str) -> None:
    stage = await factories.stage()
    await a_year(stage)
    before = await everything()
    fact = await MetricFact.filter(amount__gt=0).first()
    assert fact is not None
    await MetricFact.filter(id=fact.id).update(amount=1)
    await Invitation.all().update(bought_at=LATER)
    assert not (await reconciliation.reconcile(LATER)).ok
    await mend()
    after = await everything()
    assert [after[0], after[1]] == [before[0], before[1]]
    assert (await reconciliation.reconcile(LATER)).problems == []
