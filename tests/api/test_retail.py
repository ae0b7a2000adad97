"""Reading the retail invoices, planning their replay, and the same sums in plain SQL."""

import gzip
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import retail
from api.retail import Invoice, Order, Refund
from tests import invoices

ROOT = Path(__file__).parents[2]
FILE = ROOT.parent / "shared/data/orders_online_retail/orders.csv.gz"
HEADER = "invoice_no,customer_id,invoice_at,country,n_lines,units,total_gbp,is_cancellation"
NOON = datetime(2011, 1, 1, 12, tzinfo=UTC)

needs_file = pytest.mark.skipif(not FILE.exists(), reason=f"the retail invoices are not at {FILE}")


def line(
    total: str = "10.000",
    *,
    number: str = "500001",
    customer: str = "12345",
    at: str = "2011-01-01 12:00:00",
) -> str:
    return f"{number},{customer},{at},United Kingdom,1,1,{total},0"


def write(path: Path, *lines: str) -> Path:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding="utf-8") as file:
        file.write("".join(f"{text}\n" for text in lines))
    return path


def invoice(number: str, total_minor: int, *, customer: str | None = "7", hour: int = 0) -> Invoice:
    return Invoice(number, customer, NOON + timedelta(hours=hour), total_minor)


def matches(*invoices: Invoice) -> dict[str, str | None]:
    steps = retail.plan(invoices).steps
    return {step.external_id: step.order_external_id for step in steps if isinstance(step, Refund)}


def spend_by_sql(path: Path) -> dict[str, int]:
    found = invoices.ask(path, "retail_spend.sql")
    assert found == sorted(found)
    return dict(found)


# Reading


def test_a_row_becomes_an_invoice_in_pence_and_utc(tmp_path: Path) -> None:
    path = write(tmp_path / "orders.csv", HEADER, line("139.120", at="2010-12-01 08:26:00"))
    assert retail.read(path) == [
        Invoice("500001", "12345", datetime(2010, 12, 1, 8, 26, tzinfo=UTC), 13912)
    ]


def test_an_empty_customer_is_none(tmp_path: Path) -> None:
    [found] = retail.read(write(tmp_path / "orders.csv", HEADER, line(customer="")))
    assert found.customer_id is None


def test_a_gzipped_file_reads_like_a_plain_one_in_file_order(tmp_path: Path) -> None:
    lines = [HEADER, line(number="2"), line(number="1", at="2010-12-31 00:00:00")]
    plain = retail.read(write(tmp_path / "orders.csv", *lines))
    assert retail.read(write(tmp_path / "orders.csv.gz", *lines)) == plain
    assert [found.invoice_no for found in plain] == ["2", "1"]


def test_a_header_without_rows_is_no_invoices(tmp_path: Path) -> None:
    assert retail.read(write(tmp_path / "orders.csv", HEADER)) == []


@pytest.mark.parametrize(
    ("total", "total_minor"),
    [
        ("0.004", 0),
        ("0.004999", 0),
        ("0.005", 1),
        ("0.015", 2),
        ("0.025", 3),
        ("-0.004", 0),
        ("-0.005", -1),
        ("-0.025", -3),
        ("2.675", 268),
        ("2.674", 267),
        ("9.995", 1000),
        ("1.005", 101),
        ("77183.6", 7718360),
        ("5", 500),
        ("-5", -500),
        ("999999999999.999999", 100_000_000_000_000),
    ],
)
def test_half_a_penny_rounds_away_from_zero(tmp_path: Path, total: str, total_minor: int) -> None:
    path = write(tmp_path / "orders.csv", HEADER, line(total))
    assert [found.total_minor for found in retail.read(path)] == [total_minor]
    assert spend_by_sql(path) == {"12345": total_minor}


