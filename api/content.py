"""The library as the API shows it."""

from datetime import datetime
from typing import Annotated

import strawberry

from api import access
from api.context import Info
from api.members import Member
from api.nodes import After, Connection, Node, connection, to_id
from content import models, reading
from content.models import ContentKind, ContentStatus, Dimension

USUAL_PAGE = 20

strawberry.enum(Dimension, description="The four sides from which a brand is told.")
strawberry.enum(ContentKind, description="What form a piece has.")
strawberry.enum(ContentStatus, description="Where a piece is in its life.")


@strawberry.type(
    description="A word that people remember a piece by, in one dimension.",
    directives=[access.as_parent()],
)
class Tag(Node):
    dimension: Dimension = strawberry.field(description="The side of the brand it tells of.")
    slug: str = strawberry.field(description="Its name in addresses and filters; unique.")
    name: str = strawberry.field(description="Its name for people.")

    @classmethod
    def of(cls, row: models.Tag) -> "Tag":
        return cls(id=to_id("Tag", row.id), dimension=row.dimension, slug=row.slug, name=row.name)


@strawberry.type(description="A piece of the library.", directives=[access.as_parent()])
class Content(Node):
    row: strawberry.Private[models.Content]
    slug: str = strawberry.field(description="Its name in addresses; unique.")
    kind: ContentKind = strawberry.field(description="What form it has.")
    status: ContentStatus = strawberry.field(description="Where it is in its life.")
    locale: str = strawberry.field(description="The language it is written in (BCP 47).")
    title: str = strawberry.field(description="At most 300 characters.")
    summary: str = strawberry.field(description="The teaser.")
    body: str | None = strawberry.field(description="Markdown.")
    published_at: datetime | None = strawberry.field(description="When readers first saw it.")
    created_at: datetime = strawberry.field(description="When it was begun.")
    updated_at: datetime = strawberry.field(description="When it was last changed.")

    @classmethod
    def of(cls, row: models.Content) -> "Content":
        return cls(
            id=to_id("Content", row.id),
            row=row,
            slug=row.slug,
            kind=row.kind,
            status=row.status,
            locale=row.locale,
            title=row.title,
            summary=row.summary,
            body=row.body,
            published_at=row.published_at,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )

    @strawberry.field(description="What it is about, by slug; of one dimension where given.")
    async def tags(
        self,
        info: Info,
        dimension: Annotated[
            Dimension | None, strawberry.argument(description="Of this side alone.")
        ] = None,
    ) -> list[Tag]:
        tags = await info.context.load.tags_by_content.load(self.row.id)
        return [Tag.of(tag) for tag in tags if dimension in (None, tag.dimension)]

    @strawberry.field(description="Who wrote it.")
    async def author(self, info: Info) -> Member | None:
        if self.row.author_id is None:
            return None
        row = await info.context.load.member_by_id.load(self.row.author_id)
        return row and Member.of(row)


@strawberry.type
class ContentQuery:
    @strawberry.field(
        description="Published pieces, newest first, 1 to 100 a page.",
        extensions=[access.EVERYBODY],
    )
    async def contents(
        self,
        info: Info,
        first: Annotated[
            int | None, strawberry.argument(description="How many at most, 1 to 100; else 20.")
        ] = None,
        after: After = None,
    ) -> Connection[Content]:
        page = await reading.contents(USUAL_PAGE if first is None else first, after)
        return connection(page, Content.of, total=reading.count)
