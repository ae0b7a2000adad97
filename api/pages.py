"""Owns the plain pages that people meet: a content, and a way out where there is nothing."""

from collections.abc import Sequence
from html import escape
from string import Template
from urllib.parse import quote

from markdown_it import MarkdownIt
from starlette.responses import HTMLResponse

from content.models import Content

# No raw HTML, no autolinks into anything but http(s): what an editor writes cannot run.
_MARKDOWN = MarkdownIt("js-default", {"html": False})

_PAGE = Template("""<!doctype html>
<html lang="$locale">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<meta name="description" content="$summary">
<meta property="og:title" content="$title">
<meta property="og:description" content="$summary">
<meta property="og:type" content="article">
<style>
body { margin: 3rem auto; max-width: 40rem; padding: 0 1.25rem; color: #222; background: #fff;
  font: 1.0625rem/1.75 system-ui, "PingFang SC", "Microsoft YaHei", sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.3; }
.summary { color: #555; font-size: 1.15rem; }
a { color: #0b6e4f; }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #161616; }
  .summary { color: #aaa; } a { color: #6ac8a4; } }
</style>
</head>
<body>
<main>
<h1>$title</h1>
<p class="summary">$summary</p>
$body
</main>
</body>
</html>
""")
_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src https:",
    "x-content-type-options": "nosniff",
    "referrer-policy": "strict-origin-when-cross-origin",
}


def content(row: Content) -> HTMLResponse:
    """The page of a content, readable without scripts."""
    return _page(row.title, row.summary, _MARKDOWN.render(row.body), row.locale)


def index(rows: Sequence[Content]) -> HTMLResponse:
    """The newest pieces, for whoever opens the bare address."""
    items = "".join(
        f'<li><a href="/c/{quote(row.slug, safe="")}">{escape(row.title)}</a></li>' for row in rows
    )
    return _page("Newest", "What there is to read.", f"<ul>{items}</ul>", "en")


def not_found(what: str) -> HTMLResponse:
    """A page that says what was looked for and not found."""
    body = "<p>Please check the address, or ask whoever sent it to you.</p>"
    return _page("Nothing here", what, body, "en", status=404)


def _page(title: str, summary: str, body: str, locale: str, status: int = 200) -> HTMLResponse:
    html = _PAGE.substitute(
        title=escape(title), summary=escape(summary), body=body, locale=escape(locale)
    )
    return HTMLResponse(html, status_code=status, headers=_HEADERS)
