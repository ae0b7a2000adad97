"""Links over real HTTP: made, shared, archived, shown, and as QR codes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.nodes import to_id
from content.models import ContentStatus
from core import codes
from members.models import Role
from referral import invitations, links
from referral.models import Link, Program, Touch
from tests import factories
from tests.api.books import nothing_written, on_sqlite_alone
from tests.client import TOUCH, Api
from tests.factories import Person

LINK = """{
  id code url qrSvgUrl qrPngUrl targetUrl channel archived expiresAt createdAt
  owner { id } program { code } content { slug }
}"""
CREATE = f"""
mutation ($input: ReferralLinkCreateInput!) {{
  referralLinkCreate(input: $input) {{ referralLink {LINK} errors {{ code field }} }}
}}"""
ARCHIVE = """
mutation ($id: ID!) {
  referralLinkArchive(id: $id) { referralLink { archived } errors { code field } }
}"""
SHARE = f"""
mutation ($id: ID!, $program: String) {{
  contentShare(id: $id, program: $program) {{ referralLink {LINK} errors {{ code field }} }}
}}"""
SHARED = """
query ($slug: String!, $program: String) {
  content(slug: $slug) { shareLink(program: $program) { code } }
}"""
FIND = f"query ($code: String!) {{ referralLink(code: $code) {LINK} }}"
MINE = """
query ($first: Int!, $after: String) {
  viewer { referralLinks(first: $first, after: $after) {
    nodes { code } totalCount pageInfo { hasNextPage endCursor }
  } }
}"""
SHOP = "https://shop.example/tea"


async def promoter(name: str = "mei", code: str = "friends") -> Person:
    """Somebody who is enrolled in the program."""
    person = await factories.person(name, Role.EMPLOYEE)
    program = await factories.program(code)
    await invitations.enroll(program.id, person.member, datetime.now(UTC))
    return person


def mistakes(payload: Any) -> list[tuple[str, list[str]]]:
    assert payload["referralLink"] is None
    return [(each["code"], each["field"]) for each in payload["errors"]]


async def test_a_promoter_makes_a_link_and_anybody_finds_it_by_its_code(live: Api) -> None:
    mei = await promoter()
    expires_at = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
    given = {"program": "friends", "targetUrl": SHOP, "channel": "Moments"}

    made = await live.ask(CREATE, mei.token, input=given | {"expiresAt": expires_at.isoformat()})

    assert made["errors"] == []
    link = made["referralLink"]
    base = f"{live.settings.base_url}/r/{link['code']}"
    assert link == {
        **link,
        "url": base,
        "qrSvgUrl": f"{base}/qr.svg",
        "qrPngUrl": f"{base}/qr.png",
        "targetUrl": SHOP,
        "channel": "Moments",
        "archived": False,
        "owner": {"id": to_id("Member", mei.member.id)},
        "program": {"code": "friends"},
        "content": None,
    }
    assert datetime.fromisoformat(link["expiresAt"]) == expires_at
    assert await live.ask(FIND, code=link["code"].lower()) == link
    assert (await live.click(link["code"])).headers["location"].startswith(f"{SHOP}?r=")


@on_sqlite_alone
async def test_what_is_wrong_with_a_link_is_said_and_nothing_is_written(live: Api) -> None:
    mei = await promoter()
    await factories.program("others")
    await promoter("mei", "ended")
    await Program.filter(code="ended").update(ends_at=datetime.now(UTC))
    draft = to_id("Content", await factories.piece("draft", status=ContentStatus.DRAFT))
    shop = {"program": "friends", "targetUrl": SHOP}
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"program": "friends"}, "REQUIRED", "targetUrl"),
        ({"program": "friends", "content": draft}, "NOT_FOUND", "content"),
        ({"program": "friends", "content": "x"}, "NOT_FOUND", "content"),
        ({"program": "friends", "targetUrl": "https://evil.example/"}, "INVALID", "targetUrl"),
        (shop | {"program": "nobody"}, "NOT_FOUND", "program"),
        (shop | {"program": "others"}, "NOT_ENROLLED", "program"),
        (shop | {"program": "ended"}, "PROGRAM_CLOSED", "program"),
        (shop | {"channel": "x" * 41}, "TOO_LONG", "channel"),
        (shop | {"expiresAt": past}, "INVALID", "expiresAt"),
    ]
    async with nothing_written():
        for given, code, field in cases:
            payload = await live.ask(CREATE, mei.token, input=given)
            assert mistakes(payload) == [(code, [field])], given
        assert await live.refused(CREATE, input=shop) == "UNAUTHENTICATED"


@on_sqlite_alone
async def test_a_link_is_archived_by_its_owner_or_staff_once(live: Api) -> None:
    stage = await factories.stage()
    other = await factories.link(stage.promoter.member, stage.program)
    staff = await factories.person("op", Role.OPERATOR)
    lan = await factories.person("lan", Role.EMPLOYEE)
    ids = [to_id("ReferralLink", each.id) for each in (stage.link, other)]

    assert await live.refused(ARCHIVE, lan.token, id=ids[0]) == "FORBIDDEN"
    for id, person in zip(ids, (stage.promoter, staff), strict=True):
        archived = await live.ask(ARCHIVE, person.token, id=id)
        assert archived == {"referralLink": {"archived": True}, "errors": []}
        assert mistakes(await live.ask(ARCHIVE, person.token, id=id)) == [("LINK_ARCHIVED", ["id"])]
    missing = to_id("ReferralLink", 10**9)
    assert mistakes(await live.ask(ARCHIVE, staff.token, id=missing)) == [("NOT_FOUND", ["id"])]

    assert (await live.click(stage.link.code)).status_code == 302
    assert (await live.ask(FIND, code=stage.link.code))["archived"] is True


async def test_sharing_makes_the_viewers_own_link_and_enrols_where_the_program_says_so(
    live: Api,
) -> None:
    await factories.program()
    await Program.filter(code="friends").update(auto_enroll=True)
    mei = await factories.person("mei", Role.EMPLOYEE)
    content = to_id("Content", await factories.piece("tea"))
    assert (await live.ask(SHARED, mei.token, slug="tea"))["shareLink"] is None

    first, second = [await live.ask(SHARE, mei.token, id=content) for _ in range(2)]

    assert first == second
    assert first["errors"] == []
    link = first["referralLink"]
    assert (link["content"], link["owner"]) == (
        {"slug": "tea"},
        {"id": to_id("Member", mei.member.id)},
    )
    assert link["targetUrl"] == f"{live.settings.base_url}/c/tea"
    shown = {"shareLink": {"code": link["code"]}}
    assert await live.ask(SHARED, mei.token, slug="tea") == shown
    assert await live.ask(SHARED, mei.token, slug="tea", program="friends") == shown
    nobodys = {"shareLink": None}
    assert await live.ask(SHARED, mei.token, slug="tea", program="others") == nobodys
    assert await live.ask(SHARED, slug="tea") == nobodys
    assert await Link.all().count() == 1


@on_sqlite_alone
async def test_who_may_not_share_is_told_why(live: Api) -> None:
    for code, terms in (
        ("by-hand", {}),
        ("kocs", {"auto_enroll": True, "open_to": "KOC"}),
        ("over", {"auto_enroll": True, "ends_at": datetime.now(UTC)}),
    ):
        program = await factories.program(code)
        await Program.filter(id=program.id).update(**terms)
    mei = await factories.person("mei", Role.EMPLOYEE)
    content = to_id("Content", await factories.piece("tea"))
    draft = to_id("Content", await factories.piece("draft", status=ContentStatus.DRAFT))
    async with nothing_written():
        for code, mistake in (
            ("by-hand", "NOT_ENROLLED"),
            ("kocs", "FORBIDDEN"),
            ("over", "PROGRAM_CLOSED"),
            ("nobody", "NOT_FOUND"),
            (None, "NOT_ENROLLED"),
        ):
            payload = await live.ask(SHARE, mei.token, id=content, program=code)
            assert mistakes(payload) == [(mistake, ["program"])], code
        assert mistakes(await live.ask(SHARE, mei.token, id=draft)) == [("NOT_FOUND", ["id"])]
        assert await live.refused(SHARE, id=content) == "UNAUTHENTICATED"


@on_sqlite_alone
async def test_a_members_links_come_newest_first_for_itself_and_staff(live: Api) -> None:
    mei = await promoter()
    given = {"program": "friends", "targetUrl": SHOP}
    made = [await live.ask(CREATE, mei.token, input=given) for _ in range(3)]
    newest = [each["referralLink"]["code"] for each in reversed(made)]

    page = (await live.ask(MINE, mei.token, first=2))["referralLinks"]
    rest = await live.ask(MINE, mei.token, first=2, after=page["pageInfo"]["endCursor"])

    assert [each["code"] for each in page["nodes"]] == newest[:2]
    assert (page["totalCount"], page["pageInfo"]["hasNextPage"]) == (3, True)
    assert [each["code"] for each in rest["referralLinks"]["nodes"]] == newest[2:]
    node = "query ($id: ID!) { node(id: $id) { ... on ReferralLink { code } } }"
    id = made[0]["referralLink"]["id"]
    assert await live.ask(node, mei.token, id=id) == {"code": newest[2]}
    lan = await factories.person("lan")
    assert await live.refused(node, lan.token, id=id) == "FORBIDDEN"


@on_sqlite_alone
async def test_where_a_link_leads_is_our_front_page_while_its_target_cannot_be_led_to(
    live: Api,
) -> None:
    stage = await factories.stage()
    terms = {"program_id": stage.program.id, "owner_id": stage.promoter.member.id}
    archived = await factories.piece("tea", status=ContentStatus.ARCHIVED)
    taken_back = await links.set_up(**terms, content_id=archived, now=factories.NOW)
    await Link.filter(id=stage.link.id).update(target_url="https://was-ours.example/")
    for link in (taken_back, stage.link):
        found = await live.ask(FIND, code=link.code)
        assert found["targetUrl"] == f"{live.settings.base_url}/"
        assert found["content"] is None
    assert await live.ask(FIND, code=codes.new()) is None
    assert await live.ask(FIND, code="nonsense") is None


@on_sqlite_alone
async def test_a_reported_touch_says_where_the_link_was_met(live: Api) -> None:
    stage = await factories.stage()
    given = {"code": stage.link.code, "visitorId": "visitor-1"}
    agent = {"user-agent": "curl/8.5.0"}  # whoever reports a touch is a person
    body = {"query": TOUCH, "variables": {"input": given | {"channel": " 朋友圈 "}}}
    answer = (await live.http.post("/graphql", json=body, headers=agent)).json()
    assert answer["data"]["touchRecord"] == {"visitorId": "visitor-1", "errors": []}
    [touch] = await Touch.all()
    assert (touch.channel, touch.bot_reason) == ("朋友圈", None)
    long = await live.ask(TOUCH, input=given | {"channel": "x" * 41})
    assert [(each["code"], each["field"]) for each in long["errors"]] == [("TOO_LONG", ["channel"])]


# --- QR codes


@on_sqlite_alone
async def test_a_link_has_a_qr_code_as_svg_and_png(live: Api) -> None:
    code = (await factories.stage()).link.code
    svg = await live.http.get(f"/r/{code}/qr.svg")
    png = await live.http.get(f"/r/{code.lower()}/qr.png")
    assert (svg.status_code, svg.headers["content-type"]) == (200, "image/svg+xml")
    assert (png.status_code, png.headers["content-type"]) == (200, "image/png")
    assert b"<svg" in svg.content
    assert png.content.startswith(b"\x89PNG\r\n\x1a\n")
    for picture in (svg, png):
        assert picture.headers["cache-control"] == "public, max-age=86400"
        tag = {"if-none-match": picture.headers["etag"]}
        again = await live.http.get(picture.request.url, headers=tag)
        assert (again.status_code, again.content) == (304, b"")
    assert await Touch.all().count() == 0


@on_sqlite_alone
async def test_a_qr_code_is_as_large_as_asked_within_bounds(live: Api) -> None:
    code = (await factories.stage()).link.code
    sides = []
    for scale in (1, 40):
        picture = await live.http.get(f"/r/{code}/qr.png?scale={scale}")
        sides.append(int.from_bytes(picture.content[16:20]))
    small, large = sides
    assert large == 40 * small
    assert (small - 17 - 8) % 4 == 0  # modules of some version, and four of quiet on each side
    for scale in ("0", "41", "-1", "1e9", "", "x", "٣", "9" * 500):
        refused = await live.http.get(f"/r/{code}/qr.png", params={"scale": scale})
        assert refused.status_code == 400, scale


@on_sqlite_alone
@pytest.mark.parametrize("kind", ["svg", "png"])
async def test_there_is_a_qr_code_of_an_archived_link_and_none_of_an_unknown_one(
    live: Api, kind: str
) -> None:
    stage = await factories.stage()
    await Link.filter(id=stage.link.id).update(archived_at=factories.NOW)
    assert (await live.http.get(f"/r/{stage.link.code}/qr.{kind}")).status_code == 200
    assert (await live.http.get(f"/r/{codes.new()}/qr.{kind}")).status_code == 404
    assert (await live.http.get(f"/r/{stage.link.code}/qr.{kind}x")).status_code == 404
