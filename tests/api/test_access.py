"""Every field says who may use it, and means it: the schema is walked as a client reads it."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import strawberry
from graphql import (
    EnumValueNode,
    FieldDefinitionNode,
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    ListValueNode,
    ObjectTypeDefinitionNode,
    build_schema,
    get_named_type,
    is_introspection_type,
    is_leaf_type,
    is_required_argument,
    is_required_input_field,
)

from api import access, app, schema
from api.access import Access
from api.context import Context
from api.settings import Settings
from content.models import Content
from core import database
from members import identity
from members.models import Invitation, Role
from tests import factories
from tests.conftest import SECRET
from tests.members.statements import watched

SCHEMA = build_schema(schema.sdl())
ROOTS = ("Query", "Mutation")
STAFF = frozenset({Role.OPERATOR, Role.FINANCE, Role.ADMIN})
# Where an object of a type with restricted fields is found by everybody.
REACHED = {
    "Query": "{{ {} }}",
    "Mutation": "mutation {{ {} }}",
    "Tier": "{{ tiers {{ {} }} }}",
    "Content": "{{ contents {{ nodes {{ {} }} }} }}",
    "Member": "{{ contents {{ nodes {{ author {{ {} }} }} }} }}",
}
LITERALS = {
    "ID": '"x"',
    "String": '"x"',
    "Int": "1",
    "Long": "1",
    "Boolean": "true",
    "DateTime": '"2026-01-01T00:00:00Z"',
    "JSON": "{}",
}
# Whom nobody is refused by, and what is asked for in `test_insight`: no link is everybody's.
ELSEWHERE = (Access.EVERYBODY, Access.AS_PARENT, Access.OWNER_OR_STAFF)
REFUSALS = {"UNAUTHENTICATED", "FORBIDDEN"}


class Said(NamedTuple):
    """One `@access` as it stands in the schema."""

    who: Access
    roles: frozenset[Role] = frozenset()


def said(node: FieldDefinitionNode | ObjectTypeDefinitionNode | None) -> Iterator[Said]:
    for directive in (node.directives if node else None) or ():
        if directive.name.value == "access":
            given = {argument.name.value: argument.value for argument in directive.arguments}
            who, roles = given["who"], given.get("roles")
            assert isinstance(who, EnumValueNode)
            named = roles.values if isinstance(roles, ListValueNode) else ()
            yield Said(
                Access[who.value],
                frozenset(Role(each.value) for each in named if isinstance(each, EnumValueNode)),
            )


def objects() -> Iterator[GraphQLObjectType]:
    for kind in SCHEMA.type_map.values():
        if isinstance(kind, GraphQLObjectType) and not is_introspection_type(kind):
            yield kind


def restricted() -> Iterator[tuple[str, str, Said]]:
    """Type, name and access of every field that is not for everybody who can reach it."""
    for kind in objects():
        for name, field in kind.fields.items():
            for each in said(field.ast_node):
                if each.who not in ELSEWHERE:
                    yield kind.name, name, each


def test_every_field_says_itself_or_by_its_type_who_may_use_it() -> None:
    silent = [
        f"{kind.name}.{name}"
        for kind in objects()
        for name, field in kind.fields.items()
        if len([*said(field.ast_node)] or [*said(kind.ast_node)]) != 1
    ]
    assert silent == []


def test_nothing_on_roots_and_members_is_open_by_default() -> None:
    for name in (*ROOTS, "Member"):
        assert [*said(SCHEMA.type_map[name].ast_node)] == []  # pyright: ignore[reportArgumentType]


def test_a_type_by_itself_refuses_nobody_since_only_fields_are_enforced() -> None:
    assert {each for kind in objects() for each in said(kind.ast_node)} == {Said(Access.AS_PARENT)}


def test_on_roots_there_is_no_parent_and_no_member_to_compare_with() -> None:
    for root in ROOTS:
        kind = SCHEMA.type_map[root]
        assert isinstance(kind, GraphQLObjectType)
        for name, field in kind.fields.items():
            [each] = said(field.ast_node)
            assert each.who in (Access.EVERYBODY, Access.SIGNED_IN, Access.ROLES), name
            assert bool(each.roles) == (each.who is Access.ROLES), name


def test_what_others_see_of_a_member_is_id_name_and_picture() -> None:
    member = SCHEMA.type_map["Member"]
    assert isinstance(member, GraphQLObjectType)
    everybodys = {
        name
        for name, field in member.fields.items()
        if Said(Access.EVERYBODY) in said(field.ast_node)
    }
    assert everybodys == {"id", "displayName", "avatarUrl"}
    inviters = {name for _, name, each in restricted() if each.who is Access.SELF_INVITER_OR_STAFF}
    assert inviters == {"tier"}


# ------------------------------------------------------------------ real requests


def literal(kind: GraphQLInputType) -> str:
    """The plainest value of the type."""
    if isinstance(kind, GraphQLNonNull):
        return literal(kind.of_type)
    if isinstance(kind, GraphQLList):
        return "[]"
    if isinstance(kind, GraphQLEnumType):
        return next(iter(kind.values))
    if isinstance(kind, GraphQLInputObjectType):
        needed = {n: each for n, each in kind.fields.items() if is_required_input_field(each)}
        return "{" + values(needed or dict([*kind.fields.items()][: kind.is_one_of])) + "}"
    return LITERALS[kind.name]


def values(given: Mapping[str, GraphQLArgument] | Mapping[str, GraphQLInputField]) -> str:
    return ", ".join(f"{name}: {literal(each.type)}" for name, each in given.items())


def document(kind: str, name: str, field: GraphQLField) -> str:
    """The least that asks for the field."""
    given = {n: each for n, each in field.args.items() if is_required_argument(each)}
    arguments = f"({values(given)})" if given else ""
    selection = "" if is_leaf_type(get_named_type(field.type)) else " { __typename }"
    return REACHED[kind].format(f"{name}{arguments}{selection}")


@dataclass(frozen=True, slots=True)
class World:
    """A database with somebody of each role, a member whom everybody can reach, and its inviter."""

    path: Path
    roles: Mapping[Role, str]  # a token each
    member: str
    inviter: str


@pytest.fixture(scope="module")
def world(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    path = tmp_path_factory.mktemp("access") / "world.db"
    shutil.copy(sqlite_template, path)
    return asyncio.run(_settle(path))


async def _settle(path: Path) -> World:
    async with database.opened(f"sqlite://{path}"):
        await factories.ladder()
        member, inviter = await factories.person("xia"), await factories.person("lin", Role.KOC)
        await Invitation.create(
            inviter=inviter.member, invitee=member.member, registered_at=factories.NOW
        )
        await factories.piece("tea", author_id=member.member.id)
        roles = {role: (await factories.person(role.lower(), role)).token for role in Role}
    return World(path, roles, member.token, inviter.token)


class Asked(NamedTuple):
    """The answer's error codes; empty where nobody was refused."""

    codes: list[str]
    body: Any


