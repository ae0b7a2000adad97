"""The page of a content, over real HTTP: what previews read, and what an editor cannot make run."""

import pytest
from structlog.testing import capture_logs

from content import library, lifecycle
from content.models import Audience, ContentStatus, Media
from members.models import Role
from tests import factories
from tests.api.books import on_sqlite_alone
from tests.client import Api

BODY = """## How we pick

*Before* dawn, see [our fields](https://tea.example/fields).

- leaf
- bud

<script>alert("body")</script>

[click](javascript:alert(1)) and [data](data:text/html;base64,PHNjcmlwdD4=)

![picture](https://tea.example/leaf.jpg)

<img src=x onerror=alert(2)>
"""


async def test_a_page_has_what_a_link_preview_reads(live: Api) -> None:
    await factories.piece("明前-绿茶", title="明前茶 & more", summary='A "fine" <tea>', body=BODY)
    response = await live.http.get("/c/明前-绿茶")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    for part in (
        '<html lang="zh-CN">',
        "<title>明前茶 &amp; more</title>",
        '<meta name="description" content="A &quot;fine&quot; &lt;tea&gt;">',
        '<meta property="og:title" content="明前茶 &amp; more">',
        '<meta property="og:description" content="A &quot;fine&quot; &lt;tea&gt;">',
        '<meta property="og:type" content="article">',
        "<h1>明前茶 &amp; more</h1>",
    ):
        assert part in response.text


@on_sqlite_alone
async def test_markdown_is_rendered_and_nothing_in_it_runs(live: Api) -> None:
    await factories.piece(
        "tea",
        title='<script>alert("title")</script>',
        summary='"><script>alert("summary")</script>',
        body=BODY,
    )
    response = await live.http.get("/c/tea")
    text = response.text
    for part in (
        "<h2>How we pick</h2>",
        "<em>Before</em>",
        '<a href="https://tea.example/fields">our fields</a>',
        "<li>leaf</li>",
        "&lt;script&gt;alert",
        "&lt;img src=x",
    ):
        assert part in text
    for part in ("<script", 'href="javascript:', 'href="data:', "<img src=x", "$title", "$body"):
        assert part not in text
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "script-src" not in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"


@on_sqlite_alone
async def test_a_title_may_hold_the_placeholders_of_the_template(live: Api) -> None:
    await factories.piece("tea", title="$body ${summary} $$", body="costs $5 and $title")
    text = (await live.http.get("/c/tea")).text
    assert "<h1>$body ${summary} $$</h1>" in text
    assert "<p>costs $5 and $title</p>" in text


async def test_drafts_and_unknown_slugs_are_not_found(live: Api) -> None:
    await factories.piece("draft", status=ContentStatus.DRAFT, title="Secret plans")
    for slug in ("draft", "nobody", "明前", "x" * 100, "%ff", "Draft"):
        response = await live.http.get(f"/c/{slug}")
        assert response.status_code == 404, slug
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert "There is no such page." in response.text
        assert "Secret plans" not in response.text


async def test_a_slug_that_no_database_can_hold_is_not_found(live: Api) -> None:
    with capture_logs():
        found = [(await live.http.get(f"/c/{slug}")).status_code for slug in ("x" * 101, "%00")]
    assert found == [404, 404]


async def test_a_page_is_found_by_old_slugs_and_says_where_it_is_now(live: Api) -> None:
    editor = (await factories.person("ed", Role.REVIEWER)).member.id
    tea = await factories.piece("Old Tea", cover_url="/assets/tea.webp")
    await library.update(tea, 1, {"title": "A draft"}, editor, factories.NOW, slug="新茶")
    address = f"{live.settings.base_url}/c/%E6%96%B0%E8%8C%B6"
    for slug in ("old-tea", "OLD TEA", "新茶"):
        text = (await live.http.get(f"/c/{slug}")).text
        assert f'<link rel="canonical" href="{address}">' in text
        assert f'<meta property="og:url" content="{address}">' in text
        picture = f"{live.settings.base_url}/assets/tea.webp"
        assert f'<meta property="og:image" content="{picture}">' in text
        assert "A draft" not in text


