"""Versions, trees of tags, slugs that go on working, and media.

What stood before stays: each content becomes its own first version, with its tags."""

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

from content import rendering
from content.models import Audience, ContentStatus
from core.migrating import DropField, MoreValues, Together

FILL = (
    # Only the demo wrote contents so far: its slugs are folded already.
    "UPDATE content SET published_version = 1 WHERE status = 'PUBLISHED'",
    "INSERT INTO content_slug (slug, content_id) SELECT slug, id FROM content",
    "INSERT INTO tag_slug (slug, tag_id) SELECT slug, id FROM tag",
    "INSERT INTO tag_ancestor (tag_id, ancestor_id) SELECT id, id FROM tag",
    """
    INSERT INTO content_version (content_id, version, title, summary, body, body_html, audience,
        saved_by_id, saved_at, updated_at)
    SELECT id, 1, title, summary, body, '', 'EVERYONE', author_id, updated_at, updated_at
    FROM content
    """,
    """
    INSERT INTO version_tag (version_id, tag_id)
    SELECT v.id, t.tag_id FROM content_tag t JOIN content_version v ON v.content_id = t.content_id
    """,
    "UPDATE content_tag SET editors = TRUE",
    """
    UPDATE content_tag SET readers = TRUE
    WHERE content_id IN (SELECT id FROM content WHERE status = 'PUBLISHED')
    """,
)
NAME_KEY = "UPDATE tag SET name_key = $1 WHERE id = $2"
BODY_HTML = "UPDATE content_version SET body_html = $1 WHERE id = $2"


async def keep(apps, editor):
    client = editor.client
    for statement in FILL:
        await client.execute_query(statement)
    for row in await client.execute_query_dict("SELECT id, name FROM tag"):
        await _set(editor, NAME_KEY, row["name"].casefold(), row["id"])
    for row in await client.execute_query_dict("SELECT id, body FROM content_version"):
        await _set(editor, BODY_HTML, rendering.html(row["body"]), row["id"])


async def _set(editor, statement, *values):
    if editor.DIALECT == "sqlite":
        statement = statement.replace("$1", "?").replace("$2", "?")
    await editor.client.execute_query(statement, [*values])


async def index_titles(apps, editor):
    """Titles are listed by code point on both databases, whatever the locale of the server."""
    title = "title" if editor.DIALECT == "sqlite" else 'title COLLATE "C"'
    await editor.client.execute_query(
        f"CREATE INDEX idx_content_version_title ON content_version ({title}, content_id)"
    )


