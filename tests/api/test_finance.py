"""Finance pays people over real HTTP: payees, preview, run, bank file, settlement, corrections."""

import csv
import io
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema, parse, validate

from api import bank_file, schema
from api.nodes import to_id
from core import money
from core.audit import AuditEntry
from members import payees
from members.models import Asset, LedgerTransfer, Role
from members.payees import Payee
from referral import adjusting, looking, releasing
from referral.bank_orders import Order
from referral.models import Commission, Payout, PayoutStatus
from tests import factories
from tests.api.books import nothing_written, on_sqlite_alone
from tests.client import ORDER, Api

ERRORS = "errors { code field }"
PAYEE_SET = f"""mutation ($input: PayeeInput!) {{ payeeSet(input: $input) {{
  member {{ payee {{ method name account bank }} }} {ERRORS} }} }}"""
RUN = f"""mutation ($program: String!) {{ payoutRun(program: $program) {{
  payouts {{ id amountMinor currency status program {{ code }} member {{ displayName }} }}
  {ERRORS} }} }}"""
SETTLE = f"""mutation ($id: ID!, $sent: Boolean!, $reference: String, $reason: String) {{
  payoutSettle(id: $id, sent: $sent, reference: $reference, reason: $reason) {{
    payouts {{ id status reference failureReason settledAt }} {ERRORS} }} }}"""
ADJUST = f"""mutation ($member: ID!, $program: String!, $amount: Long!, $memo: String!,
    $key: String!, $asset: Asset! = CASH) {{
  ledgerAdjust(member: $member, program: $program, asset: $asset, amount: $amount, memo: $memo,
    key: $key) {{
    member {{ balances {{ asset currency pending available held paid }} }} {ERRORS} }} }}"""
PREVIEW = "query ($p: String!) { payoutPreview(program: $p) { count totalMinor withoutPayee } }"
PAYOUTS = """query ($status: PayoutStatus, $first: Int! = 20, $after: String) {
  payouts(status: $status, first: $first, after: $after) {
    nodes { id status } totalCount pageInfo { hasNextPage endCursor } } }"""
SUMMARY = """query ($program: String!, $month: String!) {
  ledgerSummary(program: $program, month: $month) {
    asset account kind opening moved closing } }"""
MINE = """{ viewer { payee { account } payouts { amountMinor status }
  balances { available paid }
  ledger(first: 3) { nodes { kind amount memo conversion { member { id } } } } } }"""
CARD = {"method": "BANK", "name": "林小雨", "account": "6222000011112222", "bank": "ICBC"}


@dataclass(frozen=True, slots=True)
class World:
    stage: factories.Stage
    finance: factories.Person
    commission: Commission


async def world(live: Api, amount_minor: int = 5_000) -> World:
    """Lin has 10 % of an order available, and somebody of finance is there."""
    stage = await factories.stage()
    visitor = await live.visit(stage.link.code)
    order = {"source": "shop", "externalId": "A-1", "amountMinor": amount_minor}
    ensure = """mutation ($visitor: String!) { memberEnsure(input: {
        source: "shop", customerRef: "c-1", visitorId: $visitor }) { errors { code } } }"""
    await live.ask(ensure, stage.shop.token, visitor=visitor)
    await live.ask(ORDER, stage.shop.token, input=order | {"customerRef": "c-1"})
    found = await live.decided(stage.shop.token, "shop", "A-1")
    assert found["status"] == "CREDITED"
    now = datetime.now(UTC)
    await Commission.all().update(available_at=now - timedelta(minutes=1))
    while await looking.work(now):
        pass
    await releasing.work(now)
    finance = await factories.person("finance", Role.FINANCE)
    return World(stage, finance, await Commission.get())


async def bank(live: Api, token: str | None, **query: str) -> Any:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return await live.http.get("/payouts.csv", params=query, headers=headers)


def rows(text: bytes) -> list[dict[str, str]]:
    return [*csv.DictReader(io.StringIO(text.decode("utf-8-sig")))]


