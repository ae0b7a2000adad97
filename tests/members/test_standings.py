"""Metrics and tier are kept up fact by fact, with the history of every change."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count

import pytest

from core import database
from members import publishing, standings
from members.models import (
    DowngradePolicy,
    Invitation,
    MetricFact,
    Standing,
    TierChange,
    TierChangeReason,
    TierMetric,
)
from members.publishing import TierRule
from members.rules import Term
from members.standings import Standings
from tests import factories
from tests.core import elsewhere
from tests.factories import NOW
from tests.members import plans
from tests.members.plans import all_of, any_of, leaf, spend
from tests.members.statements import watched

IMMEDIATE, NEVER = DowngradePolicy.IMMEDIATE, DowngradePolicy.NEVER
DAY = timedelta(days=1)
Change = tuple[str | None, str | None, str, int]
conversion_ids: Iterator[int] = count(1)


@database.unit_of_work
async def book(member_id: int, *amounts: int, at: datetime = NOW, now: datetime = NOW) -> None:
    booked = await Standings.load({member_id}, now)
    for amount in amounts:
        booked.add_spend(member_id, amount, next(conversion_ids), at)
    await booked.save()


@database.unit_of_work
async def pay_fee(member_id: int, amount: int, plan: str | None, at: datetime = NOW) -> None:
    booked = await Standings.load({member_id}, NOW)
    booked.add_fee(member_id, amount, next(conversion_ids), at, plan)
    await booked.save()


@database.unit_of_work
async def give_points(member_id: int, *points: int) -> None:
    booked = await Standings.load({member_id}, NOW)
    conversion_id = next(conversion_ids)
    for each in points:
        booked.add_points(member_id, each, conversion_id, NOW)
    await booked.save()


@database.unit_of_work
async def promote(member_id: int, at: datetime = NOW) -> None:
    booked = await Standings.load({member_id}, NOW)
    booked.promote(member_id, at)
    await booked.save()


@database.unit_of_work
async def invite(inviter_id: int, invitee_id: int, at: datetime = NOW) -> None:
    booked = await Standings.lock({inviter_id, invitee_id}, NOW)
    booked.invite(inviter_id, invitee_id, at)
    await booked.save()


async def publish(*rules: TierRule, now: datetime = NOW) -> None:
    await publishing.publish(rules, time_zone="Asia/Shanghai", now=now)


async def stands(member_id: int) -> tuple[int, str | None]:
    row = await Standing.get(member_id=member_id).select_related("tier")
    return row.spend_minor, row.tier and row.tier.code


async def tier(member_id: int) -> str | None:
    return (await stands(member_id))[1]


async def history(member_id: int) -> list[Change]:
    rows = (
        TierChange.filter(member_id=member_id).order_by("id").select_related("from_tier", "to_tier")
    )
    return [
        (
            row.from_tier and row.from_tier.code,
            row.to_tier and row.to_tier.code,
            row.reason.value,
            row.metrics["SPEND"],
        )
        for row in await rows
    ]


async def person(name: str = "mei") -> int:
    return (await factories.person(name)).member.id


async def member(downgrade: DowngradePolicy = IMMEDIATE) -> int:
    await factories.ladder(downgrade)
    return await person()


async def test_a_new_member_stands_at_nothing(embedded: str) -> None:
    mei = await member()
    assert await stands(mei) == (0, None)
    assert await history(mei) == []


async def test_one_below_the_threshold_is_no_tier_and_the_threshold_is(opened: str) -> None:
    mei = await member()

    await book(mei, 299_999)
    assert await stands(mei) == (299_999, None)
    assert await history(mei) == []

    await book(mei, 1)
    assert await stands(mei) == (300_000, "silver")
    assert await history(mei) == [(None, "silver", "QUALIFIED", 300_000)]


async def test_one_fact_over_two_thresholds_makes_one_change(opened: str) -> None:
    mei = await member()
    await book(mei, 500_000)
    assert await stands(mei) == (500_000, "gold")
    assert await history(mei) == [(None, "gold", "QUALIFIED", 500_000)]


async def test_every_fact_of_a_batch_has_its_own_change_with_the_spend_as_it_stood(
    opened: str,
) -> None:
    mei = await member()

    await book(mei, 300_000, 200_000, 1, -2, -200_000, -299_999)

    assert await stands(mei) == (0, None)
    assert await history(mei) == [
        (None, "silver", "QUALIFIED", 300_000),
        ("silver", "gold", "QUALIFIED", 500_000),
        ("gold", "silver", "REFUNDED", 499_999),
        ("silver", None, "REFUNDED", 299_999),
    ]
    assert {(row.at, row.rules_version) for row in await TierChange.all()} == {(NOW, 1)}


async def test_a_fall_through_two_tiers_is_one_change(embedded: str) -> None:
    mei = await member()
    await book(mei, 500_000)
    await book(mei, -200_001)
    assert await stands(mei) == (299_999, None)
    assert (await history(mei))[1:] == [("gold", None, "REFUNDED", 299_999)]


async def test_never_keeps_the_tier_and_writes_no_history(opened: str) -> None:
    mei = await member(NEVER)
    await book(mei, 500_000, -500_000)
    assert await stands(mei) == (0, "gold")
    assert await history(mei) == [(None, "gold", "QUALIFIED", 500_000)]


async def test_at_expiry_keeps_the_tier_and_says_until_when(opened: str) -> None:
    mei = await member(DowngradePolicy.AT_EXPIRY)
    await book(mei, 500_000)
    await book(mei, -500_000, now=NOW + DAY)
    row = await Standing.get(member_id=mei)
    assert await stands(mei) == (0, "gold")
    assert row.expires_at == row.review_at == NOW + 365 * DAY


async def test_spend_may_fall_below_zero(embedded: str) -> None:
    mei = await member()
    await book(mei, -5)
    assert await stands(mei) == (-5, None)


async def test_the_standings_of_others_stay(embedded: str) -> None:
    mei, lin = await member(), await person("lin")
    await book(lin, 7)
    await book(mei, 300_000)
    assert await stands(lin) == (7, None)


async def test_members_of_one_batch_keep_their_own_figures(opened: str) -> None:
    await factories.ladder()
    members = [await person(f"m{number}") for number in range(5)]

    @database.unit_of_work
    async def all_at_once() -> None:
        booked = await Standings.load(members, NOW)
        for number, member_id in enumerate(members):
            booked.add_spend(member_id, number * 125_000, next(conversion_ids), NOW)
        await booked.save()

    await all_at_once()

    assert [await stands(each) for each in members] == [
        (0, None),
        (125_000, None),
        (250_000, None),
        (375_000, "silver"),
        (500_000, "gold"),
    ]


async def test_every_fact_is_kept_with_its_own_date_plan_and_conversion(opened: str) -> None:
    mei = await member()
    await book(mei, 5, at=NOW - DAY)
    await pay_fee(mei, 7, "basic", NOW - 2 * DAY)
    await pay_fee(mei, 8, None)
    await give_points(mei, 3, 4)
    rows = await MetricFact.filter(member_id=mei).order_by("conversion_id")
    assert [(row.metric, row.plan, row.at, row.amount) for row in rows] == [
        (TierMetric.SPEND, None, NOW - DAY, 5),
        (TierMetric.FEE, "basic", NOW - 2 * DAY, 7),
        (TierMetric.FEE, None, NOW, 8),
        (TierMetric.POINTS_EARNED, None, NOW, 7),  # of two programs, for one conversion
    ]
    row = await Standing.get(member_id=mei)
    assert (row.spend_minor, row.fees_minor, row.points_earned) == (5, 15, 7)
    assert row.first_order_at == NOW - DAY


async def test_the_first_order_is_the_one_of_the_earliest_date(opened: str) -> None:
    mei = await member()
    await book(mei, 5, at=NOW - DAY)
    await book(mei, 5, at=NOW - 3 * DAY)
    await book(mei, -10, at=NOW - 9 * DAY)
    assert (await Standing.get(member_id=mei)).first_order_at == NOW - 3 * DAY


# ---- other metrics than spend


async def test_a_fee_of_another_plan_does_not_buy_the_tier(opened: str) -> None:
    await publish(
        TierRule("basic", "Basic", 1, leaf("FEE", 100, plan="basic")),
        TierRule("board", "Board", 2, leaf("FEE", 500, plan="board")),
    )
    mei = await person()
    await pay_fee(mei, 600, None)
    assert await tier(mei) is None
    await pay_fee(mei, 99, "basic")
    assert await tier(mei) is None
    for _ in range(6):
        await pay_fee(mei, 100, "basic")
    assert await tier(mei) == "basic"
    await pay_fee(mei, 500, "board")
    assert await tier(mei) == "board"


async def test_points_that_are_taken_back_take_the_tier_along(opened: str) -> None:
    await publish(TierRule("star", "Star", 1, leaf("POINTS_EARNED", 10), downgrade=IMMEDIATE))
    mei = await person()
    await give_points(mei, 9)
    assert await tier(mei) is None
    await give_points(mei, 1)
    assert await tier(mei) == "star"
    await give_points(mei, -1)
    assert await history(mei) == [(None, "star", "QUALIFIED", 0), ("star", None, "REFUNDED", 0)]


async def test_whoever_is_new_enters_a_tier_that_asks_for_nothing(opened: str) -> None:
    await publish(TierRule("all", "All", 0, spend(0), downgrade=IMMEDIATE))
    mei = await person()
    assert await history(mei) == [(None, "all", "QUALIFIED", 0)]
    await book(mei, -1)
    assert await tier(mei) is None


# ---- invitations


async def bought(inviter_id: int) -> int:
    return (await Standing.get(member_id=inviter_id)).invited_bought


async def invited() -> tuple[int, int]:
    """Lin, who gets a tier for one invitee who bought, and Mei, who is invited."""
    await publish(
        TierRule("guest", "Guest", 1, leaf("INVITED_REGISTERED", 1), downgrade=IMMEDIATE),
        TierRule("host", "Host", 2, leaf("INVITED_BOUGHT", 1), downgrade=IMMEDIATE),
        TierRule("guide", "Guide", 3, leaf("INVITED_PROMOTED", 1), downgrade=IMMEDIATE),
    )
    lin, mei = await person("lin"), await person("mei")
    await invite(lin, mei)
    return lin, mei


async def test_a_buying_invitee_counts_until_all_was_refunded_and_again_later(
    opened: str,
) -> None:
    lin, mei = await invited()
    assert (await bought(lin), await tier(lin)) == (0, "guest")

    await book(mei, 1)
    assert (await bought(lin), await tier(lin)) == (1, "host")
    await book(mei, 5_000, -5_000)
    assert await bought(lin) == 1
    await book(mei, -1)
    assert (await bought(lin), await tier(lin)) == (0, "guest")
    assert (await Invitation.get()).bought_at is None
    await book(mei, -5, 5)
    assert await bought(lin) == 0
    await book(mei, 7, at=NOW + DAY)
    assert (await bought(lin), await tier(lin)) == (1, "host")
    assert (await Invitation.get()).bought_at == NOW  # the first order is still the first

    assert [(one, other, why) for one, other, why, _ in await history(lin)] == [
        (None, "guest", "QUALIFIED"),
        ("guest", "host", "QUALIFIED"),
        ("host", "guest", "REFUNDED"),
        ("guest", "host", "QUALIFIED"),
    ]


async def test_an_earlier_order_makes_the_invitee_a_buyer_since_then(opened: str) -> None:
    lin, mei = await invited()
    await book(mei, 1)
    await book(mei, 1, at=NOW - 9 * DAY)
    assert (await bought(lin), (await Invitation.get()).bought_at) == (1, NOW - 9 * DAY)
    assert len(await history(lin)) == 2


async def test_an_invitee_of_two_counts_for_both(opened: str) -> None:
    lin, mei = await invited()
    lan = await person("lan")
    await invite(lan, mei)
    await book(mei, 1)
    await promote(mei)
    assert [await tier(each) for each in (lin, lan, mei)] == ["guide", "guide", None]


async def test_an_invitee_is_promoted_once(opened: str) -> None:
    lin, mei = await invited()
    await promote(mei)
    await promote(mei, NOW + DAY)
    row = await Standing.get(member_id=lin)
    assert (row.invited_promoted, (await Invitation.get()).promoted_at) == (1, NOW)
    assert await tier(lin) == "guide"


# ---- windows


async def test_what_lies_outside_of_the_window_counts_for_the_lifetime_alone(opened: str) -> None:
    await publish(
        TierRule("lately", "Lately", 2, spend(10, window="LAST_DAYS", days=30)),
        TierRule("ever", "Ever", 1, spend(10)),
    )
    mei = await person()
    await book(mei, 10, at=NOW - 30 * DAY - timedelta(microseconds=1))
    assert await tier(mei) == "ever"
    await book(mei, 9, at=NOW - 30 * DAY)
    assert await tier(mei) == "ever"
    await book(mei, 1, at=NOW)
    assert await tier(mei) == "lately"
    row = await Standing.get(member_id=mei)
    assert row.review_at == NOW + timedelta(microseconds=1)  # the oldest one in it leaves it


async def test_the_history_names_what_the_rules_measured(opened: str) -> None:
    rule = any_of(spend(10, window="LAST_DAYS", days=30), leaf("FEE", 9, plan="basic"))
    await publish(TierRule("lately", "Lately", 1, rule))
    mei = await person()
    await book(mei, 7, at=NOW - 40 * DAY)
    await book(mei, 10)
    [change] = await TierChange.all()
    assert change.metrics == {
        "SPEND": 17,
        "FEE": 0,
        "INVITED_REGISTERED": 0,
        "INVITED_BOUGHT": 0,
        "INVITED_PROMOTED": 0,
        "POINTS_EARNED": 0,
        "SPEND LAST_DAYS 30": 10,
        "FEE basic": 0,
    }


async def test_a_standing_as_of_now_is_measured_without_writing(opened: str) -> None:
    await publish(TierRule("lately", "Lately", 1, spend(10, window="LAST_DAYS", days=30)))
    mei = await person()
    await book(mei, 10)
    before = await Standing.all().values()
    term = Term(TierMetric.SPEND, None, plans.Window.LAST_DAYS, 30)

    for now, value in ((NOW + 30 * DAY, 10), (NOW + 31 * DAY, 0)):
        ladder, measured = await standings.of([mei], now)
        assert ladder.version == 1
        assert {each: of.values for each, of in measured.items()} == {mei: {term: value}}

    assert await Standing.all().values() == before


# ---- statements

WINDOWED = [
    TierRule(
        "lately",
        "Lately",
        1,
        any_of(
            spend(300_000, window="CALENDAR_YEAR"),
            all_of(spend(200_000, window="LAST_DAYS", days=30), leaf("FEE", 1, plan="basic")),
            leaf("INVITED_BOUGHT", 3, window="LAST_DAYS", days=90),
        ),
    ),
    TierRule("gold", "Gold", 2, spend(500_000)),
]


async def statements_of_a_batch(size: int, name: str) -> int:
    """How many statements it takes to book an order of 3,000.00 for so many members."""
    members = [await person(f"{name}{number}") for number in range(size)]
    await book(members[0])  # whoever comes first after rules were published reads them

    @database.unit_of_work
    async def lift_all() -> None:
        booked = await Standings.load(members, NOW)
        for member_id in members:
            booked.add_spend(member_id, 300_000, next(conversion_ids), NOW)
        await booked.save()

    with watched() as statements:
        await lift_all()
    return len(statements)


@pytest.mark.parametrize("windowed", [False, True])
async def test_a_change_of_tier_costs_two_statements_more_whatever_the_rules_and_the_batch(
    opened: str, windowed: bool
) -> None:
    without = await statements_of_a_batch(2, "x")
    assert await TierChange.all().count() == 0

    await (publish(*WINDOWED) if windowed else factories.ladder())
    for size in (2, 30):
        assert await statements_of_a_batch(size, f"m{size}-") == without + 2  # it, and who is told
        assert await TierChange.all().count() == size
        await TierChange.all().delete()
    assert without == (5 if database.is_postgres() else 4)  # two or three in, two out


async def test_an_approval_that_lapses_costs_no_more_than_the_third(opened: str) -> None:
    without = await statements_of_a_batch(1, "x")
    await publish(
        TierRule("club", "Club", 1, spend(5), requires_approval=True, downgrade=IMMEDIATE)
    )
    mei, an = await person(), await person("an")
    await book(mei, 5)
    applied = await factories.apply(mei, "club")
    await factories.decide(applied.id, an)
    assert await tier(mei) == "club"
    with watched() as statements:
        await book(mei, -1)
    assert await tier(mei) is None
    assert len(statements) == without + 3


async def test_loading_without_booking_writes_nothing(embedded: str) -> None:
    mei = await member()
    await book(mei)
    with watched() as statements:
        await book(mei)
    assert len(statements) == 2, statements
    assert all(each.startswith("SELECT") for each in statements)


async def test_rules_that_were_published_meanwhile_are_read_at_the_next_fact(opened: str) -> None:
    mei = await member()
    await book(mei, 299_999)
    gold = TierRule("gold", "Gold", 1, spend(300_000), downgrade=IMMEDIATE)
    await publish(gold)
    await book(mei, 1)
    assert await tier(mei) == "gold"
    assert [row.rules_version for row in await TierChange.all()] == [2]


# ---- at once


async def test_tasks_that_book_for_one_member_at_once_end_right(opened: str) -> None:
    mei = await member()

    await asyncio.gather(*(book(mei, 100_000) for _ in range(6)))

    assert await stands(mei) == (600_000, "gold")
    assert await history(mei) == [
        (None, "silver", "QUALIFIED", 300_000),
        ("silver", "gold", "QUALIFIED", 500_000),
    ]


async def test_invitees_of_one_inviter_who_buy_at_once_all_count(opened: str) -> None:
    await publish(
        *(
            TierRule(f"t{number}", "T", number, leaf("INVITED_BOUGHT", number))
            for number in range(1, 9)
        )
    )
    lin = await person("lin")
    invitees = [await person(f"m{number}") for number in range(8)]
    for each in invitees:
        await invite(lin, each)
    await asyncio.gather(*(book(each, 5) for each in invitees))
    assert (await bought(lin), await tier(lin)) == (8, "t8")
    assert [to for _, to, _, _ in await history(lin)] == [f"t{number}" for number in range(1, 9)]


async def test_members_who_invited_each_other_in_a_ring_never_wait_crosswise(opened: str) -> None:
    await factories.ladder()
    ring = [await person(f"m{number}") for number in range(6)]
    for place, each in enumerate(ring):
        await invite(ring[place - 1], each)
    await asyncio.gather(*(book(each, 5) for each in ring for _ in range(4)))
    assert [await stands(each) for each in ring] == [(20, None)] * 6
    assert [await bought(each) for each in ring] == [1] * 6


@pytest.mark.postgres
@pytest.mark.parametrize("second", ["an enrolment", "an order"])
async def test_an_enrolment_sees_what_was_booked_while_it_waited(
    postgres_url: str, second: str
) -> None:
    """An invitee enrols, or buys, while the other is under way: neither undoes the other."""
    async with database.opened(postgres_url):
        lin, mei = await invited()
        locked = asyncio.Event()

        @database.unit_of_work
        async def first() -> None:
            booked = await Standings.load({mei}, NOW)
            locked.set()
            await elsewhere.waiting(postgres_url, 1)
            booked.promote(mei, NOW)
            if second == "an enrolment":
                booked.add_spend(mei, 5, next(conversion_ids), NOW)
            await booked.save()

        async def other() -> None:
            await locked.wait()
            await (promote(mei, NOW + DAY) if second == "an enrolment" else book(mei, 5))

        await asyncio.gather(first(), other())

        row = await Standing.get(member_id=lin)
        assert (row.invited_registered, row.invited_bought, row.invited_promoted) == (1, 1, 1)
        invitation = await Invitation.get()
        assert (invitation.bought_at, invitation.promoted_at) == (NOW, NOW)


async def test_what_staff_give_has_their_name_on_it(opened: str) -> None:
    await factories.ladder()
    mei, an = await person(), await person("an")
    await factories.grant(mei, "gold", an)
    [change] = await TierChange.all()
    assert (change.reason, change.actor_id) == (TierChangeReason.GRANTED, an)
