"""Pages by cursor: whole, in order, and deaf to cursors that nobody gave out."""

import base64
import json
import random
import string
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from core import paging
from core.outbox import OutboxMessage

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NEWEST_FIRST = ("-available_at", "-id")
ORDERS = [
    ("id",),
    ("-id",),
    ("available_at", "id"),
    NEWEST_FIRST,
    ("-available_at", "id"),
    ("attempts", "-lane", "id"),
    ("-lane", "available_at", "-attempts", "id"),
]
BASE64 = string.ascii_letters + string.digits + "-_"


def row(at: datetime = NOW, lane: str = "a", attempts: int = 0) -> OutboxMessage:
    return OutboxMessage(topic="t", subject_id=1, lane=lane, available_at=at, attempts=attempts)


# Few values, so that ties are frequent; with microseconds and without in the same second.
ROWS = st.lists(
    st.builds(
        row,
        st.sampled_from([0, 1, 999_999, 1_000_000, 1_500_000]).map(
            lambda microseconds: NOW + timedelta(microseconds=microseconds)
        ),
        st.sampled_from("abc"),
        st.integers(0, 2),
    ),
    max_size=12,
)


async def stored(*rows: OutboxMessage) -> None:
    """Has the table hold these rows and no others."""
    await OutboxMessage.all().delete()
    await OutboxMessage.bulk_create(rows)


async def page(
    first: int, after: str | None = None, order: Sequence[str] = NEWEST_FIRST
) -> paging.Page[OutboxMessage]:
    return await paging.page(
        OutboxMessage.all(), order=order, name="list", first=first, after=after
    )


async def walked(order: Sequence[str], first: int) -> list[OutboxMessage]:
    """All rows, page by page."""
    seen: list[OutboxMessage] = []
    after = None
    while True:
        found = await page(first, after, order)
        assert found.has_previous == (after is not None)
        assert len(found.edges) == first or not found.has_next
        seen += [edge.node for edge in found.edges]
        if not found.has_next:
            return seen
        after = found.edges[-1].cursor


def in_order(rows: Sequence[OutboxMessage], order: Sequence[str]) -> list[OutboxMessage]:
    """The same rows, sorted column by column from the last to the first."""
    result = list(rows)
    for column in reversed(order):
        name = column.removeprefix("-")
        result.sort(key=lambda each: getattr(each, name), reverse=column.startswith("-"))
    return result


def ids(rows: Sequence[OutboxMessage]) -> list[int]:
    return [each.id for each in rows]


def nodes(found: paging.Page[OutboxMessage]) -> list[int]:
    return ids([edge.node for edge in found.edges])


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=ROWS, order=st.sampled_from(ORDERS), first=st.integers(1, 5))
@example(rows=[], order=("id",), first=1)
async def test_walking_by_cursor_gives_every_row_once_and_in_order(
    opened: str, rows: list[OutboxMessage], order: Sequence[str], first: int
) -> None:
    await stored(*[row(each.available_at, each.lane, each.attempts) for each in rows])
    assert ids(await walked(order, first)) == ids(in_order(await OutboxMessage.all(), order))


async def test_every_row_has_the_cursor_to_what_is_behind_it(opened: str) -> None:
    pick = random.Random(3)
    await stored(
        *[
            row(
                NOW + timedelta(milliseconds=pick.randrange(3)),
                pick.choice("ab"),
                pick.randrange(2),
            )
            for _ in range(9)
        ]
    )
    for order in ORDERS:
        whole = await page(100, order=order)
        assert not whole.has_next
        for place, edge in enumerate(whole.edges):
            behind = await page(100, edge.cursor, order)
            assert nodes(behind) == nodes(whole)[place + 1 :]


async def test_cursor_of_an_instant_is_exact_to_the_microsecond(opened: str) -> None:
    at = [NOW, NOW + timedelta(microseconds=1), NOW + timedelta(microseconds=999_999)]
    await stored(*[row(each) for each in at])
    for place, each in enumerate(at):
        for hours in (0, 8, -5):
            zone = timezone(timedelta(hours=hours))
            cursor = paging.encode("list", [each.astimezone(zone), 10**9])
            found = await page(10, cursor, ("available_at", "id"))
            assert [edge.node.available_at for edge in found.edges] == at[place + 1 :]


