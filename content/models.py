"""The tables of the library."""

from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.models import Model


class Dimension(StrEnum):
    """The four sides from which a brand is told."""

    PRODUCT = "PRODUCT"  # value, features, experience, what sets it apart
    COMPANY = "COMPANY"  # values, culture, founder, news, honours
    INDUSTRY = "INDUSTRY"  # state, changes, efforts to change it
    USER = "USER"  # wishes, complaints, how we solve them


BITS = {Dimension.PRODUCT: 1, Dimension.COMPANY: 2, Dimension.INDUSTRY: 4, Dimension.USER: 8}


class ContentKind(StrEnum):
    """What form a piece has."""

    ARTICLE = "ARTICLE"
    POSTER = "POSTER"
    VIDEO = "VIDEO"
    CASE = "CASE"
    BROCHURE = "BROCHURE"


class ContentStatus(StrEnum):
    """Where a piece is in its life."""

    DRAFT = "DRAFT"  # being written
    IN_REVIEW = "IN_REVIEW"  # waits for a reviewer
    SCHEDULED = "SCHEDULED"  # waits for its time
    PUBLISHED = "PUBLISHED"  # seen by readers
    ARCHIVED = "ARCHIVED"  # was taken away from readers


class Audience(StrEnum):
    """Whom a piece is for."""

    EVERYONE = "EVERYONE"
    BUYERS = "BUYERS"  # net spend above zero
    NON_BUYERS = "NON_BUYERS"  # signed in, and no net spend
    STAFF = "STAFF"  # every human role but MEMBER and KOC; hidden from others


class Tag(Model):
    """A word that people remember a piece by, in one dimension. It may stand below another."""

    id = fields.BigIntField(primary_key=True)
    dimension = fields.CharEnumField(Dimension, max_length=8)
    slug = fields.CharField(max_length=100, unique=True)  # the current one of its `TagSlug`s
    name = fields.CharField(max_length=100)
    name_key = fields.CharField(max_length=300, db_default="")  # `name`, case-folded
    parent = fields.ForeignKeyField(
        "content.Tag", related_name="children", null=True, on_delete=fields.RESTRICT
    )
    parent_id: int | None

    class Meta:
        table = "tag"
        indexes = (("parent_id",), ("dimension", "slug"))


class TagSlug(Model):
    """A slug by which a tag is found: its own, its old ones, and those of tags merged into it."""

    id = fields.BigIntField(primary_key=True)
    slug = fields.CharField(max_length=100, unique=True)
    tag = fields.ForeignKeyField("content.Tag", related_name="slugs", on_delete=fields.RESTRICT)
    tag_id: int

    class Meta:
        table = "tag_slug"
        indexes = (("tag_id",),)


class TagAncestor(Model):
    """That a tag belongs to the subtree of another one. Every tag belongs to its own."""

    id = fields.BigIntField(primary_key=True)
    tag = fields.ForeignKeyField("content.Tag", related_name="above", on_delete=fields.RESTRICT)
    tag_id: int
    ancestor = fields.ForeignKeyField(
        "content.Tag", related_name="below", on_delete=fields.RESTRICT
    )
    ancestor_id: int

    class Meta:
        table = "tag_ancestor"
        unique_together = (("tag", "ancestor"),)
        indexes = (("ancestor_id",),)


class Content(Model):
    """A piece of the library: where it is in its life. What it says is in its versions."""

    id = fields.BigIntField(primary_key=True)
    slug = fields.CharField(max_length=100, unique=True)  # the current one of its `ContentSlug`s
    kind = fields.CharEnumField(ContentKind, max_length=8)
    status = fields.CharEnumField(ContentStatus, max_length=9)
    locale = fields.CharField(max_length=20)  # BCP 47
    version = fields.IntField(default=1, db_default=1)  # the newest, which editors see
    published_version = fields.IntField(null=True)  # what readers see; null unless PUBLISHED
    # Of the newest version beside the published one; null where the two are one.
    pending_status: Any = fields.CharEnumField(ContentStatus, max_length=9, null=True)
    scheduled_at = fields.DatetimeField(null=True)  # of what is SCHEDULED, the newer version too
    review_note: Any = fields.TextField(null=True)  # why it was rejected last
    author = fields.ForeignKeyField(
        "members.Member", related_name="contents", null=True, on_delete=fields.RESTRICT
    )
    author_id: int | None
    published_at = fields.DatetimeField(null=True)  # for the first time
    created_at = fields.DatetimeField()

    # What lists are ordered and narrowed by, made from the versions by `shelving`: a version is
    # too wide a row to go through many. Of the newest version, which editors see …
    title = fields.CharField(max_length=300, null=True)
    updated_at = fields.DatetimeField(null=True)
    dimensions = fields.SmallIntField(default=0, db_default=0)  # the `BITS` of its tags, added up
    # … and of the published one, which readers see; null or 0 without.
    published_title = fields.CharField(max_length=300, null=True)
    published_updated_at = fields.DatetimeField(null=True)
    published_dimensions = fields.SmallIntField(default=0, db_default=0)
    audience: Any = fields.CharEnumField(Audience, max_length=10, null=True)
    min_tier_id = fields.BigIntField(null=True)
    listed = fields.BooleanField(default=False, db_default=False)  # PUBLISHED

    class Meta:
        table = "content"  # its indexes, some over expressions, are made by the migrations


