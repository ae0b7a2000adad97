"""The schema: printed to schema.graphql, described throughout, and what clients were promised."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import (
    BreakingChangeType,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    find_breaking_changes,
    is_introspection_type,
    is_specified_scalar_type,
)

from api import schema, words

ROOT = Path(__file__).parents[2]
RELEASED = ROOT / "docs" / "released.graphql"
CONTRACT = ROOT.parent / "shared" / "design" / "contract.graphql"
# What the contract names and this issue does not is absent rather than faked.
LEFT_FOR_LATER = {
    BreakingChangeType.TYPE_REMOVED,
    BreakingChangeType.FIELD_REMOVED,
    BreakingChangeType.ARG_REMOVED,
    BreakingChangeType.VALUE_REMOVED_FROM_ENUM,
    BreakingChangeType.IMPLEMENTED_INTERFACE_REMOVED,
}
REMOVED = {
    BreakingChangeType.FIELD_REMOVED,
    BreakingChangeType.ARG_REMOVED,
    BreakingChangeType.VALUE_REMOVED_FROM_ENUM,
}
# Beyond the contract: who may use what, videos elsewhere and sizes of uploads (decision 8), and
# exports, which are long work like imports.
ADDED = {
    *("Access", "MediaVariant", "MediaAddInput", "MediaPayload"),
    *("Media.variants", "Mutation.mediaAdd", "Mutation.contentsExport", "Job.url"),
    "ContentWhere.pendingStatus",
}


@pytest.fixture(scope="module")
def ours() -> GraphQLSchema:
    return build_schema(schema.sdl())


def test_schema_graphql_is_what_the_code_prints() -> None:
    assert (ROOT / "schema.graphql").read_text(encoding="utf-8") == schema.sdl()


def undescribed(ours: GraphQLSchema) -> Iterator[str]:
    """Everything without a description, except what GraphQL defines itself."""
    for name, kind in ours.type_map.items():
        if is_introspection_type(kind) or is_specified_scalar_type(kind):
            continue
        if not kind.description:
            yield name
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            for field_name, field in kind.fields.items():
                if not field.description:
                    yield f"{name}.{field_name}"
        if isinstance(kind, GraphQLEnumType):
            yield from (f"{name}.{word}" for word, of in kind.values.items() if not of.description)
    for directive in ours.directives:
        if directive.name == "access":
            yield from (name for name, each in directive.args.items() if not each.description)


def test_everything_is_described(ours: GraphQLSchema) -> None:
    assert list(undescribed(ours)) == []


def test_no_meaning_is_given_to_a_word_that_there_is_not(ours: GraphQLSchema) -> None:
    for name, meanings in words.MEANINGS.items():
        kind = ours.type_map[name]
        assert isinstance(kind, GraphQLEnumType)
        assert set(meanings) <= set(kind.values), name


def arguments(ours: GraphQLSchema) -> Iterator[tuple[str, str | None]]:
    for name, kind in ours.type_map.items():
        if isinstance(kind, GraphQLObjectType) and not is_introspection_type(kind):
            for field_name, field in kind.fields.items():
                for argument_name, argument in field.args.items():
                    yield f"{name}.{field_name}({argument_name}:)", argument.description


def test_every_argument_is_described(ours: GraphQLSchema) -> None:
    assert [name for name, description in arguments(ours) if not description] == []


def test_descriptions_are_sentences(ours: GraphQLSchema) -> None:
    for name, kind in ours.type_map.items():
        if is_introspection_type(kind) or is_specified_scalar_type(kind) or name == "JSON":
            continue
        fields = getattr(kind, "fields", {}) or getattr(kind, "values", {})
        texts = [kind.description, *(field.description for field in fields.values())]
        for text in filter(None, texts):
            assert re.match("[A-Z0-9`]", text), (name, text)
            assert text.endswith("."), (name, text)


def deprecated(released: GraphQLSchema) -> set[str]:
    """What the last release announced to go, as `find_breaking_changes` names it."""
    found = set()
    for name, kind in released.type_map.items():
        of = {**(getattr(kind, "fields", None) or {}), **(getattr(kind, "values", None) or {})}
        for each, definition in of.items():
            if definition.deprecation_reason is not None:
                found.add(f"{name}.{each}")
            for argument, value in getattr(definition, "args", {}).items():
                if value.deprecation_reason is not None:
                    found.add(f"{name}.{each}({argument}:)")
    return found


def broken(released: GraphQLSchema, ours: GraphQLSchema) -> list[str]:
    """What clients of the last release would miss, unless they were told that it goes."""
    announced = deprecated(released)
    return [
        change.description
        for change in find_breaking_changes(released, ours)
        if change.type not in REMOVED or not announced & {*change.description.split()}
    ]


def test_nothing_that_was_released_is_broken(ours: GraphQLSchema) -> None:
    released = build_schema(RELEASED.read_text(encoding="utf-8"))
    assert broken(released, ours) == []


ANNOUNCED = """
type Query { new: Int old: Int @deprecated three(a: Int @deprecated, b: Int): Int }
input I { c: Int d: Int @deprecated } enum E { A B @deprecated }
"""


def test_what_was_announced_to_go_may_go_and_nothing_else() -> None:
    released = build_schema(ANNOUNCED)
    gone = re.sub(r"(\w+(: Int)?) @deprecated,?", "", ANNOUNCED)
    assert "old" not in gone
    assert broken(released, build_schema(gone)) == []
    for what, instead in (
        ("new: Int", ""),
        ("b: Int)", ")"),
        ("A ", ""),
        ("c: Int ", ""),
        ("old: Int", "old: ID"),
    ):
        changed = ANNOUNCED.replace(what, instead)
        assert changed != ANNOUNCED
        assert broken(released, build_schema(changed)) != [], what


@pytest.fixture(scope="module")
def contract() -> GraphQLSchema:
    if not CONTRACT.exists():
        pytest.skip(f"the contract is not at {CONTRACT}")
    return build_schema(CONTRACT.read_text(encoding="utf-8"))


def test_what_is_shared_with_the_contract_is_compatible(
    ours: GraphQLSchema, contract: GraphQLSchema
) -> None:
    broken = [
        f"{change.type.name}: {change.description}"
        for change in find_breaking_changes(contract, ours)
        if change.type not in LEFT_FOR_LATER
    ]
    assert broken == []


def test_a_field_of_another_type_than_the_contracts_would_be_noticed(
    ours: GraphQLSchema, contract: GraphQLSchema
) -> None:
    changed = schema.sdl().replace("amountMinor: Long!", "amountMinor: Int!")
    found = find_breaking_changes(contract, build_schema(changed))
    assert {change.type for change in found} - LEFT_FOR_LATER


def test_names_that_the_contract_does_not_know_are_none(
    ours: GraphQLSchema, contract: GraphQLSchema
) -> None:
    new = []
    for name, kind in ours.type_map.items():
        if is_introspection_type(kind) or is_specified_scalar_type(kind) or name in ADDED:
            continue
        promised = contract.type_map.get(name)
        names = kind.values if isinstance(kind, GraphQLEnumType) else getattr(kind, "fields", {})
        known = getattr(promised, "values", None) or getattr(promised, "fields", {})
        new += [name] if promised is None else [f"{name}.{n}" for n in names if n not in known]
    assert [each for each in new if each not in ADDED] == []
