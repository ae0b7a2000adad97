"""Owns how a page of contents is answered at once: where everything that is selected is known here,
one statement and no resolver gives the answer; all else is left to the general way."""

from binascii import b2a_base64
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar, cast

import orjson
from graphql import FieldNode, GraphQLError, GraphQLObjectType, OperationDefinitionNode
from graphql.execution.collect_fields import FieldDetailsList
from graphql.execution.values import get_argument_values
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from api.settings import Settings
from content import listing
from content.listing import Asked, Listed, Template
from content.models import Dimension
from content.templates import Access, Address, Instant, Maybe, Parts, Place, Plain, Shown, Tags
from content.templates import Part as Written

T = TypeVar("T")
KEPT_PLANS = 256

Made = Callable[[Listed], bytes]  # JSON of the page as a whole
Part = Written | Made
Known = Callable[["_Compiler", FieldDetailsList], Sequence[Part]]


# By ids; what is kept with each plan keeps those from being given to something else.
_plans: OrderedDict[tuple[Any, ...], "tuple[OperationDefinitionNode, Settings, Plan | None]"] = (
    OrderedDict()
)


@dataclass(frozen=True, slots=True)
class _Either:
    """A page that is still to be read, and how to read it in the general way."""

    asked: Asked
    generally: Callable[[], Awaitable[Any]]


def either(asked: Asked, generally: Callable[[], Awaitable[T]]) -> T:
    """What a resolver returns for a page of contents, so that `ExecutionContext` looks at what is
    selected of it, and reads it at once or `generally`."""
    return cast(T, _Either(asked, generally))


