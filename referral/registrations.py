"""Owns how somebody comes in: an account, and with it the touches that led to it."""

from dataclasses import dataclass
from datetime import datetime

from core import database
from members import identity
from members.identity import NewMember, Opened
from members.models import Member
from referral import conversions, touches


@dataclass(frozen=True, slots=True)
class Entered:
    """A member who is in, the session if one was opened, and the visitor id to keep using."""

    member: Member
    session: Opened | None
    visitor: str | None


@database.unit_of_work
async def register(new: NewMember, visitor: str | None, now: datetime) -> Entered:
    """Makes an account and joins the visitor's touches to it; raises what `identity.create` does.

    Not idempotent: every call without an e-mail address makes another account.
    """
    member = await identity.create(new, now)
    visitor = await _join(visitor, member, now)
    return Entered(member, await identity.open_session(member.id, now), visitor)


@database.unit_of_work
async def ensure(
    source: str, ref: str, new: NewMember, visitor: str | None, now: datetime
) -> Entered:
    """Finds the member behind a shop's customer, or makes one; opens a session for its front-end,
    but never of somebody with a role besides MEMBER and KOC.

    Safe to call twice, also at the same time. Conversions of the customer that waited for a
    member are decided now.
    """
    source, ref = identity.check_source(source), identity.check_ref(ref)
    await database.lock(identity.customer_lock(source, ref))
    member = await identity.customer(source, ref)
    if member is None:
        member = await identity.create(new, now)
        await conversions.link_customer(source, ref, member.id, now)
    visitor = await _join(visitor, member, now)
    session = None
    if await identity.may_be_impersonated(member.id):
        session = await identity.open_session(member.id, now)
    return Entered(member, session, visitor)


async def _join(visitor: str | None, member: Member, now: datetime) -> str | None:
    if visitor is None:
        return None
    return await touches.join(touches.check_visitor(visitor), member.id, now)
