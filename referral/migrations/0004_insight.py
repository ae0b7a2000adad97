"""Counters of what came of links; the workers count what there is already."""

from tortoise import fields, migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

from core.migrating import Together

ALREADY_DECIDED = """
INSERT INTO uncounted (conversion_id)
SELECT DISTINCT conversion_id FROM attribution WHERE level = 1
"""


class Migration(migrations.Migration):
    dependencies = [("referral", "0003_programs_bindings_payouts")]

    initial = False

    operations = [
        Together(
            [
                ops.CreateModel(
                    name="Counted",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        ("touch_id", fields.BigIntField()),
                    ],
                    options={
                        "table": "counted",
                        "app": "referral",
                        "pk_attr": "id",
                        "table_description": "How far the touches are counted: one row, none before the first.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="HourCount",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        ("program_id", fields.BigIntField()),
                        ("promoter_id", fields.BigIntField()),
                        ("link_id", fields.BigIntField()),
                        ("hour", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                        ("clicks", fields.BigIntField()),
                        ("visits", fields.BigIntField()),
                        ("bot_hits", fields.BigIntField()),
                        ("registrations", fields.BigIntField()),
                        ("orders", fields.BigIntField()),
                        ("credited", fields.BigIntField()),
                        ("revenue_minor", fields.BigIntField()),
                        ("credited_minor", fields.BigIntField()),
                    ],
                    options={
                        "table": "hour_count",
                        "app": "referral",
                        "unique_together": (("program_id", "hour", "promoter_id", "link_id"),),
                        "indexes": [
                            Index(fields=["link_id", "hour"]),
                            Index(fields=["promoter_id", "program_id", "hour"]),
                        ],
                        "pk_attr": "id",
                        "table_description": "What came through a promoter's link in an hour, or by a binding without one. Derived.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="Outcome",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        ("conversion_id", fields.BigIntField()),
                        ("program_id", fields.BigIntField()),
                        ("promoter_id", fields.BigIntField()),
                        ("link_id", fields.BigIntField()),
                        ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                        ("registrations", fields.SmallIntField()),
                        ("orders", fields.SmallIntField()),
                        ("credited", fields.SmallIntField()),
                        ("revenue_minor", fields.BigIntField()),
                        ("credited_minor", fields.BigIntField()),
                    ],
                    options={
                        "table": "outcome",
                        "app": "referral",
                        "unique_together": (("conversion_id", "program_id", "promoter_id"),),
                        "indexes": [
                            Index(fields=["program_id", "at"]),
                            Index(fields=["promoter_id", "at"]),
                            Index(fields=["link_id", "at"]),
                        ],
                        "pk_attr": "id",
                        "table_description": "What a conversion counts for whoever brought it, as it stands in the counters.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="Uncounted",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        ("conversion_id", fields.BigIntField()),
                    ],
                    options={
                        "table": "uncounted",
                        "app": "referral",
                        "pk_attr": "id",
                        "table_description": "That something about a conversion changed which the counters do not know of yet.",
                    },
                    bases=["Model"],
                ),
            ]
        ),
        ops.RunSQL(ALREADY_DECIDED, ""),
    ]
