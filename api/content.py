"""A content as the API shows it to whoever asks."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import argument

from api import access as permission
from api.context import Info
from api.errors import Refusal
from api.media import Media, absolute
from api.members import Member
from api.nodes import (
    After,
    Connection,
    First,
    Node,
    to_id,
)
from api.nodes import connection as connected
from api.sharing import ContentSharing
from api.tags import Tag
from api.tiers import Tier
from content import history, models, reading
from content.gate import AccessReason
from content.models import Audience, ContentKind, ContentStatus, Dimension
from content.reading import Piece
from core.errors import Mistake
from members.models import Role

strawberry.enum(ContentKind, description="What form a piece has.")
strawberry.enum(ContentStatus, description="Where a piece is in its life.")
strawberry.enum(Audience, description="Whom a piece is for.")
strawberry.enum(AccessReason, description="Whether a body may be read; else what is missing.")


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
        except Mistake as mistake:
            raise Refusal(mistake.message) from mistake
