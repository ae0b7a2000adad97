"""Writing the library, as the API offers it to editors and reviewers."""

from datetime import datetime
from typing import Annotated, Any, cast

import strawberry
from strawberry import UNSET, argument

from api import access
from api.content import Content
from api.context import Info
from api.errors import UserError, mistakes_to
from api.media import relative
from api.nodes import from_id
from api.settings import Settings
from api.tags import Tag
from content import library, lifecycle, models, reading, tagging
from content.drafts import Given
from content.errors import LimitExceeded
from content.library import NewContent
from content.models import Audience, ContentKind, Dimension
from content.planting import NewTag
from content.tagging import MOST_CONTENTS, TagChanges
from core.errors import Required
from members.models import Role

EDITORS = frozenset({Role.EDITOR})
REVIEWERS = frozenset({Role.REVIEWER})

Id = Annotated[strawberry.ID, argument(description="The content.")]
Expected = Annotated[
    int,
    argument(
        description="The newest version that you know of; STALE_VERSION, and nothing written, "
        "when there is a newer one."
    ),
]


@strawberry.input(description="A tag to be made.")
class TagCreateInput:
    dimension: Dimension = strawberry.field(description="The side of the brand it tells of.")
    slug: str = strawberry.field(
        description="Unique among all tags, old slugs included; at most 100 characters of any "
        "script. Case is folded, outer blanks go, inner ones become `-`."
    )
    name: str = strawberry.field(description="Its name for people; at most 100 characters.")
    parent: str | None = strawberry.field(
        default=None, description="The slug of the tag above it, of the same side."
    )


@strawberry.input(description="A content to be begun, as a DRAFT.")
class ContentCreateInput:
    slug: str = strawberry.field(
        description="Unique among all contents, old slugs included; at most 100 characters of any "
        "script. Case is folded, outer blanks go, inner ones become `-`."
    )
    kind: ContentKind = strawberry.field(
        default=ContentKind.ARTICLE, description="What form it has."
    )
    locale: str = strawberry.field(
        default="zh-CN", description="The language it is written in (BCP 47)."
    )
    title: str = strawberry.field(description="At most 300 characters.")
    summary: str = strawberry.field(default="", description="The teaser; at most 2,000 characters.")
    body: str = strawberry.field(
        default="", description="Markdown without HTML; at most 500,000 characters."
    )
    cover_url: str | None = strawberry.field(
        default=None, description="The picture that goes with the teaser."
    )
    media: list[strawberry.ID] = strawberry.field(
        default_factory=list, description="Its pictures, videos and documents, in order."
    )
    share_text: str | None = strawberry.field(
        default=None, description="Ready-made words to go with the link; at most 2,000 characters."
    )
    tags: list[str] = strawberry.field(
        default_factory=list, description="Slugs of tags, at most 100."
    )
    min_tier: str | None = strawberry.field(
        default=None, description="The code of the lowest tier that may read the body."
    )
    audience: Audience = strawberry.field(default=Audience.EVERYONE, description="Whom it is for.")


@strawberry.input(
    description="What is saved of a content; what is missing stays as it is, and null empties it "
    "where it can be empty."
)
class ContentUpdateInput:
    id: strawberry.ID = strawberry.field(description="The content.")
    expected_version: int = strawberry.field(
        description="The newest version that you know of; STALE_VERSION, and nothing written, "
        "when there is a newer one."
    )
    slug: str | None = strawberry.field(
        default=UNSET, description="Holds at once; the old one goes on working."
    )
    title: str | None = strawberry.field(default=UNSET, description="At most 300 characters.")
    summary: str | None = strawberry.field(
        default=UNSET, description="The teaser; at most 2,000 characters."
    )
    body: str | None = strawberry.field(
        default=UNSET, description="Markdown without HTML; at most 500,000 characters."
    )
    cover_url: str | None = strawberry.field(
        default=UNSET, description="The picture that goes with the teaser; null takes it away."
    )
    media: list[strawberry.ID] | None = strawberry.field(
        default=UNSET, description="Its pictures, videos and documents, in order."
    )
    share_text: str | None = strawberry.field(
        default=UNSET, description="Words to go with the link; null takes them away."
    )
    tags: list[str] | None = strawberry.field(
        default=UNSET, description="Slugs of tags, at most 100."
    )
    min_tier: str | None = strawberry.field(
        default=UNSET,
        description="The code of the lowest tier that may read the body; null opens it to all.",
    )
    audience: Audience | None = strawberry.field(default=UNSET, description="Whom it is for.")


