"""Cases of risk with what they are about, and how far was looked: from here on."""

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

from core.migrating import Rebuild, Together

# What was credited before is not looked at: much of it was paid out.
FROM_HERE = """
INSERT INTO looked (attribution_id, verdict_id)
SELECT (SELECT COALESCE(MAX(id), 0) FROM attribution),
    (SELECT COALESCE(MAX(id), 0) FROM touch_verdict)
"""


class Migration(migrations.Migration):
    dependencies = [("members", "0005_payees_and_kinds"), ("referral", "0004_insight")]

    initial = False

    operations = [
        Rebuild(
            ["RiskCase"],
            [
                ops.RemoveField(model_name="RiskCase", name="conversion"),
                ops.RemoveField(model_name="RiskCase", name="program"),
                ops.AddField(
                    model_name="RiskCase",
                    name="conversion_id",
                    field=fields.BigIntField(null=True),
                ),
            ],
            {},
        ),
        Together(
            [
                ops.CreateModel(
                    name="Looked",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        ("attribution_id", fields.BigIntField()),
                        ("verdict_id", fields.BigIntField()),
                    ],
                    options={
                        "table": "looked",
                        "app": "referral",
                        "pk_attr": "id",
                        "table_description": "How far the rules of risk have looked: one row, none before the first. See `looking`.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="RiskItem",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        (
                            "case",
                            fields.ForeignKeyField(
                                "referral.RiskCase",
                                source_field="case_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="items",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("conversion_id", fields.BigIntField()),
                        ("commission_id", fields.BigIntField(null=True)),
                    ],
                    options={
                        "table": "risk_item",
                        "app": "referral",
                        "unique_together": (("case", "commission_id"),),
                        "indexes": [
                            Index(fields=["conversion_id"]),
                            Index(fields=["commission_id"]),
                        ],
                        "pk_attr": "id",
                        "table_description": "That a case is about a conversion, and about a commission of it that is held while the case",
                    },
                    bases=["Model"],
                ),
                ops.AddIndex(model_name="Conversion", index=Index(fields=["type", "occurred_at"])),
            ]
        ),
        ops.RunSQL(FROM_HERE, ""),
    ]
