import functools
from json import dumps, loads

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

from core.migrating import Together


class Migration(migrations.Migration):
    dependencies = [("core", "0005_job_items")]

    initial = False

    operations = [
        Together(
            [
                ops.CreateModel(
                    name="WebhookEndpoint",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        ("url", fields.CharField(max_length=2000)),
                        (
                            "events",
                            fields.JSONField(
                                encoder=functools.partial(dumps, separators=(",", ":")),
                                decoder=loads,
                            ),
                        ),
                        ("salt", fields.CharField(max_length=32)),
                        ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                        ("disabled_reason", fields.CharField(null=True, max_length=600)),
                        (
                            "deleted_at",
                            fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                        ),
                    ],
                    options={
                        "table": "webhook_endpoint",
                        "app": "core",
                        "pk_attr": "id",
                        "table_description": "An address that is told of some events. Off while `disabled_reason` says why.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="WebhookDelivery",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        (
                            "endpoint",
                            fields.ForeignKeyField(
                                "core.WebhookEndpoint",
                                source_field="endpoint_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="deliveries",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("event", fields.CharField(max_length=60)),
                        ("payload", fields.TextField(unique=False)),
                        ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                        ("attempts", fields.SmallIntField(default=0)),
                        (
                            "next_at",
                            fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                        ),
                        (
                            "delivered_at",
                            fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                        ),
                        ("error", fields.CharField(null=True, max_length=500)),
                    ],
                    options={
                        "table": "webhook_delivery",
                        "app": "core",
                        "indexes": [Index(fields=["endpoint_id", "id"])],
                        "pk_attr": "id",
                        "table_description": "One event for one endpoint. Open while `next_at` is set, given up when neither that nor",
                    },
                    bases=["Model"],
                ),
            ]
        ),
    ]
