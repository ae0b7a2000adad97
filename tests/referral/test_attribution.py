"""Who brought an order, against a slow plain model of the rules, and at every boundary."""

import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from referral import attribution
from referral.attribution import WHOLE_PPM, Customer, Decision, Terms, Touch
from referral.models import Verdict
from tests.factories import NOW

TICK = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
LIN, WANG, MEI = 1, 2, 9
MEI_BUYS = Customer(MEI, "mei@example.com")
PAYS = {1: Terms(30, pays=True)}


def touch(
    ago: timedelta = DAY,
    *,
    number: int = 1,
    link: int = 1,
    program: int = 1,
    promoter: int = LIN,
    mailbox: str | None = None,
    visitor: str = "visitor",
    bot: str | None = None,
) -> Touch:
    return Touch(number, link, program, promoter, mailbox, visitor, NOW - ago, bot)


def decide(
    *touches: Touch, customer: Customer = MEI_BUYS, terms: Mapping[int, Terms] | None = None
) -> Decision:
    return attribution.decide(customer, NOW, touches, terms or PAYS)


def verdicts(decision: Decision) -> dict[int, Verdict]:
    return {judged.touch.id: judged.verdict for judged in decision.judged}


def credited(decision: Decision) -> list[int]:
    return [credit.touch.id for credit in decision.credits]


# --- the plain model: semantics.md, Referral, said once more as slowly as possible


def plain_visits(touches: Sequence[Touch]) -> list[Touch]:
    """Takes the earliest click left, and with it every click that belongs to its visit."""
    left = sorted(touches, key=lambda each: (each.touched_at, each.id))
    firsts = []
    while left:
        first = left[0]
        firsts.append(first)
        left = [
            click
            for click in left
            if click.visitor != first.visitor
            or click.link_id != first.link_id
            or (click.bot_reason is None) != (first.bot_reason is None)
            or click.touched_at > first.touched_at + timedelta(minutes=30)
        ]
    return firsts


def plain_decision(
    customer: Customer, at: datetime, touches: Sequence[Touch], terms: Mapping[int, Terms]
) -> tuple[dict[int, Verdict], set[int]]:
    """The verdict of every visit, and the touches that an attribution is made of."""
    seen = plain_visits(touches)

    def is_self(each: Touch) -> bool:
        same_mailbox = each.promoter_mailbox is not None and (
            each.promoter_mailbox == customer.mailbox
        )
        return each.promoter_id == customer.member_id or same_mailbox

    def is_in_window(each: Touch) -> bool:
        earliest = at - timedelta(hours=24 * terms[each.program_id].window_days)
        return earliest <= each.touched_at <= at

    eligible = [
        each for each in seen if not each.bot_reason and not is_self(each) and is_in_window(each)
    ]
    # Later in the list is later in time; at one instant the later id is the later touch.
    paying = [each for each in eligible if terms[each.program_id].pays]
    payer = paying[-1].program_id if paying else None
    last = {each.program_id: each.id for each in eligible}

    def verdict(each: Touch) -> Verdict:
        pays = terms[each.program_id].pays
        chain = [
            (Verdict.BOT, each.bot_reason is not None),
            (Verdict.SELF_REFERRAL, is_self(each)),
            (Verdict.OUTSIDE_WINDOW, not is_in_window(each)),
            (Verdict.OTHER_PROGRAM, pays and each.program_id != payer),
            (Verdict.SUPERSEDED, last.get(each.program_id) != each.id),
            (Verdict.NO_RULE, not pays),
            (Verdict.CREDITED, True),
        ]
        return next(name for name, applies in chain if applies)

    judged = {each.id: verdict(each) for each in seen}
    kept = {Verdict.CREDITED, Verdict.NO_RULE}
    return judged, {number for number, name in judged.items() if name in kept}


