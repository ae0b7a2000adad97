"""Owns documents on their way to be executed: parsed, checked and kept, since clients send the same
few again and again."""

import asyncio
import functools
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    get_operation_ast,
    parse,
    specified_rules,
    validate,
)
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from api import caching, limits
from api.costs import Costs
from api.errors import QueryTooComplex, Refusal
from api.settings import Settings

T = TypeVar("T")
CACHED_DOCUMENTS = 128
SHORT_CHARACTERS = 2_000  # checked at once
LARGEST_DOCUMENT_CHARACTERS = 32_768
DEEPEST_DOCUMENT = 100  # brackets; the parser calls itself for each
BRACKETS = re.compile(r"[][{}()]")
MOST_MISTAKES = 20  # told of one document


class Faulty(Exception):
    """A document that is no GraphQL, or none of this schema: its mistakes."""

    def __init__(self, errors: Sequence[GraphQLError], *, parsed: bool) -> None:
        super().__init__("the document is faulty")
        self.errors = errors
        self.parsed = parsed


@dataclass(frozen=True, slots=True)
class Document:
    """A document that may be executed."""

    node: DocumentNode
    shared: bool  # whether answers may be kept
    costs: Costs

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """The operation of this name, or the only one; raises `Refusal`."""
        found = get_operation_ast(self.node, name)
        if found is None:
            which = "one of several operations" if name is None else "an operation of the document"
            raise Refusal(f"`operationName` has to name {which}.")
        return found

    def introspects(self, operation: OperationDefinitionNode) -> bool:
        """Whether the operation asks for the schema, which waits for nothing and takes long;
        raises `QueryTooComplex` where it asks for something else too."""
        names = {*root_names(self.node, operation)} - {"__typename"}
        about_schema = {name for name in names if name.startswith("__")}
        if about_schema and names != about_schema:
            raise QueryTooComplex("Ask for the schema in a request of its own.")
        return bool(about_schema)


def root_names(document: DocumentNode, operation: OperationDefinitionNode) -> Iterator[str]:
    """The names of the fields that an operation selects of its root."""
    fragments = {
        each.name.value: each.selection_set
        for each in document.definitions
        if isinstance(each, FragmentDefinitionNode)
    }
    sets = [operation.selection_set]
    while sets:
        for each in sets.pop().selections:
            if isinstance(each, FieldNode):
                yield each.name.value
            elif isinstance(each, InlineFragmentNode):
                sets.append(each.selection_set)
            elif isinstance(each, FragmentSpreadNode) and each.name.value in fragments:
                sets.append(fragments.pop(each.name.value))  # once is enough


class Documents:
    """The documents that came last, by their text; of one schema and one installation."""

    def __init__(self, schema: GraphQLSchema, settings: Settings) -> None:
        self._schema = schema
        self._settings = settings
        self._rules = [*specified_rules, OneOfInputValidationRule, MaybeNullValidationRule]
        if not settings.introspection:
            self._rules.append(NoSchemaIntrospectionCustomRule)
        self._kept: OrderedDict[str, Document] = OrderedDict()
        self._turn = asyncio.Lock()

    def known(self, text: str) -> Document | None:
        """The document, if it came before and was found to be good."""
        document = self._kept.get(text)
        if document is not None:
            self._kept.move_to_end(text)
        return document

    async def read(self, text: str) -> Document:
        """The document; raises `Faulty`, `QueryTooComplex` or `Refusal`."""
        document = self.known(text)
        if document is None:
            work = functools.partial(self._read, text)
            document = await self.aside(work) if len(text) > SHORT_CHARACTERS else work()
            self._kept[text] = document
            if len(self._kept) > CACHED_DOCUMENTS:
                self._kept.popitem(last=False)
        return document

    async def aside(self, work: Callable[[], T]) -> T:
        """Does what takes a tenth of a second and waits for nothing, in a thread: others are
        answered meanwhile. One at a time, so that many of them do not slow everything down."""
        async with self._turn:
            return await asyncio.to_thread(work)

    def _read(self, text: str) -> Document:
        _check_text(text)
        try:
            node = parse(text, max_tokens=self._settings.max_tokens)
        except RecursionError as error:
            raise QueryTooComplex("The document nests too deep.") from error
        except GraphQLError as error:
            if "tokens" in error.message and "aborted" in error.message:
                most = self._settings.max_tokens
                raise QueryTooComplex(f"A document has at most {most} tokens.") from error
            raise Faulty([error], parsed=False) from error
        limits.check(node, self._settings.max_depth, self._settings.max_aliases)
        hidden = not self._settings.suggestions
        errors = validate(self._schema, node, self._rules, MOST_MISTAKES, hidden)
        if errors:
            raise Faulty(errors, parsed=True)
        return Document(node, caching.shared(self._schema, node), Costs(self._schema, node))


def _check_text(text: str) -> None:
    """Refuses what would be kept or parsed at too high a price, before it is."""
    if len(text) > LARGEST_DOCUMENT_CHARACTERS:
        most = f"{LARGEST_DOCUMENT_CHARACTERS} characters"
        raise QueryTooComplex(f"A document has at most {most}; values go into `variables`.")
    depth = 0
    for bracket in BRACKETS.findall(text):
        depth += 1 if bracket in "{[(" else -1
        if depth > DEEPEST_DOCUMENT:
            raise QueryTooComplex(f"A document nests at most {DEEPEST_DOCUMENT} deep.")
