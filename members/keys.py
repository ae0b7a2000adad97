"""Owns the API keys of shops' services: made, revoked, and recognised on every request."""

import json
import secrets
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tortoise.expressions import Q

from core import database, deadline, dialect
from core.errors import Required, text
from core.together import Together
from members import identity, roles
from members.errors import ApiKeyNotFound, TooManySources
from members.identity import NAME_CHARACTERS, SOURCE_CHARACTERS, NewMember, Viewer
from members.models import ApiKey, Role

PREFIX = "wsk_"
MOST_SOURCES = 100
USE_NOTED_EVERY = timedelta(minutes=1)
LARGEST_GROUP = 500
LOOK_SECONDS = 10.0
_KEYS = """
SELECT key_hash, api_key.id, api_key.member_id, sources, last_used_at, role FROM api_key
LEFT JOIN member_role ON member_role.member_id = api_key.member_id
WHERE key_hash {listed} AND revoked_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Made:
    """A key just made: the secret is known here and nowhere else."""

    key: ApiKey
    secret: str


@dataclass(frozen=True, slots=True)
class _Key:
    """A key that is good, as it was looked up."""

    id: int
    viewer: Viewer
    last_used_at: datetime | None


@database.unit_of_work
async def create(name: str, sources: Sequence[str] | None, created_by: int, now: datetime) -> Made:
    """Makes a key with 256 random bits and the member of role SERVICE in whose name it acts.

    Without `sources` it may speak for every shop. Two keys may have one name: the next one is
    there before the last one goes. Raises `Required`, `TooLong`, `Invalid` or `TooManySources`.
    """
    name = text(name, "name", most=NAME_CHARACTERS)
    checked = None if sources is None else _check_sources(sources)
    member = await identity.create(NewMember(name), now)
    await roles.add(member.id, [Role.SERVICE])
    secret = PREFIX + secrets.token_urlsafe(32)
    key = await ApiKey.create(
        member=member,
        name=name,
        sources=checked,
        key_hash=identity.hashed(secret),
        created_at=now,
        created_by_id=created_by,
    )
    return Made(key, secret)


def _check_sources(sources: Sequence[str]) -> Sequence[str]:
    if not sources:
        raise Required("Name a shop, or leave `sources` out for all of them.", "sources")
    if len(sources) > MOST_SOURCES:
        raise TooManySources(MOST_SOURCES)
    return sorted({text(each, "sources", most=SOURCE_CHARACTERS) for each in sources})


@database.unit_of_work
async def revoke(key_id: int, now: datetime) -> ApiKey:
    """Has the key stop working at once and for good; a second time changes nothing.

    Raises `ApiKeyNotFound`.
    """
    await ApiKey.filter(id=key_id, revoked_at__isnull=True).update(revoked_at=now)
    key = await ApiKey.get_or_none(id=key_id)
    if key is None:
        raise ApiKeyNotFound
    return key


async def working() -> Sequence[ApiKey]:
    """The keys that were not revoked, oldest first."""
    return await ApiKey.filter(revoked_at__isnull=True).order_by("id")


class Keys:
    """Recognises keys: those that come together in one statement, which begins after each of them
    has come, so that one that was revoked before is refused."""

    def __init__(self) -> None:
        self._together = Together(_look, LARGEST_GROUP)

    async def viewer(self, secret: str, now: datetime) -> Viewer | None:
        """Who comes with this key; None for an unknown or revoked one. Raises `TooLate` at the
        deadline of the request.

        Once a minute another statement notes that it is in use.
        """
        key = await self._found(identity.hashed(secret))
        if key is None:
            return None
        if key.last_used_at is None or key.last_used_at <= now - USE_NOTED_EVERY:
            await _note_use(key.id, now)
        return key.viewer

    @deadline.bounded
    async def _found(self, key_hash: str) -> _Key | None:
        return await self._together.do(key_hash)


async def _look(hashes: Sequence[str]) -> Sequence[_Key | None]:
    with deadline.within(LOOK_SECONDS):
        found = await database.rows(
            _KEYS.format(listed=dialect.listed(1)), dialect.as_list({*hashes})
        )
    rows: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in found:
        rows[row["key_hash"]].append(row)
    known = {key_hash: _key(some) for key_hash, some in rows.items()}
    return [known.get(each) for each in hashes]


def _key(rows: Sequence[Mapping[str, Any]]) -> _Key:
    """A key, of which there is a row for each of its member's roles."""
    key = rows[0]
    held = [Role(row["role"]) for row in rows if row["role"] is not None]
    sources = None if key["sources"] is None else frozenset(json.loads(key["sources"]))
    viewer = Viewer(key["member_id"], identity.expand(held), sources=sources)
    return _Key(key["id"], viewer, database.instant(key["last_used_at"]))


async def _note_use(key_id: int, now: datetime) -> None:
    due = Q(last_used_at__isnull=True) | Q(last_used_at__lte=now - USE_NOTED_EVERY)
    await ApiKey.filter(due, id=key_id).update(last_used_at=now)
