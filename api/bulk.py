"""Importing and exporting contents, as the API offers it to editors, who have no shell."""

from datetime import datetime
from typing import Annotated, Any

import strawberry
from strawberry import argument

from api import access
from api.context import Info
from api.editing import REVIEWERS, TagCreateInput
from api.errors import mistakes_to
from api.jobs import Job, JobPayload
from api.media import relative
from api.settings import Settings
from content import export_jobs, import_jobs
from content.models import ContentKind, ContentStatus
from members.models import Role

# As far as an editor may bring a content; further than that is a reviewer's to decide.
EDITORS_REACH = {ContentStatus.DRAFT, ContentStatus.IN_REVIEW}


@strawberry.input(
    description="A content to be brought in, by its slug: a new one, or what one that exists is "
    "to say. Nothing that is published is taken back; a newer version comes beside it."
)
class ContentImportInput:
    slug: str = strawberry.field(
        description="Finds the content again, by an old slug too; at most 100 characters of any "
        "script. Case is folded, outer blanks go, inner ones become `-`."
    )
    kind: ContentKind = strawberry.field(
        default=ContentKind.ARTICLE, description="What form it has; stays as it began."
    )
    locale: str = strawberry.field(
        default="zh-CN", description="The language it is written in (BCP 47); stays as it began."
    )
    title: str = strawberry.field(description="At most 300 characters.")
    summary: str = strawberry.field(default="", description="The teaser; at most 2,000 characters.")
    body: str = strawberry.field(
        default="", description="Markdown without HTML; at most 500,000 characters."
    )
    cover_url: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="The picture that goes with the teaser. Left out, it stays as it is.",
    )
    tags: list[TagCreateInput] = strawberry.field(
        default_factory=list,
        description="All of its tags, at most 100; those that are missing are made, and those that "
        "exist stay as they are.",
    )
    author: str | None = strawberry.field(
        default=None,
        description="The e-mail address of a member; anything else leaves it without an author. "
        "For new contents alone.",
    )
    published_at: datetime | None = strawberry.field(
        default=None,
        description="Since when it is PUBLISHED, by default now; a time to come schedules it.",
    )
    status: ContentStatus = strawberry.field(
        default=ContentStatus.DRAFT,
        description="Where it is to come; further than IN_REVIEW needs the role REVIEWER.",
    )


Items = Annotated[
    list[ContentImportInput], argument(description="The contents, at most 1,000; LIMIT_EXCEEDED.")
]


@strawberry.type
class BulkMutation:
    @strawberry.mutation(
        description="Brings contents in: workers do it in batches, each item by itself, and name "
        "those that they refuse in `problems` by index and slug. What says nothing new makes no "
        "version, so that it is safe to repeat. Role EDITOR.",
        extensions=[access.allow(Role.EDITOR)],
    )
    @mistakes_to(lambda errors: JobPayload(errors=errors))
    async def contents_import(
        self,
        info: Info,
        items: Items,
        dry_run: Annotated[
            bool, argument(description="Only names the problems; nothing is written.")
        ] = False,
    ) -> JobPayload:
        editor = info.context.signed_in()
        if any(item.status not in EDITORS_REACH for item in items):
            info.context.allow(REVIEWERS)
        said = [_said(item, info.context.settings) for item in items]
        now = info.context.now
        job = await import_jobs.start(said, editor.member_id, now, dry_run=dry_run)
        return JobPayload(job=Job.of(job))

    @strawberry.mutation(
        description="Exports the whole library, drafts and what is gated too, as the lines of JSON "
        "that `wellspring import` takes: workers do it in batches, and `url` of the job says where "
        "the file is once it is DONE, for a day. Role EDITOR.",
        extensions=[access.allow(Role.EDITOR)],
    )
    @mistakes_to(lambda errors: JobPayload(errors=errors))
    async def contents_export(self, info: Info) -> JobPayload:
        editor = info.context.signed_in()
        job = await export_jobs.start(editor.member_id, info.context.now)
        return JobPayload(job=Job.of(job))


def _said(item: ContentImportInput, settings: Settings) -> dict[str, Any]:
    """The item in the form of a row of a file."""
    url = item.cover_url
    cover = {} if url is strawberry.UNSET else {"coverUrl": url and relative(settings, url)}
    return cover | {
        "slug": item.slug,
        "kind": item.kind,
        "locale": item.locale,
        "title": item.title,
        "summary": item.summary,
        "body": item.body,
        "tags": [_tag(tag) for tag in item.tags],
        "author": item.author,
        "publishedAt": item.published_at and item.published_at.isoformat(),
        "status": item.status,
    }


def _tag(tag: TagCreateInput) -> dict[str, str | None]:
    return {
        "dimension": tag.dimension,
        "slug": tag.slug,
        "name": tag.name,
        "parent": tag.parent,
    }
