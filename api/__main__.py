"""The `wellspring` command."""

import asyncio
import gc
import signal
import sys
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
import uvicorn
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from api import app, demo, exporting, files, importing, logs, retail
from api import replay as replaying
from api import schema as schemas
from api import worker as workers
from api.playground import serving
from api.settings import BadSettings, Settings, load
from content import assets
from content.importing import Outcome
from core import database
from core.errors import Mistake
from members import identity, payees
from members.models import DowngradePolicy, Role
from referral import bank_orders, counting, insight, recomputing, reconciliation

T = TypeVar("T")

cli = typer.Typer(
    help="Wellspring: a tagged content library, membership tiers and referral links, over GraphQL.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

BAD_USAGE = 2
STOP_SECONDS = 2
INSTANTS = ["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M%z"]


def main() -> None:
    """Runs the command; what the operator can mend is said in a line and exits with 2."""
    logs.configure()
    try:
        cli()
    except (BadSettings, app.NotMigrated, replaying.ReplayFailed, Mistake) as error:
        _give_up(str(error))
    except payees.Unreadable as error:
        _give_up(f"{error} WELLSPRING_PAYEE_KEYS names those that open, the newest first.")
    except database.Unavailable as error:
        _give_up(f"{error} It is the one that WELLSPRING_DATABASE_URL names.")


def _give_up(why: str) -> NoReturn:
    err.print(why, style="red", markup=False, soft_wrap=True)
    sys.exit(BAD_USAGE)


def _do(work: Coroutine[Any, Any, T]) -> T:
    return uvloop.run(work)


@cli.command()
def run() -> None:
    """Does it all in one process: migrates, fills an empty database with the demo, serves.

    The way to try Wellspring. For an installation that is meant to last, use `migrate`, `serve`
    and `worker`.
    """
    settings = load()
    _do(_prepare(settings))
    _serve(settings)


async def _prepare(settings: Settings) -> None:
    async with database.opened(settings.database_url):
        with err.status("Bringing the database up to date …"):
            await database.migrate()
        if await demo.present():
            with err.status("Filling in the demo …"):
                tokens = await _load_demo(settings)
            _print_demo(settings, tokens)


async def _load_demo(settings: Settings) -> dict[demo.Person, str]:
    store = assets.DirectoryStore(settings.assets_path)
    vault = payees.vault(settings.payee_secrets())
    return await demo.load(settings.currency, settings.time_zone, store, datetime.now(UTC), vault)


def _print_demo(settings: Settings, tokens: dict[demo.Person, str]) -> None:
    out.print(f"\n[bold]Wellspring[/bold] is at {settings.base_url}, with the demo.\n")
    opening = f"{settings.base_url}{serving.PATH}#token=" if settings.playground else ""
    told = "Open the playground as one of its people" if opening else "Tokens of its people"
    rows = [(person.key, opening + token) for person, token in tokens.items()]
    rows.append(("link", f"{settings.base_url}/r/{demo.LINK_CODE}"))
    lines = "\n".join(f"{key:9} {value}" for key, value in rows)
    out.print(f"{told}, who are made up:\n\n{lines}", soft_wrap=True, markup=False)
    query = '{"query":"{ contents(first: 3) { nodes { title tags { name } } } }"}'
    out.print(
        "\nOr ask by hand, with a token behind “Authorization: Bearer” where one is needed:\n\n"
        f"curl -s {settings.base_url}/graphql -H 'content-type: application/json' -d '{query}'\n\n"
        "Ctrl-C stops it; the data stays in var/.\n",
        soft_wrap=True,
        markup=False,
    )


@cli.command()
def serve() -> None:
    """Serves GraphQL at /graphql, links at /r/CODE and pages at /c/SLUG.

    With the broker memory:// it carries the worker itself.
    """
    _serve(load())


def _serve(settings: Settings) -> None:
    """Serves until it is told to stop; a database that lacks migrations stops it before."""
    _do(_checked(settings))
    server = uvicorn.Server(
        uvicorn.Config(
            app.create(settings),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=STOP_SECONDS,
            loop="uvloop",
            http="httptools",
        )
    )
    # Once it has stopped in order, the server passes the signal on that told it to.
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: sys.exit(0))
    gc.freeze()  # what is loaded by now stays: no collection need look at it again
    server.run()
    if not server.started:
        sys.exit(1)


async def _checked(settings: Settings) -> None:
    settings.signing_key()
    async with app.opened(settings):
        await database.ready()


