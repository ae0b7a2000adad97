"""Who brought a conversion, against a slow plain model of the rules, and at every boundary."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from members.models import Asset, Role
from referral import attribution, rewards
from referral.attribution import Decision
from referral.evidence import Bond, Event, Person, Promoter, Terms, Touch, visits
from referral.models import AttributionModel, BindingMode, ConversionType, RewardRule, Verdict
from tests.factories import NOW
from tests.referral import plain

TICK = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
LIN, WANG, CHEN, ZHOU, MEI = 1, 2, 3, 4, 9
MEI_BUYS = Event(Person(MEI, "mei@example.com"), NOW, 10_000)


def rule(rate_bps: int | None = 1_000, *, number: int = 1, **fields: Any) -> RewardRule:
    given = {"asset": Asset.CASH, "level": 1, "role": None, "amount": None, **fields}
    given = {"cap_per_conversion": None, **given}
    return RewardRule(
        id=number, program_id=1, version=1, on=ConversionType.ORDER, rate_bps=rate_bps, **given
    )


TENTH = rule()
PAYS = Terms(30, [TENTH])


def touch(
    ago: timedelta = DAY,
    *,
    number: int = 1,
    link: int = 1,
    program: int = 1,
    promoter: int = LIN,
    visitor: str = "visitor",
    bot: str | None = None,
    until: datetime | None = None,
) -> Touch:
    return Touch(number, link, program, promoter, visitor, NOW - ago, bot, until)


def decide(
    *touches: Touch,
    event: Event = MEI_BUYS,
    terms: Mapping[int, Terms] | None = None,
    promoters: Mapping[int, Promoter] | None = None,
) -> Decision:
    """Program 1 pays a tenth unless told otherwise, and nothing is known against anybody."""
    everybody = {each: Promoter(Person(each)) for each in (LIN, WANG, CHEN, ZHOU, MEI)}
    return attribution.decide(
        event, touches, {1: PAYS} | dict(terms or {}), everybody | dict(promoters or {})
    )


def verdicts(decision: Decision) -> dict[int, Verdict]:
    """By touch, a binding being 0."""
    return {judged.touch.id if judged.touch else 0: judged.verdict for judged in decision.judged}


def shares(decision: Decision) -> list[tuple[int, int, int]]:
    """Promoter, level and share."""
    return [(each.promoter_id, each.level, each.weight_ppm) for each in decision.shares]


def paid(decision: Decision) -> list[tuple[int, int, int, int]]:
    """Promoter, level, rule and amount."""
    return [
        (share.promoter_id, share.level, reward.rule.id, reward.amount)
        for share, reward in decision.rewards
    ]


def found(decision: Decision) -> plain.Outcome:
    """The decision in the shape of the plain model's; nothing may be there twice."""
    outcome = plain.Outcome(
        {(each.program_id, each.touch and each.touch.id): each.verdict for each in decision.judged},
        {
            (each.program_id, each.promoter_id, each.level): each.weight_ppm
            for each in decision.shares
        },
        {
            (share.program_id, share.promoter_id, share.level, reward.rule.asset): (
                reward.rule.id,
                reward.amount,
            )
            for share, reward in decision.rewards
        },
        dict(decision.bonds),
    )
    assert len(outcome.verdicts) == len(decision.judged)
    assert len(outcome.shares) == len(decision.shares)
    assert len(outcome.rewards) == len(decision.rewards)
    assert len(outcome.bonds) == len(decision.bonds)
    return outcome


# ---- what may have happened


@dataclass(frozen=True)
class Story:
    """All that a decision is made from."""

    event: Event
    touches: Sequence[Touch]
    terms: Mapping[int, Terms]
    promoters: Mapping[int, Promoter]

    def decide(self) -> Decision:
        return attribution.decide(self.event, self.touches, self.terms, self.promoters)


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
        7 * DAY,
        7 * DAY + TICK,
        14 * DAY,
        150 * DAY,
    ]
)
PROGRAMS = 1, 2, 3
PROMOTERS = LIN, WANG, CHEN, ZHOU
ROLES = [Role.MEMBER, Role.KOC, Role.EMPLOYEE]
SPANS = [
    (NOW, None),
    (NOW + TICK, None),
    (NOW - DAY, NOW),
    (NOW - DAY, NOW + TICK),
    (NOW - 2 * DAY, NOW - DAY),
]
BONDS = [
    [],
    [(NOW - DAY, None)],
    [(NOW - 2 * DAY, None)],
    [(NOW, None)],
    [(NOW + TICK, None)],
    [(NOW - DAY, NOW)],
    [(NOW - DAY, NOW + TICK)],
    [(NOW - 2 * DAY, NOW - DAY), (NOW - DAY, None)],
    [(NOW - 2 * DAY, NOW), (NOW + DAY, None)],
]

# Terms and promoters are picked from many that are made here once: quicker by far than to have
# every field drawn, and what speaks against somebody is rare enough for several to count.
DICE = random.Random(5)


def seldom(*values: Any, otherwise: Any = None) -> Any:
    return DICE.choice(values) if DICE.random() < 0.1 else otherwise


def some_rule(number: int) -> RewardRule:
    rate_bps = DICE.choice([None, 0, 1, 333, 1_000, 1_000, 10_000])
    return rule(
        rate_bps,
        number=number,
        amount=DICE.choice([0, 1, 100, 1_001]) if rate_bps is None else None,
        asset=DICE.choice([*Asset]),
        level=DICE.choice([1, 1, 2]),
        role=DICE.choice([None, None, Role.KOC, Role.EMPLOYEE]),
        cap_per_conversion=DICE.choice([None, None, 0, 7, 10**6]),
    )


