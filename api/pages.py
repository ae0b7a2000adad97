"""Owns the plain pages that people meet: a content, and a way out where there is nothing."""

from collections.abc import Sequence
from html import escape
from string import Template
from urllib.parse import quote

from starlette.responses import HTMLResponse

from api import figures
from api.media import Media
from content.gate import AccessReason
from content.reading import Piece

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
$more
<style>
body { margin: 3rem auto; max-width: 40rem; padding: 0 1.25rem; color: #222; background: #fff;
  font: 1.0625rem/1.75 system-ui, "PingFang SC", "Microsoft YaHei", sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.3; }
.summary { color: #555; font-size: 1.15rem; }
a { color: #0b6e4f; }
figure { margin: 1.5rem 0; }
img, video { max-width: 100%; height: auto; }
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
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "img-src 'self' https:; media-src https:",
    "x-content-type-options": "nosniff",
    "referrer-policy": "strict-origin-when-cross-origin",
}


ASK = "Please check the address, or ask whoever sent it to you."
_GATES = {
    AccessReason.SIGN_IN_REQUIRED: "Sign in to read on.",
    AccessReason.TIER_REQUIRED: "Members of a higher tier can read on.",
    AccessReason.AUDIENCE_EXCLUDED: "This was written for other readers.",
}


def content(
    piece: Piece, html: str | None, media: Sequence[Media], address: str, cover: str | None
) -> HTMLResponse:
    """The page of a content, readable without scripts: its teaser, and where its body may be read
    that and its media. `address` is where it is to be found, `cover` where its picture is."""
    more = [("og:url", address)]
    if cover is not None:
        more.append(("og:image", cover))
    tags = [f'<meta property="{name}" content="{escape(value)}">' for name, value in more]
    tags.append(f'<link rel="canonical" href="{escape(address)}">')
    shown = "" if html is None else f"{figures.figures(media, piece.title)}\n{html}"
    body = shown or f'<p class="gate">{_GATES[piece.access]}</p>'
    if cover is not None and cover not in {each.url for each in media}:
        body = f"{figures.cover(cover)}\n{body}"
    return _page(piece.title, piece.summary, body, piece.locale, more="\n".join(tags))


def index(rows: Sequence[Piece]) -> HTMLResponse:
    """The newest pieces, for whoever opens the bare address."""
    items = "".join(
        f'<li><a href="/c/{quote(row.slug, safe="")}">{escape(row.title)}</a></li>' for row in rows
    )
    return _page("Newest", "What there is to read.", f"<ul>{items}</ul>", "en")


def not_found(what: str) -> HTMLResponse:
    """A page that says what was looked for and not found: it may be there in a moment."""
    return _passing("Nothing here", what, ASK, 404)


def unavailable(title: str, what: str, more: str) -> HTMLResponse:
    """A page that says what this installation cannot show yet, and what its operator can do."""
    return _passing(title, what, more, 503)


def _passing(title: str, what: str, more: str, status: int) -> HTMLResponse:
    page = _page(title, what, f"<p>{escape(more)}</p>", "en", status=status)
    page.headers["cache-control"] = "no-store"
    return page


def _page(
    title: str, summary: str, body: str, locale: str, *, status: int = 200, more: str = ""
) -> HTMLResponse:
    html = _PAGE.substitute(
        title=escape(title), summary=escape(summary), body=body, locale=escape(locale), more=more
    )
    return HTMLResponse(html, status_code=status, headers=_HEADERS)
