from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("core", "0006_webhooks")]

    initial = False

    operations = [
        ops.CreateModel(
            name="KeptAnswer",
            fields=[
                (
                    "id",
                    fields.BigIntField(
                        generated=True, primary_key=True, unique=True, db_index=True
                    ),
                ),
                ("key_hash", fields.CharField(unique=True, max_length=64)),
                ("input_hash", fields.CharField(max_length=64)),
                ("answer", fields.TextField(unique=False)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "kept_answer",
                "app": "core",
                "pk_attr": "id",
                "table_description": "What one idempotency key stands for. Its answer is sealed by the API.",
            },
            bases=["Model"],
        ),
    ]
