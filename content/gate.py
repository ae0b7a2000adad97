"""Owns who may see which content and read which body: decided once per viewer, for every path.

A reader sees the published version of what is PUBLISHED; an editor sees the newest version of
everything. In SQL the content is `c` and the version of it that is shown is `v`.
"""

from dataclasses import dataclass
from enum import StrEnum

from content.models import Audience
from core import database
from members.identity import Viewer
from members.models import Role

# Every human role but MEMBER and KOC.
INSIDERS = frozenset(Role) - {Role.MEMBER, Role.KOC, Role.SERVICE}


class AccessReason(StrEnum):
    """Whether a body may be read, and if not, the first thing that is missing."""

    GRANTED = "GRANTED"
    SIGN_IN_REQUIRED = "SIGN_IN_REQUIRED"
    TIER_REQUIRED = "TIER_REQUIRED"
    AUDIENCE_EXCLUDED = "AUDIENCE_EXCLUDED"


@dataclass(frozen=True, slots=True)
class Reader:
    """What somebody may see of the library. The default is somebody who is not signed in."""

    signed_in: bool = False
    insider: bool = False  # sees STAFF contents and reads every body
    editor: bool = False  # sees the newest versions, whatever their status; an insider too
    tiers: frozenset[int] = frozenset()  # ids of its own tier and those below
    audiences: frozenset[Audience] = frozenset({Audience.EVERYONE})  # whose bodies it may read


ANYBODY = Reader()
# PUBLISHED. Of a status PostgreSQL expects one row of two hundred, of this one every other.
LISTED = "c.listed = TRUE"

# A tier that the rules have left out has a rank below zero, and opens nothing.
_STANDING = """
SELECT s.spend_minor > 0 AS buyer, t.id AS tier_id
FROM standing s
LEFT JOIN tier own ON own.id = s.tier_id
LEFT JOIN tier t ON t.rank BETWEEN 0 AND own.rank
WHERE s.member_id = $1
"""
_NAMED = """
SELECT DISTINCT v.min_tier_id FROM content c
JOIN content_version v ON v.content_id = c.id AND v.version IN (c.version, c.published_version)
WHERE v.min_tier_id IS NOT NULL
"""


async def reader(viewer: Viewer | None) -> Reader:
    """What the viewer may see, in at most one statement; None is somebody not signed in."""
    if viewer is None:
        return ANYBODY
    if viewer.roles & INSIDERS:
        editor = Role.EDITOR in viewer.roles
        return Reader(True, insider=True, editor=editor, audiences=frozenset(Audience))
    standing = await database.rows(_STANDING, viewer.member_id)
    bought = Audience.BUYERS if standing and standing[0]["buyer"] else Audience.NON_BUYERS
    return Reader(
        signed_in=True,
        tiers=frozenset(row["tier_id"] for row in standing if row["tier_id"] is not None),
        audiences=frozenset({Audience.EVERYONE, bought}),
    )


async def tiers_named() -> frozenset[int]:
    """The ids of the tiers that a published or newest version is gated by: rules cannot leave
    these out."""
    found = await database.rows(_NAMED)
    return frozenset(row["min_tier_id"] for row in found)


def access(reader: Reader, audience: Audience, min_tier_id: int | None) -> AccessReason:
    """Whether the reader may read the body of what it sees; `readable` in Python."""
    if reader.insider:
        return AccessReason.GRANTED
    if not reader.signed_in and (min_tier_id is not None or audience not in reader.audiences):
        return AccessReason.SIGN_IN_REQUIRED
    if min_tier_id is not None and min_tier_id not in reader.tiers:
        return AccessReason.TIER_REQUIRED
    granted = audience in reader.audiences
    return AccessReason.GRANTED if granted else AccessReason.AUDIENCE_EXCLUDED


def version(reader: Reader) -> str:
    """The column of `c` with the version that the reader sees, in SQL."""
    return "c.version" if reader.editor else "c.published_version"


def shown(reader: Reader, name: str) -> str:
    """The column of `c` with what that version says, in SQL: its title, `updated_at` or
    dimensions."""
    return f"c.{name}" if reader.editor else f"c.published_{name}"


def visible(reader: Reader, listed: str = LISTED) -> str:
    """The condition for the reader to see a content at all, in SQL."""
    if reader.editor:
        return "TRUE"
    return listed if reader.insider else f"{listed} AND c.audience <> '{Audience.STAFF}'"


def readable(reader: Reader, row: str = "v") -> str:
    """The condition for the reader to read the body of what it sees; `access` in SQL. A content
    says the same of its published version: for readers `row` may be `c`."""
    if reader.insider:
        return "TRUE"
    audiences = ", ".join(f"'{each}'" for each in sorted(reader.audiences))
    return f"{_tier_reached(reader, row)} AND {row}.audience IN ({audiences})"


def reason(reader: Reader, row: str) -> str:
    """`access` in SQL: the word for it."""
    if reader.insider:
        return f"'{AccessReason.GRANTED}'"
    missing = f"'{AccessReason.SIGN_IN_REQUIRED}'"
    if reader.signed_in:
        missing = (
            f"CASE WHEN {_tier_reached(reader, row)} THEN '{AccessReason.AUDIENCE_EXCLUDED}' "
            f"ELSE '{AccessReason.TIER_REQUIRED}' END"
        )
    readable_by = readable(reader, row)
    return f"CASE WHEN {readable_by} THEN '{AccessReason.GRANTED}' ELSE {missing} END"


def _tier_reached(reader: Reader, row: str) -> str:
    tiers = ", ".join(str(each) for each in sorted(reader.tiers)) or "NULL"
    return f"({row}.min_tier_id IS NULL OR {row}.min_tier_id IN ({tiers}))"


def tagged(reader: Reader) -> str:
    """The column of the index by tag that holds for what the reader sees."""
    return "editors" if reader.editor else "readers"


def published(reader: Reader) -> str:
    """The condition on the index by tag, `ct`, for everything PUBLISHED that the reader lists."""
    if reader.editor:
        return "ct.editors AND ct.published"
    return "ct.readers" if reader.insider else "ct.readers AND NOT ct.staff"
