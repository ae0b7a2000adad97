"""Owns the files that contents come from and go to: JSONL, and folders of Markdown."""

import gzip
import json
import os
import re
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import yaml

from content import articles, rows
from content.exporting import Give
from content.models import ContentStatus
from content.rows import Row
from core.errors import Invalid, Mistake

FENCE = "---"
SUFFIXES = (".md", ".jsonl", ".jsonl.gz")
LARGEST_LINE_BYTES = 16 * 1024 * 1024
NAME_CHARACTERS = 40


class Mapped(StrEnum):
    """What the rows of a file are."""

    ROWS = "rows"  # such as `wellspring export` writes
    ARTICLES = "articles"  # of the two blogs of docs/content.md


_CLOSING = re.compile(rf"^{FENCE}[ \t]*(?:\n|\Z)", re.MULTILINE)
_RARE_LINE_END = re.compile("[\x85\u2028\u2029]")
# What a file system or a broken archive answers with.
_UNREADABLE = (OSError, EOFError, zlib.error)

_MAPPINGS: Mapping[Mapped, Callable[[object], object]] = {
    Mapped.ROWS: lambda said: said,
    Mapped.ARTICLES: articles.row,
}


@dataclass(frozen=True, slots=True)
class Found:
    """One row, and where it stands; a mistake in place of what cannot be read."""

    path: Path
    line: int
    row: Row | Mistake


def named(paths: Iterable[Path]) -> Sequence[Path]:
    """The files behind the paths, those of a folder by name: `.md`, `.jsonl` and `.jsonl.gz`, in
    capitals too.

    Raises `Invalid` for a file of another kind, and for a folder that holds none.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(filter(_inside, path.rglob("*"))) if path.is_dir() else [path]
        if not inside:
            raise Invalid(f"{path} holds neither .md nor .jsonl nor .jsonl.gz.")
        found += inside
    for path in found:
        if not _known(path):
            raise Invalid(f"{path} is neither .md nor .jsonl nor .jsonl.gz.")
    return found


def _inside(path: Path) -> bool:
    """Whether that is a file of ours; a link that leads nowhere is one to be told of."""
    return _known(path) and (path.is_file() or (path.is_symlink() and not path.exists()))


def _known(path: Path) -> bool:
    return path.name.lower().endswith(SUFFIXES)


def _is_markdown(path: Path) -> bool:
    return path.suffix.lower() == ".md"


def count(paths: Iterable[Path]) -> int:
    """How many rows there are at most, for a progress bar."""
    return sum(1 if _is_markdown(path) else sum(1 for _ in _lines(path)) for path in paths)


def read(paths: Iterable[Path], mapped: Mapped) -> Iterator[Found]:
    """Every row of the files, one file after the other. What cannot be read is a mistake in the
    place of a row, and so is another row of a slug that came before."""
    earlier: dict[str, _Earlier] = {}
    for path in paths:
        for found in _markdown(path) if _is_markdown(path) else _jsonl(path, mapped):
            again = isinstance(found.row, Row) and _again(found, found.row, earlier)
            yield replace(found, row=again) if again else found


class _Earlier(NamedTuple):
    """Where a slug came last, and what was said there."""

    path: Path
    line: int
    status: ContentStatus
    said: int


def _again(found: Found, row: Row, earlier: dict[str, _Earlier]) -> Mistake | None:
    """Why this row cannot follow the one of its slug that came before: one would overwrite the
    other at every run. The same again may, and a newer version behind what is published."""
    before = earlier.get(row.slug)
    said = hash((*row.given.items(), *row.tags, row.kind, row.locale, row.published_at))
    now = _Earlier(found.path, found.line, row.status, said)
    if before and before.said != said and not _newer(now, before):
        return Invalid(f"{before.path}:{before.line} says something else of this slug.", "slug")
    earlier[row.slug] = now
    return None


def _newer(now: _Earlier, before: _Earlier) -> bool:
    return before.status is ContentStatus.PUBLISHED and now.status is not ContentStatus.PUBLISHED


def _jsonl(path: Path, mapped: Mapped) -> Iterator[Found]:
    for number, line in _lines(path):
        try:
            row = rows.read(_MAPPINGS[mapped](_json(line)))
        except Mistake as mistake:
            yield Found(path, number, mistake)
        else:
            yield Found(path, number, row)


def _lines(path: Path) -> Iterator[tuple[int, bytes | Mistake]]:
    """The lines that are not blank, with their numbers; a mistake for what is behind them where
    the file can be read no further."""
    number = 0
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            while line := file.readline(LARGEST_LINE_BYTES):
                number += 1
                if line.strip():
                    yield number, line
                while _cut_off(line):
                    line = file.readline(LARGEST_LINE_BYTES)  # the rest of it
    except _UNREADABLE as error:
        yield number + 1, _unreadable(error)


def _cut_off(line: bytes) -> bool:
    return len(line) == LARGEST_LINE_BYTES and not line.endswith(b"\n")


def _unreadable(error: Exception) -> Mistake:
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return Invalid(f"This cannot be read: {why}.")


def _json(line: bytes | Mistake) -> object:
    if isinstance(line, Mistake):
        raise line
    if _cut_off(line):
        raise Invalid(f"A line has less than {LARGEST_LINE_BYTES // 1024**2} MiB.")
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"This line is no JSON: {error}.") from error


def _markdown(path: Path) -> Iterator[Found]:
    try:
        said, body = _parts(path)
        row = rows.read({"slug": _stem(path), **said, "body": body})
    except Mistake as mistake:
        yield Found(path, _line(mistake), mistake)
    else:
        yield Found(path, 1, row)


class _FrontMatter(Invalid):
    """Front matter that cannot be read, and the line where."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def _line(mistake: Mistake) -> int:
    return mistake.line if isinstance(mistake, _FrontMatter) else 1


