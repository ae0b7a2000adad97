"""Links as the API shows them: made, archived, found by their code."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import argument

from api import access, stats, targets
from api.content import Content
from api.context import Info
from api.errors import UserError, mistakes_to
from api.members import Member
from api.nodes import Node, from_id, to_id
from api.programs import Program, program
from api.stats import LinkStats, Since, Until
from content.gate import ANYBODY
from core.errors import NotFound
from referral import links, models, sharing
from referral.errors import LinkNotFound
from referral.links import NewLink


@strawberry.type(
    description="A promoter's entrance to a content or an address.", directives=[access.as_parent()]
)
class ReferralLink(Node):
    row: strawberry.Private[models.Link]
    code: str = strawberry.field(
        description="Nine characters, the last one a check character; a scene value of WeChat."
    )
    channel: str | None = strawberry.field(description="Where it is shared, in its owner's words.")
    archived: bool = strawberry.field(
        description="Whether it earns nothing any more; it goes on leading to its target."
    )
    expires_at: datetime | None = strawberry.field(
        description="From when on it earns nothing; null for never."
    )
    created_at: datetime = strawberry.field(description="When it was made.")

    @classmethod
    def of(cls, row: models.Link) -> "ReferralLink":
        return cls(
            id=to_id("ReferralLink", row.id),
            row=row,
            code=row.code,
            channel=row.channel,
            archived=row.archived_at is not None,
            expires_at=row.expires_at,
            created_at=row.created_at,
        )

    @strawberry.field(description="What to share.")
    def url(self, info: Info) -> str:
        return targets.link_url(self.row, info.context.settings)

    @strawberry.field(description="The same as a QR code that scales; `?scale=` up to 40.")
    def qr_svg_url(self, info: Info) -> str:
        return f"{targets.link_url(self.row, info.context.settings)}/qr.svg"

    @strawberry.field(description="The same as a picture; `?scale=` up to 40.")
    def qr_png_url(self, info: Info) -> str:
        return f"{targets.link_url(self.row, info.context.settings)}/qr.png"

    @strawberry.field(description="Who is credited for what comes through it.")
    async def owner(self, info: Info) -> Member:
        row = await info.context.load.member_by_id.load(self.row.owner_id)
        if row is None:
            raise LookupError(f"member {self.row.owner_id} is referred to and missing")
        return Member.of(row)

    @strawberry.field(description="Under which terms.")
    async def program(self, info: Info) -> Program:
        return await program(info, self.row.program_id)

    @strawberry.field(description="The content it leads to, if the viewer may see it.")
    async def content(self, info: Info) -> Content | None:
        if self.row.content_id is None:
            return None
        row = await info.context.content(self.row.content_id)
        return row and Content.of(row)

    @strawberry.field(
        description="Where it leads now. Our front page stands in for a content that is not "
        "published and for a host that TARGET_HOSTS no longer names."
    )
    async def target_url(self, info: Info) -> str:
        piece = None
        if self.row.content_id is not None:
            key = (ANYBODY, self.row.content_id)
            piece = await info.context.load.piece_by_reader_and_id.load(key)
        return targets.target(self.row, piece, info.context.settings)

    @strawberry.field(description="What came of it.", extensions=[access.OWNER_OR_STAFF])
    async def stats(self, info: Info, since: Since = None, until: Until = None) -> LinkStats:
        return await stats.of_link(info, self.row.id, since, until)


@strawberry.input(description="A link to be made: to a content or to an address, one of the two.")
class ReferralLinkCreateInput:
    program: str = strawberry.field(
        description="The code of a program that the viewer is enrolled in; NOT_ENROLLED, and "
        "PROGRAM_CLOSED once it has ended."
    )
    content: strawberry.ID | None = strawberry.field(
        default=None, description="The content that it leads to."
    )
    target_url: str | None = strawberry.field(
        default=None,
        description="The address that it leads to: ours, or on a host of TARGET_HOSTS; at most "
        "2,000 characters.",
    )
    channel: str | None = strawberry.field(
        default=None, description="Where it will be shared; at most 40 characters."
    )
    expires_at: datetime | None = strawberry.field(
        default=None, description="From when on it earns nothing, in the future; never if missing."
    )


@strawberry.type(description="A link, or what is wrong.", directives=[access.as_parent()])
class ReferralLinkPayload:
    referral_link: ReferralLink | None = strawberry.field(default=None, description="The link.")
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="What has to be corrected; empty when it worked."
    )


def _refused(errors: list[UserError]) -> ReferralLinkPayload:
    return ReferralLinkPayload(errors=errors)


@strawberry.type
class LinkQuery:
    @strawberry.field(
        description="The link of this code; null where there is none.",
        extensions=[access.EVERYBODY],
    )
    async def referral_link(
        self,
        code: Annotated[str, argument(description="In any case, O read as 0 and I and L as 1.")],
    ) -> ReferralLink | None:
        row = await links.find(code)
        return row and ReferralLink.of(row)


@strawberry.type
class LinkMutation:
    @strawberry.mutation(
        description="Makes a link of the viewer, who is a promoter of the program.",
        extensions=[access.SIGNED_IN],
    )
    @mistakes_to(_refused)
    async def referral_link_create(
        self,
        info: Info,
        input: Annotated[ReferralLinkCreateInput, argument(description="The link.")],
    ) -> ReferralLinkPayload:
        owner_id = info.context.signed_in().member_id
        content_id = None
        if input.content is not None:
            content_id = await _content(info, input.content, "content")
        new = NewLink(input.program, content_id, input.target_url, input.channel, input.expires_at)
        hosts = info.context.settings.link_hosts
        row = await links.create(new, owner_id, hosts, info.context.now)
        return ReferralLinkPayload(referral_link=ReferralLink.of(row))

    @strawberry.mutation(
        description="Ends what a link earns; for its owner and staff. It goes on leading to its "
        "target. LINK_ARCHIVED the second time.",
        extensions=[access.SIGNED_IN],
    )
    @mistakes_to(_refused)
    async def referral_link_archive(
        self, info: Info, id: Annotated[strawberry.ID, argument(description="Which link.")]
    ) -> ReferralLinkPayload:
        row = await models.Link.get_or_none(id=from_id("ReferralLink", id, "id"))
        if row is None:
            raise LinkNotFound
        viewer = info.context.allow_self_or_staff(row.owner_id)
        row = await links.archive(row, viewer.member_id, info.context.now)
        return ReferralLinkPayload(referral_link=ReferralLink.of(row))

    @strawberry.mutation(
        description="The viewer's own link to a content, made on first asking, and anew once it "
        "was archived. A program with `autoEnroll` enrols on the way; FORBIDDEN for roles that it "
        "is not open to, NOT_ENROLLED in any other.",
        extensions=[access.SIGNED_IN],
    )
    @mistakes_to(_refused)
    async def content_share(
        self,
        info: Info,
        id: Annotated[strawberry.ID, argument(description="The content.")],
        program: Annotated[
            str | None,
            argument(
                description="The code of the program; else the first that the viewer is enrolled "
                "in and that has not ended, or the first that enrols them."
            ),
        ] = None,
    ) -> ReferralLinkPayload:
        viewer = info.context.signed_in()
        content_id = await _content(info, id, "id")
        owner = await info.context.load.member_by_id.load(viewer.member_id)
        if owner is None:
            raise LookupError(f"member {viewer.member_id} is signed in and missing")
        now = info.context.now
        row = await sharing.share(owner, viewer.roles, content_id, program, now)
        info.context.forget()
        return ReferralLinkPayload(referral_link=ReferralLink.of(row))


async def _content(info: Info, id: str, field: str) -> int:
    """The content behind the id, if the viewer may see it; raises `NotFound`."""
    content_id = from_id("Content", id, field)
    if await info.context.content(content_id) is None:
        raise NotFound("There is no such content.", field)
    return content_id
