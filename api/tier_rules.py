"""What staff do about tiers: rules, grants and applications, as the API shows it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import strawberry
from strawberry import argument

from api import access
from api.accounts import MemberPayload
from api.context import STAFF, Info
from api.errors import Refusal, UserError, mistakes_to
from api.jobs import Job
from api.members import Member
from api.nodes import from_id
from api.scalars import Long
from api.tiers import Tier, TierApplication, shown
from content import gate
from core.errors import Mistake
from members import grants, models, publishing
from members.models import DowngradePolicy, Role, TierMetric, Window
from members.publishing import TierRule

TierCode = Annotated[str, argument(description="The tier's code.")]


@strawberry.input(description="Asks that a metric over a window is at least so much.")
class RuleLeafInput:
    metric: TierMetric = strawberry.field(description="What is measured.")
    at_least: Long = strawberry.field(
        description="Reaching exactly this is enough; minor units, points or a count; 0 or more."
    )
    plan: str | None = strawberry.field(
        default=None, description="Of FEE: fees paid for that plan alone."
    )
    window: Window = strawberry.field(default=Window.LIFETIME, description="Over which time.")
    days: int | None = strawberry.field(
        default=None, description="Of LAST_DAYS: how many times 24 hours."
    )

    def stored(self) -> Mapping[str, Any]:
        leaf = {
            "metric": self.metric,
            "atLeast": self.at_least,
            "plan": self.plan,
            "window": self.window,
            "days": self.days,
        }
        return {name: value for name, value in leaf.items() if value is not None}


@strawberry.input(
    one_of=True,
    description="A rule, exactly one of these; they nest up to 5 deep and expand to at most 32 "
    "alternatives.",
)
class RuleInput:
    any: list["RuleInput"] | None = strawberry.field(
        default=strawberry.UNSET, description="Holds when one of these does."
    )
    all: list["RuleInput"] | None = strawberry.field(
        default=strawberry.UNSET, description="Holds when all of these do."
    )
    leaf: RuleLeafInput | None = strawberry.field(
        default=strawberry.UNSET, description="Holds when its metric is reached."
    )

    def stored(self) -> Mapping[str, Any]:
        if self.leaf:
            return {"leaf": self.leaf.stored()}
        if self.any is not strawberry.UNSET:
            return {"any": [each.stored() for each in self.any or ()]}
        return {"all": [each.stored() for each in self.all or ()]}


@strawberry.input(description="A tier as it shall be.")
class TierRuleInput:
    code: str = strawberry.field(description="Its name for programs; at most 40 characters.")
    name: str = strawberry.field(description="Its name for people; at most 100 characters.")
    rank: int = strawberry.field(description="The higher, the better; unique, 0 or more.")
    rule: RuleInput = strawberry.field(description="The threshold at which it is entered.")
    requires_approval: bool = strawberry.field(
        default=False, description="Whether staff have to approve an application too."
    )
    validity_days: int | None = strawberry.field(
        default=None, description="AT_EXPIRY needs it: how long it is kept once the rule has held."
    )
    grace_days: int = strawberry.field(default=0, description="How many days more after that.")
    downgrade: DowngradePolicy = strawberry.field(
        default=DowngradePolicy.NEVER, description="What falling below the threshold does."
    )
    benefits: list[str] = strawberry.field(
        default_factory=list, description="What it brings, in words; at most 50."
    )

    def draft(self) -> TierRule:
        return TierRule(
            code=self.code,
            name=self.name,
            rank=self.rank,
            rule=self.rule.stored(),
            requires_approval=self.requires_approval,
            validity_days=self.validity_days,
            grace_days=self.grace_days,
            downgrade=self.downgrade,
            benefits=self.benefits,
        )


Rules = Annotated[
    list[TierRuleInput], argument(description="All tiers that there shall be; others are left out.")
]


@strawberry.type(
    description="Members who would go from one tier to another.", directives=[access.as_parent()]
)
class TierMove:
    from_: Tier | None = strawberry.field(name="from", description="The tier they are in.")
    to: Tier | None = strawberry.field(description="The tier they would be in.")
    members: int = strawberry.field(description="How many.")
    sample: list[Member] = strawberry.field(description="Up to five of them.")


@strawberry.type(
    description="What rules would do to everybody as of now.", directives=[access.as_parent()]
)
class TierPreview:
    evaluated: int = strawberry.field(description="How many members were looked at.")
    unchanged: int = strawberry.field(description="How many of them would stay where they are.")
    moves: list[TierMove] = strawberry.field(description="The others, most members first.")


@strawberry.type(description="Rules that were published.", directives=[access.as_parent()])
class TierRulesPayload:
    job: Job | None = strawberry.field(
        default=None, description="Moves everybody to where the new rules put them."
    )
    version: int | None = strawberry.field(default=None, description="The number of these rules.")
    tiers: list[Tier] = strawberry.field(
        default_factory=list, description="The tiers as they are now, lowest first."
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="What has to be corrected; empty when it worked."
    )


@strawberry.type(description="An application as it is now.", directives=[access.as_parent()])
class TierApplicationPayload:
    application: TierApplication | None = strawberry.field(
        default=None, description="The application."
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="What has to be corrected; empty when it worked."
    )


@strawberry.type
class TierRulesQuery:
    @strawberry.field(
        description="Who would move from where to where under these rules; writes nothing.",
        extensions=[access.allow(Role.ADMIN)],
    )
    async def tier_preview(self, info: Info, rules: Rules) -> TierPreview:
        drafts = [each.draft() for each in rules]
        zone = info.context.settings.time_zone
        try:
            found = await publishing.preview(drafts, time_zone=zone, now=info.context.now)
        except Mistake as mistake:  # a query has no payload for it
            raise Refusal(f"{'.'.join(mistake.field)}: {mistake.message}") from mistake
        return await _preview(info, found)


async def _preview(info: Info, found: publishing.Preview) -> TierPreview:
    known = await info.context.load.tier_by_id.load_many(
        {each for move in found.moves for each in (move.source, move.target) if each and each > 0}
    )
    tiers = {row.id: Tier.of(row) for row in known}
    tiers |= {tier_id: _draft(draft) for tier_id, draft in found.drafts.items()}
    ids = [each for move in found.moves for each in move.sample]
    members = dict(zip(ids, await info.context.load.member_by_id.load_many(ids), strict=True))
    return TierPreview(
        evaluated=found.evaluated,
        unchanged=found.unchanged,
        moves=[
            TierMove(
                from_=tiers[move.source] if move.source else None,
                to=tiers[move.target] if move.target else None,
                members=move.members,
                sample=[Member.of(row) for each in move.sample if (row := members[each])],
            )
            for move in found.moves
        ],
    )


def _draft(draft: TierRule) -> Tier:
    """A tier that does not exist yet."""
    row = models.Tier(
        code=draft.code,
        name=draft.name,
        rank=draft.rank,
        rule=draft.rule,
        requires_approval=draft.requires_approval,
        validity_days=draft.validity_days,
        grace_days=draft.grace_days,
        downgrade=draft.downgrade,
        benefits=list(draft.benefits),
    )
    return Tier.of(row)


@strawberry.type
class TierMutation:
    @strawberry.mutation(
        description="Publishes these tiers as a new version of the rules; workers then move "
        "everybody to where they put them. The same set again moves nobody.",
        extensions=[access.allow(Role.ADMIN)],
    )
    @mistakes_to(lambda errors: TierRulesPayload(errors=errors))
    async def tier_rules_publish(
        self,
        info: Info,
        rules: Rules,
        expected_version: Annotated[
            int | None, argument(description="Refuse where this is not the newest version.")
        ] = None,
    ) -> TierRulesPayload:
        published = await publishing.publish(
            [each.draft() for each in rules],
            time_zone=info.context.settings.time_zone,
            now=info.context.now,
            actor_id=info.context.signed_in().member_id,
            expected_version=expected_version,
            named=await gate.tiers_named(),
        )
        return TierRulesPayload(
            job=Job.of(published.job), version=published.version, tiers=[*await shown()]
        )

    @strawberry.mutation(
        description="Grants a tier: a floor that rules cannot take away, until its end.",
        extensions=[access.allow(Role.ADMIN)],
    )
    @mistakes_to(lambda errors: MemberPayload(errors=errors))
    async def tier_grant(
        self,
        info: Info,
        member: Annotated[strawberry.ID, argument(description="To whom.")],
        tier: TierCode,
        until: Annotated[
            datetime | None, argument(description="When it ends; null for not at all.")
        ] = None,
    ) -> MemberPayload:
        context = info.context
        member_id = from_id("Member", member, "member")
        await grants.grant(member_id, tier, until, context.signed_in().member_id, context.now)
        return await _member(info, member_id)

    @strawberry.mutation(
        description="Ends the member's grant; without one nothing happens.",
        extensions=[access.allow(Role.ADMIN)],
    )
    @mistakes_to(lambda errors: MemberPayload(errors=errors))
    async def tier_revoke(
        self, info: Info, member: Annotated[strawberry.ID, argument(description="Whose.")]
    ) -> MemberPayload:
        member_id = from_id("Member", member, "member")
        await grants.revoke(member_id, info.context.signed_in().member_id, info.context.now)
        return await _member(info, member_id)

    @strawberry.mutation(
        description="Asks staff to let the viewer into a tier that requires approval, whose rule "
        "holds for them. Whoever was rejected may ask again.",
        extensions=[access.SIGNED_IN],
    )
    @mistakes_to(lambda errors: TierApplicationPayload(errors=errors))
    async def tier_apply(
        self,
        info: Info,
        tier: TierCode,
        message: Annotated[
            str | None, argument(description="A word to staff; at most 1,000 characters.")
        ] = None,
    ) -> TierApplicationPayload:
        viewer = info.context.signed_in()
        row = await grants.apply(viewer.member_id, tier, message, info.context.now)
        return TierApplicationPayload(application=TierApplication.of(row))

    @strawberry.mutation(
        description="Approves or rejects an application, once.",
        extensions=[access.allow(*STAFF)],
    )
    @mistakes_to(lambda errors: TierApplicationPayload(errors=errors))
    async def tier_application_decide(
        self,
        info: Info,
        id: Annotated[strawberry.ID, argument(description="Which application.")],
        approve: Annotated[bool, argument(description="Whether the member shall come in.")],
        note: Annotated[
            str | None, argument(description="A word to the member; at most 1,000 characters.")
        ] = None,
    ) -> TierApplicationPayload:
        row = await grants.decide(
            from_id("TierApplication", id, "id"),
            approve=approve,
            note=note,
            actor_id=info.context.signed_in().member_id,
            now=info.context.now,
        )
        return TierApplicationPayload(application=TierApplication.of(row))


async def _member(info: Info, member_id: int) -> MemberPayload:
    return MemberPayload(member=Member.of(await models.Member.get(id=member_id)))
