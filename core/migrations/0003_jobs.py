import functools
from json import dumps, loads

from tortoise import fields, migrations
from tortoise.migrations import operations as ops

from core.jobs import JobStatus


class Migration(migrations.Migration):
    dependencies = [("core", "0002_open_rows")]

    initial = False

    operations = [
        ops.CreateModel(
            name="Job",
            fields=[
                (
                    "id",
                    fields.BigIntField(
                        generated=True, primary_key=True, unique=True, db_index=True
                    ),
                ),
                ("kind", fields.CharField(max_length=40)),
                ("subject_id", fields.BigIntField(null=True)),
                (
                    "status",
                    fields.CharEnumField(
                        description="QUEUED: QUEUED\nRUNNING: RUNNING\nDONE: DONE\nFAILED: FAILED",
                        enum_type=JobStatus,
                        max_length=7,
                    ),
                ),
                ("position", fields.BigIntField(default=0)),
                ("done", fields.BigIntField(default=0)),
                ("total", fields.BigIntField(null=True)),
                (
                    "problems",
                    fields.JSONField(
                        default=list,
                        encoder=functools.partial(dumps, separators=(",", ":")),
                        decoder=loads,
                    ),
                ),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "job",
                "app": "core",
                "pk_attr": "id",
                "table_description": "One piece of long work. A worker does it in batches, each in a transaction of its own that",
            },
            bases=["Model"],
        ),
    ]