def some_terms() -> Terms:
    return Terms(
        window_days=DICE.choice([0, 1, 2, 7, 30, 30, 30, 200, 200]),
        rules=[some_rule(number) for number in range(1, DICE.randint(1, 6))],
        model=DICE.choice([*AttributionModel]),
        binding=DICE.choice([*BindingMode]),
        new_customers_only=seldom(True, otherwise=False),
        group=DICE.choice(["default", "default", "board", None]),
        starts_at=seldom(NOW - DAY, NOW, NOW + TICK),
        ends_at=seldom(NOW - DAY, NOW, NOW + TICK),
    )


def some_promoter(number: int) -> Promoter:
    parents = {program: DICE.choice([*PROMOTERS, MEI, None]) for program in PROGRAMS}
    return Promoter(
        Person(
            number,
            seldom("mei@example.com", "lin@example.com"),
            frozenset(seldom("a", "ab", "b", otherwise="")),
        ),
        roles=frozenset(DICE.sample(ROLES, DICE.randint(0, 3))),
        above=frozenset(seldom([MEI], [ZHOU, MEI], [ZHOU], otherwise=[])),
        parents={
            program: parent for program, parent in parents.items() if parent not in (None, number)
        },
        suspended={
            program: DICE.sample(SPANS, DICE.randint(1, 2)) for program in PROGRAMS if seldom(True)
        },
    )


TERMS = st.sampled_from([PAYS, *[some_terms() for _ in range(400)]])
KNOWN = {
    each: st.sampled_from([Promoter(Person(each)), *[some_promoter(each) for _ in range(100)]])
    for each in (*PROMOTERS, MEI)
}
CUSTOMERS = st.sampled_from(
    [
        Person(MEI),
        Person(MEI, "mei@example.com"),
        Person(MEI, "mei@example.com", frozenset("a")),
        Person(MEI, None, frozenset("ab")),
        Person(LIN),
        Person(None),
    ]
)
LINKS = st.tuples(
    st.sampled_from(PROGRAMS),
    st.sampled_from(PROMOTERS),
    st.sampled_from([*[None] * 9, NOW - DAY, NOW - 30 * MINUTE]),
)
CLICKS = st.tuples(
    st.integers(0, 5),
    AGES,
    st.sampled_from([*[("phone", None), ("desk", None)] * 3, ("desk", "a crawler")]),
)
EVENTS = st.builds(
    Event,
    customer=CUSTOMERS,
    occurred_at=st.just(NOW),
    amount=st.sampled_from([10_000, None, 0, 1, 5, 99, 12_345, 10**15]),
    returning=st.booleans(),
    binds=st.sampled_from(
        [BindingMode.ON_REGISTRATION, BindingMode.ON_FIRST_ORDER] * 2 + [BindingMode.NONE]
    ),
)


@st.composite
def stories(draw: st.DrawFn) -> Story:
    links = draw(st.lists(LINKS, min_size=6, max_size=6))
    numbers = draw(st.lists(st.integers(1, 99), max_size=9, unique=True))
    touches = []
    for number in numbers:
        link, ago, (visitor, bot) = draw(CLICKS)
        program, promoter, until = links[link]
        made = touch(
            ago, number=number, link=link, program=program, promoter=promoter, visitor=visitor
        )
        touches.append(replace(made, bot_reason=bot, link_until=until))
    event = draw(EVENTS)
    if touches and draw(st.integers(0, 3)) == 3:
        touches[0] = replace(touches[0], touched_at=NOW, bot_reason=None)
        event = replace(event, typed=touches[0].id)
    if event.customer.member_id is not None:
        bonds = {
            program: [Bond(draw(st.sampled_from(PROMOTERS)), *span) for span in spans]
            for program in PROGRAMS
            if (spans := draw(st.sampled_from([*[[]] * 9, *BONDS])))
        }
        event = replace(event, bonds=bonds)
    promoters = {each: draw(known) for each, known in KNOWN.items()}
    return Story(event, touches, {each: draw(TERMS) for each in PROGRAMS}, promoters)


# ---- the plain model, and what holds whatever happened


@settings(deadline=None, max_examples=400)
@given(story=stories())
def test_the_decision_is_that_of_the_plain_model(story: Story) -> None:
    expected = plain.outcome(story.event, story.touches, story.terms, story.promoters)
    assert found(story.decide()) == expected


@settings(deadline=None, max_examples=100)
@given(story=stories(), seed=st.integers(0, 999))
def test_every_visit_has_one_verdict_in_whatever_order_the_clicks_are_told(
    story: Story, seed: int
) -> None:
    decision = story.decide()
    judged = [each.touch for each in decision.judged if each.touch]
    opened = plain.visits(story.touches, story.event.typed)
    assert list(visits(story.touches, story.event.typed)) == opened
    assert judged == sorted(opened, key=lambda each: (each.program_id, each.touched_at, each.id))
    assert all(0 < len(each.detail) <= 200 for each in decision.judged)
    assert all(
        (each.touch is None) or (each.promoter_id == each.touch.promoter_id)
        for each in decision.judged
    )
    shuffled = random.Random(seed).sample(list(story.touches), len(story.touches))
    again = replace(story, touches=shuffled).decide()
    assert found(again) == found(decision)
    assert (again.shares, again.bonds, again.judged) == (
        decision.shares,
        decision.bonds,
        decision.judged,
    )


@settings(deadline=None, max_examples=100)
@given(story=stories())
def test_shares_of_the_first_level_sum_to_the_whole_in_every_program_that_has_one(
    story: Story,
) -> None:
    sums: dict[tuple[int, int], int] = defaultdict(int)
    decision = story.decide()
    for share in decision.shares:
        assert share.weight_ppm > 0
        sums[share.program_id, share.level] += share.weight_ppm
    assert {total for (_, level), total in sums.items() if level == 1} <= {1_000_000}
    for (program_id, _), total in sums.items():
        assert (program_id, 1) in sums
        assert total <= 1_000_000
    bearers = {(each.program_id, each.promoter_id, each.level) for each in decision.shares}
    for share, _ in decision.rewards:
        assert (share.program_id, share.promoter_id, share.level) in bearers


