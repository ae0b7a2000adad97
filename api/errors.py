"""Owns what callers are told when something is wrong: expected mistakes, refusals, and the rest."""

import functools
import json
import math
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, Concatenate, ParamSpec, TypeVar

import orjson
import strawberry
import structlog
from graphql import GraphQLError, GraphQLFormattedError
from starlette.responses import Response
from strawberry.types.execution import ExecutionResult, PreExecutionError

from api import access
from core.deadline import TooLate
from core.errors import Mistake
from core.paging import BadPage

log = structlog.get_logger(__name__)

METHOD_NOT_ALLOWED = 405
COME_AGAIN = timedelta(seconds=5)

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")


@strawberry.enum(description="What kind of mistake it is; stable.")
class ErrorCode(Enum):
    INVALID = "INVALID"
    REQUIRED = "REQUIRED"
    TOO_LONG = "TOO_LONG"
    NOT_FOUND = "NOT_FOUND"
    NOT_UNIQUE = "NOT_UNIQUE"
    FORBIDDEN = "FORBIDDEN"
    STALE_VERSION = "STALE_VERSION"
    INVALID_TRANSITION = "INVALID_TRANSITION"
    IDEMPOTENCY_CONFLICT = "IDEMPOTENCY_CONFLICT"
    EXCEEDS_ORDER = "EXCEEDS_ORDER"
    CODE_UNKNOWN = "CODE_UNKNOWN"
    LINK_ARCHIVED = "LINK_ARCHIVED"
    PROGRAM_CLOSED = "PROGRAM_CLOSED"
    NOT_ENROLLED = "NOT_ENROLLED"
    THRESHOLD_NOT_MET = "THRESHOLD_NOT_MET"
    INSUFFICIENT_BALANCE = "INSUFFICIENT_BALANCE"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    CREDENTIALS_REJECTED = "CREDENTIALS_REJECTED"


@strawberry.type(description="Something the caller can fix.", directives=[access.as_parent()])
class UserError:
    code: ErrorCode = strawberry.field(description="What kind of mistake it is.")
    message: str = strawberry.field(description="What to do, in one sentence.")
    field: list[str] | None = strawberry.field(description="The path inside `input`.")


def user_error(mistake: Mistake) -> UserError:
    """The mistake as a payload carries it."""
    return UserError(
        code=ErrorCode(mistake.code), message=mistake.message, field=list(mistake.field) or None
    )


@dataclass(slots=True)
class Outcome:
    """What became of the mutations of one request; with `mistake`, none of them is carried out and
    each is answered with it."""

    mistake: Mistake | None = None
    done: int = 0
    mistaken: int = 0


outcome: ContextVar[Outcome | None] = ContextVar("outcome", default=None)


class Refusal(Exception):
    """A request that is not carried out at all: a top-level error with `extensions.code`."""

    code = "BAD_USER_INPUT"
    status = 400

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status or self.status


class Unauthenticated(Refusal):
    """Nobody is signed in, or the token is not good."""

    code = "UNAUTHENTICATED"
    status = 401


class Forbidden(Refusal):
    """Somebody is signed in who may not do this."""

    code = "FORBIDDEN"
    status = 403


class PayloadTooLarge(Refusal):
    """The body is above its limit."""

    code = "PAYLOAD_TOO_LARGE"
    status = 413


class QueryTooComplex(Refusal):
    """The document asks for more than one request may."""

    code = "QUERY_TOO_COMPLEX"


class DocumentNotFound(Refusal):
    """No trusted document has this id, or none but trusted ones are taken."""

    code = "PERSISTED_DOCUMENT_NOT_FOUND"
    status = 404


class Postponed(Refusal):
    """Not now: the answer as a whole says so, with its HTTP status, and when to come again."""

    def __init__(self, message: str, wait: timedelta) -> None:
        super().__init__(message)
        self.wait_seconds = max(1, math.ceil(wait.total_seconds()))


class RateLimited(Postponed):
    """Too often."""

    code = "RATE_LIMITED"
    status = 429


class UpstreamUnavailable(Postponed):
    """A server that we ask does not answer."""

    code = "TIMEOUT"
    status = 503


