"""Reads the UCI Online Retail invoices and turns them into the steps of a replay.

Source of the data: Chen, Sain & Guo 2012, doi:10.1057/dbm.2012.17.
"""

import csv
import gzip
import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

COLUMNS = [
    "invoice_no",
    "customer_id",
    "invoice_at",
    "country",
    "n_lines",
    "units",
    "total_gbp",
    "is_cancellation",
]
EMPLOYEES = 10

# Decimal alone would also take NaN, 1e9 and totals that no 64-bit column of pence can hold.
_TOTAL = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,6})?")


@dataclass(frozen=True, slots=True)
class Invoice:
    """One row of the file. `total_minor` is in pence and negative for a cancellation."""

    invoice_no: str
    customer_id: str | None
    at: datetime
    total_minor: int


@dataclass(frozen=True, slots=True)
class Order:
    """A purchase of `amount_minor` pence, zero or more.

    `known` is False where the invoice names no customer: `customer_ref` is then made from the
    invoice and belongs to no member.
    """

    external_id: str
    customer_ref: str
    amount_minor: int
    occurred_at: datetime
    known: bool


@dataclass(frozen=True, slots=True)
class Refund:
    """A return of `amount_minor` pence, always positive.

    `order_external_id` is the order it cancels, or None for a refund of the member alone.
    """

    external_id: str
    order_external_id: str | None
    customer_ref: str
    amount_minor: int
    occurred_at: datetime


Step = Order | Refund


@dataclass(frozen=True, slots=True)
class Plan:
    """What a replay does, in order.

    `customers` maps every known customer, in order of appearance, to the time of the first step.
    `skipped` counts the cancellations that name no customer.
    """

    steps: list[Step]
    skipped: int
    customers: dict[str, datetime]


def read(path: Path) -> list[Invoice]:
    """Returns the invoices of a CSV file, gzipped where its name ends in `.gz`, in file order.

    The file has naive local times, which are taken as UTC. Each total is rounded to pence, halves
    away from zero.

    Raises ValueError with the file and line where the header, a row's columns, its time or its
    total is not what this data set has, where an invoice number returns, and where the file
    cannot be decoded; OSError where it cannot be opened.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        rows = csv.reader(file, strict=True)
        try:
            return list(_invoices(rows))
        except (UnicodeDecodeError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            # Decoding runs ahead of the lines, so that the line itself is not known.
            raise ValueError(f"{path}: unreadable after line {rows.line_num}: {error}") from error
        except (ValueError, csv.Error) as error:
            raise ValueError(f"{path}:{max(rows.line_num, 1)}: {error}") from error


def plan(invoices: Iterable[Invoice]) -> Plan:
    """Returns the steps in time order; invoices of the same instant keep their given order.

    - A total of zero or more is an order. So is a negative total of less than half a penny: it
      is zero in pence, and there is nothing to give back. (The published file has none.)
    - A negative total is a refund of that customer's latest earlier order of exactly this amount
      that no refund has been matched to yet, else of the member alone: the data has no link
      between a cancellation and what it cancels.
    - A negative total without customer is skipped and counted.
    """
    steps: list[Step] = []
    skipped = 0
    customers: dict[str, datetime] = {}
    unrefunded: defaultdict[tuple[str, int], list[Order]] = defaultdict(list)
    for invoice in sorted(invoices, key=lambda invoice: invoice.at):
        if invoice.customer_id is None:
            if invoice.total_minor < 0:
                skipped += 1
            else:
                steps.append(_order(invoice))
            continue
        customers.setdefault(invoice.customer_id, invoice.at)
        same_amount = unrefunded[invoice.customer_id, abs(invoice.total_minor)]
        if invoice.total_minor < 0:
            cancelled = same_amount.pop() if same_amount else None
            steps.append(_refund(invoice, invoice.customer_id, cancelled))
        else:
            order = _order(invoice)
            same_amount.append(order)
            steps.append(order)
    return Plan(steps, skipped, customers)


def entrance(customer_ref: str) -> int | None:
    """Returns the number, 0 to 9, of the employee through whose link a customer comes, or None.

    The rule: a customer whose id divides by 3 comes through employee (id // 3) % 10; every other
    customer, and every reference made from an invoice, comes through no link.
    """
    if not customer_ref.isdecimal():
        return None
    third, rest = divmod(int(customer_ref), 3)
    return None if rest else third % EMPLOYEES


def _invoices(rows: Iterator[list[str]]) -> Iterator[Invoice]:
    header = next(rows, [])
    if header != COLUMNS:
        raise ValueError(f"the header is {','.join(header)!r}, not {','.join(COLUMNS)!r}")
    numbers: set[str] = set()
    for row in rows:
        invoice = _invoice(row)
        if invoice.invoice_no in numbers:
            raise ValueError(f"invoice {invoice.invoice_no} is in the file twice")
        numbers.add(invoice.invoice_no)
        yield invoice


def _invoice(row: list[str]) -> Invoice:
    if len(row) != len(COLUMNS):
        raise ValueError(f"{len(row)} columns, not {len(COLUMNS)}")
    invoice_no, customer_id, invoice_at, _, _, _, total_gbp, _ = row
    if not invoice_no:
        raise ValueError("invoice_no is empty")
    return Invoice(invoice_no, customer_id or None, _instant(invoice_at), _minor(total_gbp))


def _instant(invoice_at: str) -> datetime:
    try:
        return datetime.strptime(invoice_at, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError as error:
        raise ValueError(f"invoice_at is {invoice_at!r}, not YYYY-MM-DD HH:MM:SS") from error


def _minor(total_gbp: str) -> int:
    if not _TOTAL.fullmatch(total_gbp):
        raise ValueError(f"total_gbp is {total_gbp!r}, not a decimal number of pounds")
    return int((Decimal(total_gbp) * 100).to_integral_value(ROUND_HALF_UP))


def _order(invoice: Invoice) -> Order:
    return Order(
        external_id=invoice.invoice_no,
        customer_ref=invoice.customer_id or f"invoice-{invoice.invoice_no}",
        amount_minor=invoice.total_minor,
        occurred_at=invoice.at,
        known=invoice.customer_id is not None,
    )


def _refund(invoice: Invoice, customer_id: str, cancelled: Order | None) -> Refund:
    return Refund(
        external_id=invoice.invoice_no,
        order_external_id=cancelled.external_id if cancelled else None,
        customer_ref=customer_id,
        amount_minor=-invoice.total_minor,
        occurred_at=invoice.at,
    )
