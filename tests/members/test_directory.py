"""Members are found by any piece of what staff knows of them, newest first, the same on either
database and on every way of looking."""

import itertools
import random
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from core import bigrams, database, paging
from members import directory, identity
from members.directory import Wanted
from members.identity import NewMember
from members.models import Member, MemberRole, Role, Standing, Tier
from tests import factories, former

PEOPLE = {
    "zhang": NewMember("张三丰", "Zhang.Sanfeng@Example.com", "+86 138-0013-8000"),
    "mei": NewMember("Ｍｅｉ Ling", "mei+tea@example.com", "13800138001"),
    "strasse": NewMember("Straße 50%_off!", None, "+86 (10) 6552 9988"),
    "lei": NewMember("李雷 (Li Lei)", "LEI@example.org"),
}
CHARACTERS = "ab1 2张三丰"


async def settle(*names: str) -> None:
    for name in names or PEOPLE:
        await identity.create(PEOPLE[name], factories.NOW)


async def names(wanted: Wanted, first: int = 100) -> list[str]:
    page = await directory.page(wanted, first, None)
    return [edge.node.display_name for edge in page.edges]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("张三丰", ["zhang"]),
        ("三丰", ["zhang"]),
        ("张三", ["zhang"]),
        ("张丰", []),
        ("丰", ["zhang"]),
        ("雷", ["lei"]),
        ("MEI", ["mei"]),
        ("mei ling", ["mei"]),
        ("ling　ｍｅｉ", ["mei"]),
        ("mei lang", []),
        ("meiling", []),
        ("EXAMPLE.COM", ["mei", "zhang"]),
        ("sanfeng@ex", ["zhang"]),
        ("@example 三丰", ["zhang"]),
        ("mei+tea", ["mei"]),
        ("STRASSE", ["strasse"]),
        ("straße", ["strasse"]),
        ("50%", ["strasse"]),
        ("5%", []),
        ("%_o", ["strasse"]),
        ("0_", []),
        ("_", ["strasse"]),
        ("off!", ["strasse"]),
        ("13800138000", ["zhang"]),
        ("138 0013 8000", ["zhang"]),
        ("138-0013-8000", ["zhang"]),
        ("+86138", ["zhang"]),
        ("8000", ["zhang"]),
        ("138-0013-8001", ["mei"]),
        ("1380013 80", ["mei", "zhang"]),
        ("(10)6552-9988", ["strasse"]),
        ("861065529988", ["strasse"]),
        ("(li lei)", ["lei"]),
        ("1", ["strasse", "mei", "zhang"]),
        ("z", ["zhang"]),
        ("", ["lei", "strasse", "mei", "zhang"]),
        (" \u3000 - ", ["lei", "strasse", "mei", "zhang"]),
        ("\0", []),
        ("\ud800", []),
        ("'", []),
        (":grams $1", []),
    ],
)
async def test_a_search_finds_every_piece_whatever_its_case_and_width(
    opened: str, search: str, found: list[str]
) -> None:
    await settle()
    assert await names(Wanted(search)) == [PEOPLE[each].display_name for each in found]
    assert await directory.count(Wanted(search)) == len(found)


async def test_pairs_that_a_text_has_apart_are_not_the_text(opened: str) -> None:
    for name in ("张三 三丰", "三丰张三", "张三丰"):
        await identity.create(NewMember(name), factories.NOW)
    assert await names(Wanted("张三丰")) == ["张三丰"]
    assert await directory.count(Wanted("张三丰")) == 1
    assert await names(Wanted("三丰 张三")) == ["张三丰", "三丰张三", "张三 三丰"]


async def test_a_search_of_200_characters_is_made_and_one_more_finds_nothing(opened: str) -> None:
    await settle()
    assert await names(Wanted("mei".ljust(200))) == ["Ｍｅｉ Ling"]
    assert await names(Wanted("mei".ljust(201))) == []


async def test_who_changes_is_found_by_what_is_new_alone(opened: str) -> None:
    await settle("mei", "lei")
    member = await Member.get(display_name="Ｍｅｉ Ling")
    await identity.update(member.id, {"display_name": "王小美", "email": "wang@example.net"})
    assert await names(Wanted("小美")) == await names(Wanted("wang@")) == ["王小美"]
    assert await names(Wanted("13800138001")) == ["王小美"]
    assert await names(Wanted("ling")) == await names(Wanted("mei")) == []


