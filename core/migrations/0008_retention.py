"""When a delivery came to its end, and what finds the rows that were kept for long enough."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("core", "0007_idempotency")]

    initial = False

    operations = [
        ops.AddField(
            model_name="WebhookDelivery",
            name="ended_at",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.RunSQL(
            "UPDATE webhook_delivery SET ended_at = COALESCE(delivered_at, created_at)"
            " WHERE next_at IS NULL",
            "",
        ),
        ops.RunSQL(
            "CREATE INDEX webhook_delivery_ended ON webhook_delivery (ended_at)"
            " WHERE ended_at IS NOT NULL",
            "DROP INDEX webhook_delivery_ended",
        ),
        ops.RunSQL(
            "CREATE INDEX outbox_done ON outbox (done_at) WHERE done_at IS NOT NULL",
            "DROP INDEX outbox_done",
        ),
        ops.RunSQL(
            "CREATE INDEX job_ended ON job (ended_at) WHERE ended_at IS NOT NULL",
            "DROP INDEX job_ended",
        ),
        ops.RunSQL(
            "CREATE INDEX kept_answer_expires ON kept_answer (expires_at)",
            "DROP INDEX kept_answer_expires",
        ),
    ]
