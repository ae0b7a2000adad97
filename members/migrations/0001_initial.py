from json import loads

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.fields.data import JSON_DUMPS
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

from core.migrating import Together
from members.models import Account, Asset, DowngradePolicy, EntryKind, Role, TierChangeReason


class Migration(migrations.Migration):
    initial = True

    operations = [
        Together(
            [
                ops.CreateModel(
                    name="Member",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        ("display_name", fields.CharField(max_length=100)),
                        ("email", fields.CharField(null=True, max_length=254)),
                        ("email_key", fields.CharField(null=True, unique=True, max_length=254)),
                        ("phone", fields.CharField(null=True, max_length=32)),
                        ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                    ],
                    options={
                        "table": "member",
                        "app": "members",
                        "pk_attr": "id",
                        "table_description": "Somebody with an account: customer, promoter, staff or a shop's service.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="CustomerRef",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        (
                            "member",
                            fields.ForeignKeyField(
                                "members.Member",
                                source_field="member_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="customer_refs",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("source", fields.CharField(max_length=40)),
                        ("ref", fields.CharField(max_length=100)),
                    ],
                    options={
                        "table": "customer_ref",
                        "app": "members",
                        "unique_together": (("source", "ref"),),
                        "pk_attr": "id",
                        "table_description": "A shop's own name for one of our members.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="LedgerAccount",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        ("key", fields.CharField(unique=True, max_length=80)),
                        ("program_id", fields.BigIntField()),
                        (
                            "member",
                            fields.ForeignKeyField(
                                "members.Member",
                                source_field="member_id",
                                null=True,
                                db_constraint=True,
                                to_field="id",
                                related_name="accounts",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "asset",
                            fields.CharEnumField(
                                description="CASH: CASH\nPOINTS: POINTS",
                                enum_type=Asset,
                                max_length=6,
                            ),
                        ),
                        (
                            "account",
                            fields.CharEnumField(
                                null=True,
                                description="PENDING: PENDING\nAVAILABLE: AVAILABLE\nHELD: HELD\nPAID: PAID",
                                enum_type=Account,
                                max_length=9,
                            ),
                        ),
                        ("balance", fields.BigIntField(default=0)),
                    ],
                    options={
                        "table": "ledger_account",
                        "app": "members",
                        "indexes": [Index(fields=["member_id"])],
                        "pk_attr": "id",
                        "table_description": "A balance in one asset: a member's with one program, or the counter-account of the program.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="LedgerTransfer",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        ("key", fields.CharField(unique=True, max_length=160)),
                        (
                            "kind",
                            fields.CharEnumField(
                                description="ACCRUE: ACCRUE\nREVERSE: REVERSE",
                                enum_type=EntryKind,
                                max_length=13,
                            ),
                        ),
                        (
                            "from_account",
                            fields.ForeignKeyField(
                                "members.LedgerAccount",
                                source_field="from_account_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="outgoing",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "to_account",
                            fields.ForeignKeyField(
                                "members.LedgerAccount",
                                source_field="to_account_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="incoming",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("amount", fields.BigIntField()),
                        ("conversion_id", fields.BigIntField(null=True)),
                        ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                    ],
                    options={
                        "table": "ledger_transfer",
                        "app": "members",
                        "indexes": [Index(fields=["conversion_id"])],
                        "pk_attr": "id",
                        "table_description": "A movement of an amount between two accounts. Append-only, by a trigger of the database.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="LedgerEntry",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        (
                            "transfer",
                            fields.ForeignKeyField(
                                "members.LedgerTransfer",
                                source_field="transfer_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="entries",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "account",
                            fields.ForeignKeyField(
                                "members.LedgerAccount",
                                source_field="account_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="entries",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("amount", fields.BigIntField()),
                    ],
                    options={
                        "table": "ledger_entry",
                        "app": "members",
                        "unique_together": (("transfer", "account"),),
                        "indexes": [Index(fields=["account_id", "id"])],
                        "pk_attr": "id",
                        "table_description": "One side of a transfer. Written by the database itself when the transfer is inserted.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="MemberRole",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        (
                            "member",
                            fields.ForeignKeyField(
                                "members.Member",
                                source_field="member_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="roles",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "role",
                            fields.CharEnumField(
                                description="MEMBER: MEMBER\nKOC: KOC\nEMPLOYEE: EMPLOYEE\nEDITOR: EDITOR\nREVIEWER: REVIEWER\nOPERATOR: OPERATOR\nFINANCE: FINANCE\nADMIN: ADMIN\nSERVICE: SERVICE",
                                enum_type=Role,
                                max_length=10,
                            ),
                        ),
                    ],
                    options={
                        "table": "member_role",
                        "app": "members",
                        "unique_together": (("member", "role"),),
                        "pk_attr": "id",
                        "table_description": "A role that a member has. MEMBER is everybody's and is not stored.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="Session",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        (
                            "member",
                            fields.ForeignKeyField(
                                "members.Member",
                                source_field="member_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="sessions",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("token_hash", fields.CharField(unique=True, max_length=64)),
                        ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                        ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                    ],
                    options={
                        "table": "session",
                        "app": "members",
                        "pk_attr": "id",
                        "table_description": "A bearer token, kept only as its SHA-256 in hex.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="Tier",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        ("code", fields.CharField(unique=True, max_length=40)),
                        ("name", fields.CharField(max_length=100)),
                        ("rank", fields.IntField(unique=True)),
                        ("rule", fields.JSONField(encoder=JSON_DUMPS, decoder=loads)),
                        (
                            "downgrade",
                            fields.CharEnumField(
                                description="NEVER: NEVER\nIMMEDIATE: IMMEDIATE",
                                enum_type=DowngradePolicy,
                                max_length=10,
                            ),
                        ),
                    ],
                    options={
                        "table": "tier",
                        "app": "members",
                        "pk_attr": "id",
                        "table_description": "A level of membership and the threshold at which it is entered.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="Standing",
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
                                related_name="standing",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("spend_minor", fields.BigIntField(default=0)),
                        (
                            "tier",
                            fields.ForeignKeyField(
                                "members.Tier",
                                source_field="tier_id",
                                null=True,
                                db_constraint=True,
                                to_field="id",
                                related_name="standings",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                    ],
                    options={
                        "table": "standing",
                        "app": "members",
                        "pk_attr": "id",
                        "table_description": "Where a member stands: metrics and tier in one row, written by whoever books a fact.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="TierChange",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        (
                            "member",
                            fields.ForeignKeyField(
                                "members.Member",
                                source_field="member_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="tier_changes",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                        (
                            "from_tier",
                            fields.ForeignKeyField(
                                "members.Tier",
                                source_field="from_tier_id",
                                null=True,
                                db_constraint=True,
                                to_field="id",
                                related_name="left",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "to_tier",
                            fields.ForeignKeyField(
                                "members.Tier",
                                source_field="to_tier_id",
                                null=True,
                                db_constraint=True,
                                to_field="id",
                                related_name="entered",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "reason",
                            fields.CharEnumField(
                                description="QUALIFIED: QUALIFIED\nREFUNDED: REFUNDED",
                                enum_type=TierChangeReason,
                                max_length=15,
                            ),
                        ),
                        ("metrics", fields.JSONField(encoder=JSON_DUMPS, decoder=loads)),
                    ],
                    options={
                        "table": "tier_change",
                        "app": "members",
                        "indexes": [Index(fields=["member_id", "id"])],
                        "pk_attr": "id",
                        "table_description": "One move of a member from tier to tier, with the metrics as they stood. Never changed.",
                    },
                    bases=["Model"],
                ),
            ]
        ),
    ]
