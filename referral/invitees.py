"""Owns what became of the members whose registration was attributed to a promoter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tortoise.expressions import Q

from core import database
from referral.models import Attribution, Binding, Conversion, ConversionType

_CREDITED = """
SELECT conversion.member_id,
    CAST(SUM(commission.amount - commission.reversed) AS BIGINT) AS credited_minor
FROM conversion JOIN commission ON commission.conversion_id = conversion.id
WHERE conversion.member_id IN ({members}) AND commission.promoter_id = $1
    AND commission.level = 1 AND commission.asset = 'CASH'
GROUP BY conversion.member_id
"""


@dataclass(frozen=True, slots=True)
class Brought:
    """What an invitee brought the promoter."""

    program_id: int  # in which its registration was attributed, of several the first
    bound: bool
    credited_minor: int


async def brought(
    promoter_id: int, invitee_ids: Sequence[int], now: datetime
) -> Mapping[int, Brought]:
    """What each of the invitees brought, in four statements whatever their number."""
    if not invitee_ids:
        return {}
    made = Conversion.filter(type=ConversionType.REGISTRATION, member_id__in=invitee_ids)
    registered = dict(await made.values_list("id", "member_id"))
    attributed = Attribution.filter(
        conversion_id__in=list(registered), promoter_id=promoter_id, level=1
    )
    rows = await attributed.order_by("-id").values_list("conversion_id", "program_id")
    programs = {registered[conversion_id]: program_id for conversion_id, program_id in rows}
    lasting = Q(ends_at__isnull=True) | Q(ends_at__gt=now)
    bonds = Binding.filter(lasting, promoter_id=promoter_id, member_id__in=invitee_ids)
    bonds = bonds.filter(active_key__isnull=False)
    bound = {*await bonds.values_list("member_id", flat=True)}
    members = ", ".join(str(each) for each in invitee_ids)
    sums = await database.rows(_CREDITED.format(members=members), promoter_id)
    credited = {row["member_id"]: row["credited_minor"] for row in sums}
    return {
        each: Brought(programs[each], each in bound, credited.get(each, 0)) for each in invitee_ids
    }