@cli.command()
def worker() -> None:
    """Credits what was accepted, beside any number of servers and other workers.

    Needs a broker that processes can share: WELLSPRING_BROKER_URL=redis://…
    """
    settings = load()
    if settings.embedded:
        raise BadSettings(
            [
                "WELLSPRING_BROKER_URL is memory://, where the server carries the worker itself. "
                "Accepted for a worker of its own: redis://HOST:PORT/DB."
            ]
        )
    _do(_work(settings))


async def _work(settings: Settings) -> None:
    stopped = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(app.opened(settings))
        broker = workers.make_broker(settings)
        bell = await stack.enter_async_context(workers.doorbell(broker))
        await stack.enter_async_context(workers.working(broker, bell))
        gc.freeze()  # as in a server
        err.print("The worker is ready. Ctrl-C stops it.")
        await stopped.wait()


@cli.command()
def migrate() -> None:
    """Brings the database to the newest schema; safe to run at any time and several at once."""
    settings = load()

    async def work() -> int:
        async with database.opened(settings.database_url):
            return len(await database.migrate(lambda name: out.print(f"applied {name}")))

    if not _do(work()):
        out.print("The database is up to date.")


@cli.command("demo")
def load_demo() -> None:
    """Fills an empty database with the demo and prints a link that signs in as each of its people.

    Safe to run again; refuses a database that holds other people.
    """
    settings = load()

    async def work() -> None:
        async with app.opened(settings):
            if not await demo.present():
                raise BadSettings(
                    ["This database holds people of its own; the demo goes into an empty one."]
                )
            _print_demo(settings, await _load_demo(settings))

    _do(work())


@cli.command()
def schema() -> None:
    """Prints the GraphQL schema."""
    sys.stdout.write(schemas.sdl())


@cli.command()
def token(
    email: Annotated[str, typer.Argument(help="Whose token; made a member if missing.")],
    role: Annotated[
        list[Role] | None, typer.Option(help="A role to add first; may be given several times.")
    ] = None,
) -> None:
    """Prints a fresh bearer token of the member with this e-mail address, and nothing else."""
    settings = load()

    async def work() -> str:
        async with app.opened(settings):
            return await identity.token_for(email, role or [], datetime.now(UTC))

    sys.stdout.write(_do(work()) + "\n")


@cli.command()
def replay(
    file: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help="The invoices, as .csv or .csv.gz."),
    ],
    downgrade: Annotated[
        DowngradePolicy, typer.Option(help="What falling below a tier's threshold does.")
    ] = DowngradePolicy.IMMEDIATE,
) -> None:
    """Plays the UCI Online Retail invoices through the API, a year of orders and refunds.

    Customers become members, a third of them through the links of ten employees, of whom one leads
    the others. Goes on where an earlier run was stopped. With the broker memory:// it credits by
    itself; with redis:// it needs a `wellspring worker` beside it.
    """
    settings = load()
    started = datetime.now(UTC)
    try:
        plan = retail.plan(retail.read(file))
    except ValueError as error:
        raise BadSettings([str(error)]) from error
    with _bar() as bar:
        task = bar.add_task("playing", total=len(plan.steps))

        def progress(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        summary = _do(_replay(settings, plan, downgrade, progress))
    seconds = (datetime.now(UTC) - started).total_seconds()
    out.print(f"{len(plan.steps)} steps played, {plan.skipped} skipped, in {seconds:.0f} s")
    for name, members in summary.members_by_tier.items():
        out.print(f"members in tier {name}: {members}")
    for level, earned in summary.earned.items():
        out.print(
            f"commissions of level {level}: {earned.accrued_minor} accrued, "
            f"{earned.reversed_minor} reversed (minor units)"
        )


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err,
    )


async def _replay(
    settings: Settings, plan: retail.Plan, downgrade: DowngradePolicy, progress: replaying.Progress
) -> replaying.Summary:
    async with database.opened(settings.database_url):
        await database.migrate()
    return await replaying.run(settings, plan, downgrade, progress)


@cli.command()
def reconcile() -> None:
    """Computes every balance, commission, spend and tier again and compares.

    Exits with 0 when all agree, with 1 and the problems named when not. Writes nothing.
    """
    settings = load()

    async def work() -> reconciliation.Reconciliation:
        async with app.opened(settings):
            return await reconciliation.reconcile(datetime.now(UTC))

    result = _do(work())
    for problem in result.problems:
        out.print(problem, markup=False, soft_wrap=True)
    verdict = "agree" if result.ok else "do NOT agree"
    out.print(f"{result.transfers} transfers looked at; the books {verdict}.")
    sys.exit(0 if result.ok else 1)


