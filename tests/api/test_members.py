"""Staff list, search and open members over real HTTP."""

from typing import Any

import pytest

from api.nodes import to_id
from members.models import Member, Role, Standing, Tier
from tests import factories
from tests.api.books import on_sqlite_alone
from tests.client import REGISTER, Api
from tests.members.statements import watched

MEMBERS = """
query ($search: String, $tier: String, $role: Role, $first: Int! = 20, $after: String) {
  members(search: $search, tier: $tier, role: $role, first: $first, after: $after) {
    nodes { displayName } pageInfo { hasNextPage endCursor } totalCount
  }
}"""
MEMBER = "query ($id: ID!) { member(id: $id) { id displayName avatarUrl email phone roles } }"


async def names(live: Api, token: str, **wanted: Any) -> list[str]:
    found = await live.ask(MEMBERS, token, **wanted)
    assert found["totalCount"] >= len(found["nodes"])
    return [node["displayName"] for node in found["nodes"]]


async def test_staff_finds_who_joined_by_a_piece_of_name_mail_or_phone(live: Api) -> None:
    operator = await factories.person("operator", Role.OPERATOR)
    joining = {"displayName": "张三丰", "email": "Zhang@Example.com", "phone": "138 0013-8000"}
    await live.ask(REGISTER, input=joining)
    for search in ("三丰", "ZHANG@", "13800138000", "0013 8000", "三丰 zhang"):
        assert await names(live, operator.token, search=search) == ["张三丰"], search
    assert await names(live, operator.token, search="丰三") == []


@on_sqlite_alone
async def test_filters_hold_together(live: Api) -> None:
    await factories.ladder()
    finance = await factories.person("finance", Role.FINANCE)
    for name in ("ann", "bob"):
        await factories.person(name, Role.KOC)
    gold = await Tier.get(code="gold")
    ann = await Member.get(display_name="ann")
    await Standing.filter(member_id=ann.id).update(tier_id=gold.id)
    assert await names(live, finance.token, role="KOC") == ["bob", "ann"]
    assert await names(live, finance.token, tier="gold") == ["ann"]
    assert await names(live, finance.token, tier="gold", role="KOC", search="an") == ["ann"]
    assert await names(live, finance.token, tier="gold", role="KOC", search="bob") == []
    assert await names(live, finance.token, tier="platinum") == []
    assert await names(live, finance.token, role="MEMBER") == ["bob", "ann", "finance"]


@on_sqlite_alone
async def test_pages_follow_each_other_newest_first(live: Api) -> None:
    admin = await factories.person("admin", Role.ADMIN)
    for number in range(4):
        await factories.person(f"m{number}")
    first = await live.ask(MEMBERS, admin.token, search="m", first=3)
    assert [node["displayName"] for node in first["nodes"]] == ["m3", "m2", "m1"]
    assert first["totalCount"] == 5
    after = first["pageInfo"]["endCursor"]
    assert await names(live, admin.token, search="m", first=3, after=after) == ["m0", "admin"]


@on_sqlite_alone
@pytest.mark.parametrize("wrong", [{"first": 0}, {"first": 101}, {"after": "x"}])
async def test_a_page_that_cannot_be_is_bad_input(live: Api, wrong: dict[str, Any]) -> None:
    admin = await factories.person("admin", Role.ADMIN)
    assert await live.refused(MEMBERS, admin.token, **wrong) == "BAD_USER_INPUT"


@on_sqlite_alone
async def test_members_are_counted_only_when_asked(live: Api) -> None:
    admin = await factories.person("admin", Role.ADMIN)
    with watched() as statements:
        await live.ask("{ members { nodes { id } } }", admin.token)
        assert not any("AS members" in each for each in statements)
        await live.ask("{ members { totalCount } }", admin.token)
        assert any("AS members" in each for each in statements)


@on_sqlite_alone
async def test_staff_opens_a_member_by_its_id(live: Api) -> None:
    admin = await factories.person("admin", Role.ADMIN)
    koc = (await factories.person("koc", Role.KOC)).member
    await Member.filter(id=koc.id).update(avatar_url="https://img.example/koc.png")
    assert await live.ask(MEMBER, admin.token, id=to_id("Member", koc.id)) == {
        "id": to_id("Member", koc.id),
        "displayName": "koc",
        "avatarUrl": "https://img.example/koc.png",
        "email": "koc@example.com",
        "phone": None,
        "roles": ["MEMBER", "KOC"],
    }


@on_sqlite_alone
@pytest.mark.parametrize("id", ["", "x", to_id("Tier", 1), to_id("Member", 999)])
async def test_no_member_has_an_id_that_was_never_given_out(live: Api, id: str) -> None:
    admin = await factories.person("admin", Role.ADMIN)
    assert await live.ask(MEMBER, admin.token, id=id) is None
