"""The library as the API shows it to whoever asks."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import argument

from api import access as permission
from api import hot
from api.context import Info
from api.errors import Refusal
from api.media import Media, absolute
from api.members import Member
from api.nodes import (
    After,
    Connection,
    First,
    Node,
    OrderDirection,
    PageInfo,
    find_id,
    page_info,
    to_id,
)
from api.nodes import connection as connected
from api.sharing import ContentSharing
from api.tags import Tag
from api.tiers import Tier
from content import filters, history, models, reading, searching
from content.filters import OrderField, Where
from content.gate import AccessReason
from content.listing import Asked
from content.models import Audience, ContentKind, ContentStatus, Dimension, TextField
from content.reading import Piece
from core.errors import NotFound
from members.models import Role

strawberry.enum(ContentKind, description="What form a piece has.")
strawberry.enum(ContentStatus, description="Where a piece is in its life.")
strawberry.enum(Audience, description="Whom a piece is for.")
strawberry.enum(AccessReason, description="Whether a body may be read; else what is missing.")
strawberry.enum(OrderField, name="ContentOrderField", description="What contents are ordered by.")


async def tier(info: Info, tier_id: int | None) -> Tier | None:
    """The tier with this id."""
    row = None if tier_id is None else await info.context.load.tier_by_id.load(tier_id)
    return row and Tier.of(row)


async def member(info: Info, member_id: int | None) -> Member | None:
    """The member with this id."""
    row = None if member_id is None else await info.context.load.member_by_id.load(member_id)
    return row and Member.of(row)


@strawberry.type(
    description="Whether the viewer may read the body, and if not, why.",
    directives=[permission.as_parent()],
)
class ContentAccess:
    tier_id: strawberry.Private[int | None]
    reason: AccessReason = strawberry.field(description="The first thing that is missing.")

    @strawberry.field(description="The lowest tier that may read the body, where one is needed.")
    async def required_tier(self, info: Info) -> Tier | None:
        return await tier(info, self.tier_id)


@strawberry.type(
    description="What a content said when it was saved once.", directives=[permission.as_parent()]
)
class ContentVersion:
    row: strawberry.Private[models.ContentVersion]
    version: int = strawberry.field(description="Counts up from 1.")
    title: str = strawberry.field(description="At most 300 characters.")
    summary: str = strawberry.field(description="The teaser.")
    body: str = strawberry.field(description="Markdown.")
    audience: Audience = strawberry.field(description="Whom it was for.")
    saved_at: datetime = strawberry.field(description="When it was saved.")

    @classmethod
    def of(cls, row: models.ContentVersion) -> "ContentVersion":
        return cls(
            row=row,
            version=row.version,
            title=row.title,
            summary=row.summary,
            body=row.body,
            audience=row.audience,
            saved_at=row.saved_at,
        )

    @strawberry.field(description="The picture that goes with the teaser.")
    def cover_url(self, info: Info) -> str | None:
        return absolute(info.context.settings, self.row.cover_url)

    @strawberry.field(description="What it was about, by slug.")
    async def tags(self, info: Info) -> list[Tag]:
        return [Tag.of(row) for row in await info.context.load.tags_by_version.load(self.row.id)]

    @strawberry.field(description="The lowest tier that was to read the body.")
    async def min_tier(self, info: Info) -> Tier | None:
        return await tier(info, self.row.min_tier_id)

    @strawberry.field(description="Who saved it.")
    async def saved_by(self, info: Info) -> Member | None:
        return await member(info, self.row.saved_by_id)


@strawberry.type(
    description="A piece of the library. Readers see its published version, editors the newest.",
    directives=[permission.as_parent()],
)
class Content(ContentSharing, Node):
    piece: strawberry.Private[Piece]
    slug: str = strawberry.field(description="Its name in addresses; unique.")
    kind: ContentKind = strawberry.field(description="What form it has.")
    status: ContentStatus = strawberry.field(description="Where it is in its life.")
    version: int = strawberry.field(description="The newest version; for readers, what they see.")
    published_version: int | None = strawberry.field(description="What readers see.")
    pending_status: ContentStatus | None = strawberry.field(
        description="Of a newer version beside the published one; for editors."
    )
    locale: str = strawberry.field(description="The language it is written in (BCP 47).")
    title: str = strawberry.field(description="At most 300 characters.")
    summary: str = strawberry.field(description="The teaser.")
    share_text: str | None = strawberry.field(description="Ready-made words to go with the link.")
    audience: Audience = strawberry.field(description="Whom it is for.")
    published_at: datetime | None = strawberry.field(description="When readers first saw it.")
    scheduled_at: datetime | None = strawberry.field(
        description="When it, or its newer version, will be published; for editors."
    )
    created_at: datetime = strawberry.field(description="When it was begun.")
    updated_at: datetime = strawberry.field(description="When what is shown last changed.")

    @classmethod
    def of(cls, piece: Piece) -> "Content":
        return cls(
            id=to_id("Content", piece.id),
            piece=piece,
            slug=piece.slug,
            kind=piece.kind,
            status=piece.status,
            version=piece.version,
            published_version=piece.published_version,
            pending_status=piece.pending_status,
            locale=piece.locale,
            title=piece.title,
            summary=piece.summary,
            share_text=piece.share_text,
            audience=piece.audience,
            published_at=piece.published_at,
            scheduled_at=piece.scheduled_at,
            created_at=piece.created_at,
            updated_at=piece.updated_at,
        )

    @strawberry.field(description="The picture that goes with the teaser.")
    def cover_url(self, info: Info) -> str | None:
        return absolute(info.context.settings, self.piece.cover_url)

    async def text(self, info: Info) -> reading.Text | None:
        """The body, if the viewer may read it."""
        if self.piece.access is not AccessReason.GRANTED:
            return None
        return await info.context.load.text_by_version.load(self.piece.version_id)

    @strawberry.field(description="Markdown; null unless `access.reason` is GRANTED.")
    async def body(self, info: Info) -> str | None:
        text = await self.text(info)
        return text and text.body

    @strawberry.field(description="The body as HTML, rendered and sanitised.")
    async def body_html(self, info: Info) -> str | None:
        text = await self.text(info)
        return text and text.html

    @strawberry.field(description="Whether the viewer may read the body.")
    def access(self) -> ContentAccess:
        return ContentAccess(reason=self.piece.access, tier_id=self.piece.min_tier_id)

    @strawberry.field(description="The lowest tier that may read the body.")
    async def min_tier(self, info: Info) -> Tier | None:
        return await tier(info, self.piece.min_tier_id)

    @strawberry.field(description="Its pictures, videos and documents, in order.")
    async def media(self, info: Info) -> list[Media]:
        found = await info.context.load.media_by_version.load(self.piece.version_id)
        return [Media.of(row, info.context.settings) for row in found]

    @strawberry.field(description="What it is about, by slug; of one dimension where given.")
    async def tags(
        self,
        info: Info,
        dimension: Annotated[Dimension | None, argument(description="Of this side alone.")] = None,
    ) -> list[Tag]:
        found = await info.context.load.tags_by_version.load(self.piece.version_id)
        return [Tag.of(tag) for tag in found if dimension in (None, tag.dimension)]

    @strawberry.field(description="Who wrote it.")
    async def author(self, info: Info) -> Member | None:
        return await member(info, self.piece.author_id)

    @strawberry.field(
        description="Why a reviewer sent it back last. Role EDITOR.",
        extensions=[permission.allow(Role.EDITOR)],
    )
    def review_note(self, info: Info) -> str | None:
        return self.piece.review_note

    @strawberry.field(
        description="All that was ever saved, newest first. Role EDITOR.",
        extensions=[permission.allow(Role.EDITOR)],
    )
    async def versions(
        self, info: Info, first: First = 20, after: After = None
    ) -> Connection[ContentVersion]:
        page, total = await history.versions(self.piece.id, first, after)
        return connected(page, ContentVersion.of, total=total)

    @strawberry.field(
        description="What changed between two versions, as a unified diff. Role EDITOR.",
        extensions=[permission.allow(Role.EDITOR)],
    )
    async def diff(
        self,
        info: Info,
        from_: Annotated[int, argument(name="from", description="The older version.")],
        to: Annotated[int, argument(description="The newer version.")],
    ) -> str:
        try:
            return await history.diff(self.piece.id, from_, to)
        except NotFound as mistake:
            raise Refusal(mistake.message) from mistake


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
    locale: str | None = strawberry.field(default=None, description="Written in this language.")
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