@strawberry.type(description="A tag that was written.", directives=[access.as_parent()])
class TagPayload:
    tag: Tag | None = strawberry.field(default=None, description="As it is now.")
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="What has to be corrected; empty when it worked."
    )


@strawberry.type(description="A content that was written.", directives=[access.as_parent()])
class ContentPayload:
    content: Content | None = strawberry.field(default=None, description="As it is now.")
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="What has to be corrected; empty when it worked."
    )


@strawberry.type(description="Contents that were written.", directives=[access.as_parent()])
class ContentsPayload:
    contents: list[Content] = strawberry.field(
        default_factory=list, description="As they are now, in the order asked for."
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="What has to be corrected; empty when it worked."
    )


_EMPTIED = {"cover_url", "share_text", "min_tier"}
_SAVED = [
    "title",
    "summary",
    "body",
    "cover_url",
    "media",
    "share_text",
    "tags",
    "min_tier",
    "audience",
]  # as `content.drafts.Given` names them


def _given(input: Any, settings: Settings) -> Given:
    """What the input gives of a version; raises `Required` for a null that cannot be."""
    given: dict[str, Any] = {}
    for name in _SAVED:
        value = getattr(input, name)
        if value is UNSET:
            continue
        if value is None and name not in _EMPTIED:
            raise Required("This cannot be null; leave it out to keep it as it is.", name)
        given[name] = value
    if "media" in given:
        given["media"] = [from_id("Media", id, "media") for id in given["media"]]
    if given.get("cover_url"):
        given["cover_url"] = relative(settings, given["cover_url"])
    return cast("Given", given)


def _slug(slug: str | None) -> str | None:
    if slug is None:
        raise Required("This cannot be null; leave it out to keep it as it is.", "slug")
    return None if slug is UNSET else slug


async def _written(info: Info, content_id: int) -> ContentPayload:
    """The content as it is now."""
    info.context.forget()
    piece = await info.context.content(content_id)
    return ContentPayload(content=piece and Content.of(piece))


def _tag_written(info: Info, row: models.Tag) -> TagPayload:
    info.context.forget()
    return TagPayload(tag=Tag.of(row))


def _in_content(errors: list[UserError]) -> ContentPayload:
    return ContentPayload(errors=errors)


def _in_tag(errors: list[UserError]) -> TagPayload:
    return TagPayload(errors=errors)


