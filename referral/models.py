"""The tables of links, of the touches they get, and of what came of them."""

from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.models import Model

from members.models import Account, Asset, Role


class ConversionType(StrEnum):
    """What happened."""

    REGISTRATION = "REGISTRATION"  # an account was made
    ORDER = "ORDER"
    FEE = "FEE"  # a membership fee was paid
    PROMOTION = "PROMOTION"  # somebody enrolled as a promoter for the first time
    REFUND = "REFUND"


class ConversionStatus(StrEnum):
    """What became of it."""

    PENDING = "PENDING"  # accepted, a worker will decide
    PARKED = "PARKED"  # waits for a customer or an order that is not known yet
    CREDITED = "CREDITED"  # somebody was credited; of a refund: commission was taken back
    NOT_CREDITED = "NOT_CREDITED"  # decided, nobody was credited; `explanation` says why
    REVERSED = "REVERSED"  # credited, and refunded in full since


class Verdict(StrEnum):
    """Why a touch did or did not count; the first that applies, in this order."""

    BOT = "BOT"
    LINK_INACTIVE = "LINK_INACTIVE"  # archived or expired when it was clicked
    PROGRAM_CLOSED = "PROGRAM_CLOSED"
    PROMOTER_INACTIVE = "PROMOTER_INACTIVE"
    SELF_REFERRAL = "SELF_REFERRAL"
    OWN_DOWNLINE = "OWN_DOWNLINE"  # the customer brought the promoter
    OUTSIDE_WINDOW = "OUTSIDE_WINDOW"
    NOT_NEW_CUSTOMER = "NOT_NEW_CUSTOMER"
    BOUND_TO_OTHER = "BOUND_TO_OTHER"
    OTHER_PROGRAM = "OTHER_PROGRAM"
    SUPERSEDED = "SUPERSEDED"
    NO_RULE = "NO_RULE"
    CREDITED = "CREDITED"


class AttributionModel(StrEnum):
    """How the eligible touches share a conversion."""

    LAST_TOUCH = "LAST_TOUCH"
    FIRST_TOUCH = "FIRST_TOUCH"
    LINEAR = "LINEAR"
    POSITION_BASED = "POSITION_BASED"  # 40 % first, 40 % last, the others share the rest
    TIME_DECAY = "TIME_DECAY"  # halves every 7 days before the conversion


class BindingMode(StrEnum):
    """What makes a customer the promoter's for later conversions."""

    NONE = "NONE"
    ON_REGISTRATION = "ON_REGISTRATION"
    ON_FIRST_ORDER = "ON_FIRST_ORDER"


class Program(Model):
    """Terms under which links earn."""

    id = fields.BigIntField(primary_key=True)
    code = fields.CharField(max_length=40, unique=True)
    name = fields.CharField(max_length=100)
    model = fields.CharEnumField(
        AttributionModel,
        max_length=14,
        default=AttributionModel.LAST_TOUCH,
        db_default=AttributionModel.LAST_TOUCH,
    )
    window_days = fields.IntField()  # how long before a conversion a touch counts, ends included
    binding = fields.CharEnumField(
        BindingMode, max_length=15, default=BindingMode.NONE, db_default=BindingMode.NONE
    )
    binding_days = fields.IntField(null=True)  # null: for ever
    new_customers_only = fields.BooleanField(default=False, db_default=False)
    exclusive_group: Any = fields.CharField(
        max_length=40, null=True, default="default", db_default="default"
    )
    auto_enroll = fields.BooleanField(default=False, db_default=False)
    hold_days = fields.IntField(default=7, db_default=7)
    min_payout_minor = fields.BigIntField(default=0, db_default=0)
    currency = fields.CharField(max_length=3)  # ISO 4217
    open_to = fields.CharField(  # the roles that may enrol, separated by commas
        max_length=100, default="EMPLOYEE,KOC", db_default="EMPLOYEE,KOC"
    )
    starts_at = fields.DatetimeField(null=True)
    ends_at = fields.DatetimeField(null=True)  # not any more at this instant
    created_at = fields.DatetimeField()

    class Meta:
        table = "program"


class RuleVersion(Model):
    """From when on the rules of one version hold. Never changed."""

    id = fields.BigIntField(primary_key=True)
    program = fields.ForeignKeyField(
        "referral.Program", related_name="rule_versions", on_delete=fields.RESTRICT
    )
    program_id: int
    version = fields.IntField()  # 1, 2, 3 …
    holds_from = fields.DatetimeField(null=True)  # null: from the beginning of time
    published_at = fields.DatetimeField()
    published_by = fields.ForeignKeyField(
        "members.Member", related_name="rule_versions", null=True, on_delete=fields.RESTRICT
    )
    published_by_id: int | None

    class Meta:
        table = "rule_version"
        unique_together = (("program", "version"),)