async def test_rows_that_come_in_between_do_not_shift_the_next_page(opened: str) -> None:
    await stored(*[row(NOW + timedelta(seconds=second)) for second in range(6)])
    first = await page(3)
    before = await page(3, first.edges[-1].cursor)
    await OutboxMessage.bulk_create([row(NOW + timedelta(seconds=60 + more)) for more in range(4)])
    after = await page(3, first.edges[-1].cursor)
    assert nodes(after) == nodes(before)
    assert not after.has_next


async def test_row_of_the_cursor_may_be_gone(opened: str) -> None:
    await stored(*[row(NOW + timedelta(seconds=second)) for second in range(4)])
    first = await page(2)
    before = await page(2, first.edges[-1].cursor)
    await first.edges[-1].node.delete()
    after = await page(2, first.edges[-1].cursor)
    assert nodes(after) == nodes(before)


async def test_cursor_behind_the_last_row_gives_an_empty_page(opened: str) -> None:
    await stored(row())
    last = (await page(1)).edges[-1].cursor
    assert await page(1, last) == paging.Page([], has_next=False, has_previous=True)


async def test_list_of_nothing_is_an_empty_page(opened: str) -> None:
    assert await page(1) == paging.Page([], has_next=False, has_previous=False)


async def test_smallest_and_largest_page(opened: str) -> None:
    await stored(*[row() for _ in range(101)])
    one = await page(1)
    hundred = await page(100)
    assert (len(one.edges), one.has_next) == (1, True)
    assert (len(hundred.edges), hundred.has_next) == (100, True)
    last = await page(100, hundred.edges[-1].cursor)
    assert (len(last.edges), last.has_next) == (1, False)


async def test_page_as_large_as_the_list_has_no_next(opened: str) -> None:
    await stored(*[row() for _ in range(3)])
    assert not (await page(3)).has_next
    assert (await page(2)).has_next


async def test_sizes_outside_1_to_100_are_refused(opened: str) -> None:
    for first in (-1, 0, 101, 2**63):
        with pytest.raises(paging.BadPage, match=f"not {first}"):
            await page(first)


def test_cursor_gives_back_the_values_it_was_made_of() -> None:
    values = [NOW, NOW.replace(microsecond=1), -3, paging.LARGEST_KEY, "", "茶 \"'\\ \x01", "null"]
    kinds = [datetime, datetime, int, int, str, str, str]
    assert paging.decode("list", paging.encode("list", values), kinds) == values


def test_cursor_is_fit_for_an_address() -> None:
    pick = random.Random(5)
    for _ in range(200):
        cursor = paging.encode("list", ["".join(chr(pick.randrange(32, 0x500)) for _ in range(9))])
        assert set(cursor) <= set(BASE64)


def changed(cursor: str) -> list[str]:
    """Every text that differs from the cursor in one character."""
    return [
        cursor[:place] + wrong + cursor[place + 1 :]
        for place, right in enumerate(cursor)
        for wrong in BASE64 + "+/=. \n\x00é"
        if wrong != right
    ]


# Lengths that leave no, two and four bits of the last character unused.
KINDS = [datetime, str, int]
CURSORS = [paging.encode("list", [NOW, "x" * more, 7]) for more in range(3)]


@pytest.mark.parametrize("cursor", CURSORS, ids=len)
def test_no_changed_character_leads_elsewhere(cursor: str) -> None:
    right = paging.decode("list", cursor, KINDS)
    for text in changed(cursor):
        try:
            values = paging.decode("list", text, KINDS)
        except paging.BadPage:
            continue
        assert values == right


def test_every_changed_character_is_refused() -> None:
    accepted = []
    for cursor in [*CURSORS, paging.encode("list", [NOW, "~~~???>>>", 7])]:
        for text in changed(cursor):
            try:
                paging.decode("list", text, KINDS)
            except paging.BadPage:
                continue
            accepted.append(text)
    assert accepted == []


@pytest.mark.parametrize("cursor", CURSORS, ids=len)
def test_cut_and_lengthened_cursors_are_refused(cursor: str) -> None:
    texts = [cursor[:length] for length in range(len(cursor))]
    texts += [cursor + more for more in BASE64]
    texts += [cursor[:place] + cursor[place + 1 :] for place in range(len(cursor))]
    for text in texts:
        with pytest.raises(paging.BadPage):
            paging.decode("list", text, KINDS)


@given(st.text(max_size=40))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(paging.BadPage):
        paging.decode("list", text, [int])


