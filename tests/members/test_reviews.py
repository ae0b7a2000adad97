"""What ends by the time alone ends then, and not a microsecond before."""

import asyncio
import contextvars
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from core import database
from members import publishing, reviews
from members.models import DowngradePolicy, Standing, TierChange, TierMetric
from members.publishing import TierRule
from members.standings import Standings
from tests import factories
from tests.factories import NOW
from tests.members import population
from tests.members.plans import SHANGHAI, Fact, leaf, spend
from tests.members.population import Settler, reevaluate
from tests.members.statements import watched

AT_EXPIRY, IMMEDIATE, NEVER = (
    DowngradePolicy.AT_EXPIRY,
    DowngradePolicy.IMMEDIATE,
    DowngradePolicy.NEVER,
)
DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)
conversion_ids = count(1)
TURN = datetime(2027, 1, 1, tzinfo=SHANGHAI).astimezone(UTC)


async def publish(rule: Any, policy: DowngradePolicy = IMMEDIATE, **more: Any) -> None:
    """Gold by this rule, above silver that everybody has who spent anything."""
    days = 365 if policy is AT_EXPIRY else None
    drafts = [
        TierRule("silver", "Silver", 1, spend(1), downgrade=IMMEDIATE),
        TierRule("gold", "Gold", 2, rule, downgrade=policy, validity_days=days, **more),
    ]
    await publishing.publish(drafts, time_zone="Asia/Shanghai", now=NOW)
    await reevaluate()


async def person(name: str = "mei") -> int:
    return (await factories.person(name)).member.id


@database.unit_of_work
async def book(member_id: int, amount: int, at: datetime = NOW, now: datetime = NOW) -> None:
    booked = await Standings.load([member_id], now)
    booked.add_spend(member_id, amount, next(conversion_ids), at)
    await booked.save()


async def tier(member_id: int) -> str | None:
    row = await Standing.get(member_id=member_id).select_related("tier")
    return row.tier and row.tier.code


async def last(member_id: int) -> tuple[str, datetime]:
    change = await TierChange.filter(member_id=member_id).order_by("-id").first()
    assert change is not None
    return change.reason.value, change.at


async def ends_at(member_id: int, end: datetime, left: str | None) -> None:
    """Whether gold is kept until just before the instant, and is gone at it, by the time."""
    before = await population.everything()
    assert not await reviews.due(end - MOMENT)
    assert not await reviews.work(end - MOMENT)
    assert await population.everything() == before
    assert await tier(member_id) == "gold"
    assert await reviews.due(end)
    assert not await reviews.work(end)  # True would say that there is more
    assert await tier(member_id) == left
    assert await last(member_id) == ("EXPIRED", end)
    assert not await reviews.due(end)


async def test_a_grant_ends_at_its_end(opened: str) -> None:
    await publish(spend(10))
    mei, an = await person(), await person("an")
    await book(mei, 3)
    await factories.grant(mei, "gold", an, until=NOW + DAY)
    await ends_at(mei, NOW + DAY, "silver")
    row = await Standing.get(member_id=mei)
    assert (row.floor_tier_id, row.floor_until, row.review_at) == (None, None, None)


async def test_a_validity_ends_with_its_grace(opened: str) -> None:
    await publish(spend(10), AT_EXPIRY, grace_days=30)
    mei = await person()
    await book(mei, 10)
    await book(mei, -1, now=NOW + DAY)
    assert await tier(mei) == "gold"
    await ends_at(mei, NOW + 395 * DAY, "silver")


async def test_a_validity_whose_rule_still_holds_begins_anew(opened: str) -> None:
    await publish(spend(10), AT_EXPIRY)
    mei = await person()
    await book(mei, 10)
    await reviews.work(NOW + 365 * DAY)
    row = await Standing.get(member_id=mei)
    assert (await tier(mei), row.expires_at, row.review_at) == (
        "gold",
        NOW + 730 * DAY,
        NOW + 730 * DAY,
    )
    assert await TierChange.filter(member_id=mei).count() == 1


async def test_a_fact_leaves_the_window_behind_its_last_instant(opened: str) -> None:
    await publish(spend(10, window="LAST_DAYS", days=30))
    mei = await person()
    await book(mei, 4, NOW - 9 * DAY)
    await book(mei, 6, NOW)
    await ends_at(mei, NOW + 21 * DAY + MOMENT, "silver")
    row = await Standing.get(member_id=mei)
    assert row.review_at == NOW + 30 * DAY + MOMENT  # the second one leaves it too


async def test_a_review_that_changes_nothing_says_when_the_next_one_is_due(opened: str) -> None:
    await publish(spend(6, window="LAST_DAYS", days=30))
    mei = await person()
    await book(mei, 4, NOW - 9 * DAY)
    await book(mei, 6, NOW)
    before = await TierChange.all().values()
    assert not await reviews.work(NOW + 21 * DAY + MOMENT)
    assert await TierChange.all().values() == before
    await ends_at(mei, NOW + 30 * DAY + MOMENT, "silver")