class ExecutionContext(StrawberryGraphQLCoreExecutionContext):
    """Lets finished answers through; everything else is executed as ever."""

    def complete_object_value(  # noqa: PLR0917 - the executor calls it by place
        self,
        return_type: GraphQLObjectType,
        field_details_list: FieldDetailsList,
        info: Any,
        path: Any,
        result: Any,
        position_context: Any,
    ) -> Any:
        def complete(value: Any) -> Any:
            return super(ExecutionContext, self).complete_object_value(
                return_type, field_details_list, info, path, value, position_context
            )

        if not isinstance(result, _Either):
            return complete(result)
        plan = self.plan(field_details_list) if listing.able(result.asked) else None
        if plan is not None:
            answered = Answered(result.asked, plan, field_details_list[0].node)
            self.context_value.answered.append(answered)
            return plan.answer(result.asked)

        async def generally() -> Any:
            completed = complete(await result.generally())
            return await completed if self.is_awaitable(completed) else completed

        return generally()

    def plan(self, selected: FieldDetailsList) -> "Plan | None":
        """How to answer what is selected of a page at once; None where that cannot be.

        It is kept: what is selected depends on the document, and on those of the variables that
        are truths or words of an enum.
        """
        values = self.variable_values.coerced.items()
        said = [(name, value) for name, value in values if isinstance(value, (bool, Enum))]
        settings = self.context_value.settings
        key = (id(self.operation), id(settings), *(id(details.node) for details in selected), *said)
        if key in _plans:
            _plans.move_to_end(key)
        else:
            _plans[key] = (self.operation, settings, _compiled(self, selected))
            if len(_plans) > KEPT_PLANS:
                _plans.popitem(last=False)
        return _plans[key][2]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a page has to show, and what is made of it."""

    template: Template
    parts: Sequence["str | Made"]

    async def answer(self, asked: Asked) -> orjson.Fragment:
        """The finished value of the field."""
        page = await listing.page(asked, self.template)
        made = [part.encode() if isinstance(part, str) else part(page) for part in self.parts]
        return orjson.Fragment(b"".join(made))


@dataclass(frozen=True, slots=True)
class Answered:
    """A page that is answered at once: by this plan, for this field of the document."""

    asked: Asked
    plan: Plan
    node: FieldNode


class Unknown(Exception):
    """Something is selected that only the general way knows."""


def _compiled(execution: ExecutionContext, selected: FieldDetailsList) -> Plan | None:
    compiler = _Compiler(execution)
    try:
        parts = compiler.object("ContentConnection", selected)
    except (Unknown, GraphQLError, RecursionError):  # the general way says what is wrong
        return None
    return Plan(Template(compiler.texts, {_ID.encode(): _id_finished}), cast(Any, parts))


_ID = "\x1f"  # the mark around what an id says


def _id_finished(said: bytes) -> bytes:
    """As `to_id` writes it."""
    return b2a_base64(said, newline=False)


@dataclass(slots=True)
class _Compiler:
    """Puts what is selected together of parts: those of a row are written by the database, which
    leaves little to Python; called for each value, functions would cost more than the statement."""

    execution: ExecutionContext
    texts: list[Parts] = field(default_factory=list)  # of each row

    @property
    def base_url(self) -> str:
        """Where people reach this server."""
        return self.execution.context_value.settings.base_url

    def object(self, kind: str, selected: FieldDetailsList) -> Sequence[Part]:
        """An object, by the keys and in the order selected."""
        of = cast(GraphQLObjectType, self.execution.schema.type_map[kind])
        fields = self.execution.collect_subfields(of, selected).grouped_field_set
        parts: list[Part] = []
        for key, each in fields.items():
            parts += [f'{"," if parts else "{"}"{key}":', *self._value(kind, each)]
        return _merged([*(parts or "{"), "}"])

    def _value(self, kind: str, selected: FieldDetailsList) -> Sequence[Part]:
        name = selected[0].node.name.value
        if name == "__typename":
            return [f'"{kind}"']
        if name not in FIELDS[kind]:
            raise Unknown
        known = FIELDS[kind][name]
        return [Shown(known)] if isinstance(known, str) else known(self, selected)


def _merged(parts: Sequence[Part]) -> Sequence[Part]:
    """The same with texts that follow one another as one."""
    merged: list[Part] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        else:
            merged.append(part)
    return merged


def _id(kind: str, name: str) -> Known:
    return lambda compiler, selected: [f'"{_ID}{kind}:', Plain(name), f'{_ID}"']


def _cursor(compiler: _Compiler, selected: FieldDetailsList) -> Sequence[Part]:
    return [f'"{listing.CURSOR}', Place(), f'{listing.CURSOR}"']


def _instant(name: str) -> Known:
    return lambda compiler, selected: [Instant(name)]


def _address(name: str) -> Known:
    return lambda compiler, selected: [Address(name, compiler.base_url)]


def _reason(compiler: _Compiler, selected: FieldDetailsList) -> Sequence[Part]:
    return [Access()]


def _same(kind: str) -> Known:
    """An object that is made of the same source."""
    return lambda compiler, selected: compiler.object(kind, selected)


def _optional(kind: str, name: str) -> Known:
    """Likewise, where the row names one."""
    return lambda compiler, selected: [Maybe(name, _written(compiler.object(kind, selected)))]


def _rows(kind: str) -> Known:
    def known(compiler: _Compiler, selected: FieldDetailsList) -> Sequence[Part]:
        number = len(compiler.texts)
        compiler.texts.append(_written(compiler.object(kind, selected)))
        return ["[", lambda page: page.text(number), "]"]

    return known


def _written(parts: Sequence[Part]) -> Parts:
    return cast(Parts, parts)  # below a row there is nothing that is made of the page


def _tags(compiler: _Compiler, selected: FieldDetailsList) -> Sequence[Part]:
    of = cast(GraphQLObjectType, compiler.execution.schema.type_map["Content"])
    node, _, fragment = selected[0]
    values = compiler.execution.variable_values
    asked = get_argument_values(of.fields["tags"], node, values, fragment).get("dimension")
    dimension = None if asked is None else Dimension(asked)
    return ["[", Tags(_written(compiler.object("Tag", selected)), dimension), "]"]


def _made(make: Made) -> Known:
    return lambda compiler, selected: [make]


# What is known of each type: what a row shows under this name, or how to make it. Only what every
# viewer may see belongs here.
FIELDS: Mapping[str, Mapping[str, str | Known]] = {
    "ContentConnection": {
        "edges": _rows("ContentEdge"),
        "nodes": _rows("Content"),
        "pageInfo": _same("PageInfo"),
    },
    "ContentEdge": {"cursor": _cursor, "node": _same("Content")},
    "PageInfo": {
        "hasNextPage": _made(lambda page: orjson.dumps(page.has_next)),
        "hasPreviousPage": _made(lambda page: orjson.dumps(page.has_previous)),
        "startCursor": _made(lambda page: page.cursor(0)),
        "endCursor": _made(lambda page: page.cursor(-1)),
    },
    "Content": {
        "id": _id("Content", "id"),
        "slug": "slug",
        "kind": "kind",
        "status": "status",
        "version": "version",
        "publishedVersion": "published_version",
        "pendingStatus": "pending_status",
        "locale": "locale",
        "title": "title",
        "summary": "summary",
        "coverUrl": _address("cover_url"),
        "shareText": "share_text",
        "audience": "audience",
        "publishedAt": _instant("published_at"),
        "scheduledAt": _instant("scheduled_at"),
        "createdAt": _instant("created_at"),
        "updatedAt": _instant("updated_at"),
        "access": _same("ContentAccess"),
        "minTier": _optional("Tier", "min_tier_id"),
        "author": _optional("Member", "author_id"),
        "tags": _tags,
    },
    "ContentAccess": {
        "reason": _reason,
        "requiredTier": _optional("Tier", "min_tier_id"),
    },
    "Member": {
        "id": _id("Member", "author_id"),
        "displayName": "author_name",
        "avatarUrl": "author_avatar",
    },
    "Tier": {
        "id": _id("Tier", "min_tier_id"),
        "code": "tier_code",
        "name": "tier_name",
        "rank": "tier_rank",
    },
    "Tag": {
        "id": _id("Tag", "tag_id"),
        "dimension": "tag_dimension",
        "slug": "tag_slug",
        "name": "tag_name",
    },
}
