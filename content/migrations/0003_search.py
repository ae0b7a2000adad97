"""Searching contents: what the versions that are shown are found by, those there were before too."""

from itertools import groupby

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.migrations import operations as ops

from content import indexing
from content.models import TextField
from core import bigrams

BATCH_VERSIONS = 100
NEXT = """
SELECT v.id, v.title, v.summary, v.body FROM content_version v JOIN content c ON c.id = v.content_id
WHERE v.id > {} AND v.version IN (c.version, c.published_version) ORDER BY v.id LIMIT {}
"""
NAMES = """
SELECT vt.version_id AS id, t.name FROM version_tag vt JOIN tag t ON t.id = vt.tag_id
WHERE vt.version_id IN ({}) ORDER BY vt.version_id, t.slug
"""
ON_POSTGRES = "INSERT INTO version_text (version_id, field, search) VALUES ($1, $2, $3)"
ON_SQLITE = "INSERT INTO version_text (version_id, field, search) VALUES (?, ?, ?)"


async def fill(apps, editor):
    last, insert = 0, ON_SQLITE if editor.DIALECT == "sqlite" else ON_POSTGRES
    while found := await editor.client.execute_query_dict(NEXT.format(last, BATCH_VERSIONS)):
        rows = [row for version in found for row in indexing.texts(**version)]
        ids = ", ".join(str(version["id"]) for version in found)
        named = await editor.client.execute_query_dict(NAMES.format(ids))
        rows += [
            indexing.names(version_id, (tag["name"] for tag in tags))
            for version_id, tags in groupby(named, key=lambda tag: tag["id"])
        ]
        values = [[row.version_id, row.field.value, row.search] for row in rows]
        await editor.client.execute_many(insert, values)
        last = found[-1]["id"]


async def index(apps, editor):
    if editor.DIALECT == "sqlite":
        await editor.client.execute_query(bigrams.bare_on_sqlite("version_text"))
        return  # which 0007 fills
    for statement in bigrams.on_postgres("version_text"):
        await editor.client.execute_query(statement)


class Migration(migrations.Migration):
    dependencies = [("content", "0002_versions_and_tag_trees"), ("members", "0004_directory")]

    initial = False

    operations = [
        ops.CreateModel(
            name="VersionText",
            fields=[
                (
                    "id",
                    fields.BigIntField(
                        generated=True, primary_key=True, unique=True, db_index=True
                    ),
                ),
                (
                    "version",
                    fields.ForeignKeyField(
                        "content.ContentVersion",
                        source_field="version_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="texts",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "field",
                    fields.CharEnumField(
                        description="TITLE: TITLE\nSUMMARY: SUMMARY\nBODY: BODY\nTAGS: TAGS",
                        enum_type=TextField,
                        max_length=7,
                    ),
                ),
                ("search", fields.TextField(unique=False)),
            ],
            options={
                "table": "version_text",
                "app": "content",
                "unique_together": (("version", "field"),),
                "pk_attr": "id",
                "table_description": "The index by text, made from the above: what the published and the newest version of each",
            },
            bases=["Model"],
        ),
        ops.RunPython(fill),
        ops.RunPython(index),
    ]