@cli.command()
def recount() -> None:
    """Throws the counters of what came of links away; the workers count everything again.

    Never needed in the ordinary run of things: `reconcile` tells when it is. Until the workers
    are through, statistics show too little.
    """
    settings = load()

    async def work() -> None:
        async with app.opened(settings):
            await counting.restart()

    _do(work())
    out.print("The workers count from the beginning.")


@cli.command("export-stats")
def export_stats(
    program: Annotated[str, typer.Argument(help="The program's code.")],
    report: Annotated[
        exporting.Report, typer.Option(help="By promoter, or by channel and content.")
    ] = exporting.Report.LEADERBOARD,
    since: Annotated[
        datetime | None, typer.Option(formats=INSTANTS, help="From then on, with an offset.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=INSTANTS, help="Until before then.")
    ] = None,
) -> None:
    """Prints what a program brought as CSV, for a spreadsheet; amounts are in minor units."""
    settings = load()
    span = insight.span(since, until)

    async def work() -> None:
        async with app.opened(settings):
            await exporting.write(report, program, span, sys.stdout)

    _do(work())


@cli.command()
def recompute() -> None:
    """Makes everybody's metrics and tier anew from what was recorded, and says what it changed.

    Never needed in the ordinary run of things: `reconcile` tells when it is. Goes on where an
    earlier run was stopped; safe beside servers and workers.
    """
    settings = load()
    with _bar() as bar:
        task = bar.add_task("recomputing", total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        async def work() -> recomputing.Summary:
            async with app.opened(settings):
                return await recomputing.recompute(lambda: datetime.now(UTC), progress)

        summary = _do(work())
    out.print(
        f"{summary.members} members gone through: the metrics of {summary.metrics_mended} were "
        f"mended, {summary.tiers_moved} came into another tier"
    )


@cli.command()
def reseal() -> None:
    """Encrypts where members are paid anew, by the first of WELLSPRING_PAYEE_KEYS.

    The others may be left out of the settings afterwards. Safe beside servers, and to run again.
    """
    settings = load()

    async def work() -> None:
        vault = payees.vault(settings.payee_secrets())
        async with app.opened(settings):
            for some in (payees.reseal, bank_orders.reseal):
                after: int | None = 0
                while after is not None:
                    after = await some(vault, after)

    _do(work())
    out.print("Every payee is encrypted by the newest secret.")


@cli.command("import")
def bring_in(
    paths: Annotated[
        list[Path],
        typer.Argument(exists=True, help="Folders of Markdown, .md, .jsonl or .jsonl.gz."),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Says what would happen and writes nothing.")
    ] = False,
    mapping: Annotated[
        files.Mapped, typer.Option(help="What the lines of a .jsonl are; see docs/content.md.")
    ] = files.Mapped.ROWS,
) -> None:
    """Brings contents into the library, new ones and newer versions, by their slugs.

    Names file, line and reason of each refused row while the good ones land, and exits with 1
    then. Safe to run again: what says nothing new changes nothing.
    """
    settings = load()
    started = datetime.now(UTC)
    found = files.named(paths)
    with _bar() as bar:
        task = bar.add_task("importing", total=files.count(found))

        def refuse(why: str) -> None:
            out.print(why, markup=False, soft_wrap=True)

        async def work() -> importing.Report:
            async with app.opened(settings):
                return await importing.bring(
                    found,
                    mapping,
                    lambda rows: bar.advance(task, rows),
                    refuse,
                    dry_run=dry_run,
                )

        report = _do(work())
    seconds = (datetime.now(UTC) - started).total_seconds()
    told = ", ".join(f"{report.counts[outcome]} {outcome}" for outcome in Outcome)
    would = "nothing was written; it would be " if dry_run else ""
    out.print(f"{would}{told}, {report.refused} refused, in {seconds:.1f} s")
    sys.exit(1 if report.refused else 0)


@cli.command("export")
def give_out(
    path: Annotated[
        Path, typer.Argument(help="The .jsonl file to be written, or the new or empty folder.")
    ],
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Writes a folder of .md files, one a content.")
    ] = False,
) -> None:
    """Writes the whole library, drafts and gated bodies too, in a form that `import` takes.

    Importing it changes nothing. Media, old slugs and versions before the newest stay behind.
    `wellspring export library.jsonl` for keeping and moving, `wellspring export --markdown library`
    for reading and writing with any editor.
    """
    if path.is_dir() and not markdown:
        raise typer.BadParameter(f"{path} is a folder; with --markdown it is written into one.")
    settings = load()

    async def work() -> int:
        async with app.opened(settings):
            return await importing.export(path, markdown=markdown)

    out.print(f"{_do(work())} contents written")


if __name__ == "__main__":
    main()
