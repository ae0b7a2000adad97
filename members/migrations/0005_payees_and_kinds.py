"""Payees, and every kind of movement of the ledger."""

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

from core.migrating import MoreValues, Together
from members.models import EntryKind


class Migration(migrations.Migration):
    dependencies = [("members", "0004_directory")]

    initial = False

    operations = [
        Together(
            [
                ops.CreateModel(
                    name="Payee",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        (
                            "member",
                            fields.OneToOneField(
                                "members.Member",
                                source_field="member_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="payee",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("sealed", fields.TextField(unique=False)),
                        ("fingerprint", fields.CharField(max_length=64)),
                        ("updated_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                    ],
                    options={
                        "table": "payee",
                        "app": "members",
                        "indexes": [Index(fields=["fingerprint"])],
                        "pk_attr": "id",
                        "table_description": "Where a member wants to be paid, encrypted.",
                    },
                    bases=["Model"],
                ),
                MoreValues(
                    model_name="LedgerTransfer",
                    name="kind",
                    field=fields.CharEnumField(
                        description="ACCRUE: ACCRUE\nRELEASE: RELEASE\nHOLD: HOLD\nUNHOLD: UNHOLD\nREVERSE: REVERSE\nPAYOUT: PAYOUT\nPAYOUT_FAILED: PAYOUT_FAILED\nADJUST: ADJUST",
                        enum_type=EntryKind,
                        max_length=13,
                    ),
                ),
                ops.AddField(
                    model_name="LedgerTransfer",
                    name="memo",
                    field=fields.CharField(null=True, max_length=300),
                ),
                ops.AddField(
                    model_name="LedgerTransfer",
                    name="payout_id",
                    field=fields.BigIntField(null=True),
                ),
            ]
        ),
    ]
