"""Carries out `wellspring import` and `wellspring export`: files, batches, what became of them."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice, tee
from pathlib import Path

from api import files, installation
from api.commands import terminal
from api.failed import Failed
from api.files import Found, Mapped
from api.settings import Settings
from content import ahead, batches, exporting, importing
from content.importing import Outcome
from content.rows import Row
from core.errors import Mistake

LARGEST_BATCH_CHARACTERS = 2_000_000

Progress = Callable[[int], None]
_KILLED = (
    "The process that prepares texts was killed, perhaps for want of memory. What was brought in "
    "stays: run the same again."
)


@dataclass(slots=True)
class Report:
    """How many rows came to what, and which were refused: file, line and reason."""

    counts: Counter[Outcome] = field(default_factory=Counter)
    refused: int = 0


def carry_out(settings: Settings, paths: Iterable[Path], mapped: Mapped, *, dry_run: bool) -> int:
    """Brings in what the paths hold and says what became of it; how many rows were refused.

    Raises `Invalid` where there is nothing to bring in, and `Failed` where the process that
    prepares texts is killed.
    """
    started = datetime.now(UTC)
    found = files.named(paths)
    rows = files.count(found)
    with _beside(rows) as executor:

        async def work() -> Report:
            with terminal.bar() as bar:
                task = bar.add_task("importing", total=rows)
                return await bring(
                    found,
                    mapped,
                    lambda rows: bar.advance(task, rows),
                    terminal.tell,
                    dry_run=dry_run,
                    executor=executor,
                )

        try:
            report = installation.run(settings, work)
        except BrokenProcessPool as error:
            raise Failed(_KILLED) from error
    seconds = (datetime.now(UTC) - started).total_seconds()
    told = ", ".join(f"{report.counts[outcome]} {outcome}" for outcome in Outcome)
    would = "nothing was written; it would be " if dry_run else ""
    terminal.out.print(f"{would}{told}, {report.refused} refused, in {seconds:.1f} s")
    return report.refused


def _beside(rows: int) -> AbstractContextManager[Executor | None]:
    """What prepares so many rows while others are written: a process, where they are enough for
    one to be worth its start."""
    return ahead.process() if rows > importing.MOST_ROWS else nullcontext()


async def bring(
    paths: Iterable[Path],
    mapped: Mapped,
    progress: Progress,
    refuse: Callable[[str], None],
    *,
    dry_run: bool = False,
    executor: Executor | None = None,
) -> Report:
    """Brings in every row of the files, telling of each that is refused; `progress` takes how many
    rows more are done. Each batch is committed by itself; run again, it goes on. The executor
    prepares texts: see `content.ahead`."""
    report = Report()
    work = importing.rehearse if dry_run else importing.bring
    parts, again = tee(_batches(files.read(paths, mapped)))
    rows = ([each.row for each in batch if isinstance(each.row, Row)] for batch in again)
    ends = batches.in_turn(rows, work, lambda: datetime.now(UTC), executor)
    for batch in parts:
        outcomes = iter(await anext(ends))
        for each in batch:
            outcome = next(outcomes) if isinstance(each.row, Row) else each.row
            if isinstance(outcome, Mistake):
                report.refused += 1
                refuse(_refusal(each, outcome))
            else:
                report.counts[outcome] += 1
        progress(len(batch))
    return report


def _batches(found: Iterator[Found]) -> Iterator[Sequence[Found]]:
    """Batches of so many rows, or fewer where their texts are long."""
    while batch := [*islice(found, 1)]:
        length = _length(batch[0])
        while len(batch) < importing.MOST_ROWS and length < LARGEST_BATCH_CHARACTERS:
            more = next(found, None)
            if more is None:
                break
            batch.append(more)
            length += _length(more)
        yield batch


def _length(found: Found) -> int:
    return len(found.row.given.get("body", "")) if isinstance(found.row, Row) else 0


def _refusal(found: Found, mistake: Mistake) -> str:
    named = f" ({found.row.slug})" if isinstance(found.row, Row) else ""
    where = f"{'.'.join(mistake.field)}: " if mistake.field else ""
    line = f"{found.path}:{found.line}{named}: {where}{mistake.message}"
    return line.encode(errors="backslashreplace").decode()


async def export(path: Path, *, markdown: bool = False) -> int:
    """Writes the whole library to a file of JSONL, or to a folder of Markdown; how many contents.

    Raises `Invalid` where the folder holds anything already.
    """
    written = files.written_folder if markdown else files.written
    with written(path) as give:
        return await exporting.export(give)