class RewardRule(Model):
    """What a program pays for a kind of conversion. Never changed: a new rate is a new version."""

    id = fields.BigIntField(primary_key=True)
    program = fields.ForeignKeyField(
        "referral.Program", related_name="rules", on_delete=fields.RESTRICT
    )
    program_id: int
    version = fields.IntField()
    on = fields.CharEnumField(ConversionType, max_length=12)
    asset = fields.CharEnumField(Asset, max_length=6)
    rate_bps = fields.IntField(null=True)  # of the order's amount, in hundredths of a percent
    amount = fields.BigIntField(null=True)  # instead: the same for every conversion
    level = fields.SmallIntField(default=1)  # 1: whoever brought it, 2: their parent
    role: Any = fields.CharEnumField(Role, max_length=9, null=True)  # of whoever receives it
    cap_per_conversion = fields.BigIntField(null=True)

    class Meta:
        table = "reward_rule"
        indexes = (("program_id", "version"),)


class Link(Model):
    """A promoter's entrance: leads to a content of the library or to an address."""

    id = fields.BigIntField(primary_key=True)
    code = fields.CharField(max_length=9, unique=True)  # see `core.codes`
    owner = fields.ForeignKeyField(
        "members.Member", related_name="links", on_delete=fields.RESTRICT
    )
    owner_id: int
    program = fields.ForeignKeyField(
        "referral.Program", related_name="links", on_delete=fields.RESTRICT
    )
    program_id: int
    content_id = fields.BigIntField(null=True)  # the library is another room: an id, no more
    target_url = fields.CharField(max_length=2000, null=True)
    channel = fields.CharField(max_length=40, null=True)  # where it is shared
    created_at = fields.DatetimeField()
    expires_at = fields.DatetimeField(null=True)  # not active any more at this instant
    archived_at = fields.DatetimeField(null=True)

    class Meta:
        table = "link"
        indexes = (("owner_id", "id"),)


class Share(Model):
    """A promoter's own link to a content: made once in each program."""

    id = fields.BigIntField(primary_key=True)
    program = fields.ForeignKeyField(
        "referral.Program", related_name="shares", on_delete=fields.RESTRICT
    )
    program_id: int
    owner = fields.ForeignKeyField(
        "members.Member", related_name="shares", on_delete=fields.RESTRICT
    )
    owner_id: int
    content_id = fields.BigIntField()
    link = fields.ForeignKeyField("referral.Link", related_name="shares", on_delete=fields.RESTRICT)
    link_id: int

    class Meta:
        table = "share"
        unique_together = (("owner", "content_id", "program"),)


class Enrollment(Model):
    """That a member is a promoter of a program."""

    id = fields.BigIntField(primary_key=True)
    program = fields.ForeignKeyField(
        "referral.Program", related_name="enrollments", on_delete=fields.RESTRICT
    )
    program_id: int
    member = fields.ForeignKeyField(
        "members.Member", related_name="enrollments", on_delete=fields.RESTRICT
    )
    member_id: int
    # Named at enrolment; null: the promoter whom this one is bound to in the program, if any.
    parent = fields.ForeignKeyField(
        "members.Member", related_name="children", null=True, on_delete=fields.RESTRICT
    )
    parent_id: int | None
    created_at = fields.DatetimeField()

    class Meta:
        table = "enrollment"
        unique_together = (("program", "member"),)
        indexes = (("member_id", "id"),)


class Suspension(Model):
    """A time in which an enrolment earns nothing."""

    id = fields.BigIntField(primary_key=True)
    enrollment = fields.ForeignKeyField(
        "referral.Enrollment", related_name="suspensions", on_delete=fields.RESTRICT
    )
    enrollment_id: int
    reason = fields.CharField(max_length=300)
    suspended_at = fields.DatetimeField()
    resumed_at = fields.DatetimeField(null=True)  # active again at this instant

    class Meta:
        table = "suspension"
        indexes = (("enrollment_id", "id"),)


