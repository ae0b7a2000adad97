"""Owns what a conversion counts in the counters for everybody who brought it. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from members.models import Asset
from referral.models import Attribution, Commission, Conversion, ConversionType, Outcome
from referral.shares import divide

EARNED = ("registrations", "orders", "credited", "revenue_minor", "credited_minor")
PAID = (ConversionType.ORDER, ConversionType.FEE)

Part = tuple[int, int, int]  # conversion, program and promoter


def due(
    attributions: Sequence[Attribution],
    commissions: Iterable[Commission],
    refunded: Mapping[int, int],
) -> list[Outcome]:
    """One for each attribution of level 1, which come with their conversions, all of them and in
    order; and what was refunded of which conversion."""
    kept: dict[Part, list[Commission]] = defaultdict(list)
    for each in commissions:
        kept[each.conversion_id, each.program_id, each.promoter_id].append(each)
    shared: dict[tuple[int, int], list[Attribution]] = defaultdict(list)
    for each in attributions:
        shared[each.conversion_id, each.program_id].append(each)
    return [
        _outcome(each, revenue, kept[each.conversion_id, each.program_id, each.promoter_id])
        for together in shared.values()
        for each, revenue in zip(together, _revenues(together, refunded), strict=True)
    ]


def _revenues(together: Sequence[Attribution], refunded: Mapping[int, int]) -> Sequence[int]:
    """What each has of what was paid and not refunded: by their shares, with the largest remainder,
    so that the parts sum to the whole."""
    conversion: Conversion = together[0].conversion
    paid = conversion.amount_minor if conversion.type in PAID else 0
    left = paid - refunded.get(conversion.id, 0)
    return divide(left, [each.weight_ppm for each in together])


def _outcome(share: Attribution, revenue: int, commissions: Sequence[Commission]) -> Outcome:
    conversion: Conversion = share.conversion
    order = conversion.type is ConversionType.ORDER and conversion.amount_minor > 0
    left = {each.asset: each.amount - each.reversed for each in commissions}
    return Outcome(
        conversion_id=conversion.id,
        program_id=share.program_id,
        promoter_id=share.promoter_id,
        link_id=share.link_id or 0,
        at=conversion.occurred_at,
        registrations=int(conversion.type is ConversionType.REGISTRATION),
        orders=int(order),
        credited=int(order and any(left.values())),
        revenue_minor=revenue,
        credited_minor=left.get(Asset.CASH, 0),
    )
