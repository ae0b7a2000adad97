"""Puts the rooms together into one GraphQL schema, and serves it over HTTP."""

import functools
import json
import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from inspect import isawaitable
from typing import Any, ClassVar, cast

import strawberry
import structlog
from cross_web import HTTPException
from graphql import DocumentNode, GraphQLError, execute, get_operation_ast
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from strawberry.asgi import GraphQL
from strawberry.execution.is_awaitable import optimized_is_awaitable
from strawberry.extensions import MaxTokensLimiter, SchemaExtension
from strawberry.http import GraphQLHTTPResponse
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.name_converter import NameConverter
from strawberry.tools import merge_types
from strawberry.types.execution import ExecutionContext, ExecutionResult, PreExecutionError
from strawberry.types.graphql import OperationType

from api import bearers, caching, clients, hot, quick
from api.accounts import AccountMutation
from api.audit import AuditQuery
from api.bulk import BulkMutation
from api.content import ContentQuery
from api.context import Context
from api.conversions import ConversionQuery
from api.editing import EditingMutation, LifecycleMutation, TaggingMutation
from api.errors import Refusal, as_json, formatted, postponed, refused
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
from api.scalars import SCALARS
from api.sessions import SessionMutation
from api.settings import Settings
from api.tags import TagQuery
from api.tier_rules import TierMutation, TierRulesQuery
from api.tiers import TierQuery
from api.webhooks import WebhookMutation, WebhookQuery
from api.wechat import WechatMutation

CACHED_DOCUMENTS = 128
CONTEXT = "wellspring.context"  # in the scope
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
        LinkQuery,
        InsightQuery,
        AuditQuery,
        PayoutQuery,
        FinanceQuery,
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
        WebhookMutation,
    ),
)


class Documents(SchemaExtension):
    """Keeps the newest of the documents that were parsed and found to be valid, by their text."""

    kept: ClassVar[OrderedDict[str, DocumentNode]] = OrderedDict()
    shared: ClassVar[set[str]] = set()  # those whose answers may be kept as well

    def on_execute(self) -> Iterator[None]:
        document, text = self.execution_context.graphql_document, self.execution_context.query
        if document is not None and text is not None:
            self.kept[text] = document
            if caching.shared(self.execution_context.schema._schema, document):
                self.shared.add(text)
            if len(self.kept) > CACHED_DOCUMENTS:
                self.shared.discard(self.kept.popitem(last=False)[0])
        yield


class _Schema(strawberry.Schema):
    async def execute(self, query: str | None, *rest: Any, **given: Any) -> ExecutionResult:
        """Executes a document; at once where it was parsed and checked before, since clients send
        the same few again and again."""
        document = Documents.kept.get(query or "")
        operation = document and get_operation_ast(document, given.get("operation_name"))
        allowed = given.get("allowed_operation_types", ())
        if (
            document is None
            or operation is None
            or OperationType(operation.operation.value) not in allowed
        ):
            return await super().execute(query, *rest, **given)
        Documents.kept.move_to_end(query or "")
        given.pop("allowed_operation_types")
        executed = execute(
            self._schema,
            document,
            executor_class=self.execution_context_class,
            is_awaitable=cast(Any, optimized_is_awaitable),
            **given,
        )
        result = await executed if isawaitable(executed) else executed
        return ExecutionResult(result.data, result.errors)

    def process_errors(
        self, errors: Sequence[GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        """Leaves the logging to `api.errors`, which knows what was expected."""


class _Names(NameConverter):
    """Says what each argument is called, which is asked for at each call, without thinking."""

    from_argument = functools.lru_cache(maxsize=4096)(NameConverter.from_argument)


schema = _Schema(
    Query,
    Mutation,
    execution_context_class=hot.ExecutionContext,
    config=StrawberryConfig(scalar_map=SCALARS, name_converter=_Names()),
    extensions=[
        lambda: MaxTokensLimiter(max_token_count=LARGEST_DOCUMENT_TOKENS),
        Documents,
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
        self._quick = quick.Quick(schema._schema, settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._at_once(request) or await self.run(request)
        except Refusal as refusal:
            response = refused(refusal, request_id())
        except HTTPException as error:
            response = refused(Refusal(error.reason, error.status_code), request_id())
        await response(scope, receive, send)

    async def _at_once(self, request: Request) -> Response | None:
        """The answer to what came before, where all of the general way can be left out."""
        if request.method != "POST":
            return None
        asked = quick.asked(dict(request.scope["headers"]), await request.body())
        if asked is None or asked.text not in Documents.kept or not self._quick.knows(asked):
            return None
        data = await self._quick.answer(asked, await self.get_context(request, None))
        if data is None:
            return None
        Documents.kept.move_to_end(asked.text)
        if asked.text in Documents.shared:
            request.scope[caching.SHARED] = True
        return Response(self.encode_json({"data": data}), media_type="application/json")

    async def execute_single(self, request: Request, *rest: Any, **given: Any) -> ExecutionResult:
        result = await super().execute_single(request, *rest, **given)
        asked = given["request_data"]
        if not result.errors and asked.query in Documents.shared:
            request.scope[caching.SHARED] = True
        if request.method == "POST" and asked.query in Documents.kept:
            self._quick.keep(asked.query, Documents.kept[asked.query], asked.operation_name)
        return result

    async def get_context(self, request: Any, response: Any) -> Context:
        """The context of the request: one, whichever ways it goes."""
        if CONTEXT not in request.scope:
            now = datetime.now(UTC)
            clients.note(request)
            viewer = await bearers.viewer(request, now)
            request.scope[CONTEXT] = Context(self._settings, now, viewer)
        return request.scope[CONTEXT]

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


def request_id() -> str:
    """The id of the request that this task answers."""
    return structlog.contextvars.get_contextvars().get("request_id", "")
