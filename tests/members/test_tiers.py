"""A threshold reached exactly qualifies, one below does not; falling is the tier's own policy."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import demo
from members import publishing, rules, tiers
from members.models import DowngradePolicy, TierChangeReason, TierMetric
from members.rules import Term
from members.tiers import Ladder, Rung, State
from tests.factories import NOW
from tests.members.plans import SHANGHAI, spend

AT_EXPIRY, IMMEDIATE, NEVER = (
    DowngradePolicy.AT_EXPIRY,
    DowngradePolicy.IMMEDIATE,
    DowngradePolicy.NEVER,
)
QUALIFIED, REFUNDED, EXPIRED = (
    TierChangeReason.QUALIFIED,
    TierChangeReason.REFUNDED,
    TierChangeReason.EXPIRED,
)
THRESHOLDS = {"bronze": 1_000, "silver": 3_000, "gold": 5_000}
BRONZE, SILVER, GOLD, GONE = 11, 12, 13, 99
IDS: dict[str | None, int | None] = {None: None, "bronze": BRONZE, "silver": SILVER, "gold": GOLD}
CODES = {number: code for code, number in IDS.items()}
DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)
YEAR = timedelta(days=365)


def rung(id: int, rank: int, at_least: int, policy: DowngradePolicy, **more: object) -> Rung:
    rule = rules.parse(spend(at_least))
    terms = {"validity_days": 365, "downgrade": policy} | more
    return Rung(id, CODES.get(id) or f"tier {id}", rank, rule, **terms)  # type: ignore[arg-type]


def ladder(policy: DowngradePolicy = IMMEDIATE, **more: object) -> Ladder:
    rungs = [
        rung(IDS[code] or 0, rank, amount, policy, **more)
        for rank, (code, amount) in enumerate(THRESHOLDS.items(), start=1)
    ]
    return Ladder(1, SHANGHAI, rungs)


def holding(of: Ladder, spend_minor: int) -> Collection[int]:
    return of.holding({Term(TierMetric.SPEND): spend_minor})


def decided(
    current: str | None, spend_minor: int, policy: DowngradePolicy = IMMEDIATE
) -> str | None:
    of = ladder(policy)
    state = State(tier=IDS[current], earned=IDS[current])
    return CODES[tiers.decide(of, state, holding(of, spend_minor), NOW).tier]


# ---- rising


@pytest.mark.parametrize(
    ("spend_minor", "code"),
    [
        (-1, None),
        (0, None),
        (999, None),
        (1_000, "bronze"),
        (2_999, "bronze"),
        (3_000, "silver"),
        (4_999, "silver"),
        (5_000, "gold"),
        (10**15, "gold"),
    ],
)
@pytest.mark.parametrize("policy", DowngradePolicy)
def test_somebody_new_comes_straight_into_the_highest_tier_that_holds(
    spend_minor: int, code: str | None, policy: DowngradePolicy
) -> None:
    assert decided(None, spend_minor, policy) == code


@pytest.mark.parametrize("policy", DowngradePolicy)
def test_a_rise_passes_over_the_tiers_between(policy: DowngradePolicy) -> None:
    assert decided("bronze", 5_000, policy) == "gold"
    assert decided("bronze", 4_999, policy) == "silver"


def test_the_rank_decides_and_not_the_order_of_the_list() -> None:
    of = replace(ladder(), rungs=list(reversed(ladder().rungs)))
    assert tiers.decide(of, State(), holding(of, 3_000), NOW).tier == SILVER


def test_the_highest_rank_wins_even_with_the_lower_threshold() -> None:
    of = Ladder(1, SHANGHAI, [rung(1, 1, 100, IMMEDIATE), rung(2, 9, 1, IMMEDIATE)])
    assert tiers.decide(of, State(), holding(of, 100), NOW).tier == 2


def test_without_tiers_nobody_has_one() -> None:
    assert tiers.decide(tiers.EMPTY, State(), (), NOW) == State()


def test_a_threshold_of_nothing_is_reached_by_everybody_and_not_below_zero() -> None:
    of = Ladder(1, SHANGHAI, [rung(1, 0, 0, IMMEDIATE)])
    assert tiers.decide(of, State(), holding(of, 0), NOW).tier == 1
    assert tiers.decide(of, State(), holding(of, -1), NOW).tier is None


# ---- falling


@pytest.mark.parametrize(
    ("spend_minor", "code"),
    [(5_000, "gold"), (4_999, "silver"), (2_999, "bronze"), (999, None), (-1, None)],
)
def test_immediate_drops_to_the_highest_tier_that_still_holds(
    spend_minor: int, code: str | None
) -> None:
    assert decided("gold", spend_minor, IMMEDIATE) == code


@pytest.mark.parametrize("spend_minor", [5_000, 4_999, 0, -1])
def test_never_keeps_the_tier(spend_minor: int) -> None:
    assert decided("gold", spend_minor, NEVER) == "gold"


def test_the_policy_is_that_of_the_tier_one_is_in() -> None:
    of = Ladder(1, SHANGHAI, [rung(1, 1, 1, NEVER), rung(2, 2, 9, IMMEDIATE)])
    low, high = State(tier=1, earned=1), State(tier=2, earned=2)

    assert tiers.decide(of, high, holding(of, 0), NOW).tier is None
    assert tiers.decide(of, high, holding(of, 1), NOW).tier == 1
    assert tiers.decide(of, low, holding(of, 0), NOW).tier == 1


def test_at_expiry_is_kept_until_validity_and_grace_have_passed() -> None:
    of = ladder(AT_EXPIRY, grace_days=30)
    gold = tiers.decide(of, State(), holding(of, 5_000), NOW)
    assert (gold.tier, gold.expires_at) == (GOLD, NOW + YEAR + 30 * DAY)
    assert gold.expires_at is not None

    fallen = tiers.decide(of, gold, holding(of, 4_999), NOW + DAY)
    assert fallen == gold
    assert tiers.decide(of, fallen, holding(of, 4_999), gold.expires_at - MOMENT) == gold
    dropped = tiers.decide(of, fallen, holding(of, 4_999), gold.expires_at)
    assert (dropped.tier, dropped.expires_at) == (SILVER, gold.expires_at + YEAR + 30 * DAY)


def test_every_decision_in_which_the_rule_holds_counts_the_validity_anew() -> None:
    of = ladder(AT_EXPIRY)
    gold = tiers.decide(of, State(), holding(of, 5_000), NOW)
    renewed = tiers.decide(of, gold, holding(of, 5_000), NOW + YEAR - MOMENT)
    assert renewed.expires_at == NOW + 2 * YEAR - MOMENT
    late = tiers.decide(of, gold, holding(of, 5_000), NOW + 2 * YEAR)
    assert (late.tier, late.expires_at) == (GOLD, NOW + 3 * YEAR)


def test_whoever_is_below_when_a_tier_comes_to_expire_has_its_whole_validity() -> None:
    of = ladder(AT_EXPIRY)
    kept = tiers.decide(of, State(tier=GOLD, earned=GOLD), holding(of, 0), NOW)
    assert (kept.tier, kept.expires_at) == (GOLD, NOW + YEAR)


@pytest.mark.parametrize("policy", DowngradePolicy)
def test_a_tier_that_the_rules_left_out_is_kept_by_nobody(policy: DowngradePolicy) -> None:
    of = ladder(policy)
    gone = State(tier=GONE, earned=GONE, expires_at=NOW + YEAR)
    assert tiers.decide(of, gone, holding(of, 0), NOW) == State()
    assert tiers.decide(of, gone, holding(of, 3_000), NOW).tier == SILVER


# ---- floors


def test_a_grant_is_a_floor_until_its_end() -> None:
    of = ladder()
    granted = State(floor=GOLD, floor_until=NOW)
    before = tiers.decide(of, granted, holding(of, 3_000), NOW - MOMENT)
    assert (before.tier, before.earned) == (GOLD, SILVER)
    after = tiers.decide(of, before, holding(of, 3_000), NOW)
    assert (after.tier, after.floor, after.floor_until) == (SILVER, None, None)


@pytest.mark.parametrize("policy", DowngradePolicy)
def test_a_grant_without_an_end_outlasts_every_policy(policy: DowngradePolicy) -> None:
    of = ladder(policy)
    far = NOW + 100 * YEAR
    assert tiers.decide(of, State(floor=SILVER), holding(of, -1), far).tier == SILVER
    assert tiers.decide(of, State(floor=SILVER), holding(of, 5_000), far).tier == GOLD


# ---- approval


def approved_ladder(policy: DowngradePolicy = IMMEDIATE) -> Ladder:
    rungs = [replace(each, requires_approval=each.id == GOLD) for each in ladder(policy).rungs]
    return Ladder(1, SHANGHAI, rungs)


def test_numbers_alone_never_open_a_tier_with_approval() -> None:
    of = approved_ladder()
    assert tiers.decide(of, State(), holding(of, 10**15), NOW).tier == SILVER


def test_an_approval_opens_the_tier_while_its_rule_holds() -> None:
    of = approved_ladder()
    state = State(approved=frozenset({GOLD}))
    assert tiers.decide(of, state, holding(of, 5_000), NOW).tier == GOLD
    below = tiers.decide(of, state, holding(of, 4_999), NOW)
    assert (below.tier, below.approved) == (SILVER, frozenset())


@pytest.mark.parametrize("policy", [NEVER, AT_EXPIRY])
def test_an_approval_stays_with_whoever_is_kept_in_the_tier(policy: DowngradePolicy) -> None:
    of = approved_ladder(policy)
    gold = tiers.decide(of, State(approved=frozenset({GOLD})), holding(of, 5_000), NOW)
    kept = tiers.decide(of, gold, holding(of, 0), NOW + DAY)
    assert (kept.tier, kept.approved) == (GOLD, {GOLD})


def test_whoever_is_in_a_tier_that_comes_to_require_approval_stays() -> None:
    of = approved_ladder()
    inside = State(tier=GOLD, earned=GOLD)
    assert tiers.decide(of, inside, holding(of, 5_000), NOW).tier == GOLD
    assert tiers.decide(of, inside, holding(of, 4_999), NOW).tier == SILVER


# ---- against a plain model of the words

INSTANTS = st.sampled_from([NOW - DAY, NOW - MOMENT, NOW, NOW + MOMENT, NOW + DAY])
EVERY = (BRONZE, SILVER, GOLD, GONE)


@st.composite
def ladders(draw: st.DrawFn) -> Ladder:
    ranks = draw(st.permutations([1, 2, 3]))
    return Ladder(
        1,
        SHANGHAI,
        [
            rung(
                id,
                rank,
                0,
                draw(st.sampled_from(DowngradePolicy)),
                requires_approval=draw(st.booleans()),
                grace_days=draw(st.sampled_from([0, 10])),
            )
            for id, rank in zip((BRONZE, SILVER, GOLD), ranks, strict=True)
            if draw(st.booleans()) or id == BRONZE
        ],
    )


STATES = st.builds(
    State,
    tier=st.none(),
    earned=st.sampled_from([None, *EVERY]),
    expires_at=st.none() | INSTANTS,
    floor=st.sampled_from([None, BRONZE, SILVER, GOLD]),
    floor_until=st.none() | INSTANTS,
    approved=st.frozensets(st.sampled_from(EVERY)),
)


def plainly(of: Ladder, state: State, held: Collection[int], now: datetime) -> State:
    """What semantics.md says, from the top of the ladder down."""
    down = sorted(of.rungs, key=lambda each: -each.rank)

    def entered(each: Rung) -> bool:
        may = not each.requires_approval or each.id in state.approved or each.id == state.earned
        return each.id in held and may

    def kept(each: Rung) -> bool:
        if each.id != state.earned or each.id in held:
            return False
        expired = state.expires_at is not None and state.expires_at <= now
        return each.downgrade is NEVER or (each.downgrade is AT_EXPIRY and not expired)

    earned = next((each for each in down if entered(each) or kept(each)), None)
    granted = state.floor if state.floor_until is None or now < state.floor_until else None
    tier = next((each for each in down if each is earned or each.id == granted), None)
    expires_at = None
    if earned is not None and earned.downgrade is AT_EXPIRY:
        validity = timedelta(days=(earned.validity_days or 0) + earned.grace_days)
        expires_at = state.expires_at if kept(earned) else None
        expires_at = expires_at or now + validity
    return State(
        tier=tier and tier.id,
        earned=earned and earned.id,
        expires_at=expires_at,
        floor=granted,
        floor_until=state.floor_until if granted is not None or not state.floor else None,
        approved=frozenset(
            id for id in state.approved if id in held or (earned and id == earned.id)
        ),
    )


HELD = st.frozensets(st.sampled_from([BRONZE, SILVER, GOLD]))


@given(of=ladders(), state=STATES, held=HELD)
def test_a_decision_is_what_a_plain_reading_of_the_rules_says(
    of: Ladder, state: State, held: frozenset[int]
) -> None:
    held &= {each.id for each in of.rungs}
    if state.floor is None:
        state = replace(state, floor_until=None)
    assert tiers.decide(of, state, held, NOW) == plainly(of, state, held, NOW)


@given(of=ladders(), state=STATES, held=HELD)
def test_deciding_again_at_the_same_time_changes_nothing(
    of: Ladder, state: State, held: frozenset[int]
) -> None:
    once = tiers.decide(of, state, held, NOW)
    assert tiers.decide(of, once, held, NOW) == once


@given(
    current=st.sampled_from([None, *THRESHOLDS]),
    spend_minor=st.integers(-10, 6_000),
    policy=st.sampled_from(DowngradePolicy),
)
def test_deciding_again_with_the_same_spend_changes_nothing(
    current: str | None, spend_minor: int, policy: DowngradePolicy
) -> None:
    once = decided(current, spend_minor, policy)
    assert decided(once, spend_minor, policy) == once


# ---- until when, and why


@pytest.mark.parametrize(
    ("state", "until"),
    [
        (State(), None),
        (State(tier=GOLD, earned=GOLD), None),
        (State(tier=GOLD, earned=GOLD, expires_at=NOW), NOW),
        (State(tier=GOLD, floor=GOLD), None),
        (State(tier=GOLD, floor=GOLD, floor_until=NOW), NOW),
        (
            State(tier=GOLD, earned=SILVER, expires_at=NOW, floor=GOLD, floor_until=NOW + DAY),
            NOW + DAY,
        ),
        (
            State(tier=GOLD, earned=GOLD, expires_at=NOW + DAY, floor=GOLD, floor_until=NOW),
            NOW + DAY,
        ),
        (State(tier=GOLD, earned=GOLD, expires_at=NOW, floor=GOLD), None),
        (State(tier=GOLD, earned=GOLD, floor=SILVER, floor_until=NOW), None),
    ],
)
def test_a_tier_lasts_as_long_as_the_longer_of_what_holds_it(
    state: State, until: datetime | None
) -> None:
    assert tiers.until(state) == until


def reason(before: int | None, after: int | None, cause: TierChangeReason) -> TierChangeReason:
    return tiers.reason(ladder(), State(tier=before), State(tier=after), cause)


@pytest.mark.parametrize("cause", [QUALIFIED, REFUNDED, EXPIRED])
def test_whoever_rose_qualified_whatever_led_to_the_decision(cause: TierChangeReason) -> None:
    assert reason(None, SILVER, cause) is QUALIFIED
    assert reason(SILVER, GOLD, cause) is QUALIFIED


def test_a_fall_is_for_the_refund_or_else_for_the_time() -> None:
    for before, after in ((GOLD, SILVER), (SILVER, None)):
        assert reason(before, after, REFUNDED) is REFUNDED
        assert reason(before, after, EXPIRED) is EXPIRED
        assert reason(before, after, QUALIFIED) is EXPIRED


@pytest.mark.parametrize(
    "cause",
    [TierChangeReason.GRANTED, TierChangeReason.REVOKED, TierChangeReason.APPROVED],
)
def test_what_staff_did_is_the_reason_both_ways(cause: TierChangeReason) -> None:
    assert reason(None, GOLD, cause) is cause
    assert reason(GOLD, None, cause) is cause


@pytest.mark.parametrize("cause", TierChangeReason)
def test_whoever_was_in_a_tier_that_is_left_out_moved_for_that(cause: TierChangeReason) -> None:
    assert reason(GONE, SILVER, cause) is TierChangeReason.RULES_CHANGED
    assert reason(GONE, None, cause) is TierChangeReason.RULES_CHANGED


# ---- stored


async def test_the_stored_ladder_is_read_as_it_was_published(opened: str) -> None:
    drafts = [
        publishing.TierRule(
            "board",
            "私董会",
            7,
            {"leaf": {"metric": "FEE", "atLeast": 1, "plan": "board"}},
            requires_approval=True,
            validity_days=365,
            grace_days=3,
            downgrade=AT_EXPIRY,
        ),
        publishing.TierRule("basic", "Basic", 0, spend(0)),
    ]
    assert await tiers.current() == tiers.EMPTY
    await publishing.publish(drafts, time_zone="Asia/Shanghai", now=NOW)

    read = await tiers.current()

    assert (read.version, read.zone) == (1, SHANGHAI)
    assert [each.code for each in await tiers.ladder()] == ["basic", "board"]
    basic, board = read.rungs
    assert (basic.code, basic.rank, basic.downgrade) == ("basic", 0, NEVER)
    assert board == Rung(
        id=board.id,
        code="board",
        rank=7,
        rule=rules.parse(drafts[0].rule),
        requires_approval=True,
        validity_days=365,
        grace_days=3,
        downgrade=AT_EXPIRY,
    )
    assert read.terms == [Term(TierMetric.SPEND), Term(TierMetric.FEE, "board")]
    assert read.with_approval == [board]


async def test_rules_without_tiers_are_read_with_their_version(opened: str) -> None:
    await publishing.publish([], time_zone="UTC", now=NOW)
    read = await tiers.current()
    assert (read.version, [*read.rungs]) == (1, [])


def test_the_tiers_of_the_demo_begin_at_3_000_and_5_000() -> None:
    for policy in DowngradePolicy:
        assert [
            (draft.code, draft.rule["leaf"]["atLeast"], draft.downgrade)
            for draft, _ in publishing.check(demo.ladder(policy))
        ] == [("silver", 300_000, policy), ("gold", 500_000, policy)]
