"""What came of links, over real HTTP: who sees it, and that it is what workers counted."""

import asyncio
import contextlib
import csv
import io
from datetime import UTC, datetime, timedelta

import pytest

from api import exporting
from api.exporting import Report
from api.nodes import to_id
from core import database
from core.outbox import LeaseLost
from members.models import Member, Role
from referral import counting, crediting, invitations
from referral.insight import Span
from referral.models import Link
from tests import factories
from tests.api.books import on_sqlite_alone
from tests.api.test_cli import wellspring
from tests.client import Api
from tests.factories import NOW, Stage
from tests.members.statements import watched
from tests.referral import scene

HOUR = timedelta(hours=1)
LATER = "2026-03-01T12:00:00.000001Z"
MINE = """query ($since: DateTime, $until: DateTime) { viewer { enrollments { program { code }
  stats(since: $since, until: $until) {
    clicks visitors botHits registrations orders revenueMinor creditedMinor
    series(bucket: HOUR) { at clicks registrations orders creditedMinor } } } } }"""
LINKS = """{ viewer { conversions { nodes { externalId attributions { link { code
  stats { clicks orders revenueMinor creditedMinor days: series { at orders } } } } } } } }"""
INVITEES = """{ viewer { invitees(first: 1) { totalCount pageInfo { hasNextPage endCursor }
  nodes { member { displayName tier { code } } program { code } bound registeredAt firstOrderAt
    creditedMinor } } } }"""
BOARD = """query ($program: String!, $first: Int! = 20, $since: DateTime) {
  leaderboard(program: $program, first: $first, since: $since) {
    rank promoter { displayName } clicks registrations orders revenueMinor creditedMinor } }"""
FUNNEL = """query ($program: String!, $since: DateTime, $until: DateTime) {
  funnel(program: $program, since: $since, until: $until) { channel content { slug } clicks visits
    registrations orders credited } }"""
SHOPS = """query ($id: String!) { conversion(source: "shop", externalId: $id) {
  attributions { link { stats { clicks } } } } }"""


async def decide() -> None:
    """Has everything credited, whether or not a worker does it meanwhile."""
    while await scene.open_messages():
        with contextlib.suppress(LeaseLost):
            await crediting.work(datetime.now(UTC))
        await asyncio.sleep(0.01)


async def count() -> None:
    while await counting.work():
        pass


async def played() -> Stage:
    """lin's link brought Mei, who bought for 10,000 and sent 1,000 back; a crawler came too."""
    stage = await factories.stage(rate_bps=1_000)
    await factories.link((await factories.person("wu", Role.KOC)).member, stage.program)
    await invitations.enroll(stage.program.id, stage.promoter.member, NOW)
    mei = await scene.customer(stage.link, ago=HOUR)
    await factories.click(stage.link, "crawler-1", NOW, bot_reason="crawler")
    shop = scene.shop(stage)
    await shop.order("A-1", 10_000, mei)
    await shop.refund("R-1", 1_000, of="A-1")
    await decide()
    await count()
    return stage


async def test_a_promoter_sees_what_came_of_its_links(live: Api) -> None:
    stage = await played()
    found = await live.ask(MINE, stage.promoter.token)
    [mine] = found["enrollments"]
    series = mine["stats"].pop("series")
    assert mine["stats"] == {
        "clicks": 1,
        "visitors": 1,
        "botHits": 1,
        "registrations": 1,
        "orders": 1,
        "revenueMinor": 9_000,
        "creditedMinor": 900,
    }
    assert series == [
        {
            "at": "2026-03-01T11:00:00Z",
            "clicks": 1,
            "registrations": 0,
            "orders": 0,
            "creditedMinor": 0,
        },
        {
            "at": "2026-03-01T12:00:00Z",
            "clicks": 0,
            "registrations": 1,
            "orders": 1,
            "creditedMinor": 900,
        },
    ]
    before = await live.ask(MINE, stage.promoter.token, until="2026-03-01T20:00:00+08:00")
    assert before["enrollments"][0]["stats"]["orders"] == 0  # `until` is noon, and not included
    later = await live.ask(MINE, stage.promoter.token, since="2026-03-01T20:00:00+08:00")
    assert later["enrollments"][0]["stats"]["clicks"] == 0
    assert later["enrollments"][0]["stats"]["orders"] == 1


