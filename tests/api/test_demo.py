"""The demo: made once, complete, and good for every request that the README shows."""

import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from PIL import Image

from api import demo, demo_covers, files, importing
from api.files import Mapped
from api.importing import Report
from api.settings import Settings
from content import assets, library, lifecycle
from content.importing import Outcome
from content.models import Audience, Content, ContentKind, ContentStatus, ContentVersion, Dimension
from content.rows import Row, TagRow
from core import codes, database
from core.errors import Mistake
from members import publishing
from members.models import DowngradePolicy, Role
from tests import factories
from tests.api.books import counts, everything, on_sqlite_alone
from tests.client import CONVERSION, ORDER, REFUND, REGISTER, VIEWER, Api

LIBRARY = (
    *("content_tag", "version_tag", "version_text", "content_version", "content_slug", "content"),
    *("tag_ancestor", "tag_slug", "tag", "media", "audit_entry"),
)
CONTENTS = """{ contents(first: 3) {
  nodes { slug title summary locale tags { slug name dimension } author { displayName } }
  totalCount pageInfo { hasNextPage endCursor } } }"""


async def load(store: assets.Store | None = None) -> dict[demo.Person, str]:
    return await demo.load("CNY", "Asia/Shanghai", store, datetime.now(UTC))


def tags_of(rows: list[Row]) -> Mapping[str, TagRow]:
    """Every tag that the rows carry and those above them; fails where two of a slug differ."""
    found: dict[str, TagRow] = {}
    waiting = [tag for row in rows for tag in row.tags]
    while waiting:
        tag = waiting.pop()
        assert found.setdefault(tag.slug, tag) == tag
        waiting += [tag.parent] if tag.parent else []
    return found


async def empty_library() -> None:
    """Leaves the demo as it is when it was cut short before its pieces."""
    await database.execute("UPDATE tag SET parent_id = NULL")
    for table in ("link", *LIBRARY):
        made = " WHERE subject_kind <> 'Program'" if table == "audit_entry" else ""
        await database.execute(f"DELETE FROM {table}{made}")


async def test_loading_the_demo_again_changes_nothing_but_tokens(
    opened: str, tmp_path: Path
) -> None:
    store = assets.DirectoryStore(tmp_path)
    first = await load(store)
    before = await everything()
    second = await load(store)
    after = await everything()
    assert set(first) == set(second) == set(demo.PEOPLE)
    assert not set(first.values()) & set(second.values())
    assert [name for name in before if before[name] != after[name]] == ["session"]
    assert len(after["session"]) == 2 * len(demo.PEOPLE)


async def test_a_demo_that_was_cut_short_is_completed(opened: str) -> None:
    await load()
    whole = await counts()
    await empty_library()
    await load()
    assert await counts() == whole | {"session": 2 * len(demo.PEOPLE)}


async def test_the_demo_goes_into_an_empty_database_or_its_own(opened: str) -> None:
    assert await demo.present()
    await load()
    assert await demo.present()


async def test_the_demo_stays_out_of_other_peoples_database(opened: str) -> None:
    await factories.person("mei")
    assert not await demo.present()


async def test_a_piece_that_somebody_changed_stays_as_it_is(opened: str) -> None:
    await load()
    editor = (await factories.person("ed", Role.EDITOR)).member.id
    content = await Content.get(slug=demo.FEATURED)
    now = datetime.now(UTC)
    await library.update(content.id, 1, {"title": "Mine"}, editor, now, slug="mine")
    await lifecycle.publish(content.id, 2, None, editor, now)
    before = await counts()
    await load()
    assert await counts() == before | {"session": before["session"] + len(demo.PEOPLE)}
    assert (await Content.get(slug="mine")).version == 2


async def test_a_piece_of_a_tier_that_was_left_out_stays_out(opened: str) -> None:
    await load()
    await empty_library()
    await database.execute("UPDATE tier SET rank = -1 WHERE code = 'silver'")
    await load()
    gated = [row for row in demo.pieces() if row.given.get("min_tier") == "silver"]
    assert gated
    assert await Content.all().count() == len(demo.pieces()) - len(gated)


# ---- what there is to read


