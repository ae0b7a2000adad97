"""Owns finding a text anywhere in a column of folded text, in any script, by its bigrams.

An index of whole words knows no Chinese, and one of trigrams no word of two characters. This one
has every character and every pair of neighbours: whoever looks for a text looks for its pairs,
gets few rows too many, and leaves those out with LIKE.
"""

import unicodedata
from collections.abc import Collection, Sequence

from core import database, pairs

# Released: an index that exists was built by these, or by others that gave the same.
GRAMS = """
CREATE OR REPLACE FUNCTION bigrams(folded text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE letters text[] := string_to_array(folded, NULL);
BEGIN
    RETURN letters || ARRAY(
        SELECT one || next FROM unnest(letters, letters[2:]) AS pairs (one, next)
        WHERE next IS NOT NULL
    );
END
$$
"""
# In hexadecimal, which no tokenizer takes apart.
_HEX_GRAMS = """(
    WITH RECURSIVE places (place) AS (
        SELECT 1 UNION ALL SELECT place + 1 FROM places WHERE place < length({row}.{column})
    )
    SELECT group_concat(
        hex(substr({row}.{column}, place, 1)) || ' ' || hex(substr({row}.{column}, place, 2)), ' '
    ) FROM places
)"""


def fold(text: str) -> str:
    """The text as it is compared: whatever its case and width, one blank between words."""
    compatible = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(unicodedata.normalize("NFKC", compatible).split())


def grams(parts: Collection[str]) -> Sequence[str]:
    """The pairs of neighbours in folded texts, each once; of a single character itself."""
    found = {part[at : at + 2] for part in parts for at in range(max(len(part) - 1, 1))}
    return sorted(found)


def pattern(part: str) -> str:
    """What LIKE … ESCAPE '!' finds the folded text with, anywhere."""
    for special in "!%_":
        part = part.replace(special, f"!{special}")
    return f"%{part}%"


def candidates(table: str, parts: Collection[str]) -> tuple[str, Sequence[str] | str]:
    """SQL for the `id`s of rows with all the pairs of the parts, and the value of its `:grams`;
    at least one part, none of them empty."""
    if database.is_postgres():
        sql = f"SELECT id FROM {table} WHERE bigrams(search) @> CAST(:grams AS text[])"
        return sql, grams(parts)
    sql = f"SELECT rowid AS id FROM {table}_bigrams WHERE {table}_bigrams MATCH :grams"
    return sql, " ".join(gram.encode().hex() for gram in grams(parts))


def holding(row: str, table: str, mark: str) -> str:
    """SQL for the condition that a row of the table, named so in the statement, has all the pairs
    in `wanted`, whose placeholder is `mark`; on SQLite its index is one that no trigger writes."""
    if database.is_postgres():
        return f"bigrams({row}.search) @> CAST({mark} AS text[])"
    index = f"{table}_bigrams"
    return f"{row}.id IN (SELECT rowid FROM {index} WHERE {index} MATCH {mark})"


def wanted(part: str) -> Sequence[str] | str:
    """The value of that placeholder for one folded text, which is not empty."""
    return grams([part]) if database.is_postgres() else pairs.wanted(part)


def on_postgres(table: str) -> Sequence[str]:
    """The statements that index the table's column `search`, and the rows that it has."""
    return [
        GRAMS,
        # A search looks through what is pending row by row: it is kept short.
        f"CREATE INDEX {table}_bigrams ON {table} USING gin (bigrams(search)) "
        "WITH (gin_pending_list_limit = 256)",
        # Knowing that a pair is frequent, the planner would go through the whole table instead,
        # expecting to find enough soon: and would find none, where pairs never come together.
        f"ALTER INDEX {table}_bigrams ALTER COLUMN 1 SET STATISTICS 0",
    ]


def on_sqlite(table: str) -> Sequence[str]:
    """The same; the index stores no text, so triggers take an old row out by its old pairs."""
    index = f"{table}_bigrams"
    add, remove = (
        f"INSERT INTO {index} ({columns}) VALUES ({values}, {_HEX_GRAMS}); ".format(
            row=row, column="search"
        )
        for columns, values, row in (
            ("rowid, grams", "NEW.id", "NEW"),
            (f"{index}, rowid, grams", "'delete', OLD.id", "OLD"),
        )
    )
    on = f"ON {table} BEGIN "
    return [
        bare_on_sqlite(table),
        f"INSERT INTO {index} (rowid, grams) "
        f"SELECT id, {_HEX_GRAMS.format(row=table, column='search')} FROM {table}",
        f"CREATE TRIGGER {index}_insert AFTER INSERT {on}{add}END",
        f"CREATE TRIGGER {index}_delete AFTER DELETE {on}{remove}END",
        f"CREATE TRIGGER {index}_update AFTER UPDATE OF search {on}{remove}{add}END",
    ]


def bare_on_sqlite(table: str) -> str:
    """The statement for an empty index that no trigger writes: for long texts, from which SQL
    takes the pairs in a time that grows with the square of their length. See `pairs.held`."""
    return (
        f"CREATE VIRTUAL TABLE {table}_bigrams USING fts5 "
        "(grams, content = '', detail = none, columnsize = 0, tokenize = 'ascii')"
    )
