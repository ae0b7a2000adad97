"""Signing in, tiers of several metrics with versions and grants, and long work.

What stood before stays: the tiers become version 1 of the rules, tiers were earned by the rules."""

import functools
from json import dumps, loads

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

from core.migrating import MoreValues, Together
from members.models import ApplicationStatus, DowngradePolicy, TierChangeReason, TierMetric

FIRST_RULES = """
INSERT INTO tier_rules (version, rules, time_zone, published_at)
VALUES (1, $1, 'Asia/Shanghai', CURRENT_TIMESTAMP)
"""


async def keep(apps, editor):
    client = editor.client
    await client.execute_query("UPDATE standing SET earned_tier_id = tier_id")
    tiers = await client.execute_query_dict("SELECT * FROM tier ORDER BY rank")
    if not tiers:
        return
    rules = [
        {
            "code": tier["code"],
            "name": tier["name"],
            "rank": tier["rank"],
            "rule": loads(tier["rule"]) if isinstance(tier["rule"], str) else tier["rule"],
            "requires_approval": False,
            "validity_days": None,
            "grace_days": 0,
            "downgrade": tier["downgrade"],
            "benefits": [],
        }
        for tier in tiers
    ]
    statement = FIRST_RULES if editor.DIALECT != "sqlite" else FIRST_RULES.replace("$1", "?")
    await client.execute_query(statement, [dumps(rules)])
    await client.execute_query("UPDATE tier_change SET rules_version = 1")


