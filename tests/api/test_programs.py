"""Programs, enrolments and bindings over real HTTP, by whoever may and nobody else."""

from typing import Any

import pytest

from api.nodes import to_id
from members.models import Role
from referral import invitations
from referral.models import Binding, RewardRule, RuleVersion
from tests import factories
from tests.client import CONVERSION, ORDER, REGISTER, TOUCH, Api
from tests.factories import NOW, Person
from tests.members.statements import watched

SAVE = """
mutation ($input: ProgramInput!) {
  programSave(input: $input) {
    program {
      code name model windowDays binding bindingDays newCustomersOnly exclusiveGroup autoEnroll
      holdDays minPayoutMinor currency openTo startsAt endsAt
      rules { version on asset rateBps amount level role capPerConversion }
    }
    errors { code message field }
  }
}"""
PUBLISH = """
mutation ($program: String!, $rules: [RewardRuleInput!]!, $from: DateTime) {
  programRulesPublish(program: $program, rules: $rules, from: $from) {
    program { rules { version rateBps } } errors { code field }
  }
}"""
ENROLL = """
mutation ($program: String!, $parent: ID, $member: ID) {
  promoterEnroll(program: $program, parent: $parent, member: $member) {
    member { id enrollments { id active reason program { code } parent { id } member { id } } }
    errors { code field }
  }
}"""
SUSPEND = """
mutation ($id: ID!, $reason: String!) {
  enrollmentSuspend(id: $id, reason: $reason) {
    member { enrollments { active reason } } errors { code field }
  }
}"""
RESUME = """
mutation ($id: ID!) {
  enrollmentResume(id: $id) { member { enrollments { active reason } } errors { code field } }
}"""
TRANSFER = """
mutation ($program: String!, $from: ID!, $to: ID!, $members: [ID!], $memo: String!) {
  bindingTransfer(program: $program, from: $from, to: $to, members: $members, memo: $memo) {
    member { id } errors { code field }
  }
}"""
LINK = """
mutation ($input: CustomerLinkInput!) {
  customerLink(input: $input) { member { id } errors { code field } }
}"""
ORDERS = """
mutation ($inputs: [OrderRecordInput!]!) {
  ordersRecord(inputs: $inputs) { conversion { externalId } replayed errors { code field } }
}"""
ORDERS_OF = """
mutation ($inputs: [OrderRecordInput!]!) {
  ordersRecord(inputs: $inputs) {
    conversion { externalId member { id } } replayed errors { code field }
  }
}"""
CONVERSIONS = """
query ($where: ConversionWhere) {
  conversions(where: $where) { totalCount nodes { externalId member { id } } }
}"""
MINE = """
query ($where: ConversionWhere) {
  viewer {
    conversions(where: $where) {
      totalCount
      nodes {
        externalId member { id } attributions { promoter { id } }
        explanation { verdict promoter { id } }
      }
    }
  }
}"""
RULE = {"on": "ORDER", "asset": "CASH", "rateBps": 1_000}
FRIENDS: dict[str, Any] = {"code": "friends", "name": "Friends", "openTo": ["EMPLOYEE"]}


async def save(live: Api, admin: Person, **more: Any) -> Any:
    return await live.ask(SAVE, admin.token, input=FRIENDS | {"rules": [RULE]} | more)


async def enroll(live: Api, person: Person, **more: Any) -> Any:
    return await live.ask(ENROLL, person.token, program="friends", **more)


def codes(payload: Any) -> list[tuple[str, list[str] | None]]:
    return [(error["code"], error["field"]) for error in payload["errors"]]


async def test_a_program_is_saved_with_the_usual_terms_and_changed_by_its_code(live: Api) -> None:
    admin = await factories.person("admin", Role.ADMIN)
    made = await save(live, admin)
    assert made["errors"] == []
    assert made["program"] == {
        "code": "friends",
        "name": "Friends",
        "model": "LAST_TOUCH",
        "windowDays": 30,
        "binding": "NONE",
        "bindingDays": None,
        "newCustomersOnly": False,
        "exclusiveGroup": "default",
        "autoEnroll": False,
        "holdDays": 7,
        "minPayoutMinor": 0,
        "currency": "CNY",
        "openTo": ["EMPLOYEE"],
        "startsAt": None,
        "endsAt": None,
        "rules": [
            RULE
            | {"version": 1, "amount": None, "level": 1, "role": None}
            | {"capPerConversion": None}
        ],
    }
    changed = await live.ask(
        SAVE, admin.token, input=FRIENDS | {"model": "LINEAR", "exclusiveGroup": None}
    )
    assert changed["program"]["model"] == "LINEAR"
    assert changed["program"]["exclusiveGroup"] is None
    assert len(changed["program"]["rules"]) == 1
    [shown] = (await live.post("{ programs { code model } }")).json()["data"]["programs"]
    assert shown == {"code": "friends", "model": "LINEAR"}


