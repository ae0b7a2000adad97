"""What contents are listed by, beside where they are in their life: no list reads wide versions."""

from tortoise import fields, migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

from content import shelving
from content.models import Audience
from core import bigrams
from core.migrating import Together

EVERY = "SELECT id FROM content"
FILL = (
    *(statement.format(which=EVERY) for statement in (shelving.LIST, shelving.ADD_SIDES)),
    """
    UPDATE content_tag SET published = c.status = 'PUBLISHED',
        staff = COALESCE(c.audience = 'STAFF', FALSE)
    FROM content c WHERE c.id = content_tag.content_id
    """,
)
# What was never published counts from when it was begun. Titles go by code point on both databases,
# whatever the locale of the server.
PLACES = {
    "published": "COALESCE(published_at, created_at)",
    "updated": "updated_at",
    "title": "title {by_code_point}",
}
OF_READERS = {
    "updated": "published_updated_at",
    "title": "published_title {by_code_point}",
}


async def fill(apps, editor):
    for statement in FILL:
        await editor.client.execute_query(statement)


async def index(apps, editor):
    by_code_point = "" if editor.DIALECT == "sqlite" else 'COLLATE "C"'
    of_status = {f"status_{name}": f"status, {place}" for name, place in PLACES.items()}
    listed = {f"listed_{name}": f"listed, {place}" for name, place in OF_READERS.items()}
    for name, place in (PLACES | of_status | listed).items():
        columns = place.format(by_code_point=by_code_point)
        await editor.client.execute_query(
            f"CREATE INDEX idx_content_{name} ON content ({columns}, id)"
        )
    if editor.DIALECT != "sqlite":
        await editor.client.execute_query(
            bigrams.GRAMS
        )  # the same by now, in a quarter of the time
    # Everything published is listed, and counted, by this one alone.
    await editor.client.execute_query(
        "CREATE INDEX idx_content_listed ON content (listed, published_at, id, audience)"
    )
    await editor.client.execute_query("DROP INDEX idx_content_version_title")


class Migration(migrations.Migration):
    dependencies = [("content", "0004_assets")]

    initial = False

    operations = [
        Together(
            [
                ops.AddField(
                    model_name="Content",
                    name="title",
                    field=fields.CharField(null=True, max_length=300),
                ),
                ops.AddField(
                    model_name="Content",
                    name="updated_at",
                    field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ops.AddField(
                    model_name="Content",
                    name="dimensions",
                    field=fields.SmallIntField(default=0, db_default=0),
                ),
                ops.AddField(
                    model_name="Content",
                    name="published_title",
                    field=fields.CharField(null=True, max_length=300),
                ),
                ops.AddField(
                    model_name="Content",
                    name="published_updated_at",
                    field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ops.AddField(
                    model_name="Content",
                    name="published_dimensions",
                    field=fields.SmallIntField(default=0, db_default=0),
                ),
                ops.AddField(
                    model_name="Content",
                    name="audience",
                    field=fields.CharEnumField(
                        null=True,
                        description="EVERYONE: EVERYONE\nBUYERS: BUYERS\nNON_BUYERS: NON_BUYERS\nSTAFF: STAFF",
                        enum_type=Audience,
                        max_length=10,
                    ),
                ),
                ops.AddField(
                    model_name="Content",
                    name="min_tier_id",
                    field=fields.BigIntField(null=True),
                ),
                ops.AddField(
                    model_name="Content",
                    name="listed",
                    field=fields.BooleanField(default=False, db_default=False),
                ),
                ops.AddField(
                    model_name="ContentTag",
                    name="published",
                    field=fields.BooleanField(db_default=False),
                ),
                ops.AddField(
                    model_name="ContentTag",
                    name="staff",
                    field=fields.BooleanField(db_default=False),
                ),
                ops.RemoveIndex(
                    model_name="Content",
                    name=None,
                    fields=["status", "published_at", "id"],
                ),
                ops.RemoveIndex(
                    model_name="ContentVersion",
                    name=None,
                    fields=["updated_at", "content_id"],
                ),
                ops.RemoveIndex(
                    model_name="ContentTag",
                    name=None,
                    fields=["tag_id", "content_id", "readers", "editors"],
                ),
                ops.AddIndex(
                    model_name="ContentTag",
                    index=Index(
                        fields=["tag_id", "content_id", "readers", "editors", "published", "staff"]
                    ),
                ),
            ]
        ),
        # The index that went is still among the options of the model.
        ops.AlterModelOptions(
            name="ContentTag",
            options={
                "table": "content_tag",
                "app": "content",
                "unique_together": (("content", "tag"),),
                "indexes": [
                    Index(
                        fields=["tag_id", "content_id", "readers", "editors", "published", "staff"]
                    )
                ],
                "pk_attr": "id",
                "table_description": "The index of contents by tag, made from the above: a content is under every tag that it",
            },
        ),
        ops.RunPython(fill),
        ops.RunPython(index),
    ]
