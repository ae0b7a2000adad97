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


class DropField(ops.RemoveField):
    """A column goes; nothing refers to it.

    The ORM's own operation would build the table anew on SQLite, which its foreign keys forbid.
    """

    async def database_forward(self, *arguments: Any, **more: Any) -> None:
        app_label, old_state, _, editor = arguments
        if editor is not None:
            table = old_state.apps.get_model(f"{app_label}.{self.model_name}")._meta.db_table
            await editor.client.execute_query(f'ALTER TABLE "{table}" DROP COLUMN "{self.name}"')
