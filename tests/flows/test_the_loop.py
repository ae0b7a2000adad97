"""The main loop over real HTTP: a click, a member, an order, a credit, a tier, a refund."""

from api.nodes import to_id
from members.models import Role
from referral import links
from tests import factories
from tests.client import ENSURE, ORDER, REFUND, REGISTER, VIEWER, Api


async def test_an_order_after_a_click_credits_the_promoter_and_lifts_the_tier(live: Api) -> None:
    stage = await factories.stage()
    visitor = await live.visit(stage.link.code)
    joined = await live.ask(REGISTER, input={"displayName": "Mei", "visitorId": visitor})
    order = {
        "source": "shop",
        "externalId": "A-1",
        "member": joined["member"]["id"],
        "amountMinor": 300_000,
    }

    accepted = await live.ask(ORDER, stage.shop.token, input=order)
    decided = await live.decided(stage.shop.token, "shop", "A-1")

    assert accepted["errors"] == []
    assert (accepted["conversion"]["status"], accepted["replayed"]) == ("PENDING", False)
    assert decided["status"] == "CREDITED"
    [attribution] = decided["attributions"]
    assert attribution["promoter"]["displayName"] == "lin"
    assert attribution["weightPpm"] == 1_000_000
    assert attribution["commissions"] == [
        {
            "asset": "CASH",
            "amount": 30_000,
            "reversed": 0,
            "rule": {"version": 1, "rateBps": 1_000},
        }
    ]
    assert [each["verdict"] for each in decided["explanation"]] == ["CREDITED"]
    promoter = await live.ask(VIEWER, stage.promoter.token)
    assert promoter["balances"] == [
        {
            "asset": "CASH",
            "currency": "CNY",
            "pending": 30_000,
            "available": 0,
            "held": 0,
            "paid": 0,
        }
    ]
    customer = await live.ask(VIEWER, joined["token"])
    assert customer["tier"] == {"code": "silver"}
    assert customer["metrics"] == {"spendMinor": 300_000}


async def test_refunds_take_back_exactly_their_part_and_the_tier(live: Api) -> None:
    stage = await factories.stage(rate_bps=333)
    visitor = await live.visit(stage.link.code)
    joined = await live.ask(REGISTER, input={"displayName": "Mei", "visitorId": visitor})
    shop = stage.shop.token
    customer = joined["member"]["id"]
    order = {"source": "shop", "externalId": "A-1", "member": customer, "amountMinor": 500_001}
    await live.ask(ORDER, shop, input=order)

    for number, amount in enumerate((1, 200_000, 300_000), start=1):
        refund = {
            "source": "shop",
            "externalId": f"R-{number}",
            "orderExternalId": "A-1",
            "amountMinor": amount,
        }
        accepted = await live.ask(REFUND, shop, input=refund)
        assert accepted["conversion"]["order"] == {"externalId": "A-1"}
        assert (await live.decided(shop, "shop", f"R-{number}", "REFUND"))["status"] == "CREDITED"

    decided = await live.decided(shop, "shop", "A-1")
    assert (decided["status"], decided["refundedMinor"]) == ("REVERSED", 500_001)
    [commission] = decided["attributions"][0]["commissions"]
    assert commission["amount"] == commission["reversed"] == 16_650
    promoter = await live.ask(VIEWER, stage.promoter.token)
    assert promoter["balances"][0]["pending"] == 0
    assert [each["amount"] for each in promoter["ledger"]["nodes"]][-1] == 16_650
    assert sum(each["amount"] for each in promoter["ledger"]["nodes"]) == 0
    moved = await live.ask(VIEWER, joined["token"])
    assert moved["tier"] is None
    assert moved["metrics"] == {"spendMinor": 0}
    history = moved["tierHistory"]["nodes"]
    assert [
        (each["from"], each["to"], each["reason"], each["metrics"]["SPEND"]) for each in history
    ] == [
        ({"code": "silver"}, None, "REFUNDED", 0),
        ({"code": "gold"}, {"code": "silver"}, "REFUNDED", 300_000),
        (None, {"code": "gold"}, "QUALIFIED", 500_001),
    ]


async def test_a_shop_gets_no_session_of_staff(live: Api) -> None:
    stage = await factories.stage()
    boss = await factories.person("boss", Role.ADMIN)
    order = {
        "source": "shop",
        "externalId": "A-1",
        "member": to_id("Member", boss.member.id),
        "customerRef": "c-1",
        "amountMinor": 1,
    }
    await live.ask(ORDER, stage.shop.token, input=order)

    ensured = await live.ask(
        ENSURE, stage.shop.token, input={"source": "shop", "customerRef": "c-1"}
    )

    assert ensured["member"]["displayName"] == "boss"
    assert ensured["token"] is None


async def test_a_refund_is_its_orders_customers_whoever_else_it_names(live: Api) -> None:
    stage = await factories.stage()
    mei, lan = await factories.person("mei"), await factories.person("lan")
    shop = stage.shop.token
    order = {
        "source": "shop",
        "externalId": "A-1",
        "member": to_id("Member", mei.member.id),
        "amountMinor": 500,
    }
    refund = {
        "source": "shop",
        "externalId": "R-1",
        "orderExternalId": "A-1",
        "member": to_id("Member", lan.member.id),
        "amountMinor": 200,
    }
    await live.ask(ORDER, shop, input=order)
    await live.ask(REFUND, shop, input=refund)
    await live.decided(shop, "shop", "R-1", "REFUND")

    again = await live.ask(REFUND, shop, input=refund)

    assert (again["replayed"], again["errors"]) == (True, [])
    spent = [await live.ask(VIEWER, each.token) for each in (mei, lan)]
    assert [each["metrics"]["spendMinor"] for each in spent] == [300, 0]


async def test_the_redirect_leaves_the_shops_own_query_as_it_was_signed(live: Api) -> None:
    stage = await factories.stage()
    signed = "https://shop.example/tea?flag&sig=a%2Fb+c/d"
    link = await links.set_up(
        program_id=stage.program.id,
        owner_id=stage.promoter.member.id,
        target_url=signed,
        allowed_hosts=["shop.example"],
        now=factories.NOW,
    )
    location = (await live.click(link.code)).headers["location"]
    assert location.startswith(f"{signed}&r={link.code}&vid=")
