"""Pages of contents answered at once, against the general way: generated documents go down both."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from graphql import execute, parse, validate
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some
from strawberry.execution.is_awaitable import optimized_is_awaitable
from strawberry.types.execution import ExecutionResult

from api import asking, hot, quick, schema
from api.context import Context
from api.costs import Costs
from api.documents import Document
from api.endpoint import GraphQLApp
from api.errors import as_json, formatted
from api.requests import BodyLimit
from api.settings import Settings
from content import lifecycle
from content.models import Audience, Content, ContentStatus, Dimension
from core import database
from members import identity
from members.models import DowngradePolicy, Member, Role, Standing, Tier
from tests import factories
from tests.api.books import on_sqlite_alone
from tests.client import Api
from tests.members.statements import watched

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
INSTALLED = Settings(secret="x" * 40)
STATUSES = "[DRAFT, IN_REVIEW, SCHEDULED, PUBLISHED, ARCHIVED]"
SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
ROLES: dict[str, tuple[Role, ...]] = {
    "lin": (),
    "buyer": (),
    "gold": (),
    "employee": (Role.EMPLOYEE,),
    "editor": (Role.EDITOR,),
}
SPEND = {"buyer": ("silver", 1), "gold": ("gold", 500_000)}


class Quick(hot.ExecutionContext):
    """Executes as the server does, and notes which pages were answered at once."""

    planned: list[bool] = []  # noqa: RUF012 - one for all, so that tests can look

    def plan(self, selected: Any) -> hot.Plan | None:
        found = super().plan(selected)
        self.planned.append(found is not None)
        return found


class General(hot.ExecutionContext):
    """Executes as if no selection were known."""

    def plan(self, selected: Any) -> hot.Plan | None:
        return None


async def shelve() -> None:
    """Contents of every status, gated in every way, with and without all that may be missing."""
    for code, rank in {"silver": 1, "gold": 2}.items():
        await Tier.create(code=code, name=code, rank=rank, rule={}, downgrade=DowngradePolicy.NEVER)
    for slug, dimension in {"b": "PRODUCT", "a": "USER", "茶": "PRODUCT", "c": "COMPANY"}.items():
        await factories.tag(slug, dimension=Dimension(dimension))
    tags: list[list[str]] = [[], ["b"], ["茶", "a", "b"], ["c", "a"]]
    made = []
    for number, status in enumerate([*ContentStatus, *[ContentStatus.PUBLISHED] * 8]):
        made.append(
            await factories.piece(
                f"p{number}",
                status=status,
                at=NOW + timedelta(hours=number // 2, microseconds=number * 100_001),
                title=f'"{number % 3}" \\ \u2028 茶🍵 ',
                summary="x\n\ty" * (number % 2),
                tags=tags[number % 4],
                min_tier=(None, "silver", "gold")[number % 3],
                audience=[*Audience][number % 4],
                cover_url="/a.jpg" if number % 2 else None,
                share_text="🙂" if number % 3 else None,
            )
        )
    await Content.filter(id__in=made[::3]).update(author_id=None)
    editor = await Member.get(display_name="ed")
    await Member.filter(id=editor.id).update(avatar_url="https://a.example/ed.png")
    await lifecycle.archive(made[-1], editor.id, NOW + timedelta(days=1))


async def viewers() -> dict[str, identity.Viewer | None]:
    """Somebody of every kind."""
    found: dict[str, identity.Viewer | None] = {"nobody": None}
    for name, roles in ROLES.items():
        member = (await factories.person(name, *roles)).member
        if name in SPEND:
            code, spend_minor = SPEND[name]
            tier = await Tier.get(code=code)
            await Standing.filter(member_id=member.id).update(
                tier_id=tier.id, spend_minor=spend_minor
            )
        found[name] = identity.Viewer(member.id, identity.expand(roles))
    return found


# ---- documents

OBJECTS = {
    "ContentConnection": {"edges": "ContentEdge", "nodes": "Content", "pageInfo": "PageInfo"},
    "ContentEdge": {"node": "Content"},
    "Content": {
        "access": "ContentAccess",
        "minTier": "Tier",
        "author": "Member",
        **dict.fromkeys(("tags", "tags(dimension: PRODUCT)", "tags(dimension: $side)"), "Tag"),
    },
    "ContentAccess": {"requiredTier": "Tier"},
}
LEAVES = {
    "ContentEdge": ["cursor"],
    "PageInfo": ["hasNextPage", "hasPreviousPage", "startCursor", "endCursor"],
    "Content": [
        *("id", "slug", "kind", "status", "version", "publishedVersion", "pendingStatus"),
        *("locale", "title", "summary", "coverUrl", "shareText", "audience", "publishedAt"),
        *("scheduledAt", "createdAt", "updatedAt"),
    ],
    "ContentAccess": ["reason"],
    "Tier": ["id", "code", "name", "rank"],
    "Member": ["id", "displayName", "avatarUrl"],
    "Tag": ["id", "dimension", "slug", "name"],
}
# What only the general way knows, some of it refused.
UNKNOWN = {
    "ContentConnection": ["totalCount", "facets(dimension: USER) { count tag { slug } }"],
    "ContentEdge": ["highlights { text }"],
    "Content": ["body", "bodyHtml", "media { url }", "reviewNote"],
    "Tier": ["benefits", "rule", "memberCount", "graceDays"],
    "Member": ["tier { code }"],
    "Tag": ["parent { slug }", "contentCount"],
}
DIRECTIVES = [
    "",
    "",
    "",
    "@include(if: $yes)",
    "@include(if: $no)",
    "@skip(if: $no)",
    "@skip(if: true)",
]
ARGUMENTS = [
    *("", "(first: 3)", "(first: 100)", "(last: 2)", "(first: 0)", "(first: 1, last: 1)"),
    *('(after: "x")', *["(first: $size, after: $cursor)", "(last: $size, before: $cursor)"] * 4),
    f"(where: {{status: {STATUSES}}}, first: 50)",
    f"(where: {{status: {STATUSES}, kind: [ARTICLE]}}, orderBy: {{field: UPDATED_AT}})",
    '(where: {tags: {anyOf: ["b"]}}, orderBy: {field: TITLE, direction: ASC})',
    "(where: {pendingStatus: [DRAFT, IN_REVIEW]})",
    *('(where: {search: "茶"})', "(orderBy: {field: RELEVANCE})", "(where: {kind: []})"),
    '(where: {dimension: USER, publishedBefore: "2026-03-01T15:00:00.5Z"}, last: 3)',
]


# Whatever chance gives, these are among the documents: one that is answered shortly at another
# cursor, and one that only the general way knows.
MOVED = "query ($cursor: String) { contents(first: 2, after: $cursor) { nodes { slug } } }"
GENERAL = "{ contents(first: 2) { totalCount nodes { slug } } }"


@some.composite
def documents(draw: some.DrawFn) -> str:
    """A query for pages of contents, valid, of whatever shape."""
    unknown = draw(some.booleans())
    names = iter(range(10_000))

    def chosen(kind: str, depth: int) -> str:
        leaves = [*LEAVES.get(kind, []), "__typename", *(UNKNOWN.get(kind, []) if unknown else [])]
        objects = OBJECTS.get(kind, {})
        parts = ["__typename"] if draw(some.booleans()) else []
        for name in draw(some.lists(some.sampled_from([*leaves, *objects, *objects]), max_size=6)):
            # What has arguments cannot be merged with what has others.
            named = "(" in name or draw(some.booleans())
            alias = f"k{next(names)}: " if named else ""
            directive = draw(some.sampled_from(DIRECTIVES))
            below = f"{{ {chosen(objects[name], depth)} }}" if name in objects else ""
            plain, brace, rest = name.partition(" {")
            parts.append(f"{alias}{plain} {directive} {brace}{rest} {below}")
        if depth < 2 and draw(some.booleans()):
            directive = draw(some.sampled_from(DIRECTIVES))
            on = draw(some.sampled_from(["", f"on {kind}"]))
            parts.append(f"... {on} {directive} {{ {chosen(kind, depth + 1)} }}")
        if kind in {"Content", "Tag"} and draw(some.booleans()):
            parts.append(f"...Of{kind} {draw(some.sampled_from(DIRECTIVES))}")
        return " ".join(parts) or LEAVES.get(kind, ["__typename"])[0]

    roots = " ".join(
        f"r{place}: contents{draw(some.sampled_from(ARGUMENTS))} "
        f"{draw(some.sampled_from(DIRECTIVES))} {{ {chosen('ContentConnection', 0)} }}"
        for place in range(draw(some.sampled_from([1, 1, 2])))
    )
    unused = "$cursor" not in roots or draw(some.sampled_from([False, False, True]))
    after = ", after: $cursor" if unused else ""
    return (
        "query ($yes: Boolean! = true, $no: Boolean! = false, $side: Dimension, $size: Int, "
        f"$cursor: String) {{ {roots} ...Use @include(if: false) }} fragment Use on Query {{ "
        f"contents(first: $size{after}) "
        "{ nodes @include(if: $yes) @skip(if: $no) { "
        "side: tags(dimension: $side) { id } ...OfContent } } } "
        "fragment OfContent on Content { id on: locale tags { ...OfTag } ... on Node { id } } "
        "fragment OfTag on Tag { slug n: name __typename }"
    )


VARIABLES = some.fixed_dictionaries(
    {"cursor": some.sampled_from(["given", "given", None])},
    optional={
        "yes": some.booleans(),
        "no": some.booleans(),
        "side": some.none() | some.sampled_from(["PRODUCT", "USER"]),
        "size": some.sampled_from([1, 2, 5, 101]),
    },
)


@contextmanager
def library(url: str) -> Iterator[asyncio.Runner]:
    """A loop with the database opened and filled."""
    with asyncio.Runner() as runner:
        opened = database.opened(url)
        runner.run(opened.__aenter__())
        runner.run(shelve())
        try:
            yield runner
        finally:
            runner.run(opened.__aexit__(None, None, None))


async def executed(
    execution: type[hot.ExecutionContext],
    document: str,
    context: Context,
    variables: dict[str, Any],
) -> ExecutionResult:
    found: Any = execute(
        schema.schema._schema,
        parse(document),
        context_value=context,
        variable_values=variables,
        executor_class=execution,
        is_awaitable=optimized_is_awaitable,  # type: ignore[arg-type]
    )
    result = await found if optimized_is_awaitable(found) else found
    return ExecutionResult(result.data, result.errors)


async def answer(
    execution: type[hot.ExecutionContext],
    document: str,
    viewer: identity.Viewer | None,
    variables: dict[str, Any],
) -> bytes:
    """The whole answer, as it goes out."""
    result = await executed(execution, document, Context(INSTALLED, NOW, viewer), variables)
    return as_json({"data": result.data, "errors": formatted(result, "")})


async def shortly(
    known: quick.Quick,
    document: str,
    viewer: identity.Viewer | None,
    variables: dict[str, Any],
) -> bytes | None:
    """The whole answer of the short way, where it is known; then it is, if it can be."""
    asked = asking.Asked(document, None, None, variables)
    page, context = known.find(asked), Context(INSTALLED, NOW, viewer)
    if page is not None:
        return await page.answer(await context.reader())
    result = await executed(hot.ExecutionContext, document, context, variables)
    if result.data and not result.errors:
        node = parse(document)
        read = Document(node, shared=True, costs=Costs(schema.schema._schema, node))
        known.keep(asked, read, 1, result.data, context.answered)
    return None


def plain(answered: bytes) -> Any:
    """What it says, keys in their order: there are many ways to write a text."""
    return json.loads(answered, object_pairs_hook=list)


def data(answered: bytes) -> Any:
    """Its data alone, likewise."""
    return dict(plain(answered))["data"]


def end(answered: bytes) -> str:
    """The cursor behind the page."""
    return answered.decode().partition('"endCursor":"')[2].partition('"')[0]


def test_whatever_is_selected_the_answer_is_that_of_the_general_way(url: str) -> None:
    with library(url) as runner:
        known = runner.run(viewers())
        page = "{ contents(first: %d) { pageInfo { endCursor } } }"
        cursors = [end(runner.run(answer(General, page % size, None, {}))) for size in (4, 2)]
        Quick.planned.clear()
        anybody = some.sampled_from(sorted(known))
        short, moved = 0, 0  # how many answers were so, and at another cursor than before

        @settings(max_examples=100, deadline=None, suppress_health_check=SLOW, database=None)
        @given(documents(), anybody, anybody, VARIABLES)
        @example(MOVED, min(known), min(known), {"cursor": "given"})
        @example(GENERAL, min(known), min(known), {"cursor": None})
        def same(document: str, name: str, first: str, variables: dict[str, Any]) -> None:
            nonlocal short, moved
            before = variables
            if variables["cursor"]:
                variables, before = ({**variables, "cursor": each} for each in cursors)
            assert validate(schema.schema._schema, parse(document)) == [], document
            at_once = runner.run(answer(Quick, document, known[name], variables))
            general = runner.run(answer(General, document, known[name], variables))
            assert plain(at_once) == plain(general)
            ways = quick.Quick()
            # Learnt from what somebody else was answered, who may see more, or less.
            assert runner.run(shortly(ways, document, known[first], before)) is None
            found = runner.run(shortly(ways, document, known[name], variables))
            if found is not None:
                assert (data(found), dict(plain(general))["errors"]) == (data(general), [])
                short, moved = short + 1, moved + (before != variables)

        same()
    assert short > 0
    assert moved > 0
    assert Quick.planned.count(True) > 0
    assert Quick.planned.count(False) > 0


NODES = "{ nodes { slug } pageInfo { endCursor } }"


@pytest.mark.parametrize(
    "document",
    [
        f"contents(first: 2, after: $c) {NODES}",
        f"contents(first: 2, after: $c, before: $c) {NODES}",
        f"contents(first: 2, after: $c, where: {{locale: $c}}) {NODES}",
        f"a: contents(first: 2, after: $c) @include(if: $x) {NODES} "
        f"b: contents(first: 2) @skip(if: $x) {NODES}",
        f"contents(first: 2) {NODES} b: contents(after: $c) @skip(if: $x) {NODES}",
        f"a: contents(last: 1, before: $c) @skip(if: $x) {NODES} "
        f"b: contents(first: 1, after: $c) @include(if: $x) {NODES}",
    ],
)
async def test_what_is_kept_of_one_cursor_holds_for_others_alone(
    sqlite_url: str, document: str
) -> None:
    document = f"query ($c: String, $x: Boolean! = true) {{ {document} }}"
    async with database.opened(sqlite_url):
        await shelve()
        await same_at_every_cursor(document)


async def same_at_every_cursor(document: str) -> None:
    page = "{ contents(first: %d) { pageInfo { endCursor } } }"
    cursors = [end(await answer(General, page % size, None, {})) for size in (1, 3, 4)]
    ways = quick.Quick()
    for x in (True, False, True):
        for cursor in (None, *cursors, "", "x"):
            variables = {"c": cursor, "x": x}
            found = await shortly(ways, document, None, variables)
            general = await answer(General, document, None, variables)
            assert found is None or data(found) == data(general)


PAGE = """query ($after: String, $size: Int = 3, $side: Dimension, $more: Boolean! = true) {
  contents(first: $size, after: $after) {
    pageInfo { hasNextPage endCursor }
    edges { cursor node {
      id slug title publishedAt access { reason requiredTier { code } } minTier { name }
      author @include(if: $more) { id displayName avatarUrl } tags(dimension: $side) { slug name }
    } } } }"""


async def test_a_page_costs_one_statement_however_often_it_is_asked_for(opened: str) -> None:
    await shelve()
    # No worker in this process, whose statements would be among those.
    transport = httpx.ASGITransport(BodyLimit(GraphQLApp(INSTALLED)))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        variables: dict[str, Any] = {}
        for size in (2, 2, 100):
            with watched() as statements:
                body = {"query": PAGE, "variables": {**variables, "size": size}}
                found = (await client.post("/graphql", json=body)).json()["data"]["contents"]
            assert len(statements) == 1
            assert found["edges"]
            variables = {"after": found["pageInfo"]["endCursor"]}


@on_sqlite_alone
async def test_what_is_refused_is_refused_alike_when_it_comes_again(live: Api) -> None:
    await shelve()
    for _ in range(3):
        assert await live.ask(PAGE)
        assert await live.refused(PAGE, size=0) == "BAD_USER_INPUT"
        assert await live.refused(PAGE, size="x") == "BAD_USER_INPUT"
        assert await live.refused(PAGE, after="x") == "BAD_USER_INPUT"
        assert await live.refused(PAGE, "nonsense") == "UNAUTHENTICATED"


async def test_what_variables_leave_out_stays_out_of_the_next_answer_too(live: Api) -> None:
    await shelve()
    for side, more in (("USER", True), (None, False), ("PRODUCT", True), ("USER", False)):
        found = await live.ask(PAGE, side=side, more=more, size=100)
        nodes = [edge["node"] for edge in found["edges"]]
        assert all(("author" in node) is more for node in nodes)
        slugs = {tag["slug"] for node in nodes for tag in node["tags"]}
        # Nobody who is not signed in meets what is under "c": all of it is for staff.
        assert slugs == {"USER": {"a"}, "PRODUCT": {"b", "茶"}, None: {"a", "b", "茶"}}[side]


@on_sqlite_alone
async def test_the_same_operation_with_another_fragment_is_another_document(live: Api) -> None:
    await shelve()
    document = "query { contents(first: 1) { nodes { ...It } } } fragment It on Content { %s }"
    for selected in ("slug", "title", "slug title", "slug"):
        [node] = (await live.ask(document % selected))["nodes"]
        assert [*node] == selected.split()


@pytest.mark.parametrize("selected", [*UNKNOWN["ContentConnection"], "nodes { body }"])
@on_sqlite_alone
async def test_what_is_not_known_is_answered_all_the_same(live: Api, selected: str) -> None:
    await shelve()
    [value] = (await live.ask(f"{{ contents {{ {selected} }} }}")).values()
    assert value


def test_every_field_that_is_known_is_one_of_the_schema_that_anybody_may_read() -> None:
    types = schema.schema._schema.type_map
    for kind, fields in hot.FIELDS.items():
        assert fields.keys() <= types[kind].fields.keys()  # type: ignore[attr-defined]
    restricted = {"reviewNote", "versions", "diff"}
    assert not restricted & hot.FIELDS["Content"].keys()
    assert hot.FIELDS["Member"].keys() == {"id", "displayName", "avatarUrl"}