@strawberry.type
class TaggingMutation:
    @strawberry.mutation(
        description="Makes a tag. Role EDITOR.", extensions=[access.allow(Role.EDITOR)]
    )
    @mistakes_to(_in_tag)
    async def tag_create(
        self, info: Info, input: Annotated[TagCreateInput, argument(description="The tag.")]
    ) -> TagPayload:
        editor = info.context.signed_in()
        new = NewTag(input.dimension, input.slug, input.name, input.parent)
        row = await tagging.create(new, editor.member_id, info.context.now)
        return _tag_written(info, row)

    @strawberry.mutation(
        description="Renames a tag, or moves it with all that is below it; the old slug goes on "
        "working. Holds at once. Role EDITOR.",
        extensions=[access.allow(Role.EDITOR)],
    )
    @mistakes_to(_in_tag)
    async def tag_update(
        self,
        info: Info,
        slug: Annotated[str, argument(description="The tag, by any slug it ever had.")],
        name: Annotated[str | None, argument(description="Its new name for people.")] = None,
        new_slug: Annotated[str | None, argument(description="Its new slug.")] = None,
        parent: Annotated[
            str | None,
            argument(description="The slug of the tag above it; null makes it a root."),
        ] = UNSET,
    ) -> TagPayload:
        editor = info.context.signed_in()
        changes = TagChanges()
        if name is not None:
            changes["name"] = name
        if new_slug is not None:
            changes["slug"] = new_slug
        if parent is not UNSET:
            changes["parent"] = parent
        row = await tagging.update(slug, changes, editor.member_id, info.context.now)
        return _tag_written(info, row)

    @strawberry.mutation(
        description="Puts all contents, children and slugs of one tag under another one of the "
        "same side; the first one is no more. Holds at once. Role EDITOR.",
        extensions=[access.allow(Role.EDITOR)],
    )
    @mistakes_to(_in_tag)
    async def tag_merge(
        self,
        info: Info,
        from_: Annotated[str, argument(name="from", description="The tag that goes.")],
        into: Annotated[str, argument(description="The tag that stays.")],
    ) -> TagPayload:
        editor = info.context.signed_in()
        row = await tagging.merge(from_, into, editor.member_id, info.context.now)
        return _tag_written(info, row)

    @strawberry.mutation(
        description="Puts tags on up to 100 contents and takes others off, at once and without a "
        "new version; all of it or nothing. Role EDITOR.",
        extensions=[access.allow(Role.EDITOR)],
    )
    @mistakes_to(lambda errors: ContentsPayload(errors=errors))
    async def contents_tag(
        self,
        info: Info,
        ids: Annotated[list[strawberry.ID], argument(description="The contents.")],
        add: Annotated[list[str], argument(description="Slugs of tags to put on.")] = [],  # noqa: B006 - read by the schema alone
        remove: Annotated[list[str], argument(description="Slugs of tags to take off.")] = [],  # noqa: B006
    ) -> ContentsPayload:
        editor = info.context.signed_in()
        if len(ids) > MOST_CONTENTS:
            raise LimitExceeded(len(ids), MOST_CONTENTS, "ids")
        numbers = [from_id("Content", id, "ids") for id in ids]
        await tagging.tag_contents(numbers, add, remove, editor.member_id, info.context.now)
        info.context.forget()
        found = await reading.by_ids(await info.context.reader(), numbers)
        return ContentsPayload(contents=[Content.of(found[number]) for number in numbers])


@strawberry.type
class EditingMutation:
    @strawberry.mutation(
        description="Begins a content as a DRAFT. Role EDITOR.",
        extensions=[access.allow(Role.EDITOR)],
    )
    @mistakes_to(_in_content)
    async def content_create(
        self,
        info: Info,
        input: Annotated[ContentCreateInput, argument(description="The content.")],
    ) -> ContentPayload:
        editor = info.context.signed_in()
        new = NewContent(input.slug, input.kind, input.locale)
        given = _given(input, info.context.settings)
        made = await library.create(new, given, editor.member_id, info.context.now)
        return await _written(info, made)

    @strawberry.mutation(
        description="Saves a newer version, of a published content beside the published one. Not "
        "while it is SCHEDULED: unschedule it first. Role EDITOR.",
        extensions=[access.allow(Role.EDITOR)],
    )
    @mistakes_to(_in_content)
    async def content_update(
        self,
        info: Info,
        input: Annotated[ContentUpdateInput, argument(description="What is saved.")],
    ) -> ContentPayload:
        editor = info.context.signed_in()
        number = from_id("Content", input.id, "id")
        given, slug = _given(input, info.context.settings), _slug(input.slug)
        await library.update(
            number,
            input.expected_version,
            given,
            editor.member_id,
            info.context.now,
            slug=slug,
        )
        return await _written(info, number)

    @strawberry.mutation(
        description="Saves what an old version says, with its tags, as the newest. Role EDITOR.",
        extensions=[access.allow(Role.EDITOR)],
    )
    @mistakes_to(_in_content)
    async def content_restore_version(
        self,
        info: Info,
        id: Id,
        version: Annotated[int, argument(description="The version to go back to.")],
        expected_version: Expected,
    ) -> ContentPayload:
        editor = info.context.signed_in()
        number = from_id("Content", id, "id")
        await library.restore(number, version, expected_version, editor.member_id, info.context.now)
        return await _written(info, number)


