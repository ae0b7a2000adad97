"""The tables of people, of where they stand, and of what they are owed."""

from enum import StrEnum
from typing import Any

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


class TierMetric(StrEnum):
    """What tiers are decided by."""

    SPEND = "SPEND"  # paid orders minus refunds, in minor units
    FEE = "FEE"  # fees paid, in minor units
    INVITED_REGISTERED = "INVITED_REGISTERED"  # members whose registration is attributed to it
    INVITED_BOUGHT = "INVITED_BOUGHT"  # of those, with positive net spend
    INVITED_PROMOTED = "INVITED_PROMOTED"  # of those, enrolled as promoters
    POINTS_EARNED = "POINTS_EARNED"  # earned, whether or not they were spent


class Window(StrEnum):
    """Over which time a metric is taken."""

    LIFETIME = "LIFETIME"
    CALENDAR_YEAR = "CALENDAR_YEAR"  # the running year in the business time zone
    LAST_DAYS = "LAST_DAYS"  # so many times 24 hours back


class ApplicationStatus(StrEnum):
    """What became of an application for a tier."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"


class DowngradePolicy(StrEnum):
    """What falling below a tier's threshold does to somebody who is in it."""

    NEVER = "NEVER"  # keeps the tier
    AT_EXPIRY = "AT_EXPIRY"  # keeps it until its validity and grace have passed
    IMMEDIATE = "IMMEDIATE"  # drops to the highest tier that still holds


class TierChangeReason(StrEnum):
    """Why somebody came into another tier."""

    QUALIFIED = "QUALIFIED"  # a threshold was reached
    GRANTED = "GRANTED"  # somebody of staff gave it
    APPROVED = "APPROVED"  # somebody of staff decided an application
    EXPIRED = "EXPIRED"  # validity, a grant or a window came to its end
    REFUNDED = "REFUNDED"  # a refund took a metric below the threshold
    RULES_CHANGED = "RULES_CHANGED"  # other rules were published
    REVOKED = "REVOKED"  # a grant was taken back


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
    RELEASE = "RELEASE"  # its hold time is over
    HOLD = "HOLD"  # it is looked into
    UNHOLD = "UNHOLD"  # nothing was wrong with it
    REVERSE = "REVERSE"  # a refund took part of it back
    PAYOUT = "PAYOUT"  # it is sent
    PAYOUT_FAILED = "PAYOUT_FAILED"  # it came back
    ADJUST = "ADJUST"  # somebody of finance corrected it


class Member(Model):
    """Somebody with an account: customer, promoter, staff or a shop's service."""

    id = fields.BigIntField(primary_key=True)
    display_name = fields.CharField(max_length=100)
    email = fields.CharField(max_length=254, null=True)
    email_key = fields.CharField(max_length=254, null=True, unique=True)  # `email`, case-folded
    phone = fields.CharField(max_length=32, null=True)
    avatar_url = fields.CharField(max_length=2000, null=True)
    created_at = fields.DatetimeField()
    search = fields.TextField(default="", db_default="")  # by `directory.search_text`

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
        indexes = (("role", "member_id"),)


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


class Password(Model):
    """A member's password, kept only as its argon2id hash with the parameters in it."""

    id = fields.BigIntField(primary_key=True)
    member = fields.OneToOneField(
        "members.Member", related_name="password", on_delete=fields.RESTRICT
    )
    member_id: int
    hash = fields.CharField(max_length=200)
    set_at = fields.DatetimeField()

    class Meta:
        table = "password"


class WechatIdentity(Model):
    """Who a member is to WeChat: one person of our mini-program. No session key is ever kept."""

    id = fields.BigIntField(primary_key=True)
    member = fields.OneToOneField(
        "members.Member", related_name="wechat_identity", on_delete=fields.RESTRICT
    )
    member_id: int
    openid = fields.CharField(max_length=64, unique=True)
    unionid = fields.CharField(max_length=64, null=True)  # the same over all apps of one company
    created_at = fields.DatetimeField()

    class Meta:
        table = "wechat_identity"