async def test_equal_rules_make_no_version_and_others_make_one(live: Api) -> None:
    admin = await factories.person("admin", Role.ADMIN)
    for _ in range(2):
        assert (await save(live, admin))["program"]["rules"][0]["version"] == 1
    saved = await save(live, admin, rules=[RULE | {"rateBps": 2_000}])
    assert [(each["version"], each["rateBps"]) for each in saved["program"]["rules"]] == [
        (2, 2_000)
    ]
    later = await live.ask(
        PUBLISH, admin.token, program="friends", rules=[RULE], **{"from": "2099-01-01T00:00:00Z"}
    )
    assert later == {"program": {"rules": [{"version": 2, "rateBps": 2_000}]}, "errors": []}
    now = await live.ask(PUBLISH, admin.token, program="friends", rules=[RULE | {"rateBps": 3}])
    assert now["program"]["rules"] == [{"version": 4, "rateBps": 3}]
    assert await RuleVersion.all().count() == 4
    assert await RewardRule.all().count() == 4


@pytest.mark.parametrize(
    ("more", "code", "field"),
    [
        ({"code": ""}, "REQUIRED", ["code"]),
        ({"code": "x" * 41}, "TOO_LONG", ["code"]),
        ({"name": " "}, "REQUIRED", ["name"]),
        ({"windowDays": 0}, "INVALID", ["windowDays"]),
        ({"windowDays": 3_651}, "INVALID", ["windowDays"]),
        ({"bindingDays": 0}, "INVALID", ["bindingDays"]),
        ({"holdDays": -1}, "INVALID", ["holdDays"]),
        ({"minPayoutMinor": -1}, "INVALID", ["minPayoutMinor"]),
        ({"openTo": []}, "REQUIRED", ["openTo"]),
        ({"openTo": ["SERVICE"]}, "INVALID", ["openTo"]),
        (
            {"startsAt": "2026-01-01T00:00:00Z", "endsAt": "2026-01-01T00:00:00Z"},
            "INVALID",
            ["endsAt"],
        ),
        ({"rules": [RULE] * 51}, "LIMIT_EXCEEDED", ["rules"]),
        ({"rules": [RULE, RULE]}, "INVALID", ["rules", "1", "on"]),
        ({"rules": [RULE | {"on": "REFUND"}]}, "INVALID", ["rules", "0", "on"]),
        ({"rules": [RULE | {"amount": 1}]}, "INVALID", ["rules", "0", "rateBps"]),
        ({"rules": [RULE | {"rateBps": None}]}, "INVALID", ["rules", "0", "rateBps"]),
        ({"rules": [RULE | {"rateBps": 0}]}, "INVALID", ["rules", "0", "rateBps"]),
        ({"rules": [RULE | {"rateBps": 10_001}]}, "INVALID", ["rules", "0", "rateBps"]),
        ({"rules": [RULE | {"on": "REGISTRATION"}]}, "INVALID", ["rules", "0", "rateBps"]),
        ({"rules": [RULE | {"level": 3}]}, "INVALID", ["rules", "0", "level"]),
        (
            {"rules": [RULE | {"capPerConversion": 0}]},
            "INVALID",
            ["rules", "0", "capPerConversion"],
        ),
        ({"rules": [RULE | {"role": "SERVICE"}]}, "INVALID", ["rules", "0", "role"]),
    ],
)
async def test_terms_that_make_no_sense_are_refused_with_their_path(
    live: Api, more: dict[str, Any], code: str, field: list[str]
) -> None:
    admin = await factories.person("admin", Role.ADMIN)
    assert codes(await save(live, admin, **more)) == [(code, field)]
    assert (await live.ask("{ programs { code } }")) == []


