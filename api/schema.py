"""Puts the rooms together into one GraphQL schema."""

import functools

import strawberry
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.name_converter import NameConverter
from strawberry.tools import merge_types

from api import words
from api.accounts import AccountMutation
from api.audit import AuditQuery
from api.bulk import BulkMutation
from api.contents import ContentQuery
from api.conversions import ConversionQuery
from api.editing import EditingMutation, LifecycleMutation, TaggingMutation
from api.finance import FinanceMutation, FinanceQuery
from api.insight import InsightQuery
from api.keys import ApiKeyMutation, ApiKeyQuery
from api.links import LinkMutation, LinkQuery
from api.media import MediaMutation
from api.members import MemberQuery
from api.node import NodeQuery
from api.payees import PayeeMutation
from api.payouts import PayoutMutation, PayoutQuery
from api.programs import ProgramMutation, ProgramQuery
from api.promoters import PromoterMutation
from api.recording import RecordingMutation
from api.referral import ReferralMutation
from api.risk import RiskMutation, RiskQuery
from api.scalars import SCALARS
from api.sessions import SessionMutation
from api.tags import TagQuery
from api.tier_rules import TierMutation, TierRulesQuery
from api.tiers import TierQuery
from api.webhooks import WebhookMutation, WebhookQuery
from api.wechat import WechatMutation

Query = merge_types(
    "Query",
    (
        NodeQuery,
        MemberQuery,
        TierQuery,
        TierRulesQuery,
        ApiKeyQuery,
        ContentQuery,
        TagQuery,
        ProgramQuery,
        ConversionQuery,
        LinkQuery,
        InsightQuery,
        AuditQuery,
        PayoutQuery,
        FinanceQuery,
        RiskQuery,
        WebhookQuery,
    ),
)
Mutation = merge_types(
    "Mutation",
    (
        SessionMutation,
        WechatMutation,
        AccountMutation,
        TierMutation,
        ApiKeyMutation,
        EditingMutation,
        LifecycleMutation,
        TaggingMutation,
        BulkMutation,
        MediaMutation,
        ReferralMutation,
        LinkMutation,
        RecordingMutation,
        PromoterMutation,
        ProgramMutation,
        PayeeMutation,
        PayoutMutation,
        FinanceMutation,
        RiskMutation,
        WebhookMutation,
    ),
)


class _Names(NameConverter):
    """Says what each argument and each field of an input is called, which is asked for at each
    call, without thinking."""

    apply_naming_config = functools.lru_cache(maxsize=4096)(NameConverter.apply_naming_config)
    from_argument = functools.lru_cache(maxsize=4096)(NameConverter.from_argument)


schema = strawberry.Schema(
    Query,
    Mutation,
    config=StrawberryConfig(scalar_map=SCALARS, name_converter=_Names()),
)


words.explain(schema._schema)


def sdl() -> str:
    """The whole schema as text, with a line end behind it."""
    return schema.as_str() + "\n"
