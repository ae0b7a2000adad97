"""Files that we keep ourselves: what each was made of, and in which sizes it is there."""

import functools
from json import dumps, loads

from tortoise import fields, migrations
from tortoise.migrations import operations as ops

from core.migrating import Together


class Migration(migrations.Migration):
    dependencies = [("content", "0003_search")]

    initial = False

    operations = [
        Together(
            [
                ops.AddField(
                    model_name="Media",
                    name="key",
                    field=fields.CharField(null=True, unique=True, max_length=64),
                ),
                ops.AddField(
                    model_name="Media", name="size_bytes", field=fields.IntField(null=True)
                ),
                ops.AddField(
                    model_name="Media",
                    name="widths",
                    field=fields.JSONField(
                        null=True,
                        encoder=functools.partial(dumps, separators=(",", ":")),
                        decoder=loads,
                    ),
                ),
            ]
        ),
    ]
