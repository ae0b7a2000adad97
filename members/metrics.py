"""Owns the measuring: what the facts of members add up to, over the windows that rules ask for.

The six lifetime metrics stand in the member's row, kept up with every fact; what is over a window
or of one plan is summed from the facts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core import database
from members.models import ApplicationStatus, TierMetric, Window
from members.rules import INVITED, Term
from members.tiers import Ladder, State

LIFETIME = {
    TierMetric.SPEND: "spend_minor",
    TierMetric.FEE: "fees_minor",
    TierMetric.INVITED_REGISTERED: "invited_registered",
    TierMetric.INVITED_BOUGHT: "invited_bought",
    TierMetric.INVITED_PROMOTED: "invited_promoted",
    TierMetric.POINTS_EARNED: "points_earned",
}
INVITED_AT = {
    TierMetric.INVITED_REGISTERED: "registered_at",
    TierMetric.INVITED_BOUGHT: "bought_at",
    TierMetric.INVITED_PROMOTED: "promoted_at",
}
EVERYBODY = "{column} IS NOT NULL"


@dataclass(slots=True)
class Measured:
    """What somebody has reached and where they stand; changed in memory as facts are booked."""

    member_id: int
    state: State
    values: dict[Term, int]
    # When the oldest fact of a window leaves it, for the terms that have one.
    oldest: dict[Term, datetime] = field(default_factory=dict)


def among(member_ids: Sequence[int]) -> str:
    """The condition for a member to be one of these, over `{column}`."""
    return f"{{column}} IN ({', '.join(map(str, member_ids))})"


def between(after: int, last: int) -> str:
    """The condition for a member's id to lie behind `after` and not behind `last`."""
    return f"{{column}} > {after} AND {{column}} <= {last}"


class Measuring:
    """The SQL that measures what a ladder asks for, with the values it takes.

    `sql` selects one row per member: the columns of the standing, `t0` … with the terms in the
    ladder's order, `o0` … with the oldest fact in each window, and `a0` … that say whether the
    tiers with approval are approved.
    """

    def __init__(self, ladder: Ladder, now: datetime, scope: str = EVERYBODY) -> None:
        self.ladder = ladder
        self.values: list[Any] = []
        self._now = now
        self._scope = scope
        self._column = {term: f"t{place}" for place, term in enumerate(ladder.terms)}
        self.windowed = [term for term in ladder.terms if not is_lifetime(term)]
        self.sql = self._select()

    def column(self, term: Term) -> str:
        """The column of the result that holds the term."""
        return self._column[term]

    def oldest(self, term: Term) -> str:
        """The column that holds the oldest fact in the term's window."""
        return f"o{self._column[term][1:]}"

    def approved(self, place: int) -> str:
        """The column that says whether tier `ladder.with_approval[place]` is approved."""
        return f"a{place}"

    def _select(self) -> str:
        facts = self._sums(
            "metric_fact",
            "member_id",
            [each for each in self.windowed if each.metric not in INVITED],
        )
        invited = self._sums(
            "invitation", "inviter_id", [each for each in self.windowed if each.metric in INVITED]
        )
        columns = ["standing.*", *map(self._value, self.ladder.terms)]
        columns += [
            self.oldest(term) for term in self.windowed if term.window is not Window.LIFETIME
        ]
        columns += [
            f"{_APPROVED.format(tier=rung.id)} AS {self.approved(place)}"
            for place, rung in enumerate(self.ladder.with_approval)
        ]
        where = self._scope.format(column="standing.member_id")
        return f"SELECT {', '.join(columns)} FROM standing{facts}{invited} WHERE {where}"

    def _value(self, term: Term) -> str:
        name = self._column[term]
        if is_lifetime(term):
            return f"{LIFETIME[term.metric]} AS {name}"
        return f"CAST(COALESCE(s{name}, 0) AS BIGINT) AS {name}"

    def _sums(self, table: str, owner: str, terms: Sequence[Term]) -> str:
        """A join with the sums of the terms by member, or nothing where there are none."""
        if not terms:
            return ""
        sums = ", ".join(part for term in terms for part in self._sum(term))
        scope = self._scope.format(column=owner)
        metrics = ", ".join(sorted({f"'{term.metric}'" for term in terms}))
        kind = f" AND metric IN ({metrics})" if table == "metric_fact" else ""
        return (
            f" LEFT JOIN (SELECT {owner} AS owner_id, {sums} FROM {table} WHERE {scope}{kind}"
            f" GROUP BY {owner}) AS {table}s ON {table}s.owner_id = standing.member_id"
        )

    def _sum(self, term: Term) -> Sequence[str]:
        """What the term adds up to; and over a window its oldest fact."""
        invited = term.metric in INVITED
        at, amount = (INVITED_AT[term.metric], "1") if invited else ("at", "amount")
        kind = [f"{at} IS NOT NULL"] if invited else [f"metric = '{term.metric}'"]
        if term.plan is not None:
            kind.append(f"plan = {self._bind(term.plan)}")
        since, until = (
            term.since(self._now, self.ladder.zone),
            term.until(self._now, self.ladder.zone),
        )
        begun = [*kind, f"{at} >= {self._bind(since)}"] if since else kind
        inside = [*begun, f"{at} < {self._bind(until)}"] if until else begun
        name = self._column[term]
        sums = [f"SUM(CASE WHEN {' AND '.join(inside)} THEN {amount} END) AS s{name}"]
        if term.window is not Window.LIFETIME:
            sums.append(
                f"MIN(CASE WHEN {' AND '.join(begun)} THEN {at} END) AS {self.oldest(term)}"
            )
        return sums

    def _bind(self, value: Any) -> str:
        self.values.append(value)
        return f"${len(self.values)}"

    def measured(self, row: Mapping[str, Any]) -> Measured:
        """A row of the result."""
        oldest = {
            term: at
            for term in self.windowed
            if (at := database.instant(row.get(self.oldest(term)))) is not None
        }
        return Measured(
            member_id=row["member_id"],
            state=State(
                tier=row["tier_id"],
                earned=row["earned_tier_id"],
                expires_at=database.instant(row["expires_at"]),
                floor=row["floor_tier_id"],
                floor_until=database.instant(row["floor_until"]),
                approved=self._approvals(row),
            ),
            values={term: row[name] for term, name in self._column.items()},
            oldest=oldest,
        )

    def _approvals(self, row: Mapping[str, Any]) -> frozenset[int]:
        return frozenset(
            rung.id
            for place, rung in enumerate(self.ladder.with_approval)
            if row[self.approved(place)]
        )


_APPROVED = f"""EXISTS (
    SELECT 1 FROM tier_application AS application
    WHERE application.member_id = standing.member_id AND application.tier_id = {{tier}}
    AND application.status = '{ApplicationStatus.APPROVED}' AND application.lapsed_at IS NULL
)"""


def is_lifetime(term: Term) -> bool:
    """Whether the term stands in the member's row as it is."""
    return term.window is Window.LIFETIME and term.plan is None


def review_at(ladder: Ladder, measured: Measured, now: datetime) -> datetime | None:
    """When time alone may next change the tier: a grant or a validity ends, a fact leaves its
    window or the year turns."""
    ends = [measured.state.floor_until, measured.state.expires_at]
    ends += [term.slides_at(at, now, ladder.zone) for term, at in measured.oldest.items()]
    return min((end for end in ends if end is not None), default=None)
