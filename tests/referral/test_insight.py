"""Counters equal a plain recount, whatever happened in which order and was killed when."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from core import database
from members.models import Asset, Role
from referral import counting, insight, reconciliation, recounting
from referral.errors import ExceedsOrder
from referral.insight import Span, figures, of_links, of_program, of_promoter
from referral.models import (
    Attribution,
    AttributionModel,
    Commission,
    ConversionType,
    HourCount,
    Link,
    Outcome,
    Touch,
)
from tests import factories
from tests.factories import NOW
from tests.referral import scene

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
EVER = Span()


async def count() -> None:
    """Counts until nothing is left to count."""
    while await counting.work():
        pass
    assert not await counting.is_due()


async def click(link: Link, visitor: str, at: datetime, bot: str | None = None) -> None:
    await factories.click(link, visitor, at, bot_reason=bot)


async def of_link(link: Link, since: datetime | None = None, until: datetime | None = None) -> dict:
    """The figures of the link that are not zero, visits too."""
    found = await figures(of_links([link.id]), "link_id", Span(since, until), with_visits=True)
    return {name: number for name, number in found[link.id].items() if number}


# ------------------------------------------------------------------ a plain recount


def opened(clicks: list[datetime]) -> Iterator[datetime]:
    """The clicks of one visitor on one link that begin a visit: half an hour counts from there."""
    began = None
    for at in sorted(clicks):
        if began is None or at > began + timedelta(minutes=30):
            began = at
            yield at


async def recounted(since: datetime | None = None, until: datetime | None = None) -> dict:
    """All figures by promoter and link, counted from the facts, one by one."""
    found: dict[tuple[int, int], Counter[str]] = {}

    def add(promoter_id: int, link_id: int, name: str, at: datetime, number: int = 1) -> None:
        if (since is None or at >= since) and (until is None or at < until) and number:
            found.setdefault((promoter_id, link_id), Counter())[name] += number

    series: dict[tuple[int, int, str], list[datetime]] = {}
    for touch in await Touch.all().select_related("link"):
        owner = touch.link.owner_id
        if touch.bot_reason is None:
            add(owner, touch.link_id, "clicks", touch.touched_at)
            series.setdefault((owner, touch.link_id, touch.visitor), []).append(touch.touched_at)
        else:
            add(owner, touch.link_id, "bot_hits", touch.touched_at)
    for (owner, link_id, _), clicks in series.items():
        for at in opened(clicks):
            add(owner, link_id, "visits", at)
    shares = await Attribution.filter(level=1).order_by("id").select_related("conversion")
    for share in shares:
        what, at = share.conversion, share.conversion.occurred_at
        mine = (share.promoter_id, share.link_id or 0)
        paid = await Commission.filter(
            conversion_id=what.id, promoter_id=share.promoter_id, level=1
        )
        cash = sum(each.amount - each.reversed for each in paid if each.asset is Asset.CASH)
        if what.type is ConversionType.REGISTRATION:
            add(*mine, "registrations", at)
        if what.type is ConversionType.ORDER and what.amount_minor > 0:
            add(*mine, "orders", at)
            add(*mine, "credited", at, int(any(each.amount > each.reversed for each in paid)))
        add(*mine, "credited_minor", at, cash)
        same = [
            each
            for each in shares
            if (each.conversion_id, each.program_id) == (what.id, share.program_id)
        ]
        left = parts(what.amount_minor - what.refunded_minor, [each.weight_ppm for each in same])
        add(*mine, "revenue_minor", at, left[[each.id for each in same].index(share.id)])
    return found


def parts(whole: int, weights: list[int]) -> list[int]:
    """The whole by weight; one unit after the other goes to who is furthest below their part."""
    found = [whole * weight // 1_000_000 for weight in weights]
    while sum(found) < whole:
        lacking = [whole * w - f * 1_000_000 for w, f in zip(weights, found, strict=True)]
        found[lacking.index(max(lacking))] += 1
    return found


async def counters(since: datetime | None = None, until: datetime | None = None) -> dict:
    """The same from the counters."""
    found: dict[tuple[int, int], Counter[str]] = {}
    links = {link.id: link.owner_id for link in await Link.all()}
    for program_id in {link.program_id for link in await Link.all()}:
        span = Span(since, until)
        by_link = await figures(of_program(program_id), "link_id", span, with_visits=True)
        for link_id, numbers in by_link.items():
            if link_id:
                found[links[link_id], link_id] = Counter({k: v for k, v in numbers.items() if v})
        by_promoter = await figures(of_program(program_id), "promoter_id", span, with_visits=True)
        for promoter_id, numbers in by_promoter.items():
            rest = Counter({k: v for k, v in numbers.items() if v})
            for (owner, link_id), theirs in found.items():
                if owner == promoter_id and link_id:
                    rest.subtract(theirs)
            if any(rest.values()):
                found[promoter_id, 0] = Counter({k: v for k, v in rest.items() if v})
    return {key: numbers for key, numbers in found.items() if numbers}


async def agree(since: datetime | None = None, until: datetime | None = None) -> None:
    assert await counters(since, until) == await recounted(since, until)


# ------------------------------------------------------------------ what is counted


async def test_clicks_of_people_their_visits_and_bots_are_counted_apart(opened: str) -> None:
    link = (await factories.stage()).link
    await click(link, "visitor-1", NOW)
    await click(link, "visitor-1", NOW + MINUTE)
    await click(link, "visitor-2", NOW)
    await click(link, "crawler-1", NOW, bot="crawler")
    await count()
    assert await of_link(link) == {"clicks": 3, "visits": 2, "bot_hits": 1}
    assert await insight.visitors(of_links([link.id]), EVER) == 2
    await agree()


@pytest.mark.parametrize(("later", "visits"), [(30 * MINUTE, 1), (31 * MINUTE, 2)])
async def test_half_an_hour_after_its_first_click_a_visit_is_over(
    opened: str, later: timedelta, visits: int
) -> None:
    link = (await factories.stage()).link
    for at in (NOW, NOW + 20 * MINUTE, NOW + later):
        await click(link, "visitor-1", at)
        await count()
    assert (await of_link(link))["visits"] == visits
    await agree()


async def test_a_touch_that_tells_of_the_past_moves_the_beginning_of_a_visit(opened: str) -> None:
    link = (await factories.stage()).link
    await click(link, "visitor-1", NOW)
    await click(link, "visitor-1", NOW + 40 * MINUTE)
    await count()
    assert (await of_link(link))["visits"] == 2
    await click(link, "visitor-1", NOW - 20 * MINUTE)  # the hour before; NOW is a visit's second
    await count()
    assert (await of_link(link, NOW - HOUR, NOW))["visits"] == 1
    assert (await of_link(link))["visits"] == 3 - 1
    await agree()


async def test_an_order_counts_for_its_link_and_a_refund_takes_its_part_back(opened: str) -> None:
    stage = await factories.stage(rate_bps=1_000)
    shop, mei = scene.shop(stage), await scene.customer(stage.link)
    await shop.order("A-1", 10_000, mei)
    await shop.order("A-0", 0, mei)
    await scene.settle()
    await count()
    whole = {"clicks": 1, "visits": 1, "registrations": 1}
    sold = {"orders": 1, "credited": 1, "revenue_minor": 10_000, "credited_minor": 1_000}
    assert await of_link(stage.link) == whole | sold

    await shop.refund("R-1", 2_500, of="A-1")
    await scene.settle()
    await count()
    part = {"revenue_minor": 7_500, "credited_minor": 750}
    assert await of_link(stage.link) == whole | sold | part
    await agree()

    await shop.refund("R-2", 7_500, of="A-1")
    await scene.settle()
    await count()
    assert await of_link(stage.link) == whole | {"orders": 1}
    await agree()


async def test_the_parts_of_a_shared_order_sum_to_the_whole(opened: str) -> None:
    stage = await factories.stage()
    await type(stage.program).filter(id=stage.program.id).update(model=AttributionModel.LINEAR)
    links = [stage.link]
    for name in ("wu", "bo"):
        other = await factories.person(name, Role.EMPLOYEE)
        links.append(await factories.link(other.member, stage.program))
    mei = await scene.customer(stage.link, ago=3 * DAY)
    visitor = (await Touch.all().order_by("id").first()).visitor  # type: ignore[union-attr]
    for link in links[1:]:
        await click(link, visitor, NOW - DAY)
    shop = scene.shop(stage)
    await shop.order("A-1", 100, mei)
    await shop.refund("R-1", 1, of="A-1")
    await scene.settle()
    await count()
    found = [await of_link(link) for link in links]
    assert [each["orders"] for each in found] == [1, 1, 1]
    assert sorted(each["revenue_minor"] for each in found) == [33, 33, 33]
    await shop.refund("R-2", 1, of="A-1")
    await scene.settle()
    await count()
    found = [await of_link(link) for link in links]
    assert sorted(each["revenue_minor"] for each in found) == [32, 33, 33]


async def test_what_comes_by_a_binding_counts_for_the_promoter_alone(opened: str) -> None:
    stage = await factories.stage()
    await (
        type(stage.program)
        .filter(id=stage.program.id)
        .update(binding="ON_REGISTRATION", window_days=1)
    )
    shop, mei = scene.shop(stage), await scene.customer(stage.link)
    await shop.order("A-1", 5_000, mei, at=NOW + 3 * MINUTE)
    await shop.order("A-2", 700, mei, at=NOW)
    await scene.settle()
    await Touch.all().count()
    await count()
    span = EVER
    mine = await figures(of_promoter(stage.program.id, stage.promoter.member.id), "hour", span)
    assert sum(each["orders"] for each in mine.values()) == 2
    await agree()


# ------------------------------------------------------------------ spans


@pytest.mark.parametrize(
    ("since", "until", "clicks"),
    [
        (None, None, 5),
        (NOW, None, 4),  # included
        (NOW + timedelta(microseconds=1), None, 3),
        (None, NOW + HOUR, 3),  # not included
        (None, NOW + HOUR + timedelta(microseconds=1), 4),
        (NOW + 30 * MINUTE, NOW + 90 * MINUTE, 2),
        (NOW + 30 * MINUTE, NOW + 40 * MINUTE, 1),
        (NOW + 31 * MINUTE, NOW + 40 * MINUTE, 0),
        (NOW, NOW, 0),
        (NOW + HOUR, NOW, 0),
        (NOW - HOUR, NOW + 3 * HOUR, 5),
    ],
)
async def test_a_span_holds_its_beginning_and_not_its_end(
    opened: str, since: datetime | None, until: datetime | None, clicks: int
) -> None:
    link = (await factories.stage()).link
    second = timedelta(seconds=1)
    for at in (NOW - second, NOW, NOW + 30 * MINUTE, NOW + HOUR, NOW + 2 * HOUR - second):
        await click(link, "visitor-1", at)
    await count()
    found = await of_link(link, since, until)
    assert found.get("clicks", 0) == clicks
    by_hour = await figures(of_links([link.id]), "hour", Span(since, until))
    assert sum(each["clicks"] for each in by_hour.values()) == clicks
    assert await insight.visitors(of_links([link.id]), Span(since, until)) == min(clicks, 1)


async def test_offsets_and_the_end_of_time_are_instants_like_others(opened: str) -> None:
    link = (await factories.stage()).link
    await click(link, "visitor-1", NOW)
    await count()
    shanghai = NOW.astimezone(ZoneInfo("Asia/Shanghai"))
    for span, clicks in (
        (insight.span(shanghai, None), 1),
        (insight.span(None, shanghai), 0),
        (insight.span(datetime.max.replace(tzinfo=UTC), None), 0),
        (insight.span(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)), 1),
    ):
        found = await figures(of_links([link.id]), "link_id", span)
        assert found[link.id]["clicks"] == clicks


def test_a_series_has_the_hours_or_the_days_of_the_time_zone() -> None:
    hours = {
        datetime(2026, 3, 1, 15, tzinfo=UTC): Counter(clicks=1),
        datetime(2026, 3, 1, 16, tzinfo=UTC): Counter(clicks=2),  # midnight in Shanghai
        datetime(2026, 3, 2, 3, tzinfo=UTC): Counter(clicks=4),
        datetime(2026, 3, 2, 4, tzinfo=UTC): Counter(clicks=0),
    }
    by_hour = insight.series(hours, None)
    assert [each.figures["clicks"] for each in by_hour] == [1, 2, 4]
    days = insight.series(hours, ZoneInfo("Asia/Shanghai"))
    assert [(each.at, each.figures["clicks"]) for each in days] == [
        (datetime(2026, 2, 28, 16, tzinfo=UTC), 1),
        (datetime(2026, 3, 1, 16, tzinfo=UTC), 6),
    ]


# ------------------------------------------------------------------ whatever happens


class Killed(Exception):
    pass


async def dies(seed: random.Random) -> None:
    """A worker counts and is killed before its transaction ends."""

    @database.unit_of_work
    async def killed() -> None:
        await (counting._count_touches if seed.random() < 0.5 else counting._count_conversions)()
        raise Killed

    with pytest.raises(Killed):
        await killed()


@pytest.mark.parametrize("number", range(6))
async def test_counters_equal_a_recount_after_anything(
    opened: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = random.Random(number)
    monkeypatch.setattr(counting, "BATCH", 3)
    monkeypatch.setattr(counting, "_NEXT", counting._NEXT.replace("LIMIT 1000", "LIMIT 3"))
    stage = await factories.stage(rate_bps=333)
    program = type(stage.program).filter(id=stage.program.id)
    await program.update(binding=seed.choice(["NONE", "ON_REGISTRATION", "ON_FIRST_ORDER"]))
    if seed.random() < 0.5:
        await program.update(model=AttributionModel.POSITION_BASED)
    other = await factories.person("wu", Role.EMPLOYEE)
    links = [stage.link, await factories.link(other.member, stage.program)]
    shop, customers, orders = scene.shop(stage), [], []
    for step in range(40):
        what = seed.random()
        at = NOW - timedelta(minutes=seed.randrange(180))
        if what < 0.4:
            bot = seed.choice([None, None, None, "crawler"])
            await click(seed.choice(links), f"visitor-{seed.randrange(4)}", at, bot)
        elif what < 0.5:
            customers.append(await scene.customer(seed.choice(links), name=f"c{step}"))
        elif what < 0.65 and customers:
            orders.append((f"A-{step}", seed.choice([0, 1, 99_999])))
            await shop.order(*orders[-1], seed.choice(customers), at=at)
        elif what < 0.75 and orders:
            order, amount = seed.choice(orders)
            with contextlib.suppress(ExceedsOrder):
                await shop.refund(f"R-{step}", seed.randint(1, max(1, amount)), of=order)
        elif what < 0.85:
            await scene.settle()
        elif what < 0.95:
            await counting.work()
        else:
            await dies(seed)
    await scene.settle()
    await count()
    since, until = NOW - timedelta(minutes=100), NOW - timedelta(minutes=17)
    for span in ((None, None), (since, until), (since, None), (None, until)):
        await agree(*span)
    assert [each async for each in recounting.problems()] == []


@pytest.mark.postgres
async def test_a_click_that_is_committed_after_later_ones_is_counted(postgres_url: str) -> None:
    async with database.opened(postgres_url):
        link = (await factories.stage()).link
        slow = await asyncpg.connect(postgres_url)
        insert = "INSERT INTO touch (link_id, visitor, touched_at) VALUES ($1, $2, $3)"
        try:
            transaction = slow.transaction()
            await transaction.start()
            await slow.execute(insert, link.id, "visitor-1", NOW)
            await click(link, "visitor-2", NOW)

            assert not await counting.work()  # who is still writing may bring an earlier one
            assert await counting.is_due()

            await transaction.commit()
        finally:
            await slow.close()
        await count()
        assert await of_link(link) == {"clicks": 2, "visits": 2}


@pytest.mark.postgres
async def test_one_that_is_rolled_back_holds_up_nothing(postgres_url: str) -> None:
    async with database.opened(postgres_url):
        link = (await factories.stage()).link
        slow = await asyncpg.connect(postgres_url)
        insert = "INSERT INTO touch (link_id, visitor, touched_at) VALUES ($1, $2, $3)"
        transaction = slow.transaction()
        await transaction.start()
        await slow.execute(insert, link.id, "visitor-1", NOW)
        await click(link, "visitor-2", NOW)
        counted = asyncio.create_task(count())
        await transaction.rollback()
        await slow.close()
        await counted
        assert await of_link(link) == {"clicks": 1, "visits": 1}


async def test_workers_that_count_at_the_same_time_count_once(opened: str) -> None:
    stage = await factories.stage()
    shop, mei = scene.shop(stage), await scene.customer(stage.link)
    await shop.order("A-1", 10_000, mei)
    await scene.settle()
    for number in range(20):
        await click(stage.link, f"visitor-{number % 3}", NOW + number * MINUTE)
    await asyncio.gather(*(counting.work() for _ in range(5)))
    await count()
    await agree()


async def test_counting_from_the_beginning_ends_at_the_same(opened: str) -> None:
    stage = await factories.stage()
    shop, mei = scene.shop(stage), await scene.customer(stage.link)
    await shop.order("A-1", 10_000, mei)
    await scene.settle()
    await count()
    before = await counters()
    await HourCount.all().update(clicks=7)
    await counting.restart()
    await count()
    assert await counters() == before
    await agree()


async def test_reconciling_names_counters_that_are_wrong_and_not_those_that_wait(
    opened: str,
) -> None:
    stage = await factories.stage()
    shop, mei = scene.shop(stage), await scene.customer(stage.link)
    await shop.order("A-1", 10_000, mei)
    await scene.settle()
    assert (await reconciliation.reconcile(NOW)).ok  # nothing is counted yet
    await count()
    await click(stage.link, "visitor-9", NOW)
    await shop.refund("R-1", 10, of="A-1")
    assert (await reconciliation.reconcile(NOW)).ok
    await scene.settle()
    assert (await reconciliation.reconcile(NOW)).ok
    await count()
    await HourCount.filter(orders=1).update(clicks=3, orders=2)
    [problem] = (await reconciliation.reconcile(NOW)).problems
    assert problem.endswith("3 clicks, 1 due; 2 orders, 1 due")
    await HourCount.filter(orders=2).update(clicks=1, orders=1, revenue_minor=1)
    await Outcome.filter(orders=1).update(revenue_minor=1)
    [problem] = (await reconciliation.reconcile(NOW)).problems
    assert "does not count as decided for promoter" in problem
