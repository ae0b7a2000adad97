"""A touch is kept for ever, and a visitor belongs to the first member who presents it."""

import asyncio
from datetime import timedelta

import pytest
from tortoise.exceptions import IntegrityError

from core import database
from core.errors import Invalid
from members.models import Member
from referral import customers, dossier, touches
from referral.models import Touch, Visitor
from tests import factories
from tests.factories import NOW

MINUTE = timedelta(minutes=1)


@database.unit_of_work
async def join(visitor: str, member: Member) -> str:
    return await touches.join(visitor, member.id, NOW)


async def seen(member: Member) -> list[tuple[str, timedelta]]:
    """The member's touches as an attribution sees them."""
    found = (await dossier.read([member.id])).touches.get(member.id, ())
    return sorted((each.visitor, NOW - each.touched_at) for each in found)


@pytest.mark.parametrize("length", [8, 64])
def test_a_visitor_id_has_8_to_64_characters(length: int) -> None:
    visitor = ("!~aZ09-_" * 8)[:length]
    assert touches.check_visitor(visitor) == visitor


@pytest.mark.parametrize(
    "visitor", ["", "x" * 7, "x" * 65, "with blank", "with\ttab", "with\x7fdel", "名" * 8, "é" * 9]
)
def test_any_other_visitor_id_is_refused(visitor: str) -> None:
    with pytest.raises(Invalid) as refused:
        touches.check_visitor(visitor)
    assert refused.value.field == ("visitorId",)


def test_a_new_visitor_id_is_one_and_nobody_else_s() -> None:
    made = {touches.new_visitor() for _ in range(100)}
    assert len(made) == 100
    assert {touches.check_visitor(each) for each in made} == made


async def test_a_click_is_kept_with_its_link_visitor_time_and_class(opened: str) -> None:
    link = (await factories.stage()).link
    await factories.click(link, "visitor-1", NOW - MINUTE)
    await factories.click(link, "visitor-1", NOW, bot_reason="a crawler")
    assert [
        (row.link_id, row.visitor, row.touched_at, row.bot_reason)
        for row in await Touch.all().order_by("id")
    ] == [
        (link.id, "visitor-1", NOW - MINUTE, None),
        (link.id, "visitor-1", NOW, "a crawler"),
    ]
    assert await Visitor.all().count() == 0


async def test_joining_takes_earlier_and_later_touches_along(opened: str) -> None:
    stage = await factories.stage()
    mei = (await factories.person("mei")).member
    await factories.click(stage.link, "visitor-1", NOW - MINUTE)
    assert await seen(mei) == []

    assert await join("visitor-1", mei) == "visitor-1"
    await factories.click(stage.link, "visitor-1", NOW)

    assert await seen(mei) == [("visitor-1", timedelta(0)), ("visitor-1", MINUTE)]


async def test_joining_again_changes_nothing(embedded: str) -> None:
    link = (await factories.stage()).link
    mei = (await factories.person("mei")).member
    await factories.click(link, "visitor-1", NOW)
    assert [await join("visitor-1", mei) for _ in range(3)] == ["visitor-1"] * 3
    assert await Visitor.all().count() == await Touch.all().count() == 1


async def test_a_second_member_gets_a_fresh_visitor_with_the_newest_touch_of_a_person(
    opened: str,
) -> None:
    stage = await factories.stage()
    other = await factories.link(stage.promoter.member, stage.program)
    mei, lan = [(await factories.person(name)).member for name in ("mei", "lan")]
    await factories.click(stage.link, "visitor-1", NOW - 3 * MINUTE)
    await factories.click(other, "visitor-1", NOW - 2 * MINUTE)
    await factories.click(stage.link, "visitor-1", NOW - MINUTE, bot_reason="a crawler")
    await join("visitor-1", mei)

    fresh = await join("visitor-1", lan)

    assert fresh != "visitor-1"
    assert touches.check_visitor(fresh) == fresh
    [copy] = await Touch.filter(visitor=fresh)
    assert (copy.link_id, copy.touched_at, copy.bot_reason) == (other.id, NOW - 2 * MINUTE, None)
    assert (await Visitor.get(id="visitor-1")).member_id == mei.id
    assert await Touch.filter(visitor="visitor-1").count() == 3
    assert [visitor for visitor, _ in await seen(lan)] == [fresh]
    assert await join(fresh, lan) == fresh


