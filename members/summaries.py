"""Owns the ledger's months: what a program's members had before, what moved, and what they have."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from core import database, dialect
from core.errors import Invalid
from members.models import Account, Asset, EntryKind

SUMS = """
SELECT account.asset, account.account, transfer.kind,
    CAST(SUM(CASE WHEN transfer.at < {since} THEN entry.amount ELSE 0 END) AS BIGINT) AS opening,
    CAST(SUM(CASE WHEN transfer.at < {since} THEN 0 ELSE entry.amount END) AS BIGINT) AS moved
FROM ledger_account AS account
JOIN ledger_entry AS entry ON entry.account_id = account.id
JOIN ledger_transfer AS transfer ON transfer.id = entry.transfer_id
WHERE account.program_id = $1 AND account.member_id IS NOT NULL AND transfer.at < {until}
GROUP BY account.asset, account.account, transfer.kind
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One account of all members together; of a kind, what that kind alone has added up to."""

    asset: Asset
    account: Account
    kind: EntryKind | None  # null: of every kind
    opening: int
    moved: int

    @property
    def closing(self) -> int:
        return self.opening + self.moved


def month(name: str, time_zone: str) -> tuple[datetime, datetime]:
    """The first instant of a month such as 2026-03 in the time zone, and that of the next one.

    Raises `Invalid` for anything else.
    """
    if not re.fullmatch(r"[1-9][0-9]{3}-(0[1-9]|1[0-2])", name, re.ASCII) or name == "9999-12":
        raise Invalid("A month has the form 2026-03.", "month")
    year, number = map(int, name.split("-"))
    zone = ZoneInfo(time_zone)
    first = datetime(year, number, 1, tzinfo=zone)
    following = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=zone)
    return first.astimezone(UTC), following.astimezone(UTC)


async def lines(program_id: int, since: datetime, until: datetime) -> Sequence[Line]:
    """The accounts of the program's members from one instant on to before another, from the
    entries: for each asset that was ever moved every account, and behind it its kinds."""
    sql = SUMS.format(since=dialect.typed(2), until=dialect.typed(3))
    by_account: dict[tuple[Asset, Account], list[Line]] = defaultdict(list)
    for row in await database.rows(sql, program_id, since, until):
        asset, account = Asset(row["asset"]), Account(row["account"])
        line = Line(asset, account, EntryKind(row["kind"]), row["opening"], row["moved"])
        by_account[asset, account].append(line)
    moved = {asset for asset, _ in by_account}
    return [
        line
        for asset in Asset
        if asset in moved
        for account in Account
        for line in _with_total(asset, account, by_account[asset, account])
    ]


def _with_total(asset: Asset, account: Account, kinds: Sequence[Line]) -> Sequence[Line]:
    opening, moved = sum(each.opening for each in kinds), sum(each.moved for each in kinds)
    in_order = sorted(kinds, key=lambda each: list(EntryKind).index(each.kind or EntryKind.ACCRUE))
    return [Line(asset, account, None, opening, moved), *in_order]