class SignInFailure(Model):
    """A failed attempt to sign in, counted against an account or an address."""

    id = fields.BigIntField(primary_key=True)
    key = fields.CharField(max_length=64)  # a keyed hash: no address is kept
    at = fields.DatetimeField()

    class Meta:
        table = "sign_in_failure"
        indexes = (("key", "at"),)


class ApiKey(Model):
    """A key of a shop's service, kept only as its SHA-256 in hex. Revoked, never deleted."""

    id = fields.BigIntField(primary_key=True)
    # In whose name it acts: a member of its own, so that what it recorded is known as its own.
    member = fields.OneToOneField(
        "members.Member", related_name="api_key", on_delete=fields.RESTRICT
    )
    member_id: int
    name = fields.CharField(max_length=100)
    sources: Any = fields.JSONField(null=True)  # the sources it may speak for; null: all
    key_hash = fields.CharField(max_length=64, unique=True)
    created_at = fields.DatetimeField()
    created_by = fields.ForeignKeyField(
        "members.Member", related_name="keys_made", on_delete=fields.RESTRICT
    )
    created_by_id: int
    last_used_at = fields.DatetimeField(null=True)
    revoked_at = fields.DatetimeField(null=True)

    class Meta:
        table = "api_key"


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
    """A level of membership, as the current rules have it.

    A tier that the rules have left out stays, for the history that names it, with a rank below
    zero.
    """

    id = fields.BigIntField(primary_key=True)
    code = fields.CharField(max_length=40, unique=True)
    name = fields.CharField(max_length=100)
    rank = fields.IntField(unique=True)  # higher rank, higher tier
    rule: Any = fields.JSONField()  # the entry threshold, in the shape of the API's RuleInput
    requires_approval = fields.BooleanField(default=False, db_default=False)
    validity_days = fields.IntField(null=True)
    grace_days = fields.IntField(default=0, db_default=0)
    downgrade = fields.CharEnumField(DowngradePolicy, max_length=10)
    benefits: Any = fields.JSONField(default=list, db_default=[])  # in words, for people

    class Meta:
        table = "tier"


class TierRules(Model):
    """A version of the whole set of tiers as it was published. Never changed."""

    id = fields.BigIntField(primary_key=True)
    version = fields.IntField(unique=True)  # 1, 2, 3 …
    rules: Any = fields.JSONField()
    time_zone = fields.CharField(max_length=60)  # IANA; whose calendar years are meant
    published_at = fields.DatetimeField()
    published_by = fields.ForeignKeyField(
        "members.Member", related_name="tier_rules", null=True, on_delete=fields.RESTRICT
    )
    published_by_id: int | None

    class Meta:
        table = "tier_rules"


class Standing(Model):
    """Where a member stands: metrics and tier in one row, written by whoever books a fact.

    Every metric can be recomputed from the facts; `reconcile` does and compares.
    """

    id = fields.BigIntField(primary_key=True)
    member = fields.OneToOneField(
        "members.Member", related_name="standing", on_delete=fields.RESTRICT
    )
    member_id: int
    spend_minor = fields.BigIntField(default=0)  # paid orders minus refunds; may be negative
    fees_minor = fields.BigIntField(default=0, db_default=0)
    invited_registered = fields.BigIntField(default=0, db_default=0)
    invited_bought = fields.BigIntField(default=0, db_default=0)
    invited_promoted = fields.BigIntField(default=0, db_default=0)
    points_earned = fields.BigIntField(default=0, db_default=0)
    first_order_at = fields.DatetimeField(null=True)  # of the earliest paid order
    tier = fields.ForeignKeyField(
        "members.Tier", related_name="standings", null=True, on_delete=fields.RESTRICT
    )
    tier_id: int | None  # the higher one of the two below
    earned_tier = fields.ForeignKeyField(
        "members.Tier", related_name="earned", null=True, on_delete=fields.RESTRICT
    )
    earned_tier_id: int | None  # by the rules
    expires_at = fields.DatetimeField(null=True)  # of an earned tier with AT_EXPIRY
    floor_tier = fields.ForeignKeyField(
        "members.Tier", related_name="granted", null=True, on_delete=fields.RESTRICT
    )
    floor_tier_id: int | None  # by a grant
    floor_until = fields.DatetimeField(null=True)  # null: until it is revoked
    review_at = fields.DatetimeField(null=True)  # when time alone may change the tier

    class Meta:
        table = "standing"
        indexes = (("tier_id", "member_id"), ("review_at",), ("floor_tier_id",))


