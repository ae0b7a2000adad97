"""Finding members by a piece of their name, e-mail or phone, and listing those of a role."""

import json

from tortoise import fields, migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

from core import bigrams
from core.migrating import Together
from members.directory import search_text

BATCH_MEMBERS = 1_000
NEXT = "SELECT id, display_name, email, phone FROM member WHERE id > {} ORDER BY id LIMIT {}"
ON_POSTGRES = """
UPDATE member SET search = filled.value
FROM json_each_text($1::json) AS filled WHERE member.id = filled.key::bigint
"""
ON_SQLITE = """
UPDATE member SET search = filled.value
FROM json_each(?1) AS filled WHERE member.id = CAST(filled.key AS integer)
"""


async def fill(apps, editor):
    last, update = 0, ON_SQLITE if editor.DIALECT == "sqlite" else ON_POSTGRES
    while rows := await editor.client.execute_query_dict(NEXT.format(last, BATCH_MEMBERS)):
        texts = {
            row["id"]: search_text(row["display_name"], row["email"], row["phone"]) for row in rows
        }
        await editor.client.execute_query(update, [json.dumps(texts)])
        last = rows[-1]["id"]


async def index(apps, editor):
    on_sqlite = editor.DIALECT == "sqlite"
    for statement in (bigrams.on_sqlite if on_sqlite else bigrams.on_postgres)("member"):
        await editor.client.execute_query(statement)


class Migration(migrations.Migration):
    dependencies = [("members", "0003_sign_in_and_tiers")]

    initial = False

    operations = [
        Together(
            [
                ops.AddField(
                    model_name="Member",
                    name="search",
                    field=fields.TextField(default="", db_default="", unique=False),
                ),
                ops.AddIndex(model_name="MemberRole", index=Index(fields=["role", "member_id"])),
            ]
        ),
        ops.RunPython(fill),
        ops.RunPython(index),
    ]
