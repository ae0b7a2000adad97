"""Watches what goes to the database: statements through the ORM's own log, and transactions."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from core import database

LOG = logging.getLogger("tortoise.db_client")


class _Watch(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg == "%s: %s" and isinstance(record.args, tuple):
            self.seen.append(str(record.args[0]))


@contextmanager
def watched() -> Iterator[list[str]]:
    """Every statement that is sent in the block; BEGIN and COMMIT are not among them."""
    watch, level = _Watch(), LOG.level
    LOG.addHandler(watch)
    LOG.setLevel(logging.DEBUG)
    try:
        yield watch.seen
    finally:
        LOG.setLevel(level)
        LOG.removeHandler(watch)


@contextmanager
def counted_transactions() -> Iterator[list[str]]:
    """One name for every transaction that is opened in the block; savepoints do not count."""
    kind = type(database.client())
    begin = kind._in_transaction
    opened: list[str] = []

    def counting(client: object) -> object:
        opened.append(kind.__name__)
        return begin(client)  # pyright: ignore[reportArgumentType]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "_in_transaction", counting)
        yield opened