@settings(deadline=None, max_examples=100)
@given(story=stories())
def test_the_programs_of_a_group_never_pay_twice(story: Story) -> None:
    payers: dict[str, set[int]] = defaultdict(set)
    for share, reward in story.decide().rewards:
        group = story.terms[share.program_id].group
        if group is not None and reward.amount > 0:
            payers[group].add(share.program_id)
    assert all(len(programs) == 1 for programs in payers.values())


@settings(deadline=None, max_examples=100)
@given(story=stories())
def test_a_rule_that_everybody_matches_pays_its_whole_and_no_rule_pays_more(story: Story) -> None:
    decision = story.decide()
    everybody = {
        each.program_id: sum(
            one.program_id == each.program_id and one.level == 1 for one in decision.shares
        )
        for each in decision.shares
    }
    parts: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for share, reward in decision.rewards:
        parts[share.program_id, share.level, reward.rule.id].append(reward.amount)
    for (program_id, level, number), amounts in parts.items():
        one = next(each for each in story.terms[program_id].rules if each.id == number)
        whole = plain.commission(one, story.event.amount or 0)
        assert sum(amounts) <= whole
        if level == 1 and len(amounts) == everybody[program_id]:
            assert sum(amounts) == whole


@settings(deadline=None, max_examples=100)
@given(story=stories(), steps=st.lists(st.integers(1, 10**6), min_size=1, max_size=8))
def test_refunds_take_back_exactly_what_a_decision_gave(story: Story, steps: list[int]) -> None:
    event = replace(story.event, amount=sum(steps))
    for _, reward in replace(story, event=event).decide().rewards:
        totals = [
            rewards.reversed_total(reward.amount, refunded, sum(steps))
            for refunded in accumulate(steps)
        ]
        assert totals == sorted(totals)
        assert totals[-1] == reward.amount


@settings(deadline=None, max_examples=100)
@given(story=stories())
def test_nobody_is_bound_twice_or_to_somebody_who_was_not_credited(story: Story) -> None:
    decision = story.decide()
    brought = {(each.program_id, each.promoter_id) for each in decision.shares if each.level == 1}
    for program_id, promoter_id in decision.bonds:
        assert (program_id, promoter_id) in brought
        assert promoter_id != story.event.customer.member_id
        assert story.event.customer.member_id not in story.promoters[promoter_id].above
        for bond in story.event.bonds.get(program_id, ()):
            assert bond.ends_at is not None
            assert bond.ends_at <= NOW


# ---- visits


@pytest.mark.parametrize(
    ("apart", "opened"), [(TICK, 1), (30 * MINUTE, 1), (30 * MINUTE + TICK, 2)]
)
def test_clicks_within_30_minutes_of_the_first_are_one_visit(apart: timedelta, opened: int) -> None:
    seen = visits([touch(DAY, number=1), touch(DAY - apart, number=2)])
    assert [each.id for each in seen] == [1, 2][:opened]


def test_a_visit_is_measured_from_its_first_click_and_not_from_the_last() -> None:
    seen = visits(
        touch(DAY - minutes * MINUTE, number=number)
        for number, minutes in enumerate((0, 20, 40, 60, 70, 71), start=1)
    )
    assert [each.id for each in seen] == [1, 3, 6]


def test_a_visit_is_one_visitor_s_on_one_link() -> None:
    seen = visits([touch(number=1), touch(number=2, link=2), touch(number=3, visitor="other")])
    assert [each.id for each in seen] == [1, 2, 3]


def test_a_visit_counts_at_the_time_of_its_first_click() -> None:
    far = timedelta(days=30)
    assert verdicts(decide(touch(far + TICK, number=1), touch(far - MINUTE, number=2))) == {
        1: Verdict.OUTSIDE_WINDOW
    }
    later = touch(-MINUTE, number=2)
    assert verdicts(decide(touch(MINUTE, number=1), later)) == {1: Verdict.CREDITED}
    archived = touch(DAY, number=1, until=NOW - DAY + TICK)
    assert verdicts(decide(archived, replace(archived, id=2, touched_at=NOW - DAY + TICK))) == {
        1: Verdict.CREDITED
    }


def test_a_bot_does_not_open_the_visit_of_a_person() -> None:
    decision = decide(touch(2 * MINUTE, number=1, bot="a preview"), touch(MINUTE, number=2))
    assert verdicts(decision) == {1: Verdict.BOT, 2: Verdict.CREDITED}


def test_a_visit_of_several_clicks_is_one_touch_to_a_model() -> None:
    clicked = [touch(DAY - minute * MINUTE, number=1 + minute) for minute in range(9)]
    later = touch(MINUTE, number=99, link=2, promoter=WANG)
    linear = {1: replace(PAYS, model=AttributionModel.LINEAR)}
    assert shares(decide(*clicked, later, terms=linear)) == [(LIN, 1, 500_000), (WANG, 1, 500_000)]


# ---- models


def test_without_touches_nobody_is_credited() -> None:
    assert decide() == Decision([], [], [], [])


def test_the_last_touch_takes_the_whole_and_the_others_are_superseded() -> None:
    decision = decide(
        touch(3 * DAY, number=1),
        touch(DAY, number=3, link=2, promoter=WANG),
        touch(2 * DAY, number=2),
    )
    assert verdicts(decision) == {
        1: Verdict.SUPERSEDED,
        2: Verdict.SUPERSEDED,
        3: Verdict.CREDITED,
    }
    assert shares(decision) == [(WANG, 1, 1_000_000)]
    assert paid(decision) == [(WANG, 1, 1, 1_000)]
    assert [each.link_id for each in decision.shares] == [2]


def test_the_first_touch_within_the_window_takes_the_whole() -> None:
    decision = decide(
        touch(31 * DAY, number=1),
        touch(30 * DAY, number=2, promoter=WANG, link=2),
        touch(DAY, number=3),
        terms={1: replace(PAYS, model=AttributionModel.FIRST_TOUCH)},
    )
    assert verdicts(decision) == {
        1: Verdict.OUTSIDE_WINDOW,
        2: Verdict.CREDITED,
        3: Verdict.SUPERSEDED,
    }
    assert shares(decision) == [(WANG, 1, 1_000_000)]


