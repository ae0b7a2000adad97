"""Owns what webhooks tell of members: ids and no more, what else there is the API answers."""

from core.webhooks import Event, instant, ref
from members.models import Member, TierChange, TierChangeReason


def registered(member: Member) -> Event:
    """That somebody has an account, whoever made it."""
    data = {"member": ref("Member", member.id), "registeredAt": instant(member.created_at)}
    return Event("member.registered", data)


def tier_changed(change: TierChange) -> Event:
    """That a member came into another tier, or out of all."""
    return tier_moved(change.member_id, change.from_tier_id, change.to_tier_id, change.reason)


def tier_moved(
    member_id: int, before: int | None, after: int | None, reason: TierChangeReason
) -> Event:
    """The same from what is known where many move at once."""
    data = {
        "member": ref("Member", member_id),
        "from": ref("Tier", before),
        "to": ref("Tier", after),
        "reason": reason.value,
    }
    return Event("tier.changed", data)
