"""Owns what is read from the counters: of a link, of a promoter, of a whole program.

Whole hours come from the counters. Where a span begins or ends within an hour, that hour is read
from the touches and outcomes themselves, as far as they are counted, so that every span is exact.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from core import database
from referral import counting
from referral.counting import FIGURES, hour
from referral.evidence import visits
from referral.models import Enrollment, Link
from referral.outcomes import EARNED

HOUR = timedelta(hours=1)
LAST = datetime(9999, 1, 1, tzinfo=UTC)  # nothing happens later, and there is room to round up
MOST_POINTS = 10_000

By = Literal["hour", "promoter_id", "link_id"]
Figures = Mapping[str, int]

_WHOLE_HOURS = f"""
SELECT {{by}} AS key, {", ".join(f"CAST(SUM({each}) AS BIGINT) AS {each}" for each in FIGURES)}
FROM hour_count WHERE {{scope}} AND {{span}} GROUP BY {{by}}
"""
_OUTCOMES = f"""
SELECT link_id, promoter_id,
    {", ".join(f"CAST(SUM({each}) AS BIGINT) AS {each}" for each in EARNED)}
FROM outcome WHERE {{scope}} AND {{span}} GROUP BY link_id, promoter_id
"""
# Only links that the counters name for the hour were touched in it.
_TOUCHED = """
FROM hour_count
JOIN touch ON touch.link_id = hour_count.link_id AND {span} AND touch.id <= {counted}
WHERE {scope} AND hour_count.hour = {hour}
"""
_CLICKS = """
SELECT hour_count.link_id, hour_count.promoter_id,
    COUNT(*) - COUNT(bot_reason) AS clicks, COUNT(bot_reason) AS bot_hits
{touched} GROUP BY hour_count.link_id, hour_count.promoter_id
"""
_VISITING = """
touch.bot_reason IS NULL AND touch.id <= {counted} AND touch.visitor IN (
    SELECT touch.visitor {touched} AND bot_reason IS NULL
)
"""
_VISITORS = """
SELECT COUNT(DISTINCT visitor) AS visitors FROM touch
WHERE link_id IN ({links}) AND bot_reason IS NULL AND id <= {counted} AND {span}
"""


@dataclass(frozen=True, slots=True)
class Span:
    """A time: `since` included, `until` not; None has no such end."""

    since: datetime | None = None
    until: datetime | None = None

    @property
    def empty(self) -> bool:
        return self.since is not None and self.until is not None and self.since >= self.until

    def whole_hours(self) -> "Span":
        """The hours that lie in it wholly."""
        since, until = self.since, self.until
        return Span(
            since if since is None or hour(since) == since else hour(since) + HOUR,
            until and hour(until),
        )

    def edges(self) -> Iterator["Span"]:
        """The parts of it that lie in an hour which does not."""
        since, until = self.since, self.until
        if since is not None and until is not None and hour(since) == hour(until):
            yield self
            return
        if since is not None and hour(since) != since:
            yield Span(since, hour(since) + HOUR)
        if until is not None and hour(until) != until:
            yield Span(hour(until), until)


def span(since: datetime | None, until: datetime | None) -> Span:
    """The same instants in UTC, as they are stored."""
    ends = [each and min(each.astimezone(UTC), LAST) for each in (since, until)]
    return Span(*ends)


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose figures: SQL of ids alone, over the columns of the counters and of the outcomes."""

    where: str
    links: str  # SQL for the ids of the links

    def of(self, table: str) -> str:
        """The same, where other tables have such columns too."""
        return self.where.format(t=f"{table}.")


def of_links(link_ids: Sequence[int]) -> Scope:
    """Of these links."""
    listed = ", ".join(str(int(each)) for each in link_ids)
    return Scope(f"{{t}}link_id IN ({listed})", listed)


def of_promoter(program_id: int, promoter_id: int) -> Scope:
    """Of all links of a promoter in a program, and of the customers bound to them."""
    owned = f"SELECT id FROM link WHERE owner_id = {promoter_id} AND program_id = {program_id}"
    return Scope(f"{{t}}promoter_id = {promoter_id} AND {{t}}program_id = {program_id}", owned)


def of_program(program_id: int) -> Scope:
    """Of everybody in a program."""
    links = f"SELECT id FROM link WHERE program_id = {program_id}"
    return Scope(f"{{t}}program_id = {program_id}", links)


@database.snapshot
async def figures(
    scope: Scope, by: By, span: Span, *, with_visits: bool = False
) -> dict[object, Counter[str]]:
    """The figures of the span by hour, promoter or link; visits only where they are asked for, and
    a link of 0 stands for none."""
    found: defaultdict[object, Counter[str]] = defaultdict(Counter)
    if span.empty:
        return found
    await database.trust_indexes(sort=True)
    whole = span.whole_hours()
    if not whole.empty:
        where, values = _within("hour", whole)
        sql = _WHOLE_HOURS.format(by=by, scope=scope.of("hour_count"), span=where)
        for row in await database.rows(sql, *values):
            key = row.pop("key")
            found[database.instant(key) if by == "hour" else key].update(row)
    counted = await counting.counted_to()
    for edge in span.edges():
        for row in await _edge(scope, edge, counted, with_visits=with_visits):
            part = {each: row[each] for each in FIGURES if each in row}
            found[row[by]].update(part)
    return found


