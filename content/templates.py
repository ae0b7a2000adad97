"""Owns the JSON of a content as the database writes it: of what it is put together, in SQL.

What SQL cannot write (ids and cursors) stands in the text between two marks, to be finished by
whoever asked for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from content import gate, reading
from content.gate import Reader
from content.models import Dimension
from core import dialect

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
    """One of `COLUMNS`, as JSON."""

    name: str


@dataclass(frozen=True, slots=True)
class Plain:
    """One of them that is a number, as it is."""

    name: str


@dataclass(frozen=True, slots=True)
class Instant:
    """One of them that is an instant, as JSON in UTC."""

    name: str


@dataclass(frozen=True, slots=True)
class Address:
    """One of them that is an address; what begins with / is of this server."""

    name: str
    base_url: str


@dataclass(frozen=True, slots=True)
class Access:
    """Whether the reader may read the body."""


@dataclass(frozen=True, slots=True)
class Place:
    """The values by which the page is ordered, as a JSON list."""


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


# Texts stand for themselves; they are made of names, digits, marks and what JSON puts around them.
Part = str | Shown | Plain | Instant | Address | Access | Place | Maybe | Tags
Parts = Sequence[Part]


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

    def _part(self, part: Part) -> str:
        match part:
            case str():
                return f"'{part}'"
            case Access():
                return f"'\"' || {gate.reason(self.reader, 'page')} || '\"'"
            case Place():
                return dialect.json_list(self.places)
            case Plain(name):
                return COLUMNS[name]
            case Maybe(name, parts):
                shown = self.text(parts)
                return f"CASE WHEN {COLUMNS[name]} IS NULL THEN 'null' ELSE {shown} END"
            case Tags():
                return self._tags(part)
            case _:
                return self._value(part)

    def _value(self, part: Shown | Instant | Address) -> str:
        column = COLUMNS[part.name]
        if part.name in reading.OF_EDITORS and not self.reader.editor:
            return "'null'"
        if isinstance(part, Instant):
            return f"COALESCE('\"' || {dialect.instant_text(column)} || '\"', 'null')"
        if isinstance(part, Address):
            ours = "'" + part.base_url.replace("'", "''") + "'"
            column = f"CASE WHEN {column} LIKE '/%' THEN {ours} || {column} ELSE {column} END"
        return dialect.json_text(column)

    def _tags(self, tags: Tags) -> str:
        only = f" AND tag.dimension = '{tags.dimension}'" if tags.dimension else ""
        text, join = dialect.gathered(
            f"gathered_{len(self._gathered)}",
            self.text(tags.parts),
            f"version_tag vt JOIN tag ON tag.id = vt.tag_id{only}",
            "vt.version_id",
            ("page", "version_id"),
            "tag.slug",
        )
        self._gathered.append(join)
        return text
