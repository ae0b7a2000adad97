"""Programs and what they pay, as the API shows them and operators write them down."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import argument

from api import access
from api.context import Info
from api.errors import UserError, mistakes_to
from api.nodes import Node, to_id
from api.scalars import Long
from members.models import Asset, Role
from referral import models, programs
from referral.models import AttributionModel, BindingMode, ConversionType
from referral.programs import Reward, Terms

strawberry.enum(Asset, description="What an account is kept in.")
strawberry.enum(ConversionType, description="What happened.")
strawberry.enum(AttributionModel, description="How the touches that count share a conversion.")
strawberry.enum(
    BindingMode, description="What makes a customer the promoter's for later conversions."
)


@strawberry.type(
    description="What a program pays for a kind of conversion.", directives=[access.as_parent()]
)
class RewardRule:
    version: int = strawberry.field(description="Rules never change; a new rate is a new version.")
    on: ConversionType = strawberry.field(description="What it rewards.")
    asset: Asset = strawberry.field(description="What it pays in.")
    rate_bps: int | None = strawberry.field(
        description="Of what was paid, in hundredths of a percent, a half rounded up."
    )
    amount: Long | None = strawberry.field(
        description="Instead of a rate: the same each time, in minor units or points."
    )
    level: int = strawberry.field(description="1 pays whoever brought it, 2 their parent.")
    role: Role | None = strawberry.field(
        description="Of whoever receives it; a rule that names a role goes before one that does "
        "not."
    )
    cap_per_conversion: Long | None = strawberry.field(
        description="The most for one conversion, before it is split."
    )

    @classmethod
    def of(cls, row: models.RewardRule) -> "RewardRule":
        return cls(
            version=row.version,
            on=row.on,
            asset=row.asset,
            rate_bps=row.rate_bps,
            amount=None if row.amount is None else Long(row.amount),
            level=row.level,
            role=row.role,
            cap_per_conversion=None
            if row.cap_per_conversion is None
            else Long(row.cap_per_conversion),
        )


@strawberry.type(description="Terms under which links earn.", directives=[access.as_parent()])
class Program(Node):
    row: strawberry.Private[models.Program]
    code: str = strawberry.field(description="Its name for programs; unique.")
    name: str = strawberry.field(description="Its name for people.")
    model: AttributionModel = strawberry.field(description="How touches share a conversion.")
    window_days: int = strawberry.field(
        description="How many times 24 hours a touch counts, both ends included."
    )
    binding: BindingMode = strawberry.field(description="What binds a customer to a promoter.")
    binding_days: int | None = strawberry.field(
        description="How many times 24 hours that lasts; null for ever."
    )
    new_customers_only: bool = strawberry.field(
        description="Whether customers with an earlier paid order are refused."
    )
    exclusive_group: str | None = strawberry.field(
        description="Of the programs of one group only one pays for a conversion; null stands for "
        "itself."
    )
    auto_enroll: bool = strawberry.field(description="Whether the first share enrols.")
    hold_days: int = strawberry.field(
        description="How many times 24 hours after the conversion a commission is released."
    )
    min_payout_minor: Long = strawberry.field(description="Less is not paid out.")
    currency: str = strawberry.field(description="ISO 4217.")
    open_to: list[Role] = strawberry.field(description="Who may enrol; MEMBER is everybody.")
    starts_at: datetime | None = strawberry.field(description="Nothing counts before.")
    ends_at: datetime | None = strawberry.field(description="Nothing counts from then on.")

    @classmethod
    def of(cls, row: models.Program) -> "Program":
        return cls(
            id=to_id("Program", row.id),
            row=row,
            code=row.code,
            name=row.name,
            model=row.model,
            window_days=row.window_days,
            binding=row.binding,
            binding_days=row.binding_days,
            new_customers_only=row.new_customers_only,
            exclusive_group=row.exclusive_group,
            auto_enroll=row.auto_enroll,
            hold_days=row.hold_days,
            min_payout_minor=Long(row.min_payout_minor),
            currency=row.currency,
            open_to=sorted(programs.open_to(row), key=list(Role).index),
            starts_at=row.starts_at,
            ends_at=row.ends_at,
        )

    @strawberry.field(description="What it pays now; a version with a later `from` comes then.")
    async def rules(self, info: Info) -> list[RewardRule]:
        found = await programs.rules_at(self.row.id, info.context.now)
        return [RewardRule.of(row) for row in found]


async def program(info: Info, program_id: int) -> Program:
    """The program with this id, which something refers to."""
    row = await info.context.load.program_by_id.load(program_id)
    if row is None:
        raise LookupError(f"program {program_id} is referred to and missing")
    return Program.of(row)


@strawberry.input(
    description="What a program pays: `rateBps` of what was paid, or a fixed `amount`."
)
class RewardRuleInput:
    on: ConversionType = strawberry.field(description="What it rewards; not REFUND.")
    asset: Asset = strawberry.field(description="What it pays in.")
    rate_bps: int | None = strawberry.field(
        default=None, description="1 to 10,000 hundredths of a percent; for ORDER and FEE."
    )
    amount: Long | None = strawberry.field(
        default=None, description="Minor units or points, 1 or more."
    )
    level: int = strawberry.field(
        default=1, description="1 for whoever brought it, 2 for their parent."
    )
    role: Role | None = strawberry.field(default=None, description="Of receivers with it alone.")
    cap_per_conversion: Long | None = strawberry.field(
        default=None, description="The most for one conversion, before it is split."
    )

    def plain(self) -> Reward:
        """The same in the words of the room."""
        return Reward(
            self.on,
            self.asset,
            self.rate_bps,
            self.amount,
            self.level,
            self.role,
            self.cap_per_conversion,
        )


@strawberry.input(description="A program, by its code. Without `rules` they stay as they are.")
class ProgramInput:
    code: str = strawberry.field(description="At most 40 characters; unique.")
    name: str = strawberry.field(description="At most 100 characters.")
    model: AttributionModel = strawberry.field(
        default=AttributionModel.LAST_TOUCH, description="How touches share a conversion."
    )
    window_days: int = strawberry.field(default=30, description="1 to 3,650 times 24 hours.")
    binding: BindingMode = strawberry.field(
        default=BindingMode.NONE, description="What binds a customer to a promoter."
    )
    binding_days: int | None = strawberry.field(
        default=None, description="1 to 3,650 times 24 hours; null for ever."
    )
    new_customers_only: bool = strawberry.field(
        default=False, description="Whether customers with an earlier paid order are refused."
    )
    exclusive_group: str | None = strawberry.field(
        default="default", description="At most 40 characters; null stands for itself."
    )
    auto_enroll: bool = strawberry.field(default=False, description="Whether sharing enrols.")
    hold_days: int = strawberry.field(default=7, description="0 to 3,650 times 24 hours.")
    min_payout_minor: Long = strawberry.field(default=Long(0), description="0 or more.")
    open_to: list[Role] = strawberry.field(description="Who may enrol; MEMBER is everybody.")
    starts_at: datetime | None = strawberry.field(default=None, description="From when on.")
    ends_at: datetime | None = strawberry.field(default=None, description="Until before when.")
    rules: list[RewardRuleInput] | None = strawberry.field(
        default=None,
        description="What it pays: the first rules hold from the beginning of time, others from "
        "now on.",
    )

    def plain(self) -> Terms:
        """The same in the words of the room."""
        values = {name: value for name, value in vars(self).items() if name != "rules"}
        return Terms(**values)


@strawberry.type(description="A program as it is now.", directives=[access.as_parent()])
class ProgramPayload:
    program: Program | None = strawberry.field(default=None, description="The program.")
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="What has to be corrected; empty when it worked."
    )


@strawberry.type
class ProgramQuery:
    @strawberry.field(description="All programs, by code.", extensions=[access.EVERYBODY])
    async def programs(self) -> list[Program]:
        return [Program.of(row) for row in await models.Program.all().order_by("code")]


@strawberry.type
class ProgramMutation:
    @strawberry.mutation(
        description="Makes a program, or changes the terms of the one with this code: later "
        "decisions go by them, what was credited stays.",
        extensions=[access.allow(Role.ADMIN)],
    )
    @mistakes_to(lambda errors: ProgramPayload(errors=errors))
    async def program_save(
        self, info: Info, input: Annotated[ProgramInput, argument(description="The program.")]
    ) -> ProgramPayload:
        context = info.context
        row = await programs.save(
            input.plain(),
            None if input.rules is None else [each.plain() for each in input.rules],
            currency=context.settings.currency,
            now=context.now,
            actor_id=context.signed_in().member_id,
        )
        return ProgramPayload(program=Program.of(row))

    @strawberry.mutation(
        description="Makes a new version of what a program pays, from now or later: what happened "
        "before is paid by the rules of its day.",
        extensions=[access.allow(Role.ADMIN)],
    )
    @mistakes_to(lambda errors: ProgramPayload(errors=errors))
    async def program_rules_publish(
        self,
        info: Info,
        program: Annotated[str, argument(description="The program's code.")],
        rules: Annotated[
            list[RewardRuleInput], argument(description="All of them; none pays nothing.")
        ],
        from_: Annotated[
            datetime | None, argument(name="from", description="From when on; now if missing.")
        ] = None,
    ) -> ProgramPayload:
        context = info.context
        row = await programs.publish(
            program,
            [each.plain() for each in rules],
            holds_from=from_,
            now=context.now,
            actor_id=context.signed_in().member_id,
        )
        return ProgramPayload(program=Program.of(row))
