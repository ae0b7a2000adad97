"""Owns the directory: finding members by name, e-mail and phone, tier and role, newest first.

A page looks at the newest members first, which is enough where many fit. If it is not, it asks
the indexes of the other conditions, which is enough where few fit. Where neither is, it does both
again with five times as many: so it costs at most a few times what the better of the two would,
whether what is wanted is rare or frequent, and whatever the planner believes.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core import bigrams, database, paging
from core.errors import storable
from members.models import Member, Role, Tier

LIST = "members"  # whose cursors
SEARCH_CHARACTERS = 200  # nothing longer is found
NEWEST = 2_000  # members looked at before an index is asked
GROWTH = 5
COUNTED = 10_000  # up to so many hits are counted one by one
_UNSEEN = str.maketrans("", "", "-+()")  # in phones, some write them and some do not
_NAMED = re.compile(r"(?<!:):(\w+)")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whom to list: all of what is given must hold."""

    search: str | None = None
    tier: str | None = None  # its code
    role: Role | None = None  # held itself, not implied; MEMBER is everybody's


def search_text(display_name: str, email: str | None, phone: str | None) -> str:
    """What a member is found by, for the column `search`."""
    plain_phone = phone and "".join(phone.split())
    return _fold(" ".join(filter(None, (display_name, email, plain_phone))))


def _fold(text: str) -> str:
    return bigrams.fold(bigrams.fold(text).translate(_UNSEEN))


@database.snapshot
async def page(wanted: Wanted, first: int, after: str | None) -> paging.Page[Member]:
    """One page of whoever is wanted, the newest first; raises `paging.BadPage`."""
    await database.trust_indexes()
    start = paging.start(LIST, first, after, [int])
    before = start[0] if start else paging.LARGEST_KEY
    conditions = await _conditions(wanted)
    ids = [] if conditions is None else await _newest(conditions, before, first + 1)
    rows = await Member.filter(id__in=ids).order_by("-id") if ids else []
    return paging.cut(rows, columns=["id"], name=LIST, first=first, after=after)


async def count(wanted: Wanted) -> int:
    """How many are wanted. Looks at every member where no condition is narrow."""
    conditions = await _conditions(wanted)
    if conditions is None:
        return 0
    narrow = await _narrow(conditions, paging.LARGEST_KEY, COUNTED)
    if narrow is None:
        everybody = " AND ".join(["TRUE", *(each.whole for each in conditions)])
        sql = f"SELECT count(*) AS members FROM member WHERE {everybody}"
    else:
        tests = _tests(conditions, narrow)
        sql = f"SELECT count(*) AS members FROM ({narrow.newest(COUNTED)}) AS c WHERE {tests}"
    [row] = await _rows(sql, conditions, before=paging.LARGEST_KEY)
    return row["members"]


@dataclass(frozen=True, slots=True)
class _Condition:
    """One thing that must hold of a member, in SQL with named values."""

    ids: str  # the `id`s of all for whom it holds; open for one more AND
    key: str  # the column of these in there
    test: str  # whether it holds for `c.id`; no join, which a planner could turn around
    whole: str  # the same on a row of `member`, where everybody is looked at
    values: Mapping[str, Any] = field(default_factory=dict)
    ordered: bool = True  # whether an index gives its newest alone

    def newest(self, most: int) -> str:
        """SQL for so many of the ids below `:before`; the newest ones, if it is ordered."""
        order = f"ORDER BY {self.key} DESC " if self.ordered else ""
        return f"{self.ids} AND {self.key} < :before {order}LIMIT {most}"


_EVERYBODY = _Condition("SELECT id, search FROM member WHERE TRUE", "id", "TRUE", "TRUE")


def _of_tier(tier: Tier) -> _Condition:
    ids = "SELECT member_id AS id FROM standing WHERE tier_id = :tier"
    test = "(SELECT tier_id FROM standing WHERE member_id = c.id) = :tier"
    return _Condition(ids, "member_id", test, f"id IN ({ids})", {"tier": tier.id})


def _of_role(role: Role) -> _Condition:
    ids = "SELECT member_id AS id FROM member_role WHERE role = :role"
    test = "(SELECT role FROM member_role WHERE member_id = c.id AND role = :role) = :role"
    return _Condition(ids, "member_id", test, f"id IN ({ids})", {"role": role.value})