def test_touches_of_one_promoter_add_up_and_the_parts_are_of_one_commission() -> None:
    decision = decide(
        touch(3 * DAY, number=1),
        touch(2 * DAY, number=2, link=2, promoter=WANG),
        touch(DAY, number=3),
        event=replace(MEI_BUYS, amount=1_005),
        terms={1: replace(PAYS, model=AttributionModel.LINEAR)},
    )
    assert set(verdicts(decision).values()) == {Verdict.CREDITED}
    assert shares(decision) == [(LIN, 1, 666_667), (WANG, 1, 333_333)]
    assert paid(decision) == [(LIN, 1, 1, 67), (WANG, 1, 1, 34)]  # of 100.5, rounded first


def test_consecutive_repeats_are_kept() -> None:
    decision = decide(
        *[touch(each * DAY, number=9 - each, link=each) for each in (4, 3, 2)],
        touch(DAY, number=9, promoter=WANG),
        terms={1: replace(PAYS, model=AttributionModel.LINEAR)},
    )
    assert shares(decision) == [(LIN, 1, 750_000), (WANG, 1, 250_000)]


@pytest.mark.parametrize(
    ("touches", "expected"),
    [
        (1, {LIN: 1_000_000}),
        (2, {LIN: 500_000, WANG: 500_000}),
        (3, {LIN: 400_000, WANG: 200_000, CHEN: 400_000}),
        (4, {LIN: 400_000, WANG: 100_000, CHEN: 100_000, ZHOU: 400_000}),
    ],
)
def test_by_position_of_one_to_four_touches(touches: int, expected: dict[int, int]) -> None:
    decision = decide(
        *[touch(-each * MINUTE + DAY, number=each, link=each, promoter=each) for each in PROMOTERS][
            :touches
        ],
        terms={1: replace(PAYS, model=AttributionModel.POSITION_BASED)},
    )
    assert shares(decision) == [(each, 1, share) for each, share in expected.items()]


def test_seven_days_before_is_worth_exactly_half() -> None:
    decision = decide(
        touch(7 * DAY, number=1),
        touch(timedelta(0), number=2, promoter=WANG, link=2),
        terms={1: replace(PAYS, model=AttributionModel.TIME_DECAY)},
    )
    assert shares(decision) == [(LIN, 1, 333_333), (WANG, 1, 666_667)]


@pytest.mark.parametrize(
    ("model", "credited"),
    [(AttributionModel.LAST_TOUCH, 2), (AttributionModel.FIRST_TOUCH, 1)],
)
def test_at_one_instant_the_later_id_is_the_later_touch(
    model: AttributionModel, credited: int
) -> None:
    first, second = touch(number=1), touch(number=2, link=2, promoter=WANG)
    for order in ((first, second), (second, first)):
        decision = decide(*order, terms={1: replace(PAYS, model=model)})
        assert verdicts(decision)[credited] is Verdict.CREDITED
        assert shares(decision) == [(credited, 1, 1_000_000)]


def test_a_touch_that_does_not_count_takes_nobody_s_place() -> None:
    decision = decide(
        touch(DAY, number=1),
        touch(-TICK, number=2, link=2),
        touch(3 * MINUTE, number=3, link=3, promoter=MEI),
        touch(2 * MINUTE, number=4, link=4, bot="a crawler"),
        touch(MINUTE, number=5, link=5, promoter=WANG, until=NOW - MINUTE),
    )
    assert verdicts(decision) == {
        1: Verdict.CREDITED,
        2: Verdict.OUTSIDE_WINDOW,
        3: Verdict.SELF_REFERRAL,
        4: Verdict.BOT,
        5: Verdict.LINK_INACTIVE,
    }


# ---- rules


def test_without_a_rule_the_attribution_stands_and_the_rest_is_superseded() -> None:
    decision = decide(touch(2 * DAY, number=1), touch(DAY, number=2), terms={1: Terms(30)})
    assert verdicts(decision) == {1: Verdict.SUPERSEDED, 2: Verdict.NO_RULE}
    assert shares(decision) == [(LIN, 1, 1_000_000)]
    assert paid(decision) == []


def test_an_order_of_zero_earns_nothing_not_even_a_fixed_amount() -> None:
    terms = {1: Terms(30, [rule(None, amount=500), rule(None, amount=100, level=2)])}
    lin = {LIN: Promoter(Person(LIN), parents={1: WANG})}
    free = decide(touch(), event=replace(MEI_BUYS, amount=None), terms=terms, promoters=lin)
    assert (verdicts(free), paid(free)) == ({1: Verdict.NO_RULE}, [])
    assert shares(free) == [(LIN, 1, 1_000_000)]
    postage = decide(touch(), event=replace(MEI_BUYS, amount=0), terms=terms, promoters=lin)
    assert (verdicts(postage), paid(postage)) == (
        {1: Verdict.CREDITED},
        [(LIN, 1, 1, 500), (WANG, 2, 1, 100)],
    )


def test_only_those_whom_a_rule_matches_are_credited() -> None:
    decision = decide(
        touch(2 * DAY, number=1),
        touch(DAY, number=2, link=2, promoter=WANG),
        terms={1: Terms(30, [rule(role=Role.KOC)], AttributionModel.LINEAR)},
        promoters={WANG: Promoter(Person(WANG), frozenset({Role.KOC}))},
    )
    assert verdicts(decision) == {1: Verdict.NO_RULE, 2: Verdict.CREDITED}
    assert shares(decision) == [(LIN, 1, 500_000), (WANG, 1, 500_000)]
    assert paid(decision) == [(WANG, 1, 1, 500)]


# ---- level 2

TWO_LEVELS = Terms(30, [rule(number=1), rule(300, number=2, level=2)])
BELOW_WANG = Promoter(Person(LIN), parents={1: WANG})