@on_sqlite_alone
async def test_a_gated_page_shows_its_teaser_and_what_is_missing(live: Api) -> None:
    await factories.ladder()
    await factories.piece("tea", summary="A teaser", body="The secret", min_tier="silver")
    text = (await live.http.get("/c/tea")).text
    assert '<p class="summary">A teaser</p>' in text
    assert "Sign in to read on." in text
    assert "The secret" not in text


async def media() -> list[int]:
    """A picture with smaller ones, a video and a brochure."""
    name = "/assets/" + "a" * 64
    made = [
        await Media.create(
            url=f"{name}.jpg", mime="image/jpeg", width=900, height=600, widths=[320, 640]
        ),
        await Media.create(url='https://v.example/a.mp4?a="&b', mime="video/mp4"),
        await Media.create(url=f"{name}.pdf", mime="application/pdf", widths=[]),
    ]
    return [each.id for each in made]


async def test_a_page_shows_its_cover_and_what_goes_with_its_text(live: Api) -> None:
    ours = f"{live.settings.base_url}/assets/{'a' * 64}"
    cover = "https://x.example/tea.jpg"
    await factories.piece("tea", title="Tea & <more>", cover_url=cover, media=await media())
    response = await live.http.get("/c/tea")
    for part in (
        f'<img class="cover" src="{cover}" alt="">',
        f'<img src="{ours}.jpg" srcset="{ours}-320.jpg 320w, {ours}-640.jpg 640w, {ours}.jpg 900w"',
        'width="900" height="600" alt="Tea &amp; &lt;more&gt;"',
        '<video src="https://v.example/a.mp4?a=&quot;&amp;b" controls preload="none">',
        f'<a href="{ours}.pdf">Tea &amp; &lt;more&gt; (PDF)</a>',
    ):
        assert part in response.text
    assert "media-src https:" in response.headers["content-security-policy"]


@on_sqlite_alone
async def test_a_poster_that_is_its_own_cover_is_shown_once(live: Api) -> None:
    name = f"/assets/{'a' * 64}.jpg"
    await factories.piece("poster", cover_url=name, media=(await media())[:1])
    text = (await live.http.get("/c/poster")).text
    assert text.count(f'src="{live.settings.base_url}{name}"') == 1


async def test_a_gated_page_shows_its_cover_alone(live: Api) -> None:
    await factories.ladder()
    cover = "https://x.example/tea.jpg"
    await factories.piece("tea", min_tier="silver", cover_url=cover, media=await media())
    text = (await live.http.get("/c/tea")).text
    assert f'<img class="cover" src="{cover}" alt="">' in text
    assert "Sign in to read on." in text
    assert "a" * 64 not in text
    assert "v.example" not in text


@on_sqlite_alone
async def test_staff_content_has_no_page(live: Api) -> None:
    await factories.piece("tea", title="Secret plans", audience=Audience.STAFF)
    response = await live.http.get("/c/tea")
    assert response.status_code == 404
    assert "Secret plans" not in response.text
    assert "Secret plans" not in (await live.http.get("/")).text


# ---- what others may keep


@pytest.mark.parametrize("path", ["/", "/c/tea"])
async def test_a_page_that_somebody_has_is_not_sent_again(live: Api, path: str) -> None:
    await factories.piece("tea", body="Steep")
    first = await live.http.get(path)
    etag = first.headers["etag"]
    assert first.headers["cache-control"] == "public, no-cache"
    assert etag[0] == etag[-1] == '"'
    for named in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        for ask in (live.http.get, live.http.head):
            again = await ask(path, headers={"if-none-match": named})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == etag
            assert again.headers["cache-control"] == "public, no-cache"
            assert "content-type" not in again.headers
    other = await live.http.get(path, headers={"if-none-match": f'"{etag[1:6]}"'})
    assert (other.status_code, other.text) == (200, first.text)
    head = await live.http.head(path)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", etag)
    assert int(head.headers["content-length"]) == len(first.content)