async def test_programs_are_saved_by_admins_alone_and_rules_never_reach_back(live: Api) -> None:
    admin, other = (
        await factories.person("admin", Role.ADMIN),
        await factories.person("op", Role.OPERATOR),
    )
    assert await live.refused(SAVE, other.token, input=FRIENDS) == "FORBIDDEN"
    assert await live.refused(PUBLISH, other.token, program="x", rules=[]) == "FORBIDDEN"
    await save(live, admin)
    past = {"from": "2026-01-01T00:00:00Z"}
    refused = await live.ask(PUBLISH, admin.token, program="friends", rules=[], **past)
    assert codes(refused) == [("INVALID", ["from"])]
    unknown = await live.ask(PUBLISH, admin.token, program="nobody", rules=[])
    assert codes(unknown) == [("NOT_FOUND", ["program"])]


async def test_promoters_enrol_where_their_role_may_and_name_their_parent_once(live: Api) -> None:
    admin = await factories.person("admin", Role.ADMIN)
    lin, wang = [await factories.person(each, Role.EMPLOYEE) for each in ("lin", "wang")]
    mei = await factories.person("mei")
    await save(live, admin)
    assert codes(await enroll(live, mei)) == [("FORBIDDEN", ["program"])]
    parent = to_id("Member", lin.member.id)
    assert codes(await enroll(live, wang, parent=parent)) == [("NOT_ENROLLED", ["parent"])]

    assert (await enroll(live, lin))["errors"] == []
    made = (await enroll(live, wang, parent=parent))["member"]["enrollments"]
    assert [(each["active"], each["program"]["code"], each["parent"]) for each in made] == [
        (True, "friends", {"id": parent})
    ]
    again = (await enroll(live, wang))["member"]["enrollments"]
    assert again == made
    circle = await enroll(live, lin, parent=to_id("Member", wang.member.id))
    assert codes(circle) == [("INVALID", ["parent"])]


async def test_a_program_that_has_ended_takes_nobody_any_more(live: Api) -> None:
    admin = await factories.person("admin", Role.ADMIN)
    lin = await factories.person("lin", Role.EMPLOYEE)
    await save(live, admin, endsAt="2026-01-01T00:00:00Z")
    assert codes(await enroll(live, lin)) == [("PROGRAM_CLOSED", ["program"])]


async def test_staff_enrol_others_suspend_them_and_take_that_back(live: Api) -> None:
    admin = await factories.person("admin", Role.ADMIN)
    lin = await factories.person("lin", Role.EMPLOYEE)
    await save(live, admin)
    member = to_id("Member", lin.member.id)
    assert await live.refused(ENROLL, lin.token, program="friends", member=member) == "FORBIDDEN"
    [enrolled] = (await enroll(live, admin, member=member))["member"]["enrollments"]
    suspend = {"id": enrolled["id"], "reason": "on leave"}
    assert await live.refused(SUSPEND, lin.token, **suspend) == "FORBIDDEN"

    suspended = await live.ask(SUSPEND, admin.token, **suspend)
    assert suspended["member"]["enrollments"] == [{"active": False, "reason": "on leave"}]
    assert codes(await live.ask(SUSPEND, admin.token, **suspend)) == [
        ("INVALID_TRANSITION", ["id"])
    ]
    resumed = await live.ask(RESUME, admin.token, id=enrolled["id"])
    assert resumed["member"]["enrollments"] == [{"active": True, "reason": None}]
    assert codes(await live.ask(RESUME, admin.token, id=enrolled["id"])) == [
        ("INVALID_TRANSITION", ["id"])
    ]
    assert codes(await live.ask(RESUME, admin.token, id=to_id("Enrollment", 99))) == [
        ("NOT_FOUND", ["id"])
    ]


