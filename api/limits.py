"""Owns the shape that a document may have: how deep it selects, and how often under other names."""

import math

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    SelectionSetNode,
    Visitor,
    visit,
)

from api.errors import QueryTooComplex


def check(document: DocumentNode, max_depth: int, max_aliases: int) -> None:
    """Raises `QueryTooComplex` for a document that selects deeper, fragments counted where they are
    spread, or gives more fields other names. A document that no server could execute, with
    fragments in a circle for instance, is left to the validation."""
    counted = _Aliases()
    visit(document, counted)
    if counted.aliases > max_aliases:
        raise QueryTooComplex(f"A document has at most {max_aliases} aliases.")
    depths = _Depths(document)
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            depth = depths.of(definition.selection_set)
            if max_depth < depth < math.inf:
                raise QueryTooComplex(f"A document selects at most {max_depth} deep.")


class _Aliases(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.aliases = 0

    def enter_field(self, node: FieldNode, *rest: object) -> None:
        self.aliases += node.alias is not None


class _Depths:
    """How many fields lie below each other; each fragment is measured once."""

    def __init__(self, document: DocumentNode) -> None:
        self._fragments = {
            each.name.value: each
            for each in document.definitions
            if isinstance(each, FragmentDefinitionNode)
        }
        self._known: dict[str, float] = {}

    def of(self, selected: SelectionSetNode | None) -> float:
        deepest = 0.0
        for each in selected.selections if selected else ():
            if isinstance(each, FragmentSpreadNode):
                depth = self._of_fragment(each.name.value)
            elif isinstance(each, FieldNode):
                depth = 1 + self.of(each.selection_set)
            else:
                depth = self.of(each.selection_set)  # type: ignore[attr-defined]
            deepest = max(deepest, depth)
        return deepest

    def _of_fragment(self, name: str) -> float:
        if name not in self._known:
            self._known[name] = math.inf  # unless it comes to an end
            fragment = self._fragments.get(name)
            self._known[name] = self.of(fragment.selection_set) if fragment else 0
        return self._known[name]
