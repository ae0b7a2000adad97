"""Owns what migrations need beside the ORM's own operations."""

from collections.abc import Iterable, Mapping, Sequence
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


class Together(ops.TortoiseOperation):
    """Operations on tables that go one after the other, as one.

    The ORM copies and renders all its models for each operation, which takes longer than the
    database does: a new installation would be made in half a minute. None of them may change what
    another one makes.
    """

    reversible = False

    def __init__(self, changes: Sequence[ops.TortoiseOperation]) -> None:
        self.changes = changes

    def describe(self) -> str:
        return "; ".join(change.describe() for change in self.changes)

    def state_forward(self, app_label: str, state: State) -> None:
        changed: set[tuple[str, str]] = set()
        later = _Later(state.models, state.apps, changed)
        for change in self.changes:
            change.state_forward(app_label, later)
        state.reload_models(changed)

    async def database_forward(
        self, app_label: str, old_state: State, new_state: State, state_editor: Any = None
    ) -> None:
        for change in self.changes:
            await change.database_forward(app_label, old_state, new_state, state_editor)


class _Later(State):
    """A state whose models are rendered later, once."""

    def __init__(self, models: Any, apps: Any, changed: set[tuple[str, str]]) -> None:
        super().__init__(models, apps)
        self._changed = changed

    def reload_model(self, app_label: str, model_name: str) -> None:
        self._changed.add((app_label, model_name))

    def reload_models(self, model_tuples: Iterable[tuple[str, str]]) -> None:
        self._changed.update(model_tuples)


class Rebuild(Together):
    """Tables change in a way that SQLite has no statement for: they are made anew and filled with
    what was in them, on PostgreSQL too.

    `models` come parents first, and nothing else may refer to them. `fill` gives SQL for columns
    that are new or change, by model and column, over the old row named `old`.
    """

    def __init__(
        self,
        models: Sequence[str],
        changes: Sequence[ops.TortoiseOperation],
        fill: Mapping[str, Mapping[str, str]],
    ) -> None:
        super().__init__(changes)
        self.models = models
        self.fill = fill

    def describe(self) -> str:
        return f"Make {', '.join(self.models)} anew"

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