async def test_the_customers_of_a_leaver_go_to_another_promoter(live: Api) -> None:
    admin = await factories.person("admin", Role.ADMIN)
    lin, wang = [await factories.person(each, Role.EMPLOYEE) for each in ("lin", "wang")]
    mei, lan = [await factories.person(each) for each in ("mei", "lan")]
    await save(live, admin)
    [program] = await live.ask("{ programs { id } }")
    number = (await RuleVersion.get()).program_id
    for bound in (mei, lan, wang):
        await Binding.create(
            program_id=number,
            member=bound.member,
            promoter=lin.member,
            bound_at=NOW,
            active_key=f"{number}:{bound.member.id}",
        )
    leaver, heir = to_id("Member", lin.member.id), to_id("Member", wang.member.id)
    move = {"program": "friends", "from": leaver, "to": heir, "memo": "Lin has left"}
    assert codes(await live.ask(TRANSFER, admin.token, **move)) == [("NOT_ENROLLED", ["to"])]
    await invitations.enroll(number, wang.member, NOW)
    one = move | {"members": [to_id("Member", mei.member.id)]}
    assert codes(await live.ask(TRANSFER, admin.token, **one | {"members": [heir] * 101})) == [
        ("LIMIT_EXCEEDED", ["members"])
    ]
    stranger = one | {"members": [to_id("Member", admin.member.id)]}
    assert codes(await live.ask(TRANSFER, admin.token, **stranger)) == [("NOT_FOUND", ["members"])]

    assert (await live.ask(TRANSFER, admin.token, **one))["member"] == {"id": heir}
    assert await owners() == {mei.member.id: "wang", lan.member.id: "lin", wang.member.id: "lin"}
    assert (await live.ask(TRANSFER, admin.token, **move))["errors"] == []
    assert await owners() == {mei.member.id: "wang", lan.member.id: "wang", wang.member.id: "lin"}
    assert program["id"] == to_id("Program", number)


async def owners() -> dict[int, str]:
    active = Binding.filter(active_key__isnull=False).select_related("promoter")
    return {each.member_id: each.promoter.display_name for each in await active}


async def test_a_typed_code_goes_before_what_was_clicked_and_is_explained(live: Api) -> None:
    stage = await factories.stage()
    wang = await factories.person("wang", Role.EMPLOYEE)
    typed = await factories.link(wang.member, stage.program)
    visitor = await live.visit(stage.link.code)
    order = {"source": "tea", "externalId": "A-1", "amountMinor": 5_000, "visitorId": visitor}
    told = await live.ask(ORDER, stage.shop.token, input=order | {"referralCode": typed.code})
    assert told["errors"] == []
    found = await live.decided(stage.shop.token, "tea", "A-1")
    assert (found["status"], found["member"]) == ("CREDITED", None)
    assert [each["promoter"]["displayName"] for each in found["attributions"]] == ["wang"]
    assert [each["verdict"] for each in found["explanation"]] == ["SUPERSEDED", "CREDITED"]

    unknown = order | {"externalId": "A-2", "referralCode": "K7M2QX9T0"}
    for replayed in (False, True):
        told = await live.ask(ORDER, stage.shop.token, input=unknown)
        assert (told["conversion"]["externalId"], told["replayed"]) == ("A-2", replayed)
        assert codes(told) == [("CODE_UNKNOWN", ["referralCode"])]
    assert (await live.decided(stage.shop.token, "tea", "A-2"))["status"] == "CREDITED"


async def test_what_a_visitor_bought_joins_the_member_they_become(live: Api) -> None:
    stage = await factories.stage()
    visitor = await live.visit(stage.link.code)
    order = {"source": "tea", "externalId": "A-1", "amountMinor": 5_000, "visitorId": visitor}
    await live.ask(ORDER, stage.shop.token, input=order)
    await live.decided(stage.shop.token, "tea", "A-1")
    joined = await live.ask(REGISTER, input={"displayName": "Mei", "visitorId": visitor})
    spent = await live.ask("{ viewer { metrics { spendMinor } } }", joined["token"])
    assert spent["metrics"] == {"spendMinor": 5_000}
    found = await live.ask(
        CONVERSION, stage.shop.token, type="ORDER", source="tea", externalId="A-1"
    )
    assert found["member"]["displayName"] == "Mei"