AGES = st.sampled_from(
    [
        timedelta(0),
        -TICK,
        TICK,
        -10 * MINUTE,
        10 * MINUTE,
        30 * MINUTE,
        30 * MINUTE + TICK,
        40 * MINUTE,
        60 * MINUTE,
        61 * MINUTE,
        DAY,
        DAY + TICK,
        DAY + 30 * MINUTE,
        2 * DAY,
        2 * DAY + TICK,
        5 * DAY,
    ]
)
LINKS: dict[int, tuple[int, int, str | None]] = {  # program, promoter, the promoter's mailbox
    1: (1, LIN, "lin@example.com"),
    2: (1, WANG, None),
    3: (2, LIN, "lin@example.com"),
    4: (3, WANG, None),
    5: (2, MEI, "mei@example.com"),
}


@st.composite
def clicks(draw: st.DrawFn) -> list[Touch]:
    numbers = draw(st.lists(st.integers(1, 99), max_size=9, unique=True))
    made = []
    for number in numbers:
        link = draw(st.sampled_from(sorted(LINKS)))
        program, promoter, mailbox = LINKS[link]
        made.append(
            touch(
                draw(AGES),
                number=number,
                link=link,
                program=program,
                promoter=promoter,
                mailbox=mailbox,
                visitor=draw(st.sampled_from(["phone", "desk"])),
                bot=draw(st.sampled_from([None, None, None, "a crawler"])),
            )
        )
    return made


TERMS = st.fixed_dictionaries(
    {number: st.builds(Terms, st.sampled_from([0, 1, 2, 5]), st.booleans()) for number in (1, 2, 3)}
)
CUSTOMERS = st.builds(
    Customer,
    st.sampled_from([LIN, WANG, MEI, 4]),
    st.sampled_from([None, "lin@example.com", "mei@example.com", "other@example.com"]),
)


@settings(deadline=None, max_examples=400)
@given(customer=CUSTOMERS, touches=clicks(), terms=TERMS)
def test_the_decision_is_that_of_the_plain_model(
    customer: Customer, touches: list[Touch], terms: dict[int, Terms]
) -> None:
    decision = decide(*touches, customer=customer, terms=terms)
    judged, credits = plain_decision(customer, NOW, touches, terms)
    assert verdicts(decision) == judged
    assert set(credited(decision)) == credits


@settings(deadline=None, max_examples=200)
@given(customer=CUSTOMERS, touches=clicks(), terms=TERMS, seed=st.integers(0, 999))
def test_whatever_was_clicked_the_invariants_hold(
    customer: Customer, touches: list[Touch], terms: dict[int, Terms], seed: int
) -> None:
    decision = decide(*touches, customer=customer, terms=terms)

    judged = [each.touch for each in decision.judged]
    assert judged == list(attribution.visits(touches))
    assert len({each.id for each in judged}) == len(judged)
    assert judged == sorted(judged, key=lambda each: (each.touched_at, each.id))
    assert sum(each.verdict is Verdict.CREDITED for each in decision.judged) <= 1
    programs = [credit.touch.program_id for credit in decision.credits]
    assert len(programs) == len(set(programs))
    assert sum(terms[each].pays for each in programs) <= 1
    assert all(credit.weight_ppm == WHOLE_PPM for credit in decision.credits)
    assert all(0 < len(each.detail) <= 200 for each in decision.judged)
    shuffled = random.Random(seed).sample(touches, len(touches))
    assert decide(*shuffled, customer=customer, terms=terms) == decision


# --- one rule at a time


def test_without_touches_nobody_is_credited() -> None:
    assert decide() == Decision([], [])


def test_the_last_touch_takes_the_whole_and_the_others_are_superseded() -> None:
    decision = decide(
        touch(3 * DAY, number=1), touch(DAY, number=3, link=2), touch(2 * DAY, number=2)
    )
    assert verdicts(decision) == {
        1: Verdict.SUPERSEDED,
        2: Verdict.SUPERSEDED,
        3: Verdict.CREDITED,
    }
    assert [(each.touch.id, each.weight_ppm) for each in decision.credits] == [(3, 1_000_000)]


