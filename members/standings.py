"""Owns where members stand: their spend and the tier it has earned them, kept up with each fact."""

from collections.abc import Collection, Sequence
from datetime import datetime

from members import tiers
from members.models import Standing, Tier, TierChange


class Standings:
    """The standings of some members while a batch of facts is booked for them.

    Load, book fact after fact in memory, save: two statements in, at most two out.
    """

    def __init__(self, rows: Sequence[Standing], ladder: Sequence[Tier]) -> None:
        self._rows = {row.member_id: row for row in rows}
        self._ladder = ladder
        self._by_id = {tier.id: tier for tier in ladder}
        self._touched: set[int] = set()
        self._changes: list[TierChange] = []

    @classmethod
    async def load(cls, member_ids: Collection[int]) -> "Standings":
        """Locks the rows until the unit of work ends, in one order, so that writers queue up."""
        rows = await (
            Standing.filter(member_id__in=set(member_ids)).order_by("member_id").select_for_update()
        )
        return cls(rows, await Tier.all())

    def add_spend(self, member_id: int, amount_minor: int, now: datetime) -> None:
        """Books one paid order, or with a negative amount one refund, and decides the tier.

        One fact makes at most one change of tier.
        """
        row = self._rows[member_id]
        row.spend_minor += amount_minor
        self._touched.add(member_id)
        before = self._by_id.get(row.tier_id)
        after = tiers.decide(self._ladder, before, row.spend_minor)
        if after is before:
            return
        row.tier_id = after.id if after else None
        self._changes.append(
            TierChange(
                member_id=member_id,
                at=now,
                from_tier_id=before.id if before else None,
                to_tier_id=row.tier_id,
                reason=tiers.reason(before, after),
                metrics={"SPEND": row.spend_minor},
            )
        )

    async def save(self) -> None:
        """Writes what was booked."""
        if self._touched:
            await Standing.bulk_update(
                [self._rows[member_id] for member_id in sorted(self._touched)],
                ["spend_minor", "tier_id"],
            )
        if self._changes:
            await TierChange.bulk_create(self._changes)
