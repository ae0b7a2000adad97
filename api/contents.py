"""Lists of contents as the API shows them: what narrows them, their order and their pages."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import argument

from api import access as permission
from api import hot
from api.content import Content
from api.context import Info
from api.errors import Refusal
from api.nodes import After, First, OrderDirection, PageInfo, find_id, page_info
from api.tags import Tag
from content import filters, reading, searching
from content.filters import OrderField, Where
from content.listing import Asked
from content.models import ContentKind, ContentStatus, Dimension, TextField

strawberry.enum(OrderField, name="ContentOrderField", description="What contents are ordered by.")


@strawberry.type(
    description="How many contents of a list are under a tag.", directives=[permission.as_parent()]
)
class TagFacet:
    tag: Tag = strawberry.field(description="The tag, standing for all below it too.")
    count: int = strawberry.field(description="How many; each content once.")


@strawberry.type(
    description="A piece of a text around the first match of the search, as it was written.",
    directives=[permission.as_parent()],
)
class Highlight:
    field: str = strawberry.field(description="`title`, `summary`, `body` or `tags`.")
    text: str = strawberry.field(
        description="Up to 200 characters, or more where the first match is longer; names of tags "
        "are joined by commas."
    )
    ranges: list[list[int]] = strawberry.field(
        description="The matches in `text`: the first character of each, from 0, and the one "
        "behind it, counted in Unicode code points."
    )


@strawberry.type(directives=[permission.as_parent()])
class ContentEdge:
    """A content in a list; where it matched is only looked at when the query selects it."""

    search: strawberry.Private[str | None]
    cursor: str = strawberry.field(description="Goes into `after` to ask for what comes behind.")
    node: Content = strawberry.field(description="The content.")

    @strawberry.field(
        description="Where the search shows, one for each text with a match: title, summary, body "
        "if the viewer may read it, tags. Empty without a search."
    )
    async def highlights(self, info: Info) -> list[Highlight]:
        terms = searching.query(self.search)
        if not terms:
            return []
        text = await self.node.text(info)
        tags = await info.context.load.tags_by_version.load(self.node.piece.version_id)
        texts = {
            TextField.TITLE: self.node.title,
            TextField.SUMMARY: self.node.summary,
            TextField.BODY: text and text.body,
            TextField.TAGS: ", ".join(tag.name for tag in tags),
        }
        return [
            Highlight(
                field=found.field.lower(),
                text=found.text,
                ranges=[[*each] for each in found.ranges],
            )
            for found in searching.highlights(terms, texts)
        ]


@strawberry.type(directives=[permission.as_parent()])
class ContentConnection:
    """One page of contents; counts and facets are only asked for when the query selects them."""

    where: strawberry.Private[Where]
    edges: list[ContentEdge] = strawberry.field(description="The contents with their cursors.")
    page_info: PageInfo = strawberry.field(description="Where the page ends.")

    @classmethod
    async def load(cls, asked: Asked) -> "ContentConnection":
        """The page that is asked for, whatever is selected of it."""
        where = asked.where
        page = await reading.contents(
            *(asked.reader, asked.first, asked.after, asked.last, asked.before),
            where=where,
            order=asked.order,
        )
        return cls(
            where=where,
            edges=[
                ContentEdge(search=where.search, cursor=edge.cursor, node=Content.of(edge.node))
                for edge in page.edges
            ],
            page_info=page_info(page),
        )

    @strawberry.field(description="The contents alone.")
    def nodes(self) -> list[Content]:
        return [edge.node for edge in self.edges]

    @strawberry.field(description="How many contents all pages hold together.")
    async def total_count(self, info: Info) -> int:
        return await reading.count(await info.context.reader(), self.where)

    @strawberry.field(
        description="The tags of one side with how many contents of all the pages are under each, "
        "highest first, then by slug."
    )
    async def facets(
        self,
        info: Info,
        dimension: Annotated[Dimension, argument(description="The side of the brand.")],
        first: First = 20,
    ) -> list[TagFacet]:
        found = await reading.facets(await info.context.reader(), self.where, dimension, first)
        return [TagFacet(tag=Tag.of(facet.tag), count=facet.count) for facet in found]


@strawberry.input(
    description="Tags by slug. A parent tag stands for itself and everything below it; all that "
    "is given holds together."
)
class TagFilter:
    any_of: list[str] | None = strawberry.field(default=None, description="At least one of them.")
    all_of: list[str] | None = strawberry.field(default=None, description="Every one of them.")
    none_of: list[str] | None = strawberry.field(default=None, description="Not one of them.")
    and_: "list[TagFilter] | None" = strawberry.field(
        name="and", default=None, description="These filters hold as well."
    )

    def plain(self) -> filters.TagFilter:
        """The same in the words of the library."""
        return filters.TagFilter(
            any_of=None if self.any_of is None else tuple(self.any_of),
            all_of=tuple(self.all_of or ()),
            none_of=tuple(self.none_of or ()),
            both=tuple(inner.plain() for inner in self.and_ or ()),
        )


@strawberry.input(description="Narrows a list of contents; all that is given holds together.")
class ContentWhere:
    search: str | None = strawberry.field(
        default=None,
        description="In title, summary, names of tags and, where the viewer may read it, body: "
        "each run of Chinese characters as written, traditional or simplified, and each word or "
        "its beginning, in any case and width; all of them must occur, each in some text. At most "
        "200 characters; blanks alone are no search.",
    )
    dimension: Dimension | None = strawberry.field(
        default=None, description="Has at least one tag of this side."
    )
    tags: TagFilter | None = strawberry.field(default=None, description="By its tags.")
    kind: list[ContentKind] | None = strawberry.field(default=None, description="One of these.")
    status: list[ContentStatus] | None = strawberry.field(
        default=None, description="One of these; PUBLISHED where missing, for editors too."
    )
    pending_status: list[ContentStatus] | None = strawberry.field(
        default=None,
        description="Has a newer version beside the published one that is in one of these: what "
        "waits for a reviewer is IN_REVIEW. For editors; others find nothing by it.",
    )
    locale: str | None = strawberry.field(
        default=None, description="Written in this language, whatever the case of its tag."
    )
    published_after: datetime | None = strawberry.field(
        default=None, description="First seen by readers later than this."
    )
    published_before: datetime | None = strawberry.field(
        default=None, description="First seen by readers earlier than this."
    )

    def plain(self) -> Where:
        """The same in the words of the library."""
        statuses = (ContentStatus.PUBLISHED,) if self.status is None else tuple(self.status)
        return Where(
            search=self.search,
            dimension=self.dimension,
            tags=self.tags and self.tags.plain(),
            kinds=None if self.kind is None else tuple(self.kind),
            statuses=statuses,
            pending=None if self.pending_status is None else tuple(self.pending_status),
            locale=self.locale,
            published_after=self.published_after,
            published_before=self.published_before,
        )


@strawberry.input(description="The order of a list of contents; ties go by id.")
class ContentOrder:
    field: OrderField = strawberry.field(description="What it goes by.")
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.DESC, description="Which end comes first."
    )


@strawberry.type
class ContentQuery:
    @strawberry.field(
        description="A content by its id or its slug, an old one too; null where there is none "
        "that the viewer may see.",
        extensions=[permission.EVERYBODY],
    )
    async def content(
        self,
        info: Info,
        id: Annotated[strawberry.ID | None, argument(description="Its id.")] = None,
        slug: Annotated[str | None, argument(description="Or its slug.")] = None,
    ) -> Content | None:
        if (id is None) == (slug is None):
            raise Refusal("Give `id` or `slug`, and not both.")
        if slug is not None:
            piece = await reading.by_slug(await info.context.reader(), slug)
        else:
            number = find_id("Content", id or "")
            piece = None if number is None else await info.context.content(number)
        return piece and Content.of(piece)

    @strawberry.field(
        description="Contents that the viewer may see, newest first, of a search the best first, "
        "unless ordered otherwise: the "
        "first 20, or as many as asked for from either end, at most 100.",
        extensions=[permission.EVERYBODY],
    )
    async def contents(  # noqa: PLR0917 - strawberry calls it by name
        self,
        info: Info,
        where: Annotated[ContentWhere | None, argument(description="Which of them.")] = None,
        order_by: Annotated[ContentOrder | None, argument(description="In which order.")] = None,
        first: Annotated[
            int | None, argument(description="How many from the front, 1 to 100.")
        ] = None,
        after: After = None,
        last: Annotated[
            int | None, argument(description="How many from the end, 1 to 100.")
        ] = None,
        before: Annotated[
            str | None, argument(description="The `startCursor` of the page behind.")
        ] = None,
    ) -> ContentConnection:
        order = None
        if order_by is not None:
            descending = order_by.direction is OrderDirection.DESC
            order = filters.Order(order_by.field, descending)
        wanted = filters.EVERYTHING_PUBLISHED if where is None else where.plain()
        reader = await info.context.reader()
        asked = Asked(reader, first, after, last, before, wanted, order)
        return hot.either(asked, lambda: ContentConnection.load(asked))