def _found_by(parts: Sequence[str]) -> _Condition:
    ids, grams = bigrams.candidates("member", parts)
    likes = " AND ".join(f"search LIKE :part{at} ESCAPE '!'" for at in range(len(parts)))
    test = f"(SELECT {likes} FROM member WHERE id = c.id)"
    patterns = {f"part{at}": bigrams.pattern(part) for at, part in enumerate(parts)}
    # Not plainly `id`: PostgreSQL would fetch all the ids below `:before` from their index too.
    key = "id + 0" if database.is_postgres() else "rowid"
    return _Condition(ids, key, test, likes, {"grams": grams, **patterns}, ordered=False)


async def _conditions(wanted: Wanted) -> Sequence[_Condition] | None:
    """What must hold, the likely narrowest first; None where it holds for nobody."""
    found: list[_Condition] = []
    if wanted.role not in (None, Role.MEMBER):
        found.append(_of_role(wanted.role))
    if wanted.tier is not None:
        tier = await Tier.get_or_none(code=wanted.tier) if storable(wanted.tier) else None
        if tier is None:
            return None
        found.append(_of_tier(tier))
    search = wanted.search or ""
    if not storable(search, SEARCH_CHARACTERS):
        return None
    if parts := _fold(search).split():
        found.append(_found_by(parts))
    return found


async def _newest(conditions: Sequence[_Condition], before: int, most: int) -> Sequence[int]:
    """The newest ids below `before` for which all conditions hold."""
    walked = next((each for each in conditions if each.ordered), _EVERYBODY)
    others = [each for each in conditions if each is not walked]
    size = NEWEST
    ids, end = await _step(walked, conditions, before, most, size)
    while end is not None:
        size *= GROWTH
        narrow = await _narrow(others, end, size)
        more, end = await _step(narrow or walked, conditions, end, most - len(ids), size)
        ids = [*ids, *more]
        if narrow is not None:
            break
    return ids


async def _step(
    walked: _Condition, conditions: Sequence[_Condition], before: int, most: int, size: int
) -> tuple[Sequence[int], int | None]:
    """Up to `most` ids among the next `size` of the walked condition, newest first, and where to
    go on; None when that is enough or the end."""
    steps = walked.newest(size)
    found = await _rows(
        f"SELECT c.id FROM ({steps}) AS c WHERE {_tests(conditions, walked)} "
        "ORDER BY c.id DESC LIMIT :most",
        conditions,
        before=before,
        most=most,
    )
    ids = [row["id"] for row in found]
    if len(ids) == most:
        return ids, None
    [end] = await _rows(
        f"SELECT count(*) AS seen, min(c.id) AS id FROM ({steps}) AS c", conditions, before=before
    )
    return ids, end["id"] if end["seen"] == size else None


async def _narrow(conditions: Sequence[_Condition], before: int, most: int) -> _Condition | None:
    """The first condition that holds for at most so many ids below `before`."""
    for each in conditions:
        sql = f"SELECT count(*) AS hits FROM ({each.newest(most + 1)}) AS c"
        [row] = await _rows(sql, conditions, before=before)
        if row["hits"] <= most:
            return each
    return None


def _tests(conditions: Sequence[_Condition], but: _Condition) -> str:
    """What is left to test of those that `but` gives; a search always, since pairs that a text
    has need not come together."""
    if but is _EVERYBODY:
        left = [each.whole for each in conditions]  # the rows are at hand
    else:
        left = [each.test for each in conditions if each is not but or not each.ordered]
    return " AND ".join(["TRUE", *left])


async def _rows(
    sql: str, conditions: Sequence[_Condition], **values: Any
) -> Sequence[Mapping[str, Any]]:
    """Runs a statement with named values, of the conditions and of its own."""
    for each in conditions:
        values.update(each.values)
    names = list(dict.fromkeys(_NAMED.findall(sql)))
    placed = _NAMED.sub(lambda found: f"${names.index(found[1]) + 1}", sql)
    return await database.rows(placed, *(values[name] for name in names))