def test_the_parent_is_paid_at_the_same_time() -> None:
    decision = decide(touch(), terms={1: TWO_LEVELS}, promoters={LIN: BELOW_WANG})
    assert shares(decision) == [(LIN, 1, 1_000_000), (WANG, 2, 1_000_000)]
    assert paid(decision) == [(LIN, 1, 1, 1_000), (WANG, 2, 2, 300)]
    assert verdicts(decision) == {1: Verdict.CREDITED}


def test_there_is_no_third_level() -> None:
    wang = Promoter(Person(WANG), parents={1: CHEN})
    decision = decide(touch(), terms={1: TWO_LEVELS}, promoters={LIN: BELOW_WANG, WANG: wang})
    assert [each.promoter_id for each in decision.shares] == [LIN, WANG]


def test_a_parent_in_another_program_gets_nothing_in_this_one() -> None:
    lin = Promoter(Person(LIN), parents={2: WANG})
    decision = decide(touch(), terms={1: TWO_LEVELS}, promoters={LIN: lin})
    assert shares(decision) == [(LIN, 1, 1_000_000)]


def test_without_a_rule_of_theirs_a_parent_has_no_share() -> None:
    assert shares(decide(touch(), promoters={LIN: BELOW_WANG})) == [(LIN, 1, 1_000_000)]
    koc = Terms(30, [rule(number=1), rule(300, number=2, level=2, role=Role.KOC)])
    lin = replace(BELOW_WANG, roles=frozenset({Role.KOC}))  # the receiver's role is meant
    assert shares(decide(touch(), terms={1: koc}, promoters={LIN: lin})) == [(LIN, 1, 1_000_000)]


@pytest.mark.parametrize(
    "parent",
    [
        Promoter(Person(WANG, "mei@example.com")),
        Promoter(Person(WANG, wechat=frozenset("m"))),
        Promoter(Person(WANG), above=frozenset({MEI})),
        Promoter(Person(WANG), suspended={1: [(NOW, None)]}),
    ],
    ids=["same mailbox", "same WeChat", "own downline", "suspended"],
)
def test_a_parent_passes_the_checks_of_the_first_level(parent: Promoter) -> None:
    event = replace(MEI_BUYS, customer=Person(MEI, "mei@example.com", frozenset("m")))
    promoters = {LIN: BELOW_WANG, WANG: parent}
    decision = decide(touch(), event=event, terms={1: TWO_LEVELS}, promoters=promoters)
    assert paid(decision) == [(LIN, 1, 1, 1_000)]
    assert verdicts(decision) == {1: Verdict.CREDITED}


def test_the_customer_as_parent_gets_nothing() -> None:
    lin = Promoter(Person(LIN), parents={1: MEI})
    assert paid(decide(touch(), terms={1: TWO_LEVELS}, promoters={LIN: lin})) == [
        (LIN, 1, 1, 1_000)
    ]


def test_a_part_without_a_parent_is_not_paid_and_goes_to_no_other_parent() -> None:
    terms = {1: replace(TWO_LEVELS, model=AttributionModel.LINEAR)}
    touches = touch(2 * DAY, number=1), touch(DAY, number=2, link=2, promoter=CHEN)
    decision = decide(*touches, terms=terms, promoters={LIN: BELOW_WANG})
    assert shares(decision) == [(LIN, 1, 500_000), (CHEN, 1, 500_000), (WANG, 2, 500_000)]
    assert paid(decision) == [(LIN, 1, 1, 500), (CHEN, 1, 1, 500), (WANG, 2, 2, 150)]


def test_a_parent_of_two_has_both_their_parts() -> None:
    terms = {1: replace(TWO_LEVELS, model=AttributionModel.LINEAR)}
    touches = touch(2 * DAY, number=1), touch(DAY, number=2, link=2, promoter=CHEN)
    chen = Promoter(Person(CHEN), parents={1: WANG})
    decision = decide(*touches, terms=terms, promoters={LIN: BELOW_WANG, CHEN: chen})
    assert shares(decision)[2:] == [(WANG, 2, 1_000_000)]
    assert paid(decision)[2:] == [(WANG, 2, 2, 300)]


def test_a_promoter_may_stand_at_both_levels() -> None:
    terms = {1: replace(TWO_LEVELS, model=AttributionModel.LINEAR)}
    touches = touch(2 * DAY, number=1), touch(DAY, number=2, link=2, promoter=WANG)
    decision = decide(*touches, terms=terms, promoters={LIN: BELOW_WANG})
    assert paid(decision) == [(LIN, 1, 1, 500), (WANG, 1, 1, 500), (WANG, 2, 2, 150)]


# ---- groups


def in_both(
    *, one: Terms = PAYS, two: Terms = PAYS, bonds: Mapping[int, Sequence[Bond]] | None = None
) -> Decision:
    """LIN's touch in program 1 is the older, WANG's in program 2 the newer."""
    return decide(
        touch(2 * DAY, number=1),
        touch(DAY, number=2, link=2, program=2, promoter=WANG),
        event=replace(MEI_BUYS, bonds=bonds or {}),
        terms={1: one, 2: two},
    )


def test_the_program_with_the_newest_touch_decides_and_the_other_has_no_attribution() -> None:
    decision = in_both()
    assert verdicts(decision) == {1: Verdict.OTHER_PROGRAM, 2: Verdict.CREDITED}
    assert shares(decision) == [(WANG, 1, 1_000_000)]
    assert paid(decision) == [(WANG, 1, 1, 1_000)]


def test_in_the_other_program_everything_eligible_is_of_another_program() -> None:
    decision = decide(
        touch(3 * DAY, number=1),
        touch(2 * DAY, number=2, link=3),
        touch(99 * DAY, number=3, link=4),
        touch(DAY, number=4, link=2, program=2, promoter=WANG),
        terms={2: PAYS},
    )
    assert verdicts(decision) == {
        1: Verdict.OTHER_PROGRAM,
        2: Verdict.OTHER_PROGRAM,
        3: Verdict.OUTSIDE_WINDOW,
        4: Verdict.CREDITED,
    }


