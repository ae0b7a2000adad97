"""Owns who somebody is: accounts, roles, bearer tokens, and shops' names for customers."""

import hashlib
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from tortoise.exceptions import IntegrityError

from core import database
from core.errors import Invalid, storable, text
from members.errors import EmailTaken
from members.models import CustomerRef, Member, MemberRole, Role, Session, Standing

SESSION_LIFE = timedelta(days=30)
NAME_CHARACTERS = 100
EMAIL_CHARACTERS = 254  # RFC 5321, section 4.5.3.1.3, less the angle brackets
SOURCE_CHARACTERS = 40
REF_CHARACTERS = 100
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PHONE = re.compile(r"\+?[0-9][0-9 ()-]{4,30}")
_IMPLIED = {
    Role.ADMIN: frozenset(Role) - {Role.SERVICE},
    Role.REVIEWER: frozenset({Role.REVIEWER, Role.EDITOR}),
}


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who is asking. `roles` holds the implied ones too."""

    member_id: int
    roles: frozenset[Role]


@dataclass(frozen=True, slots=True)
class NewMember:
    """What somebody says of themselves when they join."""

    display_name: str
    email: str | None = None
    phone: str | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A session just opened: the token is known here and nowhere else."""

    token: str
    expires_at: datetime


def expand(roles: Collection[Role]) -> frozenset[Role]:
    """The roles with all that they imply; everybody is a MEMBER."""
    implied = [_IMPLIED.get(role, frozenset({role})) for role in roles]
    return frozenset({Role.MEMBER}).union(*implied)


async def create(new: NewMember, now: datetime) -> Member:
    """Writes the account and where it stands; belongs into a unit of work.

    Raises `EmailTaken`, and `Required`, `TooLong` or `Invalid` with the field.
    """
    email = None if new.email is None else _email(new.email)
    try:
        member = await Member.create(
            display_name=text(new.display_name, "displayName", most=NAME_CHARACTERS),
            email=email,
            email_key=email and email.casefold(),
            phone=None if new.phone is None else _phone(new.phone),
            created_at=now,
        )
    except IntegrityError as error:
        # The address is the only unique thing that a new account brings along.
        raise EmailTaken from error
    await Standing.create(member=member)
    return member


def _email(value: str) -> str:
    value = text(value, "email", most=EMAIL_CHARACTERS)
    if not _EMAIL.fullmatch(value):
        raise Invalid("This is not an e-mail address.", "email")
    text(value.casefold(), "email", most=EMAIL_CHARACTERS)  # some letters fold to two
    return value


def _phone(value: str) -> str:
    value = value.strip()
    if not _PHONE.fullmatch(value):
        raise Invalid("This is not a telephone number.", "phone")
    return value


async def open_session(member_id: int, now: datetime) -> Opened:
    """Makes a bearer token that is good for 30 days; belongs into a unit of work."""
    token = secrets.token_urlsafe(32)
    expires_at = now + SESSION_LIFE
    await Session.create(
        member_id=member_id, token_hash=_hash(token), created_at=now, expires_at=expires_at
    )
    return Opened(token, expires_at)


def _hash(token: str) -> str:
    # A plain hash is enough: the token is 256 random bits, there is nothing to guess.
    return hashlib.sha256(token.encode()).hexdigest()


async def viewer(token: str, now: datetime) -> Viewer | None:
    """Whose token this is, in one statement; None for an unknown or expired one."""
    found = await Session.filter(token_hash=_hash(token), expires_at__gt=now).values_list(
        "member_id", "member__roles__role"
    )
    if not found:
        return None
    return Viewer(found[0][0], expand([Role(role) for _, role in found if role is not None]))


async def may_be_impersonated(member_id: int) -> bool:
    """Whether a shop may be given a session of this member: not of staff or of a service."""
    others = MemberRole.filter(member_id=member_id).exclude(role=Role.KOC)
    return not await others.exists()


@database.unit_of_work
async def token_for(
    email: str, roles: Collection[Role], now: datetime, *, display_name: str | None = None
) -> str:
    """A fresh token of the member with this address, who is made if missing and gets the roles."""
    member = await Member.get_or_none(email_key=email.strip().casefold())
    if member is None:
        name = display_name or email.partition("@")[0]
        member = await create(NewMember(name, email=email), now)
    for role in set(roles) - {Role.MEMBER}:
        await MemberRole.get_or_create(member_id=member.id, role=role)
    return (await open_session(member.id, now)).token


async def customer(source: str, ref: str) -> Member | None:
    """The member behind a shop's customer, if the two were ever linked."""
    if not (storable(source, SOURCE_CHARACTERS) and storable(ref, REF_CHARACTERS)):
        return None
    link = await CustomerRef.get_or_none(source=source, ref=ref).select_related("member")
    return link and link.member


def check_source(source: str) -> str:
    """A shop's name without outer blanks; raises `Required`, `TooLong` or `Invalid`."""
    return text(source, "source", most=SOURCE_CHARACTERS)


def check_ref(ref: str) -> str:
    """A shop's name for a customer, likewise."""
    return text(ref, "customerRef", most=REF_CHARACTERS)


def customer_lock(source: str, ref: str) -> str:
    """The name under which everything that links or looks for this customer takes turns."""
    return f"customer:{source}:{ref}"


def mailbox(email: str | None) -> str | None:
    """The mailbox an address leads to: case folded, `+suffix` cut, dots of Gmail dropped.

    Two members with one mailbox are one person for the rule against self-referral.
    """
    if email is None:
        return None
    local, _, domain = email.casefold().rpartition("@")
    local = local.partition("+")[0] or local
    if domain in {"gmail.com", "googlemail.com"}:
        return f"{local.replace('.', '')}@gmail.com"
    return f"{local}@{domain}"
