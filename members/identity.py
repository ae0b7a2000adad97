"""Owns who somebody is: accounts, bearer tokens, and shops' names for customers."""

import hashlib
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from tortoise.exceptions import IntegrityError

from core import database, dialect
from core.errors import Invalid, Required, storable, text
from members import directory, expired, roles, standings
from members.errors import EmailTaken, SourceForbidden
from members.models import CustomerRef, Member, Password, Role, Session

SESSION_LIFE = timedelta(days=30)
NAME_CHARACTERS = 100
AVATAR_CHARACTERS = 2_000
EMAIL_CHARACTERS = 254  # RFC 5321, section 4.5.3.1.3, less the angle brackets
SOURCE_CHARACTERS = 40
REF_CHARACTERS = 100
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PHONE = re.compile(r"\+?[0-9][0-9 ()-]{4,30}")
_IMPLIED = {
    Role.ADMIN: frozenset(Role) - {Role.SERVICE},
    Role.REVIEWER: frozenset({Role.REVIEWER, Role.EDITOR}),
}
_VIEWER = """
SELECT session.id, session.member_id, role FROM session
LEFT JOIN member_role ON member_role.member_id = session.member_id
WHERE token_hash = $1 AND expires_at > $2
"""
_CUSTOMERS = "SELECT ref, member_id FROM customer_ref WHERE source = $1 AND ref {listed}"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who is asking. `roles` holds the implied ones too.

    `session_id` is None for whoever came with an API key; `sources` are those that such a key may
    speak for, None where there is no limit.
    """

    member_id: int
    roles: frozenset[Role]
    session_id: int | None = None
    sources: frozenset[str] | None = None

    def speaks_for(self, source: str) -> bool:
        """Whether nothing keeps it from telling of this source, and asking about it."""
        return self.sources is None or source.strip() in self.sources

    def check_source(self, source: str) -> None:
        """Raises `SourceForbidden` where it may not speak for the source."""
        if not self.speaks_for(source):
            raise SourceForbidden(source)


@dataclass(frozen=True, slots=True)
class NewMember:
    """What somebody says of themselves when they join. Without `registered_at` that is now."""

    display_name: str
    email: str | None = None
    phone: str | None = None
    registered_at: datetime | None = None


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
    name = text(new.display_name, "displayName", most=NAME_CHARACTERS)
    email = None if new.email is None else _email(new.email)
    phone = None if new.phone is None else _phone(new.phone)
    try:
        member = await Member.create(
            display_name=name,
            email=email,
            email_key=email and fold_email(email),
            phone=phone,
            search=directory.search_text(name, email, phone),
            created_at=new.registered_at or now,
        )
    except IntegrityError as error:
        # The address is the only unique thing that a new account brings along.
        raise EmailTaken from error
    await standings.open_for(member.id, now)
    return member


@database.unit_of_work
async def update(member_id: int, changes: Mapping[str, str | None]) -> Member:
    """Changes what a member says of itself: `display_name`, `avatar_url` and `email`, each where
    it is among the changes; None takes the last two away.

    Raises `EmailTaken`, and `Required`, `TooLong` or `Invalid` with the field: a name is needed,
    an e-mail address too where there is a password for it.
    """
    member = await Member.filter(id=member_id).select_for_update(no_key=True).get()
    checked = await _checked(member_id, changes)
    if checked:
        try:
            member.update_from_dict(checked)
            member.search = directory.search_text(member.display_name, member.email, member.phone)
            await member.save(update_fields=[*checked, "search"])
        except IntegrityError as error:
            raise EmailTaken from error
    return member


async def _checked(member_id: int, changes: Mapping[str, str | None]) -> dict[str, Any]:
    checked: dict[str, Any] = {}
    if "display_name" in changes:
        checked["display_name"] = text(
            changes["display_name"] or "", "displayName", most=NAME_CHARACTERS
        )
    if "avatar_url" in changes:
        avatar_url = changes["avatar_url"]
        checked["avatar_url"] = None if avatar_url is None else _avatar(avatar_url)
    if "email" in changes:
        email = changes["email"]
        if email is None and await Password.exists(member_id=member_id):
            raise Required("Who signs in with a password needs an e-mail address.", "email")
        checked["email"] = None if email is None else _email(email)
        checked["email_key"] = checked["email"] and fold_email(checked["email"])
    return checked


def _avatar(value: str) -> str:
    value = text(value, "avatarUrl", most=AVATAR_CHARACTERS)
    try:
        parts = urlsplit(value)
    except ValueError as error:
        raise Invalid("This is not an address.", "avatarUrl") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or " " in value:
        raise Invalid("This is not an address that begins with https:// or http://.", "avatarUrl")
    return value


def fold_email(email: str) -> str:
    """The form in which two e-mail addresses are the same account's."""
    return email.strip().casefold()


