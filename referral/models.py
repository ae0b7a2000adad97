"""The tables of links, of the touches they get, and of what came of them."""

from enum import StrEnum

from tortoise import fields
from tortoise.models import Model

from members.models import Asset


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
    """Why a touch did or did not count; the first that applies."""

    BOT = "BOT"
    SELF_REFERRAL = "SELF_REFERRAL"
    OUTSIDE_WINDOW = "OUTSIDE_WINDOW"
    OTHER_PROGRAM = "OTHER_PROGRAM"
    SUPERSEDED = "SUPERSEDED"
    NO_RULE = "NO_RULE"
    CREDITED = "CREDITED"


class Program(Model):
    """Terms under which links earn."""

    id = fields.BigIntField(primary_key=True)
    code = fields.CharField(max_length=40, unique=True)
    name = fields.CharField(max_length=100)
    window_days = fields.IntField()  # how long before a conversion a touch counts, ends included
    currency = fields.CharField(max_length=3)  # ISO 4217
    created_at = fields.DatetimeField()

    class Meta:
        table = "program"


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
    rate_bps = fields.IntField()  # of the order's amount, in hundredths of a percent

    class Meta:
        table = "reward_rule"
        unique_together = (("program", "version", "on", "asset"),)


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
    created_at = fields.DatetimeField()

    class Meta:
        table = "link"
        indexes = (("owner_id", "id"),)


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
    created_at = fields.DatetimeField()

    class Meta:
        table = "enrollment"
        unique_together = (("program", "member"),)
        indexes = (("member_id", "id"),)


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

    class Meta:
        table = "touch"
        indexes = (("visitor",),)


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
    order_external_id = fields.CharField(max_length=100, null=True)  # of a REFUND
    plan = fields.CharField(max_length=40, null=True)  # of a FEE: what was bought
    # Of a REFUND: the order in whose `refunded_minor` it is counted.
    order = fields.ForeignKeyField(
        "referral.Conversion", related_name="refunds", null=True, on_delete=fields.RESTRICT
    )
    order_id: int | None
    amount_minor = fields.BigIntField()
    refunded_minor = fields.BigIntField(default=0)  # of an ORDER: never above its amount
    occurred_at = fields.DatetimeField()
    recorded_at = fields.DatetimeField()
    recorded_by = fields.ForeignKeyField(
        "members.Member", related_name="recorded", on_delete=fields.RESTRICT
    )
    recorded_by_id: int
    status = fields.CharEnumField(ConversionStatus, max_length=12)

    class Meta:
        table = "conversion"
        indexes = (
            ("source", "order_external_id"),
            ("source", "customer_ref"),
            ("member_id", "id"),
            ("order_id",),
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
    link = fields.ForeignKeyField(
        "referral.Link", related_name="attributions", on_delete=fields.RESTRICT
    )
    link_id: int
    level = fields.SmallIntField()
    weight_ppm = fields.IntField()

    class Meta:
        table = "attribution"
        unique_together = (("conversion", "program", "promoter", "level"),)


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
    rate_bps = fields.IntField()  # copied: the figures of the decision stay with it
    amount = fields.BigIntField()
    reversed = fields.BigIntField(default=0)  # of `amount`, by refunds

    class Meta:
        table = "commission"
        unique_together = (("conversion", "program", "promoter", "level", "asset"),)


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
    touch = fields.ForeignKeyField(
        "referral.Touch", related_name="verdicts", on_delete=fields.RESTRICT
    )
    touch_id: int
    verdict = fields.CharEnumField(Verdict, max_length=17)
    detail = fields.CharField(max_length=200)

    class Meta:
        table = "touch_verdict"
        unique_together = (("conversion", "touch"),)
