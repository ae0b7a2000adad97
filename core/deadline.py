"""Owns until when a request may read: each of its statements is ended in the database then.

What a unit of work does is never cut off: writes finish, whoever waits for them.
"""

import asyncio
import functools
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")


class TooLate(Exception):
    """The time of the request is over."""


class _Deadline:
    """One for all statements of a request, since a timer for each would cost as much as some of
    them; set when the first one begins."""

    def __init__(self, until: float) -> None:
        self.until = until  # by the loop's clock
        self.over = False
        self.tasks: set[asyncio.Task[Any]] = set()
        self.timer: asyncio.TimerHandle | None = None

    def begin(self) -> "asyncio.Task[Any]":
        """Has this task cut off; raises `TooLate` where it is too late to begin."""
        loop = asyncio.get_running_loop()
        if self.over or loop.time() >= self.until:
            raise TooLate
        if self.timer is None:
            self.timer = loop.call_at(self.until, self._cut)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this runs in one
        self.tasks.add(task)
        return task

    def _cut(self) -> None:
        self.over = True
        for task in self.tasks:
            task.cancel()

    def end(self) -> None:
        """Forgets the timer, unless somebody is left to be cut off."""
        if self.timer is not None and not self.tasks:
            self.timer.cancel()
            self.timer = None


_deadline: ContextVar[_Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Lets reads of this task, and of those that it starts, last until then; a deadline that is set
    already stays as it is."""
    if _deadline.get() is not None:
        yield
        return
    deadline = _Deadline(asyncio.get_running_loop().time() + seconds)
    token = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(token)
        deadline.end()


def is_set() -> bool:
    """Whether what runs now may be cut off."""
    return _deadline.get() is not None


def bounded(
    statement: Callable[Concatenate[S, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """Has the statement raise `TooLate` at the deadline, if there is one."""

    @functools.wraps(statement)
    async def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        deadline = _deadline.get()
        if deadline is None:
            return await statement(self, *args, **kwargs)
        task = deadline.begin()
        try:
            return await statement(self, *args, **kwargs)
        except asyncio.CancelledError as error:
            if deadline.over and not task.uncancel():  # nobody else has cancelled it
                raise TooLate from error
            raise
        finally:
            deadline.tasks.discard(task)

    return run
