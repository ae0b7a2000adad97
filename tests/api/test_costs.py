"""What an operation costs, known before it runs; and the shapes of documents that are refused."""

from typing import Any

import pytest
from graphql import get_introspection_query, get_operation_ast, parse

from api import costs, schema
from api.settings import Settings
from tests import factories
from tests.api.books import on_sqlite_alone
from tests.client import Api
from tests.conftest import SECRET, serving
from tests.ports import free_port

SCHEMA = schema.schema._schema
PAGE = """query ($first: Int, $more: Boolean! = false) { contents(first: $first) {
  totalCount nodes { slug tags @include(if: $more) { slug name } } } }"""


def cost(text: str, **variables: Any) -> int:
    document = parse(text)
    operation = get_operation_ast(document)
    assert operation is not None
    return costs.Costs(SCHEMA, document).of(operation, variables)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{ tierRulesVersion }", 1),
        ("{ __typename viewer { id displayName } }", 4),
        ("{ contents(first: 3) { totalCount nodes { slug title } } }", 3 + 3 * 2),
        ("{ contents(last: 3) { edges { node { slug } } } }", 2 + 3 * 2),
        ("{ contents { nodes { slug } } }", 2 + 20),
        ("{ tags { nodes { slug } } }", 2 + 50),
        ("{ contents(first: 0) { nodes { slug } } }", 2 + 1),
        ("{ contents(first: 99999999999) { nodes { slug } } }", 2 + 100),
        ("{ tiers { code name } }", 1 + 10 * 2),
        ('{ nodes(ids: ["a", "b", "c"]) { id } }', 1 + 3),
        ("{ contents(first: 2) { nodes { tags { slug } } } }", 2 + 2 * (1 + 10)),
        ("{ contents { facets(dimension: USER, first: 4) { count } } }", 2 + 4),
        ("{ contents(first: 2) { ...P } } fragment P on ContentConnection { nodes { id } }", 4),
        ("{ ...Q ...Q } fragment Q on Query { tierRulesVersion }", 1),
        ("{ a: tierRulesVersion b: tierRulesVersion }", 2),
        ("{ __schema { types { name } } }", 5_000),
        ("{ tiers @skip(if: true) { code } tierRulesVersion }", 1),
    ],
)
def test_a_cost_is_the_most_fields_that_the_answer_can_have(query: str, expected: int) -> None:
    assert cost(query) == expected


def test_variables_that_matter_make_the_cost_and_others_do_not() -> None:
    document = parse(PAGE)
    operation = get_operation_ast(document)
    assert operation is not None
    known = costs.Costs(SCHEMA, document)
    expected = {(1, False): 3 + 1, (50, False): 3 + 50, (2, True): 3 + 2 * (1 + 1 + 10 * 2)}
    for _ in range(2):
        for (first, more), found in expected.items():
            assert known.of(operation, {"first": first, "more": more, "x": object()}) == found
    assert known.of(operation, {}) == known.of(operation, {"first": None}) == 3 + 20


def test_fragments_within_fragments_are_walked_once_each() -> None:
    names = [f"f{number}" for number in range(25)]
    fragments = [
        f"fragment {one} on Content {{ author {{ a: id }} minTier {{ code }} ...{two} ...{two} }}"
        for one, two in zip(names, [*names[1:], "end"], strict=True)
    ]
    query = "{ contents(first: 1) { nodes { ...f0 } } } fragment end on Content { slug } "
    assert cost(query + " ".join(fragments)) < 200


@on_sqlite_alone
async def test_every_way_to_an_answer_tells_the_same_cost(live: Api) -> None:
    await factories.piece("tea")
    body = {"query": PAGE, "variables": {"first": 7}}
    token = (await factories.person("lin")).token
    for headers in ({}, {"authorization": f"Bearer {token}"}):
        for _ in range(3):  # generally, at once, and kept
            response = await live.http.post("/graphql", json=body, headers=headers)
            assert response.json()["extensions"] == {"cost": 10}
    wrong = await live.post("{ contents(first: 0) { nodes { id } } tierRulesVersion }")
    assert wrong.json()["extensions"] == {"cost": 4}
    assert wrong.json()["errors"]


