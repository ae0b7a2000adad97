"""Tiers over the wire: rules, previews, progress, grants, applications."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from members.models import Role, TierApplication, TierChange
from tests import factories
from tests.client import PATIENCE_SECONDS, Api
from tests.factories import Person

PUBLISH = """
mutation ($rules: [TierRuleInput!]!, $expected: Int) {
  tierRulesPublish(rules: $rules, expectedVersion: $expected) {
    version job { id status done total } tiers { code rank requiresApproval benefits rule }
    errors { code message field }
  }
}"""
PREVIEW = """
query ($rules: [TierRuleInput!]!) {
  tierPreview(rules: $rules) {
    evaluated unchanged
    moves { from { code } to { id code } members sample { displayName } }
  }
}"""
JOB = "query ($id: ID!) { node(id: $id) { ... on Job { kind status done total problems } } }"
ORDER = """
mutation ($member: ID!, $id: String!, $amount: Long!) {
  orderRecord(input: {source: "shop", externalId: $id, member: $member, amountMinor: $amount}) {
    conversion { status } errors { code message field }
  }
}"""
FEE = """
mutation ($member: ID!, $id: String!, $amount: Long!, $plan: String) {
  feeRecord(input: {source: "shop", externalId: $id, member: $member, amountMinor: $amount,
    plan: $plan}) { conversion { type status } replayed errors { code message field } }
}"""
STANDING = """
{
  viewer {
    id tier { code } tierUntil
    metrics { spendMinor feesPaidMinor invitedRegistered invitedBought invitedPromoted }
    tierProgress {
      tier { code } qualified
      alternatives { requirements { metric plan window days required actual missing } }
    }
    tierHistory { nodes { from { code } to { code } reason rulesVersion actor { displayName } } }
    tierApplications { status note tier { code } }
  }
}"""
GRANT = """
mutation ($member: ID!, $tier: String!, $until: DateTime) {
  tierGrant(member: $member, tier: $tier, until: $until) {
    member { tier { code } tierUntil } errors { code field }
  }
}"""
REVOKE = """
mutation ($member: ID!) { tierRevoke(member: $member) {
  member { tier { code } } errors { code field } } }"""
APPLY = """
mutation ($tier: String!) { tierApply(tier: $tier, message: "me") {
  application { id status } errors { code field } } }"""
DECIDE = """
mutation ($id: ID!, $approve: Boolean!) {
  tierApplicationDecide(id: $id, approve: $approve, note: "so") {
    application { status note decidedAt } errors { code field } } }"""
QUEUE = """
query ($first: Int!, $after: String) {
  tierApplications(status: PENDING, first: $first, after: $after) {
    totalCount nodes { id member { displayName } tier { code } } pageInfo { hasNextPage endCursor }
  }
}"""


def leaf(metric: str, at_least: int, **more: Any) -> dict[str, Any]:
    return {"leaf": {"metric": metric, "atLeast": at_least, **more}}


def tier(code: str, rank: int, rule: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"code": code, "name": code.title(), "rank": rank, "rule": rule, **more}


GOLD_OR_INVITED = {"any": [leaf("SPEND", 300_000), leaf("INVITED_BOUGHT", 5)]}


async def admin() -> Person:
    return await factories.person("admin", Role.ADMIN)


async def publish(live: Api, token: str, *rules: dict[str, Any]) -> Any:
    answer = await live.ask(PUBLISH, token, rules=list(rules))
    assert answer["errors"] == []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (job := await live.ask(JOB, token, id=answer["job"]["id"]))["status"] != "DONE":
        assert time.monotonic() < deadline, job
        await asyncio.sleep(0.02)
    return job


async def member_id(live: Api, person: Person) -> str:
    return (await live.ask("{ viewer { id } }", person.token))["id"]


async def test_rules_are_previewed_published_and_explained(live: Api) -> None:
    staff, shop = await admin(), await factories.person("shop", Role.SERVICE)
    mei = await factories.person("mei")
    who = await member_id(live, mei)
    await live.ask(ORDER, shop.token, member=who, id="A-1", amount=300_000)
    await live.decided(shop.token, "shop", "A-1")
    gold = tier("gold", 1, GOLD_OR_INVITED, benefits=["Tea"])

    preview = await live.ask(PREVIEW, staff.token, rules=[gold])
    assert preview["evaluated"] == 3
    assert preview["unchanged"] == 2
    [move] = preview["moves"]
    assert (move["from"], move["to"]["code"], move["members"]) == (None, "gold", 1)
    assert move["sample"] == [{"displayName": "mei"}]
    assert await live.ask("{ tiers { code } }") == []
    assert await live.ask("{ tierRulesVersion }") == 0

    job = await publish(live, staff.token, gold)
    assert job == {
        "kind": "tier_rules", "status": "DONE", "done": 3, "total": 3, "problems": []
    }  # fmt: skip
    stands = await live.ask(STANDING, mei.token)
    assert stands["tier"] == {"code": "gold"}
    assert stands["tierHistory"]["nodes"] == [
        {
            "from": None,
            "to": {"code": "gold"},
            "reason": "RULES_CHANGED",
            "rulesVersion": 1,
            "actor": {"displayName": "admin"},
        }
    ]
    assert await live.ask("{ tiers { code memberCount benefits } }") == [
        {"code": "gold", "memberCount": 1, "benefits": ["Tea"]}
    ]


async def test_progress_says_what_is_missing_by_alternative(live: Api) -> None:
    staff, shop = await admin(), await factories.person("shop", Role.SERVICE)
    mei = await factories.person("mei")
    yearly = leaf("SPEND", 500_000, window="LAST_DAYS", days=365)
    board = {"all": [leaf("FEE", 9_900, plan="board"), yearly]}
    await publish(
        live, staff.token, tier("gold", 1, GOLD_OR_INVITED), tier("board", 2, board)
    )  # fmt: skip
    who = await member_id(live, mei)
    await live.ask(ORDER, shop.token, member=who, id="A-1", amount=299_999)
    await live.ask(FEE, shop.token, member=who, id="F-1", amount=9_900, plan="board")
    await live.ask(FEE, shop.token, member=who, id="F-2", amount=500, plan="basic")
    await live.decided(shop.token, "shop", "A-1")
    await live.decided(shop.token, "shop", "F-2", "FEE")

    stands = await live.ask(STANDING, mei.token)
    assert stands["tier"] is None
    assert stands["metrics"]["feesPaidMinor"] == 10_400
    gold, above = stands["tierProgress"]
    assert [each["requirements"] for each in gold["alternatives"]] == [
        [{"metric": "SPEND", "plan": None, "window": "LIFETIME", "days": None,
          "required": 300_000, "actual": 299_999, "missing": 1}],
        [{"metric": "INVITED_BOUGHT", "plan": None, "window": "LIFETIME", "days": None,
          "required": 5, "actual": 0, "missing": 5}],
    ]  # fmt: skip
    [[fee, spend]] = [each["requirements"] for each in above["alternatives"]]
    assert (fee["plan"], fee["actual"], fee["missing"]) == ("board", 9_900, 0)
    assert (spend["days"], spend["actual"], spend["missing"]) == (365, 299_999, 200_001)

    await live.ask(ORDER, shop.token, member=who, id="A-2", amount=1)
    await live.decided(shop.token, "shop", "A-2")
    stands = await live.ask(STANDING, mei.token)
    assert stands["tier"] == {"code": "gold"}
    assert [each["tier"]["code"] for each in stands["tierProgress"]] == ["board"]


async def test_a_grant_is_a_floor_until_it_is_revoked(live: Api) -> None:
    staff, mei = await admin(), await factories.person("mei")
    await publish(live, staff.token, tier("gold", 1, leaf("SPEND", 1)))
    who = await member_id(live, mei)
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=9)

    granted = await live.ask(GRANT, staff.token, member=who, tier="gold", until=until.isoformat())
    assert granted["member"]["tier"] == {"code": "gold"}
    assert datetime.fromisoformat(granted["member"]["tierUntil"]) == until
    left_out = await live.ask(PUBLISH, staff.token, rules=[])
    assert left_out["errors"][0]["field"] == ["rules"]
    revoked = await live.ask(REVOKE, staff.token, member=who)
    assert revoked["member"]["tier"] is None
    history = (await live.ask(STANDING, mei.token))["tierHistory"]["nodes"]
    assert [each["reason"] for each in history] == ["REVOKED", "GRANTED"]


async def test_bad_grants_write_nothing(live: Api) -> None:
    staff, mei = await admin(), await factories.person("mei")
    await publish(live, staff.token, tier("gold", 1, leaf("SPEND", 1)))
    who = await member_id(live, mei)
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    cases = [
        ({"member": who, "tier": "gold", "until": past}, "INVALID", ["until"]),
        ({"member": who, "tier": "silver"}, "NOT_FOUND", ["tier"]),
        ({"member": "nobody", "tier": "gold"}, "NOT_FOUND", ["member"]),
    ]
    for variables, code, field in cases:
        answer = await live.ask(GRANT, staff.token, **variables)
        assert answer == {"member": None, "errors": [{"code": code, "field": field}]}
    assert not await TierChange.all().exists()


async def test_an_application_is_made_queued_and_decided_once(live: Api) -> None:
    staff, shop = await admin(), await factories.person("shop", Role.SERVICE)
    await publish(
        live, staff.token, tier("board", 1, leaf("SPEND", 100), requiresApproval=True)
    )  # fmt: skip
    people = [await factories.person(name) for name in ("mei", "bo", "an")]
    early = await live.ask(APPLY, people[0].token, tier="board")
    assert early["errors"] == [{"code": "THRESHOLD_NOT_MET", "field": ["tier"]}]
    for number, person in enumerate(people):
        who = await member_id(live, person)
        await live.ask(ORDER, shop.token, member=who, id=f"A-{number}", amount=100)
        await live.decided(shop.token, "shop", f"A-{number}")
        assert (await live.ask(STANDING, person.token))["tier"] is None
        assert (await live.ask(APPLY, person.token, tier="board"))["errors"] == []
    again = await live.ask(APPLY, people[0].token, tier="board")
    assert again["errors"] == [{"code": "NOT_UNIQUE", "field": ["tier"]}]

    first = await live.ask(QUEUE, staff.token, first=2)
    assert first["totalCount"] == 3
    rest = await live.ask(QUEUE, staff.token, first=2, after=first["pageInfo"]["endCursor"])
    queue = [*first["nodes"], *rest["nodes"]]
    assert [each["member"]["displayName"] for each in queue] == ["mei", "bo", "an"]
    assert not rest["pageInfo"]["hasNextPage"]

    approved = await live.ask(DECIDE, staff.token, id=queue[0]["id"], approve=True)
    assert approved["application"]["status"] == "APPROVED"
    twice = await live.ask(DECIDE, staff.token, id=queue[0]["id"], approve=False)
    assert twice["errors"] == [{"code": "INVALID_TRANSITION", "field": ["id"]}]
    await live.ask(DECIDE, staff.token, id=queue[1]["id"], approve=False)
    assert (await live.ask(STANDING, people[0].token))["tier"] == {"code": "board"}
    bo = await live.ask(STANDING, people[1].token)
    assert bo["tier"] is None
    assert bo["tierApplications"][0]["note"] == "so"
    assert (await live.ask(APPLY, people[1].token, tier="board"))["errors"] == []


DEEP = {"any": [{"any": [{"any": [{"any": [{"any": [{"any": [leaf("SPEND", 1)]}]}]}]}]}]}
PAIR = {"any": [leaf("SPEND", 1), leaf("FEE", 1)]}
BAD_RULES = [
    ([tier("a", 1, PAIR), tier("a", 2, PAIR)], ["rules", "1", "code"]),
    ([tier("a", 1, PAIR), tier("b", 1, PAIR)], ["rules", "1", "rank"]),
    ([tier("a", -1, PAIR)], ["rules", "0", "rank"]),
    ([tier("a", 1, {"any": []})], ["rules", "0", "rule", "any"]),
    ([tier("a", 1, leaf("SPEND", -1))], ["rules", "0", "rule", "leaf", "atLeast"]),
    (
        [tier("a", 1, {"all": [PAIR, leaf("SPEND", 1, plan="x")]})],
        ["rules", "0", "rule", "all", "1", "leaf", "plan"],
    ),
    (
        [tier("a", 1, leaf("SPEND", 1, window="LAST_DAYS"))],
        ["rules", "0", "rule", "leaf", "days"],
    ),
    ([tier("a", 1, {"all": [PAIR] * 6})], ["rules", "0", "rule"]),
    ([tier("a", 1, PAIR, downgrade="AT_EXPIRY")], ["rules", "0", "validityDays"]),
]


@pytest.mark.parametrize(("rules", "field"), BAD_RULES)
async def test_bad_rules_are_refused_with_the_path_and_nothing_is_written(
    live: Api, rules: list[Any], field: list[str]
) -> None:
    staff = await admin()
    answer = await live.ask(PUBLISH, staff.token, rules=rules)
    assert [each["field"] for each in answer["errors"]] == [field]
    assert await live.ask("{ tierRulesVersion }") == 0
    assert await live.refused(PREVIEW, staff.token, rules=rules) == "BAD_USER_INPUT"


async def test_rules_of_another_shape_are_faults_of_the_request(live: Api) -> None:
    staff = await admin()
    both = {"any": [leaf("SPEND", 1)], "leaf": {"metric": "SPEND", "atLeast": 1}}
    for rule in (both, {}, {"leaf": {"metric": "LUCK", "atLeast": 1}}, [], "SPEND"):
        code = await live.refused(PUBLISH, staff.token, rules=[{**tier("a", 1, {}), "rule": rule}])
        assert code == "BAD_USER_INPUT", rule


async def test_rules_that_somebody_else_has_published_meanwhile_are_not_overwritten(
    live: Api,
) -> None:
    staff = await admin()
    await publish(live, staff.token, tier("a", 1, PAIR))
    answer = await live.ask(PUBLISH, staff.token, rules=[tier("b", 1, PAIR)], expected=0)
    assert [(each["code"], each["field"]) for each in answer["errors"]] == [
        ("STALE_VERSION", ["expectedVersion"])
    ]
    assert await live.ask("{ tiers { code } }") == [{"code": "a"}]


async def test_an_object_is_found_by_its_id_by_those_who_may_see_it(live: Api) -> None:
    staff, mei = await admin(), await factories.person("mei")
    job = (await live.ask(PUBLISH, staff.token, rules=[tier("a", 1, PAIR)]))["job"]["id"]
    node = "query ($id: ID!) { node(id: $id) { __typename id } }"
    assert await live.refused(node, id=job) == "UNAUTHENTICATED"
    assert await live.refused(node, mei.token, id=job) == "FORBIDDEN"
    assert (await live.ask(node, staff.token, id=job))["__typename"] == "Job"
    who = await member_id(live, mei)
    assert await live.ask(node, id=who) == {"__typename": "Member", "id": who}
    for nothing in ("", "nonsense", "Sm9iOjk5OTk5", "TWVtYmVyOjE="[:-2], "VG91Y2g6MQ=="):
        assert await live.ask(node, staff.token, id=nothing) is None
    assert await TierApplication.all().count() == 0


async def test_a_tier_that_a_content_asks_for_cannot_be_left_out(live: Api) -> None:
    staff = await admin()
    await publish(live, staff.token, tier("gold", 1, PAIR))
    await factories.piece("for-gold", min_tier="gold")
    answer = await live.ask(PUBLISH, staff.token, rules=[tier("silver", 1, PAIR)])
    assert [each["field"] for each in answer["errors"]] == [["rules"]]
    assert await live.ask("{ tiers { code } }") == [{"code": "gold"}]
