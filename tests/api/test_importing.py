"""Contents from files and from editors: what is read, what is refused, what comes out again."""

import asyncio
import gzip
import json
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer.testing
from hypothesis import example, given, settings
from hypothesis import strategies as st

from api import files, importing
from api.__main__ import cli
from api.files import Mapped
from content import articles, library, rows
from content import importing as taking
from content.drafts import prose
from content.exporting import Give
from content.importing import Outcome
from content.models import (
    Audience,
    Content,
    ContentKind,
    ContentStatus,
    ContentVersion,
    Dimension,
    Tag,
)
from content.rows import Row, TagRow
from core import database, outbox
from core.errors import Invalid, Mistake
from members.models import Role
from tests import factories
from tests.api.test_cli import assert_told, wellspring
from tests.api.test_demo import empty_library
from tests.client import Api

DATA = Path(__file__).parents[3] / "shared" / "data"
SETS = [DATA / "articles_zh", DATA / "articles_en"]
IMPORT = """mutation ($items: [ContentImportInput!]!, $dryRun: Boolean! = false) {
  contentsImport(items: $items, dryRun: $dryRun) {
    job { id kind status done total problems } errors { code field } } }"""
JOB = "query ($id: ID!) { node(id: $id) { ... on Job { status done total problems } } }"

PAGE = """---
title: 2024
tags:
  - {dimension: USER, slug: wishes, name: Wishes}
status: PUBLISHED
publishedAt: 2024-05-06
---
# No

Text
"""


def read(path: Path) -> list[files.Found]:
    return [*files.read(files.named([path]), Mapped.ROWS)]


def refusals(path: Path) -> list[tuple[int, str]]:
    return [(each.line, each.row.message) for each in read(path) if isinstance(each.row, Mistake)]


# ---- files


def test_markdown_says_its_fields_above_and_its_body_below(tmp_path: Path) -> None:
    (tmp_path / "Spring Tea").mkdir()
    (tmp_path / "Spring Tea" / "index.md").write_text(PAGE)
    (tmp_path / "summer.md").write_text(PAGE.replace("title", "slug: 夏天\ntitle"))
    one, two = (each.row for each in read(tmp_path))
    assert isinstance(one, Row)
    assert isinstance(two, Row)
    assert (one.slug, two.slug) == ("spring-tea", "夏天")
    assert one.given == {"title": "2024", "body": "# No\n\nText\n"}
    assert [tag.slug for tag in one.tags] == ["wishes"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("no front matter", 1),
        ("---\ntitle: x\n", 1),
        ("---\ntitle: x\nslug: [\n---\n", 3),
        ("---\n- x\n---\n", 2),
        ("---\nsummary: x\n---\n", 1),
    ],
)
def test_markdown_that_says_no_row_is_refused(text: str, line: int, tmp_path: Path) -> None:
    (tmp_path / "x.md").write_text(text)
    [found] = read(tmp_path)
    if isinstance(found.row, Row):
        assert found.row.given.get("title") == ""  # what the library refuses
    else:
        assert found.line == line


def test_lines_that_are_no_rows_are_refused_by_number(tmp_path: Path) -> None:
    good = json.dumps({"slug": "x", "title": "x"}).encode()
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"\n".join([good, b"", b"{", b"\xff", b"[]", b"[" * 100_000, good]))
    assert [line for line, _ in refusals(path)] == [3, 4, 5, 6]
    assert files.count([path]) == 6
    with gzip.open(tmp_path / "y.jsonl.gz", "wb") as file:
        file.write(path.read_bytes())
    assert len(refusals(tmp_path)) == 8