class Binding(Model):
    """That a customer is a promoter's in a program: conversions go there, touch or no touch."""

    id = fields.BigIntField(primary_key=True)
    program = fields.ForeignKeyField(
        "referral.Program", related_name="bindings", on_delete=fields.RESTRICT
    )
    program_id: int
    member = fields.ForeignKeyField(
        "members.Member", related_name="bindings", on_delete=fields.RESTRICT
    )
    member_id: int
    promoter = fields.ForeignKeyField(
        "members.Member", related_name="bound_members", on_delete=fields.RESTRICT
    )
    promoter_id: int
    bound_at = fields.DatetimeField()
    ends_at = fields.DatetimeField(null=True)  # not any more at this instant, null: for ever
    # `program:member` while nothing has ended it, so that there is one at most.
    active_key = fields.CharField(max_length=40, null=True, unique=True)

    class Meta:
        table = "binding"
        indexes = (("member_id", "id"), ("promoter_id", "program_id"))


class Visitor(Model):
    """Whose a visitor is, once somebody has presented it. An unknown visitor has no row."""

    id = fields.CharField(max_length=64, primary_key=True)
    member = fields.ForeignKeyField(
        "members.Member", related_name="visitors", on_delete=fields.RESTRICT
    )
    member_id: int
    joined_at = fields.DatetimeField()

    class Meta:
        table = "visitor"
        indexes = (("member_id",),)


class Touch(Model):
    """One click on a link. Never changed, never deleted."""

    id = fields.BigIntField(primary_key=True)
    link = fields.ForeignKeyField(
        "referral.Link", related_name="touches", on_delete=fields.RESTRICT
    )
    link_id: int
    visitor = fields.CharField(max_length=64)
    touched_at = fields.DatetimeField()
    bot_reason = fields.CharField(max_length=100, null=True)  # null: a person
    channel = fields.CharField(max_length=40, null=True)  # where it was met, as the client says

    class Meta:
        table = "touch"
        # The first one holds all that a decision asks of a touch.
        indexes = (
            ("visitor", "touched_at", "link_id", "bot_reason", "id"),
            ("link_id", "touched_at"),
        )


class Conversion(Model):
    """What a shop told or what happened here, and what was decided about it."""

    id = fields.BigIntField(primary_key=True)
    type = fields.CharEnumField(ConversionType, max_length=12)
    source = fields.CharField(max_length=40)
    external_id = fields.CharField(max_length=100)
    figures = fields.CharField(max_length=64)  # hash of what makes a repeat the same
    member = fields.ForeignKeyField(
        "members.Member", related_name="conversions", null=True, on_delete=fields.RESTRICT
    )
    member_id: int | None
    customer_ref = fields.CharField(max_length=100, null=True)
    visitor = fields.CharField(max_length=64, null=True)  # outranked by both
    # The touch that a code typed with it is; see `Touch`.
    code_touch = fields.ForeignKeyField(
        "referral.Touch", related_name="typed_for", null=True, on_delete=fields.RESTRICT
    )
    code_touch_id: int | None
    order_external_id = fields.CharField(max_length=100, null=True)  # of a REFUND
    plan = fields.CharField(max_length=40, null=True)  # of a FEE: what was bought
    # Of a REFUND: the order in whose `refunded_minor` it is counted.
    order = fields.ForeignKeyField(
        "referral.Conversion", related_name="refunds", null=True, on_delete=fields.RESTRICT
    )
    order_id: int | None
    amount_minor = fields.BigIntField()
    commissionable_minor = fields.BigIntField(null=True)  # what rates apply to; null: the amount
    refunded_minor = fields.BigIntField(default=0)  # of an ORDER: never above its amount
    occurred_at = fields.DatetimeField()
    recorded_at = fields.DatetimeField()
    recorded_by = fields.ForeignKeyField(
        "members.Member", related_name="recorded", on_delete=fields.RESTRICT
    )
    recorded_by_id: int
    status = fields.CharEnumField(ConversionStatus, max_length=12)
    # When a late touch had it attributed once more, until that is done.
    reopened_at = fields.DatetimeField(null=True)

    class Meta:
        table = "conversion"
        indexes = (
            ("source", "order_external_id"),
            ("source", "customer_ref"),
            ("member_id", "id"),
            ("order_id",),
            ("visitor",),
            ("type", "occurred_at"),
        )
        unique_together = (("type", "source", "external_id"),)


class Attribution(Model):
    """Who brought a conversion, in parts per million of it."""

    id = fields.BigIntField(primary_key=True)
    conversion = fields.ForeignKeyField(
        "referral.Conversion", related_name="attributions", on_delete=fields.RESTRICT
    )
    conversion_id: int
    program = fields.ForeignKeyField(
        "referral.Program", related_name="attributions", on_delete=fields.RESTRICT
    )
    program_id: int
    promoter = fields.ForeignKeyField(
        "members.Member", related_name="attributions", on_delete=fields.RESTRICT
    )
    promoter_id: int
    # The latest of their touches that count; null where a binding decided, and at level 2.
    link = fields.ForeignKeyField(
        "referral.Link", related_name="attributions", null=True, on_delete=fields.RESTRICT
    )
    link_id: int | None
    level = fields.SmallIntField()
    weight_ppm = fields.IntField()

    class Meta:
        table = "attribution"
        unique_together = (("conversion", "program", "promoter", "level"),)
        indexes = (("promoter_id", "conversion_id"), ("link_id",))


