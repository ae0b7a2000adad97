"""Tags as the API shows them: trees in four dimensions."""

from typing import Annotated

import strawberry
from strawberry import argument

from api import access
from api.context import Info
from api.nodes import After, Connection, First, Node, connection, to_id
from content import models, tags
from content.models import Dimension

strawberry.enum(Dimension, description="The four sides from which a brand is told.")


@strawberry.type(
    description="A word that people remember a piece by, in one dimension.",
    directives=[access.as_parent()],
)
class Tag(Node):
    row: strawberry.Private[models.Tag]
    dimension: Dimension = strawberry.field(description="The side of the brand it tells of.")
    slug: str = strawberry.field(description="Its name in addresses and filters; unique.")
    name: str = strawberry.field(description="Its name for people; at most 100 characters.")

    @classmethod
    def of(cls, row: models.Tag) -> "Tag":
        return cls(
            id=to_id("Tag", row.id),
            row=row,
            dimension=row.dimension,
            slug=row.slug,
            name=row.name,
        )

    @strawberry.field(description="The tag right above it; null at the root of a tree.")
    async def parent(self, info: Info) -> "Tag | None":
        if self.row.parent_id is None:
            return None
        row = await info.context.load.tag_by_id.load(self.row.parent_id)
        return row and Tag.of(row)

    @strawberry.field(description="The tags right below it, by slug.")
    async def children(self, info: Info) -> list["Tag"]:
        rows = await info.context.load.children_by_tag.load(self.row.id)
        return [Tag.of(row) for row in rows]

    @strawberry.field(
        description="How many published contents the viewer can list under it and all below it."
    )
    async def content_count(self, info: Info) -> int:
        key = (await info.context.reader(), self.row.id)
        return await info.context.load.count_by_reader_and_tag.load(key)


@strawberry.type
class TagQuery:
    @strawberry.field(
        description="The tags by slug, those at a root and those below alike.",
        extensions=[access.EVERYBODY],
    )
    async def tags(
        self,
        dimension: Annotated[Dimension | None, argument(description="Of this side alone.")] = None,
        search: Annotated[
            str | None,
            argument(description="Occurs in the slug or the name, whatever its case."),
        ] = None,
        first: First = 50,
        after: After = None,
    ) -> Connection[Tag]:
        page, total = await tags.page(dimension, search, first, after)
        return connection(page, Tag.of, total=total)
