"""Keeps looking for open work quick however much was done: the indexes hold open rows alone."""

from tortoise import migrations
from tortoise.migrations import operations as ops

OPEN = "WHERE done_at IS NULL AND dead_at IS NULL"


class Migration(migrations.Migration):
    dependencies = [("core", "0001_initial")]

    operations = [
        ops.RunSQL(
            f"CREATE INDEX outbox_open ON outbox (topic, id) {OPEN}", "DROP INDEX outbox_open"
        ),
        ops.RunSQL(
            f"CREATE INDEX outbox_tried ON outbox (topic, id) {OPEN} AND attempts > 0",
            "DROP INDEX outbox_tried",
        ),
        ops.RunSQL(
            f"CREATE INDEX outbox_later ON outbox (topic, available_at) {OPEN} AND attempts = 0",
            "DROP INDEX outbox_later",
        ),
        ops.RunSQL(
            "CREATE INDEX outbox_dead ON outbox (id) WHERE dead_at IS NOT NULL",
            "DROP INDEX outbox_dead",
        ),
    ]