async def test_a_promoter_is_paid_from_payee_to_bank(live: Api) -> None:
    here = await world(live)
    lin, finance = here.stage.promoter.token, here.finance.token
    assert await live.ask(PREVIEW, finance, p="friends") == {
        "count": 0,
        "totalMinor": 0,
        "withoutPayee": 1,
    }
    said = await live.ask(PAYEE_SET, lin, input=CARD)
    assert said == {"member": {"payee": CARD | {"account": "****2222"}}, "errors": []}
    assert await live.ask(PREVIEW, finance, p="friends") == {
        "count": 1,
        "totalMinor": 500,
        "withoutPayee": 0,
    }

    ran = await live.ask(RUN, finance, program="friends")
    [payout] = ran["payouts"]
    assert payout | {"id": ""} == {
        "id": "",
        "amountMinor": 500,
        "currency": "CNY",
        "status": "PROCESSING",
        "program": {"code": "friends"},
        "member": {"displayName": "lin"},
    }
    assert await live.ask(RUN, finance, program="friends") == {"payouts": [], "errors": []}

    answer = await bank(live, finance)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["cache-control"] == "no-store"
    [row] = rows(answer.content)
    assert row | {"created_at": ""} == {
        "payout": payout["id"],
        "program": "friends",
        "member": "lin",
        "method": "BANK",
        "name": "林小雨",
        "account": "6222000011112222",
        "bank": "ICBC",
        "amount": "5.00",
        "currency": "CNY",
        "status": "PROCESSING",
        "reference": "",
        "created_at": "",
    }

    sent = await live.ask(SETTLE, finance, id=payout["id"], sent=True, reference="B-77")
    [settled] = sent["payouts"]
    assert (settled["status"], settled["reference"]) == ("SENT", "B-77")
    mine = await live.ask(MINE, lin)
    assert mine["payee"] == {"account": "****2222"}
    assert mine["payouts"] == [{"amountMinor": 500, "status": "SENT"}]
    assert mine["balances"] == [{"available": 0, "paid": 500}]
    assert [each["kind"] for each in mine["ledger"]["nodes"]] == ["PAYOUT", "PAYOUT", "RELEASE"]

    failed = await live.ask(SETTLE, finance, id=payout["id"], sent=False, reason="closed")
    assert failed["payouts"][0]["failureReason"] == "closed"
    assert (await live.ask(MINE, lin))["balances"] == [{"available": 500, "paid": 0}]
    proof = "{ reconciliation { ok transfers problems } }"
    assert await live.ask(proof, finance) == {"ok": True, "transfers": 4, "problems": []}
    done = {entry.action for entry in await AuditEntry.all()}
    assert {"payeeSet", "payoutRun", "payoutCsv", "payoutSettle"} <= done


async def test_adjustments_go_in_once_and_never_below_zero(live: Api) -> None:
    here = await world(live)
    finance = here.finance.token
    given = {
        "member": to_id("Member", here.stage.promoter.member.id),
        "program": "friends",
        "memo": "the fair in May",
        "key": "fair-1",
    }
    more = await live.ask(ADJUST, finance, **given, amount=250)
    assert more["member"]["balances"] == [
        {
            "asset": "CASH",
            "currency": "CNY",
            "pending": 0,
            "available": 750,
            "held": 0,
            "paid": 0,
        }
    ]
    assert await live.ask(ADJUST, finance, **given, amount=250) == more
    refusals = {
        "IDEMPOTENCY_CONFLICT": ({"amount": 251}, ["key"]),
        "INSUFFICIENT_BALANCE": ({"amount": -751, "key": "k-2"}, ["amount"]),
        "INVALID": ({"amount": 0, "key": "k-3"}, ["amount"]),
        "REQUIRED": ({"amount": 1, "memo": " ", "key": "k-4"}, ["memo"]),
        "TOO_LONG": ({"amount": 1, "key": "k" * 101}, ["key"]),
        "NOT_FOUND": ({"amount": 1, "program": "nowhere", "key": "k-5"}, ["program"]),
    }
    async with nothing_written():
        for code, (wrong, field) in refusals.items():
            answer = await live.ask(ADJUST, finance, **(given | wrong))
            assert answer == {"member": None, "errors": [{"code": code, "field": field}]}, code
        for member in (to_id("Member", 99_999), to_id("Tier", 1), "x"):
            wrong = given | {"member": member, "amount": 1, "key": "k-6"}
            answer = await live.ask(ADJUST, finance, **wrong)
            assert answer["errors"] == [{"code": "NOT_FOUND", "field": ["member"]}]
    mine = await live.ask(MINE, here.stage.promoter.token)
    assert mine["ledger"]["nodes"][0] == {
        "kind": "ADJUST",
        "amount": 250,
        "memo": "the fair in May",
        "conversion": None,
    }


