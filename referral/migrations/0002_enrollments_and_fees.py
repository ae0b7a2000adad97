"""Enrolments and fees; what was decided before counts in the metrics as it did."""

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

from core.migrating import MoreValues, Together
from referral.models import ConversionType

# Orders and refunds that were decided: the only facts there were.
FACTS = """
INSERT INTO metric_fact (member_id, metric, conversion_id, at, amount)
SELECT member_id, 'SPEND', id, occurred_at, CASE type WHEN 'ORDER' THEN amount_minor ELSE -amount_minor END
FROM conversion
WHERE member_id IS NOT NULL AND status IN ('CREDITED', 'NOT_CREDITED', 'REVERSED') AND amount_minor > 0
"""
FIRST_ORDERS = """
UPDATE standing SET first_order_at = (
    SELECT MIN(at) FROM metric_fact WHERE metric_fact.member_id = standing.member_id AND amount > 0
)
"""


class Migration(migrations.Migration):
    dependencies = [("members", "0003_sign_in_and_tiers"), ("referral", "0001_initial")]

    initial = False

    operations = [
        ops.CreateModel(
            name="Enrollment",
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
                        related_name="enrollments",
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
                        related_name="enrollments",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "enrollment",
                "app": "referral",
                "unique_together": (("program", "member"),),
                "indexes": [Index(fields=["member_id", "id"])],
                "pk_attr": "id",
                "table_description": "That a member is a promoter of a program.",
            },
            bases=["Model"],
        ),
        ops.AlterModelOptions(
            name="Conversion",
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
                "table_description": "What a shop told or what happened here, and what was decided about it.",
            },
        ),
        Together(
            [
                MoreValues(
                    model_name="Conversion",
                    name="type",
                    field=fields.CharEnumField(
                        description="REGISTRATION: REGISTRATION\nORDER: ORDER\nFEE: FEE\nPROMOTION: PROMOTION\nREFUND: REFUND",
                        enum_type=ConversionType,
                        max_length=12,
                    ),
                ),
                ops.AddField(
                    model_name="Conversion",
                    name="plan",
                    field=fields.CharField(null=True, max_length=40),
                ),
                MoreValues(
                    model_name="RewardRule",
                    name="on",
                    field=fields.CharEnumField(
                        description="REGISTRATION: REGISTRATION\nORDER: ORDER\nFEE: FEE\nPROMOTION: PROMOTION\nREFUND: REFUND",
                        enum_type=ConversionType,
                        max_length=12,
                    ),
                ),
            ]
        ),
        ops.RunSQL(FACTS, ""),
        ops.RunSQL(FIRST_ORDERS, ""),
    ]
