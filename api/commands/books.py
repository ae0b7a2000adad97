"""Declares the commands about what was booked: `reconcile`, `recompute`, `recount`,
`export-stats`."""

from datetime import datetime
from typing import Annotated, Literal

import typer

EXAMPLE = "2026-01-01T00:00+08:00"

# The values of api.exporting.Report, which costs the whole ORM to import.
ReportName = Literal["leaderboard", "funnel"]


def _instant(given: str) -> datetime:
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise typer.BadParameter(f"{given!r} is no instant such as {EXAMPLE}.")
    return at


def reconcile() -> None:
    """Computes every balance, commission, spend and tier again and compares.

    Exits with 0 when all agree, with 1 and the problems named when not. Writes
    nothing, and reads the database as of one instant: safe beside servers.
    """
    import sys
    from datetime import UTC

    from api import installation
    from api.commands.terminal import out, tell
    from api.settings import load
    from referral import reconciliation

    now = datetime.now(UTC)
    result = installation.run(load(), lambda: reconciliation.reconcile(now))
    for problem in result.problems:
        tell(problem)
    verdict = "agree" if result.ok else "do NOT agree"
    out.print(f"{result.transfers} transfers looked at; the books {verdict}.")
    sys.exit(0 if result.ok else 1)


def recount() -> None:
    """Throws the counters of what came of links away; the workers count everything again.

    Never needed in the ordinary run of things: `reconcile` tells when it is.
    Until the workers are through, statistics show too little.
    """
    from api import installation
    from api.commands.terminal import out
    from api.settings import load
    from referral import counting

    installation.run(load(), counting.restart)
    out.print("The workers count from the beginning.")


def recompute() -> None:
    """Makes everybody's metrics and tier anew from what was recorded, and says what it changed.

    Never needed in the ordinary run of things: `reconcile` tells when it is.
    Goes on where an earlier run was stopped; safe beside servers and workers.
    """
    from datetime import UTC

    from api import installation
    from api.commands.terminal import bar, out
    from api.settings import load
    from referral import recomputing

    async def work() -> recomputing.Summary:
        with bar() as shown:
            task = shown.add_task("recomputing", total=None)
            return await recomputing.recompute(
                lambda: datetime.now(UTC),
                lambda done, total: shown.update(task, completed=done, total=total),
            )

    summary = installation.run(load(), work)
    out.print(
        f"{summary.members} members gone through: the metrics of {summary.metrics_mended} were "
        f"mended, {summary.tiers_moved} came into another tier"
    )


def export_stats(
    program: Annotated[str, typer.Argument(metavar="PROGRAM", help="The program's code.")],
    report: Annotated[
        ReportName, typer.Option(help="By promoter, or by channel and content.")
    ] = "leaderboard",
    since: Annotated[
        datetime | None,
        typer.Option(
            parser=_instant, metavar="INSTANT", help=f"From then on, with an offset: {EXAMPLE}."
        ),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(parser=_instant, metavar="INSTANT", help="Until before then."),
    ] = None,
) -> None:
    """Prints what a program brought as CSV, for a spreadsheet; amounts are in minor units.

    wellspring export-stats spring --since 2026-01-01T00:00+08:00 > spring.csv

    Without --since and --until it is about all time. `--report funnel` tells of
    clicks, registrations and orders of each channel and content.
    """
    if since and until and until <= since:
        raise typer.BadParameter("--until has to be later than --since.")
    import sys

    from api import exporting, installation
    from api.settings import load
    from referral import insight

    settings = load()
    span = insight.span(since, until)
    wanted = exporting.Report(report)
    installation.run(settings, lambda: exporting.write(wanted, program, span, sys.stdout))