@on_sqlite_alone
async def test_staff_sees_what_an_entry_was_for_and_the_promoter_does_not_see_the_buyer(
    live: Api,
) -> None:
    here = await world(live)
    mine = await live.ask(MINE, here.stage.promoter.token)
    shown = [each["conversion"] for each in mine["ledger"]["nodes"]]
    assert shown == [{"member": None}] * len(shown)
    query = """query ($id: ID!) { member(id: $id) {
      ledger { nodes { kind conversion { externalId } } } } }"""
    id = to_id("Member", here.stage.promoter.member.id)
    seen = await live.ask(query, here.finance.token, id=id)
    assert {"kind": "ACCRUE", "conversion": {"externalId": "A-1"}} in seen["ledger"]["nodes"]


@on_sqlite_alone
async def test_a_commission_says_how_far_it_is(live: Api) -> None:
    here = await world(live)
    query = """{ conversion(source: "shop", externalId: "A-1") {
      attributions { commissions { status availableAt } } } }"""
    [attribution] = (await live.ask(query, here.finance.token))["attributions"]
    [commission] = attribution["commissions"]
    assert commission["status"] == "AVAILABLE"
    assert commission["availableAt"] == f"{here.commission.available_at:%Y-%m-%dT%H:%M:%S.%fZ}"


@on_sqlite_alone
async def test_a_settlement_that_cannot_be_has_its_code(live: Api) -> None:
    here = await world(live)
    finance = here.finance.token
    await live.ask(PAYEE_SET, here.stage.promoter.token, input=CARD)
    [payout] = (await live.ask(RUN, finance, program="friends"))["payouts"]
    await live.ask(SETTLE, finance, id=payout["id"], sent=False, reason="closed")
    for given, code, field in (
        ({"id": payout["id"], "sent": True, "reference": "B-1"}, "INVALID_TRANSITION", "id"),
        ({"id": to_id("Payout", 9_999), "sent": True}, "NOT_FOUND", "id"),
        ({"id": to_id("Member", 1), "sent": True}, "NOT_FOUND", "id"),
        ({"id": payout["id"], "sent": True, "reference": "x" * 101}, "TOO_LONG", "reference"),
    ):
        answer = await live.ask(SETTLE, finance, **given)
        assert answer == {"payouts": [], "errors": [{"code": code, "field": [field]}]}
    unknown = await live.ask(RUN, finance, program="nowhere")
    assert unknown["errors"] == [{"code": "NOT_FOUND", "field": ["program"]}]


@on_sqlite_alone
async def test_a_payee_that_cannot_be_has_its_code(live: Api) -> None:
    lin = await factories.person("lin")
    async with nothing_written():
        for wrong, code in (({"account": " "}, "REQUIRED"), ({"name": "x" * 101}, "TOO_LONG")):
            answer = await live.ask(PAYEE_SET, lin.token, input=CARD | wrong)
            assert answer == {
                "member": None,
                "errors": [{"code": code, "field": [*wrong]}],
            }


