"""Owns answers that are kept for a while: what anybody may read, until the library changes.

An answer is kept under the whole request, so that giving it again parses nothing. Each process
looks whether the library has changed, at most so often, and forgets everything when it has.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping
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

from content import state
from core import changes, database

LOOK_SECONDS = 0.4  # how long a change may go unseen in this process
KEEP_SECONDS = 60  # names and pictures of authors may lag as long
MOST_ANSWERS = 1_000
MOST_BYTES = 16 * 1024 * 1024
LARGEST_ANSWER_BYTES = 64 * 1024
LARGEST_REQUEST_BYTES = 8 * 1024
Key = tuple[Any, ...]
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
class Answer:
    """What was answered, and until when that may be said again."""

    body: bytes
    headers: list[tuple[bytes, bytes]]  # all but the id of the request
    etag: bytes
    until: float


@dataclass(slots=True)
class Kept:
    """The answers of one process, the one that was asked for last behind the others."""

    answers: OrderedDict[Key, Answer] = field(default_factory=OrderedDict)
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

    async def find(self, key: Key) -> Answer | None:
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

    def keep(self, key: Key, answer: Answer) -> None:
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


def _size(key: Key, answer: Answer) -> int:
    return len(answer.body) + _length(key)


def _length(key: Key) -> int:
    return sum(len(part) for part in key if part)
