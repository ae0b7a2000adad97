"""Owns answers that are kept for a while: what anybody may read, until the library changes.

An answer is kept under the whole request, so that giving it again parses nothing. Each process
looks whether the library has changed, at most so often, and forgets everything when it has.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    visit,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import requests
from api.rates import Rates
from content import state
from core import changes, database

PATH = "/graphql"
LOOK_SECONDS = 0.4  # how long a change may go unseen in this process
KEEP_SECONDS = 60  # names and pictures of authors may lag as long
MOST_ANSWERS = 1_000
MOST_BYTES = 16 * 1024 * 1024
LARGEST_ANSWER_BYTES = 64 * 1024
LARGEST_REQUEST_BYTES = 8 * 1024
Key = tuple[Any, ...]
_Told = dict[bytes, bytes]  # what those of `HEADERS` say that are there
ASKING = (b"content-type", b"accept", b"origin")  # what the answer depends on
HEADERS = {*ASKING, b"authorization", b"cookie", b"if-none-match", requests.ID_HEADER}
SHARED = "wellspring.shared"  # in the scope of a request whose answer may be kept

# What depends on nothing but the library, the rules of the tiers and what somebody may see of them:
# all fields of these types, or those named. What is not here is never kept.
_FIELDS: Mapping[str, frozenset[str] | None] = {
    "Query": frozenset({"contents", "content", "tags", "tiers"}),
    "Member": frozenset({"id", "displayName", "avatarUrl"}),
    "Tier": frozenset({"id", "code", "name", "rank", "rule", "benefits", "downgrade"}),
    "Content": frozenset(
        {
            *("id", "slug", "kind", "status", "version", "publishedVersion", "locale", "title"),
            *("summary", "body", "bodyHtml", "coverUrl", "shareText", "audience", "access"),
            *("minTier", "media", "tags", "author", "publishedAt", "createdAt", "updatedAt"),
        }
    ),
    **dict.fromkeys(
        ["ContentConnection", "ContentEdge", "ContentAccess", "PageInfo", "TagFacet", "Highlight"]
    ),
    **dict.fromkeys(["Tag", "TagConnection", "TagEdge", "Media", "MediaVariant"]),
}


def shared(schema: GraphQLSchema, document: DocumentNode) -> bool:
    """Whether every operation of a valid document is a query that selects nothing else."""
    info = TypeInfo(schema)
    look = _Look(info)
    visit(document, TypeInfoVisitor(info, look))
    return look.shared


class _Look(Visitor):
    def __init__(self, info: TypeInfo) -> None:
        super().__init__()
        self.info = info
        self.shared = True

    def enter_operation_definition(self, node: OperationDefinitionNode, *rest: Any) -> None:
        self.shared = self.shared and node.operation is OperationType.QUERY

    def enter_field(self, node: FieldNode, *rest: Any) -> None:
        parent, name = self.info.get_parent_type(), node.name.value
        kind = parent.name if parent else ""
        known = kind in _FIELDS and name in (_FIELDS[kind] or (name,))
        if not known and name != "__typename":
            self.shared = False


@dataclass(frozen=True, slots=True)
class _Answer:
    body: bytes
    headers: list[tuple[bytes, bytes]]  # all but the id of the request
    etag: bytes
    until: float


@dataclass(slots=True)
class Kept:
    """The answers of one process, the one that was asked for last behind the others."""

    answers: OrderedDict[Key, _Answer] = field(default_factory=OrderedDict)
    size_bytes: int = 0
    counted: int = 0  # changes that this process has made
    state: object = None  # of the library when it was looked at last
    looked_at: float = float("-inf")
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def age(self) -> object:
        """What is another one as soon as something is known to have changed. An answer may be
        kept if this was the same before it was made as after."""
        if self.counted != changes.counted():
            self.counted = changes.counted()
            self.forget()
        return self.counted, self.state

    async def find(self, key: Key) -> _Answer | None:
        """The answer to this request, if it is still good."""
        answer = self.answers.get(key)
        if answer is None:
            return None
        now = time.monotonic()
        if now - self.looked_at > LOOK_SECONDS:
            async with self._looking:
                await self._look()
        self.age()
        if answer.until < now or self.answers.get(key) is not answer:
            return None
        self.answers.move_to_end(key)
        return answer

    async def _look(self) -> None:
        began = time.monotonic()
        if began - self.looked_at <= LOOK_SECONDS:
            return  # somebody else has looked meanwhile
        try:
            found = await state.current()
        except database.UNREACHABLE:
            self.forget()  # whether anything is still true cannot be known
            return
        if found != self.state:
            self.forget()
        self.state, self.looked_at = found, began

    def keep(self, key: Key, answer: _Answer) -> None:
        """Keeps an answer that is not too large; the oldest ones go where there is no room."""
        if len(answer.body) > LARGEST_ANSWER_BYTES or _length(key) > LARGEST_REQUEST_BYTES:
            return
        if key in self.answers:
            self._drop(key)
        self.answers[key] = answer
        self.size_bytes += _size(key, answer)
        while len(self.answers) > MOST_ANSWERS or self.size_bytes > MOST_BYTES:
            self._drop(next(iter(self.answers)))

    def forget(self) -> None:
        """Drops everything."""
        self.answers.clear()
        self.size_bytes = 0

    def _drop(self, key: Key) -> None:
        self.size_bytes -= _size(key, self.answers.pop(key))


def _size(key: Key, answer: _Answer) -> int:
    return len(answer.body) + _length(key)


def _length(key: Key) -> int:
    return sum(len(part) for part in key if part)


class Cached:
    """Gives an answer again that was kept, and says of each that may be kept what it is known by:
    its ETag. Only who is not signed in gets what somebody else was given.

    It comes before everything else that answers at `PATH`: what others put into the headers of an
    answer is kept with it.
    """

    def __init__(self, app: ASGIApp, rates: Rates | None = None) -> None:
        self._app = app
        self._rates = rates or Rates(0)
        self.kept = Kept()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH:
            await self._app(scope, receive, send)
            return
        said = [pair for pair in scope["headers"] if pair[0] in HEADERS]
        told = dict(said)
        public = b"authorization" not in told and b"cookie" not in told
        first = await receive() if public else None
        if first is None or len(told) < len(said) or first.get("more_body", False):
            again = receive if first is None else requests.again(first, receive)
            await self._ask(scope, again, send, told, public=public)
            return
        key = (
            scope["method"],
            scope["query_string"],
            *map(told.get, ASKING),
            first.get("body"),
        )
        kept = await self.kept.find(key)
        # What is one too many is refused by the app, in the form that it has for that.
        if kept is not None and self._rates.allows((scope.get("client") or (None,))[0]):
            named = (requests.ID_HEADER, requests.name(told.get(requests.ID_HEADER, b"")))
            await _send(kept, [*kept.headers, named], scope["method"], told, send)
            return
        age = self.kept.age()
        again = requests.again(first, receive)
        answer = await self._ask(scope, again, send, told, public=public)
        if answer is not None and age == self.kept.age():
            self.kept.keep(key, answer)

    async def _ask(
        self, scope: Scope, receive: Receive, send: Send, told: _Told, *, public: bool
    ) -> _Answer | None:
        """Answers by the app; what was answered, where it may be kept."""
        start: Message = {}
        answer: _Answer | None = None

        async def sending(message: Message) -> None:
            nonlocal start, answer
            if message["type"] == "http.response.start" and SHARED in scope:
                start = message
            elif not start or message["type"] != "http.response.body":
                await send(message)
            else:
                answer = _answer(start["headers"], message["body"], public=public)
                named = [pair for pair in start["headers"] if pair[0] == requests.ID_HEADER]
                await _send(answer, answer.headers + named, scope["method"], told, send)

        await self._app(scope, receive, sending)
        return answer


def _answer(given: Sequence[tuple[bytes, bytes]], body: bytes, *, public: bool) -> _Answer:
    etag = b'"%s"' % hashlib.sha256(body).hexdigest()[:32].encode()  # processors have it built in
    vary = [value for name, value in given if name == b"vary"]
    headers = [
        *(pair for pair in given if pair[0] not in (b"vary", requests.ID_HEADER)),
        (b"etag", etag),
        (b"cache-control", b"public, no-cache" if public else b"private, no-cache"),
        (b"vary", b", ".join([b"Authorization, Cookie, Accept", *vary])),
    ]
    return _Answer(body, headers, etag, time.monotonic() + KEEP_SECONDS)


async def _send(
    answer: _Answer, headers: list[tuple[bytes, bytes]], method: str, told: _Told, send: Send
) -> None:
    """Sends the answer; to who has it already, only that it is still the same."""
    body, status = answer.body, 200
    if method == "GET" and answer.etag in told.get(b"if-none-match", b""):
        headers = [pair for pair in headers if not pair[0].startswith(b"content-")]
        body, status = b"", 304
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
