"""Keeping uploads on a real disk and in real databases, and naming videos elsewhere."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from content import assets, pictures
from content.assets import DirectoryStore
from content.errors import DeclaredOtherwise, TooManyPixels, UnknownFileType, Unreadable
from content.models import Media
from core import database
from core.audit import AuditEntry
from core.errors import Invalid, Mistake, Required, TooLong
from tests import factories
from tests.api.books import everything, nothing_written
from tests.content import images
from tests.factories import NOW

pytestmark = pytest.mark.usefixtures("opened")


class FullDisk(DirectoryStore):
    """A directory that takes a number of files and no more; it says what the table held then."""

    def __init__(self, path: Path, room: int) -> None:
        super().__init__(path)
        self._room = room
        self.rows: list[int] = []

    async def put(self, name: str, data: bytes) -> None:
        self.rows.append(await Media.all().count())
        if len(self.rows) > self._room:
            raise OSError("No space left on device")
        await super().put(name, data)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "assets"


def names(path: Path) -> list[str]:
    """Everything in the directory."""
    return sorted(each.name for each in path.iterdir()) if path.exists() else []


async def test_a_picture_is_kept_in_its_own_size_and_in_smaller_ones(path: Path) -> None:
    editor = await factories.person("editor")
    data = images.picture("JPEG", 1500, 300)
    row = await assets.keep(DirectoryStore(path), data, editor.member.id, NOW)
    key = hashlib.sha256(data).hexdigest()
    assert names(path) == sorted(
        [f"{key}.jpg", f"{key}-320.jpg", f"{key}-640.jpg", f"{key}-1280.jpg"]
    )
    kept = await Media.get()
    assert kept.id == row.id
    assert (kept.url, kept.mime, kept.key) == (f"/assets/{key}.jpg", "image/jpeg", key)
    assert (kept.width, kept.height, kept.duration_ms) == (1500, 300, None)
    assert kept.size_bytes == (path / f"{key}.jpg").stat().st_size
    assert assets.variants(kept) == {
        width: f"/assets/{key}-{width}.jpg" for width in (320, 640, 1280)
    }
    for width, url in assets.variants(kept).items():
        assert images.told((path / Path(url).name).read_bytes()).width == width


async def test_who_uploaded_what_is_in_the_audit_trail(path: Path) -> None:
    editor = await factories.person("editor")
    row = await assets.keep(DirectoryStore(path), images.PDF, editor.member.id, NOW)
    entry = await AuditEntry.get(action="assetUpload")
    assert (entry.actor_id, entry.subject_kind, entry.subject_id) == (
        editor.member.id,
        "Media",
        row.id,
    )
    assert (entry.at, entry.detail) == (NOW, {"url": row.url, "mime": "application/pdf"})


async def test_a_document_is_kept_as_it_came(path: Path) -> None:
    row = await assets.keep(DirectoryStore(path), images.PDF, None, NOW)
    [name] = names(path)
    assert row.url == f"/assets/{name}"
    assert (path / name).read_bytes() == images.PDF
    assert (row.mime, row.width, row.height, row.size_bytes) == (
        "application/pdf",
        None,
        None,
        len(images.PDF),
    )
    assert assets.variants(row) == {}


async def test_the_same_upload_again_is_the_same_medium(path: Path) -> None:
    first = await assets.keep(DirectoryStore(path), images.picture(), None, NOW)
    before = names(path)
    async with nothing_written():
        again = await assets.keep(DirectoryStore(path), images.picture(), None, NOW)
    assert (again.id, again.url, again.widths) == (first.id, first.url, first.widths)
    assert names(path) == before


async def test_the_same_upload_at_once_is_one_medium(path: Path) -> None:
    store = DirectoryStore(path)
    rows = await asyncio.gather(
        *(assets.keep(store, images.picture(), None, NOW) for _ in range(5))
    )
    assert len({row.id for row in rows}) == 1
    assert await Media.all().count() == 1
    assert await AuditEntry.filter(action="assetUpload").count() == 1


async def test_inside_a_unit_of_work_the_same_upload_again_spoils_nothing(path: Path) -> None:
    store = DirectoryStore(path)

    @database.unit_of_work
    async def twice() -> None:
        first = await assets.keep(store, images.PDF, None, NOW)
        again = await assets.keep(store, images.PDF, None, NOW)
        assert first.id == again.id

    await twice()
    assert await Media.all().count() == 1


async def test_a_lost_file_comes_back_with_its_upload(path: Path) -> None:
    row = await assets.keep(DirectoryStore(path), images.PDF, None, NOW)
    (path / Path(row.url).name).unlink()
    await assets.keep(DirectoryStore(path), images.PDF, None, NOW)
    assert (path / Path(row.url).name).read_bytes() == images.PDF


@pytest.mark.parametrize(
    ("data", "declared", "mistake"),
    [
        (images.SVG, None, UnknownFileType),
        (images.picture(), "image/png", DeclaredOtherwise),
        (images.picture()[:-30], None, Unreadable),
        (images.claiming(65_000, 65_000), None, TooManyPixels),
    ],
    ids=["unknown", "lying", "cut off", "bomb"],
)
async def test_what_is_refused_leaves_no_file_and_no_row(
    path: Path, data: bytes, declared: str | None, mistake: type[Mistake]
) -> None:
    async with nothing_written():
        with pytest.raises(mistake):
            await assets.keep(DirectoryStore(path), data, None, NOW, declared=declared)
    assert names(path) == []


async def test_without_all_its_files_there_is_no_row(path: Path) -> None:
    data = images.picture("JPEG", 1500, 300)
    store = FullDisk(path, room=3)
    async with nothing_written():
        with pytest.raises(OSError, match="No space"):
            await assets.keep(store, data, None, NOW)
    assert store.rows == [0, 0, 0, 0]
    await assets.keep(DirectoryStore(path), data, None, NOW)
    assert len(names(path)) == 4


async def test_a_file_that_could_not_be_written_leaves_nothing_behind(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await DirectoryStore(path).put("no/such/directory", b"x")
    assert names(path) == []


async def test_what_a_killed_process_left_is_never_handed_out(path: Path) -> None:
    store = DirectoryStore(path)
    row = await assets.keep(store, images.PDF, None, NOW)
    name = Path(row.url).name
    assert store.path(name) == path / name
    for foreign in ("", ".", "..", ".tmpabc", f"../{name}", f"{name}/", f"{name}\n", f"x{name}"):
        assert store.path(foreign) is None
    for foreign in (name.upper(), name.replace(".pdf", ".html"), name.replace(".pdf", "-x.pdf")):
        assert store.path(foreign) is None


async def test_a_client_that_hangs_up_leaves_all_or_nothing(path: Path) -> None:
    data = images.picture("JPEG", 1500, 300)
    for pause in (0, 0.001, 0.01, 0.03, 0.1):
        task = asyncio.create_task(assets.keep(DirectoryStore(path), data, None, NOW))
        await asyncio.sleep(pause)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await Media.all().count() in (0, 1)
    row = await assets.keep(DirectoryStore(path), data, None, NOW)
    stored = [name for name in names(path) if assets.NAME.fullmatch(name)]
    assert len(stored) == 4
    assert (await Media.get()).id == row.id


async def test_a_video_is_named_by_its_address() -> None:
    editor = await factories.person("editor")
    row = await assets.add(
        " https://video.example/tea.mp4?x=1 ",
        "Video/MP4",
        1920,
        1080,
        65_000,
        editor.member.id,
        NOW,
    )
    kept = await Media.get(id=row.id)
    assert (kept.url, kept.mime) == ("https://video.example/tea.mp4?x=1", "video/mp4")
    assert (kept.width, kept.height, kept.duration_ms) == (1920, 1080, 65_000)
    assert (kept.key, kept.size_bytes) == (None, None)
    assert assets.variants(kept) == {}
    assert (await AuditEntry.get(action="mediaAdd")).subject_id == row.id


@pytest.mark.parametrize(
    ("changes", "mistake", "field"),
    [
        ({"url": ""}, Required, "url"),
        ({"url": "http://video.example/tea.mp4"}, Invalid, "url"),
        ({"url": "/assets/tea.mp4"}, Invalid, "url"),
        ({"url": "//video.example/tea.mp4"}, Invalid, "url"),
        ({"url": "https:///tea.mp4"}, Invalid, "url"),
        ({"url": "https://[video/tea.mp4"}, Invalid, "url"),
        ({"url": "https://video.example:x/tea.mp4"}, Invalid, "url"),
        ({"url": "https://me:secret@video.example/tea.mp4"}, Invalid, "url"),
        ({"url": "https://video.example\\@evil.example/"}, Invalid, "url"),
        ({"url": "https://video.example/a b"}, Invalid, "url"),
        ({"url": "javascript:alert(1)//https://video.example"}, Invalid, "url"),
        ({"url": "https://video.example/" + "x" * 2000}, TooLong, "url"),
        ({"mime": "text/html"}, Invalid, "mime"),
        ({"mime": "video/"}, Invalid, "mime"),
        ({"mime": "video/mp4; x"}, Invalid, "mime"),
        ({"width": 0}, Invalid, "width"),
        ({"height": -1}, Invalid, "height"),
        ({"duration_ms": 2**31}, Invalid, "durationMs"),
    ],
)
async def test_a_video_that_is_none_is_refused(
    changes: dict[str, object], mistake: type[Mistake], field: str
) -> None:
    good = {"url": "https://video.example/tea.mp4", "mime": "video/mp4"}
    figures = {"width": None, "height": None, "duration_ms": None, "by": 1, "now": NOW}
    before = await everything()
    with pytest.raises(mistake) as raised:
        await assets.add(**{**good, **figures, **changes})  # type: ignore[arg-type]
    assert raised.value.field == (field,)
    assert await everything() == before


def test_every_format_has_a_name_that_is_handed_out() -> None:
    for kind, suffix in pictures.SUFFIXES.items():
        name = f"{'0' * 64}.{suffix}"
        assert assets.NAME.fullmatch(name)
        assert assets.kind_of(name) is kind