async def test_the_owner_and_staff_see_what_came_of_a_link_and_nobody_else(live: Api) -> None:
    stage = await played()
    found = await live.ask(LINKS, stage.promoter.token)
    [order] = [each for each in found["conversions"]["nodes"] if each["externalId"] == "A-1"]
    assert order["attributions"][0]["link"]["stats"] == {
        "clicks": 1,
        "orders": 1,
        "revenueMinor": 9_000,
        "creditedMinor": 900,
        "days": [{"at": "2026-02-28T16:00:00Z", "orders": 1}],  # the day begins in Shanghai
    }
    staff = await factories.person("ops", Role.OPERATOR)
    shown = await live.ask(SHOPS, staff.token, id="A-1")
    assert shown["attributions"][0]["link"]["stats"]["clicks"] == 1
    assert await live.refused(SHOPS, stage.shop.token, id="A-1") == "FORBIDDEN"


async def test_workers_count_by_themselves(live: Api) -> None:
    stage = await factories.stage()
    await invitations.enroll(stage.program.id, stage.promoter.member, NOW)
    await live.visit(stage.link.code)
    for _ in range(400):
        found = await live.ask(MINE, stage.promoter.token)
        if found["enrollments"][0]["stats"]["clicks"] == 1:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("nobody has counted the click")


@on_sqlite_alone
async def test_links_of_a_page_are_read_at_once(live: Api) -> None:
    stage = await played()
    mei = await Member.get(display_name="Mei")
    for number in range(3):
        await scene.shop(stage).order(f"B-{number}", 100, mei)
    await decide()
    await count()
    query = (
        """{ viewer { conversions { nodes { attributions { link { stats { clicks } } } } } } }"""
    )
    with watched() as one:
        await live.ask(query.replace("conversions", "conversions(first: 1)"), stage.promoter.token)
    with watched() as many:
        await live.ask(query, stage.promoter.token)
    counters = [sum("hour_count" in each for each in watch) for watch in (one, many)]
    assert counters == [1, 1]


async def test_the_leaderboard_ranks_who_brought_something(live: Api) -> None:
    stage = await played()
    wu = await Member.get(display_name="wu")
    await factories.click(await Link.get(owner_id=wu.id), "visitor-9", NOW)
    await count()
    board = await live.ask(BOARD, stage.promoter.token, program="friends")
    assert [(each["rank"], each["promoter"]["displayName"], each["clicks"]) for each in board] == [
        (1, "lin", 1),
        (2, "wu", 1),
    ]
    assert board[0] | {"promoter": None} == {
        "rank": 1,
        "promoter": None,
        "clicks": 1,
        "registrations": 1,
        "orders": 1,
        "revenueMinor": 9_000,
        "creditedMinor": 900,
    }
    assert len(await live.ask(BOARD, stage.promoter.token, program="friends", first=1)) == 1
    assert await live.ask(BOARD, stage.promoter.token, program="friends", since=LATER) == []


async def test_the_leaderboard_is_for_promoters_of_the_program_and_staff(live: Api) -> None:
    stage = await played()
    await factories.program("others")
    stranger = await factories.person("hua", Role.KOC)
    finance = await factories.person("fin", Role.FINANCE)
    assert await live.refused(BOARD, stranger.token, program="friends") == "FORBIDDEN"
    assert await live.refused(BOARD, stage.promoter.token, program="others") == "FORBIDDEN"
    assert await live.refused(BOARD, program="friends") == "UNAUTHENTICATED"
    assert len(await live.ask(BOARD, finance.token, program="friends")) == 1
    for wrong in ({"program": "nobody"}, {"program": "friends", "first": 0}):
        assert await live.refused(BOARD, finance.token, **wrong) == "BAD_USER_INPUT"
    assert (
        await live.refused(BOARD, finance.token, program="friends", first=101) == "BAD_USER_INPUT"
    )


async def test_the_funnel_goes_by_channel_and_content(live: Api) -> None:
    stage = await played()
    tea = await factories.piece("tea")
    await Link.filter(id=stage.link.id).update(channel="wechat")
    shared = await factories.link(stage.promoter.member, stage.program)
    await Link.filter(id=shared.id).update(channel="wechat", content_id=tea)
    for minute in (0, 10, 31):
        await factories.click(shared, "visitor-1", NOW + timedelta(minutes=minute))
    await count()
    staff = await factories.person("ops", Role.OPERATOR)
    rows = await live.ask(FUNNEL, staff.token, program="friends")
    nothing = dict.fromkeys(("registrations", "orders", "credited"), 0)
    one = dict.fromkeys(("clicks", "visits", "registrations", "orders", "credited"), 1)
    assert rows == [
        {"channel": "wechat", "content": {"slug": "tea"}, "clicks": 3, "visits": 2} | nothing,
        {"channel": "wechat", "content": None} | one,
    ]
    part = {"since": "2026-03-01T12:05:00Z", "until": "2026-03-01T12:31:00.000001Z"}
    [row] = await live.ask(FUNNEL, staff.token, program="friends", **part)
    assert (row["clicks"], row["visits"]) == (2, 1)
    assert await live.refused(FUNNEL, stage.promoter.token, program="friends") == "FORBIDDEN"


