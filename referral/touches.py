"""Owns the touches: which visitor came through which link, and whose visitor it is."""

import base64
import hashlib
import secrets
from datetime import datetime

from core.errors import Invalid
from referral.models import Touch, Visitor

VISITOR_CHARACTERS = range(8, 65)


def new_visitor() -> str:
    """A fresh visitor id: 128 random bits."""
    return secrets.token_urlsafe(16)


def check_visitor(visitor: str) -> str:
    """The id, if it is one: 8 to 64 printable ASCII characters without blanks."""
    if len(visitor) not in VISITOR_CHARACTERS or not all("!" <= each <= "~" for each in visitor):
        raise Invalid("A visitor id has 8 to 64 printable characters.", "visitorId")
    return visitor


def visitor_lock(visitor: str) -> str:
    """What whoever needs to know whose the visitor is, and goes on writing, holds."""
    return f"visitor:{visitor}"


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
