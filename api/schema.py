"""Puts the rooms together into one GraphQL schema, and serves it over HTTP."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import strawberry
import structlog
from cross_web import HTTPException
from graphql import GraphQLError
from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from strawberry.asgi import GraphQL
from strawberry.extensions import MaxTokensLimiter, ParserCache, ValidationCache
from strawberry.http import GraphQLHTTPResponse
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import merge_types
from strawberry.types.execution import ExecutionContext, ExecutionResult, PreExecutionError

from api import clients
from api.accounts import AccountMutation
from api.audit import AuditQuery
from api.bulk import BulkMutation
from api.content import ContentQuery
from api.context import Context
from api.conversions import ConversionQuery
from api.editing import EditingMutation, LifecycleMutation, TaggingMutation
from api.errors import Refusal, Unauthenticated, as_json, formatted, postponed, refused
from api.insight import InsightQuery
from api.keys import ApiKeyMutation, ApiKeyQuery
from api.members import MemberQuery
from api.node import NodeQuery
from api.programs import ProgramMutation, ProgramQuery
from api.promoters import PromoterMutation
from api.recording import RecordingMutation
from api.referral import ReferralMutation
from api.scalars import SCALARS
from api.sessions import SessionMutation
from api.settings import Settings
from api.tags import TagQuery
from api.tier_rules import TierMutation, TierRulesQuery
from api.tiers import TierQuery
from api.wechat import WechatMutation
from members import identity, keys

CACHED_DOCUMENTS = 128
LARGEST_DOCUMENT_CHARACTERS = 32_768
DEEPEST_DOCUMENT = 100  # brackets; the parser calls itself for each
BRACKETS = re.compile(r"[][{}()]")
LARGEST_DOCUMENT_TOKENS = 2_000  # a kept document takes far more memory than its text

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
        InsightQuery,
        AuditQuery,
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
        ReferralMutation,
        RecordingMutation,
        PromoterMutation,
        ProgramMutation,
    ),
)


class _Schema(strawberry.Schema):
    def process_errors(
        self, errors: Sequence[GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        """Leaves the logging to `api.errors`, which knows what was expected."""


schema = _Schema(
    Query,
    Mutation,
    config=StrawberryConfig(scalar_map=SCALARS),
    # Clients send the same few documents again and again: each is parsed and checked once.
    extensions=[
        lambda: MaxTokensLimiter(max_token_count=LARGEST_DOCUMENT_TOKENS),
        lambda: ParserCache(maxsize=CACHED_DOCUMENTS),
        lambda: ValidationCache(maxsize=CACHED_DOCUMENTS),
    ],
)


def sdl() -> str:
    """The whole schema as text, with a line end behind it."""
    return schema.as_str() + "\n"


class GraphQLApp(GraphQL[Context, None]):
    """GraphQL over HTTP for one installation."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(schema, graphql_ide=None)
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self.run(Request(scope, receive))
        except Refusal as refusal:
            response = refused(refusal, request_id())
        except HTTPException as error:
            response = refused(Refusal(error.reason, error.status_code), request_id())
        await response(scope, receive, send)

    async def get_context(self, request: Any, response: Any) -> Context:
        now = datetime.now(UTC)
        clients.note(request)
        return Context(self._settings, now, await _viewer(request, now))

    async def process_result(
        self, request: Request, result: ExecutionResult | PreExecutionError
    ) -> GraphQLHTTPResponse:
        if refusal := postponed(result):
            raise refusal
        answer: GraphQLHTTPResponse = {"data": result.data}
        if result.errors:
            answer["errors"] = [*formatted(result, request_id())]
        return answer

    def encode_json(self, data: object) -> bytes:
        return as_json(data)

    def parse_json(self, data: str | bytes) -> Any:
        """A JSON object; anything else, however deep, long or encoded, is the caller's fault."""
        try:
            parsed = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise HTTPException(400, "The body is not JSON in UTF-8.") from error
        if not isinstance(parsed, dict):
            raise HTTPException(400, "The body is one JSON object, with the document in `query`.")
        _check_document(str(parsed.get("query", "")))
        return parsed


def _check_document(document: str) -> None:
    """Refuses what would be kept or parsed at too high a price, before it is."""
    if len(document) > LARGEST_DOCUMENT_CHARACTERS:
        limit = f"{LARGEST_DOCUMENT_CHARACTERS} characters"
        raise HTTPException(400, f"A document has at most {limit}; values go into `variables`.")
    depth = 0
    for bracket in BRACKETS.findall(document):
        depth += 1 if bracket in "{[(" else -1
        if depth > DEEPEST_DOCUMENT:
            raise HTTPException(400, f"A document nests at most {DEEPEST_DOCUMENT} deep.")


async def _viewer(request: Request, now: datetime) -> identity.Viewer | None:
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    viewer = await _bearer(token.strip(), now) if scheme.lower() == "bearer" else None
    if viewer is None:
        raise Unauthenticated("This token is unknown or has expired; sign in again.")
    return viewer


async def _bearer(token: str, now: datetime) -> identity.Viewer | None:
    known = keys.viewer if token.startswith(keys.PREFIX) else identity.viewer
    return await known(token, now)


def request_id() -> str:
    """The id of the request that this task answers."""
    return structlog.contextvars.get_contextvars().get("request_id", "")
