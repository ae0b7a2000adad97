"""Owns the files that contents show: keeping what is uploaded, and naming what lies elsewhere."""

import asyncio
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from tortoise.exceptions import IntegrityError

from content import pictures
from content.drafts import URL_CHARACTERS
from content.models import Media
from content.pictures import SUFFIXES, Kind
from core import audit, database
from core.errors import Invalid, text

T = TypeVar("T")

PATH = "/assets/"
NAME = re.compile(r"[0-9a-f]{64}(?:-[0-9]{1,5})?\.(jpg|png|webp|pdf)")
LARGEST_NUMBER = 2**31 - 1
_KINDS = {suffix: kind for kind, suffix in SUFFIXES.items()}
_VIDEO = re.compile(r"video/[a-z0-9][a-z0-9.+-]{0,80}")

# A picture of 40 million pixels takes up to 0.8 GB, and a core for up to 10 s. The thread is the
# limit rather than a semaphore, which a client that hangs up would leave while its thread works on.
PICTURES_AT_ONCE = 1
_threads = ThreadPoolExecutor(PICTURES_AT_ONCE, thread_name_prefix="picture")


class Store(Protocol):
    """Where files are kept. An object store takes over by offering the same."""

    async def put(self, name: str, data: bytes) -> None:
        """Keeps a file for good, whole or not at all: when this returns, it outlives a crash.

        The same name always comes with the same data; a second time does nothing.
        """
        ...


class DirectoryStore:
    """Files in one directory of this machine, which is made when it is first needed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def put(self, name: str, data: bytes) -> None:
        """See `Store.put`."""
        await asyncio.to_thread(self._put, name, data)

    def path(self, name: str) -> Path | None:
        """Where the file of this name lies, if it is such a name; None for any other text."""
        return self._path / name if NAME.fullmatch(name) else None

    def _put(self, name: str, data: bytes) -> None:
        self._path.mkdir(parents=True, exist_ok=True)
        target = self._path / name
        if not target.exists():
            with tempfile.NamedTemporaryFile(dir=self._path, prefix=".", delete=False) as file:
                try:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                    Path(file.name).replace(target)
                except BaseException:
                    Path(file.name).unlink(missing_ok=True)
                    raise
        _sync(self._path)  # somebody else may have just put it there


def _sync(directory: Path) -> None:
    """Has the names in the directory outlive a crash."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def kind_of(name: str) -> Kind:
    """What a file that we keep is, by its name, which we made."""
    return _KINDS[name.rpartition(".")[2]]


def variants(row: Media) -> Mapping[int, str]:
    """The addresses of the smaller variants, by their width in pixels."""
    stem, _, suffix = row.url.rpartition(".")
    return {width: f"{stem}-{width}.{suffix}" for width in row.widths or ()}


async def keep(
    store: Store, data: bytes, by: int | None, now: datetime, *, declared: str | None = None
) -> Media:
    """Keeps an upload of the member, or of the platform itself; the same one again is the same
    medium, and nothing is written. Files come first: a crash leaves a file without a row at most.

    Raises what `pictures.checked` and `pictures.remade` raise.
    """
    kind = pictures.checked(data, declared)
    row, files = await _in_thread(lambda: _made(data, kind))
    for name, content in files.items():
        await store.put(name, content)
    return await _entered(row, by, now)


def _made(data: bytes, kind: Kind) -> tuple[Media, Mapping[str, bytes]]:
    """The row of an upload, and the files that belong to it by name."""
    key = hashlib.sha256(data).hexdigest()
    if kind is Kind.PDF:
        name = f"{key}.{SUFFIXES[kind]}"
        row = Media(url=PATH + name, mime=kind.value, key=key, size_bytes=len(data), widths=[])
        return row, {name: data}
    picture = pictures.remade(data, kind)
    suffix = SUFFIXES[picture.kind]
    files = {f"{key}.{suffix}": picture.full.data}
    files |= {f"{key}-{each.width}.{suffix}": each.data for each in picture.variants}
    row = Media(
        url=f"{PATH}{key}.{suffix}",
        mime=picture.kind.value,
        width=picture.full.width,
        height=picture.full.height,
        key=key,
        size_bytes=len(picture.full.data),
        widths=[each.width for each in picture.variants],
    )
    return row, files


async def _entered(row: Media, by: int | None, now: datetime) -> Media:
    """The row as it stands now: the one that was there, or this one."""
    try:
        return await _enter(row, "assetUpload", by, now)
    except IntegrityError:
        return await Media.get(key=row.key)


@database.unit_of_work
async def _enter(row: Media, action: str, by: int | None, now: datetime) -> Media:
    await row.save()
    detail = {"url": row.url, "mime": row.mime}
    await audit.note(action, "Media", [row.id], actor_id=by, now=now, detail=detail)
    return row


async def add(  # noqa: PLR0917 - what a video is
    url: str,
    mime: str,
    width: int | None,
    height: int | None,
    duration_ms: int | None,
    by: int,
    now: datetime,
) -> Media:
    """Names a video that lies elsewhere, by https alone; nothing is fetched. Raises `Required`,
    `TooLong` or `Invalid` with the field."""
    row = Media(
        url=_https(url),
        mime=_video(mime),
        width=_positive(width, "width"),
        height=_positive(height, "height"),
        duration_ms=_positive(duration_ms, "durationMs"),
    )
    return await _enter(row, "mediaAdd", by, now)


def _https(url: str) -> str:
    url = text(url, "url", most=URL_CHARACTERS)
    try:
        parts = urlsplit(url)
        good = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise Invalid("This is no address.", "url") from error
    if not good or parts.username is not None or "\\" in url or " " in url:
        raise Invalid("This is an address that begins with https://.", "url")
    return url


def _video(mime: str) -> str:
    said = mime.strip().lower()
    if not _VIDEO.fullmatch(said):
        raise Invalid("This is the type of a video, such as video/mp4.", "mime")
    return said


def _positive(value: int | None, field: str) -> int | None:
    if value is not None and not 0 < value <= LARGEST_NUMBER:
        raise Invalid("This is above 0.", field)
    return value


async def _in_thread(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_threads, work)
