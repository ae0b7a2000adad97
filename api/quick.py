"""Owns the short way from a request to a page of contents: where its document came before and asks
for nothing else, only its variables and its one resolver are left to be run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from inspect import isawaitable
from typing import Any, cast

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLField,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    get_operation_ast,
)
from graphql.execution.collect_fields import collect_fields
from graphql.execution.values import get_argument_values, get_variable_values
from graphql.pyutils import Path

from api import hot
from api.context import Context
from api.errors import Refusal
from api.hot import Plan
from api.settings import Settings
from core import database
from core.errors import Mistake
from core.paging import BadPage

REFUSALS = (GraphQLError, Refusal, Mistake, BadPage, *database.UNREACHABLE)
KEPT_OPERATIONS = 256
KEPT_ROOTS = 32  # of one operation: what is selected depends on those variables that are choices


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for an operation."""

    text: str
    name: str | None
    variables: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Root:
    """The only field that an operation asks for, and how its value is made at once."""

    key: str
    field: GraphQLField
    node: FieldNode
    info: GraphQLResolveInfo
    plan: Plan


@dataclass(slots=True)
class _Operation:
    document: DocumentNode
    node: OperationDefinitionNode
    roots: dict[tuple[Any, ...], _Root | None] = field(default_factory=dict)


class Quick:
    """What is known of the operations that came before; for one schema and one installation."""

    def __init__(self, schema: GraphQLSchema, settings: Settings) -> None:
        self._schema = schema
        self._settings = settings
        self._operations: dict[tuple[str, str | None], _Operation | None] = {}

    def knows(self, asked: Asked) -> bool:
        """Whether there may be a short way."""
        return self._operations.get((asked.text, asked.name)) is not None

    def keep(self, text: str, document: DocumentNode, name: str | None) -> None:
        """Keeps an operation of a document that is valid and within its limits."""
        if (text, name) in self._operations:
            return
        if len(self._operations) >= KEPT_OPERATIONS:
            self._operations.clear()
        node = get_operation_ast(document, name)
        query = node is not None and node.operation is OperationType.QUERY
        self._operations[text, name] = _Operation(document, node) if node and query else None

    async def answer(self, asked: Asked, context: Context) -> dict[str, Any] | None:
        """The data of the answer; None where the general way has to find it, and so wherever
        there is something to be refused."""
        operation = self._operations.get((asked.text, asked.name))
        if operation is None:
            return None
        definitions = operation.node.variable_definitions or ()
        values: Any = get_variable_values(self._schema, definitions, {**asked.variables})
        if isinstance(values, list):
            return None
        try:
            root = self._root(operation, asked, context, values)
            if root is None:
                return None
            info = root.info._replace(context=context, variable_values=values)
            arguments = get_argument_values(root.field, root.node, values)
            found = root.field.resolve(None, info, **arguments)  # type: ignore[misc]
            found = await found if isawaitable(found) else found
            made = await hot.at_once(found, root.plan)
        except REFUSALS:  # the general way meets it again, and says what is wrong
            return None
        return None if made is None else {root.key: made}

    def _root(
        self, operation: _Operation, asked: Asked, context: Context, values: Any
    ) -> _Root | None:
        """What is asked for, if that is one page that can be read at once."""
        choices = (*(each for each in values.coerced.items() if isinstance(each[1], (bool, Enum))),)
        if choices in operation.roots:
            return operation.roots[choices]
        if len(operation.roots) >= KEPT_ROOTS:
            operation.roots.clear()
        execution = hot.ExecutionContext.build(
            self._schema,
            operation.document,
            context_value=context,
            raw_variable_values={**asked.variables},
            operation_name=asked.name,
        )
        known = None if isinstance(execution, list) else _root(cast(Any, execution))
        operation.roots[choices] = known
        return known


def _root(execution: hot.ExecutionContext) -> _Root | None:
    query = cast(GraphQLObjectType, execution.schema.query_type)
    fields = collect_fields(
        *(execution.schema, execution.fragments, execution.variable_values),
        *(query, execution.operation),
    ).grouped_field_set
    if len(fields) != 1:
        return None
    [(key, selected)] = fields.items()
    node = selected[0].node
    if node.name.value not in hot.PAGES or (plan := execution.plan(selected)) is None:
        return None
    definition = query.fields[node.name.value]
    nodes = [details.node for details in selected]
    path = Path(None, key, query.name)
    info = execution.build_resolve_info(definition, nodes, query, path)
    return _Root(key, definition, node, info._replace(context=None), plan)
