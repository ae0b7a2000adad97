"""Owns what migrations need beside the ORM's own operations."""

from collections.abc import Mapping, Sequence
from typing import Any

from tortoise.migrations import operations as ops
from tortoise.migrations.schema_generator.state import State


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


class Rebuild(ops.TortoiseOperation):
    """Tables change in a way that SQLite has no statement for: they are made anew and filled with
    what was in them, on PostgreSQL too.

    `models` come parents first, and nothing else may refer to them. `fill` gives SQL for columns
    that are new or change, by model and column, over the old row named `old`.
    """

    reversible = False

    def __init__(
        self,
        models: Sequence[str],
        changes: Sequence[ops.TortoiseOperation],
        fill: Mapping[str, Mapping[str, str]],
    ) -> None:
        self.models = models
        self.changes = changes
        self.fill = fill

    def describe(self) -> str:
        return f"Make {', '.join(self.models)} anew"

    def state_forward(self, app_label: str, state: State) -> None:
        for change in self.changes:
            change.state_forward(app_label, state)

    async def database_forward(
        self, app_label: str, old_state: State, new_state: State, state_editor: Any = None
    ) -> None:
        if state_editor is None:
            return
        before = [old_state.apps.get_model(f"{app_label}.{name}")._meta for name in self.models]
        run = state_editor.client.execute_query
        for meta in reversed(before):
            table = meta.db_table
            await run(f'CREATE TEMPORARY TABLE "old_{table}" AS SELECT * FROM "{table}"')
            await run(f'DROP TABLE "{table}"')
        for name, meta in zip(self.models, before, strict=True):
            model = new_state.apps.get_model(f"{app_label}.{name}")
            await state_editor.create_model(model)
            kept = {column: f'old."{column}"' for column in meta.fields_db_projection.values()}
            kept = {
                column: value
                for column, value in (kept | dict(self.fill.get(name, {}))).items()
                if column in model._meta.fields_db_projection_reverse
            }
            table = meta.db_table
            columns = ", ".join(f'"{column}"' for column in kept)
            await run(
                f'INSERT INTO "{table}" ({columns}) '
                f'SELECT {", ".join(kept.values())} FROM "old_{table}" AS old'
            )
            await run(f'DROP TABLE "old_{table}"')
            if state_editor.DIALECT == "postgres":
                await run(
                    f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), "
                    f'COALESCE(MAX(id), 0) + 1, false) FROM "{table}"'
                )
