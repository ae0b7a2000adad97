"""Owns the touches: which visitor came through which link, and whose visitor it is."""

import base64
import hashlib
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
    link: Link,
    visitor: str,
    touched_at: datetime,
    member_id: int | None,
    now: datetime,
    *,
    channel: str | None = None,
) -> str:
    """Writes a click that a client tells of, a person's always, and joins it to the member who is
    signed in there, if any. `channel` says where the client met the link. Returns the visitor id
    to use from now on."""
    if member_id is not None:
        visitor = await join(visitor, member_id, now)
    await Touch.create(link=link, visitor=visitor, touched_at=touched_at, channel=channel)
    return visitor


async def join(visitor: str, member_id: int, now: datetime) -> str:
    """Makes the visitor's touches the member's, earlier ones too; belongs into a unit of work.

    A visitor is the first member's who presents it. Whoever presents it later (a page forwarded
    with its visitor id) gets a fresh one, with a copy of the newest touch of a person: that touch
    did bring them. Returns the visitor id to use from now on.
    """
    owner = await _own(visitor, member_id, now)
    if owner == member_id:
        return visitor
    fresh = _branch(visitor, member_id)
    if await _own(fresh, member_id, now) != member_id:  # somebody has guessed it
        fresh = new_visitor()
        await _own(fresh, member_id, now)
    people = Touch.filter(visitor=visitor, bot_reason__isnull=True)
    newest = await people.order_by("-touched_at", "-id").first()
    if newest is not None and not await Touch.exists(visitor=fresh):
        await Touch.create(link_id=newest.link_id, visitor=fresh, touched_at=newest.touched_at)
    return fresh


async def _own(visitor: str, member_id: int, now: datetime) -> int:
    """Whose the visitor is: the member's from now on, unless it was somebody's already."""
    owned, _ = await Visitor.get_or_create(
        id=visitor, defaults={"member_id": member_id, "joined_at": now}
    )
    return owned.member_id


def _branch(visitor: str, member_id: int) -> str:
    """The same fresh id whenever the same member presents the same visitor again."""
    digest = hashlib.sha256(f"{visitor}:{member_id}".encode()).digest()
    return base64.urlsafe_b64encode(digest[:16]).decode().rstrip("=")


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