@pytest.mark.parametrize(
    "text",
    [
        "---\ntitle: x\n---",
        "---\ntitle: x\n---  \n",
        "---\ntitle: x\n---\t",
        "\ufeff---\r\ntitle: x\r\n---\r\n",
    ],
)
def test_blanks_and_line_ends_around_front_matter_do_not_count(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.md").write_bytes(text.encode())
    [found] = read(tmp_path)
    assert isinstance(found.row, Row)
    assert found.row.given == {"title": "x", "body": ""}


def test_files_are_known_by_their_suffix_in_any_case(tmp_path: Path) -> None:
    (tmp_path / "A.MD").write_text(PAGE)
    (tmp_path / "B.JSONL").write_text(json.dumps({"slug": "b", "title": "B"}))
    with gzip.open(tmp_path / "C.JSONL.GZ", "wt") as file:
        file.write(json.dumps({"slug": "c", "title": "C"}))
    (tmp_path / "D.txt").write_text(PAGE)
    slugs = [each.row.slug for each in read(tmp_path) if isinstance(each.row, Row)]
    assert slugs == ["a", "b", "c"]


def test_an_index_is_named_after_its_folder_from_within_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "spring"
    folder.mkdir()
    (folder / "index.md").write_text(PAGE)
    monkeypatch.chdir(folder)
    [found] = read(Path("index.md"))
    assert isinstance(found.row, Row)
    assert found.row.slug == "spring"


def test_what_cannot_be_read_is_named_and_its_neighbours_are_read(tmp_path: Path) -> None:
    line = json.dumps({"slug": "x", "title": "x"}).encode() + b"\n"
    (tmp_path / "a.md").symlink_to(tmp_path / "nowhere.md")
    (tmp_path / "b.jsonl").symlink_to(tmp_path / "nowhere.jsonl")
    (tmp_path / "c.jsonl.gz").write_bytes(b"no archive")
    noise = random.Random(1).randbytes(30_000).hex().encode()
    (tmp_path / "d.jsonl.gz").write_bytes(gzip.compress(line * 3 + noise)[:-100])
    (tmp_path / "e.jsonl.gz").write_bytes(gzip.compress(line)[:-8] + b"\0" * 8)
    (tmp_path / "f.jsonl").write_bytes(line)
    paths = files.named([tmp_path])
    assert files.count(paths) == 10
    found = [*files.read(paths, Mapped.ROWS)]
    assert [(each.path.name, each.line) for each in found if not isinstance(each.row, Row)] == [
        ("a.md", 1),
        ("b.jsonl", 1),
        ("c.jsonl.gz", 1),
        ("d.jsonl.gz", 4),
        ("e.jsonl.gz", 2),
    ]
    assert "No such file" in refusals(tmp_path)[0][1]


def test_a_line_that_is_too_long_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LARGEST_LINE_BYTES", 100)
    start = b'{"slug": "x", "title": "'
    path = tmp_path / "x.jsonl"
    lines = [start + b"x" * (size - len(start) - 3) + b'"}' for size in (99, 100, 350)]
    path.write_bytes(b"\n".join([*lines, b"{", lines[0]]))
    assert [line for line, _ in refusals(path)] == [2, 3, 4]
    assert files.count([path]) == 5


def test_one_slug_said_twice_is_refused_unless_it_says_the_same_or_what_is_newer(
    tmp_path: Path,
) -> None:
    def line(slug: str, title: str, status: str = "PUBLISHED") -> str:
        return json.dumps({"slug": slug, "title": title, "status": status})

    path = tmp_path / "x.jsonl"
    path.write_text(
        "\n".join(
            [
                *(line("a", "A"), line(" A ", "A"), line("a", "Other"), line("a", "New", "DRAFT")),
                *(line("a", "Newer", "DRAFT"), line("a", "New", "DRAFT")),
                *(line("b", "B", "DRAFT"), line("b", "B", "PUBLISHED"), line("c", "C")),
            ]
        )
    )
    (tmp_path / "y.md").write_text(PAGE.replace("title", "slug: c\ntitle"))
    told = f"{path}:%d says something else of this slug."
    assert refusals(tmp_path) == [
        (3, told % 2),
        (5, told % 4),
        (1, told % 9),
    ]


# ---- the mapping of articles


def test_words_that_differ_by_case_and_blanks_are_one_tag() -> None:
    said = articles.row(
        {
            "path": "content/zh/blog/a/index.md",
            "body_markdown": "",
            "categories": ["Service Mesh", "Kata\xa0Containers"],
            "tags": ["Service mesh ", "Kata Containers", "HTTP/3"],
            "cover": "[a](https://x.example/a.png)",
        }
    )
    assert [(tag["dimension"], tag["slug"]) for tag in said["tags"]] == [
        ("INDUSTRY", "service-mesh"),
        ("PRODUCT", "kata-containers"),
        ("INDUSTRY", "http-3"),
    ]
    assert said["coverUrl"] == "https://x.example/a.png"
    assert len(rows.read(said | {"title": "x"}).slug) == 1
    assert "coverUrl" not in articles.row({"path": "content/zh/blog/a/index.md"})


def test_both_real_sets_come_in_whole_with_slugs_of_their_own() -> None:
    for folder in SETS:
        if not folder.exists():
            pytest.skip(f"the articles are not at {folder}")
    found = [each.row for each in files.read(files.named(SETS), Mapped.ARTICLES)]
    assert not [each for each in found if isinstance(each, Mistake)]
    slugs = {each.slug for each in found if isinstance(each, Row)}
    assert len(slugs) == len(found) == 758


# ---- the command


async def _counts(url: str) -> tuple[int, int]:
    async with database.opened(url):
        return await Content.all().count(), await Tag.all().count()


def test_files_come_in_once_and_what_is_refused_is_named(url: str, tmp_path: Path) -> None:
    tag = {"dimension": "USER", "slug": "wishes", "name": "Wishes"}
    items = [{"slug": "a", "title": "A", "tags": [tag]}, {"slug": "b"}, {"slug": "c", "title": "C"}]
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join(map(json.dumps, items)))
    dry = wellspring(url, "import", "--dry-run", str(path))
    assert_told(dry, 1)
    assert asyncio.run(_counts(url)) == (0, 0)
    first, second = wellspring(url, "import", str(path)), wellspring(url, "import", str(path))
    assert_told(first, 1)
    problem, verdict = first.stdout.splitlines()
    assert problem == f"{path}:2 (b): title: This must not be empty."
    assert verdict.startswith("2 new, 0 changed, 0 unchanged, 1 refused")
    assert second.stdout.splitlines()[1].startswith("0 new, 0 changed, 2 unchanged, 1 refused")
    assert asyncio.run(_counts(url)) == (2, 1)

    out = tmp_path / "out.jsonl"
    assert_told(wellspring(url, "export", str(out)), 0)
    assert out.stat().st_mode & 0o077 == 0
    again = wellspring(url, "import", str(out))
    assert_told(again, 0)
    assert again.stdout.startswith("0 new, 0 changed, 2 unchanged, 0 refused")
    before = out.read_bytes()
    assert_told(wellspring(url, "export", str(out)), 0)
    assert out.read_bytes() == before


