"""Owns uploading files and handing them out, over plain HTTP: a mini-program sends no multipart
GraphQL."""

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG

from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from api import bearers, conditional, pages, uploads
from api.context import Context
from api.errors import Refusal, Unauthenticated, as_json
from api.media import Media
from api.settings import Settings
from content import assets, models
from content.assets import DirectoryStore
from content.errors import DeclaredOtherwise, FileTooLarge, UnknownFileType
from content.pictures import Kind
from core.errors import Mistake
from members.models import Role

# The name is a digest of what was uploaded, so that what it names never changes.
_HEADERS = {
    "cache-control": "public, max-age=31536000, immutable",
    "content-security-policy": "default-src 'none'; sandbox",
    "cross-origin-resource-policy": "cross-origin",
    "x-content-type-options": "nosniff",
}


def routes(settings: Settings) -> Sequence[Route]:
    """The routes of one installation."""
    store = DirectoryStore(settings.assets_path)

    async def upload(request: Request) -> Response:
        try:
            row = await _kept(request, store, settings)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        except Refusal as refusal:
            return _refused(refusal.code, refusal.message, refusal.status)
        except Mistake as mistake:
            return _refused(mistake.code, mistake.message, _status(mistake), mistake.field)
        return _answer(201, {"media": _shown(row, settings), "errors": []})

    async def show(request: Request) -> Response:
        name = request.path_params["name"]
        path = store.path(name)
        found = path and await asyncio.to_thread(_found, path)
        if path is None or found is None:
            return pages.not_found("There is no such file.")
        headers = {**_HEADERS, "etag": f'"{name}"'}
        if conditional.known(request, headers["etag"]):
            return Response(status_code=304, headers=headers)
        return _file(name, path, found, headers)

    return [
        Route("/assets", upload, methods=["POST"]),
        Route(f"{assets.PATH}{{name}}", show),
    ]


async def _kept(request: Request, store: DirectoryStore, settings: Settings) -> models.Media:
    now = datetime.now(UTC)
    context = Context(settings, now, await bearers.viewer(request, now))
    editor = context.allow([Role.EDITOR])
    upload = await uploads.read(request)
    data, declared = bytes(upload.data), upload.declared
    return await assets.keep(store, data, editor.member_id, now, declared=declared)


def _status(mistake: Mistake) -> int:
    if isinstance(mistake, FileTooLarge):
        return 413
    return 415 if isinstance(mistake, UnknownFileType | DeclaredOtherwise) else 422


def _refused(code: str, message: str, status: int, field: Sequence[str] = ()) -> Response:
    error = {"code": code, "message": message, "field": [*field] or None}
    return _answer(status, {"media": None, "errors": [error]})


def _answer(status: int, body: object) -> Response:
    challenge = {"www-authenticate": "Bearer"} if status == Unauthenticated.status else {}
    headers = {"cache-control": "no-store", **challenge}
    return Response(as_json(body), status, headers, media_type="application/json")


def _shown(row: models.Media, settings: Settings) -> dict[str, object]:
    media = Media.of(row, settings)
    return {
        "id": media.id,
        "url": media.url,
        "mime": media.mime,
        "width": media.width,
        "height": media.height,
        "bytes": row.size_bytes,
        "variants": [{"width": each.width, "url": each.url} for each in media.variants],
    }


def _found(path: Path) -> os.stat_result | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found if S_ISREG(found.st_mode) else None


def _file(name: str, path: Path, found: os.stat_result, headers: dict[str, str]) -> Response:
    kind = assets.kind_of(name)
    # A document may hold scripts: it is for programs outside of our origin.
    disposition = "attachment" if kind is Kind.PDF else "inline"
    return FileResponse(
        path,
        headers=headers,
        media_type=kind.value,
        filename=name,
        stat_result=found,
        content_disposition_type=disposition,
    )