async def _edge(
    scope: Scope, edge: Span, counted: int, *, with_visits: bool
) -> list[dict[str, Any]]:
    """The figures of a part of one hour, in rows that name promoter, link and hour."""
    began = hour(edge.since or LAST)
    at, values = _within("at", edge)
    sql = _OUTCOMES.format(scope=scope.of("outcome"), span=at)
    found = await database.rows(sql, *values)
    touched_at, values = _within("touched_at", edge)
    touched = _TOUCHED.format(
        span=touched_at, scope=scope.of("hour_count"), counted=counted, hour="$3"
    )
    clicks = await database.rows(_CLICKS.format(touched=touched), *values, began)
    found += clicks
    if with_visits:
        link_ids = {row["link_id"] for row in clicks}
        visiting = _VISITING.format(counted=counted, touched=touched)
        for touch in visits(await counting.read(visiting, *values, began)):
            if touch.link_id in link_ids and _in(edge, touch.touched_at):
                ids = {"link_id": touch.link_id, "promoter_id": touch.promoter_id}
                found.append({**ids, "visits": 1})
    return [row | {"hour": began} for row in found]


def _in(span: Span, at: datetime) -> bool:
    return (span.since is None or span.since <= at) and (span.until is None or at < span.until)


def _within(column: str, span: Span) -> tuple[str, list[datetime]]:
    """SQL for an instant to lie in the span, and its values."""
    conditions, values = ["1 = 1"], []
    for comparison, bound in ((">=", span.since), ("<", span.until)):
        if bound is not None:
            values.append(bound)
            conditions.append(f"{column} {comparison} ${len(values)}")
    return " AND ".join(conditions), values


@database.snapshot
async def visitors(scope: Scope, span: Span) -> int:
    """How many people came: each visitor once, however many of the links they clicked.

    The touches are read by the index of their links: what people have in common with an hour before
    cannot be added up.
    """
    await database.trust_indexes(sort=True)
    where, values = _within("touched_at", span)
    counted = await counting.counted_to()
    sql = _VISITORS.format(links=scope.links, counted=counted, span=where)
    [row] = await database.rows(sql, *values)
    return row["visitors"]


# ---- series


@dataclass(frozen=True, slots=True)
class Point:
    """What happened from an instant on."""

    at: datetime
    figures: Figures


def series(by_hour: Mapping[object, Figures], zone: ZoneInfo | None) -> Sequence[Point]:
    """The hours in which something happened, oldest first, or with a time zone the days there; an
    hour belongs to the day that it begins in. At most 10,000, the latest."""
    points: defaultdict[datetime, Counter[str]] = defaultdict(Counter)
    for at, found in by_hour.items():
        if isinstance(at, datetime) and any(found.values()):
            points[at if zone is None else _day(at, zone)].update(found)
    return [Point(at, points[at]) for at in sorted(points)][-MOST_POINTS:]


def _day(at: datetime, zone: ZoneInfo) -> datetime:
    local = at.astimezone(zone)
    return datetime(local.year, local.month, local.day, tzinfo=zone).astimezone(UTC)


# ---- a program


@dataclass(frozen=True, slots=True)
class Place:
    """Somebody's place among the promoters of a program."""

    rank: int
    promoter_id: int
    figures: Figures


async def leaderboard(program_id: int, span: Span, first: int | None = None) -> Sequence[Place]:
    """The promoters through whom anything came, by what they were credited, then by revenue,
    orders, registrations and clicks, then whoever has been here longer; all of them without
    `first`."""
    found = await figures(of_program(program_id), "promoter_id", span)
    promoters = [each for each in found if isinstance(each, int) and any(found[each].values())]
    ranking = ("credited_minor", "revenue_minor", "orders", "registrations", "clicks")
    promoters.sort(key=lambda each: ([-found[each][name] for name in ranking], each))
    return [Place(at, each, found[each]) for at, each in enumerate(promoters[:first], start=1)]


@dataclass(frozen=True, slots=True)
class Stage:
    """One way in, and how far people came by it. Without channel and content: also what came by
    bindings, without a link."""

    channel: str | None
    content_id: int | None
    figures: Figures


async def funnel(program_id: int, span: Span) -> Sequence[Stage]:
    """What came by each channel and content to which the program has links, the most clicked
    first; both are those of the link."""
    found = await figures(of_program(program_id), "link_id", span, with_visits=True)
    ways = {0: (None, None)} | {
        link_id: (channel, content_id)
        for link_id, channel, content_id in await Link.filter(program_id=program_id).values_list(
            "id", "channel", "content_id"
        )
    }
    stages: defaultdict[tuple[str | None, int | None], Counter[str]] = defaultdict(Counter)
    for link_id, numbers in found.items():
        if isinstance(link_id, int) and any(numbers.values()):
            stages[ways[link_id]].update(numbers)
    rows = [Stage(*way, numbers) for way, numbers in stages.items()]
    return sorted(
        rows, key=lambda each: (-each.figures["clicks"], each.channel or "", each.content_id or 0)
    )


async def is_promoter(program_id: int, member_id: int) -> bool:
    """Whether the member is enrolled, also while suspended."""
    return await Enrollment.exists(program_id=program_id, member_id=member_id)