async def test_a_page_has_another_tag_once_something_is_published(live: Api) -> None:
    editor = (await factories.person("ed", Role.REVIEWER)).member.id
    tea = await factories.piece("tea", title="Tea")
    tags = {path: (await live.http.get(path)).headers["etag"] for path in ("/", "/c/tea")}
    await library.update(tea, 1, {"title": "Green tea", "body": "new"}, editor, factories.NOW)
    for path, etag in tags.items():  # a draft is nobody's business
        same = await live.http.get(path, headers={"if-none-match": etag})
        assert same.status_code == 304
    await lifecycle.publish(tea, 2, None, editor, factories.NOW)
    for path, etag in tags.items():
        changed = await live.http.get(path, headers={"if-none-match": etag})
        assert changed.status_code == 200
        assert changed.headers["etag"] != etag
        assert "Green tea" in changed.text


async def test_a_page_that_is_archived_is_not_found_by_who_has_it(live: Api) -> None:
    editor = (await factories.person("ed", Role.REVIEWER)).member.id
    tea = await factories.piece("tea", title="Tea")
    tags = {path: (await live.http.get(path)).headers["etag"] for path in ("/", "/c/tea")}
    await lifecycle.archive(tea, editor, factories.NOW)
    for named in (tags["/c/tea"], "*"):
        gone = await live.http.get("/c/tea", headers={"if-none-match": named})
        assert (gone.status_code, gone.headers["cache-control"]) == (404, "no-store")
        assert "etag" not in gone.headers
    front = await live.http.get("/", headers={"if-none-match": tags["/"]})
    assert front.status_code == 200
    assert "Tea" not in front.text


async def test_what_is_kept_of_a_gated_page_is_the_same_for_everybody(live: Api) -> None:
    await factories.ladder()
    await factories.piece("tea", summary="A teaser", body="The secret", min_tier="silver")
    await factories.piece("plans", title="Secret plans", audience=Audience.STAFF)
    lin = await factories.person("lin", Role.REVIEWER, Role.ADMIN)
    for path in ("/", "/c/tea"):
        anybody = await live.http.get(path)
        signed_in = {"authorization": f"Bearer {lin.token}", "cookie": f"session={lin.token}"}
        hers = await live.http.get(path, headers=signed_in)
        assert (hers.status_code, hers.content) == (200, anybody.content)
        assert hers.headers["etag"] == anybody.headers["etag"]
        assert "ecret" not in anybody.text
        signed_in["if-none-match"] = anybody.headers["etag"]
        assert (await live.http.get(path, headers=signed_in)).status_code == 304


async def test_lifting_a_gate_changes_the_tag_of_its_page(live: Api) -> None:
    await factories.ladder()
    editor = (await factories.person("ed", Role.REVIEWER)).member.id
    tea = await factories.piece("tea", body="The secret", min_tier="silver")
    gated = await live.http.get("/c/tea")
    await library.update(tea, 1, {"min_tier": None}, editor, factories.NOW)
    await lifecycle.publish(tea, 2, None, editor, factories.NOW)
    etag = {"if-none-match": gated.headers["etag"]}
    shown = await live.http.get("/c/tea", headers=etag)
    assert (shown.status_code, "The secret" in shown.text) == (200, True)
    await library.update(tea, 2, {"min_tier": "silver"}, editor, factories.NOW)
    await lifecycle.publish(tea, 3, None, editor, factories.NOW)
    again = await live.http.get("/c/tea", headers={"if-none-match": shown.headers["etag"]})
    assert (again.status_code, "The secret" in again.text) == (200, False)
    assert again.headers["etag"] == gated.headers["etag"]