def test_the_latest_touch_is_asked_for_and_not_the_credited_one() -> None:
    decision = decide(
        touch(9 * DAY, number=1),
        touch(DAY, number=2, link=3),
        touch(2 * DAY, number=3, link=2, program=2, promoter=WANG),
        terms={1: replace(PAYS, model=AttributionModel.FIRST_TOUCH), 2: PAYS},
    )
    assert verdicts(decision) == {
        1: Verdict.CREDITED,
        2: Verdict.SUPERSEDED,
        3: Verdict.OTHER_PROGRAM,
    }


def test_at_one_instant_the_later_id_decides_between_programs() -> None:
    touches = touch(number=2), touch(number=1, link=3, program=2)
    decision = decide(*touches, terms={2: PAYS})
    assert verdicts(decision) == {1: Verdict.OTHER_PROGRAM, 2: Verdict.CREDITED}


@pytest.mark.parametrize("group", [None, "board"])
def test_programs_of_no_group_or_of_different_ones_pay_side_by_side(group: str | None) -> None:
    decision = in_both(one=replace(PAYS, group=group))
    assert verdicts(decision) == {1: Verdict.CREDITED, 2: Verdict.CREDITED}
    assert paid(decision) == [(LIN, 1, 1, 1_000), (WANG, 1, 1, 1_000)]


def test_two_programs_without_a_group_are_not_one_group() -> None:
    alone = replace(PAYS, group=None)
    assert set(verdicts(in_both(one=alone, two=alone)).values()) == {Verdict.CREDITED}


def test_a_program_that_pays_nobody_does_not_stand_in_the_way() -> None:
    decision = in_both(two=Terms(30))
    assert verdicts(decision) == {1: Verdict.CREDITED, 2: Verdict.NO_RULE}
    assert shares(decision) == [(LIN, 1, 1_000_000), (WANG, 1, 1_000_000)]


def test_a_program_whose_touches_do_not_count_does_not_stand_in_the_way() -> None:
    decision = in_both(two=replace(PAYS, ends_at=NOW))
    assert verdicts(decision) == {1: Verdict.CREDITED, 2: Verdict.PROGRAM_CLOSED}


def test_the_oldest_active_binding_decides_before_the_newest_touch() -> None:
    decision = in_both(bonds={1: [Bond(CHEN, NOW - DAY)]})
    assert verdicts(decision) == {
        0: Verdict.CREDITED,
        1: Verdict.BOUND_TO_OTHER,
        2: Verdict.OTHER_PROGRAM,
    }
    older = in_both(bonds={1: [Bond(LIN, NOW - DAY)], 2: [Bond(WANG, NOW - DAY - TICK)]})
    assert shares(older) == [(WANG, 1, 1_000_000)]
    assert [each.verdict for each in older.judged if each.touch is None] == [
        Verdict.OTHER_PROGRAM,
        Verdict.CREDITED,
    ]


def test_a_binding_that_pays_nobody_does_not_stand_in_the_way() -> None:
    decision = in_both(one=Terms(30), bonds={1: [Bond(LIN, NOW - DAY)]})
    assert verdicts(decision) == {0: Verdict.NO_RULE, 1: Verdict.SUPERSEDED, 2: Verdict.CREDITED}
    refused = in_both(bonds={1: [Bond(MEI, NOW - DAY)]})
    assert verdicts(refused) == {
        0: Verdict.SELF_REFERRAL,
        1: Verdict.BOUND_TO_OTHER,
        2: Verdict.CREDITED,
    }


# ---- bindings


def bound(bond: Bond, *touches: Touch, **more: Any) -> Decision:
    return decide(*touches, event=replace(MEI_BUYS, bonds={1: [bond]}), **more)


def test_while_bound_the_promoter_has_it_whole_without_a_touch() -> None:
    decision = bound(Bond(LIN, NOW - DAY))
    assert shares(decision) == [(LIN, 1, 1_000_000)]
    assert paid(decision) == [(LIN, 1, 1, 1_000)]
    assert verdicts(decision) == {0: Verdict.CREDITED}
    assert decision.shares[0].link_id is None


def test_while_bound_the_touches_of_others_are_bound_to_other() -> None:
    newer = touch(MINUTE, number=2, link=2, promoter=WANG)
    decision = bound(Bond(LIN, NOW - DAY), touch(), newer)
    assert shares(decision) == [(LIN, 1, 1_000_000)]
    assert verdicts(decision) == {
        0: Verdict.CREDITED,
        1: Verdict.SUPERSEDED,
        2: Verdict.BOUND_TO_OTHER,
    }
    assert decision.shares[0].link_id == 1


def test_while_bound_neither_window_nor_link_is_asked_for() -> None:
    old = touch(99 * DAY, number=1), touch(DAY, number=2, until=NOW - DAY)
    decision = bound(Bond(LIN, NOW - 99 * DAY), *old)
    assert verdicts(decision) == {
        0: Verdict.CREDITED,
        1: Verdict.OUTSIDE_WINDOW,
        2: Verdict.LINK_INACTIVE,
    }


@pytest.mark.parametrize(
    ("bond", "credited"),
    [
        (Bond(LIN, NOW), LIN),
        (Bond(LIN, NOW + TICK), WANG),
        (Bond(LIN, NOW - DAY, NOW + TICK), LIN),
        (Bond(LIN, NOW - DAY, NOW), WANG),
    ],
    ids=["from its instant", "not before", "until its end", "not at its end"],
)
def test_a_binding_holds_from_its_first_instant_and_not_at_its_last(
    bond: Bond, credited: int
) -> None:
    assert shares(bound(bond, touch(promoter=WANG))) == [(credited, 1, 1_000_000)]


