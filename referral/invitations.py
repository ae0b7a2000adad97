"""Owns who invited whom: to whom a registration is attributed, and what became of the invitee.

What happens here and not in a shop is decided in the transaction in which it happens.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from core import database
from members.identity import mailbox
from members.models import Invitation, Member
from members.standings import Standings
from referral import attribution, programs, touches
from referral.attribution import Credit, Decision
from referral.models import (
    Attribution,
    Conversion,
    ConversionStatus,
    ConversionType,
    Enrollment,
    TouchVerdict,
)

SOURCE = "wellspring"  # of what no shop told
LEVEL = 1  # whoever brought them


async def attribute(member: Member, registered_at: datetime, now: datetime) -> None:
    """Records the REGISTRATION conversion of a new member, and to whom it is attributed; belongs
    into the unit of work that makes the account, after its visitor was joined.

    Whoever it is attributed to has invited the member, which counts at once.
    """
    kind = ConversionType.REGISTRATION
    credits = await _record(kind, member, str(member.id), registered_at, now)
    inviters = {credit.touch.promoter_id for credit in credits}
    if not inviters:
        return
    await Invitation.bulk_create(
        Invitation(inviter_id=each, invitee_id=member.id, registered_at=registered_at)
        for each in sorted(inviters)
    )
    standings = await Standings.lock(inviters, now)
    for inviter_id in sorted(inviters):
        standings.invite(inviter_id, registered_at)
    await standings.save()


@database.unit_of_work
async def enroll(program_id: int, member: Member, now: datetime) -> None:
    """Makes the member a promoter of the program.

    The first enrolment in a program is its PROMOTION conversion, the first of all counts for
    whoever invited the member. A second call changes nothing.
    """
    _, made = await Enrollment.get_or_create(
        program_id=program_id, member_id=member.id, defaults={"created_at": now}
    )
    if not made:
        return
    external_id = f"{member.id}:{program_id}"
    await _record(ConversionType.PROMOTION, member, external_id, now, now)
    standings = await Standings.load([member.id], now)
    standings.promote(member.id, now)
    await standings.save()


async def _record(
    kind: ConversionType, member: Member, external_id: str, at: datetime, now: datetime
) -> Sequence[Credit]:
    """Writes the conversion as decided: who brought it, and why. No rule rewards these yet."""
    decision = await _decide(member, at)
    conversion = await Conversion.create(
        type=kind,
        source=SOURCE,
        external_id=external_id,
        figures="",
        member_id=member.id,
        amount_minor=0,
        occurred_at=at,
        recorded_at=now,
        recorded_by_id=member.id,
        status=ConversionStatus.NOT_CREDITED,
    )
    if decision.judged:
        await TouchVerdict.bulk_create(verdicts(conversion.id, decision))
    if decision.credits:
        await Attribution.bulk_create(attributions(conversion.id, decision))
    return decision.credits


async def _decide(member: Member, at: datetime) -> Decision:
    found = (await touches.by_member([member.id]))[member.id]
    terms = await _terms({each.program_id for each in found})
    customer = attribution.Customer(member.id, mailbox(member.email))
    return attribution.decide(customer, at, found, terms)


async def _terms(program_ids: Collection[int]) -> dict[int, attribution.Terms]:
    if not program_ids:
        return {}
    found = await programs.by_id(program_ids)
    return {
        program_id: attribution.Terms(program.window_days, pays=False)
        for program_id, program in found.items()
    }


def verdicts(conversion_id: int, decision: Decision) -> Sequence[TouchVerdict]:
    """The rows that explain the decision."""
    return [
        TouchVerdict(
            conversion_id=conversion_id,
            program_id=judged.touch.program_id,
            touch_id=judged.touch.id,
            promoter_id=judged.touch.promoter_id,
            verdict=judged.verdict,
            detail=judged.detail,
        )
        for judged in decision.judged
    ]


def attributions(conversion_id: int, decision: Decision) -> Sequence[Attribution]:
    """The rows that say who brought it."""
    return [
        Attribution(
            conversion_id=conversion_id,
            program_id=credit.touch.program_id,
            promoter_id=credit.touch.promoter_id,
            link_id=credit.touch.link_id,
            level=LEVEL,
            weight_ppm=credit.weight_ppm,
        )
        for credit in decision.credits
    ]
