"""Owns the index by text (`VersionText`): what the versions that are shown are found by.

What a version says never changes, so that its texts are folded once; its tags and their names may.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from content import folding
from content.models import TextField, VersionText
from content.preparing import Prepared
from core import bulk, database, pairs

BATCH_CONTENTS = 100  # a body may have half a million characters
BATCH_ROWS = 200
KEPT_NAMES = 2_000

_SHOWN = "v.version IN (c.version, c.published_version)"
_GONE = """
SELECT s.id, s.search FROM content c
JOIN content_version v ON v.content_id = c.id JOIN version_text s ON s.version_id = v.id
WHERE c.id IN ({ids}) AND ({shown}) IS NOT TRUE
"""
_NAMES = """
SELECT v.id, t.name FROM content c
JOIN content_version v ON v.content_id = c.id AND {shown}
LEFT JOIN version_tag vt ON vt.version_id = v.id LEFT JOIN tag t ON t.id = vt.tag_id
WHERE c.id IN ({ids}) ORDER BY v.id, t.slug
"""
_HELD_NAMES = """
SELECT s.version_id, s.id, s.search FROM content c
JOIN content_version v ON v.content_id = c.id JOIN version_text s ON s.version_id = v.id
WHERE c.id IN ({ids}) AND s.field = 'TAGS'
"""


class Row(NamedTuple):
    """A text of a version, folded; and its pairs, where they are known."""

    version_id: int
    field: TextField
    search: str
    pairs: str | None = None


async def add(versions: Mapping[int, Prepared]) -> None:
    """Has new versions, by their ids, found by what they say but for their tags; belongs into the
    unit of work that writes them."""
    await put([row for id, made in versions.items() for row in _rows(id, made.forms, made.pairs)])


async def refresh(which: str, *values: int) -> None:
    """Has the contents, whose ids the SQL gives, found by no version that is shown no more, and by
    the names of their tags as they are now; belongs into a unit of work. A second call writes
    nothing: what is shown no more never is again."""
    found = await database.rows(
        f"SELECT id FROM content WHERE id IN ({which}) ORDER BY id", *values
    )
    ids = [row["id"] for row in found]
    for start in range(0, len(ids), BATCH_CONTENTS):
        await _refresh(", ".join(map(str, ids[start : start + BATCH_CONTENTS])))


async def _refresh(ids: str) -> None:
    gone = await database.rows(_GONE.format(ids=ids, shown=_SHOWN))
    await _take_out([(row["id"], row["search"]) for row in gone])
    await _retag(ids)


def texts(id: int, title: str, summary: str, body: str) -> Iterable[Row]:
    """What a version is found by, but for its tags."""
    return _rows(id, [folding.form(text) for text in (title, summary, body)], [None] * 3)


def _rows(id: int, forms: Sequence[str], held: Sequence[str | None]) -> Iterable[Row]:
    fields = (TextField.TITLE, TextField.SUMMARY, TextField.BODY)
    for field, form, hold in zip(fields, forms, held, strict=True):
        if form or field is TextField.TITLE:
            yield Row(id, field, form, hold)


def names(version_id: int, tags: Iterable[str | None]) -> Row:
    """The same of the names of its tags."""
    form = "".join(_name(name) for name in tags if name is not None)
    return Row(version_id, TextField.TAGS, form)


# Few names stand on many contents.
_name = functools.lru_cache(maxsize=KEPT_NAMES)(folding.form)


async def _retag(ids: str) -> None:
    """Writes the names of tags where they are others than those held."""
    held = {
        row["version_id"]: (row["id"], row["search"])
        for row in await database.rows(_HELD_NAMES.format(ids=ids))
    }
    found = await database.rows(_NAMES.format(ids=ids, shown=_SHOWN))
    now = [
        names(version_id, (row["name"] for row in rows))
        for version_id, rows in groupby(found, key=lambda row: row["id"])
    ]
    changed = [row for row in now if row.search != held.get(row.version_id, (0, ""))[1]]
    await _take_out([held[row.version_id] for row in changed if row.version_id in held])
    await put([row for row in changed if row.search])


async def _take_out(rows: Sequence[tuple[int, str]]) -> None:
    """Deletes rows, given with what they hold."""
    if not rows:
        return
    if not database.is_postgres():
        await database.execute_many(
            "INSERT INTO version_text_bigrams (version_text_bigrams, rowid, grams) "
            "VALUES ('delete', $1, $2)",
            [(id, pairs.held(search)) for id, search in rows],
        )
    ids = ", ".join(str(id) for id, _ in rows)
    await database.execute(f"DELETE FROM version_text WHERE id IN ({ids})")


async def put(rows: Sequence[Row]) -> None:
    """Writes rows of versions that have none of these fields yet."""
    for start in range(0, len(rows), BATCH_ROWS):
        await _put_batch(rows[start : start + BATCH_ROWS])


async def _put_batch(rows: Sequence[Row]) -> None:
    columns = ("version_id", "field", "search")
    texts = [row[: len(columns)] for row in rows]
    made = await bulk.insert_returning(VersionText, columns, texts, "id, version_id, field")
    if not database.is_postgres():
        ids = {(row["version_id"], row["field"]): row["id"] for row in made}
        await database.execute_many(
            "INSERT INTO version_text_bigrams (rowid, grams) VALUES ($1, $2)",
            [(ids[row.version_id, row.field], row.pairs or pairs.held(row.search)) for row in rows],
        )
