"""The tables of the library."""

from enum import StrEnum

from tortoise import fields
from tortoise.models import Model


class Dimension(StrEnum):
    """The four sides from which a brand is told."""

    PRODUCT = "PRODUCT"  # value, features, experience, what sets it apart
    COMPANY = "COMPANY"  # values, culture, founder, news, honours
    INDUSTRY = "INDUSTRY"  # state, changes, efforts to change it
    USER = "USER"  # wishes, complaints, how we solve them


class ContentKind(StrEnum):
    """What form a piece has."""

    ARTICLE = "ARTICLE"
    POSTER = "POSTER"
    VIDEO = "VIDEO"
    CASE = "CASE"
    BROCHURE = "BROCHURE"


class ContentStatus(StrEnum):
    """Where a piece is in its life."""

    DRAFT = "DRAFT"  # seen by editors alone
    PUBLISHED = "PUBLISHED"  # seen by readers


class Tag(Model):
    """A word that people remember a piece by, in one dimension."""

    id = fields.BigIntField(primary_key=True)
    dimension = fields.CharEnumField(Dimension, max_length=8)
    slug = fields.CharField(max_length=100, unique=True)
    name = fields.CharField(max_length=100)

    class Meta:
        table = "tag"


class Content(Model):
    """A piece of the library."""

    id = fields.BigIntField(primary_key=True)
    slug = fields.CharField(max_length=100, unique=True)
    kind = fields.CharEnumField(ContentKind, max_length=8)
    status = fields.CharEnumField(ContentStatus, max_length=9)
    locale = fields.CharField(max_length=20)  # BCP 47
    title = fields.CharField(max_length=300)
    summary = fields.TextField()
    body = fields.TextField()  # Markdown
    author = fields.ForeignKeyField(
        "members.Member", related_name="contents", null=True, on_delete=fields.RESTRICT
    )
    author_id: int | None
    published_at = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "content"
        indexes = (("status", "published_at", "id"),)


class ContentTag(Model):
    """That a piece carries a tag."""

    id = fields.BigIntField(primary_key=True)
    content = fields.ForeignKeyField(
        "content.Content", related_name="content_tags", on_delete=fields.RESTRICT
    )
    content_id: int
    tag = fields.ForeignKeyField(
        "content.Tag", related_name="content_tags", on_delete=fields.RESTRICT
    )
    tag_id: int

    class Meta:
        table = "content_tag"
        indexes = (("tag_id",),)
        unique_together = (("content", "tag"),)