# ---- a folder of Markdown

TAG = TagRow("tea", Dimension.PRODUCT, "Tea: ---")
ROW = Row(
    slug="spring",
    kind=ContentKind.CASE,
    locale="en",
    given={
        "title": "2024",
        "summary": "",
        "body": "",
        "cover_url": None,
        "share_text": None,
        "audience": Audience.EVERYONE,
        "min_tier": None,
    },
    tags=[TagRow("green", Dimension.PRODUCT, "null", TAG), TAG],
    author=None,
    published_at=datetime(2026, 4, 2, 0, 0, 0, 1, UTC),
    status=ContentStatus.PUBLISHED,
)
Writing = Callable[[Path], AbstractContextManager[Give]]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def written(rows: Iterable[Row], path: Path) -> list[str]:
    """The names of the files that the rows make."""
    with files.written_folder(path) as give:
        for row in rows:
            give(row)
    return sorted(each.name for each in path.iterdir())


@settings(deadline=None, max_examples=200)
@given(title=TEXTS, summary=TEXTS, body=TEXTS)
@example(title="---", summary="a\n---\nb", body="---\n\n---\nx")
@example(title="x", summary="a\x85b\u2028c\u2029d\n\x85e", body="")
@example(title="~", summary="'\"#: {}[]\\,&*", body="a \t\n  b\x85c\u2028d\ufeff")
@example(title="yes", summary=" ", body="")
@example(title="a\x85b", summary="0\x850", body="")
def test_whatever_a_content_says_comes_back_from_markdown(
    title: str, summary: str, body: str
) -> None:
    try:
        said = [prose(each, "x", most=99) for each in (title, summary, body)]
    except Mistake:
        return
    given = {**ROW.given, "title": said[0], "summary": said[1], "share_text": said[1] or None}
    row = replace(ROW, given={**given, "body": said[2]})
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "x.md"
        path.write_text(files.markdown(row), encoding="utf-8", newline="\n")
        [found] = read(path)
    assert isinstance(found.row, Row)
    assert found.row == replace(row, given={**row.given, "body": found.row.given.get("body", "")})
    assert prose(found.row.given.get("body", ""), "body", most=99) == said[2]


