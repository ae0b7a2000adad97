"""Conversions, why they were credited to whom, and asking for them, as the API shows it."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import argument
from tortoise.queryset import QuerySet

from api import access
from api.context import STAFF, Context, Info
from api.members import Member
from api.nodes import After, Connection, First, Node, connection, find_id, to_id
from api.referral import Attribution, TouchVerdict, member_of
from api.scalars import Long
from core.paging import page
from members.models import Role
from referral import asking, conversions, models
from referral.asking import Where
from referral.models import ConversionStatus, ConversionType, Verdict


@strawberry.type(
    description="What happened and what was decided about it. A promoter sees of it only its own "
    "attributions and verdicts, and no customer.",
    directives=[access.as_parent()],
)
class Conversion(Node):
    row: strawberry.Private[models.Conversion]
    promoter_id: strawberry.Private[int | None]  # who alone is shown; None for everybody
    type: ConversionType = strawberry.field(description="What happened.")
    source: str = strawberry.field(description="The shop that told it.")
    external_id: str = strawberry.field(description="The shop's own id for it.")
    amount_minor: Long = strawberry.field(description="In minor units.")
    refunded_minor: Long = strawberry.field(
        description="Of an order: what was refunded, in minor units; never above its amount."
    )
    occurred_at: datetime = strawberry.field(description="When it happened, as the shop says.")
    status: ConversionStatus = strawberry.field(description="What became of it.")

    @classmethod
    def of(cls, row: models.Conversion, promoter_id: int | None = None) -> "Conversion":
        return cls(
            id=to_id("Conversion", row.id),
            row=row,
            promoter_id=promoter_id,
            type=row.type,
            source=row.source,
            external_id=row.external_id,
            amount_minor=Long(row.amount_minor),
            refunded_minor=Long(row.refunded_minor),
            occurred_at=row.occurred_at,
            status=row.status,
        )

    @strawberry.field(description="The customer, once known; null for a promoter.")
    async def member(self, info: Info) -> Member | None:
        if self.row.member_id is None or self.promoter_id is not None:
            return None
        return await member_of(info, self.row.member_id)

    @property
    def _shown(self) -> dict[str, int]:
        return {} if self.promoter_id is None else {"promoter_id": self.promoter_id}

    @strawberry.field(description="Of a refund: its order, once that has arrived.")
    async def order(self) -> "Conversion | None":
        row = self.row.order_id and await models.Conversion.get(id=self.row.order_id)
        return Conversion.of(row, self.promoter_id) if row else None

    @strawberry.field(description="Who brought it.")
    async def attributions(self) -> list[Attribution]:
        found = models.Attribution.filter(conversion_id=self.row.id, **self._shown).order_by("id")
        return [
            Attribution(row=row, level=row.level, weight_ppm=row.weight_ppm)
            for row in await found.select_related("link")
        ]

    @strawberry.field(
        description="Every touch and binding that was looked at, by program in time order, and "
        "why it did or did not count."
    )
    async def explanation(self) -> list[TouchVerdict]:
        found = models.TouchVerdict.filter(conversion_id=self.row.id, **self._shown).order_by("id")
        return [
            TouchVerdict(row=row, verdict=row.verdict, detail=row.detail)
            for row in await found.select_related("touch__link")
        ]


@strawberry.input(
    description="Narrows a list of conversions; all that is given holds together. `verdict`, "
    "`program` and `promoter` are of one touch or binding that was looked at."
)
class ConversionWhere:
    status: list[ConversionStatus] | None = strawberry.field(
        default=None, description="Any of these."
    )
    verdict: list[Verdict] | None = strawberry.field(default=None, description="Any of these.")
    type: list[ConversionType] | None = strawberry.field(default=None, description="Any of these.")
    program: str | None = strawberry.field(default=None, description="The program's code.")
    promoter: strawberry.ID | None = strawberry.field(default=None, description="Whose touch.")
    member: strawberry.ID | None = strawberry.field(default=None, description="The customer.")
    source: str | None = strawberry.field(default=None, description="The shop.")
    since: datetime | None = strawberry.field(
        default=None, description="It happened then or later."
    )
    until: datetime | None = strawberry.field(default=None, description="It happened before.")

    def plain(self) -> Where:
        """The same in the words of the room; an id of nobody matches nothing."""
        return Where(
            statuses=self.status,
            verdicts=self.verdict,
            types=self.type,
            program=self.program,
            promoter_id=_number(self.promoter),
            member_id=_number(self.member),
            source=self.source,
            since=self.since,
            until=self.until,
        )


def _number(id: str | None) -> int | None:
    return None if id is None else find_id("Member", id) or 0


Wanted = Annotated[ConversionWhere | None, argument(description="Narrows the list.")]


async def connected(
    found: QuerySet[models.Conversion],
    *,
    name: str,
    first: int,
    after: str | None,
    promoter_id: int | None = None,
) -> Connection[Conversion]:
    """One page of conversions, newest first, as a promoter or as everybody else may see them."""
    rows = await page(found, order=("-id",), name=name, first=first, after=after)
    return connection(rows, lambda row: Conversion.of(row, promoter_id), total=found.count)


async def of_promoter(
    context: Context, promoter_id: int, where: ConversionWhere | None, first: int, after: str | None
) -> Connection[Conversion]:
    """One page of what concerned a promoter; staff see all of it."""
    plain = where.plain() if where else Where()
    staff = not context.signed_in().roles.isdisjoint(STAFF)
    return await connected(
        asking.of_promoter(promoter_id, plain, masked=not staff),
        name=f"conversions:{promoter_id}:{asking.digest(plain)}",
        first=first,
        after=after,
        promoter_id=None if staff else promoter_id,
    )


@strawberry.type
class ConversionQuery:
    @strawberry.field(
        description="A conversion by the shop's own id. Staff, the service that recorded it, an "
        "API key of its source, and a promoter whose touch, code or binding was looked at.",
        extensions=[access.SIGNED_IN],
    )
    async def conversion(
        self,
        info: Info,
        source: Annotated[str, argument(description="The shop.")],
        external_id: Annotated[str, argument(description="The shop's own id for it.")],
        type: Annotated[
            ConversionType, argument(description="Each type has ids of its own.")
        ] = ConversionType.ORDER,
    ) -> Conversion | None:
        row = await conversions.find(type, source, external_id)
        return row and await seen(info.context, row)

    @strawberry.field(
        description="Conversions, newest first. SERVICE: what it recorded, and its sources.",
        extensions=[access.allow(*STAFF, Role.SERVICE)],
    )
    async def conversions(
        self, info: Info, where: Wanted = None, first: First = 20, after: After = None
    ) -> Connection[Conversion]:
        viewer, plain = info.context.signed_in(), where.plain() if where else Where()
        staff = not viewer.roles.isdisjoint(STAFF)
        found = asking.conversions(plain) if staff else asking.of_service(viewer, plain)
        name = f"conversions:{asking.digest(plain)}"
        return await connected(found, name=name, first=first, after=after)


async def seen(context: Context, row: models.Conversion) -> Conversion | None:
    """The conversion as the viewer may see it, if at all: staff all of it, a service what it
    recorded and what is of the sources that its key names, a promoter its own part."""
    viewer = context.signed_in()
    named = viewer.sources is not None and row.source in viewer.sources
    told = Role.SERVICE in viewer.roles and row.recorded_by_id == viewer.member_id
    if not viewer.roles.isdisjoint(STAFF) or named or told:
        return Conversion.of(row)
    concerned = await asking.concerns(viewer.member_id, [row.id])
    return Conversion.of(row, viewer.member_id) if concerned else None