async def test_what_costs_too_much_is_refused_before_it_runs(sqlite_url: str) -> None:
    settings = Settings(database_url=sqlite_url, port=free_port(), secret=SECRET, max_cost=1_000)
    at_limit = (
        "{ contents(first: 99) { nodes { a: id b: id c: id d: id e: id f: id g: id h: id i: id"
    )
    at_limit += " j: id } } a: tierRulesVersion b: tierRulesVersion c: tierRulesVersion %s }"
    wide = [f"x{number}: tierRulesVersion" for number in range(5)]
    async with serving(settings), Api(settings) as client:
        allowed = await client.post(at_limit % " ".join(wide))
        assert allowed.json()["extensions"] == {"cost": 1_000}
        for _ in range(2):
            refused = await client.post(at_limit % " ".join([*wide, "y: tierRulesVersion"]))
            assert refused.status_code == 400
            assert refused.json()["errors"][0]["extensions"]["code"] == "QUERY_TOO_COMPLEX"
        # Again, as a document that came before, with another variable.
        assert await client.ask(PAGE, first=100) is not None
        assert await client.refused(PAGE, first=100, more=True) == "QUERY_TOO_COMPLEX"


def deep(depth: int) -> str:
    """Selects exactly so deep."""
    inner = "id"
    for _ in range(depth - 3):
        inner = f"parent {{ {inner} }}"
    return f"{{ tags(first: 1) {{ nodes {{ {inner} }} }} }}"


@on_sqlite_alone
async def test_depth_aliases_and_tokens_are_allowed_up_to_their_limits(live: Api) -> None:
    aliases = " ".join(f"a{number}: tierRulesVersion" for number in range(30))
    tokens = "__typename @include(if: true) " * 249 + "__typename " * 6
    spread = "{ ...F } fragment F on Query { %s }"
    for good, bad in (
        (deep(15), deep(16)),
        (spread % deep(15)[1:-1], spread % deep(16)[1:-1]),
        (f"{{ {aliases} }}", f"{{ {aliases} b: tierRulesVersion }}"),
        (f"{{ {tokens} }}", f"{{ {tokens} __typename }}"),
    ):
        answer = (await live.post(good)).json()
        assert "errors" not in answer, answer
        assert await live.refused(bad) == "QUERY_TOO_COMPLEX"


@on_sqlite_alone
async def test_the_schema_is_asked_for_alone(live: Api) -> None:
    for query in (
        "{ __schema { types { name } } viewer { id } }",
        '{ ...Q viewer { id } } fragment Q on Query { __type(name: "Tag") { name } }',
    ):
        for _ in range(2):
            assert await live.refused(query) == "QUERY_TOO_COMPLEX"


@on_sqlite_alone
async def test_what_a_playground_asks_of_the_schema_is_within_the_limits(live: Api) -> None:
    query = get_introspection_query(
        specified_by_url=True,
        directive_is_repeatable=True,
        schema_description=True,
        input_value_deprecation=True,
    )
    answer = (await live.post(query)).json()
    assert "errors" not in answer
    assert answer["data"]["__schema"]["types"]


async def test_introspection_and_suggestions_can_be_switched_off(sqlite_url: str) -> None:
    closed = {"introspection": False, "suggestions": False}
    for options in ({}, closed):
        settings = Settings(database_url=sqlite_url, port=free_port(), secret=SECRET, **options)
        async with serving(settings), Api(settings) as client:
            schema_asked = (await client.post("{ __schema { types { name } } }")).json()
            assert ("errors" in schema_asked) is bool(options)
            named = (await client.post("{ __typename }")).json()
            assert named["data"] == {"__typename": "Query"}
            wrong = await client.post("{ vieuer { id } }")
            assert ("Did you mean" in wrong.text) is not bool(options)
            coerced = await client.post(
                "query ($d: Dimension) { tags(dimension: $d) { totalCount } }", d="USERS"
            )
            assert ("Did you mean" in coerced.text) is not bool(options)
