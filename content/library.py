"""Owns writing the library: tags and pieces."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from content.models import Content, ContentKind, ContentStatus, ContentTag, Dimension, Tag
from core import database


@dataclass(frozen=True, slots=True)
class NewTag:
    """A tag to be made."""

    dimension: Dimension
    slug: str
    name: str


@dataclass(frozen=True, slots=True)
class NewPiece:
    """A piece to be published at once; `tags` are slugs of tags that exist."""

    slug: str
    kind: ContentKind
    locale: str
    title: str
    summary: str
    body: str
    tags: Sequence[str]


@database.unit_of_work
async def fill(
    tags: Sequence[NewTag], pieces: Sequence[tuple[NewPiece, datetime]], author_id: int
) -> None:
    """Publishes the pieces of an empty library, each at its instant; all of them or none."""
    ids: dict[str, int] = {}
    for tag in tags:
        row = await Tag.create(dimension=tag.dimension, slug=tag.slug, name=tag.name)
        ids[tag.slug] = row.id
    for piece, at in pieces:
        content = await Content.create(
            slug=piece.slug,
            kind=piece.kind,
            status=ContentStatus.PUBLISHED,
            locale=piece.locale,
            title=piece.title,
            summary=piece.summary,
            body=piece.body,
            author_id=author_id,
            published_at=at,
            created_at=at,
            updated_at=at,
        )
        await ContentTag.bulk_create(
            ContentTag(content_id=content.id, tag_id=ids[slug]) for slug in piece.tags
        )
