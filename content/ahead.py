"""Owns preparing texts beside what is done meanwhile, in threads or in a process of its own."""

import asyncio
import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from content import folding, preparing
from content.preparing import Prepared, Texts
from core import database

AT_ONCE = 25  # versions that are prepared in one go
_threads = ThreadPoolExecutor(thread_name_prefix="prepare")


@dataclass(slots=True)
class _Part:
    """Texts that are prepared in one go, by whoever comes to it first."""

    prepare: Callable[[], Sequence[Prepared]]
    begun: Future[Sequence[Prepared]]
    made: Sequence[Prepared] | None = None


class Ahead:
    """Prepares what versions say: in threads, or where the executor does."""

    def __init__(self, executor: Executor | None = None) -> None:
        self._executor = executor or _threads
        self._waiting: list[Texts] = []
        self._begun: dict[Texts, tuple[_Part, int]] = {}

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
            paired = not database.is_postgres()
            prepare = functools.partial(preparing.prepare, some, paired=paired)
            part = _Part(prepare, self._executor.submit(prepare))
            self._begun |= {texts: (part, place) for place, texts in enumerate(some)}

    async def prepared(self, several: Iterable[Texts]) -> Sequence[Prepared]:
        """What was made of each, in this order, whether they were added before or not.

        What the executor has not come to yet is made here, from the end: whoever waits can help.
        """
        several = [*several]
        for texts in several:
            self.add(texts)
        self.begin()
        places = [self._begun[texts] for texts in several]
        parts = {id(part): part for part, _ in places}.values()
        for part in reversed(parts):
            if part.made is None and part.begun.cancel():
                part.made = await asyncio.to_thread(part.prepare)
        for part in parts:
            if part.made is None:
                part.made = await asyncio.wrap_future(part.begun)
        return [part.made[place] for part, place in places if part.made is not None]


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
    """Leaves an interruption to the process that began this one, and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    folding.simplified()


def _end_with_parent() -> None:
    """Whoever is killed tells nobody: this process would wait for its next task for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