def test_cursor_of_another_list_is_refused() -> None:
    cursor = paging.encode("list", [1])
    with pytest.raises(paging.BadPage, match="another list"):
        paging.decode("lists", cursor, [int])
    with pytest.raises(paging.BadPage, match="another list"):
        paging.decode("list", cursor, [int, int])
    with pytest.raises(paging.BadPage, match="another list"):
        paging.decode("list", cursor, [str])


async def test_page_refuses_the_cursor_of_another_list(opened: str) -> None:
    with pytest.raises(paging.BadPage, match="another list"):
        await page(1, paging.encode("other", [NOW, 1]))


def forged(value: Any) -> str:
    """A cursor with the right check sum around any JSON."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text + zlib.crc32(text).to_bytes(4)).decode().rstrip("=")


@pytest.mark.parametrize(
    "value",
    [
        *[None, 5, True, {}, [], "", "x", ["other", 1], ["list"], ["list", 1, 2], b"\xff", b""],
        *[["list", value] for value in (None, True, 1.5, "1", [1], {}, {"at": 5}, {"at": "now"})],
        ["list", {"at": "9999-12-31T23:59:59-14:00"}],
        ["list", paging.LARGEST_KEY + 1],
        ["list", -paging.LARGEST_KEY - 1],
        b'["list",NaN]',
        pytest.param(b"[" * 100_000, id="brackets without end"),
    ],
)
def test_forged_cursor_is_refused(value: Any) -> None:
    for kind in (int, datetime):
        with pytest.raises(paging.BadPage):
            paging.decode("list", forged(value), [kind])


@pytest.mark.parametrize("text", ["\x00", "a\ud800"])
def test_forged_cursor_with_a_text_that_nobody_can_store_is_refused(text: str) -> None:
    with pytest.raises(paging.BadPage):
        paging.decode("list", forged(["list", text]), [str])


@pytest.mark.parametrize("key", [0, -1, paging.LARGEST_KEY, -paging.LARGEST_KEY])
def test_cursor_holds_every_key(key: int) -> None:
    assert paging.decode("list", paging.encode("list", [key]), [int]) == [key]


OF_OTHER_TYPES: list[list[Any]] = [
    [NOW, "x"],
    ["x", 1],
    [NOW, None],
    [NOW, [1]],
    [NOW, 2**70],
    [NOW, 1.5],
    [1, 1],
]


async def test_page_refuses_a_cursor_with_values_of_other_types(opened: str) -> None:
    for values in OF_OTHER_TYPES:
        with pytest.raises(paging.BadPage):
            await page(1, paging.encode("list", values))


KEYSET = paging.Keyset("list", ("at", "id"), (datetime, int), descending=True)


@pytest.mark.parametrize("size", [1, 20, 100])
def test_a_window_of_1_to_100_rows_is_taken_from_either_end(size: int) -> None:
    assert KEYSET.window(size, None) == paging.Window(size)
    assert KEYSET.window(None, None, size) == paging.Window(size, backwards=True)


def test_a_window_without_a_size_is_the_first_20() -> None:
    cursor = paging.encode("list", [NOW, 7])
    assert KEYSET.window(None, None) == paging.Window(20)
    assert KEYSET.window(None, None, None, cursor) == paging.Window(20, before=[NOW, 7])


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [(0, None, "`first`"), (101, None, "`first`"), (None, 0, "`last`"), (None, 101, "`last`")],
)
def test_a_window_of_another_size_is_refused(
    first: int | None, last: int | None, said: str
) -> None:
    with pytest.raises(paging.BadPage, match=said):
        KEYSET.window(first, None, last)


def test_both_sizes_and_cursors_of_other_lists_are_refused() -> None:
    other = paging.encode("other", [NOW, 7])
    for asked in ((1, None, 1, None), (1, other, None, None), (None, None, 1, other)):
        with pytest.raises(paging.BadPage):
            KEYSET.window(*asked)


def test_a_window_reads_in_sql_as_what_lies_between_its_cursors() -> None:
    marks: list[Any] = []

    def mark(value: Any) -> str:
        marks.append(value)
        return f"${len(marks)}"

    window = paging.Window(3, backwards=True, after=[NOW, 9], before=[NOW, 2])
    assert KEYSET.conditions(window, mark) == ["(at, id) < ($1, $2)", "(at, id) > ($3, $4)"]
    assert marks == [NOW, 9, NOW, 2]
    assert KEYSET.order_by(window) == "at ASC, id ASC"
    assert KEYSET.order_by(paging.Window(3)) == "at DESC, id DESC"
