"""Whoever comes in brings the touches along that led there."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from core import codes
from core.errors import Invalid, Required, TooLong
from members import attempts, identity, passwords, wechat
from members.errors import CredentialsRejected, EmailTaken, TooManyAttempts
from members.identity import NewMember
from members.models import (
    CustomerRef,
    Invitation,
    Member,
    MemberRole,
    Password,
    Role,
    Session,
    SignInFailure,
    WechatIdentity,
)
from members.wechat import Person
from referral import registrations
from referral.errors import CodeUnknown
from referral.models import Conversion, ConversionStatus, ConversionType, Touch, Visitor
from referral.registrations import WECHAT_NAME, Entered
from tests import factories
from tests.factories import NOW, QUICK
from tests.members.statements import watched
from tests.referral import scene

EMAIL = "mei@example.com"
PASSWORD = "correct horse battery"
EARLIER = NOW - timedelta(days=400)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_hasher", QUICK)


async def join(email: str = EMAIL, visitor: str | None = None) -> Entered:
    return await registrations.register(NewMember("Mei", email), visitor, NOW, password=PASSWORD)


async def sign_in(
    email: str = EMAIL, password: str = PASSWORD, visitor: str | None = None
) -> Entered:
    return await registrations.sign_in(
        email, password, visitor, NOW, address="192.0.2.1", secret="secret"
    )


async def invited_by(member: Member) -> set[int]:
    return {row.inviter_id for row in await Invitation.filter(invitee_id=member.id)}


async def test_registering_with_a_visitor_joins_its_touches_and_signs_in(opened: str) -> None:
    stage = await factories.stage()
    await factories.click(stage.link, "visitor-1", NOW)

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
    await factories.click(stage.link, "visitor-1", NOW)
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
    await factories.click(stage.link, "visitor-1", NOW - scene.DAY)
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


# A code that was typed


Coming = Callable[[str | None, str | None], Awaitable[Entered]]


async def by_registering(code: str | None, visitor: str | None) -> Entered:
    return await registrations.register(NewMember("Mei"), visitor, NOW, code=code)


async def by_a_shop(code: str | None, visitor: str | None) -> Entered:
    return await registrations.ensure("shop", "c-1", NewMember("Mei"), visitor, NOW, code=code)


async def by_wechat(code: str | None, visitor: str | None) -> Entered:
    return await registrations.enter_with_wechat(Person("o-mei"), visitor, NOW, code=code)


WAYS = [by_registering, by_a_shop, by_wechat]


@pytest.mark.parametrize("come", WAYS)
async def test_a_typed_code_is_a_touch_and_brings_the_registration(
    opened: str, come: Coming
) -> None:
    stage = await factories.stage()
    entered = await come(f" {stage.link.code.lower()} ", None)

    assert not entered.mistakes
    assert entered.visitor is not None
    touch = await Touch.get()
    assert (touch.link_id, touch.visitor, touch.touched_at) == (stage.link.id, entered.visitor, NOW)
    assert touch.bot_reason is None
    assert (await Visitor.get(id=entered.visitor)).member_id == entered.member.id
    assert await invited_by(entered.member) == {stage.promoter.member.id}


@pytest.mark.parametrize("come", WAYS)
async def test_a_typed_code_is_a_touch_of_the_visitor_that_was_joined(
    opened: str, come: Coming
) -> None:
    stage = await factories.stage()
    entered = await come(stage.link.code, "visitor-1")
    assert entered.visitor == (await Touch.get()).visitor == "visitor-1"


@pytest.mark.parametrize("come", WAYS)
async def test_a_click_brings_the_registration_too(opened: str, come: Coming) -> None:
    stage = await factories.stage()
    await factories.click(stage.link, "visitor-1", NOW)
    entered = await come(None, "visitor-1")
    assert await invited_by(entered.member) == {stage.promoter.member.id}
    [conversion] = await Conversion.filter(type=ConversionType.REGISTRATION)
    assert conversion.member_id == entered.member.id


@pytest.mark.parametrize("come", [by_registering, by_a_shop])
async def test_a_registration_with_an_unknown_code_is_refused_and_leaves_nothing(
    opened: str, come: Coming
) -> None:
    for code in (codes.new(), "typing mistake", "", "\ud800"):
        with pytest.raises(CodeUnknown) as refused:
            await come(code, "visitor-1")
        assert refused.value.field == ("referralCode",)
    assert await Member.all().count() == await Session.all().count() == 0
    assert await CustomerRef.all().count() == await Visitor.all().count() == 0


async def test_who_is_there_already_is_not_attributed_again(opened: str) -> None:
    stage = await factories.stage()
    await factories.click(stage.link, "visitor-1", NOW)
    for come in (by_a_shop, by_wechat):
        first = await come(None, None)
        again = await come(stage.link.code, "visitor-1")
        assert again.member.id == first.member.id
        assert not again.mistakes
        assert await invited_by(first.member) == set()
    assert await Touch.all().count() == 2  # the click, and its copy for the second one
    assert await Conversion.filter(type=ConversionType.REGISTRATION).count() == 2


async def test_an_account_of_earlier_is_attributed_as_of_then(opened: str) -> None:
    stage = await factories.stage()
    await factories.click(stage.link, "visitor-1", NOW - scene.DAY)
    new = NewMember("Mei", registered_at=EARLIER)
    entered = await registrations.register(new, "visitor-1", NOW, code=stage.link.code)
    [conversion] = await Conversion.filter(type=ConversionType.REGISTRATION)
    assert conversion.occurred_at == entered.member.created_at == EARLIER
    assert await Touch.filter(touched_at=EARLIER).count() == 1
    session = await Session.get(member_id=entered.member.id)
    assert session.created_at == NOW


# Passwords


async def test_whoever_registers_with_a_password_can_sign_in_with_it(opened: str) -> None:
    joined = await join()
    entered = await sign_in(" MEI@example.com ")
    assert entered.member.id == joined.member.id
    assert entered.session is not None
    viewer = await identity.viewer(entered.session.token, NOW)
    assert viewer is not None
    assert viewer.member_id == joined.member.id
    assert await Session.all().count() == 2
    assert await SignInFailure.all().count() == 0


async def test_a_password_without_an_address_is_refused_and_leaves_nothing(embedded: str) -> None:
    with pytest.raises(Required) as refused:
        await registrations.register(NewMember("Mei"), None, NOW, password=PASSWORD)
    assert refused.value.field == ("email",)
    with pytest.raises(Invalid) as short:
        await registrations.register(NewMember("Mei", EMAIL), None, NOW, password="x" * 7)
    assert short.value.field == ("password",)
    assert await Member.all().count() == await Password.all().count() == 0


async def test_an_address_that_is_taken_keeps_its_password(opened: str) -> None:
    await join()
    with pytest.raises(EmailTaken):
        await registrations.register(NewMember("Lan", EMAIL), None, NOW, password="another one")
    await sign_in()
    assert await Password.all().count() == 1


async def test_signing_in_with_a_visitor_joins_its_touches(opened: str) -> None:
    stage = await factories.stage()
    await factories.click(stage.link, "visitor-1", NOW)
    joined = await join()
    entered = await sign_in(visitor="visitor-1")
    assert entered.visitor == "visitor-1"
    assert (await Visitor.get()).member_id == joined.member.id
    other = await registrations.enter_with_wechat(Person("o-lan"), "visitor-1", NOW)
    assert other.visitor not in {None, "visitor-1"}


async def test_a_wrong_password_opens_and_joins_nothing(opened: str) -> None:
    await join()
    for email, password in ((EMAIL, "wrong password"), ("lan@example.com", PASSWORD)):
        with pytest.raises(CredentialsRejected):
            await sign_in(email, password, "visitor-1")
    assert await Session.all().count() == 1
    assert await Visitor.all().count() == 0


async def test_a_visitor_that_is_none_is_refused_before_anything_is_counted(embedded: str) -> None:
    await join()
    for password in (PASSWORD, "wrong password"):
        with pytest.raises(Invalid) as refused:
            await sign_in(password=password, visitor="short")
        assert refused.value.field == ("visitorId",)
    assert await SignInFailure.all().count() == 0


async def test_a_wrong_password_and_an_unknown_account_send_the_same_statements(
    opened: str,
) -> None:
    await join()
    sent = []
    for email, password in ((EMAIL, "wrong password"), ("lan@example.com", PASSWORD)):
        await SignInFailure.all().delete()
        with watched() as statements, pytest.raises(CredentialsRejected):
            await sign_in(email, password)
        sent.append([*statements])
    assert sent[0] == sent[1]
    assert sent[0]


async def test_guesses_at_once_are_checked_ten_times_and_the_right_one_comes_too_late(
    opened: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await join()
    checked: list[str] = []

    class Counting:
        def verify(self, hash: str, password: bytes) -> bool:
            checked.append(hash)
            return QUICK.verify(hash, password)

    monkeypatch.setattr(passwords, "_hasher", Counting())
    guesses = [sign_in(password=f"wrong password {number}") for number in range(40)]
    results = await asyncio.gather(*guesses, return_exceptions=True)
    assert sum(isinstance(each, CredentialsRejected) for each in results) == attempts.PER_ACCOUNT
    assert sum(isinstance(each, TooManyAttempts) for each in results) == 40 - attempts.PER_ACCOUNT
    assert len(checked) == attempts.PER_ACCOUNT
    with pytest.raises(TooManyAttempts):
        await sign_in()


async def test_the_right_password_begins_the_count_anew(opened: str) -> None:
    await join()
    for _ in range(2):
        for _ in range(attempts.PER_ACCOUNT - 1):
            with pytest.raises(CredentialsRejected):
                await sign_in(password="wrong password")
        await sign_in()


async def test_an_old_hash_is_renewed_by_signing_in(
    opened: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await join()
    before = (await Password.get()).hash
    await sign_in()
    assert (await Password.get()).hash == before
    monkeypatch.setattr(passwords, "_hasher", type(QUICK)(2, 16, 1))
    await sign_in()
    assert "m=16,t=2" in (await Password.get()).hash
    await sign_in()


# WeChat


async def test_a_new_person_of_wechat_gets_an_account_once_also_at_once(opened: str) -> None:
    person = Person("o-mei", "u-mei")
    entered = await asyncio.gather(
        *(registrations.enter_with_wechat(person, None, NOW) for _ in range(8))
    )
    assert len({each.member.id for each in entered}) == await Member.all().count() == 1
    assert (await Member.get()).display_name == WECHAT_NAME == "微信用户"
    identity_row = await WechatIdentity.get()
    assert (identity_row.openid, identity_row.unionid) == ("o-mei", "u-mei")
    assert await Session.all().count() == 8
    assert await Conversion.filter(type=ConversionType.REGISTRATION).count() == 1


async def test_an_unknown_code_is_a_mistake_beside_the_session_of_a_new_person(
    opened: str,
) -> None:
    entered = await by_wechat(codes.new(), "visitor-1")
    assert entered.session is not None
    assert await identity.viewer(entered.session.token, NOW) is not None
    [mistake] = entered.mistakes
    assert (mistake.code, mistake.field) == ("CODE_UNKNOWN", ("referralCode",))
    assert await Touch.all().count() == 0
    assert not (await by_wechat(codes.new(), None)).mistakes


async def test_a_linked_member_signs_in_by_wechat_as_itself(opened: str) -> None:
    joined = await join()
    await wechat.link(Person("o-mei"), joined.member.id, NOW)
    entered = await by_wechat(None, None)
    assert entered.member.id == joined.member.id
    assert entered.member.display_name == "Mei"
    assert await Member.all().count() == 1


async def test_linking_and_signing_in_with_one_identity_at_once_gives_it_to_one_member(
    opened: str,
) -> None:
    joined = await join()
    await asyncio.gather(
        by_wechat(None, None),
        wechat.link(Person("o-mei"), joined.member.id, NOW),
        by_wechat(None, None),
        return_exceptions=True,
    )
    assert await WechatIdentity.all().count() == 1


# Shops


async def test_ensure_never_matches_by_address(opened: str) -> None:
    await join()
    new = NewMember("Mei", "MEI@example.com")
    with pytest.raises(EmailTaken):
        await registrations.ensure("shop", "c-1", new, None, NOW)
    assert await CustomerRef.all().count() == 0
    assert await Member.all().count() == 1


async def test_ensure_keeps_the_address_of_a_new_member_and_leaves_an_old_one_alone(
    opened: str,
) -> None:
    made = await registrations.ensure("shop", "c-1", NewMember("Mei", EMAIL), None, NOW)
    assert made.member.email == EMAIL
    again = await registrations.ensure("shop", "c-1", NewMember("X", "x@example.com"), None, NOW)
    row = await Member.get()
    assert (again.member.id, row.display_name, row.email) == (made.member.id, "Mei", EMAIL)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.MEMBER])
async def test_ensure_gives_no_token_of_somebody_with_a_role_besides_member_and_koc(
    embedded: str, role: Role
) -> None:
    made = await registrations.ensure("shop", "c-1", NewMember("Mei"), None, NOW)
    assert made.session is not None
    await MemberRole.create(member=made.member, role=role)
    again = await registrations.ensure("shop", "c-1", NewMember("Mei"), None, NOW)
    assert again.member.id == made.member.id
    assert (again.session is None) == (role is not Role.KOC)


async def test_ensure_after_ensure_with_a_code_does_not_touch_again(opened: str) -> None:
    stage = await factories.stage()
    for _ in range(2):
        await by_a_shop(stage.link.code, None)
    assert await Touch.all().count() == 1