class Client:
    """Asks the whole application, without a server in between."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def ask(self, query: str, token: str | None) -> Asked:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        answer = await self._http.post("/graphql", json={"query": query}, headers=headers)
        body = answer.json()
        return Asked([error["extensions"]["code"] for error in body.get("errors", [])], body)


@asynccontextmanager
async def asking(url: str) -> AsyncIterator[Client]:
    settings = Settings(database_url=url, secret=SECRET)
    transport = httpx.ASGITransport(app.create(settings))
    async with (
        database.opened(url),
        httpx.AsyncClient(transport=transport, base_url="http://test") as http,
    ):
        yield Client(http)


@pytest.fixture
async def client(world: World, tmp_path: Path) -> AsyncIterator[Client]:
    path = tmp_path / "world.db"
    shutil.copy(world.path, path)
    async with asking(f"sqlite://{path}") as opened:
        yield opened


def allowed(each: Said) -> frozenset[Role]:
    """The roles that need nothing else."""
    if each.who is Access.SIGNED_IN:
        return frozenset(Role)
    named = each.roles if each.who is Access.ROLES else STAFF
    return frozenset(role for role in Role if not identity.expand([role]).isdisjoint(named))


def test_every_type_with_restricted_fields_is_reached() -> None:
    assert {kind for kind, _, _ in restricted()} <= set(REACHED)


@pytest.mark.parametrize(
    ("kind", "name", "each"),
    [*restricted()],
    ids=lambda value: value if type(value) is str else "",
)
async def test_a_restricted_field_refuses_everybody_else_and_nobody_who_may(
    client: Client, world: World, kind: str, name: str, each: Said
) -> None:
    owner = SCHEMA.type_map[kind]
    assert isinstance(owner, GraphQLObjectType)
    query = document(kind, name, owner.fields[name])
    assert (await client.ask(query, None)).codes == ["UNAUTHENTICATED"]
    may = allowed(each)
    for role, token in world.roles.items():
        asked = await client.ask(query, token)
        if role not in may:
            assert asked.codes == ["FORBIDDEN"], role
        elif each.who is not Access.SIGNED_IN:  # a resolver may know more of who is signed in
            assert REFUSALS.isdisjoint(asked.codes), (role, asked.body)
    if kind == "Member":
        assert (await client.ask(query, world.member)).codes == []
        known = each.who is Access.SELF_INVITER_OR_STAFF
        assert (await client.ask(query, world.inviter)).codes == ([] if known else ["FORBIDDEN"])


# ------------------------------------------------------------------ the extension itself


@strawberry.type(directives=[access.as_parent()])
class Thing:
    bare: int = strawberry.field(extensions=[access.EVERYBODY])
    plain: int = strawberry.field(extensions=[access.SIGNED_IN])

    @strawberry.field(extensions=[access.SIGNED_IN])
    def sync(self, by: int = 1) -> int:
        return self.plain * by

    @strawberry.field(extensions=[access.allow(Role.FINANCE, Role.EDITOR)])
    async def later(self, by: int = 1) -> int:
        return self.plain * by


@strawberry.type
class ThingQuery:
    @strawberry.field(extensions=[access.EVERYBODY])
    def thing(self) -> Thing:
        return Thing(bare=1, plain=2)


THINGS = strawberry.Schema(ThingQuery)


async def things(selection: str, viewer: identity.Viewer | None) -> Any:
    settings = Settings(database_url="sqlite://unused", secret=SECRET)
    context = Context(settings, datetime.now(UTC), viewer)
    return await THINGS.execute(f"{{ thing {{ {selection} }} }}", context_value=context)


def with_roles(*roles: Role) -> identity.Viewer:
    return identity.Viewer(1, identity.expand(roles))


@pytest.mark.parametrize(("selection", "shown"), [("plain", 2), ("sync(by: 3)", 6)])
async def test_attributes_and_plain_functions_are_guarded(selection: str, shown: int) -> None:
    refused = await things(selection, None)
    assert type(refused.errors[0].original_error).__name__ == "Unauthenticated"
    answer = await things(selection, with_roles())
    assert [*answer.data["thing"].values()] == [shown]


@pytest.mark.parametrize(
    ("roles", "data"),
    [
        ((), None),
        ((Role.KOC, Role.OPERATOR), None),
        ((Role.FINANCE,), {"thing": {"later": 6}}),
        ((Role.EDITOR,), {"thing": {"later": 6}}),
        ((Role.REVIEWER,), {"thing": {"later": 6}}),
        ((Role.ADMIN,), {"thing": {"later": 6}}),
        ((Role.SERVICE,), None),
    ],
)
async def test_any_one_of_the_roles_is_enough_implied_ones_too(
    roles: tuple[Role, ...], data: Any
) -> None:
    assert (await things("later(by: 3)", with_roles(*roles))).data == data


def test_roles_are_named_in_one_order_each_once() -> None:
    printed = THINGS.as_str()
    assert "later(by: Int! = 1): Int! @access(who: ROLES, roles: [EDITOR, FINANCE])" in printed
    assert printed == THINGS.as_str()
    twice = access.allow(Role.ADMIN, Role.EDITOR, Role.ADMIN)
    assert twice.declared.roles == [Role.EDITOR, Role.ADMIN]


def test_what_is_for_everybody_costs_nothing_when_it_is_read() -> None:
    fields = {field.name: field for field in Thing.__strawberry_definition__.fields}  # pyright: ignore[reportAttributeAccessIssue]
    assert fields["bare"].is_basic_field
    assert not fields["plain"].is_basic_field


async def test_the_invitations_of_a_whole_page_are_one_statement(
    client: Client, world: World
) -> None:
    await Content.all().update(author_id=None)
    inviter = await identity.viewer(world.inviter, datetime.now(UTC))
    assert inviter is not None
    for name in ("ann", "bo", "cy"):
        invitee = (await factories.person(name)).member
        await Invitation.create(
            inviter_id=inviter.member_id, invitee=invitee, registered_at=factories.NOW
        )
        await factories.piece(name, author_id=invitee.id)
    query = "{ contents { nodes { author { tier { code } } } } }"
    with watched() as statements:
        asked = await client.ask(query, world.inviter)
    assert asked.codes == []
    assert len([each for each in statements if '"invitation"' in each]) == 1
