"""The `wellspring` command: its parts put together, and its version."""

from collections.abc import Mapping
from typing import Annotated

import typer

from api.commands import books, library, replaying, running, serving, setting_up

PANELS: Mapping[str, Mapping[str, running.Command]] = {
    "To try it": {
        "run": serving.run,
        "demo": setting_up.demo,
        "replay": replaying.replay,
    },
    "To have it": {
        "migrate": setting_up.migrate,
        "serve": serving.serve,
        "worker": serving.worker,
        "token": setting_up.token,
        "reseal": setting_up.reseal,
        "schema": setting_up.schema,
    },
    "The library": {
        "import": library.bring_in,
        "export": library.give_out,
    },
    "The books": {
        "reconcile": books.reconcile,
        "recompute": books.recompute,
        "recount": books.recount,
        "export-stats": books.export_stats,
    },
}

cli = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
for panel, commands in PANELS.items():
    for name, command in commands.items():
        cli.command(name, rich_help_panel=panel)(running.guarded(command))


def _tell_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"wellspring {version('wellspring')}")
        raise typer.Exit


@cli.callback()
def wellspring(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="Says which it is."),
    ] = False,
) -> None:
    """Wellspring: a tagged content library, membership tiers and referral links, over GraphQL.

    `wellspring run` shows it all, on http://127.0.0.1:8000 with made-up people.
    Each command explains itself: `wellspring import --help`.

    Settings are read from the environment, such as WELLSPRING_DATABASE_URL;
    docs/operations.md has them all. Exit codes: 0 well, 1 with problems found,
    2 not done.
    """


def main() -> None:
    """Runs the command that the command line names."""
    cli(prog_name="wellspring")


if __name__ == "__main__":
    main()