class Migration(migrations.Migration):
    dependencies = [("members", "0002_ledger_guards")]

    initial = False

    operations = [
        Together(
            [
                ops.CreateModel(
                    name="ApiKey",
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
                                related_name="api_key",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("name", fields.CharField(max_length=100)),
                        (
                            "sources",
                            fields.JSONField(
                                null=True,
                                encoder=functools.partial(dumps, separators=(",", ":")),
                                decoder=loads,
                            ),
                        ),
                        ("key_hash", fields.CharField(unique=True, max_length=64)),
                        ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                        (
                            "created_by",
                            fields.ForeignKeyField(
                                "members.Member",
                                source_field="created_by_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="keys_made",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "last_used_at",
                            fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                        ),
                        (
                            "revoked_at",
                            fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                        ),
                    ],
                    options={
                        "table": "api_key",
                        "app": "members",
                        "pk_attr": "id",
                        "table_description": "A key of a shop's service, kept only as its SHA-256 in hex. Revoked, never deleted.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="Invitation",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        (
                            "inviter",
                            fields.ForeignKeyField(
                                "members.Member",
                                source_field="inviter_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="invitations",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "invitee",
                            fields.ForeignKeyField(
                                "members.Member",
                                source_field="invitee_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="invited_by",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("registered_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                        (
                            "bought_at",
                            fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                        ),
                        (
                            "promoted_at",
                            fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                        ),
                    ],
                    options={
                        "table": "invitation",
                        "app": "members",
                        "unique_together": (("inviter", "invitee"),),
                        "indexes": [Index(fields=["invitee_id"])],
                        "pk_attr": "id",
                        "table_description": "That a member's registration is attributed to another one, and what became of it.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="MetricFact",
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
                                related_name="facts",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "metric",
                            fields.CharEnumField(
                                description="SPEND: SPEND\nFEE: FEE\nINVITED_REGISTERED: INVITED_REGISTERED\nINVITED_BOUGHT: INVITED_BOUGHT\nINVITED_PROMOTED: INVITED_PROMOTED\nPOINTS_EARNED: POINTS_EARNED",
                                enum_type=TierMetric,
                                max_length=18,
                            ),
                        ),
                        ("conversion_id", fields.BigIntField()),
                        ("plan", fields.CharField(null=True, max_length=40)),
                        ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                        ("amount", fields.BigIntField()),
                    ],
                    options={
                        "table": "metric_fact",
                        "app": "members",
                        "unique_together": (("member", "metric", "conversion_id"),),
                        "pk_attr": "id",
                        "table_description": "What one conversion counts for in a member's metrics, at its own date. Never changed.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="Password",
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
                                related_name="password",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("hash", fields.CharField(max_length=200)),
                        ("set_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                    ],
                    options={
                        "table": "password",
                        "app": "members",
                        "pk_attr": "id",
                        "table_description": "A member's password, kept only as its argon2id hash with the parameters in it.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="SignInFailure",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        ("key", fields.CharField(max_length=64)),
                        ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                    ],
                    options={
                        "table": "sign_in_failure",
                        "app": "members",
                        "indexes": [Index(fields=["key", "at"])],
                        "pk_attr": "id",
                        "table_description": "A failed attempt to sign in, counted against an account or an address.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="TierApplication",
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
                                related_name="tier_applications",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "tier",
                            fields.ForeignKeyField(
                                "members.Tier",
                                source_field="tier_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="applications",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "status",
                            fields.CharEnumField(
                                description="PENDING: PENDING\nAPPROVED: APPROVED\nREJECTED: REJECTED",
                                enum_type=ApplicationStatus,
                                max_length=8,
                            ),
                        ),
                        ("message", fields.CharField(null=True, max_length=1000)),
                        ("note", fields.CharField(null=True, max_length=1000)),
                        ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                        (
                            "decided_at",
                            fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                        ),
                        (
                            "decided_by",
                            fields.ForeignKeyField(
                                "members.Member",
                                source_field="decided_by_id",
                                null=True,
                                db_constraint=True,
                                to_field="id",
                                related_name="tier_decisions",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "lapsed_at",
                            fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                        ),
                        ("standing_key", fields.CharField(null=True, unique=True, max_length=44)),
                    ],
                    options={
                        "table": "tier_application",
                        "app": "members",
                        "indexes": [
                            Index(fields=["status", "id"]),
                            Index(fields=["member_id", "id"]),
                        ],
                        "pk_attr": "id",
                        "table_description": "A member's wish to enter a tier that staff decide about.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="TierRules",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        ("version", fields.IntField(unique=True)),
                        (
                            "rules",
                            fields.JSONField(
                                encoder=functools.partial(dumps, separators=(",", ":")),
                                decoder=loads,
                            ),
                        ),
                        ("time_zone", fields.CharField(max_length=60)),
                        ("published_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                        (
                            "published_by",
                            fields.ForeignKeyField(
                                "members.Member",
                                source_field="published_by_id",
                                null=True,
                                db_constraint=True,
                                to_field="id",
                                related_name="tier_rules",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                    ],
                    options={
                        "table": "tier_rules",
                        "app": "members",
                        "pk_attr": "id",
                        "table_description": "A version of the whole set of tiers as it was published. Never changed.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="WechatIdentity",
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
                                related_name="wechat_identity",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("openid", fields.CharField(unique=True, max_length=64)),
                        ("unionid", fields.CharField(null=True, max_length=64)),
                        ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                    ],
                    options={
                        "table": "wechat_identity",
                        "app": "members",
                        "pk_attr": "id",
                        "table_description": "Who a member is to WeChat: one person of our mini-program. No session key is ever kept.",
                    },
                    bases=["Model"],
                ),
                ops.AddField(
                    model_name="Member",
                    name="avatar_url",
                    field=fields.CharField(null=True, max_length=2000),
                ),
                ops.AddField(
                    model_name="Standing",
                    name="earned_tier",
                    field=fields.ForeignKeyField(
                        "members.Tier",
                        source_field="earned_tier_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="earned",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ops.AddField(
                    model_name="Standing",
                    name="expires_at",
                    field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ops.AddField(
                    model_name="Standing",
                    name="fees_minor",
                    field=fields.BigIntField(default=0, db_default=0),
                ),
                ops.AddField(
                    model_name="Standing",
                    name="first_order_at",
                    field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ops.AddField(
                    model_name="Standing",
                    name="floor_tier",
                    field=fields.ForeignKeyField(
                        "members.Tier",
                        source_field="floor_tier_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="granted",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ops.AddField(
                    model_name="Standing",
                    name="floor_until",
                    field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ops.AddField(
                    model_name="Standing",
                    name="invited_bought",
                    field=fields.BigIntField(default=0, db_default=0),
                ),
                ops.AddField(
                    model_name="Standing",
                    name="invited_promoted",
                    field=fields.BigIntField(default=0, db_default=0),
                ),
                ops.AddField(
                    model_name="Standing",
                    name="invited_registered",
                    field=fields.BigIntField(default=0, db_default=0),
                ),
                ops.AddField(
                    model_name="Standing",
                    name="points_earned",
                    field=fields.BigIntField(default=0, db_default=0),
                ),
                ops.AddField(
                    model_name="Standing",
                    name="review_at",
                    field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ops.AddIndex(
                    model_name="Standing",
                    index=Index(fields=["tier_id", "member_id"]),
                ),
                ops.AddIndex(
                    model_name="Standing",
                    index=Index(fields=["review_at"]),
                ),
                ops.AddIndex(
                    model_name="Standing",
                    index=Index(fields=["floor_tier_id"]),
                ),
            ]
        ),
        ops.AlterModelOptions(
            name="Tier",
            options={
                "table": "tier",
                "app": "members",
                "pk_attr": "id",
                "table_description": "A level of membership, as the current rules have it.",
            },
        ),
        Together(
            [
                MoreValues(
                    model_name="Tier",
                    name="downgrade",
                    field=fields.CharEnumField(
                        description="NEVER: NEVER\nAT_EXPIRY: AT_EXPIRY\nIMMEDIATE: IMMEDIATE",
                        enum_type=DowngradePolicy,
                        max_length=10,
                    ),
                ),
                ops.AddField(
                    model_name="Tier",
                    name="benefits",
                    field=fields.JSONField(
                        default=list,
                        db_default=[],
                        encoder=functools.partial(dumps, separators=(",", ":")),
                        decoder=loads,
                    ),
                ),
                ops.AddField(
                    model_name="Tier",
                    name="grace_days",
                    field=fields.IntField(default=0, db_default=0),
                ),
                ops.AddField(
                    model_name="Tier",
                    name="requires_approval",
                    field=fields.BooleanField(default=False, db_default=False),
                ),
                ops.AddField(
                    model_name="Tier",
                    name="validity_days",
                    field=fields.IntField(null=True),
                ),
                MoreValues(
                    model_name="TierChange",
                    name="reason",
                    field=fields.CharEnumField(
                        description="QUALIFIED: QUALIFIED\nGRANTED: GRANTED\nAPPROVED: APPROVED\nEXPIRED: EXPIRED\nREFUNDED: REFUNDED\nRULES_CHANGED: RULES_CHANGED\nREVOKED: REVOKED",
                        enum_type=TierChangeReason,
                        max_length=15,
                    ),
                ),
                ops.AddField(
                    model_name="TierChange",
                    name="actor",
                    field=fields.ForeignKeyField(
                        "members.Member",
                        source_field="actor_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="tier_acts",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ops.AddField(
                    model_name="TierChange",
                    name="rules_version",
                    field=fields.IntField(default=0, db_default=0),
                ),
            ]
        ),
        ops.RunPython(keep),
    ]