class MetricFact(Model):
    """What one conversion counts for in a member's metrics, at its own date. Never changed."""

    id = fields.BigIntField(primary_key=True)
    member = fields.ForeignKeyField(
        "members.Member", related_name="facts", on_delete=fields.RESTRICT
    )
    member_id: int
    metric = fields.CharEnumField(TierMetric, max_length=18)  # SPEND, FEE or POINTS_EARNED
    conversion_id = fields.BigIntField()  # a floor above
    plan = fields.CharField(max_length=40, null=True)  # of a FEE
    at = fields.DatetimeField()
    # Negative for what a refund took back; less when points are withdrawn, see `withdrawing`.
    amount = fields.BigIntField()

    class Meta:
        table = "metric_fact"
        unique_together = (("member", "metric", "conversion_id"),)


class Invitation(Model):
    """That a member's registration is attributed to another one, and what became of it."""

    id = fields.BigIntField(primary_key=True)
    inviter = fields.ForeignKeyField(
        "members.Member", related_name="invitations", on_delete=fields.RESTRICT
    )
    inviter_id: int
    invitee = fields.ForeignKeyField(
        "members.Member", related_name="invited_by", on_delete=fields.RESTRICT
    )
    invitee_id: int
    registered_at = fields.DatetimeField()
    bought_at = fields.DatetimeField(null=True)  # first paid order; null without net spend
    promoted_at = fields.DatetimeField(null=True)  # first enrolment

    class Meta:
        table = "invitation"
        unique_together = (("inviter", "invitee"),)
        indexes = (("invitee_id",),)


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
    metrics: Any = fields.JSONField()
    rules_version = fields.IntField(default=0, db_default=0)
    actor = fields.ForeignKeyField(
        "members.Member", related_name="tier_acts", null=True, on_delete=fields.RESTRICT
    )
    actor_id: int | None  # who granted, revoked, approved or published

    class Meta:
        table = "tier_change"
        indexes = (("member_id", "id"),)


class TierApplication(Model):
    """A member's wish to enter a tier that staff decide about."""

    id = fields.BigIntField(primary_key=True)
    member = fields.ForeignKeyField(
        "members.Member", related_name="tier_applications", on_delete=fields.RESTRICT
    )
    member_id: int
    tier = fields.ForeignKeyField(
        "members.Tier", related_name="applications", on_delete=fields.RESTRICT
    )
    tier_id: int
    status = fields.CharEnumField(ApplicationStatus, max_length=8)
    message = fields.CharField(max_length=1000, null=True)
    note = fields.CharField(max_length=1000, null=True)
    created_at = fields.DatetimeField()
    decided_at = fields.DatetimeField(null=True)
    decided_by = fields.ForeignKeyField(
        "members.Member", related_name="tier_decisions", null=True, on_delete=fields.RESTRICT
    )
    decided_by_id: int | None
    # An approval is good until the rule no longer holds; entering again takes a new one.
    lapsed_at = fields.DatetimeField(null=True)
    # `member:tier` while PENDING or approved and not lapsed: one of these at a time.
    standing_key = fields.CharField(max_length=44, null=True, unique=True)

    class Meta:
        table = "tier_application"
        indexes = (("status", "id"), ("member_id", "id"))


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
    payout_id = fields.BigIntField(null=True)  # likewise
    memo = fields.CharField(max_length=300, null=True)  # of an ADJUST
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


class Payee(Model):
    """Where a member wants to be paid, encrypted."""

    id = fields.BigIntField(primary_key=True)
    member = fields.OneToOneField("members.Member", related_name="payee", on_delete=fields.RESTRICT)
    member_id: int
    sealed = fields.TextField()  # method, name, account and bank
    fingerprint = fields.CharField(max_length=64)  # keyed: equal for equal accounts
    updated_at = fields.DatetimeField()

    class Meta:
        table = "payee"
        indexes = (("fingerprint",),)
