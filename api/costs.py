"""Owns what an operation costs, known before it runs: at most how many fields its answer has.

Lists multiply what is selected of them: a page by `first` or `last` or what it has without either,
a list of given things by how many are given, any other list by ten.
"""

from collections.abc import Callable, Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
)
from graphql.language import BooleanValueNode, ValueNode

INTROSPECTION = 5_000  # of `__schema` and `__type`, whatever is selected of them
LIST = 10  # what is expected of a list that says nothing of its length
LONGEST = 100  # no page is longer, and no list of given things
PAGE = 20
KEPT = 64  # of one operation
PAGED = ("nodes", "edges")
SIZES = ("first", "last")

Variables = Mapping[str, Any]
_Cost = Callable[[Variables], int]


class Costs:
    """The costs of the operations of one valid document."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments = {
            each.name.value: each
            for each in document.definitions
            if isinstance(each, FragmentDefinitionNode)
        }
        self._known: dict[int, tuple[_Operation, dict[tuple[Any, ...], int]]] = {}

    def of(self, operation: OperationDefinitionNode, variables: Variables) -> int:
        """What the operation costs with these variables, of which only few matter."""
        if id(operation) not in self._known:
            made = _Operation(self._schema, self._fragments, operation)
            self._known[id(operation)] = made, {}
        measured, costs = self._known[id(operation)]
        if not measured.matters:
            key: tuple[Any, ...] = ()
        else:
            key = (*(_plain(variables.get(name, ...)) for name in measured.matters),)
        cost = costs.get(key)
        if cost is None:
            if len(costs) >= KEPT:
                costs.clear()
            cost = costs[key] = measured.cost(variables)
        return cost


def _plain(value: Any) -> Any:
    """What of a variable's value matters: a truth, a number, or how many there are."""
    if isinstance(value, list):
        return "list", len(value)
    return value if value is None or isinstance(value, bool | int) else ...


class _Operation:
    """One operation, walked anew for each set of the variables that matter."""

    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        operation: OperationDefinitionNode,
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._operation = operation
        self._given: dict[str, Any] = {}
        self._known: dict[tuple[int, int], int] = {}
        self._defaults = {
            each.variable.name.value: each.default_value
            for each in operation.variable_definitions or ()
        }
        self._matter: set[str] = set()
        self._everything = True  # once, to find out which variables matter
        self.cost({})
        self._everything = False
        self.matters = (*sorted(self._matter),)

    def cost(self, variables: Variables) -> int:
        self._given = {**variables}
        self._known = {}
        root = self._schema.get_root_type(self._operation.operation)
        assert root is not None  # noqa: S101 - the document is valid
        return self._selection(root, self._operation.selection_set, 1)

    def _selection(self, parent: Any, selected: SelectionSetNode, size: int) -> int:
        """What is selected of one `parent`; `size` is that of its page, if it is one."""
        key = (id(selected), size)
        if key not in self._known:
            fields = self._collected(parent, selected, set())
            self._known[key] = sum(self._field(*each, size) for each in fields)
        return self._known[key]

    def _collected(
        self, parent: Any, selected: SelectionSetNode, seen: set[str]
    ) -> list[tuple[Any, FieldNode]]:
        found: list[tuple[Any, FieldNode]] = []
        for each in selected.selections:
            if not self._included(each):
                continue
            if isinstance(each, FieldNode):
                found.append((parent, each))
            elif isinstance(each, InlineFragmentNode):
                of = each.type_condition
                kind = self._schema.type_map[of.name.value] if of else parent
                found += self._collected(kind, each.selection_set, seen)
            elif isinstance(each, FragmentSpreadNode) and each.name.value not in seen:
                seen.add(each.name.value)
                fragment = self._fragments[each.name.value]
                kind = self._schema.type_map[fragment.type_condition.name.value]
                found += self._collected(kind, fragment.selection_set, seen)
        return found

    def _field(self, parent: Any, node: FieldNode, size: int) -> int:
        name = node.name.value
        if name.startswith("__"):
            return 1 if name == "__typename" else INTROSPECTION
        field: GraphQLField = parent.fields[name]
        if node.selection_set is None or is_leaf_type(get_named_type(field.type)):
            return 1
        listed = is_list_type(get_nullable_type(field.type))
        own = self._size(field, node)
        many = 1
        if listed:
            paged = name in PAGED and parent.name.endswith("Connection")
            many = size if paged else (LIST if own is None else own)
        kind = get_named_type(field.type)
        return 1 + many * self._selection(kind, node.selection_set, own or PAGE)

    def _size(self, field: GraphQLField, node: FieldNode) -> int | None:
        """How many the arguments ask for, if they say so."""
        given = {each.name.value: each.value for each in node.arguments or ()}
        sizes = []
        for name, argument in field.args.items():
            if name in SIZES:
                default = argument.default_value
                value = self._number(given[name]) if name in given else None
                if value is None and isinstance(default, int):
                    value = default
                sizes += [] if value is None else [value]
            elif name in given and is_list_type(get_nullable_type(argument.type)):
                value = self._length(given[name])
                sizes += [] if value is None else [value]
        return min(max(*sizes, 1), LONGEST) if sizes else None

    def _number(self, value: ValueNode) -> int | None:
        if isinstance(value, IntValueNode):
            return _small(value)
        found = self._variable(value)
        return found if isinstance(found, int) and not isinstance(found, bool) else None

    def _length(self, value: ValueNode) -> int | None:
        if isinstance(value, ListValueNode):
            return len(value.values)
        found = self._variable(value)
        return len(found) if isinstance(found, list) else None

    def _included(self, node: Any) -> bool:
        for directive in node.directives or ():
            name = directive.name.value
            if name in ("skip", "include") and directive.arguments:
                value = directive.arguments[0].value
                said = value.value if isinstance(value, BooleanValueNode) else self._variable(value)
                if isinstance(said, bool) and said is (name == "skip"):
                    return self._everything
        return True

    def _variable(self, value: ValueNode) -> Any:
        if not isinstance(value, VariableNode):
            return None
        name = value.name.value
        self._matter.add(name)
        if name in self._given:
            return self._given[name]
        default = self._defaults.get(name)
        if isinstance(default, IntValueNode):
            return _small(default)
        if isinstance(default, ListValueNode):
            return [*default.values]
        return default.value if isinstance(default, BooleanValueNode) else None


def _small(value: IntValueNode) -> int:
    """The number, or one that is as good where it has too many digits to be one."""
    return int(value.value) if len(value.value) <= len(str(LONGEST)) + 1 else LONGEST