async def test_a_late_touch_of_a_service_credits_what_nobody_was_credited_for(live: Api) -> None:
    stage = await factories.stage()
    first = await live.ask(REGISTER, input={"displayName": "Mei", "visitorId": "visitor-1"})
    order = {"source": "tea", "externalId": "A-1", "amountMinor": 5_000}
    order["member"] = first["member"]["id"]
    await live.ask(ORDER, stage.shop.token, input=order)
    assert (await live.decided(stage.shop.token, "tea", "A-1"))["status"] == "NOT_CREDITED"
    click = {"code": stage.link.code, "visitorId": "visitor-1"}
    await live.ask(TOUCH, input=click)
    long_ago = (factories.datetime.now(factories.UTC) - factories.timedelta(hours=1)).isoformat()
    await live.ask(TOUCH, input=click | {"occurredAt": long_ago})
    found = await live.ask(
        CONVERSION, stage.shop.token, type="ORDER", source="tea", externalId="A-1"
    )
    assert found["status"] == "NOT_CREDITED"

    await live.ask(TOUCH, stage.shop.token, input=click | {"occurredAt": long_ago})
    for _ in range(400):
        found = await live.decided(stage.shop.token, "tea", "A-1")
        if found["status"] == "CREDITED":
            break
    assert found["status"] == "CREDITED"
    spent = await live.ask("{ viewer { metrics { spendMinor } } }", first["token"])
    assert spent["metrics"] == {"spendMinor": 5_000}


async def test_orders_are_recorded_each_on_its_own_and_at_most_100(live: Api) -> None:
    stage = await factories.stage()
    good, bad = [
        {"source": "tea", "externalId": number, "amountMinor": amount}
        for number, amount in (("A-1", 1), ("A-2", -1))
    ]
    told = await live.ask(ORDERS, stage.shop.token, inputs=[good, bad, good])
    assert [each["replayed"] for each in told] == [False, False, True]
    assert [codes(each) for each in told] == [[], [("INVALID", ["amountMinor"])], []]
    many = await live.ask(ORDERS, stage.shop.token, inputs=[good] * 101)
    assert {tuple(map(str, codes(each))) for each in many} == {("('LIMIT_EXCEEDED', ['inputs'])",)}


async def test_a_hundred_orders_are_written_in_one_statement(live: Api) -> None:
    stage = await factories.stage()
    mei = await factories.person("mei")
    orders = [
        {
            "source": "tea",
            "externalId": f"A-{number}",
            "amountMinor": number,
            **([{}, {"customerRef": "c"}, {"member": to_id("Member", mei.member.id)}][number % 3]),
        }
        for number in range(100)
    ]
    with watched() as statements:
        told = await live.ask(ORDERS, stage.shop.token, inputs=orders)
    assert [each["conversion"]["externalId"] for each in told] == [f"A-{n}" for n in range(100)]
    assert len([each for each in statements if "INSERT INTO conversion" in each]) == 1


async def test_orders_of_one_list_end_as_if_they_had_come_one_after_the_other(live: Api) -> None:
    stage = await factories.stage()
    mei = to_id("Member", (await factories.person("mei")).member.id)

    def order(name: str, amount: int, **more: str) -> dict[str, Any]:
        return {"source": "tea", "externalId": name, "amountMinor": amount, **more}

    told = await live.ask(
        ORDERS_OF,
        stage.shop.token,
        inputs=[
            order("A-1", 1, customerRef="c-1"),
            order("A-2", 2, customerRef="c-2", member=mei),
            order("A-3", 3, customerRef="c-2"),
            order("A-3", 4, customerRef="c-2"),  # another amount
            order(" A-3", 3),  # the same once more
            order("A-4", 4, referralCode="00000000"),
            order("A-4", 5),
            order("A-5", 5, member=to_id("Member", 9_999)),
            order("A-5", 6),
        ],
    )
    assert [
        (
            each["conversion"]
            and (each["conversion"]["externalId"], (each["conversion"]["member"] or {}).get("id")),
            each["replayed"],
            codes(each),
        )
        for each in told
    ] == [
        (("A-1", None), False, []),
        (("A-2", mei), False, []),
        (("A-3", mei), False, []),
        (None, False, [("IDEMPOTENCY_CONFLICT", ["externalId"])]),
        (("A-3", mei), True, []),
        (("A-4", None), False, [("CODE_UNKNOWN", ["referralCode"])]),
        (None, False, [("IDEMPOTENCY_CONFLICT", ["externalId"])]),
        (None, False, [("NOT_FOUND", ["member"])]),
        (("A-5", None), False, []),
    ]


