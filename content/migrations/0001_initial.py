from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

from content.models import ContentKind, ContentStatus, Dimension
from core.migrating import Together


class Migration(migrations.Migration):
    initial = True
    dependencies = [("members", "0001_initial")]

    operations = [
        Together(
            [
                ops.CreateModel(
                    name="Content",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        ("slug", fields.CharField(unique=True, max_length=100)),
                        (
                            "kind",
                            fields.CharEnumField(
                                description="ARTICLE: ARTICLE\nPOSTER: POSTER\nVIDEO: VIDEO\nCASE: CASE\nBROCHURE: BROCHURE",
                                enum_type=ContentKind,
                                max_length=8,
                            ),
                        ),
                        (
                            "status",
                            fields.CharEnumField(
                                description="DRAFT: DRAFT\nPUBLISHED: PUBLISHED",
                                enum_type=ContentStatus,
                                max_length=9,
                            ),
                        ),
                        ("locale", fields.CharField(max_length=20)),
                        ("title", fields.CharField(max_length=300)),
                        ("summary", fields.TextField(unique=False)),
                        ("body", fields.TextField(unique=False)),
                        (
                            "author",
                            fields.ForeignKeyField(
                                "members.Member",
                                source_field="author_id",
                                null=True,
                                db_constraint=True,
                                to_field="id",
                                related_name="contents",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                        (
                            "published_at",
                            fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                        ),
                        ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                        ("updated_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                    ],
                    options={
                        "table": "content",
                        "app": "content",
                        "indexes": [Index(fields=["status", "published_at", "id"])],
                        "pk_attr": "id",
                        "table_description": "A piece of the library.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="Tag",
                    fields=[
                        (
                            "id",
                            fields.BigIntField(
                                generated=True, primary_key=True, unique=True, db_index=True
                            ),
                        ),
                        (
                            "dimension",
                            fields.CharEnumField(
                                description="PRODUCT: PRODUCT\nCOMPANY: COMPANY\nINDUSTRY: INDUSTRY\nUSER: USER",
                                enum_type=Dimension,
                                max_length=8,
                            ),
                        ),
                        ("slug", fields.CharField(unique=True, max_length=100)),
                        ("name", fields.CharField(max_length=100)),
                    ],
                    options={
                        "table": "tag",
                        "app": "content",
                        "pk_attr": "id",
                        "table_description": "A word that people remember a piece by, in one dimension.",
                    },
                    bases=["Model"],
                ),
                ops.CreateModel(
                    name="ContentTag",
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
                                related_name="content_tags",
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
                                related_name="content_tags",
                                on_delete=OnDelete.RESTRICT,
                            ),
                        ),
                    ],
                    options={
                        "table": "content_tag",
                        "app": "content",
                        "unique_together": (("content", "tag"),),
                        "indexes": [Index(fields=["tag_id"])],
                        "pk_attr": "id",
                        "table_description": "That a piece carries a tag.",
                    },
                    bases=["Model"],
                ),
            ]
        ),
    ]
