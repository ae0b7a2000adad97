"""Who was not credited for being the customer, or their child, is shown to staff."""

from members.models import Role, WechatIdentity
from referral import looking
from referral.models import Binding, RiskItem, RiskStatus, Visitor
from tests import factories
from tests.factories import NOW
from tests.referral import scene
from tests.referral.scene import Shop
from tests.referral.suspects import books_are_right, case, cases, decide, look


async def stage() -> tuple[factories.Stage, Shop]:
    made = await factories.stage()
    return made, scene.shop(made)


async def join(promoter_id: int, link: scene.Link) -> None:
    """The promoter has clicked the own link."""
    visitor = scene.touches.new_visitor()
    await factories.click(link, visitor, NOW - scene.DAY)
    await Visitor.create(id=visitor, member_id=promoter_id, joined_at=NOW)


async def test_the_same_member_is_a_case_with_the_touch_and_nothing_held(opened: str) -> None:
    made, shop = await stage()
    await join(made.promoter.member.id, made.link)
    await shop.order("A-1", 1_000, made.promoter.member)
    await scene.settle()
    await look()

    found = await case()
    assert (found.rule, found.status) == ("SELF_REFERRAL", RiskStatus.OPEN)
    assert found.promoter_id == made.promoter.member.id
    assert found.conversion_id == (await shop.find("A-1")).id
    [example] = found.evidence["examples"]
    assert (example["form"], example["externalId"]) == ("MEMBER", "A-1")
    assert example["detail"] == "the promoter is the customer"
    assert example["touchedAt"] == "2026-02-28T12:00:00Z"
    assert found.evidence["atStake"] == {}
    assert not await RiskItem.filter(commission_id__isnull=False).exists()
    assert await books_are_right()


async def test_the_same_mailbox_says_so_and_not_which(opened: str) -> None:
    made, shop = await stage()
    promoter = await factories.person("wang", Role.EMPLOYEE, email="wang.li@gmail.com")
    link = await factories.link(promoter.member, made.program)
    customer = await scene.customer(link, email="wangli+tea@gmail.com")
    await shop.order("A-1", 1_000, customer)
    await scene.settle()
    await look()

    found = await case()
    assert [each["form"] for each in found.evidence["examples"]] == ["MAILBOX", "MAILBOX"]
    assert "gmail" not in str(found.evidence)


async def test_the_same_wechat_identity_is_named(opened: str) -> None:
    made, shop = await stage()
    customer = await scene.customer(made.link)
    for number, member in enumerate((made.promoter.member, customer)):
        await WechatIdentity.create(
            member=member, openid=f"open-{number}", unionid=None if number else "u", created_at=NOW
        )
    await WechatIdentity.filter(member=customer).update(openid="u")
    await shop.order("A-1", 1_000, customer)
    await scene.settle()
    await look()
    assert [each["form"] for each in (await case()).evidence["examples"]] == ["WECHAT"]


async def test_a_promoter_whom_the_customer_brought_is_a_case_of_its_own_rule(opened: str) -> None:
    made, shop = await stage()
    customer = await scene.customer(made.link)
    await Binding.create(
        program=made.program, member=made.promoter.member, promoter=customer, bound_at=NOW
    )
    await shop.order("A-1", 1_000, customer)
    await scene.settle()
    await look()
    found = await case()
    assert (found.rule, found.promoter_id) == ("OWN_DOWNLINE", made.promoter.member.id)
    assert [each["form"] for each in found.evidence["examples"]] == ["OWN_DOWNLINE"]


async def test_a_pair_is_one_case_until_it_is_decided(opened: str) -> None:
    made, shop = await stage()
    await join(made.promoter.member.id, made.link)
    for name in ("A-1", "A-2"):
        await shop.order(name, 1_000, made.promoter.member)
        await scene.settle()
        await look()
    found = await case()
    assert found.evidence["conversions"] == 2
    await decide(found, release=False)
    await shop.order("A-3", 1_000, made.promoter.member)
    await scene.settle()
    await look()
    assert [each.status for each in await cases()] == [RiskStatus.REJECTED, RiskStatus.OPEN]


async def test_released_a_pair_is_known_and_not_asked_about_again(opened: str) -> None:
    made, shop = await stage()
    await join(made.promoter.member.id, made.link)
    await shop.order("A-1", 1_000, made.promoter.member)
    await scene.settle()
    await look()
    await decide(await case(), release=True)
    await shop.order("A-2", 1_000, made.promoter.member)
    await scene.settle()
    await look()
    assert (await case()).evidence["conversions"] == 1
    assert await scene.explanation(await shop.find("A-2")) == ["SELF_REFERRAL"]
    assert not await looking.is_due()
