"""What members and contents have of links, as the API shows it."""

from typing import TYPE_CHECKING, Annotated

import strawberry
from strawberry import argument

from api import access
from api.context import Info
from api.nodes import After, Connection, First, connection
from content.reading import Piece
from core.paging import page
from members.models import Member
from referral import models

if TYPE_CHECKING:
    from api.links import ReferralLink

AnyLink = Annotated["ReferralLink", strawberry.lazy("api.links")]


def _shown(row: models.Link) -> "ReferralLink":
    from api.links import ReferralLink  # noqa: PLC0415 - a link has an owner and a content

    return ReferralLink.of(row)


@strawberry.type
class MemberLinks:
    """The links of a member."""

    row: strawberry.Private[Member]

    @strawberry.field(
        description="Its links, the newest first, archived ones too.",
        extensions=[access.SELF_OR_STAFF],
    )
    async def referral_links(
        self, info: Info, first: First = 20, after: After = None
    ) -> Connection[AnyLink]:
        found = models.Link.filter(owner_id=self.row.id)
        newest = await page(found, order=("-id",), name="links", first=first, after=after)
        return connection(newest, _shown, total=found.count)


@strawberry.type
class ContentSharing:
    """The viewer's own link to a content."""

    piece: strawberry.Private[Piece]

    @strawberry.field(
        description="The viewer's own link to this content, once `contentShare` has made it."
    )
    async def share_link(
        self,
        info: Info,
        program: Annotated[
            str | None,
            argument(description="In this program; else in the viewer's first that goes on."),
        ] = None,
    ) -> AnyLink | None:
        viewer = info.context.viewer
        if viewer is None:
            return None
        key = (viewer.member_id, program, self.piece.id)
        row = await info.context.load.link_by_sharing.load(key)
        return row and _shown(row)
