"""Declares `wellspring replay`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

# The values of members.models.DowngradePolicy, which costs the whole ORM to import.
DowngradeName = Literal["NEVER", "AT_EXPIRY", "IMMEDIATE"]


def replay(
    file: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            metavar="FILE",
            help="The invoices, as .csv or .csv.gz; docs/replay.md says where they are from.",
        ),
    ],
    downgrade: Annotated[
        DowngradeName, typer.Option(help="What falling below a tier's threshold does.")
    ] = "IMMEDIATE",
) -> None:
    """Plays the UCI Online Retail invoices through the API, a year of orders and refunds.

    WELLSPRING_DATABASE_URL=sqlite://var/retail.db WELLSPRING_CURRENCY=GBP \\
    wellspring replay orders.csv.gz

    Customers become members, a third of them through the links of ten
    employees, of whom one leads the others. Migrates the database first, and
    goes on where an earlier run was stopped. With the broker memory:// it
    credits by itself; with redis:// it needs a `wellspring worker` beside it.
    """
    from datetime import UTC, datetime

    import uvloop

    from api import replay, retail
    from api.commands.terminal import bar, out
    from api.failed import Failed
    from api.settings import load
    from members.models import DowngradePolicy

    settings = load()
    started = datetime.now(UTC)
    try:
        plan = retail.plan(retail.read(file))
    except ValueError as error:
        raise Failed(str(error)) from error
    uvloop.run(replay.prepare(settings))
    with bar() as shown:
        task = shown.add_task("playing", total=len(plan.steps))

        def progress(what: str, done: int, total: int) -> None:
            shown.update(task, description=what, completed=done, total=total)

        summary = uvloop.run(replay.run(settings, plan, DowngradePolicy(downgrade), progress))
    seconds = (datetime.now(UTC) - started).total_seconds()
    out.print(f"{len(plan.steps)} steps played, {plan.skipped} skipped, in {seconds:.0f} s")
    for name, members in summary.members_by_tier.items():
        out.print(f"members in tier {name}: {members}")
    for level, earned in summary.earned.items():
        out.print(
            f"commissions of level {level}: {earned.accrued_minor} accrued, "
            f"{earned.reversed_minor} reversed (minor units)"
        )
