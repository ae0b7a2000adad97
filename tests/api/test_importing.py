"""Contents from files and from editors: what is read, what is refused, what comes out again."""

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import typer.testing

from api import files
from api.__main__ import cli
from api.files import Mapped
from content import articles, rows
from content.models import Content, Tag
from content.rows import Row
from core import database
from core.errors import Mistake
from members.models import Role
from tests import factories
from tests.api.test_cli import assert_told, wellspring
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
    assert one.given == {
        "title": "2024",
        "summary": "",
        "body": "# No\n\nText\n",
        "cover_url": None,
    }
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
        if job["status"] == "DONE":
            return job
        await asyncio.sleep(0.05)
    raise AssertionError(f"{id} is not done after 20 s")


async def test_an_editor_imports_drafts_and_a_reviewer_anything(live: Api) -> None:
    editor = (await factories.person("xia", Role.EDITOR)).token
    reviewer = (await factories.person("rui", Role.REVIEWER)).token
    tag = {"dimension": "USER", "slug": "wishes", "name": "Wishes"}
    items = [{"slug": "a", "title": "A", "tags": [tag]}, {"slug": "b", "title": ""}]
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
