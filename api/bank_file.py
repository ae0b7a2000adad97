"""Owns the file of pay-outs for the bank: the one place where accounts are written in the clear."""

import csv
import io
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from api import downloads
from api.errors import Refusal
from api.nodes import to_id
from api.settings import Settings
from core import money
from core.errors import Mistake
from members import payees
from members.identity import Viewer
from members.models import Role
from referral import bank_orders
from referral.models import PayoutStatus

COLUMNS = (
    *("payout", "program", "member", "method", "name", "account", "bank"),
    *("amount", "currency", "status", "reference", "created_at"),
)
FORMULA = ("=", "+", "-", "@", "\t", "\r")
HEADERS = {
    "cache-control": "no-store",
    "content-disposition": 'attachment; filename="payouts.csv"',
    "x-content-type-options": "nosniff",
}


def route(settings: Settings) -> Callable[[Request], Awaitable[Response]]:
    """Answers `GET /payouts.csv?status=…&program=…` to whoever has the role FINANCE."""

    async def download(request: Request, viewer: Viewer, now: datetime) -> Response:
        return await _download(request, settings, viewer, now)

    return downloads.route(settings, [Role.FINANCE], download)


async def _download(
    request: Request, settings: Settings, viewer: Viewer, now: datetime
) -> Response:
    try:
        found = await bank_orders.of(
            _status(request.query_params.get("status", PayoutStatus.PROCESSING)),
            request.query_params.get("program"),
            payees.vault(settings.payee_secrets()),
            viewer.member_id,
            now,
        )
    except Mistake as mistake:
        raise Refusal(mistake.message) from mistake
    return Response(sheet(found), headers=HEADERS, media_type="text/csv")


def _status(name: str) -> PayoutStatus:
    if name not in {*PayoutStatus}:
        raise Refusal(f"`status` is one of {', '.join(PayoutStatus)}.")
    return PayoutStatus(name)


def sheet(orders: Sequence[bank_orders.Order]) -> bytes:
    """CSV in UTF-8 with a byte order mark, which spreadsheets need to know it by."""
    file = io.StringIO(newline="")
    rows = csv.writer(file)
    rows.writerow(COLUMNS)
    for order in orders:
        rows.writerow(_harmless(each) for each in _cells(order))
    return file.getvalue().encode("utf-8-sig")


def _cells(order: bank_orders.Order) -> Sequence[str]:
    payout, payee = order.payout, order.payee
    return [
        to_id("Payout", payout.id),
        order.program_code,
        order.member_name,
        payee.method,
        payee.name,
        payee.account,
        payee.bank or "",
        money.decimal(payout.amount_minor, payout.currency),
        payout.currency,
        payout.status,
        payout.reference or "",
        payout.created_at.astimezone(UTC).isoformat(timespec="seconds"),
    ]


def _harmless(cell: str) -> str:
    """With an apostrophe before what a spreadsheet would run as a formula."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell
