"""Owns the shares: a promoter's own link to a content, made once in each program."""

from collections.abc import Collection, Mapping
from datetime import datetime

from tortoise.exceptions import IntegrityError
from tortoise.expressions import Q

from core import codes, database
from members.models import Member, Role
from referral import invitations, programs
from referral.errors import NotEnrolled, NotOpenTo, ProgramClosed
from referral.links import has_ended
from referral.models import Enrollment, Link, Program, Share

Roles = Collection[Role]

ARCHIVED_AWAY = """
DELETE FROM share WHERE owner_id = $1 AND content_id = $2 AND program_id = $3
AND EXISTS (SELECT 1 FROM link WHERE link.id = share.link_id AND link.archived_at IS NOT NULL)"""


async def share(
    owner: Member, roles: Roles, content_id: int, program_code: str | None, now: datetime
) -> Link:
    """The member's own link to the content, made on first asking, and anew once it was archived.

    It is of the program named; else of the first that the member is enrolled in and that has not
    ended; else of the first that enrols whoever shares and is open to these roles. Raises
    `ProgramNotFound`, `ProgramClosed`, `NotEnrolled` and `NotOpenTo`.
    """
    program = await _program(owner.id, roles, program_code, now)
    found = await _found(owner.id, [content_id], program.id)
    if content_id in found:
        return found[content_id]
    try:
        return await _make(owner, roles, content_id, program, now)
    except IntegrityError:
        # Somebody was quicker between the look and the unique constraint: theirs is the one.
        found = await _found(owner.id, [content_id], program.id)
        if content_id not in found:
            raise
        return found[content_id]


async def shared(
    owner_id: int, content_ids: Collection[int], program_code: str | None, now: datetime
) -> Mapping[int, Link]:
    """The member's own links to those of the contents that were shared, by content: those that
    `share` would return without making one."""
    if program_code is None:
        program = await _usual(owner_id, now)
    else:
        program = await Program.get_or_none(code=program_code)
    return {} if program is None else await _found(owner_id, content_ids, program.id)


async def _found(
    owner_id: int, content_ids: Collection[int], program_id: int
) -> Mapping[int, Link]:
    rows = Share.filter(
        owner_id=owner_id,
        content_id__in=set(content_ids),
        program_id=program_id,
        link__archived_at__isnull=True,
    )
    return {row.content_id: row.link for row in await rows.select_related("link")}


@database.unit_of_work
async def _make(
    owner: Member, roles: Roles, content_id: int, program: Program, now: datetime
) -> Link:
    if has_ended(program, now):
        raise ProgramClosed(program.code)
    if not await Enrollment.exists(program_id=program.id, member_id=owner.id):
        await _enroll(owner, roles, program, now)
    of = {"owner_id": owner.id, "content_id": content_id, "program_id": program.id}
    link = await Link.create(code=codes.new(), created_at=now, **of)
    await database.execute(ARCHIVED_AWAY, owner.id, content_id, program.id)
    await Share.create(link=link, **of)
    return link


async def _enroll(owner: Member, roles: Roles, program: Program, now: datetime) -> None:
    if not program.auto_enroll:
        raise NotEnrolled
    wanted = programs.open_to(program)
    if wanted.isdisjoint(roles):
        raise NotOpenTo(program.code, wanted)
    await invitations.enroll(program.id, owner, now)


async def _program(owner_id: int, roles: Roles, program_code: str | None, now: datetime) -> Program:
    """The one named, else the usual one."""
    if program_code is not None:
        return await programs.by_code(program_code)
    usual = await _usual(owner_id, now)
    if usual is not None:
        return usual
    for program in await Program.filter(auto_enroll=True).order_by("id"):
        if not has_ended(program, now) and not programs.open_to(program).isdisjoint(roles):
            return program
    ended = await Enrollment.filter(member_id=owner_id).select_related("program").first()
    raise ProgramClosed(ended.program.code) if ended else NotEnrolled


async def _usual(owner_id: int, now: datetime) -> Program | None:
    """The first program that the member is enrolled in and that has not ended."""
    going_on = Q(program__ends_at__isnull=True) | Q(program__ends_at__gt=now)
    enrolled = Enrollment.filter(going_on, member_id=owner_id).select_related("program")
    first = await enrolled.order_by("id").first()
    return first and first.program
