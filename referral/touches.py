"""Owns the touches: which visitor came through which link, and whose visitor it is."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from core import database
from core.errors import Invalid
from members.identity import mailbox
from referral import attribution
from referral.models import Link, Touch, Visitor

VISITOR_CHARACTERS = range(8, 65)


def new_visitor() -> str:
    """A fresh visitor id: 128 random bits."""
    return secrets.token_urlsafe(16)


def check_visitor(visitor: str) -> str:
    """The id, if it is one: 8 to 64 printable ASCII characters without blanks."""
    if len(visitor) not in VISITOR_CHARACTERS or not all("!" <= each <= "~" for each in visitor):
        raise Invalid("A visitor id has 8 to 64 printable characters.", "visitorId")
    return visitor


@database.unit_of_work
async def record(
    link: Link, visitor: str, touched_at: datetime, *, bot_reason: str | None = None
) -> None:
    """Writes one click; committed when this returns."""
    await Touch.create(link=link, visitor=visitor, touched_at=touched_at, bot_reason=bot_reason)


@database.unit_of_work
async def report(
    link: Link, visitor: str, touched_at: datetime, member_id: int | None, now: datetime
) -> str:
    """Writes a click that a client tells of, a person's always, and joins it to the member who is
    signed in there, if any. Returns the visitor id to use from now on."""
    if member_id is not None:
        visitor = await join(visitor, member_id, now)
    await Touch.create(link=link, visitor=visitor, touched_at=touched_at)
    return visitor


async def join(visitor: str, member_id: int, now: datetime) -> str:
    """Makes the visitor's touches the member's, earlier ones too; belongs into a unit of work.

    A visitor is the first member's who presents it. Whoever presents it later (a page forwarded
    with its visitor id) gets a fresh one, with a copy of the newest touch of a person: that touch
    did bring them. Returns the visitor id to use from now on.
    """
    owned, _ = await Visitor.get_or_create(
        id=visitor, defaults={"member_id": member_id, "joined_at": now}
    )
    if owned.member_id == member_id:
        return visitor
    fresh = new_visitor()
    await Visitor.create(id=fresh, member_id=member_id, joined_at=now)
    people = Touch.filter(visitor=visitor, bot_reason__isnull=True)
    newest = await people.order_by("-touched_at", "-id").first()
    if newest is not None:
        await Touch.create(link_id=newest.link_id, visitor=fresh, touched_at=newest.touched_at)
    return fresh


async def by_member(member_ids: Collection[int]) -> Mapping[int, Sequence[attribution.Touch]]:
    """All touches of all visitors of each member, in two statements."""
    visitors = dict(
        await Visitor.filter(member_id__in=set(member_ids)).values_list("id", "member_id")
    )
    found: dict[int, list[attribution.Touch]] = {member_id: [] for member_id in member_ids}
    if not visitors:
        return found
    touches = Touch.filter(visitor__in=list(visitors)).select_related("link__owner")
    for touch in await touches:
        found[visitors[touch.visitor]].append(
            attribution.Touch(
                id=touch.id,
                link_id=touch.link_id,
                program_id=touch.link.program_id,
                promoter_id=touch.link.owner_id,
                promoter_mailbox=mailbox(touch.link.owner.email),
                visitor=touch.visitor,
                touched_at=touch.touched_at,
                bot_reason=touch.bot_reason,
            )
        )
    return found
