"""Staff look at cases of risk over real HTTP, and decide about them."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from api.nodes import to_id
from api.settings import Settings
from members.models import Role
from referral import looking
from referral.risk_rules import Limits
from tests import factories
from tests.api.books import nothing_written, on_sqlite_alone
from tests.client import ENSURE, ORDER, PATIENCE_SECONDS, Api
from tests.factories import Person, Stage

CASE = """id rule status createdAt evidence promoter { id displayName balances { held available } }
  conversion { id externalId attributions { commissions { status amount } } }"""
CASES = f"""query ($status: RiskStatus, $first: Int! = 20, $after: String) {{
  riskCases(status: $status, first: $first, after: $after) {{
    totalCount nodes {{ {CASE} }} edges {{ cursor node {{ id }} }}
    pageInfo {{ hasNextPage endCursor }} }} }}"""
DECIDE = f"""mutation ($id: ID!, $release: Boolean!, $note: String) {{
  riskCaseDecide(id: $id, release: $release, note: $note) {{
    riskCase {{ {CASE} }} errors {{ code field message }} }} }}"""
NODE = f"query ($id: ID!) {{ node(id: $id) {{ id ... on RiskCase {{ {CASE} }} }} }}"
TRAIL = "query ($id: ID) { auditTrail(subject: $id) { nodes { action detail actor { id } } } }"
PAYEE_SET = "mutation ($input: PayeeInput!) { payeeSet(input: $input) { errors { code } } }"
CARD = {"method": "BANK", "name": "Lin", "account": "6222000011112222"}
LIMITS = Limits(registrations=2, orders=2)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"risk_registrations": 2, "risk_orders": 2})


async def burst(live: Api, stage: Stage, orders: int = 3) -> None:
    """One customer who came by the link and orders so often, at once."""
    visitor = await live.visit(stage.link.code)
    customer = {"source": "shop", "customerRef": "c-1", "visitorId": visitor}
    await live.ask(ENSURE, stage.shop.token, input=customer)
    for number in range(orders):
        order = {"source": "shop", "externalId": f"A-{number}", "amountMinor": 1_000}
        await live.ask(ORDER, stage.shop.token, input={**order, "customerRef": "c-1"})
    for number in range(orders):
        await live.decided(stage.shop.token, "shop", f"A-{number}")


async def look() -> None:
    while await looking.look(LIMITS, datetime.now(UTC)):
        pass


async def world(live: Api) -> tuple[Stage, Person]:
    """A promoter with one open case, and somebody of staff."""
    stage = await factories.stage()
    await burst(live, stage)
    await look()
    return stage, await factories.person("op", Role.OPERATOR)


async def only_case(live: Api, token: str) -> Any:
    [found] = (await live.ask(CASES, token))["nodes"]
    return found


async def test_what_comes_too_fast_is_held_by_the_worker_until_it_is_released(live: Api) -> None:
    stage = await factories.stage()
    await burst(live, stage)
    staff = await factories.person("op", Role.OPERATOR)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (await live.ask(CASES, staff.token, status="OPEN"))["totalCount"]:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)

    case = await only_case(live, staff.token)
    assert (case["rule"], case["status"]) == ("ORDER_VELOCITY", "OPEN")
    assert case["promoter"]["displayName"] == "lin"
    assert case["promoter"]["balances"] == [{"held": 100, "available": 0}]
    [of_case] = case["conversion"]["attributions"]
    assert of_case["commissions"] == [{"status": "HELD", "amount": 100}]
    assert case["evidence"]["examples"][0]["conversion"] == case["conversion"]["id"]
    assert case["evidence"]["atStake"] == {"CASH": 100}
    mine = await live.ask("{ viewer { balances { pending held } } }", stage.promoter.token)
    assert mine["balances"] == [{"pending": 200, "held": 100}]

    said = {"id": case["id"], "release": True, "note": "a fair"}
    decided = await live.ask(DECIDE, staff.token, **said)

    assert decided["errors"] == []
    assert decided["riskCase"]["status"] == "RELEASED"
    assert decided["riskCase"]["promoter"]["balances"] == [{"held": 0, "available": 0}]
    assert (await live.ask(CASES, staff.token, status="OPEN"))["totalCount"] == 0
    assert (await live.ask(CASES, staff.token, status="RELEASED"))["totalCount"] == 1
    assert (await live.ask(NODE, staff.token, id=case["id"])) == decided["riskCase"]
    [entry] = (await live.ask(TRAIL, staff.token, id=case["id"]))["nodes"]
    assert entry["action"] == "riskCaseDecide"
    assert entry["actor"] == {"id": to_id("Member", staff.member.id)}
    assert entry["detail"]["note"] == "a fair"


async def test_rejected_it_is_reversed_and_the_books_are_right(live: Api) -> None:
    stage, staff = await world(live)
    case = await only_case(live, staff.token)
    decided = await live.ask(DECIDE, staff.token, id=case["id"], release=False)
    [of_case] = decided["riskCase"]["conversion"]["attributions"]
    assert of_case["commissions"] == [{"status": "REVERSED", "amount": 100}]
    finance = await factories.person("fin", Role.FINANCE)
    proof = await live.ask("{ reconciliation { ok problems } }", finance.token)
    assert proof == {"ok": True, "problems": []}
    ledger = "{ viewer { ledger(first: 2) { nodes { kind account amount } } } }"
    [last, _] = (await live.ask(ledger, stage.promoter.token))["ledger"]["nodes"]
    assert last == {"kind": "REVERSE", "account": "HELD", "amount": -100}


@on_sqlite_alone
async def test_a_case_is_decided_once_and_a_note_has_its_length(live: Api) -> None:
    _, staff = await world(live)
    case = await only_case(live, staff.token)
    async with nothing_written():
        long = await live.ask(DECIDE, staff.token, id=case["id"], release=True, note="x" * 1001)
        empty = await live.ask(DECIDE, staff.token, id=case["id"], release=True, note=" ")
        other = await live.ask(DECIDE, staff.token, id=case["promoter"]["id"], release=True)
        none = await live.ask(DECIDE, staff.token, id=to_id("RiskCase", 99), release=True)
    assert [each["errors"][0]["code"] for each in (long, empty, other, none)] == [
        "TOO_LONG",
        "REQUIRED",
        "NOT_FOUND",
        "NOT_FOUND",
    ]
    assert [each["errors"][0]["field"] for each in (long, other)] == [["note"], ["id"]]
    await live.ask(DECIDE, staff.token, id=case["id"], release=True)
    async with nothing_written():
        again = await live.ask(DECIDE, staff.token, id=case["id"], release=False)
    assert (again["riskCase"], again["errors"][0]["code"]) == (None, "INVALID_TRANSITION")


@on_sqlite_alone
async def test_cases_are_for_staff_alone(live: Api) -> None:
    stage, staff = await world(live)
    case = await only_case(live, staff.token)
    async with nothing_written():
        for token in (stage.promoter.token, stage.shop.token):
            assert await live.refused(CASES, token) == "FORBIDDEN"
            assert await live.refused(NODE, token, id=case["id"]) == "FORBIDDEN"
            assert await live.refused(DECIDE, token, id=case["id"], release=True) == "FORBIDDEN"
        assert await live.refused(CASES) == "UNAUTHENTICATED"
        assert await live.refused(DECIDE, id=case["id"], release=True) == "UNAUTHENTICATED"
    for role in (Role.FINANCE, Role.ADMIN):
        other = await factories.person(role.value.lower(), role)
        assert (await live.ask(CASES, other.token))["totalCount"] == 1
    assert await live.ask(NODE, staff.token, id=to_id("RiskCase", 99)) is None


async def test_pages_follow_each_other_the_newest_first(live: Api) -> None:
    stage = await factories.stage()
    wei = await factories.person("wei", Role.EMPLOYEE)
    for each in (stage.promoter, wei):
        answer = await live.ask(PAYEE_SET, each.token, input=CARD)
        assert answer["errors"] == []
    staff = await factories.person("op", Role.OPERATOR)
    first = await live.ask(CASES, staff.token, first=1, status="OPEN")
    assert (first["totalCount"], first["pageInfo"]["hasNextPage"]) == (2, True)
    assert first["nodes"][0]["rule"] == "SHARED_PAYEE"
    assert first["nodes"][0]["conversion"] is None
    assert first["nodes"][0]["evidence"]["account"] == "****2222"
    after = first["pageInfo"]["endCursor"]
    second = await live.ask(CASES, staff.token, first=1, status="OPEN", after=after)
    names = [each["nodes"][0]["promoter"]["displayName"] for each in (first, second)]
    assert names == ["wei", "lin"]
    assert not second["pageInfo"]["hasNextPage"]
    assert await live.refused(CASES, staff.token, first=1, after=after) == "BAD_USER_INPUT"
    assert await live.refused(CASES, staff.token, first=0) == "BAD_USER_INPUT"
