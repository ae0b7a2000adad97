"""What came of links, in figures, as the API shows it."""

from datetime import datetime
from enum import Enum
from typing import Annotated
from zoneinfo import ZoneInfo

import strawberry
from strawberry import argument

from api import access
from api.context import Info
from api.scalars import Long
from referral import insight
from referral.insight import Figures, Point, Scope, Span

Since = Annotated[datetime | None, argument(description="From then on; null from the beginning.")]
Until = Annotated[datetime | None, argument(description="Until before then; null until now.")]


@strawberry.enum(description="How long each point of a series lasts.")
class Bucket(Enum):
    HOUR = "HOUR"
    DAY = strawberry.enum_value("DAY", description="Of the installation's time zone.")


@strawberry.type(description="What happened in an hour or a day.", directives=[access.as_parent()])
class StatsPoint:
    at: datetime = strawberry.field(description="When it begins.")
    clicks: int = strawberry.field(description="Clicks of people.")
    registrations: int = strawberry.field(description="Accounts that were made.")
    orders: int = strawberry.field(description="Paid orders.")
    credited_minor: Long = strawberry.field(description="What was credited and not taken back.")

    @classmethod
    def of(cls, point: Point) -> "StatsPoint":
        return cls(
            at=point.at,
            clicks=point.figures["clicks"],
            registrations=point.figures["registrations"],
            orders=point.figures["orders"],
            credited_minor=Long(point.figures["credited_minor"]),
        )


@strawberry.type(
    description="What came of a link, or of a promoter in a program. Workers keep the figures, "
    "some seconds behind. What a conversion brought counts when the conversion happened, refunds "
    "included.",
    directives=[access.as_parent()],
)
class LinkStats:
    scope: strawberry.Private[Scope]
    span: strawberry.Private[Span]
    clicks: int = strawberry.field(description="Clicks of people.")
    bot_hits: int = strawberry.field(description="Clicks of everything else.")
    registrations: int = strawberry.field(description="Accounts attributed to it.")
    orders: int = strawberry.field(
        description="Paid orders attributed to it; one that is shared counts whole for each."
    )
    revenue_minor: Long = strawberry.field(
        description="What was paid for orders and fees and not refunded, in minor units; of a "
        "shared one its share."
    )
    credited_minor: Long = strawberry.field(
        description="Commissions in cash at level 1, less what was taken back."
    )

    @classmethod
    def of(cls, scope: Scope, span: Span, figures: Figures) -> "LinkStats":
        return cls(
            scope=scope,
            span=span,
            clicks=figures["clicks"],
            bot_hits=figures["bot_hits"],
            registrations=figures["registrations"],
            orders=figures["orders"],
            revenue_minor=Long(figures["revenue_minor"]),
            credited_minor=Long(figures["credited_minor"]),
        )

    @strawberry.field(description="People who clicked, each once in the whole span.")
    async def visitors(self) -> int:
        return await insight.visitors(self.scope, self.span)

    @strawberry.field(
        description="The same by hour or day, oldest first; where nothing happened there is no "
        "point. At most 10,000 points, the latest."
    )
    async def series(
        self,
        info: Info,
        bucket: Annotated[Bucket, argument(description="How long each lasts.")] = Bucket.DAY,
    ) -> list[StatsPoint]:
        by_hour = await insight.figures(self.scope, "hour", self.span)
        zone = ZoneInfo(info.context.settings.time_zone) if bucket is Bucket.DAY else None
        return [StatsPoint.of(point) for point in insight.series(by_hour, zone)]


async def of_link(info: Info, link_id: int, since: Since, until: Until) -> LinkStats:
    """What came of a link; asked of many at once it is read at once."""
    span = insight.span(since, until)
    figures = await info.context.load.figures_by_link.load((link_id, span))
    return LinkStats.of(insight.of_links([link_id]), span, figures)


async def of_promoter(program_id: int, promoter_id: int, since: Since, until: Until) -> LinkStats:
    """What a promoter brought to a program, by bindings too."""
    span = insight.span(since, until)
    scope = insight.of_promoter(program_id, promoter_id)
    found = await insight.figures(scope, "promoter_id", span)
    return LinkStats.of(scope, span, found[promoter_id])
