"""Owns how somebody comes in: with a new account or an old one, and the touches that led to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from core import database, webhooks
from core.errors import Mistake, Required
from members import attempts, events, identity, passwords, roles, wechat
from members.attempts import Attempt
from members.identity import NewMember, Opened
from members.models import Member, Password
from members.wechat import Person
from referral import customers, invitations, links, touches
from referral.errors import CodeUnknown
from referral.models import Link, Touch

WECHAT_NAME = "微信用户"  # "WeChat user", as WeChat itself names people since 2022


@dataclass(frozen=True, slots=True)
class Entered:
    """A member who is in, the session if one was opened, the visitor id to keep using, and what
    was wrong beside it."""

    member: Member
    session: Opened | None
    visitor: str | None
    mistakes: Sequence[Mistake] = ()


async def register(
    new: NewMember,
    visitor: str | None,
    now: datetime,
    *,
    password: str | None = None,
    code: str | None = None,
) -> Entered:
    """Makes an account, joins the visitor's touches to it and attributes the registration.

    `code` is a link's as it was typed. Raises what `identity.create` and `passwords.check` do, and
    `CodeUnknown`; nothing is written then. Not idempotent: every call without an e-mail address
    makes another account.
    """
    hash = None
    if password is not None:
        if new.email is None:
            raise Required("Who signs in with a password needs an e-mail address.", "email")
        passwords.check(password)
        hash = await passwords.hashed(password)
    return await _register(new, visitor, hash, code, now)


@database.unit_of_work
async def _register(
    new: NewMember, visitor: str | None, hash: str | None, code: str | None, now: datetime
) -> Entered:
    await _hold(visitor)
    member, visitor = await _make(new, visitor, await _typed(code), now)
    if hash is not None:
        await passwords.keep(member.id, hash, now)
    return Entered(member, await identity.open_session(member.id, now), visitor)


@database.unit_of_work
async def ensure(
    source: str,
    ref: str,
    new: NewMember,
    visitor: str | None,
    now: datetime,
    *,
    code: str | None = None,
) -> Entered:
    """Finds the member behind a shop's customer, or makes one; opens a session for its front-end,
    but never of somebody with a role besides MEMBER and KOC.

    Safe to call twice, also at the same time; `new` and `code` are looked at when one is made.
    Conversions of the customer that waited for a member are decided now. Raises as `register`.
    """
    source, ref = identity.check_source(source), identity.check_ref(ref)
    await _hold(visitor, identity.customer_lock(source, ref))
    member = await identity.customer(source, ref)
    if member is None:
        link = await _typed(code)
        member, visitor = await _make(new, visitor, link, now, customer=(source, ref))
    else:
        visitor = await _join(visitor, member, now)
    session = None
    if await roles.may_be_impersonated(member.id):
        session = await identity.open_session(member.id, now)
    return Entered(member, session, visitor)


async def sign_in(
    email: str,
    password: str,
    visitor: str | None,
    now: datetime,
    *,
    address: str | None,
    secret: str,
) -> Entered:
    """Opens a session of the member with this e-mail address and joins the visitor's touches.

    Raises `CredentialsRejected`, after the same work whatever is wrong, and `TooManyAttempts`; see
    `attempts.begin` for the client's address and the secret.
    """
    if visitor is not None:
        touches.check_visitor(visitor)
    attempt = await attempts.begin(email, address, secret, now)
    kept = await passwords.prove(email, password)
    entered = await _enter(attempt, kept, visitor, now)
    await passwords.renew(kept, password)
    return entered


@database.unit_of_work
async def _enter(attempt: Attempt, kept: Password, visitor: str | None, now: datetime) -> Entered:
    await _hold(visitor)
    await attempts.forgive(attempt)
    return await _open(kept.member, visitor, now)


@database.unit_of_work
async def enter_with_wechat(
    person: Person, visitor: str | None, now: datetime, *, code: str | None = None
) -> Entered:
    """Opens a session of somebody whom WeChat knows; a new person gets an account.

    `code`, a link's, counts for a new person. An unknown one is among the mistakes, beside the
    session, since what WeChat told of the person cannot be asked again.
    """
    await wechat.lock(person)
    await _hold(visitor)
    member = await wechat.member(person)
    if member is not None:
        return await _open(member, visitor, now)
    link = None if code is None else await links.find(code)
    member, visitor = await _make(NewMember(WECHAT_NAME), visitor, link, now)
    await wechat.give(person, member.id, now)
    mistakes = [CodeUnknown("referralCode")] if code is not None and link is None else []
    session = await identity.open_session(member.id, now)
    return Entered(member, session, visitor, mistakes)


async def _open(member: Member, visitor: str | None, now: datetime) -> Entered:
    visitor = await _join(visitor, member, now)
    return Entered(member, await identity.open_session(member.id, now), visitor)


async def _typed(code: str | None) -> Link | None:
    """The link of a code that somebody typed; raises `CodeUnknown`."""
    link = None if code is None else await links.find(code)
    if code is not None and link is None:
        raise CodeUnknown("referralCode")
    return link


async def _make(
    new: NewMember,
    visitor: str | None,
    link: Link | None,
    now: datetime,
    *,
    customer: tuple[str, str] | None = None,
) -> tuple[Member, str | None]:
    """A new account, linked to the shop's customer, whose registration is attributed, the link
    being a touch at that time; and the visitor to use from now on."""
    member = await identity.create(new, now)
    await webhooks.emit([events.registered(member)], now)
    visitor = await _join(visitor, member, now)
    typed = None
    if link is not None:
        visitor = visitor or await touches.join(touches.new_visitor(), member.id, now)
        typed = await Touch.create(link=link, visitor=visitor, touched_at=member.created_at)
    if customer is not None:
        # Before the inviter's standing is locked: workers lock conversions first too.
        await customers.link(*customer, member.id, now)
    await invitations.attribute(
        member, member.created_at, now, code_touch_id=None if typed is None else typed.id
    )
    return member, visitor


async def _hold(visitor: str | None, *names: str) -> None:
    """See `customers.hold`; raises `Invalid` for what is no visitor id."""
    await customers.hold(None if visitor is None else touches.check_visitor(visitor), *names)


async def _join(visitor: str | None, member: Member, now: datetime) -> str | None:
    if visitor is None:
        return None
    return await customers.join(visitor, member.id, now)
