"""A registration is attributed as it is made; what the invitee then does counts for the inviter."""

import asyncio
from datetime import timedelta

import pytest

from core import database
from members import publishing
from members.identity import NewMember
from members.models import Invitation, Member, Standing, TierChange
from members.publishing import TierRule
from members.standings import Standings
from referral import (
    crediting,
    customers,
    invitations,
    reconciliation,
    registrations,
    touches,
)
from referral.models import (
    Attribution,
    Commission,
    Conversion,
    ConversionStatus,
    ConversionType,
    Enrollment,
    TouchVerdict,
)
from tests import factories
from tests.factories import NOW
from tests.members.plans import leaf
from tests.members.statements import watched
from tests.referral import scene
from tests.referral.scene import DAY

MOMENT = timedelta(microseconds=1)
REGISTRATION, PROMOTION = ConversionType.REGISTRATION, ConversionType.PROMOTION


async def counts(member: Member) -> tuple[int, int, int]:
    """How many of the member's invitees registered, bought and were promoted."""
    row = await Standing.get(member_id=member.id)
    return row.invited_registered, row.invited_bought, row.invited_promoted


async def registration(of: Member) -> Conversion:
    return await Conversion.get(type=REGISTRATION, member_id=of.id)


async def is_right() -> bool:
    return (await reconciliation.reconcile(NOW)).ok


# ---- registrations


async def test_a_registration_is_a_conversion_that_is_decided_at_once(opened: str) -> None:
    stage = await factories.stage()
    mei = await scene.customer(stage.link)

    found = await registration(mei)
    assert (found.status, found.source, found.external_id) == (
        ConversionStatus.NOT_CREDITED,
        invitations.SOURCE,
        str(mei.id),
    )
    assert (found.amount_minor, found.occurred_at, found.recorded_by_id) == (0, NOW, mei.id)
    assert await scene.explanation(found) == ["NO_RULE"]
    [credit] = await Attribution.filter(conversion_id=found.id)
    assert (credit.promoter_id, credit.link_id, credit.weight_ppm) == (
        stage.promoter.member.id,
        stage.link.id,
        1_000_000,
    )
    [invitation] = await Invitation.all()
    assert (invitation.inviter_id, invitation.invitee_id) == (stage.promoter.member.id, mei.id)
    assert (invitation.registered_at, invitation.bought_at, invitation.promoted_at) == (
        NOW,
        None,
        None,
    )
    assert await counts(stage.promoter.member) == (1, 0, 0)
    assert await Commission.all().count() == 0
    assert await is_right()


async def test_whoever_came_by_themselves_is_nobody_s_invitee(opened: str) -> None:
    await factories.stage()
    lan = await scene.customer(None)
    found = await registration(lan)
    assert found.status is ConversionStatus.NOT_CREDITED
    assert await Attribution.all().count() == await TouchVerdict.all().count() == 0
    assert await Invitation.all().count() == 0


@pytest.mark.parametrize(
    ("ago", "invited"),
    [
        (timedelta(days=30), True),
        (timedelta(days=30) + MOMENT, False),
        (timedelta(0), True),
        (-MOMENT, False),
    ],
)
async def test_a_touch_invites_within_its_window_with_both_ends(
    embedded: str, ago: timedelta, invited: bool
) -> None:
    stage = await factories.stage()
    await scene.customer(stage.link, ago=ago)
    assert await counts(stage.promoter.member) == (int(invited), 0, 0)
    assert await is_right()


async def test_an_account_made_before_the_touch_is_nobody_s_invitee(opened: str) -> None:
    """A service brings an account of last year; the click was yesterday's."""
    stage = await factories.stage()
    visitor = touches.new_visitor()
    await factories.click(stage.link, visitor, NOW - DAY)
    new = NewMember("Mei", registered_at=NOW - 365 * DAY)
    entered = await registrations.ensure("shop", "c-1", new, visitor, NOW)
    found = await registration(entered.member)
    assert found.occurred_at == NOW - 365 * DAY
    assert await scene.explanation(found) == ["OUTSIDE_WINDOW"]
    assert await counts(stage.promoter.member) == (0, 0, 0)


