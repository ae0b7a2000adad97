"""Owns the links: made for a promoter, found by their code."""

from collections.abc import Collection
from datetime import datetime
from urllib.parse import urlsplit

from core import codes, database
from referral.errors import TargetNotAllowed
from referral.models import Link

TARGET_CHARACTERS = 2_000


@database.unit_of_work
async def create(
    *,
    program_id: int,
    owner_id: int,
    now: datetime,
    content_id: int | None = None,
    target_url: str | None = None,
    allowed_hosts: Collection[str] = (),
    code: str | None = None,
) -> Link:
    """A new link of the promoter to a content or to an address on one of the allowed hosts.

    Raises `TargetNotAllowed`. A given `code` whose link exists returns that link.
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


def check_target(url: str, allowed_hosts: Collection[str]) -> None:
    """Raises `TargetNotAllowed` unless the address is plain http(s) on an allowed host."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise TargetNotAllowed(url) from error
    plain = parts.scheme in {"http", "https"} and "@" not in parts.netloc
    short = len(url) <= TARGET_CHARACTERS
    # A browser reads a backslash as a slash and drops tabs and line ends: neither may be there.
    clean = "\\" not in url and not any(ord(character) <= 32 for character in url)
    if not (plain and clean and short and parts.hostname in allowed_hosts):
        raise TargetNotAllowed(url)


async def find(text: str) -> Link | None:
    """The link whose code somebody typed or scanned; a misspelt one costs no statement."""
    code = codes.fold(text)
    return None if code is None else await Link.get_or_none(code=code)
