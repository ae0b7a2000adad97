"""Owns the rows that the decisions of a batch leave: each kind is written in one statement."""

from collections.abc import Iterable, Sequence

from core import bulk
from referral.attribution import Judged, Share
from referral.models import Attribution, Commission, Conversion, TouchVerdict

_ATTRIBUTION = ("conversion_id", "program_id", "promoter_id", "link_id", "level", "weight_ppm")
_VERDICT = ("conversion_id", "program_id", "touch_id", "promoter_id", "verdict", "detail")
_COMMISSION = (
    "conversion_id",
    "program_id",
    "promoter_id",
    "rule_id",
    "level",
    "asset",
    "rate_bps",
    "fixed_amount",
    "amount",
    "reversed",
    "account",
    "available_at",
)
_DECIDED = ("id", "status", "member_id", "order_id", "refunded_minor", "reopened_at")


async def insert_attributions(shares: Iterable[tuple[int, Share]]) -> None:
    """Writes who brought the conversions with these ids."""
    found = [
        (of, each.program_id, each.promoter_id, each.link_id, each.level, each.weight_ppm)
        for of, each in shares
    ]
    await bulk.insert(Attribution, _ATTRIBUTION, found)


async def insert_verdicts(judged: Iterable[tuple[int, Judged]]) -> None:
    """Writes why what was looked at for the conversions with these ids did or did not count."""
    found = [
        (
            of,
            each.program_id,
            each.touch and each.touch.id,
            each.promoter_id,
            each.verdict,
            each.detail,
        )
        for of, each in judged
    ]
    await bulk.insert(TouchVerdict, _VERDICT, found)


async def insert_commissions(commissions: Sequence[Commission]) -> None:
    """Writes new commissions as they stand by now."""
    await bulk.insert(
        Commission,
        _COMMISSION,
        [[getattr(each, name) for name in _COMMISSION] for each in commissions],
    )


async def update_commissions(commissions: Iterable[Commission]) -> None:
    """Writes how much of these commissions is reversed."""
    found = [(each.id, each.reversed) for each in commissions]
    await bulk.update(Commission, ("id", "reversed"), found)


async def update_conversions(conversions: Iterable[Conversion]) -> None:
    """Writes what was decided about the conversions."""
    found = [[getattr(each, name) for name in _DECIDED] for each in conversions]
    await bulk.update(Conversion, _DECIDED, found)
