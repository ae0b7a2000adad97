"""Owns who is a promoter of which program and when, and whose customers are whose."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from core import audit, database
from core.errors import Invalid, NotFound, text
from members.errors import MemberNotFound
from members.models import Member, MemberRole, Role
from referral import dossier, invitations, programs
from referral.errors import (
    AlreadySuspended,
    NotEnrolled,
    NotOpenTo,
    ProgramClosed,
    TooMany,
)
from referral.models import Binding, Enrollment, Program, Suspension

REASON_CHARACTERS = 300
MOST_MEMBERS = 100


@database.unit_of_work
async def enroll(
    code: str,
    member_id: int,
    now: datetime,
    *,
    parent_id: int | None = None,
    actor_id: int | None = None,
) -> Member:
    """Makes the member a promoter of the program, once; the parent is named then and never again.

    Raises `ProgramNotFound`, `ProgramClosed`, `NotOpenTo` for other roles, `NotEnrolled` for a
    parent who is no promoter of it, and `Invalid` for one whom the member brought.
    """
    program = await programs.by_code(code)
    member = await Member.get_or_none(id=member_id)
    if member is None:
        raise MemberNotFound("member")
    await check_open(program, member_id, now)
    if parent_id is not None:
        await _check_parent(program.id, member_id, parent_id)
    await invitations.enroll(program.id, member, now, parent_id=parent_id)
    if actor_id is not None and actor_id != member_id:
        detail = {"program": code}
        await audit.note(
            "promoterEnroll", "Member", [member_id], actor_id=actor_id, now=now, detail=detail
        )
    return member


async def check_open(program: Program, member_id: int, now: datetime) -> None:
    """Raises `ProgramClosed` or `NotOpenTo` where this member cannot become a promoter."""
    if program.ends_at is not None and now >= program.ends_at:
        raise ProgramClosed(program.code)
    roles = {Role.MEMBER, *[each.role for each in await MemberRole.filter(member_id=member_id)]}
    wanted = programs.open_to(program)
    if wanted.isdisjoint(roles):
        raise NotOpenTo(program.code, wanted)


async def _check_parent(program_id: int, member_id: int, parent_id: int) -> None:
    if not await Enrollment.exists(program_id=program_id, member_id=parent_id):
        raise NotEnrolled("parent")
    above = await dossier.above([parent_id])
    if parent_id == member_id or member_id in above.get(parent_id, ()):
        raise Invalid("This parent is the promoter, or was brought by the promoter.", "parent")


@database.unit_of_work
async def suspend(enrollment_id: int, reason: str, actor_id: int, now: datetime) -> Member:
    """The promoter earns nothing in the program from now on; bindings sleep. Raises `NotFound`,
    `AlreadySuspended`."""
    reason = text(reason, "reason", most=REASON_CHARACTERS)
    enrollment = await _locked(enrollment_id)
    if await Suspension.exists(enrollment=enrollment, resumed_at__isnull=True):
        raise AlreadySuspended(suspended=True)
    await Suspension.create(enrollment=enrollment, reason=reason, suspended_at=now)
    await _note("enrollmentSuspend", enrollment, actor_id, now, {"reason": reason})
    return await enrollment.member


@database.unit_of_work
async def resume(enrollment_id: int, actor_id: int, now: datetime) -> Member:
    """The promoter earns again from now on. Raises `NotFound`, `AlreadySuspended`."""
    enrollment = await _locked(enrollment_id)
    open_ones = Suspension.filter(enrollment=enrollment, resumed_at__isnull=True)
    if not await open_ones.update(resumed_at=now):
        raise AlreadySuspended(suspended=False)
    await _note("enrollmentResume", enrollment, actor_id, now, {})
    return await enrollment.member


async def _locked(enrollment_id: int) -> Enrollment:
    enrollment = await Enrollment.filter(id=enrollment_id).select_for_update().first()
    if enrollment is None:
        raise NotFound("There is no such enrolment.", "id")
    return enrollment


async def _note(
    action: str, enrollment: Enrollment, actor_id: int, now: datetime, detail: Mapping[str, str]
) -> None:
    await audit.note(
        action, "Enrollment", [enrollment.id], actor_id=actor_id, now=now, detail=detail
    )


@database.unit_of_work
async def transfer(
    code: str,
    from_id: int,
    to_id: int,
    *,
    memo: str,
    actor_id: int,
    now: datetime,
    member_ids: Collection[int] | None = None,
) -> int:
    """Gives the customers of one promoter, or of them these members, to another one from now on;
    what was credited stays. Says how many.

    A customer who is the other promoter, or brought them, stays where it is. Raises
    `ProgramNotFound`, `NotEnrolled`, `TooMany` and, for members who are not bound to the first,
    `NotFound`.
    """
    memo = text(memo, "memo", most=REASON_CHARACTERS)
    if member_ids is not None and len(member_ids) > MOST_MEMBERS:
        raise TooMany(MOST_MEMBERS, "members")
    program = await programs.by_code(code)
    if from_id == to_id:
        raise Invalid("These are one and the same.", "to")
    if not await Enrollment.exists(program=program, member_id=to_id):
        raise NotEnrolled("to")
    bindings = await _active(program.id, from_id, member_ids, now)
    if member_ids is not None and {each.member_id for each in bindings} != {*member_ids}:
        raise NotFound("Not all of these are bound to that promoter.", "members")
    kept = {to_id} | (await dossier.above([to_id])).get(to_id, set())
    moved = [each for each in bindings if each.member_id not in kept]
    await _move(moved, to_id, now)
    detail = {"program": code, "from": from_id, "to": to_id, "memo": memo, "moved": len(moved)}
    await audit.note(
        "bindingTransfer", "Member", [from_id, to_id], actor_id=actor_id, now=now, detail=detail
    )
    return len(moved)


async def _active(
    program_id: int, promoter_id: int, member_ids: Collection[int] | None, now: datetime
) -> Sequence[Binding]:
    bindings = Binding.filter(
        program_id=program_id, promoter_id=promoter_id, active_key__isnull=False
    )
    if member_ids is not None:
        bindings = bindings.filter(member_id__in=list(member_ids))
    found = await bindings.order_by("id").select_for_update()
    return [each for each in found if each.ends_at is None or now < each.ends_at]


async def _move(bindings: Sequence[Binding], to_id: int, now: datetime) -> None:
    """Ends each now, and begins one that lasts as long as it would have."""
    if not bindings:
        return
    fresh = [
        Binding(
            program_id=each.program_id,
            member_id=each.member_id,
            promoter_id=to_id,
            bound_at=now,
            ends_at=each.ends_at,
            active_key=each.active_key,
        )
        for each in bindings
    ]
    await Binding.filter(id__in=[each.id for each in bindings]).update(active_key=None, ends_at=now)
    await Binding.bulk_create(fresh)
