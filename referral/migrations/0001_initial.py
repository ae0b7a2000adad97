from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

from core.migrating import Together
from members.models import Asset
from referral.models import ConversionStatus, ConversionType, Verdict


class Migration(migrations.Migration):
    initial = True
    dependencies = [("members", "0001_initial")]

    operations = [
        Together(
            [
                ops.CreateModel(
                    name="Conversion",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        (
                            "type",
                            fields.CharEnumField(
                                description="ORDER: ORDER\nREFUND: REFUND",
                                enum_type=ConversionType,
                                max_length=12,
                            ),
                        ),
                        ("source", fields.CharField(max_length=40)),
                        ("external_id", fields.CharField(max_length=100)),
                        ("figures", fields.CharField(max_length=64)),
                        (
                            "member",
                            fields.ForeignKeyField(
                                "members.Member",
                                source_field="member_id",
                                null=True,
                                db_constraint=True,
                                to_field="id",
                                related_name="conversions",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("customer_ref", fields.CharField(null=True, max_length=100)),
                        ("order_external_id", fields.CharField(null=True, max_length=100)),
                        (
                            "order",
                            fields.ForeignKeyField(
                                "referral.Conversion",
                                source_field="order_id",
                                null=True,
                                db_constraint=True,
                                to_field="id",
                                related_name="refunds",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("amount_minor", fields.BigIntField()),
                        ("refunded_minor", fields.BigIntField(default=0)),
                        ("occurred_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                        ("recorded_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                        (
                            "recorded_by",
                            fields.ForeignKeyField(
                                "members.Member",
                                source_field="recorded_by_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="recorded",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "status",
                            fields.CharEnumField(
                                description="PENDING: PENDING\nPARKED: PARKED\nCREDITED: CREDITED\nNOT_CREDITED: NOT_CREDITED\nREVERSED: REVERSED",
                                enum_type=ConversionStatus,
                                max_length=12,
                            ),
                        ),
                    ],
                    options={
                        "table": "conversion",
                        "app": "referral",
                        "unique_together": (("type", "source", "external_id"),),
                        "indexes": [
                            Index(fields=["source", "order_external_id"]),
                            Index(fields=["source", "customer_ref"]),
                            Index(fields=["member_id", "id"]),
                            Index(fields=["order_id"]),
                        ],
                        "pk_attr": "id",
                        "table_description": "An order or a refund as a shop told it, and what was decided about it.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="Program",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        ("code", fields.CharField(unique=True, max_length=40)),
                        ("name", fields.CharField(max_length=100)),
                        ("window_days", fields.IntField()),
                        ("currency", fields.CharField(max_length=3)),
                        ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                    ],
                    options={
                        "table": "program",
                        "app": "referral",
                        "pk_attr": "id",
                        "table_description": "Terms under which links earn.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="Link",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        ("code", fields.CharField(unique=True, max_length=9)),
                        (
                            "owner",
                            fields.ForeignKeyField(
                                "members.Member",
                                source_field="owner_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="links",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "program",
                            fields.ForeignKeyField(
                                "referral.Program",
                                source_field="program_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="links",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("content_id", fields.BigIntField(null=True)),
                        ("target_url", fields.CharField(null=True, max_length=2000)),
                        ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                    ],
                    options={
                        "table": "link",
                        "app": "referral",
                        "indexes": [Index(fields=["owner_id", "id"])],
                        "pk_attr": "id",
                        "table_description": "A promoter's entrance: leads to a content of the library or to an address.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="Attribution",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        (
                            "conversion",
                            fields.ForeignKeyField(
                                "referral.Conversion",
                                source_field="conversion_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="attributions",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "program",
                            fields.ForeignKeyField(
                                "referral.Program",
                                source_field="program_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="attributions",
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
                                related_name="attributions",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "link",
                            fields.ForeignKeyField(
                                "referral.Link",
                                source_field="link_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="attributions",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("level", fields.SmallIntField()),
                        ("weight_ppm", fields.IntField()),
                    ],
                    options={
                        "table": "attribution",
                        "app": "referral",
                        "unique_together": (("conversion", "program", "promoter", "level"),),
                        "pk_attr": "id",
                        "table_description": "Who brought a conversion, in parts per million of it.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="RewardRule",
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
                                related_name="rules",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("version", fields.IntField()),
                        (
                            "on",
                            fields.CharEnumField(
                                description="ORDER: ORDER\nREFUND: REFUND",
                                enum_type=ConversionType,
                                max_length=12,
                            ),
                        ),
                        (
                            "asset",
                            fields.CharEnumField(
                                description="CASH: CASH\nPOINTS: POINTS",
                                enum_type=Asset,
                                max_length=6,
                            ),
                        ),
                        ("rate_bps", fields.IntField()),
                    ],
                    options={
                        "table": "reward_rule",
                        "app": "referral",
                        "unique_together": (("program", "version", "on", "asset"),),
                        "pk_attr": "id",
                        "table_description": "What a program pays for a kind of conversion. Never changed: a new rate is a new version.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="Commission",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        (
                            "conversion",
                            fields.ForeignKeyField(
                                "referral.Conversion",
                                source_field="conversion_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="commissions",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "program",
                            fields.ForeignKeyField(
                                "referral.Program",
                                source_field="program_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="commissions",
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
                                related_name="commissions",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "rule",
                            fields.ForeignKeyField(
                                "referral.RewardRule",
                                source_field="rule_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="commissions",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("level", fields.SmallIntField()),
                        (
                            "asset",
                            fields.CharEnumField(
                                description="CASH: CASH\nPOINTS: POINTS",
                                enum_type=Asset,
                                max_length=6,
                            ),
                        ),
                        ("rate_bps", fields.IntField()),
                        ("amount", fields.BigIntField()),
                        ("reversed", fields.BigIntField(default=0)),
                    ],
                    options={
                        "table": "commission",
                        "app": "referral",
                        "unique_together": (
                            ("conversion", "program", "promoter", "level", "asset"),
                        ),
                        "pk_attr": "id",
                        "table_description": "What a promoter gets for a conversion, at the rate of its day.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="Touch",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        (
                            "link",
                            fields.ForeignKeyField(
                                "referral.Link",
                                source_field="link_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="touches",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("visitor", fields.CharField(max_length=64)),
                        ("touched_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                        ("bot_reason", fields.CharField(null=True, max_length=100)),
                    ],
                    options={
                        "table": "touch",
                        "app": "referral",
                        "indexes": [Index(fields=["visitor"])],
                        "pk_attr": "id",
                        "table_description": "One click on a link. Never changed, never deleted.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="TouchVerdict",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        (
                            "conversion",
                            fields.ForeignKeyField(
                                "referral.Conversion",
                                source_field="conversion_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="verdicts",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "program",
                            fields.ForeignKeyField(
                                "referral.Program",
                                source_field="program_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="verdicts",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "touch",
                            fields.ForeignKeyField(
                                "referral.Touch",
                                source_field="touch_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="verdicts",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "verdict",
                            fields.CharEnumField(
                                description="BOT: BOT\nSELF_REFERRAL: SELF_REFERRAL\nOUTSIDE_WINDOW: OUTSIDE_WINDOW\nOTHER_PROGRAM: OTHER_PROGRAM\nSUPERSEDED: SUPERSEDED\nNO_RULE: NO_RULE\nCREDITED: CREDITED",
                                enum_type=Verdict,
                                max_length=17,
                            ),
                        ),
                        ("detail", fields.CharField(max_length=200)),
                    ],
                    options={
                        "table": "touch_verdict",
                        "app": "referral",
                        "unique_together": (("conversion", "touch"),),
                        "pk_attr": "id",
                        "table_description": "What was decided about one touch for one conversion. Never changed.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="Visitor",
                    fields=[
                        (
                            "id",
                            fields.CharField(
                                primary_key=True, unique=True, db_index=True, max_length=64
                            ),
                        ),
                        (
                            "member",
                            fields.ForeignKeyField(
                                "members.Member",
                                source_field="member_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="visitors",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("joined_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                    ],
                    options={
                        "table": "visitor",
                        "app": "referral",
                        "indexes": [Index(fields=["member_id"])],
                        "pk_attr": "id",
                        "table_description": "Whose a visitor is, once somebody has presented it. An unknown visitor has no row.",
                    },
                    bases=["Model"],
                ),
            ]
        ),
    ]
