"""Anything with an id, found by it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated

import strawberry
from strawberry import argument
from strawberry.relay import from_base64

from api import access
from api.context import STAFF, Context, Info
from api.jobs import Job
from api.members import Member
from api.nodes import Node, from_id
from api.tiers import Tier, TierApplication
from core import jobs
from core.errors import NotFound
from members import models

Found = Awaitable[Node | None]


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


async def _job(context: Context, id: int) -> Node | None:
    context.allow(STAFF)
    row = await jobs.Job.get_or_none(id=id)
    return row and Job.of(row)


# Whoever may not see a kind of object is refused here, as its fields would refuse them.
KINDS: Mapping[str, Callable[[Context, int], Found]] = {
    "Member": _member,
    "Tier": _tier,
    "TierApplication": _tier_application,
    "Job": _job,
}


async def find(context: Context, id: str) -> Node | None:
    """The object of this id, if it is one and there is such a row."""
    try:
        kind, _ = from_base64(id)
        return await KINDS[kind](context, from_id(kind, id)) if kind in KINDS else None
    except (ValueError, NotFound):
        return None


Id = Annotated[strawberry.ID, argument(description="From any `id` field.")]


@strawberry.type
class NodeQuery:
    @strawberry.field(
        description="An object by its id; null where there is none. Who may see it depends on its "
        "kind: jobs are for staff, applications for the member and staff.",
        extensions=[access.EVERYBODY],
    )
    async def node(self, info: Info, id: Id) -> Node | None:
        return await find(info.context, id)