@on_sqlite_alone
async def test_payouts_are_listed_newest_first_by_status(live: Api) -> None:
    here = await world(live)
    finance, member, terms = here.finance.token, here.stage.promoter.member, here.stage.program
    for number, status in enumerate((PayoutStatus.SENT, PayoutStatus.FAILED, PayoutStatus.SENT)):
        await Payout.create(
            program=terms,
            member=member,
            amount_minor=number + 1,
            currency="CNY",
            payee="sealed",
            status=status,
            created_at=factories.NOW,
        )
    everything = await live.ask(PAYOUTS, finance, first=2)
    assert [each["status"] for each in everything["nodes"]] == ["SENT", "FAILED"]
    assert everything["totalCount"] == 3
    after = everything["pageInfo"]["endCursor"]
    assert len((await live.ask(PAYOUTS, finance, after=after))["nodes"]) == 1
    sent = await live.ask(PAYOUTS, finance, status="SENT")
    assert [each["status"] for each in sent["nodes"]] == ["SENT", "SENT"]
    assert await live.refused(PAYOUTS, finance, first=101) == "BAD_USER_INPUT"


@on_sqlite_alone
async def test_a_payout_is_found_by_its_id_by_whom_it_concerns(live: Api) -> None:
    here = await world(live)
    await live.ask(PAYEE_SET, here.stage.promoter.token, input=CARD)
    [payout] = (await live.ask(RUN, here.finance.token, program="friends"))["payouts"]
    query = "query ($id: ID!) { node(id: $id) { ... on Payout { amountMinor } } }"
    for token in (here.finance.token, here.stage.promoter.token):
        assert await live.ask(query, token, id=payout["id"]) == {"amountMinor": 500}
    mei = await factories.person("mei")
    assert await live.refused(query, mei.token, id=payout["id"]) == "FORBIDDEN"
    assert await live.refused(query, id=payout["id"]) == "UNAUTHENTICATED"


# ---------------------------------------------------------------- the file for the bank


@on_sqlite_alone
async def test_the_file_is_for_finance_alone(live: Api) -> None:
    for role, status in ((Role.OPERATOR, 403), (Role.SERVICE, 403), (Role.ADMIN, 200)):
        person = await factories.person(role.lower(), role)
        assert (await bank(live, person.token)).status_code == status, role
    assert (await bank(live, None)).status_code == 401
    assert (await bank(live, "nonsense")).status_code == 401


@on_sqlite_alone
async def test_a_file_of_what_there_is_not_is_refused(live: Api) -> None:
    finance = await factories.person("finance", Role.FINANCE)
    for query in ({"status": "LOST"}, {"program": "nowhere"}):
        answer = await bank(live, finance.token, **query)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert rows((await bank(live, finance.token, status="SENT")).content) == []


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_run_as_a_formula(first: str) -> None:
    payout = Payout(
        id=1,
        amount_minor=1234,
        currency="CNY",
        status=PayoutStatus.PROCESSING,
        created_at=factories.NOW,
    )
    payee = Payee("BANK", f"{first}cmd|' /C calc'!A0", "-1")
    sheet = bank_file.sheet([Order(payout, "friends", f"{first}1+1", payee)])
    [row] = rows(sheet)
    assert row["member"] == f"'{first}1+1"
    assert row["name"].startswith(f"'{first}cmd")
    assert row["account"] == "'-1"
    assert row["amount"] == "12.34"


@pytest.mark.parametrize(
    ("amount_minor", "currency", "written"),
    [
        (1234, "CNY", "12.34"),
        (5, "CNY", "0.05"),
        (100, "CNY", "1.00"),
        (-1234, "CNY", "-12.34"),
        (1234, "JPY", "1234"),
        (1234, "KWD", "1.234"),
        (10**15, "EUR", "10000000000000.00"),
    ],
)
def test_amounts_are_written_as_on_a_bank_form(
    amount_minor: int, currency: str, written: str
) -> None:
    assert money.decimal(amount_minor, currency) == written


# ---------------------------------------------------------------- months


def line(account: str, kind: str | None, opening: int, moved: int) -> dict[str, Any]:
    return {
        "asset": "CASH",
        "account": account,
        "kind": kind,
        "opening": opening,
        "moved": moved,
        "closing": opening + moved,
    }


