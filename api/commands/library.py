"""Declares the commands that bring the library in and out: `import` and `export`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

# The values of api.files.Mapped, which costs the library to import.
MappingName = Literal["rows", "articles"]


def bring_in(
    paths: Annotated[
        list[Path],
        typer.Argument(
            exists=True, metavar="PATH", help="Folders of Markdown, .md, .jsonl or .jsonl.gz."
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Says what would happen and writes nothing.")
    ] = False,
    mapping: Annotated[
        MappingName, typer.Option(help="What the lines of a .jsonl are; see docs/content.md.")
    ] = "rows",
) -> None:
    """Brings contents into the library, new ones and newer versions, by their slugs.

    wellspring import --dry-run articles/ more.jsonl

    Names file, line and reason of each refused row while the good ones land,
    and exits with 1 then. Safe to run again: what says nothing new changes
    nothing. docs/content.md shows what a file looks like.
    """
    import sys

    from api import files, importing
    from api.settings import load

    refused = importing.carry_out(load(), paths, files.Mapped(mapping), dry_run=dry_run)
    sys.exit(1 if refused else 0)


def give_out(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH", help="The .jsonl file to be written, or the new or empty folder."
        ),
    ],
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Writes a folder of .md files, one a content.")
    ] = False,
) -> None:
    """Writes the whole library, drafts and gated bodies too, in a form that `import` takes.

    wellspring export library.jsonl         for keeping and moving
    wellspring export --markdown library    for reading, and any editor

    Importing it changes nothing. Media, old slugs and versions before the
    newest stay behind. A file that is there already is replaced.
    """
    if path.is_dir() and not markdown:
        raise typer.BadParameter(f"{path} is a folder; with --markdown it is written into one.")
    from api import importing, installation
    from api.commands.terminal import out
    from api.settings import load

    written = installation.run(load(), lambda: importing.export(path, markdown=markdown))
    out.print(f"{written} contents written")
