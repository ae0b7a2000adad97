"""Pictures, videos and documents as the API shows them."""

from typing import Annotated, overload

import strawberry
from strawberry import argument

from api import access
from api.context import Info
from api.errors import UserError, mistakes_to
from api.nodes import Node, to_id
from api.settings import Settings
from content import assets, models
from members.models import Role


@overload
def absolute(settings: Settings, url: str) -> str: ...
@overload
def absolute(settings: Settings, url: str | None) -> str | None: ...
def absolute(settings: Settings, url: str | None) -> str | None:
    """The address for people elsewhere too: one that begins with / is of this server."""
    return settings.base_url + url if url and url.startswith("/") else url


def relative(settings: Settings, url: str) -> str:
    """The address as it is kept: a file of ours without the server, which may move."""
    ours = url.startswith(settings.base_url + assets.PATH)
    return url.removeprefix(settings.base_url) if ours else url


@strawberry.type(
    description="A picture in a smaller size, made when it was uploaded.",
    directives=[access.as_parent()],
)
class MediaVariant:
    width: int = strawberry.field(description="In pixels.")
    url: str = strawberry.field(description="Where it is.")


@strawberry.type(description="A picture, a video or a document.", directives=[access.as_parent()])
class Media(Node):
    url: str = strawberry.field(description="Where it is.")
    mime: str = strawberry.field(description="Its type, such as image/jpeg.")
    width: int | None = strawberry.field(description="In pixels.")
    height: int | None = strawberry.field(description="In pixels.")
    duration_ms: int | None = strawberry.field(description="Of a video, in milliseconds.")
    variants: list[MediaVariant] = strawberry.field(
        description="An uploaded picture in smaller sizes, narrowest first; none of what is "
        "narrow already."
    )

    @classmethod
    def of(cls, row: models.Media, settings: Settings) -> "Media":
        return cls(
            id=to_id("Media", row.id),
            url=absolute(settings, row.url),
            mime=row.mime,
            width=row.width,
            height=row.height,
            duration_ms=row.duration_ms,
            variants=[
                MediaVariant(width=width, url=absolute(settings, url))
                for width, url in assets.variants(row).items()
            ],
        )


@strawberry.input(description="A video that lies elsewhere.")
class MediaAddInput:
    url: str = strawberry.field(
        description="Where it is, by https; at most 2,000 characters. Nothing is fetched from it."
    )
    mime: str = strawberry.field(default="video/mp4", description="Its type, such as video/mp4.")
    width: int | None = strawberry.field(default=None, description="In pixels.")
    height: int | None = strawberry.field(default=None, description="In pixels.")
    duration_ms: int | None = strawberry.field(default=None, description="In milliseconds.")


@strawberry.type(description="A medium that was written.", directives=[access.as_parent()])
class MediaPayload:
    media: Media | None = strawberry.field(default=None, description="As it is now.")
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="What has to be corrected; empty when it worked."
    )


@strawberry.type
class MediaMutation:
    @strawberry.mutation(
        description="Names a video by its address elsewhere, so that contents can show it. "
        "Pictures and documents are uploaded to /assets instead. Role EDITOR.",
        extensions=[access.allow(Role.EDITOR)],
    )
    @mistakes_to(lambda errors: MediaPayload(errors=errors))
    async def media_add(
        self, info: Info, input: Annotated[MediaAddInput, argument(description="The video.")]
    ) -> MediaPayload:
        context = info.context
        row = await assets.add(
            input.url,
            input.mime,
            input.width,
            input.height,
            input.duration_ms,
            context.signed_in().member_id,
            context.now,
        )
        return MediaPayload(media=Media.of(row, context.settings))
