"""Owns handing out the playground's page and its files, which the build has made beside this."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from api import conditional, pages
from api.settings import Settings

PATH = "/playground"
DIST = Path(__file__).with_name("dist")
INDEX = "index.html"
# Nothing is loaded from elsewhere and no script stands in the page. Monaco, the editor, writes
# styles into the page as it goes, which no list of digests could name.
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; worker-src 'self'; "
    "connect-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; base-uri 'none'; form-action 'none'",
    "cross-origin-opener-policy": "same-origin",
}
_NOT_BUILT = (
    "The playground is not built",
    "Everything else works without it.",
    "Run “make playground” where the server is installed, which needs the network once.",
)
_FOR_EVER = "public, max-age=31536000, immutable"


def routes(settings: Settings) -> Sequence[BaseRoute]:
    """The page and what belongs to it; as long as it is not built, a page that says how."""
    index = DIST / INDEX

    async def show(request: Request) -> Response:
        try:
            page = await asyncio.to_thread(index.read_text)
        except FileNotFoundError:
            return pages.unavailable(*_NOT_BUILT)
        return conditional.shared(request, HTMLResponse(_told(page, settings), headers=_HEADERS))

    async def bare(request: Request) -> Response:
        return RedirectResponse(PATH, status_code=308)

    return [
        Route(PATH, show),
        Route(f"{PATH}/", bare),
        Mount(f"{PATH}/assets", _Assets(directory=DIST / "assets", check_dir=False)),
    ]


def _told(page: str, settings: Settings) -> str:
    """The page with what it has to know of the installation."""
    told: Mapping[str, bool] = {
        "introspection": settings.introspection,
        "documents": not settings.trusted_documents_only,
    }
    known = "".join(f' data-{name}="{str(value).lower()}"' for name, value in told.items())
    return page.replace("<body", f"<body{known}", 1)


class _Assets(StaticFiles):
    """Files whose names are digests of what they hold."""

    async def check_config(self) -> None:
        """A folder that is not there has no files; that is all."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code in (200, 304):
            response.headers["cache-control"] = _FOR_EVER
        return response
