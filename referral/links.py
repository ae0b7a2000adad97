"""Owns the links: made for a promoter, found by their code, archived."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from core import audit, codes, database
from core.errors import Invalid, Required, storable, text
from referral import programs
from referral.errors import LinkArchived, NotEnrolled, ProgramClosed, TargetNotAllowed
from referral.models import Enrollment, Link, Program

TARGET_CHARACTERS = 2_000
CHANNEL_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class NewLink:
    """What a promoter asks for: a link to a content or to an address, either of the two."""

    program: str  # its code
    content_id: int | None = None
    target_url: str | None = None
    channel: str | None = None
    expires_at: datetime | None = None


@database.unit_of_work
async def create(
    new: NewLink, owner_id: int, allowed_hosts: Collection[str], now: datetime
) -> Link:
    """A new link of a promoter of the program.

    Raises `Required`, `Invalid`, `TooLong`, `TargetNotAllowed`, `ProgramNotFound`,
    `ProgramClosed` and `NotEnrolled`.
    """
    _check_aim(new, allowed_hosts)
    if new.expires_at is not None and new.expires_at <= now:
        raise Invalid("A link expires in the future, or never.", "expiresAt")
    channel = checked_channel(new.channel)
    program = await programs.by_code(new.program)
    if has_ended(program, now):
        raise ProgramClosed(program.code)
    if not await Enrollment.exists(program_id=program.id, member_id=owner_id):
        raise NotEnrolled
    return await Link.create(
        code=codes.new(),
        program_id=program.id,
        owner_id=owner_id,
        content_id=new.content_id,
        target_url=new.target_url,
        channel=channel,
        expires_at=new.expires_at,
        created_at=now,
    )


@database.unit_of_work
async def set_up(
    *,
    program_id: int,
    owner_id: int,
    now: datetime,
    content_id: int | None = None,
    target_url: str | None = None,
    allowed_hosts: Collection[str] = (),
    code: str | None = None,
) -> Link:
    """The link of this code, made if it is missing, for an owner who need not be enrolled yet.

    Raises `TargetNotAllowed`.
    """
    if target_url is not None:
        check_target(target_url, allowed_hosts)
    link, _ = await Link.get_or_create(
        code=code or codes.new(),
        defaults={
            "program_id": program_id,
            "owner_id": owner_id,
            "content_id": content_id,
            "target_url": target_url,
            "created_at": now,
        },
    )
    return link


@database.unit_of_work
async def archive(link: Link, actor_id: int, now: datetime) -> Link:
    """Ends what the link earns; it goes on leading to its target. Raises `LinkArchived`."""
    archived = await Link.filter(id=link.id, archived_at__isnull=True).update(archived_at=now)
    if not archived:
        raise LinkArchived
    await audit.note(
        "referralLinkArchive", "ReferralLink", [link.id], actor_id=actor_id, now=now, detail={}
    )
    return await Link.get(id=link.id)


def has_ended(program: Program, now: datetime) -> bool:
    """Whether nothing new begins in the program any more."""
    return program.ends_at is not None and program.ends_at <= now


def checked_channel(channel: str | None) -> str | None:
    """Where something is shared, in the promoter's or the client's words; raises `TooLong`."""
    return text(channel, "channel", most=CHANNEL_CHARACTERS) if channel else None


def _check_aim(new: NewLink, allowed_hosts: Collection[str]) -> None:
    if new.content_id is None and new.target_url is None:
        raise Required("A link leads to a content or to an address; name one.", "targetUrl")
    if new.content_id is not None and new.target_url is not None:
        raise Invalid("A link leads to a content or to an address, not to both.", "targetUrl")
    if new.target_url is not None:
        check_target(new.target_url, allowed_hosts)


def check_target(url: str, allowed_hosts: Collection[str]) -> None:
    """Raises `TargetNotAllowed` unless the address is plain http(s) on an allowed host."""
    if not storable(url, TARGET_CHARACTERS) or not leads_to(url, allowed_hosts):
        raise TargetNotAllowed(url)


def leads_to(url: str, allowed_hosts: Collection[str]) -> bool:
    """Whether a browser that is sent to the address asks one of these hosts, over plain http(s)."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    plain = parts.scheme in {"http", "https"} and "@" not in parts.netloc
    # A browser reads a backslash as a slash and drops tabs and line ends: neither may be there.
    clean = "\\" not in url and not any(ord(character) <= 32 for character in url)
    return plain and clean and parts.hostname in allowed_hosts


async def find(text: str) -> Link | None:
    """The link whose code somebody typed or scanned; a misspelt one costs no statement."""
    code = codes.fold(text)
    return None if code is None else await Link.get_or_none(code=code)
