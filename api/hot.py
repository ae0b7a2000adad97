"""Owns how a page of contents is answered at once: where everything that is selected is known here,
one statement and no resolver gives the answer; all else is left to the general way."""

import functools
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar, cast

from graphql import GraphQLError, GraphQLObjectType, OperationDefinitionNode
from graphql.execution.collect_fields import FieldDetailsList
from graphql.execution.values import get_argument_values
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from api.media import absolute
from api.nodes import to_id
from api.scalars import serialize_instant
from api.settings import Settings
from content import listing, reading
from content.listing import TAG, Asked, Listed
from content.models import Dimension

T = TypeVar("T")
KEPT_PLANS = 256
KEPT_IDS = 8_192
PAGES = frozenset({"contents"})  # the fields of Query that answer by `either`

Known = Callable[["_Compiler", FieldDetailsList], str]


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


async def at_once(found: Any, plan: "Plan") -> dict[str, Any] | None:
    """The finished value of what a resolver returned; None where only the general way has it."""
    if isinstance(found, _Either) and listing.able(found.asked):
        return await plan.answer(found.asked)
    return None


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
    """What a page has to show and what is made of it."""

    shown: Sequence[str]
    make: Callable[[Listed], dict[str, Any]]

    async def answer(self, asked: Asked) -> dict[str, Any]:
        """The finished value of the field."""
        return self.make(await listing.page(asked, self.shown))


class Unknown(Exception):
    """Something is selected that only the general way knows."""


def _compiled(execution: ExecutionContext, selected: FieldDetailsList) -> Plan | None:
    compiler = _Compiler(execution)
    try:
        made = compiler.object("ContentConnection", selected)
    except (Unknown, GraphQLError, RecursionError):  # the general way says what is wrong
        return None
    names = {
        "cover": functools.partial(absolute, execution.context_value.settings),
        "id": functools.lru_cache(maxsize=KEPT_IDS)(to_id),
        "instant": _instant_shown,
    }
    # All of it is written below: of the query there are only names, which are letters and digits.
    make = eval(f"lambda page: {made}", names)  # noqa: S307
    return Plan([*compiler.shown], make)


def _instant_shown(text: str | None) -> str | None:
    return text and serialize_instant(reading.instant(text))


@dataclass(slots=True)
class _Compiler:
    """Writes what is selected as Python, in which `page` is `Listed`, `row` is of a content and
    `tag` is one of its tags: called for each value, functions would cost more than the database.
    """

    execution: ExecutionContext
    shown: dict[str, int] = field(default_factory=dict)  # what a row has to show, and its place

    def object(self, kind: str, selected: FieldDetailsList) -> str:
        """An object, by the keys and in the order selected."""
        of = cast(GraphQLObjectType, self.execution.schema.type_map[kind])
        fields = self.execution.collect_subfields(of, selected).grouped_field_set
        values = (f"{key!r}: {self._value(kind, each)}" for key, each in fields.items())
        return f"{{{', '.join(values)}}}"

    def _value(self, kind: str, selected: FieldDetailsList) -> str:
        name = selected[0].node.name.value
        if name == "__typename":
            return repr(kind)
        if name not in FIELDS[kind]:
            raise Unknown
        known = FIELDS[kind][name]
        return self.of_row(known) if isinstance(known, str) else known(self, selected)

    def of_row(self, name: str) -> str:
        """What a row shows under this name."""
        return f"row[{self.shown.setdefault(name, len(self.shown))}]"


def _id(kind: str, name: str) -> Known:
    return lambda compiler, selected: f"id({kind!r}, {compiler.of_row(name)})"


def _instant(name: str) -> Known:
    return lambda compiler, selected: f"instant({compiler.of_row(name)})"


def _same(kind: str) -> Known:
    """An object that is made of the same source."""
    return lambda compiler, selected: compiler.object(kind, selected)


def _optional(kind: str, name: str) -> Known:
    """Likewise, where the row names one."""

    def known(compiler: _Compiler, selected: FieldDetailsList) -> str:
        made = compiler.object(kind, selected)
        return f"(None if {compiler.of_row(name)} is None else {made})"

    return known


def _rows(kind: str) -> Known:
    return lambda compiler, selected: f"[{compiler.object(kind, selected)} for row in page.rows]"


def _tags(compiler: _Compiler, selected: FieldDetailsList) -> str:
    made, rows = compiler.object("Tag", selected), compiler.of_row("tags")
    of = cast(GraphQLObjectType, compiler.execution.schema.type_map["Content"])
    node, _, fragment = selected[0]
    values = compiler.execution.variable_values
    asked = get_argument_values(of.fields["tags"], node, values, fragment).get("dimension")
    only = "" if asked is None else f" if {_tag('dimension')} == {Dimension(asked).value!r}"
    return f"[{made} for tag in sorted({rows} or ()){only}]"


def _tag(name: str) -> str:
    return f"tag[{TAG.index(name)}]"


def _written(text: str) -> Known:
    return lambda compiler, selected: text


# What is known of each type: what a row shows under this name, or how to make it. Only what every
# viewer may see belongs here.
FIELDS: Mapping[str, Mapping[str, str | Known]] = {
    "ContentConnection": {
        "edges": _rows("ContentEdge"),
        "nodes": _rows("Content"),
        "pageInfo": _same("PageInfo"),
    },
    "ContentEdge": {"cursor": "cursor", "node": _same("Content")},
    "PageInfo": {
        "hasNextPage": _written("page.has_next"),
        "hasPreviousPage": _written("page.has_previous"),
        "startCursor": _written("(page.cursor(page.rows[0]) if page.rows else None)"),
        "endCursor": _written("(page.cursor(page.rows[-1]) if page.rows else None)"),
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
        "coverUrl": lambda compiler, selected: f"cover({compiler.of_row('cover_url')})",
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
    "ContentAccess": {"reason": "access", "requiredTier": _optional("Tier", "min_tier_id")},
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
        "id": _written(f"id('Tag', {_tag('id')})"),
        "dimension": _written(_tag("dimension")),
        "slug": _written(_tag("slug")),
        "name": _written(_tag("name")),
    },
}
