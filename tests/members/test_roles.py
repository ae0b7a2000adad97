"""Who was given which role, and what that does to the sessions they have."""

import asyncio

import pytest

from core import database
from members import identity, roles
from members.errors import LastAdmin, MemberNotFound
from members.identity import NewMember, Opened
from members.models import Member, MemberRole, Role, Session
from tests.factories import NOW


@database.unit_of_work
async def create(*given: Role) -> Member:
    member = await identity.create(NewMember("Mei"), NOW)
    await roles.add(member.id, given)
    return member


@database.unit_of_work
async def session(member: Member) -> Opened:
    return await identity.open_session(member.id, NOW)


@database.unit_of_work
async def impersonable(member: Member) -> bool:
    return await roles.may_be_impersonated(member.id)


async def held(member: Member) -> set[Role]:
    return {row.role for row in await MemberRole.filter(member_id=member.id)}


async def test_a_member_has_exactly_the_roles_it_was_given(opened: str) -> None:
    member = await create(Role.KOC, Role.EDITOR)
    changed = await roles.replace(member.id, [Role.EDITOR, Role.FINANCE, Role.MEMBER, Role.EDITOR])
    assert changed.id == member.id
    assert await held(member) == {Role.EDITOR, Role.FINANCE}
    await roles.replace(member.id, [])
    assert await held(member) == set()


async def test_others_keep_theirs(opened: str) -> None:
    mei, lan = await create(Role.KOC), await create(Role.KOC, Role.ADMIN)
    await roles.replace(mei.id, [])
    assert await held(lan) == {Role.KOC, Role.ADMIN}


async def test_nobody_is_not_found(embedded: str) -> None:
    with pytest.raises(MemberNotFound) as refused:
        await roles.replace(5, [Role.KOC])
    assert refused.value.field == ("id",)


async def test_the_last_admin_stays_and_the_last_but_one_may_go(opened: str) -> None:
    first, second = await create(Role.ADMIN, Role.KOC), await create(Role.ADMIN)
    await roles.replace(second.id, [Role.EDITOR])
    with pytest.raises(LastAdmin) as refused:
        await roles.replace(first.id, [Role.EDITOR])
    assert (refused.value.code, refused.value.field) == ("FORBIDDEN", ("roles",))
    assert await held(first) == {Role.ADMIN, Role.KOC}
    await roles.replace(first.id, [Role.ADMIN])
    assert await held(first) == {Role.ADMIN}


async def test_without_any_admin_others_roles_may_change(embedded: str) -> None:
    member = await create(Role.EDITOR)
    await roles.replace(member.id, [Role.KOC])
    assert await held(member) == {Role.KOC}


async def test_admins_who_remove_each_other_at_once_leave_one(opened: str) -> None:
    admins = [await create(Role.ADMIN) for _ in range(4)]
    results = await asyncio.gather(
        *(roles.replace(each.id, []) for each in admins), return_exceptions=True
    )
    assert sum(isinstance(result, LastAdmin) for result in results) == 1
    assert await MemberRole.filter(role=Role.ADMIN).count() == 1


@pytest.mark.parametrize(
    "given",
    [
        Role.EMPLOYEE,
        Role.EDITOR,
        Role.REVIEWER,
        Role.OPERATOR,
        Role.FINANCE,
        Role.ADMIN,
        Role.SERVICE,
    ],
)
async def test_a_shop_gets_no_session_of_staff_and_those_it_has_end(
    embedded: str, given: Role
) -> None:
    member = await create(Role.KOC)
    await session(member)
    assert await impersonable(member)
    await roles.replace(member.id, [Role.KOC, given])
    assert not await impersonable(member)
    assert await Session.filter(member=member).count() == 0


async def test_a_customers_session_ends_too_when_the_operator_gives_a_role(opened: str) -> None:
    token = await identity.token_for("mei@example.com", [Role.KOC], NOW)
    fresh = await identity.token_for("mei@example.com", [Role.ADMIN], NOW)
    assert await identity.viewer(token, NOW) is None
    assert await identity.viewer(fresh, NOW) is not None


async def test_sessions_stay_where_no_power_is_gained(opened: str) -> None:
    customer, editor = await create(), await create(Role.EDITOR)
    for member in (customer, editor):
        await session(member)
    await roles.replace(customer.id, [Role.KOC])
    await roles.replace(editor.id, [Role.EDITOR, Role.REVIEWER])
    await roles.replace(editor.id, [])
    assert await Session.all().count() == 2


async def test_a_shop_and_an_admin_at_once_leave_no_powerful_session(opened: str) -> None:
    """Whichever comes first, a session that a shop was given is none of staff."""

    @database.unit_of_work
    async def as_a_shop_does(member: Member) -> None:
        if await roles.may_be_impersonated(member.id):
            await asyncio.sleep(0.01)
            await identity.open_session(member.id, NOW)

    for _ in range(5):
        member = await create()
        await asyncio.gather(as_a_shop_does(member), roles.replace(member.id, [Role.FINANCE]))
        assert await Session.filter(member=member).count() == 0