def test_files_have_safe_names_of_their_own_in_the_order_of_the_rows(tmp_path: Path) -> None:
    slugs = ["con", "a\\b:c*?", "a\\b:c*|", "春茶", "茶" * 100, "index", ".x", "ı", "i"]
    rows = [replace(ROW, slug=slug) for slug in slugs]
    newer = replace(ROW, slug=".x", status=ContentStatus.DRAFT)
    names = written([*rows[:7], newer, *rows[7:]], tmp_path / "out")
    assert names == [
        "000001-con.md",
        "000002-a-b-c-.md",
        "000003-a-b-c-.md",
        "000004-春茶.md",
        f"000005-{'茶' * 40}.md",
        "000006-index.md",
        "000007--x.md",
        "000007--x.newer.md",
        "000008-ı.md",
        "000009-i.md",
    ]
    found = [each.row for each in read(tmp_path / "out") if isinstance(each.row, Row)]
    assert [(row.slug, row.status) for row in found] == [
        (row.slug, row.status) for row in [*rows[:7], newer, *rows[7:]]
    ]


def test_a_folder_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError),
        files.written_folder(tmp_path / "out") as give,
    ):
        give(ROW)
        raise RuntimeError
    assert [*tmp_path.iterdir()] == []
    (tmp_path / "out").mkdir()
    assert written([ROW], tmp_path / "out") == ["000001-spring.md"]
    assert (tmp_path / "out").stat().st_mode & 0o077 == 0
    for there in (tmp_path / "out", tmp_path / "out" / "000001-spring.md"):
        with pytest.raises(Invalid, match="is there already"):
            written([], there)
    assert len([*tmp_path.rglob("*")]) == 2


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("mine")
    with pytest.raises(RuntimeError), files.written(path) as give:
        give(ROW)
        raise RuntimeError
    assert [each.read_text() for each in tmp_path.iterdir()] == ["mine"]
    with files.written(path) as give:
        give(ROW)
    assert [each.name for each in tmp_path.iterdir()] == ["out.jsonl"]
    assert path.stat().st_mode & 0o077 == 0
    assert len(path.read_text().splitlines()) == 1


@pytest.mark.parametrize("write", [files.written, files.written_folder])
def test_where_nothing_can_be_written_is_named(write: Writing, tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "out"
    with pytest.raises(Invalid) as raised, write(path):
        pass
    assert raised.value.message == f"{path} cannot be written: No such file or directory."


async def _differences() -> None:
    """A library with everything that an export tells apart, of seven contents and eight rows."""
    await factories.ladder()
    ed = (await factories.person("ed", Role.REVIEWER)).member.id
    await factories.tag("tea")
    await factories.tag("绿茶", parent="tea")
    await factories.tag("wishes", dimension=Dimension.USER)
    body = "# A\r\n\n---\n\rB"
    await factories.piece("spring", tags=["绿茶", "wishes"], min_tier="gold", body=body)
    tea = await factories.piece("春茶", tags=["绿茶"], share_text="a\nb", cover_url="/assets/x")
    await library.update(tea, 1, {"title": "Newer", "body": "2"}, ed, factories.NOW)
    for status in ContentStatus:
        audience = Audience.STAFF if status is ContentStatus.DRAFT else Audience.EVERYONE
        at = datetime.now(UTC)
        await factories.piece(status.lower(), status=status, at=at, audience=audience)


@pytest.mark.parametrize("markdown", [True, False], ids=["markdown", "jsonl"])
async def test_an_export_changes_nothing_and_makes_the_same_library_again(
    opened: str, markdown: bool, tmp_path: Path
) -> None:
    await _differences()

    async def export(name: str) -> Path:
        path = tmp_path / (name if markdown else f"{name}.jsonl")
        assert await importing.export(path, markdown=markdown) == 7
        return path

    async def told(path: Path) -> importing.Report:
        paths = files.named([path])
        return await importing.bring(paths, Mapped.ROWS, lambda _: None, lambda _: None)

    one = await export("one")
    assert await told(one) == importing.Report(Counter({Outcome.UNCHANGED: 8}))
    assert _bytes(await export("two")) == _bytes(one)

    await empty_library()
    counts = Counter({Outcome.NEW: 7, Outcome.CHANGED: 1})  # the newer version of one
    assert await told(one) == importing.Report(counts)
    assert _bytes(await export("three")) == _bytes(one)


def _bytes(path: Path) -> dict[str, bytes]:
    found = path.iterdir() if path.is_dir() else [path]
    return {each.name if path.is_dir() else "": each.read_bytes() for each in found}


def test_an_export_takes_the_place_of_no_folder_with_anything_in_it(
    sqlite_url: str, tmp_path: Path
) -> None:
    done = wellspring(sqlite_url, "export", "--markdown", str(tmp_path / "new"))
    assert_told(done, 0)
    assert done.stdout == "0 contents written\n"
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "mine").touch()
    assert_told(wellspring(sqlite_url, "export", "--markdown", str(folder)), 2, "is there already")
    # Without the option a folder is bad usage.
    assert typer.testing.CliRunner().invoke(cli, ["export", str(folder)]).exit_code == 2
    assert {each.name for each in tmp_path.iterdir()} >= {"new", "out"}
    assert [each.name for each in folder.iterdir()] == ["mine"]