async def test_a_promoter_sees_its_invitees_and_what_they_brought(live: Api) -> None:
    stage = await played()
    await scene.customer(stage.link, name="Hua")
    page = (await live.ask(INVITEES, stage.promoter.token))["invitees"]
    assert (page["totalCount"], page["pageInfo"]["hasNextPage"]) == (2, True)
    [hua] = page["nodes"]
    assert hua == {
        "member": {"displayName": "Hua", "tier": None},
        "program": {"code": "friends"},
        "bound": False,
        "registeredAt": "2026-03-01T12:00:00Z",
        "firstOrderAt": None,
        "creditedMinor": 0,
    }
    after = f'first: 1, after: "{page["pageInfo"]["endCursor"]}"'
    rest = await live.ask(INVITEES.replace("first: 1", after), stage.promoter.token)
    [mei] = rest["invitees"]["nodes"]
    assert (mei["member"]["displayName"], mei["creditedMinor"]) == ("Mei", 900)
    assert mei["firstOrderAt"] == "2026-03-01T12:00:00Z"
    query = INVITEES.replace("displayName", "email")
    assert await live.refused(query, stage.promoter.token) == "FORBIDDEN"


async def test_an_invitee_is_shown_as_bound_while_it_is(live: Api) -> None:
    stage = await factories.stage()
    await type(stage.program).filter(id=stage.program.id).update(binding="ON_REGISTRATION")
    mei = await scene.customer(stage.link)
    query = INVITEES.replace("first: 1", "first: 20")
    [shown] = (await live.ask(query, stage.promoter.token))["invitees"]["nodes"]
    assert shown["bound"] is True
    await database.execute("UPDATE binding SET ends_at = $1 WHERE member_id = $2", NOW, mei.id)
    [shown] = (await live.ask(query, stage.promoter.token))["invitees"]["nodes"]
    assert shown["bound"] is False


# ------------------------------------------------------------------ CSV


async def exported(report: Report, span: Span = Span()) -> list[list[str]]:  # noqa: B008 - frozen
    file = io.StringIO()
    assert await exporting.write(report, "friends", span, file) >= 0
    return [*csv.reader(io.StringIO(file.getvalue()))]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", 'a"b,c', "Lin"])
async def test_no_cell_of_an_export_is_a_formula(sqlite_url: str, name: str) -> None:
    async with database.opened(sqlite_url):
        stage = await played()
        await Member.filter(id=stage.promoter.member.id).update(display_name=name)
        await Link.filter(id=stage.link.id).update(channel=name)
        shown = name if name[0] in "aL" else f"'{name}"
        heading, row = await exported(Report.LEADERBOARD)
        assert heading[:3] == ["rank", "promoter", "name"]
        assert row == [
            *("1", to_id("Member", stage.promoter.member.id), shown),
            *("1", "1", "1", "9000", "900"),
        ]
        heading, row = await exported(Report.FUNNEL)
        assert heading[:2] == ["channel", "content"]
        assert row == [shown, "", "1", "1", "1", "1", "1", "9000", "900"]
        assert len(await exported(Report.FUNNEL, Span(NOW + HOUR))) == 1


@pytest.mark.slow
async def test_the_command_prints_an_export(sqlite_url: str) -> None:
    async with database.opened(sqlite_url):
        await played()
    since = ("--since", "2026-03-01T19:30:00+08:00")
    done = wellspring(sqlite_url, "export-stats", "friends", "--report", "funnel", *since)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == [",,0,0,1,1,1,9000,900"]
    wrong = wellspring(sqlite_url, "export-stats", "nobody")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wellspring(sqlite_url, "recount").returncode == 0
    async with database.opened(sqlite_url):
        await count()
        assert len(await exported(Report.FUNNEL)) == 2