@pytest.mark.parametrize(
    ("ago", "verdict"),
    [
        (timedelta(days=30), Verdict.CREDITED),
        (timedelta(hours=24 * 30) + TICK, Verdict.OUTSIDE_WINDOW),
        (timedelta(0), Verdict.CREDITED),
        (-TICK, Verdict.OUTSIDE_WINDOW),
        (-DAY, Verdict.OUTSIDE_WINDOW),
    ],
    ids=["at the far end", "beyond it", "at the order", "just after it", "after it"],
)
def test_the_window_includes_both_its_ends(ago: timedelta, verdict: Verdict) -> None:
    decision = decide(touch(ago))
    assert verdicts(decision) == {1: verdict}
    assert credited(decision) == ([1] if verdict is Verdict.CREDITED else [])


def test_every_program_has_its_own_window() -> None:
    terms = {1: Terms(1, pays=True), 2: Terms(7, pays=True)}
    decision = decide(
        touch(2 * DAY, number=1), touch(3 * DAY, number=2, link=3, program=2), terms=terms
    )
    assert verdicts(decision) == {1: Verdict.OUTSIDE_WINDOW, 2: Verdict.CREDITED}


def test_a_touch_outside_the_window_supersedes_nothing() -> None:
    decision = decide(touch(DAY, number=1), touch(-TICK, number=2, link=2))
    assert verdicts(decision) == {1: Verdict.CREDITED, 2: Verdict.OUTSIDE_WINDOW}


def test_a_window_of_zero_days_holds_the_instant_alone() -> None:
    terms = {1: Terms(0, pays=True)}
    assert verdicts(decide(touch(timedelta(0)), terms=terms)) == {1: Verdict.CREDITED}
    assert verdicts(decide(touch(TICK), terms=terms)) == {1: Verdict.OUTSIDE_WINDOW}


def test_at_one_instant_the_later_id_is_the_later_touch() -> None:
    first, second = touch(number=1), touch(number=2, link=2, promoter=WANG)
    for order in ((first, second), (second, first)):
        assert verdicts(decide(*order)) == {1: Verdict.SUPERSEDED, 2: Verdict.CREDITED}


def test_at_one_instant_the_later_id_decides_between_programs() -> None:
    terms = {1: Terms(30, pays=True), 2: Terms(30, pays=True)}
    decision = decide(touch(number=2), touch(number=1, link=3, program=2), terms=terms)
    assert verdicts(decision) == {1: Verdict.OTHER_PROGRAM, 2: Verdict.CREDITED}


def test_a_bot_is_never_credited_and_that_comes_first() -> None:
    decision = decide(touch(50 * DAY, bot="a crawler", promoter=MEI))
    assert verdicts(decision) == {1: Verdict.BOT}
    assert credited(decision) == []
    assert "a crawler" in decision.judged[0].detail


def test_a_bot_supersedes_nobody() -> None:
    decision = decide(touch(DAY, number=1), touch(MINUTE, number=2, bot="a crawler"))
    assert verdicts(decision) == {1: Verdict.CREDITED, 2: Verdict.BOT}


def test_a_bot_does_not_open_the_visit_of_a_person() -> None:
    decision = decide(touch(2 * MINUTE, number=1, bot="a preview"), touch(MINUTE, number=2))
    assert verdicts(decision) == {1: Verdict.BOT, 2: Verdict.CREDITED}


def test_a_promoter_cannot_bring_themselves() -> None:
    decision = decide(touch(promoter=MEI))
    assert verdicts(decision) == {1: Verdict.SELF_REFERRAL}
    assert credited(decision) == []


def test_a_promoter_with_the_customer_s_mailbox_is_the_customer() -> None:
    decision = decide(touch(mailbox="mei@example.com"))
    assert verdicts(decision) == {1: Verdict.SELF_REFERRAL}


def test_without_a_mailbox_nobody_shares_one() -> None:
    decision = decide(touch(mailbox=None), customer=Customer(MEI, None))
    assert verdicts(decision) == {1: Verdict.CREDITED}