async def test_an_unknown_tier_is_nobodys_and_member_is_everybodys_role(opened: str) -> None:
    await factories.ladder()
    await settle("lei")
    for tier in ("platinum", "", "\0"):
        assert await names(Wanted(tier=tier)) == []
        assert await directory.count(Wanted(tier=tier)) == 0
    assert await names(Wanted(tier="gold")) == []
    assert await names(Wanted(role=Role.MEMBER)) == ["李雷 (Li Lei)"]
    assert await names(Wanted(role=Role.KOC)) == []


async def test_a_role_is_one_that_is_held_not_one_that_is_implied(opened: str) -> None:
    await factories.person("boss", Role.ADMIN)
    await factories.person("koc", Role.KOC, Role.EMPLOYEE)
    assert await names(Wanted(role=Role.ADMIN)) == ["boss"]
    assert await names(Wanted(role=Role.KOC)) == await names(Wanted(role=Role.EMPLOYEE)) == ["koc"]
    assert await names(Wanted(role=Role.FINANCE)) == []


class Crowd:
    """Members at random, and which of them a wish means, found the slow way."""

    def __init__(self, seed: int, size: int) -> None:
        self._chance = random.Random(seed)
        self._size = size
        self._people: list[tuple[int, str, str | None, set[Role]]] = []

    async def settle(self) -> None:
        await factories.ladder()
        tiers = {tier.code: tier for tier in await Tier.all()}
        chance = self._chance
        for number in range(self._size):
            name = "".join(chance.choices(CHARACTERS, k=chance.randint(1, 8))) + "x"
            member = await identity.create(NewMember(name, f"u{number}@a.bc"), factories.NOW)
            tier = chance.choice([None, "silver", "gold"])
            if tier:
                await Standing.filter(member_id=member.id).update(tier_id=tiers[tier].id)
            roles = {role for role in (Role.KOC, Role.EMPLOYEE) if chance.random() < 0.4}
            for role in roles:
                await MemberRole.create(member_id=member.id, role=role)
            self._people.append((member.id, member.search, tier, roles))

    def wishes(self, number: int) -> Sequence[Wanted]:
        chance = self._chance
        pieces = (
            "",
            "x",
            "@a.bc",
            *("".join(chance.choices(CHARACTERS, k=k)) for k in (1, 2, 3, 3, 4)),
        )
        searches = (None, *pieces)
        combinations = itertools.product(
            searches, (None, "silver", "gold"), (None, Role.KOC, Role.EMPLOYEE)
        )
        return chance.sample([Wanted(*each) for each in combinations], number)

    def ids(self, wanted: Wanted) -> list[int]:
        parts = bigrams.fold(wanted.search or "").split()
        return [
            id
            for id, text, tier, roles in reversed(self._people)
            if all(part in text for part in parts)
            and wanted.tier in (None, tier)
            and (wanted.role is None or wanted.role in roles)
        ]


async def listed(wanted: Wanted, first: int) -> list[int]:
    """All ids, page by page."""
    ids: list[int] = []
    after: str | None = None
    while True:
        page = await directory.page(wanted, first, after)
        ids += [edge.node.id for edge in page.edges]
        assert page.has_previous == (after is not None)
        if not page.has_next:
            return ids
        assert len(page.edges) == first
        after = page.edges[-1].cursor


# How many are looked at first, how many more then, and up to how many hits are counted.
@pytest.mark.parametrize(
    ("newest", "growth", "counted"), [(2_000, 5, 10_000), (3, 5, 12), (2, 2, 0), (7, 3, 4)]
)
async def test_every_way_of_looking_lists_the_same(
    opened: str, monkeypatch: pytest.MonkeyPatch, newest: int, growth: int, counted: int
) -> None:
    monkeypatch.setattr(directory, "NEWEST", newest)
    monkeypatch.setattr(directory, "GROWTH", growth)
    monkeypatch.setattr(directory, "COUNTED", counted)
    crowd = Crowd(seed=newest, size=120)
    await crowd.settle()
    for wanted in crowd.wishes(24):
        assert await listed(wanted, 7) == crowd.ids(wanted), wanted
        assert await directory.count(wanted) == len(crowd.ids(wanted)), wanted


