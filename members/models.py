"""The tables of people, of where they stand, and of what they are owed."""

from enum import StrEnum

from tortoise import fields
from tortoise.models import Model


class Role(StrEnum):
    """What somebody may do. ADMIN implies every other but SERVICE, REVIEWER implies EDITOR."""

    MEMBER = "MEMBER"
    KOC = "KOC"
    EMPLOYEE = "EMPLOYEE"
    EDITOR = "EDITOR"
    REVIEWER = "REVIEWER"
    OPERATOR = "OPERATOR"
    FINANCE = "FINANCE"
    ADMIN = "ADMIN"
    SERVICE = "SERVICE"


class DowngradePolicy(StrEnum):
    """What falling below a tier's threshold does to somebody who is in it."""

    NEVER = "NEVER"  # keeps the tier
    IMMEDIATE = "IMMEDIATE"  # drops to the highest tier that still holds


class TierChangeReason(StrEnum):
    """Why somebody came into another tier."""

    QUALIFIED = "QUALIFIED"  # a threshold was reached
    REFUNDED = "REFUNDED"  # a refund took the spend below it


class Asset(StrEnum):
    """What an account is kept in."""

    CASH = "CASH"  # in minor units of the installation's currency
    POINTS = "POINTS"


class Account(StrEnum):
    """The accounts of a member per program and asset."""

    PENDING = "PENDING"  # earned, the hold has not passed yet
    AVAILABLE = "AVAILABLE"  # may be paid out
    HELD = "HELD"  # kept back for a look at it
    PAID = "PAID"  # went out


class EntryKind(StrEnum):
    """What a transfer was made for."""

    ACCRUE = "ACCRUE"  # a commission was earned
    REVERSE = "REVERSE"  # a refund took part of it back


class Member(Model):
    """Somebody with an account: customer, promoter, staff or a shop's service."""

    id = fields.BigIntField(primary_key=True)
    display_name = fields.CharField(max_length=100)
    email = fields.CharField(max_length=254, null=True)
    email_key = fields.CharField(max_length=254, null=True, unique=True)  # `email`, case-folded
    phone = fields.CharField(max_length=32, null=True)
    created_at = fields.DatetimeField()

    class Meta:
        table = "member"


class MemberRole(Model):
    """A role that a member has. MEMBER is everybody's and is not stored."""

    id = fields.BigIntField(primary_key=True)
    member = fields.ForeignKeyField(
        "members.Member", related_name="roles", on_delete=fields.RESTRICT
    )
    member_id: int
    role = fields.CharEnumField(Role, max_length=10)

    class Meta:
        table = "member_role"
        unique_together = (("member", "role"),)


class Session(Model):
    """A bearer token, kept only as its SHA-256 in hex."""

    id = fields.BigIntField(primary_key=True)
    member = fields.ForeignKeyField(
        "members.Member", related_name="sessions", on_delete=fields.RESTRICT
    )
    member_id: int
    token_hash = fields.CharField(max_length=64, unique=True)
    created_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()

    class Meta:
        table = "session"


class CustomerRef(Model):
    """A shop's own name for one of our members."""

    id = fields.BigIntField(primary_key=True)
    member = fields.ForeignKeyField(
        "members.Member", related_name="customer_refs", on_delete=fields.RESTRICT
    )
    member_id: int
    source = fields.CharField(max_length=40)
    ref = fields.CharField(max_length=100)

    class Meta:
        table = "customer_ref"
        unique_together = (("source", "ref"),)


class Tier(Model):
    """A level of membership and the threshold at which it is entered."""

    id = fields.BigIntField(primary_key=True)
    code = fields.CharField(max_length=40, unique=True)
    name = fields.CharField(max_length=100)
    rank = fields.IntField(unique=True)  # higher rank, higher tier
    rule = fields.JSONField()  # the entry threshold, see `tiers.holds`
    downgrade = fields.CharEnumField(DowngradePolicy, max_length=10)

    class Meta:
        table = "tier"


