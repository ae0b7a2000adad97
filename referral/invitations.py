"""Owns what happens here and not in a shop: that somebody registered, or enrolled as a promoter.

Both are conversions, decided in the transaction in which they happen.
"""

from datetime import datetime

from core import database
from members.models import Member
from referral import crediting
from referral.models import Binding, Conversion, ConversionStatus, ConversionType, Enrollment

SOURCE = "wellspring"  # of what no shop told


async def attribute(
    member: Member, registered_at: datetime, now: datetime, *, code_touch_id: int | None = None
) -> None:
    """Records the REGISTRATION conversion of a new member, and to whom it is attributed; belongs
    into the unit of work that makes the account, after its visitor was joined.

    Whoever it is attributed to has invited the member, which counts at once.
    """
    kind, external_id = ConversionType.REGISTRATION, str(member.id)
    await _record(kind, member, external_id, registered_at, now, code_touch_id=code_touch_id)


@database.unit_of_work
async def enroll(
    program_id: int, member: Member, now: datetime, *, parent_id: int | None = None
) -> Enrollment:
    """Makes the member a promoter of the program.

    The parent is whoever is named, else the promoter that the member is bound to there. The first
    enrolment in a program is its PROMOTION conversion, the first of all counts for whoever invited
    the member. A second call changes nothing.
    """
    enrollment, made = await Enrollment.get_or_create(
        program_id=program_id,
        member_id=member.id,
        defaults={"created_at": now, "parent_id": parent_id or await _bound_to(program_id, member)},
    )
    if made:
        external_id = f"{member.id}:{program_id}"
        await _record(ConversionType.PROMOTION, member, external_id, now, now)
    return enrollment


async def _bound_to(program_id: int, member: Member) -> int | None:
    bound = await Binding.get_or_none(active_key=f"{program_id}:{member.id}")
    return bound and bound.promoter_id


async def _record(
    kind: ConversionType,
    member: Member,
    external_id: str,
    at: datetime,
    now: datetime,
    *,
    code_touch_id: int | None = None,
) -> None:
    conversion = await Conversion.create(
        type=kind,
        source=SOURCE,
        external_id=external_id,
        figures="",
        member_id=member.id,
        code_touch_id=code_touch_id,
        amount_minor=0,
        occurred_at=at,
        recorded_at=now,
        recorded_by_id=member.id,
        status=ConversionStatus.PENDING,
    )
    await crediting.credit_now(conversion, now)