async def test_of_two_touches_at_one_instant_the_later_id_is_copied(embedded: str) -> None:
    stage = await factories.stage()
    other = await factories.link(stage.promoter.member, stage.program)
    mei, lan = [(await factories.person(name)).member for name in ("mei", "lan")]
    await factories.click(stage.link, "visitor-1", NOW)
    await factories.click(other, "visitor-1", NOW)
    await join("visitor-1", mei)
    fresh = await join("visitor-1", lan)
    assert (await Touch.get(visitor=fresh)).link_id == other.id


async def test_where_only_bots_clicked_there_is_nothing_to_copy(embedded: str) -> None:
    link = (await factories.stage()).link
    mei, lan = [(await factories.person(name)).member for name in ("mei", "lan")]
    await factories.click(link, "visitor-1", NOW, bot_reason="a crawler")
    await join("visitor-1", mei)
    fresh = await join("visitor-1", lan)
    assert (await Visitor.get(id=fresh)).member_id == lan.id
    assert await seen(lan) == []


async def test_members_who_join_one_visitor_at_once_each_have_their_own(opened: str) -> None:
    link = (await factories.stage()).link
    members = [(await factories.person(f"m{number}")).member for number in range(6)]
    await factories.click(link, "visitor-1", NOW)

    visitors = await asyncio.gather(*(join("visitor-1", each) for each in members))

    assert len(set(visitors)) == 6
    assert visitors.count("visitor-1") == 1
    for member, visitor in zip(members, visitors, strict=True):
        assert (await Visitor.get(id=visitor)).member_id == member.id
        assert await seen(member) == [(visitor, timedelta(0))]


async def test_a_report_of_a_stranger_joins_nobody(embedded: str) -> None:
    link = (await factories.stage()).link
    assert await customers.report(link, "visitor-1", NOW, member_id=None, now=NOW) == "visitor-1"
    assert (await Touch.get()).bot_reason is None
    assert await Visitor.all().count() == 0


async def test_a_report_of_a_signed_in_member_joins_at_once(opened: str) -> None:
    link = (await factories.stage()).link
    mei = (await factories.person("mei")).member
    assert (
        await customers.report(link, "visitor-1", NOW - MINUTE, member_id=mei.id, now=NOW)
        == "visitor-1"
    )
    assert await seen(mei) == [("visitor-1", MINUTE)]
    assert (await Visitor.get()).joined_at == NOW


async def test_a_report_with_somebody_else_s_visitor_is_kept_under_a_fresh_one(
    embedded: str,
) -> None:
    link = (await factories.stage()).link
    mei, lan = [(await factories.person(name)).member for name in ("mei", "lan")]
    await customers.report(link, "visitor-1", NOW - MINUTE, member_id=mei.id, now=NOW)

    fresh = await customers.report(link, "visitor-1", NOW, member_id=lan.id, now=NOW)

    assert fresh != "visitor-1"
    assert await seen(lan) == [(fresh, timedelta(0)), (fresh, MINUTE)]
    assert await seen(mei) == [("visitor-1", MINUTE)]


async def test_no_touch_is_ever_deleted(opened: str) -> None:
    stage = await factories.stage()
    await factories.click(stage.link, touches.new_visitor(), NOW)
    with pytest.raises(IntegrityError):
        await Touch.all().delete()
    assert await Touch.all().count() == 1


async def test_what_decides_is_in_the_index_of_a_visitor_s_touches(opened: str) -> None:
    """Of millions, four touches of one visitor would else be four reads all over the table."""
    stage = await factories.stage()
    visitor = touches.new_visitor()
    for day in range(3):
        await factories.click(stage.link, visitor, NOW + timedelta(days=day))
    explain = "EXPLAIN" if database.is_postgres() else "EXPLAIN QUERY PLAN"
    columns = "id, link_id, visitor, touched_at, bot_reason"

    @database.unit_of_work
    async def plan() -> str:
        await database.trust_indexes()
        if database.is_postgres():
            await database.rows("SELECT set_config('enable_bitmapscan', 'off', true)")
        found = f"{explain} SELECT {columns} FROM touch WHERE visitor = '{visitor}'"
        return str(await database.rows(found))

    told = await plan()
    assert "Index Only Scan" in told or "COVERING INDEX" in told, told