async def test_an_account_of_last_year_counts_at_its_own_date(opened: str) -> None:
    stage = await factories.stage()
    await publishing.publish(
        [TierRule("host", "Host", 1, leaf("INVITED_REGISTERED", 1, window="CALENDAR_YEAR"))],
        time_zone="Asia/Shanghai",
        now=NOW,
    )
    last_year = NOW - 90 * DAY
    visitor = touches.new_visitor()
    await factories.click(stage.link, visitor, last_year)
    new = NewMember("Mei", registered_at=last_year)
    await registrations.ensure("shop", "c-1", new, visitor, NOW)
    assert await counts(stage.promoter.member) == (1, 0, 0)
    assert await scene.tier(stage.promoter.member) is None
    await scene.customer(stage.link)
    assert await scene.tier(stage.promoter.member) == "host"


async def test_nobody_invites_themselves(opened: str) -> None:
    stage = await factories.stage()
    second = await scene.customer(stage.link, email="LIN+shop@example.com")
    assert await scene.explanation(await registration(second)) == ["SELF_REFERRAL"]
    assert await counts(stage.promoter.member) == (0, 0, 0)


async def test_an_invitee_of_two_programs_counts_once_for_each_inviter(opened: str) -> None:
    stage = await factories.stage()
    other = await factories.program("other")
    lan = await factories.person("lan")
    links = [
        stage.link,
        await factories.link(stage.promoter.member, other),
        await factories.link(lan.member, await factories.program("third")),
    ]
    visitor = touches.new_visitor()
    for link in links:
        await factories.click(link, visitor, NOW - DAY)
    mei = (await registrations.register(NewMember("Mei"), visitor, NOW)).member
    assert await Attribution.filter(conversion=await registration(mei)).count() == 3
    assert await counts(stage.promoter.member) == await counts(lan.member) == (1, 0, 0)
    assert await is_right()


async def test_the_tier_of_the_inviter_rises_with_the_registration(opened: str) -> None:
    stage = await factories.stage()
    await publishing.publish(
        [TierRule("host", "Host", 1, leaf("INVITED_REGISTERED", 2))], time_zone="UTC", now=NOW
    )
    await scene.customer(stage.link)
    assert await scene.tier(stage.promoter.member) is None
    await scene.customer(stage.link)
    assert await scene.tier(stage.promoter.member) == "host"
    [change] = await TierChange.filter(member_id=stage.promoter.member.id)
    assert (change.reason, change.metrics["INVITED_REGISTERED"]) == ("QUALIFIED", 2)


async def test_registrations_at_once_through_one_link_all_count(opened: str) -> None:
    stage = await factories.stage()
    await asyncio.gather(*(scene.customer(stage.link, name=f"m{number}") for number in range(8)))
    assert await counts(stage.promoter.member) == (8, 0, 0)
    assert await is_right()


# ---- orders


async def test_an_invitee_s_orders_count_until_all_were_refunded_and_again(opened: str) -> None:
    stage = await factories.stage()
    shop, promoter = scene.shop(stage), stage.promoter.member
    mei = await scene.customer(stage.link)

    async def then(act: object, bought: int) -> None:
        await act  # type: ignore[misc]
        await scene.settle()
        assert await counts(promoter) == (1, bought, 0)
        assert await is_right()

    await then(shop.order("A-0", 0, mei), 0)
    await then(shop.order("A-1", 100, mei, at=NOW - 2 * DAY), 1)
    await then(shop.order("A-2", 50, mei, at=NOW - 3 * DAY), 1)
    assert (await Invitation.get()).bought_at == NOW - 3 * DAY
    await then(shop.refund("R-1", 99, of="A-1"), 1)
    await then(shop.refund("R-2", 1, of="A-1"), 1)
    await then(shop.refund("R-3", 50, of="A-2"), 0)
    assert (await Invitation.get()).bought_at is None
    await then(shop.order("A-3", 5, mei), 1)
    await then(shop.refund("R-4", 5, customer=mei), 0)
    await then(shop.order("A-4", 1, mei), 1)


async def test_the_statements_of_a_batch_do_not_grow_with_the_invitees(opened: str) -> None:
    stage = await factories.stage()
    shop = scene.shop(stage)
    found = []
    for size in (1, 2, 20):
        for number in range(size):
            mei = await scene.customer(stage.link, name="m")
            await shop.order(f"A-{size}-{number}", 300_000, mei)
        with watched() as statements:
            await crediting.work(NOW)
        found.append(len(statements))
    assert found[1] == found[2]


