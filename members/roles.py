"""Owns who was given which role."""

from collections.abc import Collection

from core import database
from members.errors import LastAdmin, MemberNotFound
from members.models import Member, MemberRole, Role, Session

_CUSTOMERS = frozenset({Role.MEMBER, Role.KOC})  # whom a shop may be given a session of


async def may_be_impersonated(member_id: int) -> bool:
    """Whether a shop may be given a session of this member: not of staff or of a service.

    It stays so until the unit of work ends, into which this belongs.
    """
    return await _held(member_id) <= _CUSTOMERS


async def add(member_id: int, more: Collection[Role]) -> None:
    """Gives a member more roles; belongs into a unit of work. See `replace` for its sessions."""
    held = await _held(member_id)
    await _write(member_id, held, held | set(more))


@database.unit_of_work
async def replace(member_id: int, roles: Collection[Role]) -> Member:
    """Gives a member exactly these roles, beside MEMBER, which is everybody's.

    The sessions of a customer who becomes more end: a shop may hold one. Raises `MemberNotFound`,
    and `LastAdmin` where nobody would be ADMIN any more.
    """
    # All who change roles take turns, or two admins could remove each other.
    await database.lock("roles")
    member = await Member.get_or_none(id=member_id)
    if member is None:
        raise MemberNotFound("id")
    held = await _held(member_id)
    await _write(member_id, held, roles)
    if Role.ADMIN in held and not await MemberRole.exists(role=Role.ADMIN):
        raise LastAdmin
    return member


async def _held(member_id: int) -> frozenset[Role]:
    """The roles as they stay until this unit of work ends: the member's row is locked."""
    await Member.filter(id=member_id).select_for_update(no_key=True).get()
    return frozenset(
        {Role.MEMBER, *[row.role for row in await MemberRole.filter(member_id=member_id)]}
    )


async def _write(member_id: int, held: frozenset[Role], wanted: Collection[Role]) -> None:
    lost, gained = held - {Role.MEMBER, *wanted}, set(wanted) - held
    await MemberRole.filter(member_id=member_id, role__in=lost).delete()
    for role in sorted(gained):
        # Somebody may have given it at the same time.
        await MemberRole.get_or_create(member_id=member_id, role=role)
    if held <= _CUSTOMERS and not gained <= _CUSTOMERS:
        await Session.filter(member_id=member_id).delete()