def test_a_file_of_another_kind_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    path = tmp_path / "x.docx"
    path.touch()
    assert_told(wellspring(sqlite_url, "import", str(path)), 2, "neither .md nor .jsonl")


def test_a_file_that_is_missing_is_bad_usage() -> None:
    assert typer.testing.CliRunner().invoke(cli, ["import", "/none.jsonl"]).exit_code == 2


# ---- editors


async def _ended(live: Api, token: str, id: str) -> Any:
    for _ in range(400):
        job = await live.ask(JOB, token, id=id)
        if job["status"] in {"DONE", "FAILED"}:
            return job
        await asyncio.sleep(0.05)
    raise AssertionError(f"{id} has not ended after 20 s")


async def test_an_editor_imports_drafts_and_a_reviewer_anything(live: Api) -> None:
    editor = (await factories.person("xia", Role.EDITOR)).token
    reviewer = (await factories.person("rui", Role.REVIEWER)).token
    tag = {"dimension": "USER", "slug": "wishes", "name": "Wishes"}
    first = {"slug": "a", "title": "A", "tags": [tag], "coverUrl": "/a.png"}
    items = [first, {"slug": "b", "title": ""}]
    dry = await live.ask(IMPORT, editor, items=items, dryRun=True)
    problem = "items[1] (b): title: This must not be empty."
    ended = {"status": "DONE", "done": 2, "total": 2, "problems": [problem]}
    assert await _ended(live, editor, dry["job"]["id"]) == ended
    assert await Content.all().count() == 0
    begun = await live.ask(IMPORT, editor, items=items)
    assert begun["job"]["kind"] == "contents_import"
    assert await _ended(live, editor, begun["job"]["id"]) == ended
    assert await Content.all().count() == 1

    live_item = [{"slug": "a", "title": "A", "status": "PUBLISHED"}]
    assert await live.refused(IMPORT, editor, items=live_item) == "FORBIDDEN"
    begun = await live.ask(IMPORT, reviewer, items=live_item)
    await _ended(live, reviewer, begun["job"]["id"])
    assert await Content.filter(status="PUBLISHED").count() == 1
    assert (await ContentVersion.get(version=2)).cover_url == "/a.png"  # it was not spoken of
    begun = await live.ask(IMPORT, reviewer, items=[{**live_item[0], "coverUrl": None}])
    await _ended(live, reviewer, begun["job"]["id"])
    assert (await ContentVersion.get(version=3)).cover_url is None


async def test_whoever_waits_for_an_import_that_never_gets_on_is_told_so(
    live: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise RuntimeError("what only the log may know")

    monkeypatch.setattr(taking, "take", fail)
    monkeypatch.setattr(outbox, "MAX_ATTEMPTS", 1)
    editor = (await factories.person("xia", Role.EDITOR)).token
    begun = await live.ask(IMPORT, editor, items=[{"slug": "a", "title": "A"}])
    job = await _ended(live, editor, begun["job"]["id"])
    assert (job["status"], job["done"], job["total"]) == ("FAILED", 0, 1)
    [problem] = job["problems"]
    assert problem.endswith("given up, since 1 attempts got it no further")


async def test_too_many_items_and_strangers_are_refused(live: Api) -> None:
    editor = (await factories.person("xia", Role.EDITOR)).token
    mei = (await factories.person("mei")).token
    items = [{"slug": "a", "title": "A"}] * 1_001
    answer = await live.ask(IMPORT, editor, items=items)
    assert answer["errors"] == [{"code": "LIMIT_EXCEEDED", "field": ["items"]}]
    assert (await live.ask(IMPORT, editor, items=[]))["job"]["status"] == "DONE"
    assert await live.refused(IMPORT, mei, items=[]) == "FORBIDDEN"
    begun = await live.ask(IMPORT, editor, items=items[:1])
    assert await live.refused(JOB, mei, id=begun["job"]["id"]) == "FORBIDDEN"