def _email(value: str) -> str:
    value = text(value, "email", most=EMAIL_CHARACTERS)
    if not _EMAIL.fullmatch(value):
        raise Invalid("This is not an e-mail address.", "email")
    text(fold_email(value), "email", most=EMAIL_CHARACTERS)  # some letters fold to two
    return value


def _phone(value: str) -> str:
    value = value.strip()
    if not _PHONE.fullmatch(value):
        raise Invalid("This is not a telephone number.", "phone")
    return value


async def open_session(member_id: int, now: datetime) -> Opened:
    """Makes a bearer token that is good for 30 days; belongs into a unit of work.

    Sweeps away a few sessions that have ended, anybody's.
    """
    token = secrets.token_urlsafe(32)
    expires_at = now + SESSION_LIFE
    await Session.create(
        member_id=member_id, token_hash=hashed(token), created_at=now, expires_at=expires_at
    )
    await expired.delete(Session, "expires_at", now)
    return Opened(token, expires_at)


async def close_session(session_id: int) -> bool:
    """Ends a session at once; False where it had ended."""
    return await Session.filter(id=session_id).delete() > 0


def hashed(token: str) -> str:
    """How a bearer token is kept. A plain hash is enough: the token is 256 random bits, there is
    nothing to guess."""
    return hashlib.sha256(token.encode()).hexdigest()


async def viewer(token: str, now: datetime) -> Viewer | None:
    """Whose token this is, in one statement; None for an unknown or expired one."""
    found = await database.rows(_VIEWER, hashed(token), now)
    if not found:
        return None
    held = [Role(row["role"]) for row in found if row["role"] is not None]
    return Viewer(found[0]["member_id"], expand(held), found[0]["id"])


@database.unit_of_work
async def token_for(
    email: str, more: Collection[Role], now: datetime, *, display_name: str | None = None
) -> str:
    """A fresh token of the member with this address, who is made if missing and gets the roles.

    Raises `Invalid` for what is no address, and its kin."""
    member = await Member.get_or_none(email_key=fold_email(_email(email)))
    if member is None:
        name = display_name or email.partition("@")[0]
        member = await create(NewMember(name, email=email), now)
    await roles.add(member.id, more)
    return (await open_session(member.id, now)).token


async def customer(source: str, ref: str) -> Member | None:
    """The member behind a shop's customer, if the two were ever linked."""
    if not (storable(source, SOURCE_CHARACTERS) and storable(ref, REF_CHARACTERS)):
        return None
    link = await CustomerRef.get_or_none(source=source, ref=ref).select_related("member")
    return link and link.member


async def customer_id(source: str, ref: str) -> int | None:
    """The id of that member alone."""
    found = await database.firsts(
        "SELECT member_id FROM customer_ref WHERE source = $1 AND ref = $2", source, ref
    )
    return found[0] if found else None


async def customer_ids(source: str, refs: Collection[str]) -> Mapping[str, int]:
    """The ids of the members behind a shop's customers, of those who are known."""
    among = _CUSTOMERS.format(listed=dialect.listed(2))
    found = await database.rows(among, source, dialect.as_list(refs))
    return {row["ref"]: row["member_id"] for row in found}


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
