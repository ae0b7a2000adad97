"""The demo: made once, complete, and good for every request that the README shows."""

from datetime import UTC, datetime

from api import demo, demo_contents
from content.models import ContentVersion
from core import codes, database
from members.models import Role
from tests import factories
from tests.api.books import counts, everything, on_sqlite_alone
from tests.client import CONVERSION, ORDER, REFUND, REGISTER, VIEWER, Api

LIBRARY = (
    *("content_tag", "version_tag", "version_text", "content_version", "content_slug", "content"),
    *("tag_ancestor", "tag_slug", "tag", "audit_entry"),
)
CONTENTS = """{ contents(first: 3) {
  nodes { slug title summary locale tags { slug name dimension } author { displayName } }
  totalCount pageInfo { hasNextPage endCursor } } }"""


async def load() -> dict[demo.Person, str]:
    return await demo.load("CNY", "Asia/Shanghai", datetime.now(UTC))


async def test_loading_the_demo_again_changes_nothing_but_tokens(opened: str) -> None:
    first = await load()
    before = await everything()
    second = await load()
    after = await everything()
    assert set(first) == set(second) == set(demo.PEOPLE)
    assert not set(first.values()) & set(second.values())
    assert [name for name in before if before[name] != after[name]] == ["session"]
    assert len(after["session"]) == 2 * len(demo.PEOPLE)


async def test_a_demo_that_was_cut_short_is_completed(opened: str) -> None:
    await load()
    whole = await counts()
    for table in ("link", *LIBRARY):
        await database.execute(f"DELETE FROM {table}")
    await load()
    assert await counts() == whole | {"session": 2 * len(demo.PEOPLE)}


async def test_the_demo_goes_into_an_empty_database_or_its_own(opened: str) -> None:
    assert await demo.present()
    await load()
    assert await demo.present()


async def test_the_demo_stays_out_of_other_peoples_database(opened: str) -> None:
    await factories.person("mei")
    assert not await demo.present()


async def test_every_piece_is_whole_and_every_tag_is_used(opened: str) -> None:
    await load()
    pieces = {row.content.slug: row for row in await ContentVersion.all().select_related("content")}
    assert set(pieces) == {piece.slug for piece in demo_contents.PIECES}
    assert demo.FEATURED in pieces
    assert all(row.title and row.summary and row.body for row in pieces.values())
    tags = {slug for _, slug, _ in demo_contents.TAGS}
    assert {slug for piece in demo_contents.PIECES for slug in piece.tags} == tags
    assert {side for side, _, _ in demo_contents.TAGS} == {
        "PRODUCT",
        "COMPANY",
        "INDUSTRY",
        "USER",
    }
    assert codes.fold(demo.LINK_CODE) == demo.LINK_CODE


async def test_the_loop_of_the_readme_works_with_the_demo(live: Api) -> None:
    token = {person.key: text for person, text in (await load()).items()}

    listed = await live.ask(CONTENTS)
    assert len(listed["nodes"]) == 3
    assert listed["totalCount"] == len(demo_contents.PIECES)
    assert all(node["tags"] and node["author"] for node in listed["nodes"])
    for node in listed["nodes"]:
        assert (await live.http.get(f"/c/{node['slug']}")).status_code == 200

    clicked = await live.click(demo.LINK_CODE)
    assert f"/c/{demo.FEATURED}?" in clicked.headers["location"]
    visitor = await live.visit(demo.LINK_CODE)
    joined = await live.ask(REGISTER, input={"displayName": "You", "visitorId": visitor})
    order = {
        "source": "shop",
        "externalId": "A-1",
        "member": joined["member"]["id"],
        "amountMinor": 500_000,
    }
    await live.ask(ORDER, token["shop"], input=order)
    decided = await live.decided(token["shop"], "shop", "A-1")
    assert decided["status"] == "CREDITED"
    assert decided["attributions"][0]["commissions"][0]["amount"] == 50_000
    assert (await live.ask(VIEWER, joined["token"]))["tier"] == {"code": "gold"}

    refund = {
        "source": "shop",
        "externalId": "R-1",
        "orderExternalId": "A-1",
        "amountMinor": 200_000,
    }
    await live.ask(REFUND, token["shop"], input=refund)
    await live.decided(token["shop"], "shop", "R-1", "REFUND")
    assert (await live.ask(VIEWER, joined["token"]))["tier"] == {"code": "silver"}
    earned = (await live.ask(VIEWER, token["employee"]))["balances"]
    assert [each["pending"] for each in earned] == [30_000]
    seen = await live.ask(CONVERSION, token["admin"], type="ORDER", source="shop", externalId="A-1")
    assert seen["refundedMinor"] == 200_000


@on_sqlite_alone
async def test_everybody_of_the_demo_has_the_roles_that_they_show(live: Api) -> None:
    tokens = await load()
    for person, token in tokens.items():
        viewer = await live.ask("{ viewer { displayName roles email } }", token)
        assert viewer["displayName"] == person.display_name
        assert viewer["email"] == person.email
        assert set(viewer["roles"]) == {Role.MEMBER, *person.roles}