def test_a_binding_of_one_program_says_nothing_in_another() -> None:
    event = replace(MEI_BUYS, bonds={2: [Bond(LIN, NOW - DAY)]})
    decision = decide(touch(promoter=WANG), event=event, terms={2: replace(PAYS, group=None)})
    assert [(each.program_id, each.promoter_id) for each in decision.shares] == [
        (1, WANG),
        (2, LIN),
    ]


@pytest.mark.parametrize(
    ("until", "credited", "verdict"),
    [
        (None, WANG, Verdict.PROMOTER_INACTIVE),
        (NOW + TICK, WANG, Verdict.PROMOTER_INACTIVE),
        (NOW, LIN, Verdict.SUPERSEDED),
    ],
)
def test_a_binding_sleeps_while_its_promoter_is_suspended(
    until: datetime | None, credited: int, verdict: Verdict
) -> None:
    lin = {LIN: Promoter(Person(LIN), suspended={1: [(NOW - DAY, until)]})}
    other = touch(2 * DAY, number=2, link=2, promoter=WANG)
    decision = bound(Bond(LIN, NOW - 3 * DAY), touch(), other, promoters=lin)
    assert shares(decision) == [(credited, 1, 1_000_000)]
    assert verdicts(decision)[1] is verdict


def test_a_bound_promoter_who_may_not_be_credited_leaves_it_to_nobody() -> None:
    mailbox = {LIN: Promoter(Person(LIN, "mei@example.com"))}
    decision = bound(Bond(LIN, NOW - DAY), touch(promoter=WANG), promoters=mailbox)
    assert verdicts(decision) == {0: Verdict.SELF_REFERRAL, 1: Verdict.BOUND_TO_OTHER}
    assert (shares(decision), paid(decision)) == ([], [])
    closed = bound(Bond(LIN, NOW - DAY), terms={1: replace(PAYS, ends_at=NOW)})
    assert (verdicts(closed), shares(closed)) == ({0: Verdict.PROGRAM_CLOSED}, [])


def test_the_parent_of_a_bound_promoter_is_paid() -> None:
    decision = bound(Bond(LIN, NOW - DAY), terms={1: TWO_LEVELS}, promoters={LIN: BELOW_WANG})
    assert paid(decision) == [(LIN, 1, 1, 1_000), (WANG, 2, 2, 300)]


# ---- typed codes


def typing(*touches: Touch, number: int = 7, promoter: int = CHEN, **more: Any) -> Decision:
    """With a code of CHEN's typed, which is touch 7."""
    code = touch(timedelta(0), number=number, link=7, promoter=promoter, visitor="typed")
    event = replace(more.pop("event", MEI_BUYS), typed=number)
    return decide(*touches, code, event=event, **more)


@pytest.mark.parametrize("model", AttributionModel)
def test_a_typed_code_takes_the_whole_of_its_program_by_every_model(
    model: AttributionModel,
) -> None:
    terms = {1: replace(PAYS, model=model)}
    clicked = touch(number=1), touch(timedelta(0), number=8, link=2, promoter=WANG)
    decision = typing(*clicked, terms=terms)
    assert shares(decision) == [(CHEN, 1, 1_000_000)]
    assert verdicts(decision) == {
        1: Verdict.SUPERSEDED,
        7: Verdict.CREDITED,
        8: Verdict.SUPERSEDED,
    }


def test_a_typed_code_makes_its_program_the_newest_of_its_group() -> None:
    decision = typing(touch(MINUTE, program=2, number=1), terms={2: PAYS})
    assert verdicts(decision) == {1: Verdict.OTHER_PROGRAM, 7: Verdict.CREDITED}


def test_an_active_binding_goes_before_a_typed_code() -> None:
    event = replace(MEI_BUYS, bonds={1: [Bond(LIN, NOW - DAY)]})
    assert verdicts(typing(event=event)) == {0: Verdict.CREDITED, 7: Verdict.BOUND_TO_OTHER}
    over = replace(MEI_BUYS, bonds={1: [Bond(LIN, NOW - DAY, NOW)]})
    assert verdicts(typing(event=over)) == {7: Verdict.CREDITED}


def test_a_typed_code_that_does_not_count_takes_nothing() -> None:
    decision = typing(touch(), promoter=MEI)
    assert verdicts(decision) == {1: Verdict.CREDITED, 7: Verdict.SELF_REFERRAL}


def test_a_typed_code_is_no_part_of_a_visit_that_began_before() -> None:
    clicked = touch(MINUTE, number=1, link=7, promoter=CHEN, visitor="typed")
    assert verdicts(typing(clicked)) == {1: Verdict.SUPERSEDED, 7: Verdict.CREDITED}


def test_for_later_conversions_a_typed_code_is_an_ordinary_touch() -> None:
    code = touch(2 * DAY, number=7, promoter=CHEN)
    decision = decide(code, touch(DAY, number=8, link=2, promoter=WANG))
    assert verdicts(decision) == {7: Verdict.SUPERSEDED, 8: Verdict.CREDITED}


# ---- new bindings

BINDS = BindingMode.ON_REGISTRATION
REGISTERS = replace(MEI_BUYS, amount=0, binds=BINDS)
BINDING = replace(PAYS, binding=BINDS)


@pytest.mark.parametrize("rules", [[TENTH], []])
def test_the_promoter_who_brought_it_is_bound_whether_or_not_a_rule_pays(
    rules: list[RewardRule],
) -> None:
    decision = decide(touch(), event=REGISTERS, terms={1: replace(BINDING, rules=rules)})
    assert decision.bonds == [(1, LIN)]


@pytest.mark.parametrize("mode", BindingMode)
def test_only_the_program_s_own_moment_binds(mode: BindingMode) -> None:
    decision = decide(touch(), event=REGISTERS, terms={1: replace(PAYS, binding=mode)})
    assert decision.bonds == ([(1, LIN)] if mode is BINDS else [])
    never = decide(
        touch(),
        event=replace(REGISTERS, binds=BindingMode.NONE),
        terms={1: replace(PAYS, binding=mode)},
    )
    assert never.bonds == []