class Commission(Model):
    """What a promoter gets for a conversion, at the rate of its day."""

    id = fields.BigIntField(primary_key=True)
    conversion = fields.ForeignKeyField(
        "referral.Conversion", related_name="commissions", on_delete=fields.RESTRICT
    )
    conversion_id: int
    program = fields.ForeignKeyField(
        "referral.Program", related_name="commissions", on_delete=fields.RESTRICT
    )
    program_id: int
    promoter = fields.ForeignKeyField(
        "members.Member", related_name="commissions", on_delete=fields.RESTRICT
    )
    promoter_id: int
    rule = fields.ForeignKeyField(
        "referral.RewardRule", related_name="commissions", on_delete=fields.RESTRICT
    )
    rule_id: int
    level = fields.SmallIntField()
    asset = fields.CharEnumField(Asset, max_length=6)
    # The figures of the decision stay with it: the rule's rate, or its fixed amount.
    rate_bps = fields.IntField(null=True)
    fixed_amount = fields.BigIntField(null=True)
    amount = fields.BigIntField()
    reversed = fields.BigIntField(default=0)  # of `amount`, by refunds
    account = fields.CharEnumField(  # where what is left of it lies
        Account, max_length=9, default=Account.PENDING, db_default=Account.PENDING
    )
    available_at = fields.DatetimeField()  # when it is released, unless it is held
    payout = fields.ForeignKeyField(
        "referral.Payout", related_name="commissions", null=True, on_delete=fields.RESTRICT
    )
    payout_id: int | None

    class Meta:
        table = "commission"
        unique_together = (("conversion", "program", "promoter", "level", "asset"),)
        indexes = (("promoter_id", "program_id", "account"), ("account", "available_at"))


class PayoutStatus(StrEnum):
    """What became of a pay-out."""

    PROCESSING = "PROCESSING"  # claimed, on its way to the bank
    SENT = "SENT"
    FAILED = "FAILED"  # put back; also after it was sent


class Payout(Model):
    """Money that is sent to a promoter."""

    id = fields.BigIntField(primary_key=True)
    program = fields.ForeignKeyField(
        "referral.Program", related_name="payouts", on_delete=fields.RESTRICT
    )
    program_id: int
    member = fields.ForeignKeyField(
        "members.Member", related_name="payouts", on_delete=fields.RESTRICT
    )
    member_id: int
    amount_minor = fields.BigIntField()  # at least 1
    currency = fields.CharField(max_length=3)  # ISO 4217
    payee = fields.TextField()  # whom it goes to, encrypted; as it was set at the run
    status = fields.CharEnumField(PayoutStatus, max_length=10)
    reference = fields.CharField(max_length=100, null=True)  # the bank's
    failure_reason = fields.CharField(max_length=300, null=True)
    created_at = fields.DatetimeField()
    settled_at = fields.DatetimeField(null=True)

    class Meta:
        table = "payout"
        indexes = (("member_id", "id"), ("status", "id"))


class RiskStatus(StrEnum):
    """What staff decided about a case."""

    OPEN = "OPEN"
    RELEASED = "RELEASED"
    REJECTED = "REJECTED"


class RiskCase(Model):
    """Something about a promoter that staff should look at, with what was seen.

    This and the two tables below refer to conversions and commissions by ids alone: whoever raises
    a case must not wait, row by row, for one that credits.
    """

    id = fields.BigIntField(primary_key=True)
    key = fields.CharField(max_length=120, unique=True)  # from the fact: the same is no new case
    rule = fields.CharField(max_length=40)
    status = fields.CharEnumField(RiskStatus, max_length=8)
    promoter = fields.ForeignKeyField(
        "members.Member", related_name="risk_cases", on_delete=fields.RESTRICT
    )
    promoter_id: int
    conversion_id = fields.BigIntField(null=True)  # the first that it is about
    evidence: Any = fields.JSONField()
    note: Any = fields.TextField(null=True)
    created_at = fields.DatetimeField()
    decided_at = fields.DatetimeField(null=True)
    decided_by = fields.ForeignKeyField(
        "members.Member", related_name="decided_cases", null=True, on_delete=fields.RESTRICT
    )
    decided_by_id: int | None

    class Meta:
        table = "risk_case"
        indexes = (("status", "id"), ("promoter_id", "status"))


