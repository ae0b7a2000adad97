from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name="OutboxMessage",
            fields=[
                (
                    "id",
                    fields.BigIntField(
                        generated=True, primary_key=True, unique=True, db_index=True
                    ),
                ),
                ("topic", fields.CharField(max_length=40)),
                ("subject_id", fields.BigIntField()),
                ("lane", fields.CharField(max_length=200)),
                ("available_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("attempts", fields.SmallIntField(default=0)),
                ("lease", fields.CharField(null=True, max_length=32)),
                ("done_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("dead_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("error", fields.TextField(null=True, unique=False)),
            ],
            options={
                "table": "outbox",
                "app": "core",
                "pk_attr": "id",
                "table_description": "One piece of work. Open while `done_at` and `dead_at` are both null.",
            },
            bases=["Model"],
        ),
    ]