async def test_the_year_turns_at_midnight_of_the_business(opened: str) -> None:
    await publish(spend(10, window="CALENDAR_YEAR"))
    mei = await person()
    await book(mei, 10)
    await ends_at(mei, TURN, "silver")


async def test_what_is_dated_into_the_next_year_counts_when_that_begins(opened: str) -> None:
    """A shop's clock may be five minutes ahead."""
    await publish(spend(10, window="CALENDAR_YEAR"))
    mei, minute = await person(), timedelta(minutes=1)
    await book(mei, 10, at=TURN + minute, now=TURN - minute)
    assert await tier(mei) == "silver"
    assert not await reviews.due(TURN - MOMENT)
    await reviews.work(TURN)
    assert (await tier(mei), await last(mei)) == ("gold", ("QUALIFIED", TURN))


async def test_an_invitee_leaves_the_window_too(opened: str) -> None:
    await publish(leaf("INVITED_REGISTERED", 1, window="LAST_DAYS", days=1))
    lin, mei = await person("lin"), await person("mei")

    @database.unit_of_work
    async def invite() -> None:
        booked = await Standings.lock([lin, mei], NOW)
        booked.invite(lin, mei, NOW)
        await booked.save()

    await invite()
    await ends_at(lin, NOW + DAY + MOMENT, None)


@pytest.mark.parametrize("policy", [NEVER, AT_EXPIRY])
async def test_the_policy_holds_for_what_slides_out_too(
    opened: str, policy: DowngradePolicy
) -> None:
    await publish(spend(10, window="LAST_DAYS", days=30), policy)
    mei = await person()
    await book(mei, 10)
    await reviews.work(NOW + 31 * DAY)
    assert await tier(mei) == "gold"
    await reviews.work(NOW + 365 * DAY)
    assert await tier(mei) == ("gold" if policy is NEVER else "silver")


async def test_a_re_evaluation_plans_what_the_time_then_ends(opened: str) -> None:
    """The database counts in milliseconds where it plans many at once: a little late, not early."""
    facts = [Fact(TierMetric.SPEND, NOW - DAY + 1_000 * MOMENT + MOMENT, 10)]
    await publish(spend(10**6))
    [mei] = (await population.settle([Settler(facts)])).settlers
    await publish(spend(10, window="LAST_DAYS", days=30))
    assert await tier(mei) == "gold"
    end = facts[0].at + 30 * DAY
    await reviews.work(end)
    assert await tier(mei) == "gold"
    await reviews.work(end + timedelta(milliseconds=3))
    assert await tier(mei) == "silver"
    assert not await reviews.due(end + timedelta(days=36_500))


async def test_nothing_due_is_one_statement(opened: str) -> None:
    await person()
    with watched() as statements:
        assert not await reviews.due(NOW)
    assert len(statements) == 1
    assert not await reviews.work(NOW)


async def crowd(size: int) -> Sequence[int]:
    """So many who have gold for a day."""
    await publish(spend(10))
    found = await population.settle(
        [Settler(floor="gold", floor_until=NOW + DAY) for _ in range(size)]
    )
    await Standing.all().update(review_at=NOW + DAY)
    return sorted(found.settlers)


async def test_more_than_a_batch_is_done_in_several(
    opened: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reviews, "BATCH", 3)
    members = await crowd(7)
    assert [await reviews.work(NOW + DAY) for _ in range(4)] == [True, True, False, False]
    assert [await tier(each) for each in members] == [None] * 7
    assert await TierChange.filter(reason="EXPIRED").count() == 7


async def test_workers_at_once_review_everybody_once(
    opened: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reviews, "BATCH", 5)
    members = await crowd(40)

    async def until_nothing_is_due() -> None:
        while await reviews.due(NOW + DAY):
            await reviews.work(NOW + DAY)

    await asyncio.gather(*(until_nothing_is_due() for _ in range(4)))
    assert [await tier(each) for each in members] == [None] * 40
    assert await TierChange.filter(reason="EXPIRED").count() == 40


@pytest.mark.postgres
async def test_a_second_worker_takes_what_the_first_one_does_not_hold(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reviews, "BATCH", 3)
    async with database.opened(postgres_url):
        members = await crowd(5)

        @database.unit_of_work
        async def first() -> None:
            """Works, and before it is committed, has another one work."""
            assert await reviews.work(NOW + DAY)
            # As another process would: outside of this transaction.
            other = asyncio.create_task(reviews.work(NOW + DAY), context=contextvars.Context())
            assert not await other

        await first()
        assert [await tier(each) for each in members] == [None] * 5
        assert await TierChange.filter(reason="EXPIRED").count() == 5


async def test_an_order_beside_a_review_is_not_lost(opened: str) -> None:
    """The floor ends while the orders come in that make it needless."""
    members = await crowd(6)
    await asyncio.gather(
        *(book(each, 10, now=NOW + DAY) for each in members),
        *(reviews.work(NOW + DAY) for _ in range(3)),
    )
    assert [await tier(each) for each in members] == ["gold"] * 6
