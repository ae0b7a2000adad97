"""A text is found by any piece of it, in any script, as long as the row has it and no longer."""

import random
from collections.abc import AsyncIterator, Collection

import pytest
from hypothesis import given
from hypothesis import strategies as some

from core import bigrams, database

CHARACTERS = "abß1 2-%_!'\"\\张三丰😀é"


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Mei", "mei"),
        ("ＭＥＩ　１２", "mei 12"),
        ("STRASSE", "strasse"),
        ("straße", "strasse"),
        ("ﾃｨｰ", "ティー"),
        ("张三丰", "张三丰"),
        (" a\t \u3000b\n", "a b"),
        ("e\u0301", "é"),
        ("", ""),
    ],
)
def test_case_width_and_blanks_do_not_matter(text: str, folded: str) -> None:
    assert bigrams.fold(text) == folded


@given(some.text())
def test_what_is_folded_stays_as_it_is(text: str) -> None:
    assert bigrams.fold(bigrams.fold(text)) == bigrams.fold(text)


@pytest.mark.parametrize(
    ("parts", "grams"),
    [
        (["张"], ["张"]),
        (["三丰"], ["三丰"]),
        (["张三丰"], ["三丰", "张三"]),
        (["aaaa", "a"], ["a", "aa"]),
        (["ab", "bc"], ["ab", "bc"]),
        ([], []),
    ],
)
def test_a_piece_is_looked_up_by_its_pairs_each_once(parts: list[str], grams: list[str]) -> None:
    assert bigrams.grams(parts) == grams


def test_what_like_takes_for_a_sign_is_looked_for_itself() -> None:
    assert bigrams.pattern("50%_!") == "%50!%!_!!%"


@pytest.fixture
async def notes(opened: str) -> AsyncIterator[None]:
    """A table `note` that has rows before it is indexed."""
    await run("CREATE TABLE note (id integer PRIMARY KEY, search text NOT NULL DEFAULT '')")
    await run("INSERT INTO note (id, search) VALUES (1, '张三丰 tea'), (2, '')")
    for statement in (bigrams.on_postgres if database.is_postgres() else bigrams.on_sqlite)("note"):
        await run(statement)
    yield
    for kind, name in (("TABLE", "note"), ("TABLE", "note_bigrams")):
        await run(f"DROP {kind} IF EXISTS {name}")


async def run(statement: str) -> None:
    await database.client().execute_query(statement)


async def found(*parts: str) -> set[int]:
    sql, grams = bigrams.candidates("note", parts)
    return {row["id"] for row in await database.rows(sql.replace(":grams", "$1"), grams)}


async def liked(part: str) -> set[int]:
    sql = "SELECT id FROM note WHERE search LIKE $1 ESCAPE '!'"
    return {row["id"] for row in await database.rows(sql, bigrams.pattern(part))}


async def write(texts: Collection[tuple[int, str]]) -> None:
    for id, text in texts:
        await database.execute("INSERT INTO note (id, search) VALUES ($1, $2)", id, text)


async def test_rows_that_were_there_before_are_found(notes: None) -> None:
    assert await found("三丰") == await found("张") == await found("ea", "三丰") == {1}
    assert await found("丰三") == await found("x") == await found("三丰", "x") == set()


async def test_an_index_follows_its_rows(notes: None) -> None:
    await write([(3, "李四"), (4, "李四")])
    assert await found("李四") == {3, 4}
    await database.execute("UPDATE note SET search = $1 WHERE id = 3", "王五")
    assert (await found("李四"), await found("王五")) == ({4}, {3})
    await database.execute("UPDATE note SET search = '' WHERE id = 1")
    await database.execute("DELETE FROM note WHERE id = 4")
    assert await found("李四") == await found("三丰") == set()
    await write([(4, "李")])
    assert await found("李") == {4}


async def test_no_row_with_a_piece_is_missed_and_like_finds_exactly_those(notes: None) -> None:
    chance = random.Random(7)
    texts = {
        id: bigrams.fold("".join(chance.choices(CHARACTERS, k=chance.randint(0, 12))))
        for id in range(10, 160)
    }
    await write(texts.items())
    pieces = {
        text[start : start + size]
        for text in texts.values()
        for size in (1, 2, 3, 5)
        for start in range(len(text))
    }
    for piece in chance.sample(sorted(pieces), 200):
        having = {id for id, text in texts.items() if piece in text}
        assert having <= await found(piece), piece
        assert await liked(piece) - {1, 2} == having, piece
