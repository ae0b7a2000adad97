"""Owns what staff take out as CSV: the figures of a program, for a spreadsheet."""

import csv
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import TextIO

from api.nodes import to_id
from content.models import Content
from members.models import Member
from referral import insight, programs
from referral.insight import Figures, Span

# A spreadsheet takes a cell that begins so for a formula, whoever wrote it.
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")
PROMOTER = ("clicks", "registrations", "orders", "revenue_minor", "credited_minor")
FUNNEL = ("clicks", "visits", "registrations", "orders", "credited", "revenue_minor")


class Report(StrEnum):
    """What can be exported."""

    LEADERBOARD = "leaderboard"
    FUNNEL = "funnel"


async def write(report: Report, program: str, span: Span, file: TextIO) -> int:
    """Writes the report as CSV and says how many rows it has, the heading not counted.

    Raises `ProgramNotFound`. Text that a spreadsheet would take for a formula gets a `'` in front.
    """
    row = await programs.by_code(program)
    rows = await (_leaderboard if report is Report.LEADERBOARD else _funnel)(row.id, span)
    writer = csv.writer(file)
    writer.writerows([_harmless(cell) for cell in each] for each in rows)
    return len(rows) - 1


async def _leaderboard(program_id: int, span: Span) -> Sequence[Sequence[object]]:
    places = await insight.leaderboard(program_id, span)
    named = await Member.in_bulk([each.promoter_id for each in places], "id")
    return [
        ("rank", "promoter", "name", *PROMOTER),
        *(
            (
                each.rank,
                to_id("Member", each.promoter_id),
                named[each.promoter_id].display_name,
                *_numbers(each.figures, PROMOTER),
            )
            for each in places
        ),
    ]


async def _funnel(program_id: int, span: Span) -> Sequence[Sequence[object]]:
    stages = await insight.funnel(program_id, span)
    ids = {each.content_id for each in stages if each.content_id is not None}
    slugs = dict(await Content.filter(id__in=ids).values_list("id", "slug")) if ids else {}
    return [
        ("channel", "content", *FUNNEL, "credited_minor"),
        *(
            (
                each.channel or "",
                slugs.get(each.content_id, ""),
                *_numbers(each.figures, (*FUNNEL, "credited_minor")),
            )
            for each in stages
        ),
    ]


def _numbers(figures: Figures, names: Iterable[str]) -> Iterable[int]:
    return (figures[name] for name in names)


def _harmless(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULAS) else cell
