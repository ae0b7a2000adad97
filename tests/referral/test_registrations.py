"""Whoever comes in brings the touches along that led there."""

import asyncio

import pytest

from core.errors import Invalid, Required, TooLong
from members import identity
from members.errors import EmailTaken
from members.identity import NewMember
from members.models import CustomerRef, Member, Session
from referral import registrations, touches
from referral.models import ConversionStatus, Touch, Visitor
from tests import factories
from tests.factories import NOW
from tests.referral import scene


async def test_registering_with_a_visitor_joins_its_touches_and_signs_in(opened: str) -> None:
    stage = await factories.stage()
    await touches.record(stage.link, "visitor-1", NOW)

    entered = await registrations.register(NewMember("Mei"), "visitor-1", NOW)

    assert entered.visitor == "visitor-1"
    assert (await Visitor.get()).member_id == entered.member.id
    viewer = await identity.viewer(entered.session.token, NOW)
    assert viewer is not None
    assert viewer.member_id == entered.member.id


async def test_registering_without_a_visitor_gives_none(embedded: str) -> None:
    entered = await registrations.register(NewMember("Mei"), None, NOW)
    assert entered.visitor is None
    assert await Visitor.all().count() == 0


async def test_registering_with_somebody_else_s_visitor_gives_a_fresh_one(embedded: str) -> None:
    stage = await factories.stage()
    await touches.record(stage.link, "visitor-1", NOW)
    await registrations.register(NewMember("Mei"), "visitor-1", NOW)
    second = await registrations.register(NewMember("Lan"), "visitor-1", NOW)
    assert second.visitor != "visitor-1"
    assert await Touch.filter(visitor=second.visitor or "").count() == 1


async def test_a_registration_that_is_refused_leaves_nothing(opened: str) -> None:
    await registrations.register(NewMember("Mei", "mei@example.com"), None, NOW)
    refused = [
        (NewMember("Lan"), "short", Invalid),
        (NewMember("Lan", "MEI@example.com"), "visitor-1", EmailTaken),
        (NewMember(""), "visitor-1", Required),
    ]
    for new, visitor, kind in refused:
        with pytest.raises(kind):
            await registrations.register(new, visitor, NOW)
    assert await Member.all().count() == await Session.all().count() == 1
    assert await Visitor.all().count() == 0


async def test_ensure_makes_the_customer_once_also_at_once(opened: str) -> None:
    entered = await asyncio.gather(
        *(registrations.ensure("shop", "c-1", NewMember("Mei"), None, NOW) for _ in range(5))
    )
    again = await registrations.ensure(" shop ", " c-1 ", NewMember("Other"), None, NOW)

    assert {each.member.id for each in entered} == {again.member.id}
    assert again.member.display_name == "Mei"
    assert await Member.all().count() == await CustomerRef.all().count() == 1
    assert await Session.all().count() == 6


async def test_ensure_refuses_names_that_cannot_be_kept(embedded: str) -> None:
    for source, ref, kind, field in [
        ("", "c-1", Required, "source"),
        ("s" * 41, "c-1", TooLong, "source"),
        ("shop", " ", Required, "customerRef"),
        ("shop", "c" * 101, TooLong, "customerRef"),
        ("shop", "c\x00", Invalid, "customerRef"),
    ]:
        with pytest.raises(kind) as refused:
            await registrations.ensure(source, ref, NewMember("Mei"), None, NOW)
        assert refused.value.field == (field,)
    assert await Member.all().count() == 0


async def test_ensure_has_the_orders_decided_that_waited_for_the_customer(opened: str) -> None:
    stage = await factories.stage()
    shop = scene.shop(stage)
    await touches.record(stage.link, "visitor-1", NOW - scene.DAY)
    await shop.order("A-1", 300_000, ref="c-1")
    await shop.order("A-2", 100, ref="c-2")
    await scene.settle()
    assert await shop.status("A-1") is ConversionStatus.PARKED

    entered = await registrations.ensure("shop", "c-1", NewMember("Mei"), "visitor-1", NOW)
    await scene.settle()

    assert await shop.status("A-1") is ConversionStatus.CREDITED
    assert await shop.status("A-2") is ConversionStatus.PARKED
    assert (await shop.find("A-1")).member_id == entered.member.id
    assert await scene.spend(entered.member) == 300_000
    assert await scene.pending(stage.promoter.member) == 30_000
