"""What staff decide about tiers: grants are floors, applications open doors, each once."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from core import database
from core.errors import Invalid, Mistake, NotFound, Required, TooLong
from members import grants, publishing, reviews
from members.errors import (
    AlreadyApplied,
    AlreadyDecided,
    MemberNotFound,
    ThresholdNotMet,
    TierNotFound,
)
from members.models import (
    ApplicationStatus,
    DowngradePolicy,
    Standing,
    TierApplication,
    TierChange,
)
from members.publishing import TierRule
from members.standings import Standings
from tests import factories
from tests.factories import NOW
from tests.members import population
from tests.members.plans import spend
from tests.members.population import reevaluate

AT_EXPIRY, IMMEDIATE, NEVER = (
    DowngradePolicy.AT_EXPIRY,
    DowngradePolicy.IMMEDIATE,
    DowngradePolicy.NEVER,
)
DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)
PENDING, APPROVED, REJECTED = (
    ApplicationStatus.PENDING,
    ApplicationStatus.APPROVED,
    ApplicationStatus.REJECTED,
)
conversion_ids = iter(range(1, 10**9))


async def publish(*drafts: TierRule, now: datetime = NOW) -> None:
    await publishing.publish(drafts, time_zone="Asia/Shanghai", now=now)
    await reevaluate(now)


def tiers_with_approval(policy: DowngradePolicy = IMMEDIATE) -> list[TierRule]:
    """Silver from 3 and gold from 10 by numbers, between them the board from 5 by application."""
    days = 365 if policy is AT_EXPIRY else None
    return [
        TierRule("silver", "Silver", 1, spend(3), downgrade=IMMEDIATE),
        TierRule(
            "board",
            "Board",
            2,
            spend(5),
            requires_approval=True,
            downgrade=policy,
            validity_days=days,
        ),
        TierRule("gold", "Gold", 3, spend(10), downgrade=IMMEDIATE),
    ]


async def person(name: str = "mei") -> int:
    return (await factories.person(name)).member.id


async def scene(policy: DowngradePolicy = IMMEDIATE, spent: int = 0) -> tuple[int, int]:
    """Mei, who has spent so much, and An of staff."""
    await publish(*tiers_with_approval(policy))
    mei, an = await person(), await person("an")
    if spent:
        await book(mei, spent)
    return mei, an


@database.unit_of_work
async def book(member_id: int, amount: int, now: datetime = NOW) -> None:
    booked = await Standings.load([member_id], now)
    booked.add_spend(member_id, amount, next(conversion_ids), now)
    await booked.save()


async def tier(member_id: int) -> str | None:
    row = await Standing.get(member_id=member_id).select_related("tier")
    return row.tier and row.tier.code


async def history(member_id: int) -> list[tuple[str | None, str | None, str, int | None]]:
    rows = TierChange.filter(member_id=member_id).order_by("id")
    return [
        (
            row.from_tier and row.from_tier.code,
            row.to_tier and row.to_tier.code,
            row.reason.value,
            row.actor_id,
        )
        for row in await rows.select_related("from_tier", "to_tier")
    ]


async def refused(kind: type[Mistake], field: tuple[str, ...], act: Any) -> None:
    """Whether it is refused for this, with nothing written."""
    before = await population.everything()
    with pytest.raises(kind) as error:
        await act
    assert type(error.value) is kind
    assert error.value.field == field
    assert await population.everything() == before


# ---- grants


async def test_a_grant_is_a_floor_with_the_name_of_who_gave_it(opened: str) -> None:
    mei, an = await scene(spent=3)
    await factories.grant(mei, "board", an)  # a tier with approval may be granted too
    assert await tier(mei) == "board"
    await book(mei, 10)
    assert await tier(mei) == "gold"
    await book(mei, -13)
    assert await tier(mei) == "board"
    assert await history(mei) == [
        (None, "silver", "QUALIFIED", None),
        ("silver", "board", "GRANTED", an),
        ("board", "gold", "QUALIFIED", None),
        ("gold", "board", "REFUNDED", None),
    ]


async def test_a_floor_survives_refunds_new_rules_and_the_end_of_a_validity(opened: str) -> None:
    mei, an = await scene(AT_EXPIRY, spent=5)
    await factories.grant(mei, "board", an)
    await book(mei, -5)
    await publish(
        *(TierRule(each.code, "T", each.rank, spend(10**6)) for each in tiers_with_approval())
    )
    await publish(*tiers_with_approval(AT_EXPIRY))
    far = NOW + 9_999 * DAY
    await reviews.work(far)
    await publish(*tiers_with_approval(IMMEDIATE), now=far)
    assert await tier(mei) == "board"
    assert [why for _, _, why, _ in await history(mei)] == ["QUALIFIED", "GRANTED"]


async def test_a_second_grant_takes_the_place_of_the_first(opened: str) -> None:
    mei, an = await scene()
    await factories.grant(mei, "gold", an)
    await factories.grant(mei, "silver", an, until=NOW + DAY)
    row = await Standing.get(member_id=mei)
    assert (await tier(mei), row.floor_until, row.review_at) == ("silver", NOW + DAY, NOW + DAY)
    await factories.grant(mei, "silver", an)
    row = await Standing.get(member_id=mei)
    assert (row.floor_until, row.review_at) == (None, None)
    assert [to for _, to, _, _ in await history(mei)] == ["gold", "silver"]


async def test_a_grant_below_what_was_earned_waits_beneath(opened: str) -> None:
    mei, an = await scene(spent=10)
    await factories.grant(mei, "silver", an)
    assert (await tier(mei), len(await history(mei))) == ("gold", 1)
    await book(mei, -10)
    assert await tier(mei) == "silver"


async def test_a_revoked_grant_leaves_what_was_earned(opened: str) -> None:
    mei, an = await scene(spent=3)
    await factories.grant(mei, "gold", an)
    await grants.revoke(mei, an, NOW)
    assert await tier(mei) == "silver"
    assert (await history(mei))[-1] == ("gold", "silver", "REVOKED", an)
    before = await population.everything()
    await grants.revoke(mei, an, NOW)
    assert await population.everything() == before


async def test_revoking_what_was_never_granted_does_nothing(opened: str) -> None:
    """Not even what another decision would: a validity is neither ended nor counted anew."""
    mei, an = await scene(AT_EXPIRY, spent=5)
    await factories.decide((await factories.apply(mei, "board")).id, an)
    before = await population.everything()
    for later in (DAY, 400 * DAY):
        await grants.revoke(mei, an, NOW + later)
        assert await population.everything() == before


async def test_a_grant_that_cannot_be_is_refused_and_nothing_is_written(opened: str) -> None:
    mei, an = await scene()
    await publish(*tiers_with_approval(), TierRule("old", "Old", 9, spend(99)))
    await publish(*tiers_with_approval())
    for until in (NOW, NOW - DAY):
        await refused(Invalid, ("until",), factories.grant(mei, "gold", an, until=until))
    await refused(TierNotFound, ("tier",), factories.grant(mei, "Gold", an))
    await refused(TierNotFound, ("tier",), factories.grant(mei, "old", an))
    await refused(MemberNotFound, ("member",), factories.grant(10**9, "gold", an))
    await refused(MemberNotFound, ("member",), grants.revoke(10**9, an, NOW))
    await factories.grant(mei, "gold", an, until=NOW + MOMENT)


# ---- applications


async def test_numbers_alone_never_open_a_tier_with_approval(opened: str) -> None:
    mei, _ = await scene(spent=9)
    assert await tier(mei) == "silver"
    await publish(*tiers_with_approval(NEVER))
    await reviews.work(NOW + 999 * DAY)
    assert await tier(mei) == "silver"


async def test_an_application_waits_for_staff_and_its_approval_moves_at_once(opened: str) -> None:
    mei, an = await scene(spent=5)
    applied = await grants.apply(mei, "board", " I bring tea. ", NOW)
    assert (applied.status, applied.message, await tier(mei)) == (
        PENDING,
        "I bring tea.",
        "silver",
    )

    decided = await grants.decide(
        applied.id, approve=True, note=" Welcome ", actor_id=an, now=NOW + DAY
    )

    assert (decided.id, decided.status, decided.note) == (applied.id, APPROVED, "Welcome")
    assert (decided.decided_at, decided.decided_by_id) == (NOW + DAY, an)
    assert await tier(mei) == "board"
    assert (await history(mei))[-1] == ("silver", "board", "APPROVED", an)


async def test_whoever_was_rejected_may_apply_again(opened: str) -> None:
    mei, an = await scene(spent=5)
    for _ in range(2):
        applied = await factories.apply(mei, "board")
        rejected = await factories.decide(applied.id, an, approve=False)
        assert (rejected.status, await tier(mei)) == (REJECTED, "silver")
    again = await factories.apply(mei, "board")
    await factories.decide(again.id, an)
    assert await tier(mei) == "board"


async def test_an_approval_of_somebody_above_waits_beneath(opened: str) -> None:
    mei, an = await scene(spent=5)
    applied = await factories.apply(mei, "board")
    await book(mei, 5)
    await factories.decide(applied.id, an)
    assert (await tier(mei), len(await history(mei))) == ("gold", 2)
    await book(mei, -1)
    assert await tier(mei) == "board"


async def test_an_approval_lapses_with_the_rule_and_takes_a_new_application(opened: str) -> None:
    mei, an = await scene(spent=5)
    applied = await factories.apply(mei, "board")
    await factories.decide(applied.id, an)
    await book(mei, -1, NOW + DAY)
    assert await tier(mei) == "silver"
    await book(mei, 1, NOW + DAY)
    assert await tier(mei) == "silver"
    row = await TierApplication.get(id=applied.id)
    assert (row.status, row.lapsed_at, row.standing_key) == (APPROVED, NOW + DAY, None)
    again = await factories.apply(mei, "board")
    await factories.decide(again.id, an)
    assert await tier(mei) == "board"


@pytest.mark.parametrize("policy", [NEVER, AT_EXPIRY])
async def test_an_approval_stays_with_whoever_is_kept_in_the_tier(
    opened: str, policy: DowngradePolicy
) -> None:
    mei, an = await scene(policy, spent=5)
    await factories.decide((await factories.apply(mei, "board")).id, an)
    await book(mei, -5)
    await book(mei, 5)
    assert await tier(mei) == "board"
    await reviews.work(NOW + 400 * DAY)
    assert await tier(mei) == "board"


async def test_an_application_that_cannot_be_is_refused_and_nothing_is_written(
    opened: str,
) -> None:
    mei, an = await scene(spent=4)
    await refused(ThresholdNotMet, ("tier",), factories.apply(mei, "board"))
    await refused(Invalid, ("tier",), factories.apply(mei, "gold"))
    await refused(TierNotFound, ("tier",), factories.apply(mei, "none"))
    await refused(MemberNotFound, (), factories.apply(10**9, "board"))
    await book(mei, 1)  # exactly the threshold
    for message, kind in ((" ", Required), ("x" * 1_001, TooLong), ("a\0b", Invalid)):
        await refused(kind, ("message",), grants.apply(mei, "board", message, NOW))
    applied = await grants.apply(mei, "board", "x" * 1_000, NOW)
    await refused(AlreadyApplied, ("tier",), factories.apply(mei, "board"))
    await factories.decide(applied.id, an)
    await refused(Invalid, ("tier",), factories.apply(mei, "board"))
    await book(mei, 5)
    await refused(Invalid, ("tier",), factories.apply(mei, "board"))


async def test_whoever_is_approved_and_above_has_nothing_to_apply_for(opened: str) -> None:
    mei, an = await scene(spent=5)
    await factories.grant(mei, "silver", an)
    await factories.decide((await factories.apply(mei, "board")).id, an)
    await publish(*tiers_with_approval())
    await refused(Invalid, ("tier",), factories.apply(mei, "board"))


async def test_a_decision_that_cannot_be_is_refused_and_nothing_is_written(opened: str) -> None:
    mei, an = await scene(spent=5)
    await refused(NotFound, ("id",), factories.decide(10**9, an))
    applied = await factories.apply(mei, "board")
    for note, kind in ((" ", Required), ("x" * 1_001, TooLong)):
        act = grants.decide(applied.id, approve=True, note=note, actor_id=an, now=NOW)
        await refused(kind, ("note",), act)
    await book(mei, -1)
    await refused(ThresholdNotMet, ("id",), factories.decide(applied.id, an))
    await factories.decide(applied.id, an, approve=False)  # this needs no threshold
    for approve in (True, False):
        await refused(AlreadyDecided, ("id",), factories.decide(applied.id, an, approve=approve))


async def test_an_application_for_a_tier_that_is_left_out_can_only_be_rejected(
    opened: str,
) -> None:
    mei, an = await scene(spent=5)
    applied = await factories.apply(mei, "board")
    silver, _, gold = tiers_with_approval()
    await publish(silver, gold)
    await refused(ThresholdNotMet, ("id",), factories.decide(applied.id, an))
    assert (await factories.decide(applied.id, an, approve=False)).status is REJECTED


async def test_of_many_applications_at_once_there_is_one(opened: str) -> None:
    mei, _ = await scene(spent=5)
    done = await asyncio.gather(
        *(factories.apply(mei, "board") for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(each, TierApplication) for each in done) == 1
    assert sum(isinstance(each, AlreadyApplied) for each in done) == 4


async def test_of_many_decisions_at_once_one_counts(opened: str) -> None:
    mei, an = await scene(spent=5)
    applied = await factories.apply(mei, "board")
    done = await asyncio.gather(
        *(factories.decide(applied.id, an, approve=bool(number % 2)) for number in range(6)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, AlreadyDecided) for each in done) == 5
    [row] = await TierApplication.all()
    assert await tier(mei) == ("board" if row.status is APPROVED else "silver")


async def test_an_approval_beside_the_refund_that_takes_the_threshold_away_is_of_one_of_them(
    opened: str,
) -> None:
    mei, an = await scene(spent=5)
    applied = await factories.apply(mei, "board")
    await asyncio.gather(factories.decide(applied.id, an), book(mei, -1), return_exceptions=True)
    [row] = await TierApplication.all()
    assert await tier(mei) == "silver"
    assert row.status is PENDING or row.lapsed_at is not None