@given(st.lists(st.decimals(-100, 100, places=3), min_size=1, max_size=50))
def test_every_total_rounds_as_its_thousandths_say(totals: list[Decimal]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lines = [line(str(total), number=str(n)) for n, total in enumerate(totals)]
        found = retail.read(write(Path(folder) / "orders.csv", HEADER, *lines))
    for total, read in zip(totals, found, strict=True):
        thousandths = int(total * 1000)
        magnitude = (abs(thousandths) + 5) // 10
        assert read.total_minor == (-magnitude if thousandths < 0 else magnitude)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (line() + ",1", "9 columns, not 8"),
        (line().removesuffix(",0"), "7 columns, not 8"),
        ("", "0 columns, not 8"),
        (line(number=""), "invoice_no is empty"),
        (line(at="01/12/2010 08:26"), "invoice_at is '01/12/2010 08:26'"),
        (line(at="2011-02-29 08:26:00"), "invoice_at is '2011-02-29 08:26:00'"),
        (line(at="2011-02-28 08:26:00+01:00"), "invoice_at is '2011-02-28 08:26:00+01:00'"),
        (line(at=""), "invoice_at is ''"),
        (line("ten"), "total_gbp is 'ten'"),
        (line(""), "total_gbp is ''"),
        (line("NaN"), "total_gbp is 'NaN'"),
        (line("-Infinity"), "total_gbp is '-Infinity'"),
        (line("1e3"), "total_gbp is '1e3'"),
        (line("1000000000000"), "total_gbp is '1000000000000'"),
        (line(number="500000"), "invoice 500000 is in the file twice"),
        (line(number='"500001'), "unexpected end of data"),
    ],
)
def test_a_malformed_row_names_its_file_and_line(tmp_path: Path, bad: str, message: str) -> None:
    path = write(tmp_path / "orders.csv", HEADER, line(number="500000"), bad)
    with pytest.raises(ValueError) as raised:
        retail.read(path)
    assert str(raised.value).startswith(f"{path}:3: {message}")


@pytest.mark.parametrize("header", [[], [HEADER.replace("total_gbp", "total")], [line()]])
def test_a_wrong_header_is_refused_at_line_one(tmp_path: Path, header: list[str]) -> None:
    path = write(tmp_path / "orders.csv", *header)
    with pytest.raises(ValueError) as raised:
        retail.read(path)
    assert str(raised.value).startswith(f"{path}:1: the header is ")
    assert HEADER in str(raised.value)


def test_a_file_cut_short_or_not_text_is_refused_by_name(tmp_path: Path) -> None:
    whole = gzip.compress(f"{HEADER}\n{line()}\n".encode())
    broken = {
        "cut.csv.gz": whole[:-9],
        "checksum.csv.gz": whole[:-8] + bytes(8),
        "deflate.csv.gz": whole[:10] + b"\xff" + whole[11:],
        "plain.csv.gz": b"not gzip",
        "latin.csv": f"{HEADER}\n{line(customer='é')}\n".encode("latin-1"),
    }
    for name, content in broken.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ValueError) as raised:
            retail.read(path)
        assert str(raised.value).startswith(f"{path}: unreadable after line ")


# Planning


def test_an_invoice_becomes_an_order() -> None:
    assert retail.plan([invoice("1", 1250)]).steps == [Order("1", "7", 1250, NOON, known=True)]


def test_a_cancellation_becomes_a_refund_of_a_positive_amount() -> None:
    refund = retail.plan([invoice("1", 1250), invoice("C2", -1250, hour=1)]).steps[1]
    assert refund == Refund("C2", "1", "7", 1250, NOON + timedelta(hours=1))


def test_a_cancellation_finds_the_latest_order_of_the_same_amount() -> None:
    orders = [invoice("1", 500), invoice("2", 500, hour=1), invoice("3", 501, hour=2)]
    assert matches(*orders, invoice("C4", -500, hour=3)) == {"C4": "2"}


def test_an_order_is_matched_once() -> None:
    orders = [invoice("1", 500), invoice("2", 500, hour=1)]
    refunds = [invoice(f"C{hour}", -500, hour=hour) for hour in (3, 4, 5)]
    assert matches(*orders, *refunds) == {"C3": "2", "C4": "1", "C5": None}


def test_a_later_order_is_not_matched() -> None:
    assert matches(invoice("C1", -500), invoice("2", 500, hour=1)) == {"C1": None}


def test_an_order_of_the_same_instant_is_earlier_when_the_file_says_so() -> None:
    assert matches(invoice("1", 500), invoice("C2", -500)) == {"C2": "1"}
    assert matches(invoice("C2", -500), invoice("1", 500)) == {"C2": None}


@pytest.mark.parametrize("amount_minor", [499, 501])
def test_an_order_a_penny_off_is_not_matched(amount_minor: int) -> None:
    assert matches(invoice("1", amount_minor), invoice("C2", -500, hour=1)) == {"C2": None}


def test_another_customers_order_is_not_matched() -> None:
    others = [invoice("1", 500, customer="8"), invoice("2", 500, customer=None)]
    assert matches(*others, invoice("C3", -500, hour=1)) == {"C3": None}