class Standing(Model):
    """Where a member stands: metrics and tier in one row, written by whoever books a fact.

    Everything here can be recomputed from the facts; `reconcile` does and compares.
    """

    id = fields.BigIntField(primary_key=True)
    member = fields.OneToOneField(
        "members.Member", related_name="standing", on_delete=fields.RESTRICT
    )
    member_id: int
    spend_minor = fields.BigIntField(default=0)  # paid orders minus refunds; may be negative
    tier = fields.ForeignKeyField(
        "members.Tier", related_name="standings", null=True, on_delete=fields.RESTRICT
    )
    tier_id: int | None

    class Meta:
        table = "standing"


class TierChange(Model):
    """One move of a member from tier to tier, with the metrics as they stood. Never changed."""

    id = fields.BigIntField(primary_key=True)
    member = fields.ForeignKeyField(
        "members.Member", related_name="tier_changes", on_delete=fields.RESTRICT
    )
    member_id: int
    at = fields.DatetimeField()
    from_tier = fields.ForeignKeyField(
        "members.Tier", related_name="left", null=True, on_delete=fields.RESTRICT
    )
    from_tier_id: int | None
    to_tier = fields.ForeignKeyField(
        "members.Tier", related_name="entered", null=True, on_delete=fields.RESTRICT
    )
    to_tier_id: int | None
    reason = fields.CharEnumField(TierChangeReason, max_length=15)
    metrics = fields.JSONField()

    class Meta:
        table = "tier_change"
        indexes = (("member_id", "id"),)


class LedgerAccount(Model):
    """A balance in one asset: a member's with one program, or the counter-account of the program.

    Programs live a floor above: here one is only the number that keeps its money apart.
    """

    id = fields.BigIntField(primary_key=True)
    key = fields.CharField(max_length=80, unique=True)  # from its parts, see `ledger.AccountRef`
    program_id = fields.BigIntField()
    member = fields.ForeignKeyField(
        "members.Member", related_name="accounts", null=True, on_delete=fields.RESTRICT
    )
    member_id: int | None
    asset = fields.CharEnumField(Asset, max_length=6)
    account = fields.CharEnumField(Account, max_length=9, null=True)  # null: the program's own
    balance = fields.BigIntField(default=0)

    class Meta:
        table = "ledger_account"
        indexes = (("member_id",),)


class LedgerTransfer(Model):
    """A movement of an amount between two accounts. Append-only, by a trigger of the database."""

    id = fields.BigIntField(primary_key=True)
    key = fields.CharField(max_length=160, unique=True)  # comes from the business fact
    kind = fields.CharEnumField(EntryKind, max_length=13)
    from_account = fields.ForeignKeyField(
        "members.LedgerAccount", related_name="outgoing", on_delete=fields.RESTRICT
    )
    from_account_id: int
    to_account = fields.ForeignKeyField(
        "members.LedgerAccount", related_name="incoming", on_delete=fields.RESTRICT
    )
    to_account_id: int
    amount = fields.BigIntField()  # at least 1
    conversion_id = fields.BigIntField(null=True)  # the business fact, a floor above
    at = fields.DatetimeField()

    class Meta:
        table = "ledger_transfer"
        indexes = (("conversion_id",),)


class LedgerEntry(Model):
    """One side of a transfer. Written by the database itself when the transfer is inserted."""

    id = fields.BigIntField(primary_key=True)
    transfer = fields.ForeignKeyField(
        "members.LedgerTransfer", related_name="entries", on_delete=fields.RESTRICT
    )
    transfer_id: int
    account = fields.ForeignKeyField(
        "members.LedgerAccount", related_name="entries", on_delete=fields.RESTRICT
    )
    account_id: int
    amount = fields.BigIntField()  # positive into the account, negative out of it

    class Meta:
        table = "ledger_entry"
        indexes = (("account_id", "id"),)
        unique_together = (("transfer", "account"),)
