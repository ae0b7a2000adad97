import functools
from json import dumps, loads

from tortoise import fields, migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("core", "0003_jobs")]

    initial = False

    operations = [
        ops.CreateModel(
            name="AuditEntry",
            fields=[
                (
                    "id",
                    fields.BigIntField(
                        generated=True, primary_key=True, unique=True, db_index=True
                    ),
                ),
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("actor_id", fields.BigIntField(null=True)),
                ("action", fields.CharField(max_length=60)),
                ("subject_kind", fields.CharField(max_length=40)),
                ("subject_id", fields.BigIntField()),
                (
                    "detail",
                    fields.JSONField(
                        encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads
                    ),
                ),
            ],
            options={
                "table": "audit_entry",
                "app": "core",
                "indexes": [Index(fields=["subject_kind", "subject_id", "id"])],
                "pk_attr": "id",
                "table_description": "One act of somebody. Never changed.",
            },
            bases=["Model"],
        ),
    ]