@pytest.mark.parametrize(("total_minor", "kind"), [(1, Order), (0, Order), (-1, Refund)])
def test_a_total_is_a_refund_from_one_penny_below_zero(
    total_minor: int, kind: type[Order] | type[Refund]
) -> None:
    [step] = retail.plan([invoice("1", total_minor)]).steps
    assert isinstance(step, kind)
    assert step.amount_minor == abs(total_minor)


def test_a_cancellation_of_less_than_half_a_penny_is_an_order_of_zero(tmp_path: Path) -> None:
    path = write(tmp_path / "orders.csv", HEADER, line("-0.004"), line("-0.005", number="2"))
    order, refund = retail.plan(retail.read(path)).steps
    assert isinstance(order, Order)
    assert isinstance(refund, Refund)
    assert (order.amount_minor, refund.amount_minor) == (0, 1)


@pytest.mark.parametrize("total_minor", [0, 1])
def test_an_invoice_without_customer_is_an_order_of_its_own_reference(total_minor: int) -> None:
    planned = retail.plan([invoice("536414", total_minor, customer=None)])
    assert planned.steps == [Order("536414", "invoice-536414", total_minor, NOON, known=False)]
    assert (planned.skipped, planned.customers) == (0, {})


def test_a_cancellation_without_customer_is_skipped_and_counted() -> None:
    planned = retail.plan([invoice("C1", -1, customer=None), invoice("C2", -9, customer=None)])
    assert planned == retail.Plan(steps=[], skipped=2, customers={})


def test_a_customer_is_first_seen_at_the_first_step_even_if_a_cancellation() -> None:
    planned = retail.plan(
        [invoice("1", 5, hour=2), invoice("C2", -5, hour=1), invoice("3", 5, customer="8", hour=3)]
    )
    expected = [("7", NOON + timedelta(hours=1)), ("8", NOON + timedelta(hours=3))]
    assert list(planned.customers.items()) == expected


drawn_invoices = st.lists(
    st.tuples(
        st.sampled_from(["3", "4", None]),
        st.integers(0, 5),
        st.sampled_from([-200, -100, 0, 100, 200]),
    ),
    max_size=30,
).map(
    lambda drawn: [
        invoice(str(number), total_minor, customer=customer, hour=hour)
        for number, (customer, hour, total_minor) in enumerate(drawn)
    ]
)


@given(drawn_invoices)
def test_every_refund_takes_the_latest_order_left_to_it_or_none(invoices: list[Invoice]) -> None:
    taken: set[str] = set()
    steps = retail.plan(invoices).steps
    for position, step in enumerate(steps):
        if isinstance(step, Refund):
            left = [
                earlier.external_id
                for earlier in steps[:position]
                if isinstance(earlier, Order)
                and (earlier.customer_ref, earlier.amount_minor)
                == (step.customer_ref, step.amount_minor)
                and earlier.external_id not in taken
            ]
            assert step.order_external_id == (left[-1] if left else None)
            taken.update(left[-1:])


@given(drawn_invoices)
def test_every_invoice_is_one_step_or_skipped_in_time_then_file_order(
    invoices: list[Invoice],
) -> None:
    planned = retail.plan(invoices)
    assert len(planned.steps) + planned.skipped == len(invoices)
    for before, after in combinations(planned.steps, 2):
        # The number is the place in the file.
        assert (before.occurred_at, int(before.external_id)) < (
            after.occurred_at,
            int(after.external_id),
        )


# Entrances


@pytest.mark.parametrize(
    ("customer_ref", "employee"),
    [
        ("12345", 5),
        ("12346", None),
        ("12347", None),
        ("12348", 6),
        ("12357", 9),
        ("12360", 0),
        ("0", 0),
        ("invoice-12345", None),
    ],
)
def test_every_third_customer_comes_through_an_employee(
    customer_ref: str, employee: int | None
) -> None:
    assert retail.entrance(customer_ref) == employee


def test_thirty_customers_in_a_row_come_once_through_each_employee() -> None:
    entrances = [retail.entrance(str(customer)) for customer in range(12345, 12375)]
    assert sorted(found for found in entrances if found is not None) == list(range(10))


# Spend


