"""Owns how a GraphQL request travels over HTTP: what it asks for, and in which form it is answered.

After the GraphQL over HTTP specification: https://graphql.github.io/graphql-over-http/draft/
"""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request

from api.errors import Refusal

JSON = "application/json"
GRAPHQL = "application/graphql-response+json"
FORMS = (JSON, GRAPHQL)  # the first one wherever a client does not mind
KEPT_FORMS = 256
PARAMETERS = ("query", "documentId", "operationName", "variables", "extensions")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for an operation: of a document, or of one that is known by its id."""

    text: str | None
    document_id: str | None
    name: str | None
    variables: Mapping[str, Any]


async def asked(request: Request) -> Asked:
    """What a request asks for; raises `Refusal` where that cannot be understood."""
    if request.method == "GET":
        return _checked(_of_query(request))
    _readable(request)
    return posted(await request.body())


def posted(body: bytes) -> Asked:
    """What the body of a request asks for; raises `Refusal` likewise."""
    found = _json(body, "The body")
    if not isinstance(found, dict):
        raise Refusal("The body is one JSON object, with the document in `query`.")
    return _checked(found)


def _of_query(request: Request) -> dict[str, Any]:
    given: dict[str, Any] = {
        name: value for name, value in request.query_params.items() if name in PARAMETERS
    }
    for name in ("variables", "extensions"):
        if name in given:
            given[name] = _json(given[name].encode(), f"`{name}`") if given[name] else None
    return given


def _readable(request: Request) -> None:
    """Refuses a body of another type."""
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    if kind.strip().lower() != JSON:
        raise Refusal(f"Send the request as {JSON}.", 415)
    charset = parameters.strip().lower().replace('"', "")
    if charset.startswith("charset=") and charset not in ("charset=utf-8", "charset=utf8"):
        raise Refusal("Send the request in UTF-8.", 415)


def _json(data: bytes, what: str) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass  # it is strict about halves of characters, which are no mistake by themselves
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Refusal(f"{what} is not JSON in UTF-8.") from error


def _checked(given: Mapping[str, Any]) -> Asked:
    for name in ("query", "documentId", "operationName"):
        if not isinstance(given.get(name), str | None):
            raise Refusal(f"`{name}` is a text.")
    for name in ("variables", "extensions"):
        if not isinstance(given.get(name), dict | None):
            raise Refusal(f"`{name}` is a JSON object.")
    text, document_id = given.get("query") or None, given.get("documentId") or None
    if (text is None) == (document_id is None):
        raise Refusal("Send a document in `query`, or the id of a trusted one in `documentId`.")
    return Asked(
        text, document_id, given.get("operationName") or None, given.get("variables") or {}
    )


@functools.lru_cache(maxsize=KEPT_FORMS)
def form(accept: str) -> str:
    """The media type of the answer that suits the client best; raises `Refusal` for none."""
    offered = [_weighed(part) for part in accept.split(",") if part.strip()]
    weights = {each: _weight(each, offered) if offered else 1.0 for each in FORMS}
    best = max(FORMS, key=lambda each: weights[each])
    if weights[best] <= 0:
        raise Refusal(f"Answers are {JSON} or {GRAPHQL}.", 406)
    return best


def _weighed(part: str) -> tuple[str, float]:
    kind, *parameters = (each.strip().lower() for each in part.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return kind, float(parameter[2:])
            except ValueError:
                return kind, 0.0
    return kind, 1.0


def _weight(kind: str, offered: list[tuple[str, float]]) -> float:
    """How much a client likes it, by the most precise of what it says."""
    for pattern in (kind, "application/*", "*/*"):
        found = [weight for name, weight in offered if name == pattern]
        if found:
            return max(found)
    return 0.0
