"""Owns how a command speaks: results on standard output, everything else on standard error."""

import sys
from typing import NoReturn

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

BAD_USAGE = 2
INTERRUPTED = 130  # as shells say it of a program that Ctrl-C ended

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def tell(text: str) -> None:
    """Prints a result as it is: not wrapped, so that it can be copied and searched."""
    out.print(text, markup=False, soft_wrap=True)


def give_up(why: str, code: int = BAD_USAGE) -> NoReturn:
    """Says why and ends the process."""
    err.print(why, style="red", markup=False, soft_wrap=True)
    sys.exit(code)


def bar() -> Progress:
    """A bar of how much is done, and how long the rest will take."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err,
    )
