"""Owns the lanes of the work on conversions: what concerns one customer is decided in order."""

from referral.models import Conversion

TOPIC = "conversion"


def lane(conversion: Conversion) -> str:
    """The lane in which this is decided."""
    if conversion.member_id is not None:
        return member_lane(conversion.member_id)
    if conversion.customer_ref is not None:
        return customer_lane(conversion.source, conversion.customer_ref)
    if conversion.visitor is not None:
        return visitor_lane(conversion.visitor)
    order = conversion.order_external_id or conversion.external_id
    return f"order:{conversion.source}:{order}"


def member_lane(member_id: int) -> str:
    """Of what a member did."""
    return f"member:{member_id}"


def customer_lane(source: str, ref: str) -> str:
    """Of what a shop's customer did who is no member yet."""
    return f"customer:{source}:{ref}"


def visitor_lane(visitor: str) -> str:
    """Of what a visitor did whom nobody knows yet."""
    return f"visitor:{visitor}"