class RiskItem(Model):
    """That a case is about a conversion, and about a commission of it that is held while the case
    is open. A conversion without commissions has one row."""

    id = fields.BigIntField(primary_key=True)
    case = fields.ForeignKeyField(
        "referral.RiskCase", related_name="items", on_delete=fields.RESTRICT
    )
    case_id: int
    conversion_id = fields.BigIntField()
    commission_id = fields.BigIntField(null=True)

    class Meta:
        table = "risk_item"
        unique_together = (("case", "commission_id"),)
        indexes = (("conversion_id",), ("commission_id",))


class Looked(Model):
    """How far the rules of risk have looked: one row, none before the first. See `looking`."""

    id = fields.BigIntField(primary_key=True)
    attribution_id = fields.BigIntField()  # the last one
    verdict_id = fields.BigIntField()  # likewise

    class Meta:
        table = "looked"


class TouchVerdict(Model):
    """What was decided about one touch for one conversion. Never changed."""

    id = fields.BigIntField(primary_key=True)
    conversion = fields.ForeignKeyField(
        "referral.Conversion", related_name="verdicts", on_delete=fields.RESTRICT
    )
    conversion_id: int
    program = fields.ForeignKeyField(
        "referral.Program", related_name="verdicts", on_delete=fields.RESTRICT
    )
    program_id: int
    # Null where a binding was looked at and no touch. PostgreSQL does not look whether the touch is
    # there, which would lock and so rewrite it, but keeps it from ever being deleted.
    touch = fields.ForeignKeyField(
        "referral.Touch", related_name="verdicts", null=True, on_delete=fields.RESTRICT
    )
    touch_id: int | None
    promoter = fields.ForeignKeyField(
        "members.Member", related_name="verdicts", on_delete=fields.RESTRICT
    )
    promoter_id: int
    verdict = fields.CharEnumField(Verdict, max_length=17)
    detail = fields.CharField(max_length=200)

    class Meta:
        table = "touch_verdict"
        unique_together = (("conversion", "program", "touch"),)
        indexes = (("promoter_id", "conversion_id"),)


class HourCount(Model):
    """What came through a promoter's link in an hour, or by a binding without one. Derived.

    See `counting`. This and the three tables below refer to others by ids alone: a worker that
    counts must not wait for one that credits, and they can be thrown away.
    """

    id = fields.BigIntField(primary_key=True)
    program_id = fields.BigIntField()
    promoter_id = fields.BigIntField()
    link_id = fields.BigIntField()  # 0: without a link
    hour = fields.DatetimeField()  # its beginning, in UTC
    clicks = fields.BigIntField()  # of people
    visits = fields.BigIntField()
    bot_hits = fields.BigIntField()
    registrations = fields.BigIntField()
    orders = fields.BigIntField()
    credited = fields.BigIntField()  # of the orders
    revenue_minor = fields.BigIntField()
    credited_minor = fields.BigIntField()

    class Meta:
        table = "hour_count"
        unique_together = (("program_id", "hour", "promoter_id", "link_id"),)
        indexes = (("link_id", "hour"), ("promoter_id", "program_id", "hour"))


class Outcome(Model):
    """What a conversion counts for whoever brought it, as it stands in the counters."""

    id = fields.BigIntField(primary_key=True)
    conversion_id = fields.BigIntField()
    program_id = fields.BigIntField()
    promoter_id = fields.BigIntField()
    link_id = fields.BigIntField()  # 0: without a link
    at = fields.DatetimeField()  # when the conversion happened
    registrations = fields.SmallIntField()  # 0 or 1
    orders = fields.SmallIntField()  # likewise
    credited = fields.SmallIntField()  # likewise
    revenue_minor = fields.BigIntField()
    credited_minor = fields.BigIntField()

    class Meta:
        table = "outcome"
        unique_together = (("conversion_id", "program_id", "promoter_id"),)
        indexes = (("program_id", "at"), ("promoter_id", "at"), ("link_id", "at"))


class Uncounted(Model):
    """That something about a conversion changed which the counters do not know of yet."""

    id = fields.BigIntField(primary_key=True)
    conversion_id = fields.BigIntField()

    class Meta:
        table = "uncounted"


class Counted(Model):
    """How far the touches are counted: one row, none before the first."""

    id = fields.BigIntField(primary_key=True)
    touch_id = fields.BigIntField()  # the last one

    class Meta:
        table = "counted"