async def test_a_new_member_does_not_shift_the_next_page(opened: str) -> None:
    await settle("zhang", "mei", "lei")
    page = await directory.page(Wanted("example"), 2, None)
    await identity.create(NewMember("Example"), factories.NOW)
    rest = await directory.page(Wanted("example"), 2, page.edges[-1].cursor)
    assert [edge.node.display_name for edge in rest.edges] == ["张三丰"]


@pytest.mark.parametrize(("first", "after"), [(0, None), (101, None), (20, "x")])
async def test_a_page_that_cannot_be_is_refused(opened: str, first: int, after: str | None) -> None:
    with pytest.raises(paging.BadPage):
        await directory.page(Wanted(), first, after)


# ------------------------------------------------------------------ how it is looked for

FILL = (
    """INSERT INTO member (id, display_name, created_at, search)
    SELECT n, 'Member ' || n, $1, 'member ' || n || CASE WHEN n % 3 = 0 THEN ' tea' ELSE '' END
    FROM (WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers
          WHERE n < 30000) SELECT n FROM numbers) AS every""",
    """INSERT INTO standing (member_id, spend_minor, tier_id)
    SELECT id, 0, CASE WHEN id % 2 = 0 THEN (SELECT id FROM tier WHERE code = 'gold') END
    FROM member""",
    """INSERT INTO member_role (member_id, role) SELECT id, 'KOC' FROM member WHERE id % 5 = 0""",
)
WISHES = [
    Wanted(search, tier, role)
    for search in (None, "member 29999", "member 77", "tea", "mber", "1111", "aet", "r", "9 8")
    for tier in (None, "gold", "silver")
    for role in (None, Role.KOC, Role.FINANCE)
]
UNKNOWN = (
    "DELETE FROM pg_statistic WHERE starelid IN ('member'::regclass, 'standing'::regclass)",
    "UPDATE pg_class SET reltuples = -1, relpages = 0"
    " WHERE relname IN ('member', 'standing', 'member_role')",
)
WHOLE = re.compile(r"Seq Scan on (member|standing|member_role)\b|SCAN (member|standing)\b")


@pytest.fixture
async def thirty_thousand(opened: str) -> None:
    await factories.ladder()
    for statement in FILL:
        await database.rows(statement, *([factories.NOW] if "$1" in statement else []))


@pytest.mark.parametrize("analyzed", [False, True])
async def test_no_page_goes_through_the_whole_table_whatever_the_planner_knows(
    thirty_thousand: None, monkeypatch: pytest.MonkeyPatch, analyzed: bool
) -> None:
    monkeypatch.setattr(directory, "NEWEST", 200)
    if analyzed:
        await database.client().execute_query("ANALYZE")
    elif database.is_postgres():
        for statement in UNKNOWN:
            await database.execute(statement)
    plans: dict[str, str] = {}
    explain = "EXPLAIN" if database.is_postgres() else "EXPLAIN QUERY PLAN"
    rows = database.rows

    async def explained(sql: str, *values: Any) -> list[dict[str, Any]]:
        plan = await rows(f"{explain} {sql}", *values)
        plans[sql] = "\n".join(str([*step.values()]) for step in plan)
        return await rows(sql, *values)

    monkeypatch.setattr(database, "rows", explained)
    for wanted in WISHES:
        await directory.page(wanted, 20, None)
    assert any("member_bigrams" in plan for plan in plans.values())
    for sql, plan in plans.items():
        assert WHOLE.search(plan) is None, (sql, plan)


# ------------------------------------------------------------------ those who were there before


@pytest.fixture(params=former.KINDS)
async def before(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """A database as it was before there was a directory."""
    async with former.opened(request.param, tmp_path, "members", "0003_sign_in_and_tiers") as url:
        yield url


async def test_members_who_were_there_before_are_found(before: str) -> None:
    await database.rows(
        """INSERT INTO member (display_name, email, phone, created_at)
        SELECT '张三丰' || n, 'Zhang' || n || '@Example.com', '+86 138-' || n, $1
        FROM (WITH RECURSIVE numbers (n) AS (SELECT 10000 UNION ALL SELECT n + 1 FROM numbers
              WHERE n < 11000) SELECT n FROM numbers) AS every""",
        factories.NOW,
    )
    assert "members.0004_directory" in await database.migrate()
    for search in ("三丰10000", "zhang11000@", "86138-10999"):
        assert len(await names(Wanted(search))) == 1, search
    assert await directory.count(Wanted("三丰 example")) == 1_001