async def test_tiers_add_at_most_two_statements_to_the_crediting_of_an_order(opened: str) -> None:
    """Compared with the same order without any rules: a rule over windows, and a change of tier
    of the customer and of whoever invited them."""
    lin, teller = await factories.person("lin"), await factories.person("shop")
    link = await factories.link(lin.member, await factories.program())
    shop = scene.Shop(teller.member.id)

    async def statements_of(name: str) -> int:
        mei = await scene.customer(link, name=name)
        for number in range(2):  # the first one after new rules reads them
            await shop.order(f"{name}-{number}", 100, mei)
            with watched() as statements:
                await crediting.work(NOW)
        return len(statements)

    without = await statements_of("x")
    for place, (own, inviters) in enumerate(
        (
            (leaf("SPEND", 200), leaf("INVITED_BOUGHT", 1)),
            (
                leaf("SPEND", 200, window="LAST_DAYS", days=30),
                leaf("INVITED_BOUGHT", 1, window="CALENDAR_YEAR"),
            ),
        )
    ):
        drafts = [TierRule("host", "Host", 1, inviters), TierRule("gold", "Gold", 2, own)]
        await publishing.publish(drafts, time_zone="Asia/Shanghai", now=NOW)
        before = await TierChange.all().count()
        assert await statements_of(f"y{place}") <= without + 2
        assert await TierChange.all().count() > before


# ---- enrolments


async def enrolled_in(member: Member, *codes: str) -> None:
    for code in codes:
        await invitations.enroll((await factories.program(code)).id, member, NOW)


async def test_the_first_enrolment_of_an_invitee_counts_once(opened: str) -> None:
    stage = await factories.stage()
    mei = await scene.customer(stage.link)
    await enrolled_in(mei, "friends", "friends", "other")
    assert await counts(stage.promoter.member) == (1, 0, 1)
    assert (await Invitation.get()).promoted_at == NOW
    assert await Enrollment.filter(member=mei).count() == 2
    promotions = await Conversion.filter(type=PROMOTION).order_by("id")
    assert [each.external_id for each in promotions] == [
        f"{mei.id}:{row.program_id}" for row in await Enrollment.filter(member=mei).order_by("id")
    ]
    assert {each.status for each in promotions} == {ConversionStatus.NOT_CREDITED}
    assert await is_right()


async def test_enrolments_and_orders_at_once_all_count(opened: str) -> None:
    stage = await factories.stage()
    shop = scene.shop(stage)
    programs = [(await factories.program(f"p{number}")).id for number in range(4)]
    invitees = [await scene.customer(stage.link, name=f"m{number}") for number in range(3)]
    for number, each in enumerate(invitees):
        await shop.order(f"A-{number}", 5, each)
    await asyncio.gather(
        *(
            invitations.enroll(program_id, each, NOW)
            for each in invitees
            for program_id in [*programs, *programs]
        ),
        *(crediting.work(NOW) for _ in range(3)),
    )
    await scene.settle()
    assert await counts(stage.promoter.member) == (3, 3, 3)
    assert await Conversion.filter(type=PROMOTION).count() == 12
    assert await is_right()


async def test_an_enrolment_of_nobody_s_invitee_counts_for_nobody(embedded: str) -> None:
    stage = await factories.stage()
    await enrolled_in(await scene.customer(None), "friends")
    assert await counts(stage.promoter.member) == (0, 0, 0)
    assert await is_right()


@pytest.mark.postgres
async def test_a_customer_who_registers_while_a_worker_has_its_order_waits_for_nothing_crosswise(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registration holds the inviter and then wants the parked order; the worker holds the
    order, for its refund, and then wants the inviter, for another invitee's order."""
    async with database.opened(postgres_url):
        stage = await factories.stage()
        shop = scene.shop(stage)
        mei = await scene.customer(stage.link)
        await shop.order("A-1", 500, ref="c-1")
        await scene.settle()
        await shop.refund("R-1", 5, of="A-1")
        await shop.order("A-2", 700, mei)
        visitor = touches.new_visitor()
        await factories.click(stage.link, visitor, NOW - DAY)
        holding, wanted = asyncio.Event(), asyncio.Event()
        link_customer, lock = customers.link, Standings.load.__func__

        async def linked_late(*arguments: object) -> bool:
            holding.set()
            await wanted.wait()
            return await link_customer(*arguments)  # type: ignore[arg-type]

        async def loaded_late(kind: type, *arguments: object) -> object:
            await holding.wait()
            wanted.set()
            return await lock(kind, *arguments)

        monkeypatch.setattr(customers, "link", linked_late)
        monkeypatch.setattr(Standings, "load", classmethod(loaded_late))
        await asyncio.gather(
            registrations.ensure("shop", "c-1", NewMember("Lan"), visitor, NOW),
            crediting.work(NOW),
        )
        monkeypatch.undo()
        await scene.settle()
        assert await counts(stage.promoter.member) == (2, 2, 0)
        assert await is_right()