async def test_a_shop_says_who_its_customer_is(live: Api) -> None:
    stage = await factories.stage()
    mei, lan = [await factories.person(each) for each in ("mei", "lan")]
    order = {"source": "tea", "externalId": "A-1", "amountMinor": 700, "customerRef": "c-1"}
    await live.ask(ORDER, stage.shop.token, input=order)
    assert (await live.decided(stage.shop.token, "tea", "A-1"))["status"] == "PARKED"
    link = {"source": "tea", "customerRef": "c-1", "member": to_id("Member", mei.member.id)}
    for _ in range(2):
        assert (await live.ask(LINK, stage.shop.token, input=link))["errors"] == []
    found = await live.decided(stage.shop.token, "tea", "A-1")
    assert (found["status"], found["member"]["displayName"]) == ("NOT_CREDITED", "mei")
    other = link | {"member": to_id("Member", lan.member.id)}
    assert codes(await live.ask(LINK, stage.shop.token, input=other)) == [
        ("NOT_UNIQUE", ["customerRef"])
    ]
    nobody = link | {"member": to_id("Member", 9_999)}
    assert codes(await live.ask(LINK, stage.shop.token, input=nobody)) == [
        ("NOT_FOUND", ["member"])
    ]
    assert await live.refused(LINK, mei.token, input=link) == "FORBIDDEN"


async def test_a_promoter_asks_why_not_and_sees_its_own_part_alone(live: Api) -> None:
    stage = await factories.stage()
    lin, wang = stage.promoter, await factories.person("wang", Role.EMPLOYEE)
    later = await factories.link(wang.member, stage.program)
    visitor = await live.visit(stage.link.code)
    await live.ask(TOUCH, input={"code": later.code, "visitorId": visitor})
    mei = await live.ask(REGISTER, input={"displayName": "Mei", "visitorId": visitor})
    order = {"source": "tea", "externalId": "A-1", "amountMinor": 5_000}
    await live.ask(ORDER, stage.shop.token, input=order | {"member": mei["member"]["id"]})
    await live.decided(stage.shop.token, "tea", "A-1")

    own = (await live.ask(MINE, lin.token, where={"type": ["ORDER"]}))["conversions"]
    assert own["totalCount"] == 1
    me = to_id("Member", lin.member.id)
    assert own["nodes"][0] == {
        "externalId": "A-1",
        "member": None,
        "attributions": [],
        "explanation": [{"verdict": "SUPERSEDED", "promoter": {"id": me}}],
    }
    for where, count in (
        ({"verdict": ["SUPERSEDED"]}, 2),
        ({"verdict": ["CREDITED"]}, 0),  # somebody else's
        ({"program": stage.program.code}, 2),
        ({"promoter": to_id("Member", wang.member.id)}, 0),
        ({"member": mei["member"]["id"]}, 0),
    ):
        seen = (await live.ask(MINE, lin.token, where=where))["conversions"]
        assert seen["totalCount"] == count, where
    one = {"type": "ORDER", "source": "tea", "externalId": "A-1"}
    assert (await live.ask(CONVERSION, lin.token, **one))["member"] is None
    assert await live.ask(CONVERSION, mei["token"], **one) is None
    registration = {"type": "REGISTRATION", "source": "wellspring"}
    number = mei["member"]["id"]
    assert await live.ask(CONVERSION, mei["token"], **registration, externalId=number) is None

    admin = await factories.person("admin", Role.ADMIN)
    everything = await live.ask(CONVERSIONS, admin.token, where=None)
    assert everything["totalCount"] == 2
    mine = await live.ask(CONVERSIONS, stage.shop.token, where=None)
    assert [each["externalId"] for each in mine["nodes"]] == ["A-1"]
    assert await live.refused(CONVERSIONS, lin.token, where=None) == "FORBIDDEN"
    by_promoter = {"promoter": me, "verdict": ["SUPERSEDED"], "program": stage.program.code}
    found = await live.ask(CONVERSIONS, admin.token, where=by_promoter)
    assert found["totalCount"] == 2
    for nothing in ({"program": "x"}, {"status": []}, {"promoter": "x"}, {"source": "cups"}):
        assert (await live.ask(CONVERSIONS, admin.token, where=nothing))["totalCount"] == 0
