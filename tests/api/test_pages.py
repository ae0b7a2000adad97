"""The page of a content, over real HTTP: what previews read, and what an editor cannot make run."""

from structlog.testing import capture_logs

from content.models import ContentStatus
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
