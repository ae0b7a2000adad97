"""Owns asking about conversions: which ones, and who may see what of them."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from tortoise.expressions import Q, Subquery
from tortoise.queryset import QuerySet

from core.errors import storable
from members.identity import SOURCE_CHARACTERS, Viewer
from referral.models import (
    Attribution,
    Conversion,
    ConversionStatus,
    ConversionType,
    Program,
    TouchVerdict,
    Verdict,
)
from referral.programs import CODE_CHARACTERS


@dataclass(frozen=True, slots=True)
class Where:
    """What a list of conversions is narrowed to. None means that it is not; an empty choice
    matches nothing. Verdict, program and promoter are of one touch or binding that was looked at.
    """

    statuses: Sequence[ConversionStatus] | None = None
    verdicts: Sequence[Verdict] | None = None
    types: Sequence[ConversionType] | None = None
    program: str | None = None
    promoter_id: int | None = None
    member_id: int | None = None
    source: str | None = None
    since: datetime | None = None  # this instant included
    until: datetime | None = None  # this one not


def digest(where: Where) -> str:
    """Says which list this is."""
    return hashlib.blake2b(repr(where).encode(errors="replace"), digest_size=8).hexdigest()


def conversions(where: Where) -> QuerySet[Conversion]:
    """The conversions that this narrows down to."""
    found = Conversion.all()
    if where.statuses is not None:
        found = found.filter(status__in=list(where.statuses))
    if where.types is not None:
        found = found.filter(type__in=list(where.types))
    if where.member_id is not None:
        found = found.filter(member_id=where.member_id)
    if where.source is not None:
        known = storable(where.source, SOURCE_CHARACTERS)
        found = found.filter(source=where.source) if known else found.filter(id__in=[])
    if where.since is not None:
        found = found.filter(occurred_at__gte=where.since)
    if where.until is not None:
        found = found.filter(occurred_at__lt=where.until)
    looked_at = _looked_at(where)
    if looked_at is not None:
        found = found.filter(id__in=Subquery(looked_at.values("conversion_id")))
    return found


def _looked_at(where: Where) -> QuerySet[TouchVerdict] | None:
    if where.verdicts is None and where.program is None and where.promoter_id is None:
        return None
    found = TouchVerdict.all()
    if where.verdicts is not None:
        found = found.filter(verdict__in=list(where.verdicts))
    if where.program is not None:
        code = where.program if storable(where.program, CODE_CHARACTERS) else ""
        programs = Program.filter(code=code)
        found = found.filter(program_id__in=Subquery(programs.values("id")))
    if where.promoter_id is not None:
        found = found.filter(promoter_id=where.promoter_id)
    return found


def of_promoter(promoter_id: int, where: Where, *, masked: bool) -> QuerySet[Conversion]:
    """Those in which a touch, code or binding of this promoter was looked at, or for which they
    were credited as a parent; verdict and program are of their own.

    With `masked`, for the promoter's own eyes, nothing is found by the customer or by others.
    """
    if masked and (where.member_id is not None or where.promoter_id not in (None, promoter_id)):
        return Conversion.filter(id__in=[])
    if where.verdicts is not None or where.program is not None:
        return conversions(replace(where, promoter_id=promoter_id))
    verdicts = TouchVerdict.filter(promoter_id=promoter_id).values("conversion_id")
    parts = Attribution.filter(promoter_id=promoter_id, level=2).values("conversion_id")
    concerned = Q(id__in=Subquery(verdicts)) | Q(id__in=Subquery(parts))
    return conversions(replace(where, promoter_id=None)).filter(concerned)


def of_service(viewer: Viewer, where: Where) -> QuerySet[Conversion]:
    """Those that a service recorded, and those of the sources that its key names."""
    own = Q(recorded_by_id=viewer.member_id)
    if viewer.sources is not None:
        own |= Q(source__in=sorted(viewer.sources))
    return conversions(where).filter(own)


async def concerns(promoter_id: int, conversion_ids: Collection[int]) -> frozenset[int]:
    """Which of the conversions this promoter may see a part of."""
    found = of_promoter(promoter_id, Where(), masked=True).filter(id__in=list(conversion_ids))
    return frozenset(each.id for each in await found)
