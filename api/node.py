"""Anything with an id, found by it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated

import strawberry
from strawberry import argument

from api import access
from api import conversions as seeing
from api import enrollments as enrolled
from api.content import Content
from api.context import STAFF, Context, Info
from api.editing import EDITORS
from api.errors import Refusal
from api.jobs import Job
from api.keys import ApiKey
from api.links import ReferralLink
from api.media import Media
from api.members import Member
from api.nodes import Node, split_id
from api.payouts import Payout
from api.programs import Program
from api.referral import Commission
from api.risk import RiskCase
from api.tags import Tag
from api.tiers import Tier, TierApplication
from api.webhooks import WebhookDelivery, WebhookEndpoint
from content import export_jobs, import_jobs
from content import models as contents
from core import jobs, webhooks
from members import models
from referral import models as referrals

MOST_NODES = 100
Found = Awaitable[Node | None]


async def _content(context: Context, id: int) -> Node | None:
    piece = await context.content(id)
    return piece and Content.of(piece)


async def _tag(context: Context, id: int) -> Node | None:
    row = await context.load.tag_by_id.load(id)
    return row and Tag.of(row)


async def _member(context: Context, id: int) -> Node | None:
    row = await context.load.member_by_id.load(id)
    return row and Member.of(row)


async def _tier(context: Context, id: int) -> Node | None:
    row = await models.Tier.get_or_none(id=id)
    return row and Tier.of(row)


async def _tier_application(context: Context, id: int) -> Node | None:
    row = await models.TierApplication.get_or_none(id=id)
    if row is None:
        return None
    context.allow_self_or_staff(row.member_id)
    return TierApplication.of(row)


async def _link(context: Context, id: int) -> Node | None:
    row = await referrals.Link.get_or_none(id=id)
    if row is None:
        return None
    context.allow_self_or_staff(row.owner_id)  # others need its code
    return ReferralLink.of(row)


OF_EDITORS = {*import_jobs.TOPICS, export_jobs.TOPIC}


async def _job(context: Context, id: int) -> Node | None:
    row = await jobs.Job.get_or_none(id=id)
    if row is None:  # or no longer: whoever may have asked for it before is told so
        context.allow(EDITORS | STAFF)
        return None
    context.allow(EDITORS if row.kind in OF_EDITORS else STAFF)
    return Job.of(row)


async def _program(context: Context, id: int) -> Node | None:
    row = await context.load.program_by_id.load(id)
    return row and Program.of(row)


async def _enrollment(context: Context, id: int) -> Node | None:
    row = await referrals.Enrollment.get_or_none(id=id)
    if row is None:
        return None
    context.allow_self_or_staff(row.member_id)
    [found] = await enrolled.shown([row])
    return found


async def _conversion(context: Context, id: int) -> Node | None:
    row = await referrals.Conversion.get_or_none(id=id)
    return row and await seeing.seen(context, row)


async def _commission(context: Context, id: int) -> Node | None:
    row = await referrals.Commission.get_or_none(id=id).select_related("rule")
    if row is None:
        return None
    context.allow_self_or_staff(row.promoter_id)
    return Commission.of(row)


async def _payout(context: Context, id: int) -> Node | None:
    row = await referrals.Payout.get_or_none(id=id)
    if row is None or row.member_id != context.signed_in().member_id:
        context.allow([models.Role.FINANCE])
    return row and Payout.of(row)


async def _media(context: Context, id: int) -> Node | None:
    context.allow(EDITORS)
    row = await contents.Media.get_or_none(id=id)
    return row and Media.of(row, context.settings)


async def _api_key(context: Context, id: int) -> Node | None:
    context.allow([models.Role.ADMIN])
    row = await models.ApiKey.get_or_none(id=id)
    return row and ApiKey.of(row)


async def _risk_case(context: Context, id: int) -> Node | None:
    context.allow(STAFF)
    row = await referrals.RiskCase.get_or_none(id=id)
    return row and RiskCase.of(row)


async def _webhook_endpoint(context: Context, id: int) -> Node | None:
    context.allow([models.Role.ADMIN])
    row = await webhooks.WebhookEndpoint.get_or_none(id=id, deleted_at__isnull=True)
    return row and WebhookEndpoint.of(row)


async def _webhook_delivery(context: Context, id: int) -> Node | None:
    context.allow([models.Role.ADMIN])
    row = await webhooks.WebhookDelivery.get_or_none(id=id)
    return row and WebhookDelivery.of(row)


# Whoever may not see a kind of object is refused here, as its fields would refuse them.
KINDS: Mapping[str, Callable[[Context, int], Found]] = {
    "Content": _content,
    "Tag": _tag,
    "Member": _member,
    "Tier": _tier,
    "TierApplication": _tier_application,
    "Job": _job,
    "Program": _program,
    "Enrollment": _enrollment,
    "ReferralLink": _link,
    "Conversion": _conversion,
    "Commission": _commission,
    "Payout": _payout,
    "Media": _media,
    "ApiKey": _api_key,
    "RiskCase": _risk_case,
    "WebhookEndpoint": _webhook_endpoint,
    "WebhookDelivery": _webhook_delivery,
}


async def find(context: Context, id: str) -> Node | None:
    """The object of this id, if it is one and there is such a row."""
    kind, number = split_id(id) or ("", 0)
    return await KINDS[kind](context, number) if kind in KINDS else None


Id = Annotated[strawberry.ID, argument(description="From any `id` field.")]


@strawberry.type
class NodeQuery:
    @strawberry.field(
        description="An object by its id; null where there is none. Who may see it depends on its "
        "kind: jobs and cases of risk are for staff, jobs of `contentsImport` and `contentsExport` "
        "and media for editors; applications, enrolments, links and commissions for the member and "
        "staff; conversions for whom `conversion` shows them to; pay-outs for the member and "
        "FINANCE; webhooks and API keys for admins.",
        extensions=[access.EVERYBODY],
    )
    async def node(self, info: Info, id: Id) -> Node | None:
        return await find(info.context, id)

    @strawberry.field(
        description="The same for up to 100 ids, in their order.", extensions=[access.EVERYBODY]
    )
    async def nodes(
        self, info: Info, ids: Annotated[list[strawberry.ID], argument(description="Their ids.")]
    ) -> list[Node | None]:
        if len(ids) > MOST_NODES:
            raise Refusal(f"`ids` holds at most {MOST_NODES}, not {len(ids)}.")
        return [*await asyncio.gather(*(find(info.context, id) for id in ids))]
