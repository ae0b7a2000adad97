"""Why a touch or a binding cannot count: the first reason in order, and every boundary."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from referral import eligibility
from referral.evidence import Bond, Event, Person, Promoter, Terms, Touch
from referral.models import Verdict
from tests.factories import NOW

TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)
LIN, MEI = 1, 9
CLICK = Touch(1, 1, 1, LIN, "visitor", NOW - DAY)
MEI_BUYS = Event(Person(MEI), NOW, 100)
A_PROMOTER = Promoter(Person(LIN))
A_MONTH = Terms(30)


def verdict(
    *,
    event: Event = MEI_BUYS,
    terms: Terms = A_MONTH,
    promoter: Promoter = A_PROMOTER,
    touch: Touch = CLICK,
) -> Verdict | None:
    refusal = eligibility.of_touch(event, terms, promoter, touch)
    return refusal and refusal[0]


def test_a_touch_against_which_nothing_speaks_is_not_refused() -> None:
    assert verdict() is None


def test_the_first_reason_in_order_is_the_one_given() -> None:
    """Everything speaks against the touch; one reason after the other is taken away."""
    event = Event(Person(MEI, "mei@example.com", frozenset({"mei"})), NOW, 100, returning=True)
    terms = Terms(0, new_customers_only=True, ends_at=NOW)
    promoter = Promoter(event.customer, above=frozenset({MEI}), suspended={1: [(NOW, None)]})
    touch = replace(CLICK, bot_reason="a crawler", link_until=CLICK.touched_at)

    found = [verdict(event=event, terms=terms, promoter=promoter, touch=touch)]
    touch = replace(touch, bot_reason=None)
    found.append(verdict(event=event, terms=terms, promoter=promoter, touch=touch))
    touch = replace(touch, link_until=None)
    found.append(verdict(event=event, terms=terms, promoter=promoter, touch=touch))
    terms = replace(terms, ends_at=None)
    found.append(verdict(event=event, terms=terms, promoter=promoter, touch=touch))
    promoter = replace(promoter, suspended={})
    found.append(verdict(event=event, terms=terms, promoter=promoter, touch=touch))
    promoter = replace(promoter, person=Person(LIN))
    found.append(verdict(event=event, terms=terms, promoter=promoter, touch=touch))
    promoter = replace(promoter, above=frozenset())
    found.append(verdict(event=event, terms=terms, promoter=promoter, touch=touch))
    terms = replace(terms, window_days=1)
    found.append(verdict(event=event, terms=terms, promoter=promoter, touch=touch))
    event = replace(event, returning=False)
    found.append(verdict(event=event, terms=terms, promoter=promoter, touch=touch))

    assert found == [
        Verdict.BOT,
        Verdict.LINK_INACTIVE,
        Verdict.PROGRAM_CLOSED,
        Verdict.PROMOTER_INACTIVE,
        Verdict.SELF_REFERRAL,
        Verdict.OWN_DOWNLINE,
        Verdict.OUTSIDE_WINDOW,
        Verdict.NOT_NEW_CUSTOMER,
        None,
    ]


def test_a_bot_is_told_by_its_reason() -> None:
    refusal = eligibility.of_touch(
        MEI_BUYS, A_MONTH, A_PROMOTER, replace(CLICK, bot_reason="a crawler")
    )
    assert refusal == (Verdict.BOT, "not a person: a crawler")


@pytest.mark.parametrize(
    ("ago", "refused"),
    [
        (30 * DAY, None),
        (timedelta(hours=24 * 30) + TICK, Verdict.OUTSIDE_WINDOW),
        (timedelta(0), None),
        (-TICK, Verdict.OUTSIDE_WINDOW),
        (-DAY, Verdict.OUTSIDE_WINDOW),
    ],
    ids=["at the far end", "beyond it", "at the order", "just after it", "after it"],
)
def test_the_window_includes_both_its_ends(ago: timedelta, refused: Verdict | None) -> None:
    assert verdict(touch=replace(CLICK, touched_at=NOW - ago)) is refused


def test_a_window_of_zero_days_holds_the_instant_alone() -> None:
    at_once = replace(CLICK, touched_at=NOW)
    assert verdict(terms=Terms(0), touch=at_once) is None
    before = replace(CLICK, touched_at=NOW - TICK)
    assert verdict(terms=Terms(0), touch=before) is Verdict.OUTSIDE_WINDOW


@pytest.mark.parametrize(
    ("until", "refused"),
    [
        (None, None),
        (NOW, None),  # archived since, and before the conversion
        (CLICK.touched_at + TICK, None),
        (CLICK.touched_at, Verdict.LINK_INACTIVE),
        (CLICK.touched_at - DAY, Verdict.LINK_INACTIVE),
    ],
)
def test_a_link_is_judged_at_the_click(until: datetime | None, refused: Verdict | None) -> None:
    assert verdict(touch=replace(CLICK, link_until=until)) is refused


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "refused"),
    [
        (None, None, None),
        (NOW, None, None),
        (NOW + TICK, None, Verdict.PROGRAM_CLOSED),
        (None, NOW + TICK, None),
        (None, NOW, Verdict.PROGRAM_CLOSED),
        (NOW, NOW + TICK, None),
        (NOW - 2 * DAY, NOW - DAY, Verdict.PROGRAM_CLOSED),
    ],
)
def test_a_program_is_judged_at_the_conversion(
    starts_at: datetime | None, ends_at: datetime | None, refused: Verdict | None
) -> None:
    assert verdict(terms=Terms(30, starts_at=starts_at, ends_at=ends_at)) is refused


@pytest.mark.parametrize(
    ("since", "until", "refused"),
    [
        (NOW, None, Verdict.PROMOTER_INACTIVE),
        (NOW + TICK, None, None),
        (NOW - DAY, NOW, None),  # active again at that instant
        (NOW - DAY, NOW + TICK, Verdict.PROMOTER_INACTIVE),
        (NOW - 2 * DAY, NOW - DAY, None),  # though suspended at the click
    ],
)
def test_an_enrolment_is_judged_at_the_conversion(
    since: datetime, until: datetime | None, refused: Verdict | None
) -> None:
    assert verdict(promoter=replace(A_PROMOTER, suspended={1: [(since, until)]})) is refused
    assert verdict(promoter=replace(A_PROMOTER, suspended={2: [(since, until)]})) is None


def test_any_of_several_suspensions_counts() -> None:
    spans = [(NOW - 9 * DAY, NOW - 8 * DAY), (NOW - DAY, None)]
    for order in (spans, spans[::-1]):
        promoter = replace(A_PROMOTER, suspended={1: order})
        assert verdict(promoter=promoter) is Verdict.PROMOTER_INACTIVE


@pytest.mark.parametrize(
    ("customer", "promoter", "refused"),
    [
        (Person(LIN), Person(LIN), True),
        (Person(MEI, "mei@example.com"), Person(LIN, "mei@example.com"), True),
        (Person(MEI, "mei@example.com"), Person(LIN, "lin@example.com"), False),
        (Person(MEI), Person(LIN), False),  # without a mailbox nobody shares one
        (Person(MEI, wechat=frozenset("ab")), Person(LIN, wechat=frozenset("bc")), True),
        (Person(MEI, wechat=frozenset("a")), Person(LIN, wechat=frozenset("b")), False),
        (Person(None), Person(None), False),
        (Person(None), Person(LIN), False),
    ],
)
def test_one_person_behind_two_accounts_is_told_by_member_mailbox_and_wechat(
    customer: Person, promoter: Person, refused: bool
) -> None:
    event = replace(MEI_BUYS, customer=customer)
    found = verdict(event=event, promoter=Promoter(promoter))
    assert found is (Verdict.SELF_REFERRAL if refused else None)


def test_whoever_the_customer_brought_is_their_downline() -> None:
    below = replace(A_PROMOTER, above=frozenset({5, MEI}))
    assert verdict(promoter=below) is Verdict.OWN_DOWNLINE
    assert verdict(promoter=replace(below, above=frozenset({5}))) is None
    nobody = replace(MEI_BUYS, customer=Person(None))
    assert verdict(event=nobody, promoter=below) is None


def test_only_a_program_for_new_customers_refuses_those_who_bought_before() -> None:
    returning = replace(MEI_BUYS, returning=True)
    assert verdict(event=returning) is None
    new_only = Terms(30, new_customers_only=True)
    assert verdict(event=returning, terms=new_only) is Verdict.NOT_NEW_CUSTOMER
    assert verdict(terms=new_only) is None


@pytest.mark.parametrize(
    ("bound_at", "ends_at", "holds"),
    [
        (NOW, None, True),
        (NOW + TICK, None, False),
        (NOW - DAY, NOW + TICK, True),
        (NOW - DAY, NOW, False),
        (NOW - DAY, NOW - TICK, False),
    ],
)
def test_a_binding_holds_from_its_first_instant_and_not_at_its_last(
    bound_at: datetime, ends_at: datetime | None, holds: bool
) -> None:
    assert eligibility.holds(Bond(LIN, bound_at, ends_at), MEI_BUYS) is holds
