"""Owns how the rest of a process hears that something was changed in it that others may keep."""

from core import database

_counted = 0


def note() -> None:
    """Counts a change once the running unit of work is committed."""
    database.after_commit(_count)


def counted() -> int:
    """How many changes this process has committed."""
    return _counted


def _count() -> None:
    global _counted  # noqa: PLW0603 - one count for all of a process
    _counted += 1
