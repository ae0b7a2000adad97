"""Owns what webhooks tell of conversions, commissions and pay-outs: ids, amounts, and the shop's
own number of an order; of the customer no more than the member's id."""

from collections.abc import Sequence
from typing import Any

from core.webhooks import Event, instant, ref
from referral.models import Commission, Conversion, ConversionStatus, Payout, RiskCase


def decided(
    conversion: Conversion, status: ConversionStatus, commissions: Sequence[Commission]
) -> Event:
    """That a conversion was credited, or was not; once more when that changed since. Refunds are
    told of by what they take back."""
    credited = status is ConversionStatus.CREDITED
    data = _named(conversion) | {
        "member": ref("Member", conversion.member_id),
        "amountMinor": conversion.amount_minor,
        "occurredAt": instant(conversion.occurred_at),
        "commissions": [_earned(each) | {"amount": each.amount} for each in commissions],
    }
    return Event("conversion.credited" if credited else "conversion.not_credited", data)


def reversed(commission: Commission, refund: Conversion, amount: int) -> Event:
    """That a refund took back so much of a commission."""
    data = {
        "conversion": ref("Conversion", commission.conversion_id),
        "refund": _named(refund),
        "commission": _earned(commission) | {"amount": commission.amount},
        "amount": amount,
        "reversed": commission.reversed,
    }
    return Event("commission.reversed", data)


def rejected(commission: Commission, case: RiskCase, amount: int) -> Event:
    """That staff took back so much of a commission by rejecting a case."""
    data = {
        "conversion": ref("Conversion", commission.conversion_id),
        "refund": None,
        "riskCase": ref("RiskCase", case.id),
        "commission": _earned(commission) | {"amount": commission.amount},
        "amount": amount,
        "reversed": commission.reversed,
    }
    return Event("commission.reversed", data)


def payout_sent(payout: Payout) -> Event:
    """That the money of a pay-out is on its way."""
    data = {
        "payout": ref("Payout", payout.id),
        "member": ref("Member", payout.member_id),
        "program": ref("Program", payout.program_id),
        "amountMinor": payout.amount_minor,
        "currency": payout.currency,
    }
    return Event("payout.sent", data)


def _named(conversion: Conversion) -> dict[str, Any]:
    return {
        "conversion": ref("Conversion", conversion.id),
        "type": conversion.type.value,
        "source": conversion.source,
        "externalId": conversion.external_id,
    }


def _earned(commission: Commission) -> dict[str, Any]:
    return {
        "program": ref("Program", commission.program_id),
        "promoter": ref("Member", commission.promoter_id),
        "level": commission.level,
        "asset": commission.asset.value,
    }
