from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("core", "0004_audit")]

    initial = False

    operations = [
        ops.CreateModel(
            name="JobItem",
            fields=[
                (
                    "id",
                    fields.BigIntField(
                        generated=True, primary_key=True, unique=True, db_index=True
                    ),
                ),
                ("job_id", fields.BigIntField()),
                ("place", fields.IntField()),
                ("item", fields.TextField(unique=False)),
            ],
            options={
                "table": "job_item",
                "app": "core",
                "unique_together": (("job_id", "place"),),
                "pk_attr": "id",
                "table_description": "One row that a job was given to work through, until the job has ended.",
            },
            bases=["Model"],
        ),
    ]