async def test_a_month_adds_up_from_its_entries_in_the_business_time_zone(live: Api) -> None:
    here = await world(live)
    finance = here.finance.token
    # Shanghai is eight hours ahead: its March begins on the last of February.
    march = datetime(2026, 2, 28, 16, tzinfo=UTC)
    for at, amount, key in (
        (march - timedelta(microseconds=1), 1, "february"),
        (march, 10, "march"),
        (datetime(2026, 3, 31, 15, 59, 59, 999_999, tzinfo=UTC), 100, "still march"),
        (datetime(2026, 3, 31, 16, tzinfo=UTC), 1_000, "april"),
    ):
        await _adjusted(here, amount, key, at)

    found = await live.ask(SUMMARY, finance, program="friends", month="2026-03")
    assert found == [
        line("PENDING", None, 0, 0),
        line("AVAILABLE", None, 1, 110),
        line("AVAILABLE", "ADJUST", 1, 110),
        line("HELD", None, 0, 0),
        line("PAID", None, 0, 0),
    ]
    now = datetime.now(UTC) + timedelta(hours=8)
    found = await live.ask(SUMMARY, finance, program="friends", month=f"{now:%Y-%m}")
    assert found == [
        line("PENDING", None, 0, 0),
        line("PENDING", "ACCRUE", 0, 500),
        line("PENDING", "RELEASE", 0, -500),
        line("AVAILABLE", None, 1_111, 500),
        line("AVAILABLE", "RELEASE", 0, 500),
        line("AVAILABLE", "ADJUST", 1_111, 0),
        line("HELD", None, 0, 0),
        line("PAID", None, 0, 0),
    ]


async def _adjusted(here: World, amount: int, key: str, at: datetime) -> None:
    await adjusting.adjust(
        here.stage.promoter.member.id,
        "friends",
        asset=Asset.CASH,
        amount=amount,
        memo="m",
        key=key,
        actor_id=here.finance.member.id,
        now=at,
    )


@on_sqlite_alone
async def test_a_month_that_is_none_is_bad_input(live: Api) -> None:
    finance = await factories.person("finance", Role.FINANCE)
    await factories.program()
    for month in ("", "2026", "2026-13", "2026-00", "2026-3", "26-03", "2026-03-01", "２０２６-03"):
        code = await live.refused(SUMMARY, finance.token, program="friends", month=month)
        assert code == "BAD_USER_INPUT", month
    for program in ("nowhere", ""):
        code = await live.refused(SUMMARY, finance.token, program=program, month="2026-03")
        assert code == "BAD_USER_INPUT"
        assert await live.refused(PREVIEW, finance.token, p=program) == "BAD_USER_INPUT"
    for month in ("2026-12", "9999-11", "1000-01"):
        assert await live.ask(SUMMARY, finance.token, program="friends", month=month) == []


@on_sqlite_alone
async def test_a_payee_that_no_secret_opens_is_our_fault_and_stays_inside(live: Api) -> None:
    lin = await factories.person("lin")
    vault = payees.Vault(["a secret that is gone, long enough for the rule"])
    await payees.put(lin.member.id, Payee("BANK", "Lin", "62220000"), vault, factories.NOW)
    answer = (await live.post("{ viewer { payee { account } } }", lin.token)).json()
    assert answer["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert "6222" not in str(answer)
    assert await LedgerTransfer.all().count() == 0


def test_every_request_of_the_page_for_finance_fits_the_schema() -> None:
    page = (Path(__file__).parents[2] / "docs" / "payouts.md").read_text()
    blocks = re.findall(r"```graphql\n(.*?)```", page, re.DOTALL)
    inline = re.findall(r"`(\{ .*?\}|viewer \{.*?\})`", page, re.DOTALL)
    documents = [*blocks, *(each if each[0] == "{" else f"{{ {each} }}" for each in inline)]
    assert len(documents) == 8
    known = build_schema(schema.sdl())
    for document in documents:
        assert validate(known, parse(document)) == [], document