def test_spend_is_orders_less_refunds_of_known_customers() -> None:
    planned = retail.plan(
        [
            invoice("1", 500, customer="1"),
            invoice("C2", -200, customer="1", hour=1),
            invoice("3", 500, customer="2"),
            invoice("C4", -500, customer="2", hour=1),
            invoice("C5", -1, customer="3"),
            invoice("6", 0, customer="4"),
            invoice("7", 900, customer=None),
            invoice("C8", -900, customer=None),
        ]
    )
    assert spend(planned) == {"1": 300, "2": 0, "3": -1, "4": 0}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["12345", "12346", ""]),
            st.decimals(-10, 10, places=3) | st.decimals(-10_000_000, 10_000_000, places=2),
        ),
        max_size=30,
    )
)
def test_the_query_of_the_docs_rounds_and_sums_as_spend_does(
    drawn: list[tuple[str, Decimal]],
) -> None:
    lines = [
        line(str(total), number=str(number), customer=customer)
        for number, (customer, total) in enumerate(drawn)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "orders.csv", HEADER, *lines)
        assert spend_by_sql(path) == spend(retail.plan(retail.read(path)))


# The real file


@pytest.fixture(scope="module")
def real() -> retail.Plan:
    return retail.plan(retail.read(FILE))


def spend(plan: retail.Plan) -> dict[str, int]:
    """Returns each known customer's orders less refunds, in pence, which may be 0 or negative.

    `docs/retail_spend.sql` computes the same straight from the file.
    """
    net_minor = dict.fromkeys(plan.customers, 0)
    for step in plan.steps:
        if isinstance(step, Refund):
            net_minor[step.customer_ref] -= step.amount_minor
        elif step.known:
            net_minor[step.customer_ref] += step.amount_minor
    return net_minor


def highest_spend(steps: Iterable[retail.Step]) -> dict[str, int]:
    """Each known customer's highest running net spend in pence, at least 0."""
    running: dict[str, int] = {}
    highest: dict[str, int] = {}
    for step in steps:
        if isinstance(step, Order) and not step.known:
            continue
        sign = 1 if isinstance(step, Order) else -1
        ref = step.customer_ref
        running[ref] = running.get(ref, 0) + sign * step.amount_minor
        highest[ref] = max(highest.get(ref, 0), running[ref])
    return highest


def at_least(spend: dict[str, int], threshold_minor: int) -> int:
    return sum(amount_minor >= threshold_minor for amount_minor in spend.values())


@needs_file
def test_the_real_file_has_its_published_rows(real: retail.Plan) -> None:
    orders = [step for step in real.steps if isinstance(step, Order)]
    zeros = [order for order in orders if order.amount_minor == 0]
    assert len(real.steps) + real.skipped == 25_900
    assert real.skipped == 184
    assert len(orders) == 22_062
    assert sum(not order.known for order in orders) == 3_526
    assert len(zeros) == 2_102
    assert sum(order.known for order in zeros) == 4
    assert len(real.customers) == 4_372


@needs_file
def test_the_real_cancellations_find_their_orders(real: retail.Plan) -> None:
    refunds = [step for step in real.steps if isinstance(step, Refund)]
    matched = [refund for refund in refunds if refund.order_external_id is not None]
    assert len(refunds) == 3_654
    assert len(matched) == 158


@needs_file
def test_customer_12346_cancels_everything_bought(real: retail.Plan) -> None:
    order, refund = (step for step in real.steps if step.customer_ref == "12346")
    assert isinstance(order, Order)
    assert isinstance(refund, Refund)
    assert refund.order_external_id == order.external_id
    assert refund.occurred_at - order.occurred_at == timedelta(minutes=16)
    assert order.amount_minor == refund.amount_minor == 7_718_360


@needs_file
def test_the_real_spend_ends_and_peaks_above_the_tiers(real: retail.Plan) -> None:
    final, highest = spend(real), highest_spend(real.steps)
    assert (at_least(final, 300_000), at_least(final, 500_000)) == (539, 263)
    assert (at_least(highest, 300_000), at_least(highest, 500_000)) == (546, 267)


@needs_file
def test_a_third_of_the_real_customers_come_through_ten_employees(real: retail.Plan) -> None:
    entrances = [retail.entrance(customer) for customer in real.customers]
    assert sum(found is not None for found in entrances) == 1_487
    assert set(entrances) == {None, *range(10)}


@needs_file
def test_the_query_of_the_docs_agrees_with_spend_for_every_real_customer(
    real: retail.Plan,
) -> None:
    assert spend_by_sql(FILE) == spend(real)


@needs_file
def test_the_query_of_the_docs_finds_what_the_employees_of_the_real_file_earned() -> None:
    found = invoices.ask(FILE, "retail_commissions.sql")
    earned = {level: [0, 0] for level in (1, 2)}
    for _, level, accrued, taken_back in found:
        earned[level][0] += accrued
        earned[level][1] += taken_back
    assert earned == {1: [16_722_490, 1_033_313], 2: [3_147_881, 204_786]}
    assert len(found) == 11
