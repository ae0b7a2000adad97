"""Programs with all their terms, rule versions, bindings, pay-outs and risk cases."""

import functools
from json import dumps, loads

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import UniqueConstraint

from core.migrating import Rebuild, Together
from members.models import Account, Role
from referral.models import AttributionModel, BindingMode, PayoutStatus, RiskStatus, Verdict

# What was decided before had no hold time to wait for.
OCCURRED_AT = "(SELECT occurred_at FROM conversion WHERE conversion.id = old.conversion_id)"
OWNER = """(SELECT link.owner_id FROM touch JOIN link ON link.id = touch.link_id
    WHERE touch.id = old.touch_id)"""
# The first rules of a program hold from the beginning of time.
VERSIONS = """
INSERT INTO rule_version (program_id, version, published_at)
SELECT DISTINCT reward_rule.program_id, reward_rule.version, program.created_at
FROM reward_rule JOIN program ON program.id = reward_rule.program_id
"""


class Migration(migrations.Migration):
    dependencies = [("members", "0005_payees_and_kinds"), ("referral", "0002_enrollments_and_fees")]

    initial = False

    operations = [
        Together(
            [
                ops.CreateModel(
                    name="Binding",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        (
                            "program",
                            fields.ForeignKeyField(
                                "referral.Program",
                                source_field="program_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="bindings",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "member",
                            fields.ForeignKeyField(
                                "members.Member",
                                source_field="member_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="bindings",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "promoter",
                            fields.ForeignKeyField(
                                "members.Member",
                                source_field="promoter_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="bound_members",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("bound_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                        (
                            "ends_at",
                            fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                        ),
                        ("active_key", fields.CharField(null=True, unique=True, max_length=40)),
                    ],
                    options={
                        "table": "binding",
                        "app": "referral",
                        "indexes": [
                            Index(fields=["member_id", "id"]),
                            Index(fields=["promoter_id", "program_id"]),
                        ],
                        "pk_attr": "id",
                        "table_description": "That a customer is a promoter's in a program: conversions go there, touch or no touch.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="Payout",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        (
                            "program",
                            fields.ForeignKeyField(
                                "referral.Program",
                                source_field="program_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="payouts",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "member",
                            fields.ForeignKeyField(
                                "members.Member",
                                source_field="member_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="payouts",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("amount_minor", fields.BigIntField()),
                        ("currency", fields.CharField(max_length=3)),
                        ("payee", fields.TextField(unique=False)),
                        (
                            "status",
                            fields.CharEnumField(
                                description="PROCESSING: PROCESSING\nSENT: SENT\nFAILED: FAILED",
                                enum_type=PayoutStatus,
                                max_length=10,
                            ),
                        ),
                        ("reference", fields.CharField(null=True, max_length=100)),
                        ("failure_reason", fields.CharField(null=True, max_length=300)),
                        ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                        (
                            "settled_at",
                            fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                        ),
                    ],
                    options={
                        "table": "payout",
                        "app": "referral",
                        "indexes": [
                            Index(fields=["member_id", "id"]),
                            Index(fields=["status", "id"]),
                        ],
                        "pk_attr": "id",
                        "table_description": "Money that is sent to a promoter.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="RiskCase",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        ("key", fields.CharField(unique=True, max_length=120)),
                        ("rule", fields.CharField(max_length=40)),
                        (
                            "status",
                            fields.CharEnumField(
                                description="OPEN: OPEN\nRELEASED: RELEASED\nREJECTED: REJECTED",
                                enum_type=RiskStatus,
                                max_length=8,
                            ),
                        ),
                        (
                            "program",
                            fields.ForeignKeyField(
                                "referral.Program",
                                source_field="program_id",
                                null=True,
                                db_constraint=True,
                                to_field="id",
                                related_name="risk_cases",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "promoter",
                            fields.ForeignKeyField(
                                "members.Member",
                                source_field="promoter_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="risk_cases",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "conversion",
                            fields.ForeignKeyField(
                                "referral.Conversion",
                                source_field="conversion_id",
                                null=True,
                                db_constraint=True,
                                to_field="id",
                                related_name="risk_cases",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "evidence",
                            fields.JSONField(
                                encoder=functools.partial(dumps, separators=(",", ":")),
                                decoder=loads,
                            ),
                        ),
                        ("note", fields.TextField(null=True, unique=False)),
                        ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                        (
                            "decided_at",
                            fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                        ),
                        (
                            "decided_by",
                            fields.ForeignKeyField(
                                "members.Member",
                                source_field="decided_by_id",
                                null=True,
                                db_constraint=True,
                                to_field="id",
                                related_name="decided_cases",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                    ],
                    options={
                        "table": "risk_case",
                        "app": "referral",
                        "indexes": [
                            Index(fields=["status", "id"]),
                            Index(fields=["promoter_id", "status"]),
                        ],
                        "pk_attr": "id",
                        "table_description": "Something about a promoter that staff should look at, with what was seen.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="RuleVersion",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        (
                            "program",
                            fields.ForeignKeyField(
                                "referral.Program",
                                source_field="program_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="rule_versions",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("version", fields.IntField()),
                        (
                            "holds_from",
                            fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                        ),
                        ("published_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                        (
                            "published_by",
                            fields.ForeignKeyField(
                                "members.Member",
                                source_field="published_by_id",
                                null=True,
                                db_constraint=True,
                                to_field="id",
                                related_name="rule_versions",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                    ],
                    options={
                        "table": "rule_version",
                        "app": "referral",
                        "unique_together": (("program", "version"),),
                        "pk_attr": "id",
                        "table_description": "From when on the rules of one version hold. Never changed.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="Share",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        (
                            "program",
                            fields.ForeignKeyField(
                                "referral.Program",
                                source_field="program_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="shares",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "owner",
                            fields.ForeignKeyField(
                                "members.Member",
                                source_field="owner_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="shares",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("content_id", fields.BigIntField()),
                        (
                            "link",
                            fields.ForeignKeyField(
                                "referral.Link",
                                source_field="link_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="shares",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                    ],
                    options={
                        "table": "share",
                        "app": "referral",
                        "unique_together": (("owner", "content_id", "program"),),
                        "pk_attr": "id",
                        "table_description": "A promoter's own link to a content: made once in each program.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="Suspension",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        (
                            "enrollment",
                            fields.ForeignKeyField(
                                "referral.Enrollment",
                                source_field="enrollment_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="suspensions",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("reason", fields.CharField(max_length=300)),
                        ("suspended_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                        (
                            "resumed_at",
                            fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                        ),
                    ],
                    options={
                        "table": "suspension",
                        "app": "referral",
                        "indexes": [Index(fields=["enrollment_id", "id"])],
                        "pk_attr": "id",
                        "table_description": "A time in which an enrolment earns nothing.",
                    },
                    bases=["Model"],
                ),
                ops.AddField(
                    model_name="Conversion",
                    name="code_touch",
                    field=fields.ForeignKeyField(
                        "referral.Touch",
                        source_field="code_touch_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="typed_for",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ops.AddField(
                    model_name="Conversion",
                    name="commissionable_minor",
                    field=fields.BigIntField(null=True),
                ),
                ops.AddField(
                    model_name="Conversion",
                    name="reopened_at",
                    field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ops.AddField(
                    model_name="Conversion",
                    name="visitor",
                    field=fields.CharField(null=True, max_length=64),
                ),
                ops.AddIndex(
                    model_name="Conversion",
                    index=Index(fields=["visitor"]),
                ),
                ops.AddField(
                    model_name="Enrollment",
                    name="parent",
                    field=fields.ForeignKeyField(
                        "members.Member",
                        source_field="parent_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="children",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ops.AddField(
                    model_name="Link",
                    name="archived_at",
                    field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ops.AddField(
                    model_name="Link",
                    name="channel",
                    field=fields.CharField(null=True, max_length=40),
                ),
                ops.AddField(
                    model_name="Link",
                    name="expires_at",
                    field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ops.AddField(
                    model_name="Program",
                    name="auto_enroll",
                    field=fields.BooleanField(default=False, db_default=False),
                ),
                ops.AddField(
                    model_name="Program",
                    name="binding",
                    field=fields.CharEnumField(
                        default=BindingMode.NONE,
                        description="NONE: NONE\nON_REGISTRATION: ON_REGISTRATION\nON_FIRST_ORDER: ON_FIRST_ORDER",
                        db_default=BindingMode.NONE,
                        enum_type=BindingMode,
                        max_length=15,
                    ),
                ),
                ops.AddField(
                    model_name="Program",
                    name="binding_days",
                    field=fields.IntField(null=True),
                ),
                ops.AddField(
                    model_name="Program",
                    name="ends_at",
                    field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ops.AddField(
                    model_name="Program",
                    name="exclusive_group",
                    field=fields.CharField(
                        null=True, default="default", db_default="default", max_length=40
                    ),
                ),
                ops.AddField(
                    model_name="Program",
                    name="hold_days",
                    field=fields.IntField(default=7, db_default=7),
                ),
                ops.AddField(
                    model_name="Program",
                    name="min_payout_minor",
                    field=fields.BigIntField(default=0, db_default=0),
                ),
                ops.AddField(
                    model_name="Program",
                    name="model",
                    field=fields.CharEnumField(
                        default=AttributionModel.LAST_TOUCH,
                        description="LAST_TOUCH: LAST_TOUCH\nFIRST_TOUCH: FIRST_TOUCH\nLINEAR: LINEAR\nPOSITION_BASED: POSITION_BASED\nTIME_DECAY: TIME_DECAY",
                        db_default=AttributionModel.LAST_TOUCH,
                        enum_type=AttributionModel,
                        max_length=14,
                    ),
                ),
                ops.AddField(
                    model_name="Program",
                    name="new_customers_only",
                    field=fields.BooleanField(default=False, db_default=False),
                ),
                ops.AddField(
                    model_name="Program",
                    name="open_to",
                    field=fields.CharField(
                        default="EMPLOYEE,KOC", db_default="EMPLOYEE,KOC", max_length=100
                    ),
                ),
                ops.AddField(
                    model_name="Program",
                    name="starts_at",
                    field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ops.AddField(
                    model_name="Touch",
                    name="channel",
                    field=fields.CharField(null=True, max_length=40),
                ),
                ops.AddIndex(
                    model_name="Touch",
                    index=Index(fields=["link_id", "touched_at"]),
                ),
            ]
        ),
        Rebuild(
            ["RewardRule", "Attribution", "Commission", "TouchVerdict"],
            [
                ops.AlterField(
                    model_name="Attribution",
                    name="link",
                    field=fields.ForeignKeyField(
                        "referral.Link",
                        source_field="link_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="attributions",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ops.AddIndex(
                    model_name="Attribution",
                    index=Index(fields=["promoter_id", "conversion_id"]),
                ),
                ops.AddIndex(
                    model_name="Attribution",
                    index=Index(fields=["link_id"]),
                ),
                ops.AlterField(
                    model_name="Commission",
                    name="rate_bps",
                    field=fields.IntField(null=True),
                ),
                ops.AddField(
                    model_name="Commission",
                    name="account",
                    field=fields.CharEnumField(
                        default=Account.PENDING,
                        description="PENDING: PENDING\nAVAILABLE: AVAILABLE\nHELD: HELD\nPAID: PAID",
                        db_default=Account.PENDING,
                        enum_type=Account,
                        max_length=9,
                    ),
                ),
                ops.AddField(
                    model_name="Commission",
                    name="available_at",
                    field=fields.DatetimeField(auto_now=False, auto_now_add=False),
                ),
                ops.AddField(
                    model_name="Commission",
                    name="fixed_amount",
                    field=fields.BigIntField(null=True),
                ),
                ops.AddField(
                    model_name="Commission",
                    name="payout",
                    field=fields.ForeignKeyField(
                        "referral.Payout",
                        source_field="payout_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="commissions",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ops.AddIndex(
                    model_name="Commission",
                    index=Index(fields=["promoter_id", "program_id", "account"]),
                ),
                ops.AddIndex(
                    model_name="Commission",
                    index=Index(fields=["account", "available_at"]),
                ),
                ops.RemoveConstraint(
                    model_name="RewardRule",
                    name=None,
                    fields=["program", "version", "on", "asset"],
                ),
                ops.AlterField(
                    model_name="RewardRule",
                    name="rate_bps",
                    field=fields.IntField(null=True),
                ),
                ops.AddField(
                    model_name="RewardRule",
                    name="amount",
                    field=fields.BigIntField(null=True),
                ),
                ops.AddField(
                    model_name="RewardRule",
                    name="cap_per_conversion",
                    field=fields.BigIntField(null=True),
                ),
                ops.AddField(
                    model_name="RewardRule",
                    name="level",
                    field=fields.SmallIntField(default=1),
                ),
                ops.AddField(
                    model_name="RewardRule",
                    name="role",
                    field=fields.CharEnumField(
                        null=True,
                        description="MEMBER: MEMBER\nKOC: KOC\nEMPLOYEE: EMPLOYEE\nEDITOR: EDITOR\nREVIEWER: REVIEWER\nOPERATOR: OPERATOR\nFINANCE: FINANCE\nADMIN: ADMIN\nSERVICE: SERVICE",
                        enum_type=Role,
                        max_length=9,
                    ),
                ),
                ops.AddIndex(
                    model_name="RewardRule",
                    index=Index(fields=["program_id", "version"]),
                ),
                ops.RemoveConstraint(
                    model_name="TouchVerdict",
                    name=None,
                    fields=["conversion", "touch"],
                ),
                ops.AlterField(
                    model_name="TouchVerdict",
                    name="touch",
                    field=fields.ForeignKeyField(
                        "referral.Touch",
                        source_field="touch_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="verdicts",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ops.AlterField(
                    model_name="TouchVerdict",
                    name="verdict",
                    field=fields.CharEnumField(
                        description="BOT: BOT\nLINK_INACTIVE: LINK_INACTIVE\nPROGRAM_CLOSED: PROGRAM_CLOSED\nPROMOTER_INACTIVE: PROMOTER_INACTIVE\nSELF_REFERRAL: SELF_REFERRAL\nOWN_DOWNLINE: OWN_DOWNLINE\nOUTSIDE_WINDOW: OUTSIDE_WINDOW\nNOT_NEW_CUSTOMER: NOT_NEW_CUSTOMER\nBOUND_TO_OTHER: BOUND_TO_OTHER\nOTHER_PROGRAM: OTHER_PROGRAM\nSUPERSEDED: SUPERSEDED\nNO_RULE: NO_RULE\nCREDITED: CREDITED",
                        enum_type=Verdict,
                        max_length=17,
                    ),
                ),
                ops.AddField(
                    model_name="TouchVerdict",
                    name="promoter",
                    field=fields.ForeignKeyField(
                        "members.Member",
                        source_field="promoter_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="verdicts",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ops.AddIndex(
                    model_name="TouchVerdict",
                    index=Index(fields=["promoter_id", "conversion_id"]),
                ),
                ops.AddConstraint(
                    model_name="TouchVerdict",
                    constraint=UniqueConstraint(
                        fields=("conversion", "program", "touch"), name=None
                    ),
                ),
            ],
            {
                "RewardRule": {"level": "1"},
                "Commission": {"account": "'PENDING'", "available_at": OCCURRED_AT},
                "TouchVerdict": {"promoter_id": OWNER},
            },
        ),
        ops.RunSQL(VERSIONS, ""),
    ]