class TookTooLong(Postponed):
    """The request was still reading when its time was over."""

    code = "TIMEOUT"
    status = 503

    def __init__(self) -> None:
        super().__init__("This took too long and was broken off; ask for less.", COME_AGAIN)


class Unexpected(Refusal):
    """A fault of ours."""

    code = "INTERNAL_SERVER_ERROR"
    status = 500


def refused(refusal: Refusal, request_id: str, form: str = "application/json") -> Response:
    """The answer to a request that was not carried out, in a form that the client accepts."""
    extensions = {"code": refusal.code, "requestId": request_id}
    headers = {"cache-control": "no-store"}
    if refusal.status == Unauthenticated.status:
        headers["www-authenticate"] = "Bearer"
    if isinstance(refusal, Postponed):
        headers["retry-after"] = str(refusal.wait_seconds)
    if refusal.status == METHOD_NOT_ALLOWED:
        headers["allow"] = "POST"
    body = as_json({"errors": [{"message": refusal.message, "extensions": extensions}]})
    return Response(body, refusal.status, headers, media_type=form)


def as_json(data: object) -> bytes:
    """The text in UTF-8; half a surrogate pair, which has no UTF-8, as its JSON escape."""
    try:
        return orjson.dumps(data)
    except orjson.JSONEncodeError:
        pass  # of what it is too strict for there is little, and this is slow
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=_read)
    return text.encode(errors="backslashreplace")


def _read(part: Any) -> Any:
    """What is finished already stands for what it says."""
    if isinstance(part, orjson.Fragment):
        return orjson.loads(part.contents)
    raise TypeError(f"not JSON: {type(part).__name__}")


def mistakes_to(
    payload: Callable[[list[UserError]], R],
) -> Callable[
    [Callable[Concatenate[S, P], Coroutine[Any, Any, R]]],
    Callable[Concatenate[S, P], Coroutine[Any, Any, R]],
]:
    """Answers a mutation's expected mistakes with the payload that this makes of them."""

    def decorate(
        resolver: Callable[Concatenate[S, P], Coroutine[Any, Any, R]],
    ) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
        @functools.wraps(resolver)
        async def answer(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
            noted = outcome.get() or Outcome()
            if noted.mistake is not None:
                return payload([user_error(noted.mistake)])
            try:
                done = await resolver(self, *args, **kwargs)
            except Mistake as mistake:
                noted.mistaken += 1
                return payload([user_error(mistake)])
            noted.done += 1
            return done

        return answer

    return decorate


def postponed(result: ExecutionResult | PreExecutionError) -> Postponed | None:
    """Why the request as a whole has to wait, if it has to."""
    causes = [error.original_error for error in result.errors or []]
    if any(isinstance(cause, TooLate) for cause in causes):
        return TookTooLong()
    return next((cause for cause in causes if isinstance(cause, Postponed)), None)


def formatted(
    result: ExecutionResult | PreExecutionError, request_id: str
) -> list[GraphQLFormattedError]:
    """The errors of a result as they go out, each with its code; the unexpected ones masked."""
    return [_formatted(error, result, request_id) for error in result.errors or []]


def _formatted(
    error: GraphQLError, result: ExecutionResult | PreExecutionError, request_id: str
) -> GraphQLFormattedError:
    code = _code(error, result)
    shown = error.formatted
    if code == "INTERNAL_SERVER_ERROR":
        log.error("unexpected error", path=error.path, exc_info=error.original_error or error)
        shown["message"] = "Something went wrong on our side; quote the request id to support."
    shown["extensions"] = {"code": code, "requestId": request_id}
    return shown


def _code(error: GraphQLError, result: ExecutionResult | PreExecutionError) -> str:
    if isinstance(result, PreExecutionError):
        syntax = type(error).__name__ == "GraphQLSyntaxError"
        return "GRAPHQL_PARSE_FAILED" if syntax else "GRAPHQL_VALIDATION_FAILED"
    if isinstance(error.original_error, Refusal):
        return error.original_error.code
    if isinstance(error.original_error, BadPage):
        return "BAD_USER_INPUT"
    # Variables that do not fit have no path: nothing was executed.
    return "BAD_USER_INPUT" if error.path is None else "INTERNAL_SERVER_ERROR"