def test_self_referral_comes_before_the_window() -> None:
    assert verdicts(decide(touch(99 * DAY, promoter=MEI))) == {1: Verdict.SELF_REFERRAL}


def test_an_own_link_does_not_take_a_promoter_s_place() -> None:
    decision = decide(touch(DAY, number=1), touch(MINUTE, number=2, link=5, promoter=MEI))
    assert verdicts(decision) == {1: Verdict.CREDITED, 2: Verdict.SELF_REFERRAL}


@pytest.mark.parametrize(
    ("apart", "opened"), [(TICK, 1), (30 * MINUTE, 1), (30 * MINUTE + TICK, 2)]
)
def test_clicks_within_30_minutes_of_the_first_are_one_visit(apart: timedelta, opened: int) -> None:
    found = attribution.visits([touch(DAY, number=1), touch(DAY - apart, number=2)])
    assert [each.id for each in found] == [1, 2][:opened]


def test_a_visit_is_measured_from_its_first_click_and_not_from_the_last() -> None:
    found = attribution.visits(
        touch(DAY - minutes * MINUTE, number=number)
        for number, minutes in enumerate((0, 20, 40, 60, 70, 71), start=1)
    )
    assert [each.id for each in found] == [1, 3, 6]


def test_a_visit_is_one_visitor_s_on_one_link() -> None:
    found = attribution.visits(
        [touch(number=1), touch(number=2, link=2), touch(number=3, visitor="other")]
    )
    assert [each.id for each in found] == [1, 2, 3]


def test_a_visit_counts_at_the_time_of_its_first_click() -> None:
    far = timedelta(days=30)
    assert verdicts(decide(touch(far + TICK, number=1), touch(far - MINUTE, number=2))) == {
        1: Verdict.OUTSIDE_WINDOW
    }
    later = touch(-MINUTE, number=2)
    assert verdicts(decide(touch(MINUTE, number=1), later)) == {1: Verdict.CREDITED}


def test_the_program_with_the_newest_touch_pays_alone() -> None:
    terms = {1: Terms(30, pays=True), 2: Terms(30, pays=True)}
    decision = decide(
        touch(3 * DAY, number=1),
        touch(2 * DAY, number=2, link=3, program=2),
        touch(DAY, number=3, link=2),
        terms=terms,
    )
    assert verdicts(decision) == {
        1: Verdict.SUPERSEDED,
        2: Verdict.OTHER_PROGRAM,
        3: Verdict.CREDITED,
    }
    assert credited(decision) == [3]


def test_a_program_that_pays_nobody_does_not_stand_in_the_way() -> None:
    terms = {1: Terms(30, pays=True), 2: Terms(30, pays=False)}
    decision = decide(
        touch(2 * DAY, number=1), touch(DAY, number=2, link=3, program=2), terms=terms
    )
    assert verdicts(decision) == {1: Verdict.CREDITED, 2: Verdict.NO_RULE}
    assert credited(decision) == [1, 2]


def test_a_paying_program_whose_touches_do_not_count_does_not_stand_in_the_way() -> None:
    terms = {1: Terms(30, pays=True), 2: Terms(1, pays=True)}
    decision = decide(
        touch(9 * DAY, number=1),
        touch(2 * DAY, number=2, link=3, program=2),
        touch(DAY, number=3, link=5, program=2, promoter=MEI),
        terms=terms,
    )
    assert verdicts(decision) == {
        1: Verdict.CREDITED,
        2: Verdict.OUTSIDE_WINDOW,
        3: Verdict.SELF_REFERRAL,
    }


def test_without_a_rule_the_attribution_stands_and_the_rest_is_superseded() -> None:
    decision = decide(
        touch(2 * DAY, number=1), touch(DAY, number=2), terms={1: Terms(30, pays=False)}
    )
    assert verdicts(decision) == {1: Verdict.SUPERSEDED, 2: Verdict.NO_RULE}
    assert credited(decision) == [2]