class Migration(migrations.Migration):
    dependencies = [
        ("content", "0001_initial"),
        ("members", "0001_initial"),
        ("members", "0002_ledger_guards"),
        ("members", "0003_sign_in_and_tiers"),
    ]

    initial = False

    operations = [
        Together(
            [
                ops.CreateModel(
                    name="ContentSlug",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        ("slug", fields.CharField(unique=True, max_length=100)),
                        (
                            "content",
                            fields.ForeignKeyField(
                                "content.Content",
                                source_field="content_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="slugs",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                    ],
                    options={
                        "table": "content_slug",
                        "app": "content",
                        "indexes": [Index(fields=["content_id"])],
                        "pk_attr": "id",
                        "table_description": "A slug by which a content is found: its own and its old ones.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="ContentVersion",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        (
                            "content",
                            fields.ForeignKeyField(
                                "content.Content",
                                source_field="content_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="versions",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("version", fields.IntField()),
                        ("title", fields.CharField(max_length=300)),
                        ("summary", fields.TextField(unique=False)),
                        ("body", fields.TextField(unique=False)),
                        ("body_html", fields.TextField(unique=False)),
                        ("cover_url", fields.CharField(null=True, max_length=2000)),
                        ("share_text", fields.TextField(null=True, unique=False)),
                        (
                            "audience",
                            fields.CharEnumField(
                                description="EVERYONE: EVERYONE\nBUYERS: BUYERS\nNON_BUYERS: NON_BUYERS\nSTAFF: STAFF",
                                enum_type=Audience,
                                max_length=10,
                            ),
                        ),
                        (
                            "min_tier",
                            fields.ForeignKeyField(
                                "members.Tier",
                                source_field="min_tier_id",
                                null=True,
                                db_constraint=True,
                                to_field="id",
                                related_name="gated",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "saved_by",
                            fields.ForeignKeyField(
                                "members.Member",
                                source_field="saved_by_id",
                                null=True,
                                db_constraint=True,
                                to_field="id",
                                related_name="saved_versions",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("saved_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                        ("updated_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                    ],
                    options={
                        "table": "content_version",
                        "app": "content",
                        "unique_together": (("content", "version"),),
                        "indexes": [
                            Index(fields=["updated_at", "content_id"]),
                            Index(fields=["min_tier_id"]),
                        ],
                        "pk_attr": "id",
                        "table_description": "What a content says, as it was saved once. Only its tags may change later.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="Media",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        ("url", fields.CharField(max_length=2000)),
                        ("mime", fields.CharField(max_length=100)),
                        ("width", fields.IntField(null=True)),
                        ("height", fields.IntField(null=True)),
                        ("duration_ms", fields.IntField(null=True)),
                    ],
                    options={
                        "table": "media",
                        "app": "content",
                        "pk_attr": "id",
                        "table_description": "A picture, a video or a document that contents show.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="TagAncestor",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        (
                            "tag",
                            fields.ForeignKeyField(
                                "content.Tag",
                                source_field="tag_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="above",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "ancestor",
                            fields.ForeignKeyField(
                                "content.Tag",
                                source_field="ancestor_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="below",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                    ],
                    options={
                        "table": "tag_ancestor",
                        "app": "content",
                        "unique_together": (("tag", "ancestor"),),
                        "indexes": [Index(fields=["ancestor_id"])],
                        "pk_attr": "id",
                        "table_description": "That a tag belongs to the subtree of another one. Every tag belongs to its own.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="TagSlug",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        ("slug", fields.CharField(unique=True, max_length=100)),
                        (
                            "tag",
                            fields.ForeignKeyField(
                                "content.Tag",
                                source_field="tag_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="slugs",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                    ],
                    options={
                        "table": "tag_slug",
                        "app": "content",
                        "indexes": [Index(fields=["tag_id"])],
                        "pk_attr": "id",
                        "table_description": "A slug by which a tag is found: its own, its old ones, and those of tags merged into it.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="VersionMedia",
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
                                related_name="version_media",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "media",
                            fields.ForeignKeyField(
                                "content.Media",
                                source_field="media_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="version_media",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        ("place", fields.SmallIntField()),
                    ],
                    options={
                        "table": "version_media",
                        "app": "content",
                        "unique_together": (("version", "place"),),
                        "indexes": [Index(fields=["media_id"])],
                        "pk_attr": "id",
                        "table_description": "That a version shows a medium, and at which place among its media.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="VersionTag",
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
                                related_name="version_tags",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "tag",
                            fields.ForeignKeyField(
                                "content.Tag",
                                source_field="tag_id",
                                db_constraint=True,
                                to_field="id",
                                related_name="version_tags",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                    ],
                    options={
                        "table": "version_tag",
                        "app": "content",
                        "unique_together": (("version", "tag"),),
                        "indexes": [Index(fields=["tag_id"])],
                        "pk_attr": "id",
                        "table_description": "That a version carries a tag.",
                    },
                    bases=["Model"],
                ),
            ]
        ),
        ops.AlterModelOptions(
            name="Content",
            options={
                "table": "content",
                "app": "content",
                "indexes": [Index(fields=["status", "published_at", "id"])],
                "pk_attr": "id",
                "table_description": "A piece of the library: where it is in its life. What it says is in its versions.",
            },
        ),
        Together(
            [
                MoreValues(
                    model_name="Content",
                    name="status",
                    field=fields.CharEnumField(
                        description="DRAFT: DRAFT\nIN_REVIEW: IN_REVIEW\nSCHEDULED: SCHEDULED\nPUBLISHED: PUBLISHED\nARCHIVED: ARCHIVED",
                        enum_type=ContentStatus,
                        max_length=9,
                    ),
                ),
                ops.AddField(
                    model_name="Content",
                    name="pending_status",
                    field=fields.CharEnumField(
                        null=True,
                        description="DRAFT: DRAFT\nIN_REVIEW: IN_REVIEW\nSCHEDULED: SCHEDULED\nPUBLISHED: PUBLISHED\nARCHIVED: ARCHIVED",
                        enum_type=ContentStatus,
                        max_length=9,
                    ),
                ),
                ops.AddField(
                    model_name="Content",
                    name="published_version",
                    field=fields.IntField(null=True),
                ),
                ops.AddField(
                    model_name="Content",
                    name="review_note",
                    field=fields.TextField(null=True, unique=False),
                ),
                ops.AddField(
                    model_name="Content",
                    name="scheduled_at",
                    field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ops.AddField(
                    model_name="Content",
                    name="version",
                    field=fields.IntField(default=1, db_default=1),
                ),
                ops.RemoveIndex(
                    model_name="ContentTag",
                    name=None,
                    fields=["tag_id"],
                ),
            ]
        ),
        ops.AlterModelOptions(
            name="ContentTag",
            options={
                "table": "content_tag",
                "app": "content",
                "unique_together": (("content", "tag"),),
                "indexes": [Index(fields=["tag_id", "content_id", "readers", "editors"])],
                "pk_attr": "id",
                "table_description": "The index of contents by tag, made from the above: a content is under every tag that it",
            },
        ),
        Together(
            [
                ops.AddField(
                    model_name="ContentTag",
                    name="editors",
                    field=fields.BooleanField(db_default=False),
                ),
                ops.AddField(
                    model_name="ContentTag",
                    name="readers",
                    field=fields.BooleanField(db_default=False),
                ),
                ops.AddIndex(
                    model_name="ContentTag",
                    index=Index(fields=["tag_id", "content_id", "readers", "editors"]),
                ),
            ]
        ),
        ops.AlterModelOptions(
            name="Tag",
            options={
                "table": "tag",
                "app": "content",
                "indexes": [Index(fields=["parent_id"]), Index(fields=["dimension", "slug"])],
                "pk_attr": "id",
                "table_description": "A word that people remember a piece by, in one dimension. It may stand below another.",
            },
        ),
        Together(
            [
                ops.AddField(
                    model_name="Tag",
                    name="name_key",
                    field=fields.CharField(db_default="", max_length=300),
                ),
                ops.AddField(
                    model_name="Tag",
                    name="parent",
                    field=fields.ForeignKeyField(
                        "content.Tag",
                        source_field="parent_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="children",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ops.AddIndex(
                    model_name="Tag",
                    index=Index(fields=["parent_id"]),
                ),
                ops.AddIndex(
                    model_name="Tag",
                    index=Index(fields=["dimension", "slug"]),
                ),
            ]
        ),
        ops.RunPython(keep),
        DropField(model_name="Content", name="body"),
        DropField(model_name="Content", name="summary"),
        DropField(model_name="Content", name="title"),
        DropField(model_name="Content", name="updated_at"),
        ops.RunPython(index_titles),
    ]
