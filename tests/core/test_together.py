"""What waits at the same time is done together, and nobody suffers for another."""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar

import pytest

from core.together import MOST_GROUPS, Together

whose: ContextVar[str | None] = ContextVar("whose", default=None)


class Doubling:
    """Work that doubles numbers, and notes its groups; it refuses 13, and waits with 0 to go."""

    def __init__(self, most: int = 100) -> None:
        self.groups: list[list[int]] = []
        self.go = asyncio.Event()
        self.begun = asyncio.Semaphore(0)
        self.together = Together(self.work, most)

    async def work(self, numbers: Sequence[int]) -> Sequence[int]:
        self.groups.append([*numbers])
        self.begun.release()
        if 0 in numbers:
            await self.go.wait()
        await asyncio.sleep(0)
        if 13 in numbers:
            raise LookupError(len(numbers))
        return [2 * each for each in numbers]

    async def all(self, numbers: Sequence[int]) -> list[int | BaseException]:
        return await asyncio.gather(*map(self.together.do, numbers), return_exceptions=True)


async def test_each_is_given_what_became_of_it() -> None:
    doubling = Doubling()
    assert await doubling.all(range(1, 9)) == [*range(2, 18, 2)]
    assert doubling.groups == [[*range(1, 9)]]


async def test_one_that_fails_takes_no_other_along() -> None:
    doubling = Doubling()
    ended = await doubling.all([1, 13, 2])
    assert [str(each) for each in ended] == ["2", "1", "4"]  # it failed alone at last
    assert doubling.groups == [[1, 13, 2], [1], [13], [2]]


async def test_a_group_has_a_limit_and_what_is_above_it_comes_next() -> None:
    doubling = Doubling(most=2)
    await doubling.all([1, 2, 3, 4, 5])
    assert doubling.groups == [[1, 2], [3, 4], [5]]


async def test_who_comes_while_a_group_is_done_is_in_the_next() -> None:
    doubling = Doubling()
    first = asyncio.create_task(doubling.together.do(1))
    await doubling.begun.acquire()
    assert await doubling.all([2, 3]) == [4, 6]
    assert (await first, doubling.groups) == (2, [[1], [2, 3]])


async def test_who_hangs_up_takes_no_other_along() -> None:
    doubling = Doubling()
    waiting = [asyncio.create_task(doubling.together.do(each)) for each in (1, 2, 3)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # the one that began it
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in ended] == [asyncio.CancelledError, int, int]
    assert doubling.groups == [[1, 2, 3]]


async def test_a_group_that_has_to_wait_does_not_hold_up_the_next() -> None:
    doubling = Doubling()
    held_up = asyncio.create_task(doubling.together.do(0))
    await doubling.begun.acquire()
    assert await doubling.all([1, 2]) == [2, 4]
    assert not held_up.done()
    doubling.go.set()
    assert await held_up == 0


async def test_there_are_only_so_many_groups_at_once() -> None:
    doubling = Doubling(most=1)
    stuck = [asyncio.create_task(doubling.together.do(0)) for _ in range(MOST_GROUPS)]
    late = asyncio.create_task(doubling.together.do(1))
    for _ in range(MOST_GROUPS):
        await doubling.begun.acquire()
    await asyncio.sleep(0.2)
    assert not late.done()
    assert doubling.groups == [[0]] * MOST_GROUPS
    doubling.go.set()
    assert await asyncio.gather(*stuck, late) == [0] * MOST_GROUPS + [2]


async def test_a_flush_waits_for_what_nobody_waits_for_any_more() -> None:
    doubling = Doubling()
    await doubling.together.flush()  # nothing to wait for
    waiting = [asyncio.create_task(doubling.together.do(each)) for each in (0, 1)]
    await asyncio.sleep(0)
    for each in waiting:
        each.cancel()
    flushing = asyncio.create_task(doubling.together.flush())
    await asyncio.wait([flushing], timeout=0.3)  # beyond the patience with one group
    assert not flushing.done()
    doubling.go.set()
    await flushing
    assert doubling.groups == [[0, 1]]


async def test_what_is_done_together_is_done_in_nobody_s_context() -> None:
    seen: list[str | None] = []

    async def work(wanted: Sequence[str]) -> Sequence[str]:
        seen.append(whose.get())
        return wanted

    whose.set("the first one's")
    assert await Together(work, 10).do("x") == "x"
    assert seen == [None]


async def test_what_fails_fails_for_each_of_the_next_too() -> None:
    doubling = Doubling()
    for _ in range(2):
        with pytest.raises(LookupError):
            await doubling.together.do(13)
    assert await doubling.together.do(1) == 2
