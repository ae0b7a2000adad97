"""Owns preparing texts beside what is done meanwhile, in threads or in a process of its own."""

import asyncio
import functools
import multiprocessing
import signal
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager

from content import folding, preparing
from content.preparing import Prepared, Texts
from core import database

AT_ONCE = 50


class Ahead:
    """Prepares what versions say: in a thread, or where the executor does."""

    def __init__(self, executor: Executor | None = None) -> None:
        self._executor = executor
        self._waiting: list[Texts] = []
        self._begun: dict[Texts, tuple[asyncio.Future[Sequence[Prepared]], int]] = {}

    def add(self, texts: Texts) -> None:
        """Begins with these as soon as some more wait, unless it has begun with the same."""
        if texts in self._begun:
            return
        self._waiting.append(texts)
        if len(self._waiting) >= AT_ONCE:
            self.begin()

    def begin(self) -> None:
        """Begins with all that wait."""
        some, self._waiting = self._waiting, []
        if some:
            prepare = functools.partial(preparing.prepare, some, paired=not database.is_postgres())
            begun = asyncio.get_running_loop().run_in_executor(self._executor, prepare)
            self._begun |= {texts: (begun, place) for place, texts in enumerate(some)}

    async def prepared(self, several: Iterable[Texts]) -> Sequence[Prepared]:
        """What was made of each, in this order, whether they were added before or not."""
        several = [*several]
        for texts in several:
            self.add(texts)
        self.begin()
        begun = [self._begun[texts] for texts in several]
        return [(await made)[place] for made, place in begun]


@contextmanager
def process() -> Iterator[Executor]:
    """A process that prepares while the block runs: Python computes in one thread at a time.

    It is spawned, since a fork would have the locks of threads that it does not have.
    """
    spawn = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(1, spawn, initializer=_begin)
    try:
        executor.submit(folding.fold, "")  # it starts with its first task
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


def _begin() -> None:
    """Leaves an interruption to the process that began this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    folding.simplified()