def test_every_file_of_the_demo_is_a_whole_piece_with_the_tags_of_the_others() -> None:
    paths = sorted(demo.CONTENTS.iterdir())
    assert paths == files.named([demo.CONTENTS])
    found = [each.row for each in files.read(paths, Mapped.ROWS)]
    assert not [each for each in found if isinstance(each, Mistake)]
    rows = [each for each in found if isinstance(each, Row)]
    assert rows == demo.pieces()
    assert [row.slug for row in rows] == [path.stem for path in paths]
    assert all(row.tags and row.author == demo.EDITOR.email for row in rows)
    tags = tags_of(rows)
    assert all(tag.dimension and tag.name for tag in tags.values())
    assert {tag.slug for tag in tags.values() if tag.parent} >= {"green-tea", "koc", "tiers"}
    for row in rows:
        title, summary, body = (row.given.get(name) for name in ("title", "summary", "body"))
        assert title and summary and body
        words = re.findall(
            r"[a-z']+" if row.locale == "en" else r"[\u4e00-\u9fff]", body, re.IGNORECASE
        )
        assert 150 <= len(words) <= 800, row.slug


def test_the_demo_has_every_kind_side_and_language_and_every_gate() -> None:
    rows = demo.pieces()
    assert demo.FEATURED in {row.slug for row in rows}
    assert len(rows) >= 40
    languages = Counter(row.locale for row in rows)
    assert set(languages) == {"zh-CN", "en"}
    assert min(languages.values()) >= 0.45 * len(rows)
    assert {row.kind for row in rows} == set(ContentKind)
    sides = Counter(tag.dimension for row in rows for tag in row.tags)
    assert set(sides) == set(Dimension)
    assert min(sides.values()) >= 5
    assert {row.status for row in rows} == {
        ContentStatus.PUBLISHED,
        ContentStatus.DRAFT,
        ContentStatus.IN_REVIEW,
    }
    assert {row.given.get("min_tier") for row in rows} == {None, *demo.THRESHOLDS_MINOR}
    audiences = {row.given.get("audience", Audience.EVERYONE) for row in rows}
    assert audiences == {Audience.EVERYONE, Audience.BUYERS, Audience.STAFF}
    assert sum(1 for row in rows if row.given.get("share_text")) >= 10
    assert codes.fold(demo.LINK_CODE) == demo.LINK_CODE


async def test_the_importer_takes_every_piece_and_a_second_time_changes_none(opened: str) -> None:
    rules = demo.ladder(DowngradePolicy.IMMEDIATE)
    await publishing.set_up(rules, time_zone="Asia/Shanghai", now=datetime.now(UTC))
    refused: list[str] = []

    async def bring() -> Report:
        paths = files.named([demo.CONTENTS])
        return await importing.bring(paths, Mapped.ROWS, lambda _: None, refused.append)

    whole = len(demo.pieces())
    assert (await bring()).counts == {Outcome.NEW: whole}
    assert (await bring()).counts == {Outcome.UNCHANGED: whole}
    assert refused == []
    await load()
    assert await Content.all().count() == whole


# ---- covers


@on_sqlite_alone
async def test_every_piece_has_a_cover_that_opens(live: Api, settings: Settings) -> None:
    store = assets.DirectoryStore(settings.assets_path)
    await load(store)
    versions = await ContentVersion.all().select_related("content")
    covers = {row.content.slug: row.cover_url or "" for row in versions}
    assert set(covers) == {row.slug for row in demo.pieces()}
    assert len(set(covers.values())) == len(covers)
    shown = (await live.ask("{ contents(first: 1) { nodes { slug coverUrl } } }"))["nodes"][0]
    assert shown["coverUrl"] == settings.base_url + covers[shown["slug"]]
    for address in covers.values():
        answer = await live.http.get(address)
        assert answer.status_code == 200
        with Image.open(BytesIO(answer.content)) as picture:
            picture.load()
            assert picture.size == demo_covers.SIZE


def test_a_cover_is_always_the_same_one_and_tells_pieces_and_sides_apart() -> None:
    drawn = {
        (slug, side): demo_covers.draw(slug, side)
        for slug in ("tea", "茶", "cup", "hill")
        for side in Dimension
    }
    assert len(set(drawn.values())) == len(drawn)
    for (slug, side), cover in [*drawn.items()][:3]:
        assert demo_covers.draw(slug, side) == cover


# ---- the loop


async def test_the_loop_of_the_readme_works_with_the_demo(live: Api) -> None:
    token = {person.key: text for person, text in (await load()).items()}

    listed = await live.ask(CONTENTS)
    assert len(listed["nodes"]) == 3
    open_to_all = [
        row
        for row in demo.pieces()
        if row.status is ContentStatus.PUBLISHED and row.given.get("audience") is not Audience.STAFF
    ]
    assert listed["totalCount"] == len(open_to_all)
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