def _parts(path: Path) -> tuple[Mapping[str, Any], str]:
    """What the front matter says, every value as it is written, and the text below it."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise _FrontMatter("This is not UTF-8.", 1) from error
    except OSError as error:
        raise _unreadable(error) from error
    first, _, rest = text.partition("\n")
    closing = _CLOSING.search(rest)
    if first.rstrip() != FENCE or not closing:
        raise _FrontMatter("The file begins with front matter between two lines of ---.", 1)
    front = "\n" + rest[: closing.start()].removesuffix("\n")
    try:
        # Makes nothing but texts, lists and mappings: `title: 2024` and `title: No` stay texts.
        said = yaml.load(front, Loader=yaml.BaseLoader)  # noqa: S506
    except (yaml.YAMLError, RecursionError) as error:
        raise _FrontMatter("The front matter is no YAML.", _where(error)) from error
    if not isinstance(said or {}, dict):
        raise _FrontMatter("Front matter is a list of `field: value`.", 2)
    return said or {}, rest[closing.end() :]


def _where(error: Exception) -> int:
    mark = getattr(error, "problem_mark", None)
    return mark.line + 1 if mark else 1  # the first line, counted from 0, stands for the fence


def _stem(path: Path) -> str:
    return path.absolute().parent.name if path.stem in {"index", "_index"} else path.stem


@contextmanager
def written(path: Path) -> Iterator[Give]:
    """Takes rows into a file of JSONL, which takes the place of `path` once it is whole; only its
    owner may read it. Raises `Invalid` where it cannot be written, and where there is anything at
    `path` but a file."""
    with _writing(path):
        if path.exists() and not path.is_file():
            raise Invalid(f"{path} is there already and is no file; choose another name.")
        descriptor, name = tempfile.mkstemp(".part", f"{path.name}.", path.parent)
        os.close(descriptor)
    part = Path(name)
    try:
        with part.open("w", encoding="utf-8", newline="\n") as file:
            yield lambda row: _write_line(row, file, path)
            with _writing(path):
                file.flush()
        with _writing(path):
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Raises `Invalid` for what the system refuses: a full disk, a folder of somebody else's."""
    try:
        yield
    except OSError as error:
        raise Invalid(f"{path} cannot be written: {error.strerror}.") from error


def _write_line(row: Row, file: TextIO, path: Path) -> None:
    with _writing(path):
        json.dump(rows.write(row), file, ensure_ascii=False, separators=(",", ":"))
        file.write("\n")


@contextmanager
def written_folder(path: Path) -> Iterator[Give]:
    """Takes rows into files of Markdown, in a folder that appears once it is whole; only its owner
    may look into it. Raises `Invalid` where it cannot be written, and where there is anything at
    `path` but an empty folder."""
    with _writing(path):
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            raise Invalid(f"{path} is there already; name a folder that is new or empty.")
        # Beside it, so that it can be moved to its place in one go.
        part = Path(tempfile.mkdtemp(prefix=f"{path.name}.", suffix=".part", dir=path.parent))
    try:
        yield _Folder(part, path).write
        with _writing(path):
            part.replace(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


class _Folder:
    """The files of one export, numbered by content in the order of the rows, so that they come in
    again in that order, and no two have one name on any file system."""

    def __init__(self, part: Path, path: Path) -> None:
        self._part = part
        self._path = path
        self._number = 0
        self._slug = ""

    def write(self, row: Row) -> None:
        """Adds a file; two rows of one slug follow each other: what is published, what is newer."""
        newer = row.slug == self._slug
        self._number += not newer
        self._slug = row.slug
        readable = re.sub(r"[^\w-]+", "-", row.slug)[:NAME_CHARACTERS]
        # By name `.md` comes before `.newer.md`.
        name = f"{self._number:06}-{readable}{'.newer' if newer else ''}.md"
        with _writing(self._path):
            (self._part / name).write_text(markdown(row), encoding="utf-8", newline="\n")


class _Dumper(yaml.SafeDumper):
    """Escapes the line ends of Unicode, which would be read as others than were written."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style='"' if _RARE_LINE_END.search(text) else None
    ),
)


def markdown(row: Row) -> str:
    """The row as front matter and body; `read` makes the same row of it. What the row says nothing
    of is said to be empty: left out, it would stay as it is in the library that takes the row."""
    # By way of JSON, which knows nothing but plain values.
    said = json.loads(json.dumps(rows.write(row)))
    body = said.pop("body")
    front = yaml.dump(
        {name: "" if value is None else value for name, value in said.items()},
        Dumper=_Dumper,
        allow_unicode=True,
        default_flow_style=None,
        sort_keys=False,
        width=sys.maxsize,
    )
    return f"{FENCE}\n{front}{FENCE}\n{body}\n"