def test_a_visitor_who_is_no_member_is_not_bound() -> None:
    event = replace(REGISTERS, customer=Person(None))
    decision = decide(touch(), event=event, terms={1: BINDING})
    assert (shares(decision), decision.bonds) == ([(LIN, 1, 1_000_000)], [])


def test_a_promoter_whom_the_customer_brought_is_never_bound() -> None:
    lin = {LIN: Promoter(Person(LIN), above=frozenset({MEI}))}
    decision = decide(touch(), event=REGISTERS, terms={1: BINDING}, promoters=lin)
    assert (verdicts(decision), decision.bonds) == ({1: Verdict.OWN_DOWNLINE}, [])


def test_the_largest_share_is_bound() -> None:
    terms = {1: replace(BINDING, model=AttributionModel.LINEAR)}
    touches = [touch(each * DAY, number=9 - each, link=each) for each in (3, 2)]
    newest = touch(DAY, number=9, promoter=WANG)
    assert decide(*touches, newest, event=REGISTERS, terms=terms).bonds == [(1, LIN)]


def test_of_two_equal_shares_the_later_touch_is_bound() -> None:
    terms = {1: replace(BINDING, model=AttributionModel.LINEAR)}
    first, second = touch(2 * DAY, number=1), touch(DAY, number=2, link=2, promoter=WANG)
    assert decide(first, second, event=REGISTERS, terms=terms).bonds == [(1, WANG)]
    # Each has two now, and the latest of all is the first promoter's.
    third = touch(3 * MINUTE, number=3, link=2, promoter=WANG)
    fourth = touch(2 * MINUTE, number=4)
    decision = decide(first, second, third, fourth, event=REGISTERS, terms=terms)
    assert decision.bonds == [(1, LIN)]
    at_once = decide(
        first, replace(second, touched_at=first.touched_at), event=REGISTERS, terms=terms
    )
    assert at_once.bonds == [(1, WANG)]


def test_by_position_the_last_of_the_two_ends_is_bound() -> None:
    terms = {1: replace(BINDING, model=AttributionModel.POSITION_BASED)}
    touches = [touch(each * DAY, number=9 - each, link=each, promoter=each) for each in (3, 2, 1)]
    assert decide(*touches, event=REGISTERS, terms=terms).bonds == [(1, LIN)]


def test_a_typed_code_is_bound() -> None:
    decision = typing(touch(), event=REGISTERS, terms={1: BINDING})
    assert decision.bonds == [(1, CHEN)]


@pytest.mark.parametrize(
    ("bond", "bonds"),
    [
        (Bond(WANG, NOW - DAY), []),
        (Bond(WANG, NOW - DAY, NOW + TICK), []),
        (Bond(WANG, NOW - DAY, NOW), [(1, LIN)]),
        (Bond(WANG, NOW + TICK), []),
    ],
    ids=["for ever", "to the last", "when it has ended", "begins later"],
)
def test_there_is_one_binding_at_most(bond: Bond, bonds: list[tuple[int, int]]) -> None:
    event = replace(REGISTERS, bonds={1: [bond]})
    assert decide(touch(), event=event, terms={1: BINDING}).bonds == bonds


def test_no_new_binding_arises_while_one_sleeps() -> None:
    wang = {WANG: Promoter(Person(WANG), suspended={1: [(NOW - DAY, None)]})}
    event = replace(REGISTERS, bonds={1: [Bond(WANG, NOW - DAY)]})
    decision = decide(touch(), event=event, terms={1: BINDING}, promoters=wang)
    assert (shares(decision), decision.bonds) == ([(LIN, 1, 1_000_000)], [])


def test_a_program_that_another_one_outdoes_binds_nobody() -> None:
    event, terms = replace(MEI_BUYS, binds=BINDS), {1: BINDING, 2: BINDING}
    touches = touch(2 * DAY, number=1), touch(DAY, number=2, link=2, program=2, promoter=WANG)
    assert decide(*touches, event=event, terms=terms).bonds == [(2, WANG)]
    unpaid = {1: BINDING, 2: replace(BINDING, rules=[])}
    assert decide(*touches, event=event, terms=unpaid).bonds == [(1, LIN), (2, WANG)]


# ---- the explanation


def test_programs_come_by_id_and_in_each_the_binding_before_the_touches_in_time_order() -> None:
    event = replace(MEI_BUYS, bonds={2: [Bond(LIN, NOW - DAY)]})
    decision = decide(
        touch(DAY, number=3, link=2, program=2),
        touch(2 * DAY, number=4, link=2, program=2),
        touch(DAY, number=1),
        touch(3 * DAY, number=2),
        event=event,
        terms={2: PAYS},
    )
    order = [(each.program_id, each.touch and each.touch.id) for each in decision.judged]
    assert order == [(1, 2), (1, 1), (2, None), (2, 4), (2, 3)]


@pytest.mark.parametrize(
    ("model", "details"),
    [
        (AttributionModel.LAST_TOUCH, ["a later touch took", "the last touch before"]),
        (AttributionModel.FIRST_TOUCH, ["the first touch within", "an earlier touch took"]),
        (AttributionModel.LINEAR, ["50 % by LINEAR", "50 % by LINEAR"]),
        (AttributionModel.TIME_DECAY, ["33.3333 % by TIME_DECAY", "66.6667 % by TIME_DECAY"]),
    ],
)
def test_the_words_say_what_the_model_did(model: AttributionModel, details: list[str]) -> None:
    touches = touch(7 * DAY, number=1), touch(timedelta(0), number=2, link=2)
    decision = decide(*touches, terms={1: replace(PAYS, model=model)})
    for judged, beginning in zip(decision.judged, details, strict=True):
        assert judged.detail.startswith(beginning)


def test_the_words_name_a_typed_code() -> None:
    assert [each.detail for each in typing(touch()).judged] == [
        "a code was typed",
        "its code was typed",
    ]