class ContentSlug(Model):
    """A slug by which a content is found: its own and its old ones."""

    id = fields.BigIntField(primary_key=True)
    slug = fields.CharField(max_length=100, unique=True)
    content = fields.ForeignKeyField(
        "content.Content", related_name="slugs", on_delete=fields.RESTRICT
    )
    content_id: int

    class Meta:
        table = "content_slug"
        indexes = (("content_id",),)


class ContentVersion(Model):
    """What a content says, as it was saved once. Only its tags may change later."""

    id = fields.BigIntField(primary_key=True)
    content = fields.ForeignKeyField(
        "content.Content", related_name="versions", on_delete=fields.RESTRICT
    )
    content_id: int
    version = fields.IntField()  # 1, 2, 3 …
    title = fields.CharField(max_length=300)
    summary = fields.TextField()
    body = fields.TextField()  # Markdown
    body_html = fields.TextField()  # the same, rendered and sanitised
    cover_url = fields.CharField(max_length=2000, null=True)
    share_text = fields.TextField(null=True)
    audience = fields.CharEnumField(Audience, max_length=10)
    min_tier = fields.ForeignKeyField(
        "members.Tier", related_name="gated", null=True, on_delete=fields.RESTRICT
    )
    min_tier_id: int | None
    saved_by = fields.ForeignKeyField(
        "members.Member", related_name="saved_versions", null=True, on_delete=fields.RESTRICT
    )
    saved_by_id: int | None
    saved_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()  # when what is shown of it changed: also its status or tags

    class Meta:
        table = "content_version"
        unique_together = (("content", "version"),)
        indexes = (("min_tier_id",),)


class VersionTag(Model):
    """That a version carries a tag."""

    id = fields.BigIntField(primary_key=True)
    version = fields.ForeignKeyField(
        "content.ContentVersion", related_name="version_tags", on_delete=fields.RESTRICT
    )
    version_id: int
    tag = fields.ForeignKeyField(
        "content.Tag", related_name="version_tags", on_delete=fields.RESTRICT
    )
    tag_id: int

    class Meta:
        table = "version_tag"
        unique_together = (("version", "tag"),)
        indexes = (("tag_id",),)


class ContentTag(Model):
    """The index of contents by tag, made from the above: a content is under every tag that it
    carries and under all tags above those, by the published version for readers and by the newest
    one for editors."""

    id = fields.BigIntField(primary_key=True)
    content = fields.ForeignKeyField(
        "content.Content", related_name="content_tags", on_delete=fields.RESTRICT
    )
    content_id: int
    tag = fields.ForeignKeyField(
        "content.Tag", related_name="content_tags", on_delete=fields.RESTRICT
    )
    tag_id: int
    readers = fields.BooleanField(db_default=False)
    editors = fields.BooleanField(db_default=False)
    # Of the content, so that everything published is counted without looking at each.
    published = fields.BooleanField(db_default=False)
    staff = fields.BooleanField(db_default=False)  # published for STAFF

    class Meta:
        table = "content_tag"
        indexes = (("tag_id", "content_id", "readers", "editors", "published", "staff"),)
        unique_together = (("content", "tag"),)


class TextField(StrEnum):
    """Where in a version a text stands."""

    TITLE = "TITLE"
    SUMMARY = "SUMMARY"
    BODY = "BODY"
    TAGS = "TAGS"  # the names of all its tags


class VersionText(Model):
    """The index by text, made from the above: what the published and the newest version of each
    content are found by. Texts that are empty once folded have no row, but titles."""

    id = fields.BigIntField(primary_key=True)
    version = fields.ForeignKeyField(
        "content.ContentVersion", related_name="texts", on_delete=fields.RESTRICT
    )
    version_id: int
    field = fields.CharEnumField(TextField, max_length=7)
    search = fields.TextField()  # as `folding.form` gives it

    class Meta:
        table = "version_text"
        unique_together = (("version", "field"),)


class Media(Model):
    """A picture, a video or a document that contents show.

    What we keep is named by the digest of what was uploaded. Who did, and when, is in the audit
    trail.
    """

    id = fields.BigIntField(primary_key=True)
    url = fields.CharField(max_length=2000)  # of what we keep a path, such as /assets/NAME
    mime = fields.CharField(max_length=100)
    width = fields.IntField(null=True)  # pixels
    height = fields.IntField(null=True)  # pixels
    duration_ms = fields.IntField(null=True)
    key = fields.CharField(max_length=64, null=True, unique=True)  # SHA-256 of the upload
    size_bytes = fields.IntField(null=True)  # of what we keep, without its variants
    widths: Any = fields.JSONField(null=True)  # of its smaller variants, in pixels, ascending

    class Meta:
        table = "media"


class VersionMedia(Model):
    """That a version shows a medium, and at which place among its media."""

    id = fields.BigIntField(primary_key=True)
    version = fields.ForeignKeyField(
        "content.ContentVersion", related_name="version_media", on_delete=fields.RESTRICT
    )
    version_id: int
    media = fields.ForeignKeyField(
        "content.Media", related_name="version_media", on_delete=fields.RESTRICT
    )
    media_id: int
    place = fields.SmallIntField()  # 0, 1, 2 …

    class Meta:
        table = "version_media"
        unique_together = (("version", "place"),)
        indexes = (("media_id",),)
