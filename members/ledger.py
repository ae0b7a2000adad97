"""Owns the double-entry ledger: append-only transfers between accounts, and their balances.

Only `post` and `adjust` write it. The database itself writes the two entries of every transfer and
refuses to update or delete any (see the migration), so the books balance by construction.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from core import bulk, database, dialect
from members.errors import AdjustmentDiffers, InsufficientBalance
from members.models import Account, Asset, EntryKind, LedgerAccount, LedgerTransfer

_NAMED = "SELECT id, key FROM ledger_account WHERE key {listed}"
_TRANSFER = (
    "key",
    "kind",
    "from_account_id",
    "to_account_id",
    "amount",
    "conversion_id",
    "payout_id",
    "memo",
    "at",
)


@dataclass(frozen=True, slots=True)
class AccountRef:
    """Names an account: with a member one of its four, without the program's counter-account."""

    program_id: int
    asset: Asset
    member_id: int | None = None
    account: Account | None = None

    @property
    def key(self) -> str:
        owner = "program" if self.member_id is None else f"{self.member_id}:{self.account}"
        return f"{self.program_id}:{self.asset}:{owner}"


@dataclass(frozen=True, slots=True)
class Transfer:
    """A movement to be posted: `amount` is at least 1, in minor units or points."""

    key: str
    kind: EntryKind
    source: AccountRef
    target: AccountRef
    amount: int
    conversion_id: int | None = None
    payout_id: int | None = None
    memo: str | None = None


async def post(transfers: Sequence[Transfer], now: datetime) -> None:
    """Appends the transfers and moves the balances; belongs into a unit of work.

    A key that was posted before raises IntegrityError: the caller's unit of work is then a second
    one for the same fact and must leave nothing behind.
    """
    if not transfers:
        return
    accounts = await _accounts({ref for each in transfers for ref in (each.source, each.target)})
    found = [
        (
            each.key,
            each.kind,
            accounts[each.source.key],
            accounts[each.target.key],
            each.amount,
            each.conversion_id,
            each.payout_id,
            each.memo,
            now,
        )
        for each in transfers
    ]
    await bulk.insert(LedgerTransfer, _TRANSFER, found)
    await _move(accounts, transfers)


async def lock(refs: Collection[AccountRef]) -> Mapping[str, int]:
    """The balances by the accounts' keys, which stay so until the unit of work ends; what is not
    there yet is opened.

    Name every account that is moved afterwards: they are locked in the order of their ids, as
    `post` moves them. The lock lets others refer to the accounts in transfers: those come before
    their balances are moved, and in another order.
    """
    accounts = await _accounts(refs)
    rows = LedgerAccount.filter(id__in=sorted(accounts.values())).order_by("id")
    return {row.key: row.balance for row in await rows.select_for_update(no_key=True)}


async def adjust(account: AccountRef, amount: int, memo: str, key: str, now: datetime) -> bool:
    """Adds the amount to a member's account, or takes a negative one away; belongs into a unit of
    work, before its first write.

    The same again changes nothing and is answered with False. Raises `AdjustmentDiffers` for a key
    that stands for something else, `InsufficientBalance` where less than zero would be left.
    """
    program = AccountRef(account.program_id, account.asset)
    source, target = (program, account) if amount > 0 else (account, program)
    transfer = Transfer(f"adjust:{key}", EntryKind.ADJUST, source, target, abs(amount), memo=memo)
    await database.lock(transfer.key)
    if await _posted(transfer):
        return False
    balance = (await lock([program, account]))[account.key]
    if amount < 0 and balance + amount < 0:
        raise InsufficientBalance(balance)
    await post([transfer], now)
    return True


async def _posted(transfer: Transfer) -> bool:
    posted = await LedgerTransfer.get_or_none(key=transfer.key).select_related(
        "from_account", "to_account"
    )
    if posted is None:
        return False
    figures = (posted.from_account.key, posted.to_account.key, posted.amount, posted.memo)
    if figures != (transfer.source.key, transfer.target.key, transfer.amount, transfer.memo):
        raise AdjustmentDiffers
    return True


async def _accounts(refs: Collection[AccountRef]) -> Mapping[str, int]:
    by_key = {ref.key: ref for ref in refs}
    found = await _ids(by_key)
    missing = sorted(by_key.keys() - found.keys())
    if missing:
        await LedgerAccount.bulk_create(
            [
                LedgerAccount(
                    key=key,
                    program_id=by_key[key].program_id,
                    member_id=by_key[key].member_id,
                    asset=by_key[key].asset,
                    account=by_key[key].account,
                )
                for key in missing
            ],
            ignore_conflicts=True,
        )
        found = await _ids(by_key)
    return found


async def _ids(keys: Collection[str]) -> Mapping[str, int]:
    named = _NAMED.format(listed=dialect.listed(1))
    return {row["key"]: row["id"] for row in await database.rows(named, dialect.as_list(keys))}


async def _move(accounts: Mapping[str, int], transfers: Sequence[Transfer]) -> None:
    """Adds the sums to the balances: last in the unit of work and in the order of the ids, since
    a program's counter-account is everybody's and whoever moves it waits for the one before."""
    change: dict[int, int] = defaultdict(int)
    for each in transfers:
        change[accounts[each.source.key]] -= each.amount
        change[accounts[each.target.key]] += each.amount
    moved = sorted(change)
    await bulk.lock(LedgerAccount, moved)
    await bulk.add(LedgerAccount, ("id", "balance"), [(each, change[each]) for each in moved])


@dataclass(frozen=True, slots=True)
class Balance:
    """What a member has in one asset, over all programs."""

    asset: Asset
    pending: int
    available: int
    held: int
    paid: int


async def balances(member_id: int) -> Sequence[Balance]:
    """One row per asset that the member ever had something in."""
    sums: dict[Asset, dict[Account, int]] = defaultdict(lambda: dict.fromkeys(Account, 0))
    rows = LedgerAccount.filter(member_id=member_id).values_list("asset", "account", "balance")
    for asset, account, balance in await rows:
        sums[asset][account] += balance
    return [
        Balance(
            asset,
            pending=of[Account.PENDING],
            available=of[Account.AVAILABLE],
            held=of[Account.HELD],
            paid=of[Account.PAID],
        )
        for asset, of in sorted(sums.items())
    ]
