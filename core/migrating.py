"""Owns what migrations need beside the ORM's own operations."""

from typing import Any

from tortoise.migrations import operations as ops


class MoreValues(ops.AlterField):
    """An enumeration got more values: the column, which is text, stays as it is.

    The ORM's own operation would build the table anew on SQLite, which its foreign keys forbid.
    """

    async def database_forward(self, *arguments: Any, **more: Any) -> None:
        """Nothing to do."""

    async def database_backward(self, *arguments: Any, **more: Any) -> None:
        """Likewise."""
