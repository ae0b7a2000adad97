"""Owns the short way to a page of contents: of what was asked for before, but for the place in the
list, everything is known, and only its one statement is left to be run."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from graphql import (
    SKIP,
    DocumentNode,
    FieldNode,
    GraphQLError,
    VariableNode,
    Visitor,
    visit,
)

from api.asking import Asked
from api.documents import Document
from api.errors import Refusal, as_json
from api.hot import Answered
from content.gate import Reader
from core import database
from core.errors import Mistake
from core.paging import BadPage

REFUSALS = (GraphQLError, Refusal, Mistake, BadPage, *database.UNREACHABLE)
KEPT_OPERATIONS = 256
KEPT_PAGES = 32  # of one operation
LARGEST_KEY_BYTES = 2_000
CURSORS = ("after", "before")


@dataclass(frozen=True, slots=True)
class Known:
    """A page that was asked for before, and the cursors that are given this time."""

    key: str  # of the only field in `data`
    answered: Answered
    cost: int
    shared: bool
    cursors: Mapping[str, str]

    async def answer(self, reader: Reader) -> bytes | None:
        """The answer; None where the general way has to find it, and so wherever there is something
        to be refused."""
        asked = replace(self.answered.asked, reader=reader, **self.cursors)
        try:
            made = await self.answered.plan.answer(asked)
        except REFUSALS:  # the general way meets it again, and says what is wrong
            return None
        return as_json({"data": {self.key: made}, "extensions": {"cost": self.cost}})


@dataclass(slots=True)
class _Operation:
    """The pages of an operation, by all of its variables but the cursors; those of one field, since
    another one may be given other cursors."""

    key: str
    cursors: Mapping[str, str]  # by the names of the variables that give them
    pages: dict[bytes, Known] = field(default_factory=dict)

    def apart(self, variables: Mapping[str, Any]) -> tuple[bytes, Mapping[str, str]]:
        """What a page is kept by, and the cursors that are given."""
        given = [name for name in self.cursors if isinstance(variables.get(name), str)]
        rest = {**variables, **dict.fromkeys(given, "")}
        return as_json(rest), {self.cursors[name]: variables[name] for name in given}


class Quick:
    """What is known of the operations that came before; for one schema and one installation."""

    def __init__(self) -> None:
        self._operations: dict[tuple[str | None, ...], _Operation] = {}

    def find(self, asked: Asked) -> Known | None:
        """The page that is asked for, if it is known."""
        operation = self._operations.get((asked.text, asked.document_id, asked.name))
        if operation is None:
            return None
        key, cursors = operation.apart(asked.variables)
        page = operation.pages.get(key)
        return page and replace(page, cursors=cursors)

    def keep(
        self,
        asked: Asked,
        document: Document,
        cost: int,
        data: Mapping[str, Any],
        answered: Sequence[Answered],
    ) -> None:
        """Keeps what a query was found to ask for, if that is one page, answered at once."""
        if len(data) != 1 or len(answered) != 1:
            return
        [(key, value)] = data.items()
        if not isinstance(value, orjson.Fragment):
            return
        operation = self._operation(asked, document.node, key, answered[0].node)
        kept_by, _ = operation.apart(asked.variables)
        if operation.key != key or len(kept_by) > LARGEST_KEY_BYTES:
            return
        if len(operation.pages) >= KEPT_PAGES:
            operation.pages.clear()
        operation.pages[kept_by] = Known(key, answered[0], cost, document.shared, {})

    def _operation(
        self, asked: Asked, document: DocumentNode, key: str, node: FieldNode
    ) -> _Operation:
        names = (asked.text, asked.document_id, asked.name)
        if names not in self._operations:
            if len(self._operations) >= KEPT_OPERATIONS:
                self._operations.clear()
            self._operations[names] = _Operation(key, _cursors(document, node))
        return self._operations[names]


def _cursors(document: DocumentNode, node: FieldNode) -> Mapping[str, str]:
    """The cursors of the field that variables give which are used for nothing else."""
    used = _Used()
    visit(document, used)
    given = {
        each.value.name.value: each.name.value
        for each in node.arguments or ()
        if each.name.value in CURSORS and isinstance(each.value, VariableNode)
    }
    return {name: argument for name, argument in given.items() if used.times[name] == 1}


class _Used(Visitor):
    """How often each variable is used in a document."""

    def __init__(self) -> None:
        super().__init__()
        self.times = Counter[str]()

    def enter_variable_definition(self, *_: Any) -> Any:
        return SKIP

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        self.times[node.name.value] += 1