@strawberry.type
class LifecycleMutation:
    @strawberry.mutation(
        description="DRAFT to IN_REVIEW. Role EDITOR.", extensions=[access.allow(Role.EDITOR)]
    )
    @mistakes_to(_in_content)
    async def content_submit(self, info: Info, id: Id) -> ContentPayload:
        editor = info.context.signed_in()
        number = from_id("Content", id, "id")
        await lifecycle.submit(number, editor.member_id, info.context.now)
        return await _written(info, number)

    @strawberry.mutation(
        description="IN_REVIEW to DRAFT. Role REVIEWER.", extensions=[access.allow(Role.REVIEWER)]
    )
    @mistakes_to(_in_content)
    async def content_reject(
        self,
        info: Info,
        id: Id,
        note: Annotated[
            str, argument(description="What is to be changed; at most 2,000 characters.")
        ],
    ) -> ContentPayload:
        reviewer = info.context.signed_in()
        number = from_id("Content", id, "id")
        await lifecycle.reject(number, note, reviewer.member_id, info.context.now)
        return await _written(info, number)

    @strawberry.mutation(
        description="DRAFT or IN_REVIEW to PUBLISHED, or to SCHEDULED until `at`. Role REVIEWER.",
        extensions=[access.allow(Role.REVIEWER)],
    )
    @mistakes_to(_in_content)
    async def content_publish(
        self,
        info: Info,
        id: Id,
        expected_version: Expected,
        at: Annotated[
            datetime | None, argument(description="A time to come; at once if missing or past.")
        ] = None,
    ) -> ContentPayload:
        reviewer = info.context.signed_in()
        number = from_id("Content", id, "id")
        now = info.context.now
        await lifecycle.publish(number, expected_version, at, reviewer.member_id, now)
        return await _written(info, number)

    @strawberry.mutation(
        description="SCHEDULED to DRAFT. Role REVIEWER.", extensions=[access.allow(Role.REVIEWER)]
    )
    @mistakes_to(_in_content)
    async def content_unschedule(self, info: Info, id: Id) -> ContentPayload:
        reviewer = info.context.signed_in()
        number = from_id("Content", id, "id")
        await lifecycle.unschedule(number, reviewer.member_id, info.context.now)
        return await _written(info, number)

    @strawberry.mutation(
        description="PUBLISHED or SCHEDULED to ARCHIVED, with any newer version. Role REVIEWER.",
        extensions=[access.allow(Role.REVIEWER)],
    )
    @mistakes_to(_in_content)
    async def content_archive(self, info: Info, id: Id) -> ContentPayload:
        reviewer = info.context.signed_in()
        number = from_id("Content", id, "id")
        await lifecycle.archive(number, reviewer.member_id, info.context.now)
        return await _written(info, number)

    @strawberry.mutation(
        description="ARCHIVED to DRAFT. Role REVIEWER.", extensions=[access.allow(Role.REVIEWER)]
    )
    @mistakes_to(_in_content)
    async def content_unarchive(self, info: Info, id: Id) -> ContentPayload:
        reviewer = info.context.signed_in()
        number = from_id("Content", id, "id")
        await lifecycle.unarchive(number, reviewer.member_id, info.context.now)
        return await _written(info, number)
