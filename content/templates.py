"""Owns the JSON of a content as the database writes it: of what it is put together, in SQL.

What SQL cannot write (ids, instants, cursors, whether a body may be read) stands in the text
between two marks, to be finished by whoever asked for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from content import reading
from content.gate import Reader
from content.models import Dimension
from core import database

LEFT = "\x1f"  # the mark: one of the characters that no JSON text holds

# What may be shown of a content, and where it is: in the page, which holds all of a `Piece`, or in
# what is joined to it.
COLUMNS: Mapping[str, str] = {
    **{name: f"page.{name}" for name in reading.NAMES},
    "author_name": "author.display_name",
    "author_avatar": "author.avatar_url",
    "tier_code": "tier.code",
    "tier_name": "tier.name",
    "tier_rank": "tier.rank",
    **{f"tag_{name}": f"tag.{name}" for name in ("id", "slug", "dimension", "name")},
}
_JOINS = {
    "author.": "LEFT JOIN member AS author ON author.id = page.author_id",
    "tier.": "LEFT JOIN tier ON tier.id = page.min_tier_id",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """One of `COLUMNS`."""

    name: str


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Some of `COLUMNS`, or of the values by which the page is ordered (`PLACE`), to be finished by
    the function of this letter: one as it is, more as a list."""

    by: str
    names: Sequence[str]


PLACE = ("place",)


@dataclass(frozen=True, slots=True)
class Maybe:
    """What is shown unless the column is null: null then."""

    name: str
    parts: "Parts"


@dataclass(frozen=True, slots=True)
class Tags:
    """Every tag of the content, by slug, or those of one dimension; commas between them."""

    parts: "Parts"
    dimension: Dimension | None


# Texts stand for themselves; they are made of names, digits and what JSON puts around them.
Parts = Sequence["str | Shown | Unfinished | Maybe | Tags"]


@dataclass(slots=True)
class Writer:
    """Writes parts as SQL for one text, and knows afterwards what to join to the page for it."""

    reader: Reader
    places: Sequence[str]  # columns of the page
    _gathered: list[str]
    _text: str = ""

    @classmethod
    def of(cls, reader: Reader, places: Sequence[str]) -> "Writer":
        return cls(reader, places, [])

    def text(self, parts: Parts) -> str:
        """SQL for the text that the parts make together."""
        text = " || ".join(self._part(part) for part in parts)
        self._text += text
        return text

    def joins(self) -> str:
        """What has to be joined to the page for all that was written."""
        plain = [f" {join}" for table, join in _JOINS.items() if table in self._text]
        return "".join([*plain, *self._gathered])

    def _part(self, part: "str | Shown | Unfinished | Maybe | Tags") -> str:
        if isinstance(part, str):
            return f"'{part}'"
        if isinstance(part, Shown):
            return self._json(part.name)
        if isinstance(part, Unfinished):
            return f"'{LEFT}{part.by}' || {self._values(part.names)} || '{LEFT}'"
        if isinstance(part, Maybe):
            missing = f"{COLUMNS[part.name]} IS NULL"
            return f"CASE WHEN {missing} THEN 'null' ELSE {self.text(part.parts)} END"
        return self._tags(part)

    def _values(self, names: Sequence[str]) -> str:
        if names == PLACE:
            return database.json_list(self.places)
        if len(names) == 1:
            return self._json(names[0])
        return database.json_list([COLUMNS[name] for name in names])

    def _json(self, name: str) -> str:
        hidden = name in reading.OF_EDITORS and not self.reader.editor
        return "'null'" if hidden else database.json_text(COLUMNS[name])

    def _tags(self, tags: Tags) -> str:
        only = f" AND tag.dimension = '{tags.dimension}'" if tags.dimension else ""
        text, join = database.gathered(
            f"gathered_{len(self._gathered)}",
            self.text(tags.parts),
            f"version_tag vt JOIN tag ON tag.id = vt.tag_id{only}",
            "vt.version_id",
            ("page", "version_id"),
            "tag.slug",
        )
        self._gathered.append(join)
        return text
