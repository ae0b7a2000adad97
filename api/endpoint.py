"""Owns GraphQL over HTTP for one installation: from a request to its answer."""

from datetime import UTC, datetime
from inspect import isawaitable
from typing import Any, cast

from graphql import ExecutionResult, OperationDefinitionNode, OperationType, execute, print_ast
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from strawberry.execution.is_awaitable import optimized_is_awaitable
from strawberry.types.execution import PreExecutionError

from api import asking, bearers, caching, clients, hot, quick, repeating, trusted
from api.asking import Asked
from api.context import Context
from api.documents import Document, Documents, Faulty
from api.errors import (
    DocumentNotFound,
    QueryTooComplex,
    Refusal,
    TookTooLong,
    Unauthenticated,
    as_json,
    formatted,
    postponed,
    refused,
)
from api.rates import COUNTED, Rates
from api.repeating import Answered
from api.requests import request_id
from api.schema import schema
from api.settings import Settings
from content import gate
from core import deadline
from core.deadline import TooLate
from members.keys import Keys
from referral.orders import Orders

NO_STORE = {"cache-control": "no-store"}  # of what nobody else is to be given


class GraphQLApp:
    """Answers requests for one installation."""

    def __init__(
        self, settings: Settings, rates: Rates | None = None, orders: Orders | None = None
    ) -> None:
        self._settings = settings
        self._orders = orders or Orders()
        self._keys = Keys()
        self._rates = rates or Rates(settings.rate_limit)
        self._schema = schema._schema
        self._trusted = trusted.read(settings.trusted_documents)
        self._documents = Documents(self._schema, settings)
        self._quick = quick.Quick()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, form = Request(scope, receive), asking.JSON
        try:
            form = asking.form(request.headers.get("accept", ""))
            with deadline.within(self._settings.deadline_seconds):
                response = await self._answered(request, form)
        except Refusal as refusal:
            response = refused(refusal, request_id(), form)
        except TooLate:
            response = refused(TookTooLong(), request_id(), form)
        await response(scope, receive, send)

    async def _answered(self, request: Request, form: str) -> Response:
        context = await self._context(request)
        asked = await asking.asked(request)
        if known := self._quick.find(asked):
            body = await known.answer(await context.reader())
            if body is not None:
                return _given(body, request, form, shared=known.shared)
        text = self._text(asked)
        try:
            document = await self._documents.read(text)
        except Faulty as faulty:
            result = PreExecutionError(data=None, errors=[*faulty.errors])
            return _failed([*formatted(result, request_id())], form)
        operation = document.operation(asked.name)
        if request.method == "GET" and operation.operation is not OperationType.QUERY:
            raise Refusal("Send this operation by POST: GET is for queries.", 405)
        cost = self._cost(document, operation, asked)
        answered = await self._executed(request, document, operation, asked, context)
        result = answered.result
        if refusal := postponed(cast(Any, result)):
            raise refusal
        if result.errors:
            return _told(result, cost, form)
        data = cast(dict[str, Any], result.data)
        self._quick.keep(asked, document, cost, data, context.answered)
        body = as_json({"data": data, "extensions": {"cost": cost}})
        shared, replayed = document.shared, answered.replayed
        return _given(body, request, form, shared=shared, replayed=replayed)

    async def at_once(self, scope: Scope, body: bytes, host: str | None) -> bytes | None:
        """The answer to what somebody posts who is not signed in, where everybody may have it and
        only its one statement has to be run; None where the request has to go all its way. What is
        counted here is not counted again on that way."""
        try:
            known = self._quick.find(asking.posted(body))
            if known is None or not known.shared or not self._rates.allows(host):
                return None
            scope[COUNTED] = True
            return await known.answer(gate.ANYBODY)
        except (Refusal, TooLate):  # which the general way meets again
            return None

    async def _context(self, request: Request) -> Context:
        now = datetime.now(UTC)
        clients.note(request)
        try:
            viewer = await bearers.viewer(request, now, self._keys)
        except Unauthenticated:
            self._rates.take(None, clients.address())
            raise
        if COUNTED not in request.scope:
            self._rates.take(viewer, clients.address())
        return Context(self._settings, now, viewer, self._orders)

    def _text(self, asked: Asked) -> str:
        """The text of the document that is asked for."""
        if asked.document_id is None and not self._settings.trusted_documents_only:
            return asked.text or ""
        text = self._trusted.get(asked.document_id or "")
        if text is None:
            raise DocumentNotFound("Send the `documentId` of a document that this server trusts.")
        return text

    def _cost(self, document: Document, operation: OperationDefinitionNode, asked: Asked) -> int:
        """What the operation costs; raises `QueryTooComplex`."""
        cost = document.costs.of(operation, asked.variables)
        if cost > self._settings.max_cost:
            most = self._settings.max_cost
            raise QueryTooComplex(f"This costs {cost}; at most {most} are allowed. Ask for less.")
        return cost

    async def _executed(
        self,
        request: Request,
        document: Document,
        operation: OperationDefinitionNode,
        asked: Asked,
        context: Context,
    ) -> Answered:
        async def run() -> ExecutionResult:
            executed = start()
            return await executed if isawaitable(executed) else executed

        def start() -> Any:
            return execute(
                self._schema,
                document.node,
                context_value=context,
                variable_values=dict(asked.variables),
                operation_name=asked.name,
                executor_class=hot.ExecutionContext,
                is_awaitable=cast(Any, optimized_is_awaitable),
                hide_suggestions=not self._settings.suggestions,
            )

        if document.introspects(operation):
            return Answered(await self._documents.aside(start))
        key = request.headers.get(repeating.HEADER)
        mutates = operation.operation is OperationType.MUTATION
        if key is None or not mutates or not repeating.applies(document.node, operation):
            return Answered(await run())
        whole = (print_ast(document.node), asked.name, asked.variables)
        secret = self._settings.signing_key()
        repeat = repeating.repeat(key, whole, context.viewer, secret)
        return await repeating.once(repeat, context.now, run)


def _given(
    body: bytes, request: Request, form: str, *, shared: bool, replayed: bool = False
) -> Response:
    """The answer to what went well; that which is `shared` says nothing yet of being kept."""
    if shared:
        request.scope[caching.SHARED] = True
        return Response(body, media_type=form)
    headers = NO_STORE | {repeating.REPLAYED: "true"} if replayed else NO_STORE
    return Response(body, headers=headers, media_type=form)


def _told(result: ExecutionResult, cost: int, form: str) -> Response:
    """The answer to what did not go well; without `data` where nothing was executed at all."""
    errors = [*formatted(cast(Any, result), request_id())]
    if result.data is None and all(error.path is None for error in result.errors or []):
        return _failed(errors, form)
    body = {"data": result.data, "errors": errors, "extensions": {"cost": cost}}
    return Response(as_json(body), headers=NO_STORE, media_type=form)


def _failed(errors: list[Any], form: str) -> Response:
    """The answer to a request that could be read and not be executed: by the specification 400, and
    200 in the older form, whose clients take every other status for a fault of the network."""
    status = 400 if form == asking.GRAPHQL else 200
    return Response(as_json({"errors": errors}), status, NO_STORE, form)
